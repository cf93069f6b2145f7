"""Tracks that are no spots of a grain: tails of brighter spots, and beams that were diffracted twice."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import row

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
    """Which tracks (tracks,) the tails of brighter spots, or of the direct beam, make: bool.

    Only tracks that meet on the scan are compared: on the detector alone, all grains of a scan are near one another.
    """
    distance = np.hypot(*q.T) / radius
    tail = (distance < REACH) & (beam > peak * _ratio(distance))
    size = np.diff(seen.indptr)
    meeting = (seen @ grown.T).tocsr()
    for t in range(len(peak)):
        close = row(meeting, t)[0]
        close = close[np.square(q[close] - q[t]).sum(axis=1) <= (REACH * radius) ** 2]
        away = np.hypot(*(q[close] - q[t]).T) / radius
        close = close[(peak[close] > peak[t] * _ratio(away)) & (close != t)]
        if len(close):
            covered = np.concatenate([row(grown, u)[0] for u in close])
            tail[t] |= np.isin(row(seen, t)[0], covered).sum() >= UNDER_TAIL * size[t]
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
        others, shared = row(over, t)
        covers = others[shared >= COVERED * size[t]]
        covers = covers[(covers != t) & (peak[covers] > BRIGHT * peak[t])]
        if len(covers) < 2:
            continue
        there, sums_of_light = row(mean, t)
        brightness[there] = sums_of_light / size[t]
        sums = q[covers][:, None] + q[covers][None] - q[t]
        meet = (np.hypot(sums[..., 0], sums[..., 1]) < MEET * radius) & ~np.eye(len(covers), dtype=bool)
        if meet.any():
            product = np.outer(brightness[covers], brightness[covers])[meet].max()
            found[t] = product / beam / max(brightness[t], 1e-6)
        brightness[there] = 0.0
    return found
