"""The size of a detector pixel."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.calibrate import PixelSize, pixel_size
from napari_stemnmf.dataset import AXIS_NAMES, Axis
from napari_stemnmf.errors import DataError
from napari_stemnmf.stage_settings import PixelSizeSettings

NOTHING = np.zeros(0)


def axes(q_y: float = 0.1, q_x: float = 0.1, unit: str = "1/nm", assumed: bool = False) -> list[Axis]:
    scales = (1.0, 1.0, q_y, q_x)
    return [Axis(n, 9, s, unit, assumed=assumed) for n, s in zip(AXIS_NAMES, scales, strict=True)]


def of_file(which: list[Axis]) -> PixelSize:
    return pixel_size(NOTHING, NOTHING, NOTHING, 2.0, which)


def two_rings(noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Few high disks at 21.2 px, many low ones at 34.6, and some anywhere."""
    chance = np.random.default_rng(0)
    radius = np.concatenate([np.full(200, 21.2), np.full(500, 34.6)]) + chance.normal(0, noise, 700)
    height = np.concatenate([np.full(200, 50.0), np.full(500, 5.0)])
    return np.concatenate([radius, chance.uniform(8, 60, 150)]), np.concatenate([height, np.full(150, 5.0)])


def test_strongest_ring_of_disks_has_the_spacing_that_is_given() -> None:
    found = pixel_size(*two_rings(), NOTHING, 2.67, axes(), PixelSizeSettings(d_spacing=0.2359))
    assert (found.method, found.unit) == ("d-spacing", "1/nm")
    assert found.radius == pytest.approx(21.2, abs=0.02)
    assert found.size == pytest.approx(1 / (0.2359 * 21.2), rel=1e-3)


def test_ring_near_a_radius_is_refined() -> None:
    found = pixel_size(*two_rings(), NOTHING, 2.67, axes(), PixelSizeSettings(d_spacing=0.14, radius=33.9))
    assert found.radius == pytest.approx(34.6, abs=0.02)


def test_mean_pattern_serves_where_there_are_no_disks() -> None:
    r = np.arange(63.0)
    profile = 100 * np.exp(-r / 10) + 20 * np.exp(-(((r - 25.4) / 3) ** 2)) + 0.5
    found = pixel_size(NOTHING, NOTHING, profile, 2.67, axes(), PixelSizeSettings(d_spacing=0.3))
    assert found.radius == pytest.approx(25.4, abs=0.5)


@pytest.mark.parametrize("near", [None, 50.0])
def test_missing_ring_is_said(near: float | None) -> None:
    with pytest.raises(DataError, match=r"no ring.*pixel_size.radius"):
        pixel_size(NOTHING, NOTHING, np.ones(60), 2.67, axes(), PixelSizeSettings(d_spacing=0.3, radius=near))


def test_calibration_of_the_file_is_kept_in_its_unit() -> None:
    assert of_file(axes()) == PixelSize(pytest.approx(0.1), "1/nm", "file", pytest.approx(np.nan, nan_ok=True))
    assert of_file(axes(0.5, 0.5, "mrad")).unit == "mrad"
    assert of_file(axes(-0.5, 0.5, "deg")).size == pytest.approx(0.5)


def test_axes_of_different_scale_have_their_geometric_mean() -> None:
    assert of_file(axes(0.1, 0.4)).size == pytest.approx(0.2)


@pytest.mark.parametrize("which", [axes(assumed=True), axes(unit="px"), axes(0.0), axes(np.nan)])
def test_files_without_a_usable_scale_are_in_pixels(which: list[Axis]) -> None:
    found = of_file(which)
    assert (found.size, found.unit, found.method) == (1.0, "px", "none")
