"""The distorted scan: what is asked for is in the data, and the truth says where."""

import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError
from napari_stemnmf.study.distorted import distorted


def counts(dataset) -> np.ndarray:
    return dataset.data.compute(scheduler="synchronous")


@pytest.fixture(scope="module")
def scan():
    return distorted((8, 10), dose=1e6, curvature=2.0, ellipse_ratio=1.05, hot_sigma=(10.0,) * 11 + (500.0,))


def test_a_scan_is_calibrated_whole_patterns_of_the_dose(scan):
    for dataset in (scan.dataset, scan.plain):
        assert dataset.shape == (8, 10, 126, 126)
        assert dataset.dtype == np.uint16
        assert [(a.unit, a.assumed) for a in dataset.axes] == [("nm", False)] * 2 + [("1/nm", False)] * 2
        assert dataset.axes[2].scale == pytest.approx(scan.q_step) == pytest.approx(0.2)
    assert counts(scan.plain).sum(axis=(2, 3)).mean() == pytest.approx(1e6, rel=0.01)


def test_same_arguments_give_the_same_scan_and_another_seed_another():
    first, again, other = (distorted((5, 6), 64, seed=s, beam_stop=True) for s in (1, 1, 2))
    np.testing.assert_array_equal(counts(first.dataset), counts(again.dataset))
    np.testing.assert_array_equal(first.hot_pixels, again.hot_pixels)
    assert not np.array_equal(first.hot_pixels, other.hot_pixels)


def test_central_disks_lie_at_the_true_centres(scan):
    data = counts(scan.dataset).reshape(-1, 126, 126).astype(float)
    y, x = np.indices((126, 126))
    for pattern, (c_y, c_x) in zip(data, scan.center.reshape(-1, 2), strict=True):
        disk = pattern * (np.hypot(y - c_y, x - c_x) < 1.5 * scan.probe_radius)
        assert (disk * y).sum() / disk.sum() == pytest.approx(c_y, abs=0.05)
        assert (disk * x).sum() / disk.sum() == pytest.approx(c_x, abs=0.05)


def test_descan_is_the_plane_of_the_centres_and_curvature_bends_them(scan):
    span = scan.center[-1, -1] - scan.center[0, 0]
    np.testing.assert_allclose(span, scan.descan.sum(axis=1))
    np.testing.assert_allclose(scan.center[-1, 0] - scan.center[0, 0], scan.descan[:, 0])
    flat = distorted((8, 10), dose=1e3).center
    bend = scan.center - flat
    np.testing.assert_allclose(bend.mean(axis=(0, 1)), 0, atol=1e-12)
    assert bend[0, 0, 0] - bend[3, 0, 0] == pytest.approx(2 * (1 - (1 / 7) ** 2))
    assert bend[0, 0, 1] - bend[0, 4, 1] == pytest.approx(2 * (1 - (1 / 9) ** 2))


def test_strong_disks_lie_on_round_rings_of_silver_once_descan_and_ellipse_are_undone(scan):
    pattern = np.repeat(np.arange(80), np.diff(scan.offsets))
    center = scan.center.reshape(-1, 2)[pattern]
    frame = Geometry((126, 126), 0.0, 0.0, 1.0, scan.ellipse_ratio, scan.ellipse_angle)
    radius, _ = frame.to_polar(scan.q_y - center[:, 0], scan.q_x - center[:, 1])
    strong = (scan.snr > 5) & (radius > 1) & (radius < 62)
    rings = np.sqrt([3, 4, 8, 11, 12, 16, 19, 20, 24, 27]) / 0.40853 / scan.q_step
    assert strong.sum() > 100
    assert (
        np.abs(radius[strong, None] - rings).min(axis=1).max() < 0.15
    )  # a reflection off the Ewald sphere lies a little inside


def test_listed_heights_are_those_in_the_data(scan):
    data, expected, found = counts(scan.dataset), [], []
    y, x = np.indices((126, 126))
    for index in range(0, 80, 7):
        rows = slice(scan.offsets[index], scan.offsets[index + 1])
        places = np.stack([scan.q_y[rows], scan.q_x[rows]], axis=1)
        for place, height, snr in zip(places, scan.height[rows], scan.snr[rows], strict=True):
            alone = (np.linalg.norm(places - place, axis=1) < 4 * scan.probe_radius).sum() == 1
            distance = np.hypot(y - place[0], x - place[1])
            if alone and snr > 5 and (np.minimum(place, 125 - place) > 8).all():
                pattern = data[divmod(index, 10)]
                around = np.median(pattern[(distance > 4.5) & (distance < 7)])
                expected.append(height)
                found.append(pattern[distance < 1.5].mean() - around)
    assert len(expected) > 20
    np.testing.assert_allclose(found, expected, rtol=0.1, atol=4)


