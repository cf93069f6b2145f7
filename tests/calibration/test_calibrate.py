"""Calibration from disks to calibrated coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from napari_stemnmf.calibration.calibrate import _fine, calibrate
from napari_stemnmf.calibration.ellipse import Ellipse
from napari_stemnmf.calibration.geometry import Calibration, centred
from napari_stemnmf.dataset import AXIS_NAMES, Axis
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.survey import Survey, take_survey
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.study.distorted import Distorted, distorted

AS_IT_IS = PreprocessSettings(hot_pixels="off")

DESCAN = ((7.0, -3.0), (-4.0, 7.0))
SILVER_111 = 0.23591
"""nm"""


@pytest.fixture(scope="module", params=[False, True], ids=["open", "stopped"])
def scan(request: pytest.FixtureRequest) -> Distorted:
    return distorted((12, 12), descan=DESCAN, ellipse_ratio=1.02, ellipse_angle=70.0, beam_stop=request.param)


@pytest.fixture(scope="module")
def seen(scan: Distorted) -> Survey:
    return take_survey(scan.dataset, AS_IT_IS, workers=1)


@pytest.fixture
def run(scan: Distorted, seen: Survey, disks: Callable, probe: Callable) -> Callable[..., Calibration]:
    found = disks(scan)

    def run_with(peaks: Peaks | None = found, **changes: object) -> Calibration:
        recipe = Recipe().replaced({name.replace("__", "."): value for name, value in changes.items()})
        return calibrate(peaks, probe(scan), seen, scan.dataset.axes, recipe)

    return run_with


def empty(scan_shape: tuple[int, int], detector: tuple[int, int] = (64, 64)) -> Peaks:
    n = scan_shape[0] * scan_shape[1]
    none = np.zeros(0, np.float32)
    return Peaks(
        np.zeros(n + 1, np.int64), none, none, none, none, np.full((n, 2), np.nan, np.float32), scan_shape, detector
    )


def test_distorted_scan_is_calibrated_within_the_bounds(run: Callable, scan: Distorted) -> None:
    found = run()
    geometry = found.geometry
    assert np.sqrt(((found.origin - scan.center) ** 2).sum(axis=-1).mean()) < 0.1
    np.testing.assert_allclose(found.descan, DESCAN, atol=0.1)
    assert (geometry.q_y, geometry.q_x) == pytest.approx(tuple(scan.center.mean(axis=(0, 1))), abs=0.1)
    assert geometry.ellipse_ratio == pytest.approx(1.02, abs=0.002)
    assert geometry.ellipse_angle == pytest.approx(70.0, abs=2.0)
    assert found.ellipse_method == "disks"
    assert 0 < found.ellipse_error < 0.001
    assert found.origin_method == ("central" if scan.mask is None else "friedel")
    assert (found.pixel_size, found.pixel_unit, found.pixel_method) == (pytest.approx(scan.q_step), "1/nm", "file")
    assert (geometry.mask is None) == (scan.mask is None)


def test_known_spacing_gives_the_pixel_size(run: Callable, scan: Distorted) -> None:
    found = run(pixel_size__d_spacing=SILVER_111, pixel_size__radius=1 / SILVER_111 / scan.q_step)
    assert found.pixel_size == pytest.approx(scan.q_step, rel=2e-3)
    assert found.pixel_method == "d-spacing"


def test_settings_of_the_ellipse_are_kept(run: Callable) -> None:
    both = run(ellipse__ratio=1.04, ellipse__angle=20.0)
    assert (both.geometry.ellipse_ratio, both.geometry.ellipse_angle, both.ellipse_method) == (1.04, 20.0, "set")
    ratio = run(ellipse__ratio=1.04)
    assert (ratio.geometry.ellipse_ratio, ratio.ellipse_method) == (1.04, "set")
    assert ratio.geometry.ellipse_angle == pytest.approx(70.0, abs=2.0)
    along = run(ellipse__angle=70.0)
    assert along.geometry.ellipse_ratio == pytest.approx(1.02, abs=0.002)
    across = run(ellipse__angle=160.0)
    assert across.geometry.ellipse_ratio == 1.0
    off = run(ellipse__method="off", ellipse__ratio=1.04)
    assert (off.geometry.ellipse_ratio, off.ellipse_method) == (1.0, "off")


def test_centre_that_is_set_is_the_geometry_s(run: Callable) -> None:
    found = run(center__q_y=60.0)
    assert found.geometry.q_y == pytest.approx(60.0, abs=1e-3)
    assert found.origin[..., 0].mean() == pytest.approx(60.0, abs=1e-3)


def test_rings_become_round(run: Callable, scan: Distorted, disks: Callable) -> None:
    y, x = centred(disks(scan), run())
    radius, azimuth = np.hypot(y, x) * scan.q_step, np.arctan2(y, x)
    ring = np.abs(radius * SILVER_111 - 1.0) < 0.02
    assert ring.sum() > 100
    miss = radius[ring] * SILVER_111 - 1.0
    assert 2 * abs(((miss - miss.mean()) * np.exp(2j * azimuth[ring])).mean()) < 0.002
    assert radius[ring].std() * SILVER_111 < 0.006


def test_without_disks_there_is_one_centre(run: Callable, probe: Callable, scan: Distorted) -> None:
    for peaks in (None, empty((12, 12), (126, 126))):
        found = run(peaks, ellipse__method="disks")
        assert found.origin_method == "mean"
        assert (found.origin == found.origin[0, 0]).all()
        assert found.ellipse_method == "none"
        assert found.geometry.ellipse_ratio == 1.0


@pytest.mark.parametrize("scan_shape", [(1, 1), (1, 5), (3, 4)])
@pytest.mark.parametrize("value", [0.0, 9.0, np.nan])
def test_blank_scans_are_calibrated_to_what_the_probe_says(scan_shape: tuple[int, int], value: float) -> None:
    pattern = np.full((64, 64), value, np.float32)
    flat = Survey(pattern, pattern, np.zeros(scan_shape))
    axes = [Axis(name, size) for name, size in zip(AXIS_NAMES, (*scan_shape, 64, 64), strict=True)]
    for hidden in (False, True):
        mask = np.ones((64, 64), bool)
        mask[28:36, 28:36] = not hidden
        where = Probe(np.zeros((3, 3), np.float32), 2.0, 31.0, 32.0, mask, hidden, "synthetic", (64, 64))
        found = calibrate(empty(scan_shape), where, flat, axes)
        assert (found.geometry.q_y, found.geometry.q_x, found.geometry.ellipse_ratio) == (31.0, 32.0, 1.0)
        assert found.scan_shape == scan_shape


def test_disks_of_another_scan_are_refused(run: Callable) -> None:
    with pytest.raises(DataError, match="do not go with"):
        run(empty((3, 3), (126, 126)))


def test_calibrating_twice_gives_the_same_and_changes_no_disk(run: Callable, disks: Callable, scan: Distorted) -> None:
    peaks = disks(scan)
    before = peaks.q_y.copy(), peaks.q_x.copy(), peaks.central.copy()
    first, second = run(peaks), run(peaks)
    np.testing.assert_array_equal(first.origin, second.origin)
    assert first.geometry == second.geometry
    for now, then in zip((peaks.q_y, peaks.q_x, peaks.central), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("scan", [False], ids=["open"], indirect=True)
@pytest.mark.parametrize("ratio", [1.5, 0.6])
def test_rectangular_pixels_are_an_ellipse_and_what_is_measured_is_on_top(
    scan: Distorted, seen: Survey, disks: Callable, probe: Callable, ratio: float
) -> None:
    """A scan of square pixels whose detector is sampled anew: rows `ratio` times as dense, the radius kept."""
    stretch = np.sqrt(ratio)  # along q_y in px, shrunk along q_x
    peaks, found = disks(scan), probe(scan)
    peaks = replace(
        peaks, q_y=peaks.q_y * stretch, q_x=peaks.q_x / stretch, central=peaks.central * [stretch, 1 / stretch]
    )
    detector = (int(126 * stretch), int(126 / stretch))
    found = replace(found, q_y=found.q_y * stretch, q_x=found.q_x / stretch, detector_shape=detector)
    sides = (scan.q_step / stretch, scan.q_step * stretch)
    q = tuple(Axis(f"q_{a}", n, s, "1/nm", assumed=False) for a, n, s in zip("yx", detector, sides, strict=True))
    calibration = calibrate(replace(peaks, detector_shape=detector), found, seen, (*scan.dataset.axes[:2], *q))
    assert calibration.pixel_sides == pytest.approx(sides)
    assert calibration.pixel_size == pytest.approx(scan.q_step)
    y, x = centred(peaks, calibration)
    radius, azimuth = np.hypot(y, x) * calibration.pixel_size * SILVER_111, np.arctan2(y, x)
    ring = np.abs(radius - 1.0) < 0.02
    assert ring.sum() > 100
    assert 2 * abs(((radius[ring] - 1.0) * np.exp(2j * azimuth[ring])).mean()) < 0.002
    assert radius[ring].mean() == pytest.approx(1.0, abs=0.003)
    off = calibrate(peaks, found, seen, (*scan.dataset.axes[:2], *q), Recipe().replaced({"ellipse.method": "off"}))
    assert (off.geometry.ellipse_ratio, off.ellipse_method) == (pytest.approx(max(ratio, 1 / ratio)), "file")
    assert off.geometry.ellipse_angle == (90.0 if ratio > 1 else 0.0)


@pytest.mark.parametrize(
    ("ratio", "error", "kept"),
    [
        (1.02, 0.0009, True), (1.02, 0.0013, False),  # its direction may be 4 degrees off
        (1.035, 0.0015, True), (1.04, 0.0022, False),  # the ratio may be 0.004 off
        (1.10, 0.0017, True), (1.10, 0.0024, False), (1.01, 0.0014, True), (1.01, 0.0017, False),
    ],
)  # fmt: skip
def test_an_ellipse_is_kept_where_its_ratio_and_direction_are_known(ratio: float, error: float, kept: bool) -> None:
    turn = float(np.degrees(0.5 * np.arctan2(error / (2 * ratio), 0.5 * np.log(ratio))))
    assert _fine(Ellipse(ratio, error=error, angle_error=turn, significant=True)) is kept
