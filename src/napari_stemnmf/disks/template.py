"""From the look of a disk to the zero-sum kernel that finds its copies.

Leans on scipy.ndimage.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.special import erf

SOFT_EDGE = 0.5
"""Standard deviation of a synthetic disk's edge, px: about that of a pixel's own size and a little more."""
GAP, RING = 0.15, 0.55  # from the disk's edge to the ring around it, and the ring's width, in radii
LEAST_GAP, LEAST_RING = 1.0, 1.0  # px


def soft_disk(distance: np.ndarray, radius: float) -> np.ndarray:
    """Height of a disk of height 1 with a soft edge, at distances (px) from its centre."""
    return 0.5 * (1.0 - erf((distance - radius) / (np.sqrt(2.0) * SOFT_EDGE)))


def kernel_of(profile: np.ndarray, step: float, radius: float) -> np.ndarray:
    """The zero-sum kernel of a disk.

    Positive where the disk is, negative on a ring around it, which is narrow, so that neighbours do not fall into
    it. Scaled so that a disk of height 1 gives 1, and a background that is even or a slope gives 0.

    Parameters
    ----------
    profile : ndarray
        Height of the disk at 0, `step`, 2 `step`, ... px from its centre, 1 at its plateau.
    step : float
        px.
    radius : float
        px; decides where the ring lies.

    Returns
    -------
    ndarray of float32
        (2 h + 1, 2 h + 1).
    """
    inner = radius + max(LEAST_GAP, GAP * radius)
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
