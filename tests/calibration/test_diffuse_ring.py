"""The ellipse of a ring of the mean pattern."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.diffuse_ring import ellipse_of_pattern, radial_mean, ring_of_pattern
from napari_stemnmf.calibration.ellipse import Ellipse
from napari_stemnmf.calibration.geometry import Geometry

COUNTS = 100.0
"""Patterns whose mean is taken."""


def amorphous(size: int, ratio: float, angle: float, *, texture: float = 0.0, seed: int = 0) -> np.ndarray:
    """A halo at 25 px of 126 on a steep background, counts a pixel."""
    s = size / 126
    y, x = np.indices((size, size))
    r, phi = Geometry((size, size), 62.3 * s, 63.4 * s, 2.67 * s, ratio, angle).to_polar(y, x)
    r = r / s
    uneven = 1.0 + texture * np.cos(np.radians(2 * (phi - 20)))
    mean = 200 * np.exp(-r / 12) + 40 * uneven * np.exp(-(((r - 25) / 4) ** 2)) + 0.5
    return np.random.default_rng(seed).poisson(mean * COUNTS) / COUNTS


def bar(size: int) -> np.ndarray:
    """A beam stop from the left over the centre; True = keep."""
    s = size / 126
    y, x = np.indices((size, size))
    return ~((np.abs(y - 60 * s) < 6 * s) & (x < 72 * s))


def plain(size: int, mask: np.ndarray | None = None) -> Geometry:
    s = size / 126
    return Geometry((size, size), 62.3 * s, 63.4 * s, 2.67 * s, mask=mask)


def fitted(pattern: np.ndarray, geometry: Geometry, blur: np.ndarray | None = None) -> Ellipse:
    ring = ring_of_pattern(pattern, geometry)
    assert ring is not None
    found = ellipse_of_pattern(pattern, geometry, ring, blur)
    assert found is not None
    return found


def turned(a: float, b: float) -> float:
    return abs((a - b + 90) % 180 - 90)


@pytest.mark.parametrize("size", [126, 252])
@pytest.mark.parametrize("texture", [0.0, 0.4])
@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize(("ratio", "angle"), [(1.02, 30.0), (1.05, 100.0)])
def test_halo_gives_ratio_and_angle(size: int, texture: float, stop: bool, ratio: float, angle: float) -> None:
    found = fitted(amorphous(size, ratio, angle, texture=texture), plain(size, bar(size) if stop else None))
    assert found.ratio == pytest.approx(ratio, abs=0.003)
    assert turned(found.angle, angle) < 2.5
    assert found.significant


@pytest.mark.parametrize("texture", [0.0, 0.4])
def test_round_halo_is_no_ellipse(texture: float) -> None:
    assert not fitted(amorphous(126, 1.0, 0.0, texture=texture), plain(126)).significant


def test_a_centre_that_is_somewhat_off_does_not_matter() -> None:
    geometry = Geometry((126, 126), 62.3 + 0.5, 63.4 - 0.5, 2.67)
    assert fitted(amorphous(126, 1.02, 30.0), geometry).ratio == pytest.approx(1.02, abs=0.003)


def test_descan_that_blurs_the_mean_pattern_is_taken_into_account() -> None:
    shifts = np.stack(np.meshgrid(np.linspace(-5, 5, 11), np.linspace(-1, 1, 3)), axis=-1).reshape(-1, 2)
    sharp = amorphous(252, 1.0, 0.0)
    y, x = (np.indices((252, 252))).astype(float)
    s = 2.0
    blurred = np.zeros((252, 252))
    for dy, dx in shifts:
        r = np.hypot(y - 62.3 * s - dy, x - 63.4 * s - dx) / s
        blurred += (200 * np.exp(-r / 12) + 40 * np.exp(-(((r - 25) / 4) ** 2)) + 0.5) / len(shifts)
    assert sharp.shape == blurred.shape
    covariance = np.cov(shifts.T, bias=True)
    assert fitted(blurred, plain(252), covariance).ratio < 1.002
    ring = ring_of_pattern(blurred, plain(252))
    assert ring is not None
    assert ellipse_of_pattern(blurred, plain(252), ring, 50 * covariance) is None


def test_limits_are_kept() -> None:
    ring = ring_of_pattern(amorphous(126, 1.0, 0.0), plain(126), 20.0, 31.0)
    assert ring is not None
    assert (ring.low, ring.high) == (20.0, 31.0)
    assert ring.radius == pytest.approx(25.0, abs=1.0)


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_flat_patterns_have_no_ring(value: float) -> None:
    assert ring_of_pattern(np.full((126, 126), value), plain(126)) is None


def test_radial_mean_of_ones_under_a_mask_is_one_everywhere() -> None:
    mean = radial_mean(np.ones((126, 126), np.uint16), plain(126, bar(126)))
    np.testing.assert_allclose(mean[np.isfinite(mean)], 1.0)
    assert np.isfinite(mean[15:80]).all()


def test_radial_mean_undoes_the_ellipse() -> None:
    pattern = amorphous(126, 1.05, 40.0)
    geometry = Geometry((126, 126), 62.3, 63.4, 2.67, 1.05, 40.0)
    known = radial_mean(amorphous(126, 1.0, 0.0), plain(126))
    np.testing.assert_allclose(radial_mean(pattern, geometry)[10:55], known[10:55], rtol=0.05)
