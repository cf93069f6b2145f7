"""The nanowire: two strands of crystals, seen as the truth says, with the faults that the truth lists."""

import threading
from collections.abc import Iterator

import h5py
import numpy as np
import pytest
from scipy import ndimage

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.pipeline import analyse
from napari_stemnmf.study.films import ScanGrid
from napari_stemnmf.study.nanowire import Nanowire, nanowire, structure_factor
from napari_stemnmf.study.simulate import drawn_rows, simulate
from napari_stemnmf.study.wire import RADIUS, ROUGHNESS, twisted_wire


def rows_of(scan: Nanowire, control: Control | None = None, workers: int = 2) -> Iterator[np.ndarray]:
    return drawn_rows(scan.row, scan.shape, control or Control(), workers)


@pytest.fixture(scope="module")
def scan():
    return nanowire(1, (44, 24), 144)


@pytest.fixture(scope="module")
def expected(scan) -> np.ndarray:
    return np.stack(list(rows_of(scan)))


@pytest.fixture(scope="module")
def truth(scan) -> dict[str, np.ndarray]:
    return {name: values for name, (values, _) in scan.truth().items()}


@pytest.fixture(scope="module")
def wire():
    return twisted_wire(ScanGrid((220, 50)), np.random.default_rng(0))


def test_rows_are_shares_of_the_beam_one_scan_row_after_another(scan, expected):
    assert expected.shape == scan.shape == (44, 24, 144, 144)
    assert expected.dtype == np.float32
    assert expected.min() >= 0
    assert expected.sum(axis=(2, 3)).max() < 1


def test_same_arguments_give_the_same_scan_however_many_work():
    small = [np.stack(list(rows_of(nanowire(1, (20, 20), 96), workers=n))) for n in (1, 3)]
    np.testing.assert_array_equal(*small)
    other = nanowire(2, (20, 20), 96)
    assert not np.array_equal(other.row(10), small[0][10])


def test_the_wire_does_not_depend_on_camera_and_dose(scan):
    other = nanowire(1, (44, 24), 96, dose=1e4)
    np.testing.assert_array_equal(other.wire.thickness, scan.wire.thickness)
    np.testing.assert_array_equal(other.wire.orientations, scan.wire.orientations)


def test_two_strands_wind_about_each_other_through_the_whole_scan(wire):
    one, two = (wire.thickness[wire.strands == s].sum(axis=0) for s in (0, 1))
    columns = np.arange(50)
    place = np.array([(m * columns).sum(axis=1) / m.sum(axis=1) for m in (one, two)])
    crossings = np.count_nonzero(np.diff(np.sign(place[0] - place[1])))
    assert 5 <= crossings <= 7  # twice in each of the 1100 / 360 turns
    together = ((one > 0) & (two > 0)).sum(axis=1) / ((one > 0) | (two > 0)).sum(axis=1)
    assert together.min() < 0.2
    assert together.max() > 0.8
    heights = [np.average(wire.centers[wire.strands == s, 2] > 0) for s in (0, 1)]
    assert all(0.2 < above < 0.8 for above in heights)  # neither strand stays on top


def test_the_wire_is_as_thick_as_the_papers(wire):
    total = wire.thickness.sum(axis=0)
    wide = (total > 0).sum(axis=1) * 5.0
    assert wide.max() <= 4 * (RADIUS + ROUGHNESS) + 5  # 10 nm
    assert wide.min() >= 45
    assert total.max() <= 4 * (RADIUS + ROUGHNESS)


def test_shell_crystals_are_longer_than_wide_and_core_pieces_are_about_two_nanometres(wire):
    core = wire.thickness[wire.core]
    area = (core > 0).sum(axis=(1, 2)) * 25.0
    assert 300 < np.median(area) < 600
    lengths = [np.ptp(np.flatnonzero(m.any(axis=1))) * 5.0 for m in wire.thickness[~wire.core] > 0]
    assert 80 < np.median(lengths) < 220
    middles = [
        (np.flatnonzero(m[m.any(axis=1)][5])).size * 5.0 for m in wire.thickness[~wire.core] > 10 if m.sum() > 60
    ]
    assert np.median(lengths) > 2 * np.median(middles)


def test_truth_is_where_each_grain_is_thick_and_overlaps(truth, scan):
    np.testing.assert_array_equal(truth["labels"], truth["thickness"] > 10)
    assert truth["labels"].sum(axis=(1, 2)).min() >= 10
    assert truth["labels"].sum(axis=0).max() >= 3
    assert len(truth["labels"]) == len(truth["orientations"]) == len(truth["centers"]) == len(truth["core"])
    np.testing.assert_allclose(
        truth["thickness"].sum(axis=0) + truth["small_thickness"], scan.wire.thickness.sum(axis=0), rtol=1e-5
    )
    R = truth["orientations"]
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), R.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(R), 1)
    whole = ~np.any([truth["thickness"][:, i].any(axis=-1) for i in (0, -1)], axis=0)
    mass = [ndimage.center_of_mass(t) for t in truth["thickness"][whole].astype(float)]
    np.testing.assert_allclose((np.array(mass) + 0.5) * 5, truth["centers"][whole][:, [1, 0]], atol=1e-2)


