"""The ellipse that a circle becomes on the detector, from the rings on which disks lie; `diffuse_ring` shares the fit.

All rings share one ratio and one angle. A distortion is written as the two numbers ``u, v = eta (cos 2 theta, sin 2
theta)``: it stretches by exp(eta) along theta and shrinks by as much across, so a/b = exp(2 eta), areas and the radius
sqrt(a b) stay, and a circle of radius R shows as R (1 + u cos 2 phi + v sin 2 phi) to first order. Leans on `rings`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from napari_stemnmf.calibration.rings import CENTRAL, Ring, disk_rings, histogram, step_for
from napari_stemnmf.calibration.surface import LEAST_SIGMA, MAD_TO_SIGMA, TUKEY
from napari_stemnmf.control import Control

LARGEST = 0.045  # eta that is looked for: a/b up to 1.09
GRID = 0.005  # of the search for sharp rings
SHARPER = 1.25  # so many times as sharp as without; a few disks happen to line up under some distortion
MOST_RINGS = 8
SAMPLE = 20000  # disks at most in that search
SECTOR = 15.0  # degrees: wider than the arc that the spots of a bent grain smear to
CROWD = 10.0  # disks of a sector count no more than so many: many of one grain are not many rings
ITERATIONS = 12
EVEN = 0.4  # rings that are filled less evenly than this share of the best are spots of a lattice, not rings
FREEDOM = 4  # degrees of freedom, at least, to speak of an error
CHANCE = 0.0027  # that a circle is called an ellipse (3 sigma)
LEAST_RATIO = 1.002


@dataclass(frozen=True)
class Ellipse:
    """A fitted ellipse; fields as in `Geometry` and `Calibration`."""

    ratio: float = 1.0
    angle: float = 0.0
    radius: float = float("nan")
    residual: float = float("nan")
    error: float = float("nan")
    significant: bool = False
    angle_error: float = float("nan")


@dataclass(frozen=True, eq=False)
class Fit:
    """Least squares of r = R_ring (1 + u cos 2 phi + v sin 2 phi) + shift."""

    u: float
    v: float
    radii: np.ndarray  # (rings,)
    variance: float  # of u and of v
    freedom: int
    residual: float  # robust standard deviation of the sectors, px


def ellipse_of_disks(
    q_y: np.ndarray,
    q_x: np.ndarray,
    probe_radius: float,
    r_min: float | None = None,
    r_max: float | None = None,
    control: Control | None = None,
) -> Ellipse | None:
    """Ratio and angle that make the rings of disks round; None if there is no ring, or too few disks around the rings.

    The distortion under which the histogram of radii is sharpest is the start; then the disks of all rings are fitted
    together by least squares (Tukey's biweight). Each sector of each ring counts as one measurement, so that a few
    grains with thousands of disks weigh, and are trusted, as a few grains. Disks (peaks,) are given from the centre of
    their own pattern, all lengths in px; the rings lie between `r_min` and `r_max` where these are set.
    """
    control = Control() if control is None else control
    y, x = np.asarray(q_y, np.float64), np.asarray(q_x, np.float64)
    first = max(CENTRAL * probe_radius, 3.0) if r_min is None else r_min
    last = float(np.hypot(y, x).max(initial=0.0)) if r_max is None else r_max
    near = np.hypot(y, x)
    kept = (near > 0.95 * first) & (near < 1.05 * last)
    y, x = y[kept], x[kept]
    if len(y) < 8:
        return None
    u, v = _sharpest(y, x, probe_radius, last, control)
    near = distorted_radius(y, x, u, v)
    rings = _even(disk_rings(near, probe_radius, first, last), near, np.arctan2(y, x))
    if not rings:
        return None
    radii = np.array([ring.radius for ring in rings])
    window = np.array([0.5 * (ring.high - ring.low) for ring in rings])
    sigma, shift = float("inf"), np.zeros(2)
    fit = None
    for _ in range(ITERATIONS):
        control.check()
        r, phi = polar(y - shift[0], x - shift[1], u, v)
        ring = np.argmin(np.abs(r[:, None] - radii), axis=1)
        miss = r - radii[ring]
        inside = np.abs(miss) < np.minimum(window[ring], TUKEY * sigma)
        if inside.sum() < 8:
            return None
        sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(miss[inside]))), LEAST_SIGMA)
        share = np.where(inside, np.maximum(1.0 - (miss / (TUKEY * sigma)) ** 2, 0.0) ** 2, 0.0)
        fit = least_squares(*_sectors(r, phi, ring, share), len(rings))
        if fit is None:
            return None
        u, v, radii = u + fit.u, v + fit.v, fit.radii
        if np.hypot(u, v) > 1.2 * LARGEST:
            return None
    return ellipse_from(u, v, fit, radii[0], sigma) if fit is not None else None


def _sharpest(y: np.ndarray, x: np.ndarray, probe_radius: float, last: float, control: Control) -> tuple[float, float]:
    """The distortion, on a grid, under which the histogram of radii is sharpest; none if it helps little."""
    if len(y) > SAMPLE:
        some = np.linspace(0, len(y) - 1, SAMPLE).astype(np.int64)
        y, x = y[some], x[some]
    step = step_for(probe_radius)
    size = round(LARGEST / GRID)
    best, found = SHARPER * (histogram(np.hypot(y, x), None, step, last) ** 2).sum(), (0.0, 0.0)
    for i in range(-size, size + 1):
        control.check()
        for j in range(-size, size + 1):
            if 0 < np.hypot(i, j) <= size:
                u, v = i * GRID, j * GRID
                sharp = (histogram(distorted_radius(y, x, u, v), None, step, last) ** 2).sum()
                if sharp > best:
                    best, found = sharp, (u, v)
    return found


def _even(rings: list[Ring], radius: np.ndarray, phi: np.ndarray) -> list[Ring]:
    """The rings that are filled about as evenly as the best: by the number of sectors that would hold all disks."""
    filled = []
    for ring in rings:
        inside = (radius >= ring.low) & (radius <= ring.high)
        counts = np.histogram(phi[inside], bins=round(360.0 / SECTOR), range=(-np.pi, np.pi))[0].astype(np.float64)
        filled.append(counts.sum() ** 2 / max((counts**2).sum(), 1.0))
    return [r for r, sectors in zip(rings, filled, strict=True) if sectors >= EVEN * max(filled)][:MOST_RINGS]


def distorted_radius(y: np.ndarray, x: np.ndarray, u: float, v: float) -> np.ndarray:
    """Distance from the centre with the distortion undone."""
    eta = np.hypot(u, v)
    grow, turn = np.cosh(2 * eta), np.sinh(2 * eta) / eta if eta else 2.0
    square = (grow - turn * u) * x * x - 2 * turn * v * x * y + (grow + turn * u) * y * y
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def polar(y: np.ndarray, x: np.ndarray, u: float, v: float) -> tuple[np.ndarray, np.ndarray]:
    """Radius and azimuth (radians) with the distortion undone."""
    eta = np.hypot(u, v)
    grow, turn = np.cosh(eta), np.sinh(eta) / eta if eta else 1.0
    along_x = (grow - turn * u) * x - turn * v * y
    along_y = -turn * v * x + (grow + turn * u) * y
    return np.hypot(along_y, along_x), np.arctan2(along_y, along_x)


def _sectors(
    r: np.ndarray, phi: np.ndarray, ring: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean radius and azimuth of the disks in each sector of each ring, its weight, and its ring."""
    count = round(360.0 / SECTOR)
    cell = ring * count + ((phi % (2 * np.pi)) * (count / (2 * np.pi))).astype(np.int64) % count
    size = (int(ring.max()) + 1) * count
    total = np.bincount(cell, share, minlength=size)
    held = total > 0.5
    radius, cos, sin = (
        np.bincount(cell, share * part, minlength=size)[held] / total[held] for part in (r, np.cos(phi), np.sin(phi))
    )
    weight = total[held] / (total[held] + CROWD)
    return radius, np.arctan2(sin, cos), weight, np.flatnonzero(held) // count


def least_squares(radius: np.ndarray, phi: np.ndarray, weight: np.ndarray, ring: np.ndarray, rings: int) -> Fit | None:
    """Fit sectors of rings; None where they do not determine the distortion.

    A shift of the centre is fitted beside it, so that a common error of the centres is not taken for an ellipse.
    Opposite sectors are taken for one when the errors are reckoned: they hold the two disks of Friedel pairs.
    """
    of_ring = (ring[:, None] == np.arange(rings)).astype(np.float64)
    there = of_ring.any(axis=0)
    mean = of_ring.T @ (weight * radius) / np.maximum(of_ring.T @ weight, 1e-300)
    angular = np.stack([np.cos(2 * phi), np.sin(2 * phi)], axis=1) * mean[ring, None]
    shift = np.stack([np.sin(phi), np.cos(phi)], axis=1)
    terms = np.concatenate([angular, shift, of_ring[:, there]], axis=1)
    sqrt_weight = np.sqrt(weight)
    scale = np.linalg.norm(terms * sqrt_weight[:, None], axis=0)
    inverse = np.linalg.pinv(terms * (sqrt_weight[:, None] / scale), rcond=1e-4)
    if np.linalg.matrix_rank(terms * (sqrt_weight[:, None] / scale), 1e-4) < terms.shape[1]:
        return None
    solution = inverse @ (sqrt_weight * radius) / scale
    half = np.unique(ring * 1000 + ((phi % np.pi) * (360.0 / SECTOR / (2 * np.pi))).astype(np.int64)).size
    freedom = half - terms.shape[1]
    if freedom < FREEDOM:
        return None
    rest = sqrt_weight * (radius - terms @ solution)
    covariance = (inverse @ inverse.T)[:2, :2] / np.outer(scale[:2], scale[:2]) * (rest @ rest) / freedom
    spread = MAD_TO_SIGMA * float(np.median(np.abs(radius - terms @ solution)))
    radii = mean.copy()
    radii[there] = solution[4:]
    return Fit(
        float(solution[0]), float(solution[1]), radii, float(np.linalg.eigvalsh(covariance)[-1]), freedom, spread
    )


def ellipse_from(u: float, v: float, fit: Fit, radius: float, residual: float) -> Ellipse:
    """Ratio, angle, and whether they differ from a circle's by more than chance."""
    return ellipse_of_errors(u, v, fit.variance, fit.freedom, radius, residual)


def ellipse_of_errors(u: float, v: float, variance: float, freedom: int, radius: float, residual: float) -> Ellipse:
    """The same from the variance of u and of v, and its degrees of freedom."""
    eta = float(np.hypot(u, v))
    ratio = float(np.exp(2 * eta))
    limit = special.fdtri(2, freedom, 1.0 - CHANCE)
    significant = eta**2 / (2 * max(variance, 1e-30)) > limit and ratio > LEAST_RATIO
    angle = float(np.degrees(0.5 * np.arctan2(v, u)) % 180.0)
    deviation = float(np.sqrt(variance))
    turn = float(np.degrees(0.5 * np.arctan2(deviation, eta)))
    return Ellipse(ratio, angle, float(radius), residual, 2 * ratio * deviation, bool(significant), turn)
