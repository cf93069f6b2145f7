"""The centre of the pattern and the radius of its disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_stemnmf.disks.central_disk import find_center, without_hot_pixels
from napari_stemnmf.errors import DataError
from napari_stemnmf.stage_settings import CenterSettings


def disk(shape: tuple[int, int], q_y: float, q_x: float, radius: float, blur: float = 0.0) -> np.ndarray:
    """A uniform disk, each pixel with the share of its area that the disk covers."""
    parts = 8
    y = (np.arange(shape[0] * parts) + 0.5) / parts - 0.5 - q_y
    x = (np.arange(shape[1] * parts) + 0.5) / parts - 0.5 - q_x
    inside = (np.hypot(y[:, None], x) <= radius).astype(float)
    image = inside.reshape(shape[0], parts, shape[1], parts).mean((1, 3))
    return gaussian_filter(image, blur) if blur else image


@settings(max_examples=30)
@given(st.floats(20, 75), st.floats(20, 60), st.floats(1.2, 12.0), st.integers(0, 10**6))
def test_disk_anywhere_on_the_detector_is_found_to_a_tenth_of_a_pixel(
    q_y: float, q_x: float, radius: float, seed: int
) -> None:
    pattern = 500 * disk((97, 83), q_y, q_x, radius) + np.random.default_rng(seed).poisson(3, (97, 83))
    center = find_center(pattern)
    assert np.hypot(center.q_y - q_y, center.q_x - q_x) < 0.1
    assert center.probe_radius == pytest.approx(radius, rel=0.05)


@pytest.mark.parametrize(("radius", "blur"), [(2.67, 0.7), (5, 1.5), (9, 3)])
def test_soft_edge_does_not_change_the_radius_by_much(radius: float, blur: float) -> None:
    center = find_center(disk((64, 64), 31.2, 33.7, radius, blur))
    assert center.probe_radius == pytest.approx(radius, rel=0.15)
    assert np.hypot(center.q_y - 31.2, center.q_x - 33.7) < 0.05


def test_hot_pixels_do_not_pull_the_centre() -> None:
    rng = np.random.default_rng(0)
    pattern = 1000 * disk((90, 90), 40.3, 47.6, 2.67) + rng.poisson(2, (90, 90))
    pattern[rng.integers(0, 90, 12), rng.integers(0, 90, 12)] = 1e6
    pattern[70, 10:12] = 1e6
    center = find_center(pattern)
    assert np.hypot(center.q_y - 40.3, center.q_x - 47.6) < 0.1
    assert center.probe_radius == pytest.approx(2.67, rel=0.05)


def test_dead_and_odd_values_do_not_disturb() -> None:
    pattern = disk((60, 60), 30.0, 28.5, 4.0) * 100
    pattern[5, 5], pattern[6, 6], pattern[7, 7] = np.nan, np.inf, -1e9
    center = find_center(pattern)
    assert np.hypot(center.q_y - 30.0, center.q_x - 28.5) < 0.05


def test_masked_pixels_are_not_looked_at() -> None:
    pattern = 100 * disk((60, 60), 30.0, 28.5, 4.0) + 1000 * disk((60, 60), 10.0, 12.0, 5.0)
    mask = np.ones((60, 60), bool)
    mask[:20, :22] = False
    center = find_center(pattern, mask=mask)
    assert np.hypot(center.q_y - 30.0, center.q_x - 28.5) < 0.05


def test_result_does_not_depend_on_the_scale_of_the_counts() -> None:
    pattern = disk((60, 50), 30.2, 24.9, 4.0, 0.8) + 0.01
    a, b = find_center(pattern), find_center(pattern * 1e-6)
    assert (a.q_y, a.q_x, a.probe_radius) == pytest.approx((b.q_y, b.q_x, b.probe_radius))


def test_pattern_is_not_changed() -> None:
    pattern = disk((30, 30), 15, 15, 3)
    pattern[3, 3] = 99
    before = pattern.copy()
    find_center(pattern)
    np.testing.assert_array_equal(pattern, before)


def test_what_is_set_is_kept_and_the_rest_is_measured() -> None:
    pattern = disk((60, 60), 30.0, 28.0, 4.0)
    center = find_center(pattern, CenterSettings(q_y=30.5))
    assert center.q_y == 30.5
    assert center.q_x == pytest.approx(28.0, abs=0.05)
    center = find_center(pattern, CenterSettings(q_y=30, q_x=28))
    assert center.probe_radius == pytest.approx(4.0, rel=0.02)
    everything = CenterSettings(q_y=1, q_x=2, probe_radius=3)
    assert find_center(np.zeros((9, 9)), everything).probe_radius == 3


def test_empty_pattern_and_centre_off_the_detector_are_refused() -> None:
    with pytest.raises(DataError, match=r"no counts.*set center\.q_y"):
        find_center(np.zeros((20, 20)))
    with pytest.raises(DataError, match="no counts"):
        find_center(np.full((20, 20), np.nan))
    with pytest.raises(DataError, match=r"center\.q_x is 45"):
        find_center(np.ones((20, 20)), CenterSettings(q_x=45))
    with pytest.raises(DataError, match=r"set both center\.q_y and"):
        find_center(np.ones((20, 20)), CenterSettings(q_x=25))


def test_uniform_pattern_still_has_a_centre() -> None:
    center = find_center(np.ones((20, 20)))
    assert 0 <= center.q_y <= 19
    assert center.probe_radius > 0


def test_up_to_three_hot_pixels_side_by_side_are_removed_and_a_small_disk_stays() -> None:
    pattern = np.ones((20, 20))
    pattern[3, 3:6] = 100
    pattern[10:12, 10:12] = 50  # a probe of four pixels
    clean = without_hot_pixels(pattern)
    assert (clean[3, 3:6] == 1).all()
    assert (clean[10:12, 10:12] == 50).all()


@pytest.mark.parametrize("film", ["ag1", "ag2", "ag3"])
def test_centre_of_the_films(shared: Path, film: str) -> None:
    with h5py.File(shared / "films" / f"{film}_small.h5") as file:
        mean = file["data"][::10].mean((0, 1))
        truth = file["data"].attrs
        center = find_center(mean)
        assert np.abs(np.subtract((center.q_y, center.q_x), truth["center_px"])).max() < 0.1
        assert center.probe_radius == pytest.approx(truth["probe_radius_px"], rel=0.03)


@pytest.mark.parametrize(
    ("name", "q_y", "q_x"),
    [("SPED_Ag_semireal_64x208x56x56", 27.6, 27.6), ("Cu_realmap_simDP_59x111x64x64", 31.5, 31.5)],
)
def test_centre_of_measured_patterns(
    shared: Path, measured: Callable[[Path], np.ndarray], name: str, q_y: float, q_x: float
) -> None:
    center = find_center(measured(shared / "semireal" / f"{name}.hspy").mean((0, 1)))
    assert np.hypot(center.q_y - q_y, center.q_x - q_x) < 0.15
    assert 1.0 < center.probe_radius < 2.0
