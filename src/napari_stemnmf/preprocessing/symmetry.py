"""About which point a pattern agrees best with itself turned by 180 degrees, and how well.

Disks and diffuse scattering grow weaker with the scattering angle, so a mean pattern is most symmetric about the beam,
also where a stop hides that or a disk is brighter: half a lattice vector off it, strong disks meet weak ones.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

FREE_OVERLAP, NEAR_OVERLAP = 0.3, 0.1  # least share of the valid pixels that have a partner: anywhere; near a guess


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
    if there.sum() <= NEAR_OVERLAP * keep.sum():
        return 0.0
    one, other = values[part][there], values[part][::-1, ::-1][there]
    one, other = one - one.mean(), other - other.mean()  # their squares sum to the same
    square = float((one**2).sum())
    return float((one * other).sum()) / square if square > 1e-9 * len(one) else 0.0


def inversion_center(
    pattern: np.ndarray,
    mask: np.ndarray | None = None,
    guess: tuple[float, float] | None = None,
    reach: float = np.inf,
) -> tuple[float, float] | None:
    """The point (q_y, q_x) about which a pattern is most similar to itself turned; None if no pixel has a partner.

    The normalised cross-correlation of the logarithm of the pattern with its turned self, over the pixels that are
    valid in both (D. Padfield, IEEE Trans. Image Process. 21, 2706, 2012), at all half pixels within `reach` px of the
    `guess`, or anywhere; a parabola gives the fraction. The mask is True where pixels are kept.
    """
    values = np.maximum(np.nan_to_num(np.asarray(pattern, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    keep = np.ones(values.shape, bool) if mask is None else np.asarray(mask, bool)
    if not (keep & (values > 0)).any():
        return None
    values = np.log(values + np.median(values[keep & (values > 0)]))
    values = np.where(keep, values - values[keep].mean(), 0.0)
    size = [fft.next_fast_len(2 * n - 1, real=True) for n in values.shape]
    ones, first, second = (fft.rfft2(part, size) for part in (keep.astype(np.float64), values, values**2))

    def paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # sum over p of a(p) b(s - p), at all s = 2 c
        full: np.ndarray = fft.irfft2(a * b, size)
        return full[: 2 * values.shape[0] - 1, : 2 * values.shape[1] - 1]

    count = np.maximum(paired(ones, ones), 1e-3)
    mean = paired(ones, first) / count  # of those that have a partner; the partners' is the same
    variance = paired(ones, second) / count - mean**2
    similarity = np.where(variance > 1e-9, (paired(first, first) / count - mean**2) / np.maximum(variance, 1e-9), 0.0)
    there = count > (FREE_OVERLAP if guess is None else NEAR_OVERLAP) * keep.sum()
    if guess is not None:
        y, x = np.ogrid[: similarity.shape[0], : similarity.shape[1]]
        there &= np.hypot(0.5 * y - guess[0], 0.5 * x - guess[1]) <= reach
    similarity = ndimage.gaussian_filter(np.where(there, similarity, 0.0), 1.0)
    row, column = np.unravel_index(int(np.argmax(similarity)), similarity.shape)
    if similarity[row, column] <= 0.0:
        return None
    lines = (similarity[:, column], int(row)), (similarity[row], int(column))
    q_y, q_x = (0.5 * at + _between(line, at) for line, at in lines)
    return q_y, q_x


def _between(line: np.ndarray, at: int) -> float:
    """How far from a maximum the vertex lies of the parabola through it and what is a pixel (two steps) beside it."""
    from napari_stemnmf.preprocessing.vertex import vertex

    return float(vertex(*line[at - 2 : at + 3 : 2])) if 2 <= at < len(line) - 2 else 0.0
