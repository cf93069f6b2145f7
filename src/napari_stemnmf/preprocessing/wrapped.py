"""Counts below zero in an unsigned type, where -1 becomes the largest number: as a difference of two patterns has them.

They are near the top of the type now here, now there, all over the detector, amid numbers just above zero. A saturated
disk has a bright rim, and a dead pixel is always at the same place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from napari_stemnmf.dataset import Dataset

NEAR = 64
"""The largest and the smallest numbers of a type are those within this part of its range at either end."""
LEAST_PIXELS, LEAST_AT_ONCE = 0.05, 0.002
"""Share of the pixels that are now near the top, now near zero; of those that are near the top in one pattern."""
LOW_BESIDE = 0.9
"""Of the neighbours that are not near the top, this share is near zero."""

SENTENCE = (
    "Counts below zero had wrapped to the largest numbers of their unsigned type, as where a dark pattern was "
    "subtracted; they were taken as what they are, negative."
)


def with_sign(dataset: Dataset) -> Dataset:
    """The scan in a signed type, where counts below zero have wrapped in an unsigned one."""
    import dask.array as da

    data = da.map_blocks(signed, dataset.data, dtype=_signed_type(dataset.dtype), meta=np.empty((0,) * 4))
    return replace(dataset, data=data)


def wrapped(patterns: np.ndarray) -> bool:
    """Whether patterns (p, q_y, q_x) of an unsigned type hold differences that have wrapped."""
    if patterns.dtype.kind != "u" or len(patterns) < 2:
        return False
    top = int(np.iinfo(patterns.dtype).max)
    high, low = patterns >= top - top // NEAR, patterns < max(top // NEAR, 2)
    both = high.any(axis=0) & low.any(axis=0)
    high &= both
    above = (low & both & (patterns > 0)).sum()  # where there is noise on both sides of zero
    if both.mean() < LEAST_PIXELS or np.median(high.mean(axis=(1, 2))) < LEAST_AT_ONCE or above < 0.1 * high.sum():
        return False
    beside = ndimage.binary_dilation(high, np.ones((1, 3, 3), bool)) & ~high & (patterns < top - top // NEAR)
    return bool(beside.any() and low[beside].mean() >= LOW_BESIDE)


def signed(block: np.ndarray) -> np.ndarray:
    """Numbers near the top of their unsigned type as those below zero, in a signed type that holds all."""
    top = int(np.iinfo(block.dtype).max)
    out = block.astype(_signed_type(block.dtype))
    if block.dtype.itemsize < 8:  # of 64 bit it has happened already
        out[block >= top - top // NEAR] -= top + 1
    return out


def _signed_type(dtype: np.dtype) -> np.dtype:
    return np.dtype({1: np.int16, 2: np.int32}.get(dtype.itemsize, np.int64))
