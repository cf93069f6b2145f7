"""The ellipse from the spots of grains: all rings at once, each spot by what it can tell.

Where scattering is dynamical a disk lies off its ring by a tenth of its radius, and a few grains hold thousands of
disks. So the unit is the spot of a grain, or its Friedel pair (`spots`); it counts by its expected error, and by the
chance that it is on a ring at all. Rings lie anywhere, or where a cubic lattice has them (`ring_sets`), which leaves
one number to find in place of ten. Leans on `ellipse` for how a distortion is written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage, special

from napari_stemnmf.calibration.ellipse import LARGEST, Ellipse, distorted_radius, ellipse_of_errors, polar
from napari_stemnmf.calibration.ring_sets import STEP, Rings, density, ring_sets, sureness
from napari_stemnmf.calibration.spots import Spots
from napari_stemnmf.control import Control

GRID, SMOOTHING = 0.003, 2.5  # of the search: step in eta, and smoothing in steps of the radius
STARTS = 6  # sharpest distortions that are fitted
REACH = 0.4  # probe radii: a spot farther from all rings is on none
FREEDOM = 6.0  # of Student's distribution of the errors
ITERATIONS, SETTLED = 25, 2e-6  # of a fit, and the change of eta and of radii at which it ends
FEWEST = 16  # spots
SHARPER = 2.8  # the best histogram is 1 + SHARPER / sqrt(spots) times as sharp as most, or the spots line up by chance
CLOSE = 0.95  # share of the best sharpness above which a distortion may be the right one, then
A_RADIUS = 1.5  # what each radius that is free costs, in logarithms of likelihood
USUAL = 0.02  # eta; a prior, which tells only where spots do not
DOUBT = 6.0  # in logarithms of likelihood: what is so near to the best may be the right one
APART, SAME = 3.0, 0.003  # fits differ that are so many errors and so much of eta apart
MOST_LEVERAGE = 0.9
USED = 0.3  # share of its full weight from which on a spot counts among those that a fit rests on
FITTED = 2  # numbers that all grains together tell: u and v
STATED = 1.1  # factor on errors, as on multislice films


def ellipse_of_spots(
    spots: Spots, radius: float, first: float, last: float, control: Control | None = None
) -> Ellipse | None:
    """Ratio and angle that make the rings of spots round; None where there are too few spots.

    The distortions under which the histogram of radii is sharpest are the starts. From each, u, v and the radii of the
    rings are fitted together, for free rings and those of cubic lattices, errors being Student's with `FREEDOM` degrees
    of freedom, and each spot on no ring with its own chance. The likeliest is taken; where one that is apart from it is
    about as likely, it is not significant, and the error is how far they are apart: few spots line up by chance.
    The errors are the largest of three: by grains, by spots, and by what spots are expected to err.

    Parameters
    ----------
    spots : Spots
        Of all grains.
    radius : float
        Of the probe, px.
    first, last : float
        Radii between which rings lie, px.
    control : Control, optional
        Checked for a cancel all along.
    """
    control = Control() if control is None else control
    near = np.hypot(spots.y, spots.x)
    kept = (near > 0.95 * first) & (near < 1.05 * last)
    spots = Spots(*(part[kept] for part in spots))
    if len(spots.y) < FEWEST:
        return None
    span = 0.95 * first, float(min(1.05 * last, near[kept].max()))
    fits: list[_Fit | None] = []
    starts, doubt = _starts(spots, STEP * radius, control)
    for u, v in starts:
        control.check()
        sets = ring_sets(distorted_radius(spots.y, spots.x, u, v), spots, radius, span)
        fits += [_fitted(spots, radius, span, u, v, rings) for rings in sets]
    likeliest = sorted((fit for fit in fits if fit is not None), key=lambda fit: -fit.likelihood)
    if not likeliest:
        return None
    best = likeliest[0]
    for other in likeliest[1:]:
        apart = float(np.hypot(other.u - best.u, other.v - best.v))
        far = apart > max(SAME, APART * np.sqrt(best.variance + other.variance))
        if far and other.likelihood > best.likelihood - DOUBT:
            doubt = max(doubt, apart)
    found = ellipse_of_errors(best.u, best.v, best.variance, best.freedom, best.radius, best.residual)
    return found if doubt < SAME else replace(found, significant=False, error=max(found.error, doubt))


class _Fit(NamedTuple):
    """A distortion, the variance of u and of v, and the logarithm of its likelihood, the prior in it."""

    u: float
    v: float
    variance: float
    freedom: int
    radius: float
    residual: float
    likelihood: float


def _fitted(spots: Spots, radius: float, span: tuple[float, float], u: float, v: float, rings: Rings) -> _Fit | None:
    """The fit from one start; None where it leads nowhere."""
    y, x, error, stray, grain = spots
    shape, size = rings
    scale, off = 1.0, stray / (span[1] - span[0])
    for _ in range(ITERATIONS):
        r, phi = polar(y, x, u, v)
        radii = shape @ size
        ring = np.argmin(np.abs(r[:, None] - radii), axis=1)
        miss = r - radii[ring]
        inside = np.abs(miss) < REACH * radius
        on = inside * (1.0 - stray) / len(radii) * _student(miss / (scale * error)) / (scale * error)
        share = on / (on + off) * (FREEDOM + 1.0) / (FREEDOM + (miss / (scale * error)) ** 2)
        weight = share / error**2
        terms = np.concatenate([(r * np.cos(2 * phi))[:, None], (r * np.sin(2 * phi))[:, None], shape[ring]], axis=1)
        there = np.abs(terms * share[:, None]).max(axis=0) > 1e-9
        number = float((share > USED).sum()) - float(there.sum())
        if not there[:2].all() or number < 2:
            return None
        inverse = np.linalg.pinv((terms * weight[:, None]).T @ terms, rcond=1e-10)
        solution = inverse @ (terms.T @ (weight * r))
        was, u, v = size, u + solution[0], v + solution[1]
        size = np.where(there[2:], solution[2:], size)
        scale = float(np.clip(_median(np.abs(miss) / error, inside * (1.0 - stray)) / 0.6745, 0.5, 5.0))
        if np.hypot(u, v) > LARGEST:
            return None
        if np.hypot(*solution[:2]) < SETTLED and np.abs(size / was - 1.0).max() < SETTLED:
            break
    leverage = weight * np.einsum("ij,jk,ik->i", terms, inverse, terms)
    score = terms * (weight * miss / np.maximum(1.0 - leverage, 1.0 - MOST_LEVERAGE))[:, None]
    groups = np.zeros((int(grain.max()) + 1, terms.shape[1]))
    np.add.at(groups, grain, score)
    grains = len(np.unique(grain[share > USED]))
    few = grains / max(grains - FITTED, 1)
    covariances = [inverse @ (part.T @ part) @ inverse * few for part in (score, groups)] + [scale**2 * inverse]
    variance = STATED**2 * max(float(np.linalg.eigvalsh(part[:2, :2])[-1]) for part in covariances)
    strongest = int(np.argmax(np.bincount(ring, weight, len(radii))))
    spread = 1.4826 * float(np.median(np.abs(miss[inside])))
    likelihood = float(np.log(on + off).sum())
    likelihood -= A_RADIUS * float(there[2:].sum()) + 0.5 * (u * u + v * v) / USUAL**2
    return _Fit(float(u), float(v), variance, int(number), float(radii[strongest]), spread, likelihood)


def _student(miss: np.ndarray) -> np.ndarray:
    """The density of Student's distribution with `FREEDOM` degrees of freedom."""
    height = np.exp(special.gammaln(0.5 * (FREEDOM + 1.0)) - special.gammaln(0.5 * FREEDOM)) / np.sqrt(FREEDOM * np.pi)
    return np.asarray(height * (1.0 + miss**2 / FREEDOM) ** (-0.5 * (FREEDOM + 1.0)))


