"""The ellipse from the spots of grains: all rings at once, each spot by what it can tell.

Where scattering is dynamical a disk lies off its ring by a tenth of its radius, and a few grains hold thousands of
disks. So the unit is the spot of a grain, or its Friedel pair (`spots`); it counts by the error that its height and
the number of its disks let expect. Leans on `ellipse` for how a distortion is written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage, signal, stats

from napari_stemnmf.calibration.ellipse import LARGEST, Ellipse, distorted_radius, ellipse_of_errors, polar
from napari_stemnmf.calibration.spots import Spots
from napari_stemnmf.control import Control

STEP = 0.04  # probe radii: resolution of radii
GRID, SMOOTHING = 0.003, 2.5  # of the search: step in eta, and smoothing in steps of the radius
STARTS = 6  # sharpest distortions that are fitted
RING_SMOOTHING = 2.0  # steps of the radius
SURE = 0.9  # spots surer than this share of all count no more than it, when rings are looked for
PROMINENT = 0.08  # share of the highest ring
MOST_RINGS = 12
REACH = 0.4  # probe radii: a spot farther from all rings is on none
FREEDOM = 6.0  # of Student's distribution of the errors
ITERATIONS = 25
FEWEST = 16  # spots
SHARPER = 2.8  # the best histogram is 1 + SHARPER / sqrt(spots) times as sharp as most, or the spots line up by chance
CLOSE = 0.95  # share of the best sharpness above which a distortion may be the right one, then
OFF = 0.2  # share of the spots that lie on no ring, as far as is known before
A_RING = 1.5  # what a ring costs, in logarithms of likelihood
USUAL = 0.02  # eta; a prior, which tells only where spots do not
DOUBT = 8.0  # in logarithms of likelihood: what is so near to the best may be the right one, then
FEW = 30.0  # with so many spots twice that is near
SAME = 0.003  # eta: fits that are no farther apart are one
MOST_LEVERAGE = 0.9


def ellipse_of_spots(
    spots: Spots, radius: float, first: float, last: float, control: Control | None = None
) -> Ellipse | None:
    """Ratio and angle that make the rings of spots round; None where there are too few spots.

    The distortions under which the histogram of radii is sharpest are the starts. From each, u, v and the radii of the
    rings are fitted together, errors being Student's with `FREEDOM` degrees of freedom, so that spots off the rings do
    not pull. The likeliest is taken; where another is about as likely, it is not significant, and the error is how far
    they are apart: few spots line up by chance.
    The covariance is cluster-robust (spots of one part of the scan are of the same few grains), its scores enlarged by
    their leverage; no error is smaller than the scatter about the rings gives.

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
    y, x, error, grain = spots.y[kept], spots.x[kept], spots.error[kept], spots.grain[kept]
    if len(y) < FEWEST:
        return None
    fits = []
    starts, doubt = _starts(y, x, error, STEP * radius, control)
    for start in starts:
        control.check()
        fits.append(_fitted(y, x, error, grain, radius, *start))
    likeliest = sorted((fit for fit in fits if fit is not None), key=lambda fit: -fit.likelihood)
    if not likeliest:
        return None
    best = likeliest[0]
    likely = [fit for fit in likeliest if fit.likelihood > best.likelihood - DOUBT * (1.0 + FEW / len(y))]
    doubt = max([doubt, *(float(np.hypot(fit.u - best.u, fit.v - best.v)) for fit in likely)])
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


