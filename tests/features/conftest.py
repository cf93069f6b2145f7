"""Plain references, written straight from method.md in float64, and patterns to try them on."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from napari_stemnmf.calibration.geometry import Geometry

PARTS = 4


def _angular_average(
    pattern: np.ndarray, geometry: Geometry, rings: tuple[float, ...], step: float = 5.0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the valid pixels of each ring and sector, and the valid share of its area.

    Pixels are shared by the parts of a 4 x 4 division; the area reaches past the detector, where nothing is valid.
    """
    rows, columns = pattern.shape
    margin = int(rings[-1] * geometry.ellipse_ratio) + max(rows, columns)
    valid = np.ones(pattern.shape, bool) if geometry.mask is None else geometry.mask
    padded = np.pad(np.where(valid, pattern.astype(float), 0.0), margin).repeat(PARTS, 0).repeat(PARTS, 1)
    weight = np.pad(valid.astype(float), margin).repeat(PARTS, 0).repeat(PARTS, 1)
    y, x = ((np.arange(n) + 0.5) / PARTS - 0.5 - margin for n in padded.shape)
    radius, azimuth = geometry.to_polar(*np.meshgrid(y, x, indexing="ij"))
    means, shares = [], []
    for inner, outer in pairwise(rings):
        for k in range(round(360 / step)):
            cell = (radius >= inner) & (radius < outer) & (azimuth >= k * step) & (azimuth < (k + 1) * step)
            area = weight[cell].sum()
            shares.append(area / max(1, cell.sum()))
            means.append(padded[cell].sum() / area if area else np.nan)
    return np.array(means), np.array(shares)


def _radial_variance(pattern: np.ndarray, geometry: Geometry, radii: np.ndarray, step: float = 1.0) -> np.ndarray:
    """Variance over azimuth (divisor n) of the bilinearly sampled pattern; samples near masked pixels left out."""
    valid = np.ones(pattern.shape, bool) if geometry.mask is None else geometry.mask
    out = []
    for radius in radii:
        at = geometry.from_polar(np.full(round(360 / step), radius), np.arange(round(360 / step)) * step)
        at = tuple(np.round(a, 9) for a in at)
        good = map_coordinates(valid.astype(float), at, order=1, cval=0.0) > 1 - 1e-12
        out.append(np.var(map_coordinates(pattern.astype(float), at, order=1)[good]) if good.any() else np.nan)
    return np.array(out)


@pytest.fixture(scope="session")
def plain_angular_average() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """(pattern, geometry, rings, step) -> means, valid shares."""
    return _angular_average


@pytest.fixture(scope="session")
def plain_radial_variance() -> Callable[..., np.ndarray]:
    """(pattern, geometry, radii, step) -> variances."""
    return _radial_variance


@pytest.fixture(scope="session")
def patterns() -> np.ndarray:
    """(19, 45, 52) uint16: not square, more than one group of sixteen, and not a whole number of them."""
    rng = np.random.default_rng(3)
    return rng.poisson(rng.lognormal(3, 1.5, (19, 45, 52))).astype(np.uint16)


@pytest.fixture(scope="session")
def beam_stop() -> np.ndarray:
    """(45, 52) mask, False on a bar from the edge to past the centre and on a few single pixels."""
    mask = np.ones((45, 52), bool)
    mask[:25, 24:29] = False
    mask[[30, 31, 40], [10, 41, 20]] = False
    return mask
