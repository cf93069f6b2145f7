"""Disks that overlap: found, and measured, with their neighbours taken away.

Two disks nearer than some 1.5 radii are one maximum of the correlation, and a weak disk beside a bright one is none.
What the known disks explain is subtracted from the correlation, and what is left is searched around each (CLEAN: J. A.
Hoegbom, Astron. Astrophys. Suppl. 15 (1974) 417). Then all that overlap are measured in turn, each with the others
taken away.

A measured disk is not quite the probe, so something is left of it too. A new disk has to be a share of the height of
each disk beside it, the larger the nearer; it has to stand out of what is left all around; and it has to be surer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.correlation import dot
from napari_stemnmf.disks.measure import falloff_at, is_allowed, is_distant, measure, select
from napari_stemnmf.disks.template import FALLOFF_STEP

ROUNDS = 3  # of looking for more disks
TRIALS = 4  # maxima around one disk that are tried in a round
TURNS = 3  # of measuring those that overlap
LENIENCE = 0.7  # share of what a disk needs in the end that it needs at first
SURER = 2.0  # times the least signal-to-noise ratio is needed of a new disk
CLOSE, APART = 1.2, 1.75  # radii between which the least share falls ...
CLOSE_SHARE, APART_SHARE = 0.25, 0.05  # ... from the first to the second
UNLIKE = 0.6  # share of a new disk's height by which it rises above what is as far from a known one elsewhere
POINTS = 9  # where that is looked up
INFLUENCE = 0.01  # lower neighbours, as a share of a disk's height, are not taken away from it
FURTHEST = 1.25  # radii that a disk may move when it is measured with others taken away


@njit(nogil=True, cache=True)
def separate(
    image: Any, binned: Any, response: Any, plan: Any, filters: Any, ground: Any, shape: Any, out: Any, size: Any,
    capacity: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """Find the disks beside the `size` ones at the start of `out`, measure all again; gives their new number."""
    near, disk = np.empty((3, 3), np.float32), np.empty(4, np.float32)
    _measure_again(image, plan, ground, shape, out[:size], near, disk)
    size = select(out[:size].copy(), filters, filters.closest, capacity, out)
    for _ in range(ROUNDS):
        if size == capacity:
            break
        left = response.copy()
        for k in range(size):
            _explain(left, plan, out[k])
        more = _add(image, binned, response, left, plan, filters, ground, shape, out, size, capacity, near, disk)
        if more == size:
            break
        for _ in range(TURNS):
            _measure_again(image, plan, ground, shape, out[:more], near, disk)
        for k in range(size, more):
            if out[k, 2] < _least_beside(plan, out[:size], out[k, 0], out[k, 1]):
                out[k, 3] = -1.0  # so it is left out
        size = select(out[:more].copy(), filters, filters.closest, capacity, out)
        _measure_again(image, plan, ground, shape, out[:size], near, disk)
        size = select(out[:size].copy(), filters, filters.closest, capacity, out)
    return size


@njit(nogil=True, cache=True)
def keep_whole(
    image: Any, plan: Any, filters: Any, ground: Any, shape: Any, disks: Any
) -> Any:  # pragma: no cover - compiled
    """Move the disks that nothing cuts to the start; gives their number.

    What is taken away around a brighter disk is not exact, less so around one that is cut by the detector's edge or the
    mask. So a disk has a share of the height of those beside it, and is seen without the cut ones taken away, too.
    """
    known = disks.copy()
    near, disk = np.empty((3, 3), np.float32), np.empty(4, np.float32)
    size = 0
    for k in range(len(known)):
        y, x, height = known[k, 0], known[k, 1], known[k, 2]
        if not is_allowed(plan, filters, shape, known[k]) or height < plan.faintest * tallest(plan, known, y, x):
            continue
        others = neighbours(plan, known, k, y, x, INFLUENCE * height)
        whole = 0
        for m in range(len(others)):
            if is_allowed(plan, filters, shape, others[m]):
                others[whole] = others[m]
                whole += 1
        if whole < len(others):
            seen = measure(image, plan, ground, round(y), round(x), shape[0], shape[1], others[:whole], near, disk)
            if not seen or disk[3] < filters.min_snr:
                continue
        disks[size] = known[k]
        size += 1
    return size


@njit(nogil=True, cache=True)
def _add(
    image: Any, binned: Any, response: Any, left: Any, plan: Any, filters: Any, ground: Any, shape: Any, out: Any,
    size: Any, capacity: Any, near: Any, disk: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """Append at most one disk beside each bright one where much of the correlation is left; gives the new number."""
    rows, columns = shape
    first = size
    for k in range(first):
        for _ in range(TRIALS):
            i, j = _most_left(left, binned, plan, filters, ground, out, k, size)
            if i < 0 or size == capacity:
                break
            y, x = min(int((i + 0.5) * plan.bin), rows - 1), min(int((j + 0.5) * plan.bin), columns - 1)
            others = neighbours(plan, out[:size], -1, y, x, 0.0)
            if (
                _stands_out(response, plan, out[:size], i, j, left[i, j])
                and measure(image, plan, ground, y, x, rows, columns, others, near, disk)
                and disk[3] >= SURER * filters.min_snr
                and disk[2] >= LENIENCE * _least_beside(plan, out[:size], disk[0], disk[1])
                and is_distant(out[:size], disk, filters.closest)
            ):
                out[size] = disk
                _explain(left, plan, disk)
                size += 1
                break
            left[i, j] = 0.0
    return size


@njit(nogil=True, cache=True)
def _most_left(
    left: Any, binned: Any, plan: Any, filters: Any, ground: Any, out: Any, k: Any, size: Any
) -> Any:  # pragma: no cover - compiled
    """The bin around disk k where the most of the correlation is left, enough for a disk; -1, -1 if there is none."""
    step, pad = plan.bin, plan.pad // plan.bin
    reach = FALLOFF_STEP * (plan.falloff.size - 1)
    needed = (LENIENCE * SURER * filters.min_snr) ** 2 * ground.gain
    y, x = out[k, 0], out[k, 1]
    best, at_i, at_j = max(LENIENCE * APART_SHARE * out[k, 2], needed * plan.peak), -1, -1
    for i in range(max(int((y - reach) / step), 0), min(int((y + reach) / step) + 2, left.shape[0])):
        for j in range(max(int((x - reach) / step), 0), min(int((x + reach) / step) + 2, left.shape[1])):
            value = left[i, j]
            if value <= best or not is_maximum(left, i, j):
                continue
            middle_y, middle_x = (i + 0.5) * step - 0.5, (j + 0.5) * step - 0.5
            if value < LENIENCE * _least_beside(plan, out[:size], middle_y, middle_x):
                continue
            if value * value >= needed * dot(binned, plan.coarse_squares, i + pad, j + pad):
                best, at_i, at_j = value, i, j
    return at_i, at_j


@njit(nogil=True, cache=True)
def _stands_out(response: Any, plan: Any, disks: Any, i: Any, j: Any, value: Any) -> Any:  # pragma: no cover - compiled
    """Whether there is more at (i, j) than as far from each disk elsewhere: a disk's own tail is all around it.

    Only the one disk is taken away here, so that what was added around it cannot call for more.
    """
    step = plan.bin
    reach = FALLOFF_STEP * (plan.falloff.size - 1) / step
    values = np.empty(POINTS, np.float32)
    for k in range(len(disks)):
        middle_y, middle_x = (disks[k, 0] + 0.5) / step - 0.5, (disks[k, 1] + 0.5) / step - 0.5
        y, x = i - middle_y, j - middle_x
        if y * y + x * x > reach * reach or disks[k, 2] < value:
            continue
        number = 0
        for m in range(POINTS):
            angle = np.pi * (1.0 / 3.0 + 4.0 / 3.0 * m / (POINTS - 1))  # but the sixth of a turn to either side
            row, column = y * np.cos(angle) - x * np.sin(angle), y * np.sin(angle) + x * np.cos(angle)
            top, left = int(np.floor(middle_y + row)), int(np.floor(middle_x + column))
            if 0 <= top < response.shape[0] - 1 and 0 <= left < response.shape[1] - 1:
                a, b = middle_y + row - top, middle_x + column - left
                total = 0.0
                for p in range(2):
                    for q in range(2):
                        weight = (a if p else 1.0 - a) * (b if q else 1.0 - b)
                        total += weight * _beyond(response, plan, disks[k], top + p, left + q)
                values[number] = total
                number += 1
        here = _beyond(response, plan, disks[k], i, j)
        if number and here - np.sort(values[:number])[(3 * number) // 4] < UNLIKE * value:
            return False
    return True


@njit(nogil=True, cache=True)
def _beyond(response: Any, plan: Any, disk: Any, i: Any, j: Any) -> Any:  # pragma: no cover - compiled
    """The binned correlation without what one disk adds."""
    y, x = (i + 0.5) * plan.bin - 0.5 - disk[0], (j + 0.5) * plan.bin - 0.5 - disk[1]
    return response[i, j] - disk[2] * falloff_at(plan.coarse_falloff, y, x)


@njit(nogil=True, cache=True)
def is_maximum(values: Any, i: Any, j: Any) -> Any:  # pragma: no cover - compiled
    """Whether none of the eight neighbours is larger; of equal ones the first counts."""
    value = values[i, j]
    tall, wide = values.shape
    for k in range(max(i - 1, 0), min(i + 2, tall)):
        for m in range(max(j - 1, 0), min(j + 2, wide)):
            other = values[k, m]
            if other > value or (other == value and (k < i or (k == i and m < j))):
                return False
    return True


@njit(nogil=True, cache=True)
def _least_beside(plan: Any, disks: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """The least height of a disk at (y, x), beside those that are known."""
    reach = FALLOFF_STEP * (plan.falloff.size - 1)
    least = 0.0
    for k in range(len(disks)):
        distance = np.sqrt((disks[k, 0] - y) ** 2 + (disks[k, 1] - x) ** 2)
        if distance < reach:
            part = min(max((distance / plan.radius - CLOSE) / (APART - CLOSE), 0.0), 1.0)
            least = max(least, (CLOSE_SHARE + part * (APART_SHARE - CLOSE_SHARE)) * disks[k, 2])
    return least


@njit(nogil=True, cache=True)
def tallest(plan: Any, disks: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """The height of the highest disk that reaches (y, x)."""
    reach = FALLOFF_STEP * (plan.falloff.size - 1)
    height = 0.0
    for k in range(len(disks)):
        if disks[k, 2] > height and (disks[k, 0] - y) ** 2 + (disks[k, 1] - x) ** 2 < reach * reach:
            height = disks[k, 2]
    return height


@njit(nogil=True, cache=True)
def _explain(left: Any, plan: Any, disk: Any) -> None:  # pragma: no cover - compiled
    """Subtract what a disk adds to the binned correlation."""
    step = plan.bin
    reach = FALLOFF_STEP * (plan.coarse_falloff.size - 1)
    y, x, height = disk[0], disk[1], disk[2]
    for i in range(max(int((y - reach) / step), 0), min(int((y + reach) / step) + 2, left.shape[0])):
        for j in range(max(int((x - reach) / step), 0), min(int((x + reach) / step) + 2, left.shape[1])):
            left[i, j] -= height * falloff_at(
                plan.coarse_falloff, (i + 0.5) * step - 0.5 - y, (j + 0.5) * step - 0.5 - x
            )


@njit(nogil=True, cache=True)
def neighbours(plan: Any, disks: Any, k: Any, y: Any, x: Any, least: Any) -> Any:  # pragma: no cover - compiled
    """The disks but k that change the correlation about (y, x) by more than `least`."""
    others = np.empty((len(disks), 4), np.float32)
    number = 0
    reach = FALLOFF_STEP * (plan.falloff.size - 1) + FURTHEST * plan.radius
    for m in range(len(disks)):
        dy, dx = disks[m, 0] - y, disks[m, 1] - x
        if m != k and dy * dy + dx * dx < reach * reach and disks[m, 2] > least:
            others[number] = disks[m]
            number += 1
    return others[:number]


@njit(nogil=True, cache=True)
def _measure_again(
    image: Any, plan: Any, ground: Any, shape: Any, disks: Any, near: Any, disk: Any
) -> None:  # pragma: no cover - compiled
    """Measure each disk that overlaps with others, those taken away."""
    for k in range(len(disks)):
        y, x = disks[k, 0], disks[k, 1]
        others = neighbours(plan, disks, k, y, x, INFLUENCE * disks[k, 2])
        if len(others) == 0:
            continue
        found = measure(image, plan, ground, round(y), round(x), shape[0], shape[1], others, near, disk)
        if found and (disk[0] - y) ** 2 + (disk[1] - x) ** 2 < (FURTHEST * plan.radius) ** 2:
            disks[k] = disk
