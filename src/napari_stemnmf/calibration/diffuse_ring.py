"""The ellipse of a ring of the mean pattern: a diffuse one, or that of a polycrystal whose disks are too dense.

In each sector of azimuth the radial profile is compared with that of all sectors. Leans on `ellipse` for the fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_stemnmf.calibration.ellipse import Ellipse, ellipse_from, least_squares, polar
from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.calibration.rings import CENTRAL, Ring, profile_rings

SECTOR = 10.0  # degrees
ITERATIONS = 8
LARGEST_BLUR = 0.07  # rms of descan, in ring radii, above which the mean pattern is too blurred
WIDER = 2.0  # the far side of a ring is followed so much farther than the near one
LEAST_SHARE = 0.9  # of a sector's radii that hold a valid pixel


def radial_mean(pattern: np.ndarray, geometry: Geometry) -> np.ndarray:
    """(radii,) mean of the valid pixels at the radii 0, 1, 2... px, the ellipse undone; NaN where there are none."""
    values, r, _ = _pixels(pattern, geometry, 0.0, 0.0)
    return _profiles(values, r, np.zeros(len(r), np.int64), 1, int(r.max(initial=0.0)) + 1)[0]


def ring_of_pattern(
    pattern: np.ndarray, geometry: Geometry, r_min: float | None = None, r_max: float | None = None
) -> Ring | None:
    """The most prominent ring of a pattern beyond the central disk, or the one between two radii (px) if given."""
    first = max(CENTRAL * geometry.probe_radius, 3.0) if r_min is None else r_min
    last = min(geometry.edge_distances()) if r_max is None else r_max
    rings = profile_rings(radial_mean(pattern, geometry), geometry.probe_radius, first, last)
    if r_min is not None and r_max is not None:
        return Ring(rings[0].radius if rings else 0.5 * (r_min + r_max), r_min, r_max, 1.0)
    if not rings:
        return None
    reach = WIDER * min(rings[0].radius - rings[0].low, rings[0].high - rings[0].radius)
    low, high = max(rings[0].low, rings[0].radius - reach), min(rings[0].high, rings[0].radius + reach)
    return replace(rings[0], low=low, high=high)


def ellipse_of_pattern(
    pattern: np.ndarray, geometry: Geometry, ring: Ring, blur: np.ndarray | None = None
) -> Ellipse | None:
    """Ratio and angle that make a ring of a pattern round; None if too little of it is visible, or the blur too strong.

    The profile of a sector is that of all sectors times a factor, plus a constant, stretched along the radius: the
    stretch is found by linear least squares, sector by sector, and the ellipse from the stretches. Sectors that are
    brighter (texture) do not matter. Where the patterns' centres are spread, with the covariance `blur` (2, 2) in px^2,
    the mean pattern is blurred, which shifts a ring of radius R by half the variance along it over R; this is taken
    out. The ellipse is what is left when that of the geometry is undone.
    """
    blur = np.zeros((2, 2)) if blur is None else blur
    if np.trace(blur) > (LARGEST_BLUR * ring.radius) ** 2:
        return None
    count = round(360.0 / SECTOR)
    low, high = max(int(np.floor(ring.low)), 1), int(np.ceil(ring.high))
    if high - low < 8:
        low, high = max(low - 4, 1), high + 4
    u = v = 0.0
    fit = None
    for _ in range(ITERATIONS):
        values, r, phi = _pixels(pattern, geometry, u, v)
        sector = ((phi % (2 * np.pi)) * (count / (2 * np.pi))).astype(np.int64) % count
        profiles = _profiles(values, r, sector, count, high + 2)[:, low - 1 : high + 2]
        stretch = _stretches(profiles, np.arange(low - 1, high + 2))
        held = np.isfinite(stretch)
        azimuth = (np.arange(count)[held] + 0.5) * (2 * np.pi / count)
        along = np.stack([np.cos(azimuth), -np.sin(azimuth)])  # along the ring, (q_y, q_x)
        shift = 0.5 * np.einsum("in,ij,jn->n", along, blur, along) / ring.radius
        radius = ring.radius * (1.0 + stretch[held]) + shift
        fit = least_squares(radius, azimuth, np.ones(len(azimuth)), np.zeros(len(azimuth), np.int64), 1)
        if fit is None:
            return None
        u, v = u + fit.u, v + fit.v
        if not np.hypot(u, v) < 0.1:
            return None
    if fit is None:
        return None
    return ellipse_from(u, v, fit, ring.radius, fit.residual)


def _pixels(pattern: np.ndarray, geometry: Geometry, u: float, v: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, radius and azimuth (radians) of all valid pixels, the geometry's ellipse undone and then a further one."""
    values = np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    y, x = (np.asarray(part, np.float64) for part in np.indices(values.shape))
    r, phi = polar(*geometry.straighten(y - geometry.q_y, x - geometry.q_x), u, v)
    keep = np.ones(values.shape, bool) if geometry.mask is None else np.asarray(geometry.mask, bool)
    return np.maximum(values[keep], 0.0), r[keep], phi[keep]


def _profiles(values: np.ndarray, r: np.ndarray, sector: np.ndarray, count: int, radii: int) -> np.ndarray:
    """(count, radii) mean of each sector at each radius, every pixel shared between the two radii beside it."""
    low = r.astype(np.int64)
    share = r - low
    total, weight = np.zeros(count * radii), np.zeros(count * radii)
    for bin_, part in ((low, 1.0 - share), (low + 1, share)):
        there = bin_ < radii
        cell = sector[there] * radii + bin_[there]
        total += np.bincount(cell, part[there] * values[there], minlength=count * radii)
        weight += np.bincount(cell, part[there], minlength=count * radii)
    mean = np.full(count * radii, np.nan)
    np.divide(total, weight, out=mean, where=weight > 0.25)
    return mean.reshape(count, radii)


def _stretches(profiles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(sectors,) by which share each profile is stretched along the radius against the mean; NaN where not known.

    A profile is taken for the mean one times a factor, stretched, blurred, on a background that is smooth on the
    scale of the ring. The first and last radius serve only the derivatives.
    """
    valid = np.isfinite(profiles)
    mean = np.where(valid, profiles, 0.0).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    slope = np.gradient(mean)
    place = np.linspace(-1.0, 1.0, len(radii))
    terms = np.stack([mean, -radii * slope, np.gradient(slope), place**0, place, place**2], axis=1)[1:-1]
    scale = np.maximum(np.abs(terms).max(axis=0), 1e-300)
    out = np.full(len(profiles), np.nan)
    for i, profile in enumerate(profiles[:, 1:-1]):
        seen = np.isfinite(profile)
        if seen.mean() >= LEAST_SHARE and seen.sum() > terms.shape[1]:
            factor, moved = (np.linalg.lstsq(terms[seen] / scale, profile[seen], rcond=1e-8)[0] / scale)[:2]
            out[i] = moved / factor if factor > 0.0 else np.nan
    return out
