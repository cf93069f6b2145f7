"""BD: what the binned disks of a pattern come to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.bragg_disks import bragg_disks
from napari_stemnmf.representation_settings import BraggDiskSettings

Disk = tuple[float, float, float]
"""q_y, q_x on the detector and height."""


def constant(geometry: Geometry, scan_shape: tuple[int, int]) -> Calibration:
    """A calibration with the same centre for every pattern."""
    origin = np.full((*scan_shape, 2), (geometry.q_y, geometry.q_x), np.float32)
    return Calibration(geometry, origin, np.full_like(origin, np.nan))


def table(*patterns: list[Disk], detector: tuple[int, int] = (252, 252)) -> Peaks:
    """A scan of one row with these disks."""
    disks = np.array([disk for pattern in patterns for disk in pattern], np.float32).reshape(-1, 3)
    offsets = np.cumsum([0, *(len(pattern) for pattern in patterns)])
    central = np.full((len(patterns), 2), np.nan, np.float32)
    return Peaks(offsets, *disks.T, np.full(len(disks), 9.0, np.float32), central, (1, len(patterns)), detector)


def calibration(peaks: Peaks, radius: float = 5.3, **ellipse: float) -> Calibration:
    rows, columns = peaks.detector_shape
    return constant(
        Geometry(peaks.detector_shape, (rows - 1) / 2, (columns - 1) / 2, radius, **ellipse), peaks.scan_shape
    )


@pytest.mark.parametrize(
    ("detector", "radius", "side", "columns"),
    [(252, 5.34, 3.0, 84**2), (126, 2.67, 1.5, 84**2), (432, 9.2, 5.0, 87**2)],
)
def test_the_bin_follows_the_probe_so_that_a_binned_camera_has_as_many(
    detector: int, radius: float, side: float, columns: int
) -> None:
    peaks = table([(10.0, 10.0, 1.0)], detector=(detector, detector))
    features = bragg_disks(peaks, calibration(peaks, radius))
    assert features.details["bin"] == side
    assert features.values.shape == (1, columns)
    assert {len(values) for values in features.columns.values()} == {columns}


def test_a_disk_in_the_middle_of_a_bin_fills_that_bin_alone() -> None:
    peaks = table([(31.0, 61.0, 7.0)], detector=(252, 126))  # bins of 3 px: centres at 1, 4, 7, ...
    features = bragg_disks(peaks, calibration(peaks))
    assert isinstance(features.values, csr_array)
    assert features.values.dtype == np.float32
    (column,) = features.values.indices
    assert features.values.data.tolist() == [7.0]
    assert features.columns["q_y"][column] == pytest.approx(31.0 - 125.5)
    assert features.columns["q_x"][column] == pytest.approx(61.0 - 62.5)
    assert features.columns["radius"][column] == pytest.approx(np.hypot(94.5, 1.5))
    assert features.columns["azimuth"][column] == pytest.approx(np.degrees(np.arctan2(-94.5, -1.5)) % 360)


@given(st.floats(2, 249), st.floats(2, 249))
def test_a_disk_is_shared_between_bins_without_loss_and_keeps_its_place(y: float, x: float) -> None:
    peaks = table([(y, x, 2.0)])
    features = bragg_disks(peaks, calibration(peaks), BraggDiskSettings(r_min=0))
    values = features.values
    assert values.nnz <= 4
    assert values.sum() == pytest.approx(2.0, rel=1e-5)
    for name, at in (("q_y", y), ("q_x", x)):
        assert values.data @ features.columns[name][values.indices] / 2.0 == pytest.approx(at - 125.5, abs=1e-3)


def test_nothing_wraps_at_the_borders() -> None:
    """Trap: a disk at one edge must not appear at the opposite one."""
    peaks = table([(0.0, 125.0, 4.0), (251.0, 125.0, 4.0), (125.0, 0.0, 4.0), (125.0, 251.0, 4.0)])
    features = bragg_disks(peaks, calibration(peaks))
    for disk, (name, sign) in enumerate([("q_y", -1), ("q_y", 1), ("q_x", -1), ("q_x", 1)]):
        alone = bragg_disks(table([(peaks.q_y[disk], peaks.q_x[disk], 4.0)]), calibration(peaks))
        assert (sign * features.columns[name][alone.values.indices] > 120).all()
        assert 0 < alone.values.sum() < 4.0


def test_the_direct_beam_is_left_out_unless_it_is_asked_for() -> None:
    peaks = table([(125.5, 125.5, 1e5), (130.0, 131.0, 50.0), (160.0, 160.0, 3.0)])
    assert bragg_disks(peaks, calibration(peaks)).values.sum() == pytest.approx(3.0)
    assert bragg_disks(peaks, calibration(peaks)).details["disks"] == 1
    assert bragg_disks(peaks, calibration(peaks), BraggDiskSettings(r_min=0)).values.sum() == pytest.approx(100053.0)
    assert bragg_disks(peaks, calibration(peaks), BraggDiskSettings(r_min=0, r_max=20)).details["disks"] == 2


def test_descan_and_ellipse_are_taken_out() -> None:
    shift = np.array([[3.0, -2.0]])
    peaks = table([(160.0, 90.0, 1.0)], [(163.0, 88.0, 1.0)])
    still = calibration(peaks)
    moving = Calibration(
        still.geometry, still.origin + np.stack([0 * shift, shift], axis=1).astype(np.float32), still.measured
    )
    first, second = bragg_disks(peaks, moving).values.toarray()
    np.testing.assert_allclose(first, second, atol=1e-6)
    round_geometry = Geometry((252, 252), 125.5, 125.5, 5.3)
    oval = Geometry((252, 252), 125.5, 125.5, 5.3, ellipse_ratio=1.05, ellipse_angle=30.0)
    y, x = oval.from_polar(*round_geometry.to_polar(np.array([160.0]), np.array([90.0])))
    stretched = table([(y[0], x[0], 1.0)])
    values = bragg_disks(stretched, constant(oval, (1, 1))).values
    np.testing.assert_allclose(values.toarray()[0], first, atol=1e-4)


def test_disks_of_one_bin_add_up_and_square_roots_are_of_heights() -> None:
    peaks = table([(31.0, 61.0, 9.0), (31.0, 61.0, 16.0)])
    assert bragg_disks(peaks, calibration(peaks)).values.data.tolist() == [25.0]
    assert bragg_disks(peaks, calibration(peaks), BraggDiskSettings(intensity="sqrt")).values.data.tolist() == [7.0]


def test_patterns_without_a_disk_are_empty_rows_and_counted() -> None:
    peaks = table([], [(31.0, 61.0, 9.0)], [], [(125.5, 125.5, 9.0)])
    features = bragg_disks(peaks, calibration(peaks))
    assert np.diff(features.values.indptr).tolist() == [0, 1, 0, 0]
    assert features.details["without_disk"] == 3


def test_weak_disks_can_be_left_out() -> None:
    peaks = table([(31.0, 61.0, 9.0), (40.0, 40.0, 2.0)])
    peaks.snr[:] = 12.0, 7.0
    assert bragg_disks(peaks, calibration(peaks), BraggDiskSettings(min_snr=7)).details["disks"] == 2
    assert bragg_disks(peaks, calibration(peaks), BraggDiskSettings(min_snr=10)).values.sum() == pytest.approx(9.0)


def test_disks_that_are_not_finite_or_have_no_height_count_for_nothing() -> None:
    peaks = table(
        [(31.0, 61.0, np.nan), (31.0, 61.0, -3.0), (np.nan, 61.0, 3.0), (31.0, 61.0, np.inf), (40.0, 40.0, 2.0)]
    )
    assert bragg_disks(peaks, calibration(peaks)).values.sum() == pytest.approx(2.0)


@pytest.mark.parametrize("disks", [[], [(125.5, 125.5, 9.0)]])
def test_a_scan_without_disks_is_a_clear_error(disks: list[Disk]) -> None:
    peaks = table(disks)
    with pytest.raises(DataError, match="lower disks"):
        bragg_disks(peaks, calibration(peaks))


def test_arguments_are_not_changed() -> None:
    peaks = table([(31.0, 61.0, 9.0), (40.2, 40.3, np.nan)])
    copies = [array.copy() for array in (peaks.q_y, peaks.q_x, peaks.height)]
    bragg_disks(peaks, calibration(peaks), BraggDiskSettings(intensity="sqrt"))
    for now, before in zip((peaks.q_y, peaks.q_x, peaks.height), copies, strict=True):
        np.testing.assert_array_equal(now, before)
