"""The centre of a pattern whose direct beam is hidden: the point about which it is most like itself turned."""

from __future__ import annotations

import numpy as np
from scipy import fft, ndimage

FREE_OVERLAP, NEAR_OVERLAP = 0.3, 0.1
"""Share of the valid pixels that must have a partner: anywhere on the detector, and near a guess."""


def inversion_center(
    pattern: np.ndarray,
    mask: np.ndarray | None = None,
    guess: tuple[float, float] | None = None,
    reach: float = np.inf,
) -> tuple[float, float] | None:
    """The point about which a pattern is most like itself turned by half a turn, under a mask.

    The normalised cross-correlation of the logarithm of the pattern with its turned self, over the pixels that are
    valid in both (D. Padfield, IEEE Trans. Image Process. 21, 2706, 2012), at all half pixels within `reach` of the
    `guess`, or anywhere; a parabola gives the fraction.

    Parameters
    ----------
    pattern : ndarray
        (q_y, q_x) counts.
    mask : ndarray of bool or None
        True = keep.
    guess : tuple of float, optional
        (q_y, q_x), px.
    reach : float
        px about the guess.

    Returns
    -------
    tuple of float or None
        (q_y, q_x), px; None where no pixel has a partner.
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
    alike = np.where(variance > 1e-9, (paired(first, first) / count - mean**2) / np.maximum(variance, 1e-9), 0.0)
    there = count > (FREE_OVERLAP if guess is None else NEAR_OVERLAP) * keep.sum()
    if guess is not None:
        y, x = np.ogrid[: alike.shape[0], : alike.shape[1]]
        there &= np.hypot(0.5 * y - guess[0], 0.5 * x - guess[1]) <= reach
    alike = ndimage.gaussian_filter(np.where(there, alike, 0.0), 1.0)
    row, column = np.unravel_index(int(np.argmax(alike)), alike.shape)
    if alike[row, column] <= 0.0:
        return None
    return 0.5 * row + _vertex(alike[:, column], int(row)), 0.5 * column + _vertex(alike[row], int(column))


def _vertex(line: np.ndarray, at: int) -> float:
    """Where the parabola through the values at, and a pixel (two steps) before and after, peaks: px from there."""
    if not 2 <= at < len(line) - 2:
        return 0.0
    before, here, after = (float(v) for v in line[at - 2 : at + 3 : 2])
    bend = before - 2.0 * here + after
    return 0.0 if bend >= 0.0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
