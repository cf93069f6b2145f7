"""What a disk adds to the correlation around it, so that it can be taken away without touching a pixel.

The table is made once for each probe; leans on scipy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

STEP = 0.125  # px between the entries of a falloff
SHIFTS = 6  # positions within a bin, along each axis, that a falloff is averaged over
NOTHING = 0.002  # where it ends


def falloff_of(kernel: np.ndarray, coarse: np.ndarray, size: int) -> np.ndarray:
    """What a disk of height 1 adds to the correlation at 0, STEP, 2 STEP, ... px from it.

    Parameters
    ----------
    kernel : ndarray
        (2 h + 1, 2 h + 1) zero-sum template; its positive part is the disk.
    coarse : ndarray
        The template on patterns whose pixels are the mean of `size` x `size`; `kernel` itself if that is 1.
    size : int
        Pixels along each side of a bin.

    Returns
    -------
    ndarray of float32
        Ends where the disk no longer reaches the template.
    """
    from scipy import ndimage, signal

    disk = np.maximum(kernel, 0.0).astype(np.float64)
    disk /= (kernel * disk).sum()
    reach = 2 * (kernel.shape[0] // 2) + 2 * size
    bins = 2 * (reach // size + 1) + 1
    around = np.pad(disk, (bins * size - kernel.shape[0] + 1) // 2 + 1)
    middle = around.shape[0] // 2
    around = around[middle - bins * size // 2 :, middle - bins * size // 2 :][: bins * size, : bins * size]
    origin = bins * size // 2
    distances, values = [], []
    for y, x in np.ndindex(SHIFTS, SHIFTS):
        dy, dx = size * ((y + 0.5) / SHIFTS - 0.5), size * ((x + 0.5) / SHIFTS - 0.5)
        shifted = ndimage.shift(around, (dy, dx), order=3)
        means = shifted.reshape(bins, size, bins, size).mean((1, 3))
        values.append(signal.fftconvolve(means, coarse[::-1, ::-1], mode="same"))
        at = (np.arange(bins) + 0.5) * size - 0.5 - origin
        distances.append(np.hypot(at[:, None] - dy, at[None] - dx))
    place = np.concatenate(distances, axis=None) / STEP
    length = int(reach / STEP)
    number = np.bincount(place.astype(int), minlength=length)[:length]
    total = np.bincount(place.astype(int), np.concatenate(values, axis=None), minlength=length)[:length]
    middle_of = np.flatnonzero(number)
    mean = np.interp(np.arange(length), middle_of + 0.5, total[middle_of] / number[middle_of])
    far = np.flatnonzero(np.abs(mean) > NOTHING)
    return mean[: far[-1] + 2].astype(np.float32)


@njit(nogil=True, cache=True)
def falloff_at(falloff: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """What a disk of height 1 adds to the correlation (y, x) px away from it."""
    place = np.sqrt(y * y + x * x) / STEP
    below = int(place)
    if below + 1 >= falloff.size:
        return 0.0
    return falloff[below] + (place - below) * (falloff[below + 1] - falloff[below])


@njit(nogil=True, cache=True)
def take_away(values: Any, top: Any, left: Any, falloff: Any, disks: Any) -> None:  # pragma: no cover - compiled
    """Subtract the part of disks (n, 4) from the correlation at pixels from (top, left) on."""
    for k in range(len(disks)):
        for i in range(values.shape[0]):
            for j in range(values.shape[1]):
                values[i, j] -= disks[k, 2] * falloff_at(falloff, top + i - disks[k, 0], left + j - disks[k, 1])