def test_scattering_follows_the_thickness(scan, expected, truth):
    y, x = np.indices((144, 144))
    distance = np.hypot(y - truth["distortions/center"][22, 12, 0], x - truth["distortions/center"][22, 12, 1])
    kept = truth["distortions/mask"] & (distance > 20)
    kept[tuple(scan.hot_pixels.T)] = False
    dark_field = expected[:, :, kept].sum(axis=2)
    thick = ndimage.gaussian_filter(scan.wire.thickness.sum(axis=0), 1.5)
    assert np.corrcoef(dark_field.ravel(), thick.ravel())[0, 1] > 0.9


def test_strong_disks_lie_on_rings_of_silver_once_descan_and_ellipse_are_undone(scan, truth):
    drawn = scan.patterns
    pattern = np.repeat(np.arange(44 * 24), np.diff(drawn.first))
    center = truth["distortions/center"].reshape(-1, 2)[pattern]
    frame = Geometry((144, 144), 0.0, 0.0, 1.0, float(truth["distortions/ellipse_ratio"]), 35.0)
    radius, _ = frame.to_polar(drawn.disk_y - center[:, 0], drawn.disk_x - center[:, 1])
    strong = (drawn.height > np.quantile(drawn.height, 0.9)) & (radius > 5) & (radius < 40)
    rings = np.sqrt([3, 4, 8, 11, 12, 16, 19, 20, 24]) / 4.0853 / scan.calibration["Q_pixel_size_invA"]
    assert strong.sum() > 300
    assert np.quantile(np.abs(radius[strong, None] - rings).min(axis=1), 0.95) < 0.15


def test_centres_follow_the_descan(truth):
    center, descan = truth["distortions/center"], truth["distortions/descan"]
    np.testing.assert_allclose(center[-1, 0] - center[0, 0], descan[:, 0])
    np.testing.assert_allclose(center[0, -1] - center[0, 0], descan[:, 1])
    assert np.abs(descan).max() > 2


def test_hot_pixels_count_what_the_truth_says_whatever_the_dose(scan, expected, truth):
    high = nanowire(1, (44, 24), 144, dose=1e7)
    y, x = truth["distortions/hot_pixels"].T
    difference = expected[20].astype(float) - high.row(20)
    np.testing.assert_allclose(difference[:, y, x] * 1e6, np.tile(0.9 * scan.hot_counts, (24, 1)), rtol=1e-3)
    difference[:, y, x] = 0
    assert np.abs(difference).max() == 0


def test_the_beam_stop_hides_the_direct_beam_of_every_pattern(expected, truth):
    mask = truth["distortions/mask"]
    y, x = np.indices(mask.shape)
    for c_y, c_x in truth["distortions/center"].reshape(-1, 2):
        assert not mask[np.hypot(y - c_y, x - c_x) < 4].any()
    assert expected[..., ~mask].sum(axis=-1).max() < 0.01
    assert 0.02 < (~mask).mean() < 0.2


def test_a_file_counts_what_is_expected_hot_pixels_too(tmp_path):
    with h5py.File(simulate("nanowire", tmp_path / "wire.h5", seed=3, scan=(20, 20), detector=96)) as file:
        counts, hot = file["data"][:].astype(float), file["distortions/hot_pixels"][:]
        assert len(file["labels"]) > 3
    scan = nanowire(3, (20, 20), 96)
    expected = np.stack(list(rows_of(scan))) * scan.dose
    off = (counts - expected).sum(axis=(0, 1)) / np.sqrt(expected.sum(axis=(0, 1)))
    assert np.abs(off[tuple(hot.T)]).max() < 4
    assert off.mean() == pytest.approx(0, abs=0.05)
    assert off.std() == pytest.approx(1, abs=0.03)


def test_amorphous_carbon_shows_its_rings():
    q = np.linspace(0, 2.2, 500)
    s = structure_factor(q)
    peaks = q[1:-1][(s[1:-1] > s[:-2]) & (s[1:-1] > s[2:])]
    np.testing.assert_allclose(peaks, [0.48, 0.85], atol=0.02)
    assert s.min() > 0
    assert s[-1] == pytest.approx(1, abs=0.01)


def test_calibration_finds_what_the_truth_says(scan, expected, truth):
    counts = np.random.default_rng(0).poisson(expected * scan.dose).astype(np.uint16)
    found = analyse(Dataset.from_array(counts, scan_step=0.5, q_step=0.3), until="calibrate", workers=2)
    assert found.probe.hidden
    assert found.probe.radius == pytest.approx(scan.calibration["probe_radius_px"], rel=0.1)
    error = np.linalg.norm(found.calibration.origin - truth["distortions/center"], axis=2)
    assert error.max() < 0.1
    assert found.calibration.geometry.ellipse_ratio == pytest.approx(1.02, abs=0.005)
    assert found.calibration.geometry.ellipse_angle == pytest.approx(35, abs=10)
    assert not found.probe.mask[~truth["distortions/mask"]].any()


def test_a_scan_can_be_cancelled(scan):
    cancel = threading.Event()
    reports = []
    rows = rows_of(scan, Control(reports.append, cancel))
    next(rows)
    next(rows)
    assert [(r.done, r.total) for r in reports] == [(1, 44)]
    cancel.set()
    with pytest.raises(Cancelled):
        next(rows)


@pytest.mark.parametrize("arguments", [{"scan_shape": (10, 50)}, {"detector": 64}, {"dose": 0.0}, {"dose": 1e9}])
def test_impossible_scans_are_refused(arguments):
    with pytest.raises(DataError):
        nanowire(**arguments)
