"""An offset that a camera adds to all counts, as its darkest pixels show it: they hold much and hardly vary."""

from __future__ import annotations

import numpy as np

from napari_stemnmf.preprocessing.dead_pixels import count_step

DARKEST = 0.02
"""Share of the pixels that is looked at."""
HIGH, STILL = 0.05, 0.3
"""An offset is so high, over what the brightest pixel has above it, and varies less than this share of what counts
would."""
FEW_PATTERNS = 3
"""From fewer, nothing tells how much a pixel varies."""


def offset_of(mean: np.ndarray, patterns: np.ndarray, out: np.ndarray | None = None) -> float:
    """The offset of a scan, in counts of a pixel; 0 where there is none.

    Parameters
    ----------
    mean : ndarray
        (q_y, q_x) mean pattern.
    patterns : ndarray
        (p, q_y, q_x) a sample of those that it is the mean of.
    out : ndarray of bool, optional
        (q_y, q_x), True for pixels that say nothing.
    """
    kept = np.flatnonzero((np.isfinite(mean) if out is None else ~out & np.isfinite(mean)).ravel())
    if len(patterns) < FEW_PATTERNS or not len(kept):
        return 0.0
    values = mean.ravel()[kept]
    number = max(1, int(DARKEST * len(kept)))
    places = kept[np.argpartition(values, number - 1)[:number]]
    level = float(np.median(mean.ravel()[places]))
    if not level > HIGH * (float(values.max()) - level):
        return 0.0
    seen = patterns.reshape(len(patterns), -1)[:, places].astype(np.float64)
    with np.errstate(invalid="ignore"):  # where one is no number, that is no offset
        varies = float(np.median(seen.var(axis=0, ddof=1)))
    return level if varies < STILL * level * count_step(seen) else 0.0


def above_offset(pattern: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """A pattern of counts on an offset, less what its darkest pixels hold; the mask is True where pixels are kept."""
    kept = pattern if mask is None else pattern[mask]
    return np.maximum(pattern - np.percentile(kept, 0.5 * 100.0 * DARKEST), 0.0) if kept.size else pattern


def sentence(offset: float) -> str:
    """What to do about it."""
    return (
        f"The counts stand on an offset of about {offset:.4g}, which holds no information: give a dark "
        "reference (preprocess.dark)."
    )
