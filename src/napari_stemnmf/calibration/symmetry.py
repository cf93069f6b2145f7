"""How well a pattern agrees with itself turned by 180 degrees about a point.

Disks and diffuse scattering grow weaker with the scattering angle, so a mean pattern is most symmetric about the beam,
also where a stop hides that: about a point half a lattice vector off, strong disks meet weak ones.
"""

from __future__ import annotations

import numpy as np

LEAST_OVERLAP = 0.1  # of the valid pixels have a partner, or nothing is said


def symmetry(pattern: np.ndarray, mask: np.ndarray | None, centre: np.ndarray, reach: float, step: int = 1) -> float:
    """The highest correlation of the logarithm of a pattern with its turned self within a reach of a centre.

    Parameters
    ----------
    pattern : ndarray
        (q_y, q_x), counts; the mean of many.
    mask : ndarray of bool, optional
        (q_y, q_x), True where pixels are kept; a pair counts if both are.
    centre : ndarray
        (2,) row and column, px.
    reach : float
        How far from that the best point is looked for, px along each axis.
    step : int
        Every so many pixels are looked at.

    Returns
    -------
    float
        From -1 to 1; 0 where hardly any pixel has a partner, or where the pattern has no contrast.
    """
    counts = np.maximum(np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    keep = np.ones(counts.shape, bool) if mask is None else np.asarray(mask, bool)
    if not (keep & (counts > 0.0)).any():
        return 0.0
    values = np.log(counts + np.median(counts[keep & (counts > 0.0)]))[::step, ::step]
    keep = keep[::step, ::step]
    middle = np.rint(2.0 * np.asarray(centre) / step).astype(np.int64)  # of a point and its partner, twice
    far = int(np.ceil(2.0 * reach / step))
    shifts = range(-far, far + 1)
    return max(_correlation(values, keep, int(middle[0]) + i, int(middle[1]) + j) for i in shifts for j in shifts)


def _correlation(values: np.ndarray, keep: np.ndarray, row: int, column: int) -> float:
    """The correlation of pixels with their partners: places of both add up to (row, column)."""
    part = tuple(
        slice(max(0, s - n + 1), max(0, min(n - 1, s) + 1)) for s, n in zip((row, column), keep.shape, strict=True)
    )
    there = keep[part] & keep[part][::-1, ::-1]
    if there.sum() <= LEAST_OVERLAP * keep.sum():
        return 0.0
    one, other = values[part][there], values[part][::-1, ::-1][there]
    one, other = one - one.mean(), other - other.mean()  # their squares sum to the same
    square = float((one**2).sum())
    return float((one * other).sum()) / square if square > 1e-9 * len(one) else 0.0