def test_disks_are_listed_by_pattern_the_highest_first_and_the_direct_beam_among_them(scan):
    assert scan.offsets[0] == 0
    assert scan.offsets[-1] == len(scan.q_y) == len(scan.height) == len(scan.snr)
    for index, center in enumerate(scan.center.reshape(-1, 2)):
        rows = slice(scan.offsets[index], scan.offsets[index + 1])
        assert (np.diff(scan.height[rows]) <= 0).all()
        np.testing.assert_allclose((scan.q_y[rows][0], scan.q_x[rows][0]), center)
    assert (scan.snr <= np.sqrt(scan.height)).all()


def test_hot_pixels_stand_out_by_what_was_asked_for(scan):
    clean = distorted((8, 10), dose=1e6, curvature=2.0, ellipse_ratio=1.05, hot_pixels=0)
    mean, hot_mean = (counts(s.dataset).mean(axis=(0, 1)) for s in (clean, scan))
    y, x = scan.hot_pixels.T
    assert len(y) == 12
    assert (np.linalg.norm(scan.hot_pixels[:, None] - scan.center.reshape(-1, 2), axis=2) > 4).all()
    excess = (hot_mean - mean)[y, x] / np.sqrt(mean[y, x])
    np.testing.assert_allclose(excess, [10] * 11 + [500], rtol=0.15)
    mean[y, x] = hot_mean[y, x]
    assert np.abs(hot_mean - mean).max() < 6 * np.sqrt(2 * mean.max() / 80)


def test_a_beam_stop_hides_the_direct_beam_of_every_pattern():
    scan = distorted((6, 6), dose=1e6, beam_stop=True, hot_pixels=0)
    data = counts(scan.dataset)
    assert scan.mask is not None
    assert 0.02 < (~scan.mask).mean() < 0.3
    y, x = np.indices((126, 126))
    for c_y, c_x in scan.center.reshape(-1, 2):
        assert not scan.mask[np.hypot(y - c_y, x - c_x) < scan.probe_radius + 2].any()
    hidden = counts(scan.plain)[:, :, ~scan.mask].mean()
    assert data[:, :, ~scan.mask].mean() < 0.05 * hidden
    edge = np.r_[scan.mask[0], scan.mask[-1], scan.mask[:, 0], scan.mask[:, -1]]
    assert not edge.all()


@pytest.mark.parametrize("detector", [126, 252, 432])
def test_one_camera_binned_differently_sees_the_same_film(detector):
    scan = distorted((4, 4), detector, dose=1e5, descan=np.zeros((2, 2)), hot_pixels=0)
    scale = detector / 126
    assert (scan.probe_radius, scan.q_step) == (pytest.approx(2.67 * scale), pytest.approx(0.2 / scale))
    reference = distorted((4, 4), 126, dose=1e5)
    strong, wanted = scan.height * scale**2 > 50, reference.height > 50
    np.testing.assert_allclose(scan.height[strong].sum() * scale**2, reference.height[wanted].sum(), rtol=0.02)


def test_the_plain_scan_is_round_and_centred_on_the_mean_centre():
    scan = distorted((6, 6), dose=1e6, ellipse_ratio=1.05)
    mean = counts(scan.plain).mean(axis=(0, 1))
    y, x = np.indices(mean.shape)
    c_y, c_x = scan.center.mean(axis=(0, 1))
    distance = np.hypot(y - c_y, x - c_x)
    disk = mean * (distance < 4)
    assert (disk * y).sum() / disk.sum() == pytest.approx(c_y, abs=0.02)
    assert (disk * x).sum() / disk.sum() == pytest.approx(c_x, abs=0.02)


@pytest.mark.parametrize(
    "arguments",
    [
        {"scan_shape": (2, 8)},
        {"detector": 20},
        {"dose": 0},
        {"dose": 1e9},
        {"ellipse_ratio": 0.9},
        {"hot_pixels": 5000},
    ],
)
def test_impossible_scans_are_refused(arguments):
    with pytest.raises(DataError):
        distorted(**{"scan_shape": (4, 4), "detector": 64, **arguments})
