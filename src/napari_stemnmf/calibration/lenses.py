"""The centres' surface from spots of grains followed over the scan, where every grain is a lens.

A grain deflects what passes it, the more the farther from its middle (`followed`). So the midpoint of a Friedel pair is
the centre only at the grain's middle; and how a spot moves over its grain is the descan, less what the lens does. A
lens is round, or nearly: across it nothing moves, along both axes all moves by as much, and grains are lenses of about
the same strength at the rim. One robust fit of the surface and that strength takes midpoints and slopes together, each
by what it tells; errors are by grains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_stemnmf.calibration.followed import Followed, grains_of, partners
from napari_stemnmf.calibration.surface import design, terms_at

REACH = 0.6  # probe radii: how well g and -g of a pair agree
MIDPOINT, PER_POSITION = 0.05, 0.3  # probe radii: error of a pair's midpoint, beside that over sqrt(positions)
SLOPED = 40  # positions from which on the slope of a spot tells something
ACROSS, ALONG, BOTH = 0.003, 0.004, 0.0055  # probe radii a step: how much slopes differ from those of round lenses
SLOPE_ERROR = 4.0  # times what independent disks would have
ALIKE = 0.5  # correlation of the errors of spots of one grain
STRENGTH = 0.1  # probe radii: deflection at a grain's rim, as far as is known before
FARTHEST = 3.0  # times its extent: how far from what is seen of it a grain's middle may lie
MIDDLE = 0.015  # error of a midpoint, in probe radii for each step from what is seen to the grain's middle
SOFT = 2.0  # times its error a measurement counts less by half (in the square of its weight)
STEPS = 25
BEFORE = 10.0  # measurements that what is known of their errors before counts for
STATED = 1.3  # factor on errors, as on multislice films


class Lenses(NamedTuple):
    """What to add to the centres (n, 2), px; covariances (2, terms, terms) of that; strength of a lens, px."""

    correction: np.ndarray
    covariance: np.ndarray
    strength: float


class _Rows(NamedTuple):
    """Measurements of one kind: what multiplies the unknowns (m, 2 terms + 1), what was measured, its error, grain."""

    terms: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    grain: np.ndarray


def centres_of_spots(
    spots: Followed,
    scan_shape: tuple[int, int],
    radius: float,
    fit: str,
    known: tuple[np.ndarray, np.ndarray] | None = None,
) -> Lenses | None:
    """How far the surface of the centres is off by which the spots were followed; None where few grains have pairs.

    Parameters
    ----------
    spots : Followed
        By centres that are right to some tenths of the probe's radius.
    scan_shape : tuple of int
        (scan_y, scan_x).
    radius : float
        Of the probe, px.
    fit : str
        ``constant``, ``plane`` or ``parabola``.
    known : tuple of ndarray, optional
        What else is known: another surface (n, 2), less the one by which the spots were followed, and the covariances
        (2, terms, terms) of its terms in q_y and q_x.
    """
    one, other = partners(spots, REACH * radius)
    grain = grains_of(spots)
    surface = design(scan_shape, fit)
    count = surface.shape[1]
    least = 1 if known is not None else count
    if len(np.unique(grain[one])) < least:
        return None
    kinds = _midpoints(spots, one, other, grain, scan_shape, radius, fit) + _slopes(
        spots, grain, scan_shape, radius, fit
    )
    terms, values, errors, grain = (np.concatenate(part) for part in zip(*kinds, strict=True))
    kind = np.repeat(np.arange(len(kinds)), [len(part.values) for part in kinds])
    kind = np.maximum(kind - 1, 0)  # midpoints along both axes
    before, pull = np.zeros((2 * count + 1, 2 * count + 1)), np.zeros(2 * count + 1)
    before[-1, -1] = 1.0 / (STRENGTH * radius) ** 2
    if known is not None:
        for axis, covariance in enumerate(known[1]):
            part = slice(axis * count, (axis + 1) * count)
            before[part, part] = np.linalg.pinv(covariance)
            pull[part] = before[part, part] @ np.linalg.lstsq(surface, known[0][:, axis], rcond=None)[0]
    weight, scale = np.ones(len(values)), np.ones(len(kinds) - 1)
    for _ in range(STEPS):
        sure = weight / (scale[kind] * errors) ** 2
        inverse = np.linalg.pinv(terms.T @ (terms * sure[:, None]) + before)
        solution = inverse @ (terms.T @ (sure * values) + pull)
        miss = values - terms @ solution
        off = miss / errors
        off[: 2 * len(one)] = np.tile(np.hypot(*off[: 2 * len(one)].reshape(2, -1)) / np.sqrt(2.0), 2)
        for k in range(len(scale)):
            own = kind == k
            spread = float(np.median(np.abs(off[own]))) / 0.6745 if own.any() else 1.0
            scale[k] = np.sqrt((BEFORE + own.sum() * spread**2) / (BEFORE + own.sum()))
        weight = 1.0 / (1.0 + (off / (SOFT * scale[kind])) ** 2)
    score = np.zeros((int(grain.max()) + 1, terms.shape[1]))
    np.add.at(score, grain, terms * (sure * miss)[:, None])
    grains = len(np.unique(grain))
    by_grain = inverse @ (score.T @ score) @ inverse * (grains / max(grains - count, 1))
    larger = inverse if np.trace(inverse[:-1, :-1]) > np.trace(by_grain[:-1, :-1]) else by_grain
    return Lenses(
        surface @ solution[:-1].reshape(2, count).T,
        STATED**2 * np.stack([larger[:count, :count], larger[count:-1, count:-1]]),
        float(solution[-1]),
    )


def _midpoints(
    spots: Followed, one: np.ndarray, other: np.ndarray, grain: np.ndarray, scan_shape: tuple[int, int],
    radius: float, fit: str,
) -> list[_Rows]:  # fmt: skip
    """Those of Friedel pairs at the middle of their grain, in q_y and in q_x."""
    number = np.minimum(spots.number[one], spots.number[other])
    slope = 0.25 * np.trace(spots.slope[one] + spots.slope[other], axis1=1, axis2=2)
    away = np.array([_to_middle(spots, pair, scan_shape) for pair in zip(one, other, strict=True)]).reshape(-1, 2)
    place = 0.5 * (spots.place[one] + spots.place[other]) + slope[:, None] * away
    terms = terms_at(0.5 * (spots.position[one] + spots.position[other]) + away, scan_shape, fit)
    error = np.hypot(MIDPOINT, PER_POSITION / np.sqrt(number))
    error = radius * np.hypot(error, MIDDLE * np.hypot(*away.T)) * _shared(grain[one])
    none, last = np.zeros_like(terms), np.zeros((len(terms), 1))
    return [
        _Rows(np.concatenate([terms, none, last], axis=1), place[:, 0], error, grain[one]),
        _Rows(np.concatenate([none, terms, last], axis=1), place[:, 1], error, grain[one]),
    ]


def _slopes(spots: Followed, grain: np.ndarray, scan_shape: tuple[int, int], radius: float, fit: str) -> list[_Rows]:
    """By how much q_x moves along scan_y, q_y along scan_x, by how much more each along its own, and both together."""
    steady = spots.number >= SLOPED
    at, slope, grain = spots.position[steady], spots.slope[steady], grain[steady]
    down, right = (
        terms_at(at + step, scan_shape, fit) - terms_at(at - step, scan_shape, fit)
        for step in np.array([[0.5, 0.0], [0.0, 0.5]])
    )
    sides = np.stack([spots.box[0], -spots.box[1], spots.box[2], -spots.box[3]])[:, steady]
    cut = (sides == np.array([0, scan_shape[0] - 1, 0, scan_shape[1] - 1])[:, None]).mean(axis=0)
    lens = -((1.0 - cut) / (2.0 * np.maximum(spots.extent[steady], 0.5)))[:, None]
    none, last = np.zeros_like(down), np.zeros_like(lens)
    rows = (
        ((none, down, last), slope[:, 0, 1], ACROSS),
        ((right, none, last), slope[:, 1, 0], ACROSS),
        ((0.5 * down, -0.5 * right, last), 0.5 * (slope[:, 0, 0] - slope[:, 1, 1]), ALONG),
        ((0.5 * down, 0.5 * right, lens), 0.5 * (slope[:, 0, 0] + slope[:, 1, 1]), BOTH),
    )
    own, shared = SLOPE_ERROR * spots.slope_error[steady], _shared(grain)
    return [
        _Rows(np.concatenate(terms, axis=1), values, np.hypot(radius * usual, own) * shared, grain)
        for terms, values, usual in rows
    ]


def _shared(grain: np.ndarray) -> np.ndarray:
    """Factor on the errors of spots, as those of one grain err alike."""
    return np.sqrt(1.0 + ALIKE * (np.bincount(grain)[grain] - 1.0)) if len(grain) else np.ones(0)


def _to_middle(spots: Followed, pair: tuple[int, int], scan_shape: tuple[int, int]) -> np.ndarray:
    """From the mean position of a pair's spots to the middle of their grain, (2,): that of the circle about its rim.

    Where the scan does not cut the grain that is nothing.
    """
    top, bottom, left, right = spots.box[:, list(pair)].min(axis=1) * np.array([1, -1, 1, -1])
    inside = top > 0, bottom < scan_shape[0] - 1, left > 0, right < scan_shape[1] - 1
    if all(inside) or not any(inside):
        return np.zeros(2)
    covered = np.zeros((bottom - top + 3, right - left + 3), bool)
    for spot in pair:
        row, column = np.divmod(spots.positions(spot), scan_shape[1])
        covered[row - top + 1, column - left + 1] = True
    core = covered[1:-1, 1:-1]
    core |= (covered[:-2, 1:-1] & covered[2:, 1:-1]) | (covered[1:-1, :-2] & covered[1:-1, 2:])
    around = covered[:-2, 1:-1] & covered[2:, 1:-1] & covered[1:-1, :-2] & covered[1:-1, 2:]
    rim = np.argwhere(core & ~around) + np.array([top, left])
    free = (rim > 0).all(axis=1) & (rim < np.array(scan_shape) - 1).all(axis=1)
    if free.sum() < 6:
        return np.zeros(2)
    middle = _circle(rim[free].astype(np.float64))
    away = middle - 0.5 * (spots.position[pair[0]] + spots.position[pair[1]])
    most = FARTHEST * 0.5 * (spots.extent[pair[0]] + spots.extent[pair[1]])
    return np.asarray(away * min(1.0, most / max(float(np.hypot(*away)), 1e-9)))


def _circle(points: np.ndarray) -> np.ndarray:
    """The middle of a circle through points (k, 2), most of which lie on it."""
    start = points.mean(axis=0)
    points = points - start
    terms = np.concatenate([2.0 * points, np.ones((len(points), 1))], axis=1)
    square, weight, middle = (points**2).sum(axis=1), np.ones(len(points)), np.zeros(2)
    for _ in range(6):
        normal = terms.T @ (terms * weight[:, None] ** 2)
        solution = np.linalg.lstsq(normal, terms.T @ (square * weight**2), rcond=1e-12)[0]
        middle = solution[:2]
        miss = np.hypot(*(points - middle).T) - np.sqrt(max(float(solution[2] + middle @ middle), 1.0))
        weight = 1.0 / (1.0 + (miss / (3.0 * float(np.median(np.abs(miss))) + 0.6)) ** 2)
    return np.asarray(middle + start)