def _fitted(
    y: np.ndarray, x: np.ndarray, error: np.ndarray, grain: np.ndarray, radius: float, u: float, v: float,
    rings: np.ndarray,
) -> _Fit | None:  # fmt: skip
    """The fit from one start; None where it leads nowhere."""
    scale = 1.0
    for _ in range(ITERATIONS):
        r, phi = polar(y, x, u, v)
        ring = np.argmin(np.abs(r[:, None] - rings), axis=1)
        miss = r - rings[ring]
        inside = np.abs(miss) < REACH * radius
        weight = inside / error**2 * (FREEDOM + 1.0) / (FREEDOM + (miss / (scale * error)) ** 2)
        terms = np.concatenate(
            [(r * np.cos(2 * phi))[:, None], (r * np.sin(2 * phi))[:, None], ring[:, None] == np.arange(len(rings))],
            axis=1,
        )
        there = (terms * weight[:, None] != 0).any(axis=0)
        if not there[:2].all() or inside.sum() <= there.sum() + 2:
            return None
        inverse = np.linalg.pinv((terms * weight[:, None]).T @ terms, rcond=1e-10)
        solution = inverse @ (terms.T @ (weight * r))
        u, v = u + solution[0], v + solution[1]
        rings = np.where(there[2:], solution[2:], rings)
        scale = float(np.clip(np.median(np.abs(miss[inside]) / error[inside]) / 0.6745, 0.2, 5.0))
        if np.hypot(u, v) > LARGEST:
            return None
    leverage = weight * np.einsum("ij,jk,ik->i", terms, inverse, terms)
    score = terms * (weight * miss / np.maximum(1.0 - leverage, 1.0 - MOST_LEVERAGE))[:, None]
    groups = np.zeros((int(grain.max()) + 1, terms.shape[1]))
    np.add.at(groups, grain, score)
    free = max(int(inside.sum()) - int(there.sum()), 1)
    chi = float((weight * miss**2).sum() / free)
    covariances = [inverse @ (part.T @ part) @ inverse for part in (score, groups)] + [chi * inverse]
    variance = max(float(np.linalg.eigvalsh(part[:2, :2])[-1]) for part in covariances)
    strongest = int(np.argmax(np.bincount(ring, weight, len(rings))))
    spread = 1.4826 * float(np.median(np.abs(miss[inside])))
    on_ring = (1.0 - OFF) * stats.t.pdf(miss / (scale * error), FREEDOM) / (scale * error)
    likelihood = float(np.log(on_ring + OFF / (2.0 * REACH * radius)).sum())
    likelihood -= A_RING * float(there[2:].sum()) + 0.5 * (u * u + v * v) / USUAL**2
    return _Fit(float(u), float(v), variance, free, float(rings[strongest]), spread, likelihood)


def _starts(
    y: np.ndarray, x: np.ndarray, error: np.ndarray, step: float, control: Control
) -> tuple[list[tuple[float, float, np.ndarray]], float]:
    """Distortions under which the histogram of radii is sharper than under those beside them, and the rings there.

    And by how much eta is in doubt, where hardly any distortion gives less sharp rings, so that chance may line up the
    spots: the standard deviation of eta over those that do about as well. Else that is 0.
    """
    weight = 1.0 / error
    weight = np.minimum(weight, np.quantile(weight, SURE))
    bins = int(1.1 * float(np.hypot(y, x).max()) / step) + 4

    def density(u: float, v: float, smooth: float) -> np.ndarray:
        place = (distorted_radius(y, x, u, v) / step).astype(np.int64)
        return np.asarray(
            ndimage.gaussian_filter1d(np.bincount(place, weight, minlength=bins), smooth, mode="constant")
        )

    offsets = GRID * np.arange(-round(LARGEST / GRID), round(LARGEST / GRID) + 1)
    sharpness = np.zeros((len(offsets), len(offsets)))
    for i, u in enumerate(offsets):
        control.check()
        for j, v in enumerate(offsets):
            if np.hypot(u, v) <= LARGEST + GRID:
                sharpness[i, j] = (density(u, v, SMOOTHING) ** 2).sum()
    tops = np.argwhere((sharpness == ndimage.maximum_filter(sharpness, 3)) & (sharpness > 0))
    tops = tops[np.argsort(-sharpness[tuple(tops.T)], kind="stable")][:STARTS]
    doubt, best = 0.0, sharpness.max()
    if best < (1.0 + SHARPER / np.sqrt(len(y))) * np.median(sharpness[sharpness > 0]):
        good = offsets[np.argwhere(sharpness > CLOSE * best)]
        doubt = max(float(np.sqrt(np.var(good, axis=0).mean())), SAME)
    found = []
    for u, v in offsets[tops]:
        curve = density(u, v, RING_SMOOTHING)
        least = PROMINENT * curve.max()
        rings, _ = signal.find_peaks(curve, height=least, prominence=0.7 * least)
        rings = rings[np.argsort(-curve[rings], kind="stable")][:MOST_RINGS]
        found.append((float(u), float(v), np.sort((rings + 0.5) * step)))
    return found, doubt
