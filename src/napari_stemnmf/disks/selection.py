"""Which of the measured maxima are kept as disks: the user's filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def select(
    found: Any, plan: Any, filters: Any, spacing: Any, shape: Any, capacity: Any, out: Any
) -> Any:  # pragma: no cover - compiled
    """Apply the filters to maxima (n, 4), the highest first; gives the number of those left, at the start of `out`."""
    size = 0
    for k in np.argsort(-found[:, 2]):
        height = found[k, 2]
        if size == capacity or height < filters.min_absolute:
            break
        if size > filters.relative_to and height < filters.min_relative * out[filters.relative_to, 2]:
            break
        if found[k, 3] < filters.min_snr or not is_allowed(plan, filters, shape, found[k]):
            continue
        if is_apart(out[:size], found[k], spacing):
            out[size] = found[k]
            size += 1
    return size


@njit(nogil=True, cache=True)
def is_apart(disks: Any, disk: Any, spacing: Any) -> Any:  # pragma: no cover - compiled
    """Whether a disk is at least `spacing` px from the others."""
    for k in range(len(disks)):
        if (disks[k, 0] - disk[0]) ** 2 + (disks[k, 1] - disk[1]) ** 2 < spacing * spacing:
            return False
    return True


@njit(nogil=True, cache=True)
def is_allowed(plan: Any, filters: Any, shape: Any, disk: Any) -> Any:  # pragma: no cover - compiled
    """Whether a disk is far enough from the detector's edge and from masked pixels."""
    y, x = disk[0], disk[1]
    room = min(y + 0.5, x + 0.5, shape[0] - 0.5 - y, shape[1] - 0.5 - x)
    return room >= filters.edge and plan.allowed[min(round(y), shape[0] - 1), min(round(x), shape[1] - 1)]