def _median(values: np.ndarray, weight: np.ndarray) -> float:
    """The weighted median."""
    order = np.argsort(values)
    total = np.cumsum(weight[order])
    return float(values[order[min(int(np.searchsorted(total, 0.5 * total[-1])), len(values) - 1)]])


def _starts(spots: Spots, step: float, control: Control) -> tuple[list[tuple[float, float]], float]:
    """Distortions under which the histogram of radii is sharper than under those beside them.

    And by how much eta is in doubt, where hardly any distortion gives less sharp rings, so that chance may line up the
    spots: the standard deviation of eta over those that do about as well. Else that is 0.
    """
    offsets = GRID * np.arange(-round(LARGEST / GRID), round(LARGEST / GRID) + 1)
    sharpness, weight = np.zeros((len(offsets), len(offsets))), sureness(spots)
    for i, u in enumerate(offsets):
        control.check()
        for j, v in enumerate(offsets):
            if np.hypot(u, v) <= LARGEST + GRID:
                radii = distorted_radius(spots.y, spots.x, u, v)
                sharpness[i, j] = (density(radii, weight, step, SMOOTHING) ** 2).sum()
    tops = np.argwhere((sharpness == ndimage.maximum_filter(sharpness, 3)) & (sharpness > 0))
    tops = tops[np.argsort(-sharpness[tuple(tops.T)], kind="stable")][:STARTS]
    doubt, best = 0.0, sharpness.max()
    if best < (1.0 + SHARPER / np.sqrt(len(spots.y))) * np.median(sharpness[sharpness > 0]):
        good = offsets[np.argwhere(sharpness > CLOSE * best)]
        doubt = max(float(np.sqrt(np.var(good, axis=0).mean())), SAME)
    return [(float(offsets[i]), float(offsets[j])) for i, j in tops], doubt
