"""Tracks that are no spots of a grain: tails of brighter spots, and beams that were diffracted twice."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

REACH, NEAR = 4.0, 1.5
"""Probe radii to which the tail of a spot is followed, and within which it does not fall."""
BRIGHTER, FALL = 2.5, 4.5
"""How much brighter than its tail a spot is within `NEAR`, and the power by which the tail falls from there."""
UNDER_TAIL = 0.5
"""Share of a track's positions that brighter spots cover."""
COVERED, MEET, BRIGHT = 0.7, 0.5, 0.5
"""Of two beams that make a third: share of its positions that each covers; probe radii between their sum and it; least
peak, of its own."""


def satellites(
    seen: csr_array, grown: csr_array, peak: np.ndarray, q: np.ndarray, radius: float, beam: float
) -> np.ndarray:
    """Which tracks (tracks,) the tails of brighter spots, or of the direct beam, make: bool."""
    distance = np.hypot(*q.T) / radius
    tail = (distance < REACH) & (beam > peak * _ratio(distance))
    size = np.diff(seen.indptr)
    for t, near in enumerate(cKDTree(q).query_ball_point(q, REACH * radius)):
        close = np.array(near)
        away = np.hypot(*(q[close] - q[t]).T) / radius
        close = close[(peak[close] > peak[t] * _ratio(away)) & (close != t)]
        if len(close):
            covered = np.concatenate([_row(grown, u) for u in close])
            tail[t] |= np.isin(_row(seen, t), covered).sum() >= UNDER_TAIL * size[t]
    return np.asarray(tail)


def _ratio(distance: np.ndarray) -> np.ndarray:
    return np.asarray(BRIGHTER * (np.maximum(distance, NEAR) / NEAR) ** FALL)


def doubly_diffracted(
    fields: csr_array, seen: csr_array, grown: csr_array, peak: np.ndarray, q: np.ndarray, radius: float, beam: float
) -> np.ndarray:
    """Intensity that two other beams give each track by diffracting one another, over its own: (tracks,)."""
    size = np.maximum(np.diff(seen.indptr), 1)
    over = (seen @ grown.T).tocsr()
    positive = csr_array((np.maximum(fields.data, 0), fields.indices, fields.indptr), shape=fields.shape)
    mean = (seen @ positive.T).tocsr()
    found = np.zeros(len(peak))
    brightness = np.zeros(len(peak))
    for t in range(len(peak)):
        covers = _row(over, t)[_values(over, t) >= COVERED * size[t]]
        covers = covers[(covers != t) & (peak[covers] > BRIGHT * peak[t])]
        if len(covers) < 2:
            continue
        brightness[_row(mean, t)] = _values(mean, t) / size[t]
        sums = q[covers][:, None] + q[covers][None] - q[t]
        meet = (np.hypot(sums[..., 0], sums[..., 1]) < MEET * radius) & ~np.eye(len(covers), dtype=bool)
        if meet.any():
            product = np.outer(brightness[covers], brightness[covers])[meet].max()
            found[t] = product / beam / max(brightness[t], 1e-6)
        brightness[_row(mean, t)] = 0.0
    return found


def _row(matrix: csr_array, t: int) -> np.ndarray:
    return np.asarray(matrix.indices[matrix.indptr[t] : matrix.indptr[t + 1]])


def _values(matrix: csr_array, t: int) -> np.ndarray:
    return np.asarray(matrix.data[matrix.indptr[t] : matrix.indptr[t + 1]])
