"""From the profile of a disk to the zero-sum kernel that finds its copies, and what a disk adds to the correlation."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, signal
from scipy.special import erf

SOFT_EDGE = 0.5
"""Standard deviation of a synthetic disk's edge, px: about that of a pixel's own size and a little more."""
GAP, RING = 0.15, 0.55  # from the disk's edge to the ring around it, and the ring's width, in radii
LEAST_GAP, LEAST_RING = 1.0, 1.0  # px
SMALL_GAP, NARROW = 0.61, 0.75  # radii, and px, that the gap of a small spot has at least: others lie 3 px away
FALLOFF_STEP = 0.125  # px between the entries of a falloff
SHIFTS = 6  # positions within a bin, along each axis, that a falloff is averaged over
SPIKE, SPIKE_PIXELS = 0.5, 9.5  # share of a disk's height by one pixel that is too much, if the disk is of so many
MISMATCH = 0.05  # a disk is not quite the probe: so much of what it explains may be left
RESOLVED = 2.4  # px: more is left of disks of a smaller radius, which pixels do not resolve
FAINTEST = 0.01  # share of the height of a resolved disk that another one beside it has at least
NOTHING = 0.002  # where it ends


def soft_disk(distance: np.ndarray, radius: float) -> np.ndarray:
    """Height of a disk of height 1 with a soft edge, at distances (px) from its centre."""
    return 0.5 * (1.0 - erf((distance - radius) / (np.sqrt(2.0) * SOFT_EDGE)))


def kernel_of(profile: np.ndarray, step: float, radius: float) -> np.ndarray:
    """The zero-sum kernel of a disk, (2 h + 1, 2 h + 1) float32.

    Positive where the disk is, negative on a ring around it, which is narrow, so that neighbours do not fall into it.
    Scaled so that a disk of height 1 gives 1, and a background that is even or a slope gives 0. The profile is the
    disk's height at 0, `step`, 2 `step`, ... px from its centre, 1 at its plateau; the radius (px) decides where the
    ring is.
    """
    inner = radius + max(min(LEAST_GAP, max(SMALL_GAP * radius, NARROW)), GAP * radius)
    outer = inner + max(LEAST_RING, RING * radius)
    reach = int(np.ceil(outer + 0.5))
    y, x = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    distance = np.hypot(y, x)
    disk = np.interp(distance, step * np.arange(len(profile)), profile, right=0.0)
    disk = disk * np.clip(inner + 0.5 - distance, 0.0, 1.0)
    ring = np.clip(distance - inner + 0.5, 0.0, 1.0) * np.clip(outer + 0.5 - distance, 0.0, 1.0)
    kernel = disk / disk.sum() - ring / ring.sum()
    return (kernel / (kernel * disk).sum()).astype(np.float32)


def synthetic_kernel(radius: float) -> np.ndarray:
    """The kernel of a disk with a soft edge."""
    step = 0.05
    return kernel_of(soft_disk(np.arange(0.0, radius + 4.0, step), radius), step, radius)


def binned(kernel: np.ndarray, size: int) -> np.ndarray:
    """The kernel for patterns whose pixels are the mean of `size` x `size`; centred on such a pixel, zero-sum."""
    if size == 1:
        return kernel
    reach = kernel.shape[0] // 2
    coarse = int(np.ceil((reach + 0.5) / size - 0.5))
    parts = 2 * size
    at = (np.arange(parts * (2 * coarse + 1)) + 0.5) / parts - 0.5 - coarse
    grid = np.meshgrid(reach + size * at, reach + size * at, indexing="ij")
    fine = ndimage.map_coordinates(kernel.astype(np.float64), grid, order=1, mode="grid-constant")
    mean = fine.reshape(2 * coarse + 1, parts, 2 * coarse + 1, parts).mean((1, 3))
    ring = np.minimum(mean, 0.0)
    disk = np.maximum(mean, 0.0)
    ring *= disk.sum() / -ring.sum()
    mean = disk + ring
    return (mean / (mean * disk / disk.max()).sum()).astype(np.float32)


def falloff_of(kernel: np.ndarray, coarse: np.ndarray, size: int) -> np.ndarray:
    """What a disk of height 1 adds to the correlation at 0, FALLOFF_STEP, 2 FALLOFF_STEP, ... px from it, float32.

    Ends where the disk no longer reaches the template. `kernel` is the zero-sum template, whose positive part is the
    disk, and `coarse` the template on patterns whose pixels are the mean of `size` x `size`; `kernel` itself if that is
    1.
    """
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
    place = np.concatenate(distances, axis=None) / FALLOFF_STEP
    length = int(reach / FALLOFF_STEP)
    number = np.bincount(place.astype(int), minlength=length)[:length]
    total = np.bincount(place.astype(int), np.concatenate(values, axis=None), minlength=length)[:length]
    middle_of = np.flatnonzero(number)
    mean = np.interp(np.arange(length), middle_of + 0.5, total[middle_of] / number[middle_of])
    far = np.flatnonzero(np.abs(mean) > NOTHING)
    return mean[: far[-1] + 2].astype(np.float32)


def patches_of(falloff: np.ndarray, size: int, shifts: int) -> np.ndarray:
    """What a disk adds to the correlation at bins around it, (shifts, shifts, 2 m + 1, 2 m + 1) float32.

    The first two indices say where in the middle bin the disk is; `size` is the pixels along a bin, `falloff` what
    `falloff_of` gives.
    """
    reach = int(np.ceil(FALLOFF_STEP * (len(falloff) - 1) / size))
    bins = np.arange(-reach, reach + 1)
    within = (np.arange(shifts) + 0.5) / shifts - 0.5
    away = size * (bins - within[:, None])
    distance = np.hypot(away[:, None, :, None], away[None, :, None, :])
    return np.interp(distance, FALLOFF_STEP * np.arange(len(falloff)), falloff, right=0.0).astype(np.float32)


def spike_of(kernel: np.ndarray) -> float:
    """The share of a disk's height that may come from a single pixel alone; more, and it is no disk.

    Spots of about one pixel are such themselves: then there is no limit.
    """
    disk = np.maximum(kernel, 0.0).astype(np.float64)
    return SPIKE if disk.sum() ** 2 > SPIKE_PIXELS * (disk**2).sum() else np.inf


def mismatch_of(radius: float) -> float:
    """The share of what a disk of a radius (px) explains that may be left of it."""
    return MISMATCH * max(1.0, RESOLVED / max(radius, 0.5)) ** 2


def faintest_of(radius: float) -> float:
    """The share of the height of a disk of a radius (px) below which what is beside it is not told from its remains."""
    return FAINTEST * float(max(1.0, RESOLVED / max(radius, 0.5))) ** 1.5
