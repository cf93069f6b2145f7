"""One disk: the maximum of the correlation uphill from a pixel, its height, and how surely it is a disk.

Where disks overlap, each is measured with the others taken away: a disk adds to the correlation around it what the
`Falloff` says, whichever way, so no pixel has to be touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from napari_stemnmf.disks.correlation import dot, window
from napari_stemnmf.disks.falloff import falloff_at, take_away
from napari_stemnmf.disks.subpixel import vertex

CONTRAST = 0.02  # an uneven background counts as noise of this share of its height


@njit(nogil=True, cache=True)
def measure(
    image: Any, plan: Any, gain: Any, y: Any, x: Any, rows: Any, columns: Any, others: Any, near: Any, disk: Any
) -> Any:  # pragma: no cover - compiled
    """Fill `disk` with q_y, q_x, height and signal-to-noise ratio, `others` taken away; False where there is none.

    `near` (3, 3) is working space.
    """
    pad = plan.pad
    y, x = _climb(image, plan, y, x, rows, columns, others, near)
    if near[1, 1] <= 0.0:
        return False
    dy, dx = vertex(near[0, 1], near[1, 1], near[2, 1]), vertex(near[1, 0], near[1, 1], near[1, 2])
    height = near[1, 1] - 0.25 * ((near[0, 1] - near[2, 1]) * dy + (near[1, 0] - near[1, 2]) * dx)
    noise, base, spike = _surroundings(image, plan.kernel, plan.squares, pad + y, pad + x)
    if height - spike < 0.5 * height:
        return False
    taken = 0.0
    for k in range(len(others)):
        taken += others[k, 2] * abs(falloff_at(plan.falloff, others[k, 0] - y, others[k, 1] - x))
    noise = max(noise, taken * plan.ring)  # that of what was taken away, where hardly an electron was counted
    variance = max(gain * noise + (CONTRAST * base) ** 2, 1e-12 * height * height)
    disk[0], disk[1], disk[2], disk[3] = y + dy, x + dx, height, height / np.sqrt(variance)
    return True


@njit(nogil=True, cache=True)
def _climb(
    image: Any, plan: Any, y: Any, x: Any, rows: Any, columns: Any, others: Any, near: Any
) -> Any:  # pragma: no cover - compiled
    """The next maximum of the correlation, uphill from a pixel; `near` is filled with the values there."""
    for _ in range(4 * plan.kernel.shape[0]):
        window(image, plan.kernel, plan.pad + y, plan.pad + x, near)
        take_away(near, y - 1, x - 1, plan.falloff, others)
        up, right = 0, 0
        for i in range(-1, 2):
            for j in range(-1, 2):
                inside = 0 <= y + i < rows and 0 <= x + j < columns
                if inside and near[1 + i, 1 + j] > near[1 + up, 1 + right]:
                    up, right = i, j
        if up == 0 and right == 0:
            break
        y, x = y + up, x + right
    return y, x


@njit(nogil=True, cache=True)
def _surroundings(image: Any, kernel: Any, squares: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """Variance of the correlation for a gain of 1, level around the disk, and what one bright pixel adds to it."""
    reach = kernel.shape[0] // 2
    base, weights = 0.0, 0.0
    first, second = 0.0, 0.0
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            weight = kernel[i, j]
            part = weight * image[y + i - reach, x + j - reach]
            if weight < 0.0:
                base += part
                weights += weight
            elif part > first:
                first, second = part, first
            elif part > second:
                second = part
    return dot(image, squares, y, x), base / min(weights, -1e-30), first - second
