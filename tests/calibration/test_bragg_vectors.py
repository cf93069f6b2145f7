"""Calibrated positions of disks and their maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.calibration.geometry import (
    Calibration,
    Geometry,
    bilinear,
    bragg_vector_map,
    calibrated_map,
    centred,
    raw_map,
)
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.errors import DataError


def constant(geometry: Geometry, scan_shape: tuple[int, int]) -> Calibration:
    """A calibration with the same centre for every pattern."""
    origin = np.full((*scan_shape, 2), (geometry.q_y, geometry.q_x), np.float32)
    return Calibration(geometry, origin, np.full_like(origin, np.nan))


def table(
    q_y: list[float], q_x: list[float], scan: tuple[int, int] = (1, 2), detector: tuple[int, int] = (40, 50)
) -> Peaks:
    """Disks of height 2, all in the last pattern."""
    n = scan[0] * scan[1]
    offsets = np.zeros(n + 1, np.int64)
    offsets[-1] = len(q_y)
    height = np.full(len(q_y), 2.0, np.float32)
    return Peaks(
        offsets, np.array(q_y, np.float32), np.array(q_x, np.float32), height, height,
        np.full((n, 2), np.nan, np.float32), scan, detector,
    )  # fmt: skip


def test_a_point_between_four_pixels_is_shared_by_its_distances() -> None:
    index, weight = bilinear(np.array([1.25]), np.array([2.5]), (4, 5))
    image = np.zeros(20)
    np.add.at(image, index.ravel(), weight.ravel())
    expected = np.zeros((4, 5))
    expected[1:3, 2:4] = [[0.375, 0.375], [0.125, 0.125]]
    np.testing.assert_allclose(image.reshape(4, 5), expected)


@given(st.floats(0, 6), st.floats(0, 8))
def test_weights_of_an_inner_point_add_up_to_one_and_their_mean_is_the_point(q_y: float, q_x: float) -> None:
    index, weight = bilinear(np.array([q_y]), np.array([q_x]), (7, 9))
    assert weight.sum() == pytest.approx(1.0, abs=1e-6)
    y, x = np.divmod(index, 9)
    assert (weight * y).sum() == pytest.approx(q_y, abs=1e-5)
    assert (weight * x).sum() == pytest.approx(q_x, abs=1e-5)


def test_nothing_wraps_to_the_other_side_at_the_borders() -> None:
    q_y = np.array([-0.4, 6.4, 3.0, 3.0, -30.0, 1e9, np.nan])
    q_x = np.array([4.0, 4.0, -0.4, 8.4, 4.0, 4.0, 4.0])
    image = bragg_vector_map(q_y, q_x, np.ones(7), (7, 9))
    expected = np.zeros((7, 9))
    expected[0, 4] = expected[6, 4] = expected[3, 0] = expected[3, 8] = 0.6
    np.testing.assert_allclose(image, expected, atol=1e-6)


def test_a_map_keeps_weight_and_place() -> None:
    image = bragg_vector_map(np.array([3.2]), np.array([4.7]), np.array([5.0]), (7, 9))
    assert image.shape == (7, 9)
    assert image.sum() == pytest.approx(5.0)
    y, x = np.indices(image.shape).reshape(2, -1)
    assert (image.ravel() @ y, image.ravel() @ x) == (pytest.approx(16.0, abs=1e-4), pytest.approx(23.5, abs=1e-4))


def test_maps_before_and_after_calibration_differ_by_the_descan() -> None:
    calibration = constant(Geometry((40, 50), 19.0, 24.0, 2.0), (1, 2))
    calibration.origin[0, 1] += (2.0, -3.0)
    peaks = table([10.0, 30.0], [8.0, 9.0])
    before, after = raw_map(peaks), calibrated_map(peaks, calibration)
    assert before[10, 8] == before[30, 9] == after[8, 11] == after[28, 12] == 2.0
    assert before.sum() == after.sum() == 4.0


def test_calibrating_changes_neither_disks_nor_calibration_in_place() -> None:
    calibration = constant(Geometry((40, 50), 19.0, 24.0, 2.0, 1.05, 20.0), (1, 2))
    peaks = table([10.0, 30.0], [8.0, 9.0])
    copies = peaks.q_y.copy(), peaks.q_x.copy(), calibration.origin.copy()
    first, second = calibrated_map(peaks, calibration), calibrated_map(peaks, calibration)
    np.testing.assert_array_equal(first, second)
    for now, then in zip((peaks.q_y, peaks.q_x, calibration.origin), copies, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_scan_without_disks_has_an_empty_map() -> None:
    peaks = table([], [])
    assert raw_map(peaks).sum() == 0
    assert calibrated_map(peaks, constant(Geometry((40, 50), 19.0, 24.0, 2.0), (1, 2))).shape == (40, 50)


def test_disks_of_another_scan_are_refused() -> None:
    calibration = constant(Geometry((40, 50), 19.0, 24.0, 2.0), (3, 2))
    with pytest.raises(DataError, match="cannot take the centres"):
        centred(table([1.0], [1.0]), calibration)
