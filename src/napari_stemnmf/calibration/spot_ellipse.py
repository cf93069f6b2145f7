"""The ellipse from the spots of grains: all rings at once, each spot by what it can tell.

Where scattering is dynamical a disk lies off its ring by a tenth of its radius, and a few grains hold thousands of
disks. So the unit is the spot of a grain, or its Friedel pair (`spots`); it counts by the error that the scatter of its
own disks lets expect. Leans on `ellipse` for how a distortion is written.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage, signal

from napari_stemnmf.calibration.ellipse import LARGEST, Ellipse, distorted_radius, ellipse_of_errors, polar
from napari_stemnmf.calibration.spots import Spots
from napari_stemnmf.control import Control

STEP = 0.04  # probe radii: resolution of radii
SEARCHES = ((0.003, 2.5), (0.001, 2.2))  # step in eta, and smoothing in steps of the radius
RING_SMOOTHING = 2.0  # steps of the radius
SURE = 0.9  # spots surer than this share of all count no more than it, when rings are looked for
PROMINENT = 0.08  # share of the highest ring
MOST_RINGS = 12
REACH = 0.4  # probe radii: a spot farther from all rings is on none
FREEDOM = 6.0  # of Student's distribution of the errors
ITERATIONS = 25
FEWEST = 16  # spots
SHARPER = 2.8  # the best histogram is 1 + SHARPER / sqrt(spots) times as sharp as most, or the spots line up by chance
DOUBT = 0.95  # share of the best sharpness above which a distortion may be the right one, then
MOST_LEVERAGE = 0.9
FEW_GRAINS = 1.4  # factor on the variance: on multislice films the errors are then those that occur


def ellipse_of_spots(
    spots: Spots, radius: float, first: float, last: float, control: Control | None = None
) -> Ellipse | None:
    """Ratio and angle that make the rings of spots round; None where there are too few spots.

    The distortion under which the histogram of radii is sharpest is the start. Then u, v and the radii of the rings are
    fitted together, errors being Student's with `FREEDOM` degrees of freedom, so that spots off the rings do not pull.
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
    u, v, rings, doubt = _start(y, x, error, STEP * radius, control)
    scale = 1.0
    for _ in range(ITERATIONS):
        control.check()
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
        if np.hypot(u, v) > 1.2 * LARGEST:
            return None
    leverage = weight * np.einsum("ij,jk,ik->i", terms, inverse, terms)
    score = terms * (weight * miss / np.maximum(1.0 - leverage, 1.0 - MOST_LEVERAGE))[:, None]
    groups = np.zeros((int(grain.max()) + 1, terms.shape[1]))
    np.add.at(groups, grain, score)
    free = max(int(inside.sum()) - int(there.sum()), 1)
    chi = float((weight * miss**2).sum() / free)
    covariances = [inverse @ (part.T @ part) @ inverse for part in (score, groups)] + [chi * inverse]
    variance = FEW_GRAINS * max(float(np.linalg.eigvalsh(part[:2, :2])[-1]) for part in covariances)
    strongest = int(np.argmax(np.bincount(ring, weight, len(rings))))
    spread = 1.4826 * float(np.median(np.abs(miss[inside])))
    found = ellipse_of_errors(u, v, variance, free, float(rings[strongest]), spread)
    return replace(found, significant=False, error=max(found.error, 2.0 * doubt)) if doubt else found


def _start(
    y: np.ndarray, x: np.ndarray, error: np.ndarray, step: float, control: Control
) -> tuple[float, float, np.ndarray, float]:
    """The distortion under which the histogram of radii is sharpest, the rings there, and how much it is in doubt.

    It is in doubt where hardly any distortion gives less sharp rings: by the standard deviation of eta over those that
    do about as well. Else that is 0.
    """
    weight = 1.0 / error
    weight = np.minimum(weight, np.quantile(weight, SURE))
    bins = int(1.1 * float(np.hypot(y, x).max()) / step) + 4

    def density(u: float, v: float, smooth: float) -> np.ndarray:
        place = (distorted_radius(y, x, u, v) / step).astype(np.int64)
        return np.asarray(
            ndimage.gaussian_filter1d(np.bincount(place, weight, minlength=bins), smooth, mode="constant")
        )

    def sharpness(place: np.ndarray, smooth: float) -> float:
        return float((density(place[0], place[1], smooth) ** 2).sum())

    best, width, doubt = (0.0, 0.0), LARGEST, 0.0
    for grid, smooth in SEARCHES:
        control.check()
        offsets = grid * np.arange(-round(width / grid), round(width / grid) + 1)
        places = np.array([(best[0] + a, best[1] + b) for a in offsets for b in offsets])
        places = places[np.hypot(*places.T) <= LARGEST + grid]
        scores = np.array([sharpness(place, smooth) for place in places])
        if width == LARGEST and scores.max() < (1.0 + SHARPER / np.sqrt(len(y))) * np.median(scores):
            doubt = float(np.sqrt(np.var(places[scores > DOUBT * scores.max()], axis=0).mean()))
            doubt = max(doubt, grid)
        best, width = tuple(places[int(np.argmax(scores))]), grid
    curve = density(best[0], best[1], RING_SMOOTHING)
    least = PROMINENT * curve.max()
    tops, _ = signal.find_peaks(curve, height=least, prominence=0.7 * least)
    tops = tops[np.argsort(-curve[tops], kind="stable")][:MOST_RINGS]
    return float(best[0]), float(best[1]), np.sort((tops + 0.5) * step), doubt
