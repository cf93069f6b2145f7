"""One disk: the maximum of the correlation uphill from a pixel, its height, its signal-to-noise ratio; and the filters.

Where disks overlap, each is measured with the others taken away: a disk adds to the correlation around it what
`template.falloff_of` gives, so no pixel has to be changed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.correlation import correlate, dot, window
from napari_stemnmf.disks.ridges import flatten
from napari_stemnmf.disks.template import FALLOFF_STEP
from napari_stemnmf.preprocessing.vertex import vertex

CONTRAST = 0.02  # an uneven background counts as noise of this share of its height
TAPS = 4  # reach of the Lanczos kernel, px
WINDOW = TAPS + 1  # reach of the correlation that is known around a maximum before it is interpolated, px


@njit(nogil=True, cache=True)
def measure(
    image: Any, plan: Any, ground: Any, y: Any, x: Any, rows: Any, columns: Any, others: Any, near: Any, disk: Any
) -> Any:  # pragma: no cover - compiled
    """Fill `disk` with q_y, q_x, height and signal-to-noise ratio, `others` taken away; False where there is none.

    `near` (3, 3) is working space.
    """
    pad = plan.pad
    y, x = _climb(image, plan, ground, y, x, rows, columns, others, near)
    if near[1, 1] <= 0.0:
        return False
    dy, dx = vertex(near[0, 1], near[1, 1], near[2, 1]), vertex(near[1, 0], near[1, 1], near[1, 2])
    height = near[1, 1] - 0.25 * ((near[0, 1] - near[2, 1]) * dy + (near[1, 0] - near[1, 2]) * dx)
    noise, base, spike = _surroundings(image, plan.kernel, plan.squares, pad + y, pad + x)
    if spike > plan.spike * height:
        return False
    taken = 0.0
    for k in range(len(others)):
        away_y, away_x = others[k, 0] - y, others[k, 1] - x
        taken += others[k, 2] * abs(falloff_at(plan.falloff, away_y, away_x))
        base -= others[k, 2] * falloff_at(plan.ring_falloff, away_y, away_x)
    noise = max(noise, taken * plan.ring)  # that of what was taken away, where hardly an electron was counted
    variance = max(ground.gain * noise + (CONTRAST * max(base, 0.0)) ** 2, 1e-12 * height * height)
    disk[0], disk[1], disk[2], disk[3] = y + dy, x + dx, height, height / np.sqrt(variance)
    return True


@njit(nogil=True, cache=True)
def _climb(
    image: Any, plan: Any, ground: Any, y: Any, x: Any, rows: Any, columns: Any, others: Any, near: Any
) -> Any:  # pragma: no cover - compiled
    """The next maximum of the correlation, uphill from a pixel; `near` is filled with the values there."""
    for _ in range(4 * plan.kernel.shape[0]):
        window(image, plan.kernel, plan.pad + y, plan.pad + x, near)
        take_away(near, y - 1, x - 1, plan.falloff, others)
        if ground.levels.size:
            flatten(near, y - 1, x - 1, ground.levels, plan, 1)
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


@njit(nogil=True, cache=True)
def falloff_at(falloff: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """What a disk of height 1 adds to the correlation (y, x) px away from it."""
    place = np.sqrt(y * y + x * x) / FALLOFF_STEP
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


@njit(nogil=True, cache=True)
def refine(
    image: Any, plan: Any, ground: Any, y: Any, x: Any, upsampling: Any, others: Any
) -> Any:  # pragma: no cover - compiled
    """The maximum of the correlation on a grid finer by `upsampling`, and of a parabola there; `others` taken away.

    Between pixels the correlation is interpolated with a Lanczos kernel, which for so smooth a function equals what
    its discrete Fourier transform gives.
    """
    middle_y, middle_x = round(y), round(x)
    values = np.empty((2 * WINDOW + 1, 2 * WINDOW + 1), np.float32)
    correlate(image, plan.kernel, plan.pad + middle_y - WINDOW, plan.pad + middle_x - WINDOW, values)
    take_away(values, middle_y - WINDOW, middle_x - WINDOW, plan.falloff, others)
    if ground.levels.size:
        flatten(values, middle_y - WINDOW, middle_x - WINDOW, ground.levels, plan, 1)
    fine = 1.0 / upsampling
    at_y, at_x = round((y - middle_y) * upsampling) * fine, round((x - middle_x) * upsampling) * fine
    best = _between(values, at_y, at_x)
    step = 2 ** int(np.log2(max(upsampling // 4, 1))) * fine
    while step > 0.5 * fine:
        moved = True
        while moved:
            moved = False
            from_y, from_x = at_y, at_x
            for i in range(-1, 2):
                for j in range(-1, 2):
                    near_y, near_x = from_y + i * step, from_x + j * step
                    if abs(near_y) <= 1.0 and abs(near_x) <= 1.0 and (i != 0 or j != 0):
                        value = _between(values, near_y, near_x)
                        if value > best:
                            best, at_y, at_x, moved = value, near_y, near_x, True
        step *= 0.5
    at_y, at_x = min(max(at_y, fine - 1.0), 1.0 - fine), min(max(at_x, fine - 1.0), 1.0 - fine)
    best = _between(values, at_y, at_x)
    up, down = _between(values, at_y - fine, at_x), _between(values, at_y + fine, at_x)
    left, right = _between(values, at_y, at_x - fine), _between(values, at_y, at_x + fine)
    return middle_y + at_y + fine * vertex(up, best, down), middle_x + at_x + fine * vertex(left, best, right)


@njit(nogil=True, cache=True)
def _between(values: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """The value `y` and `x` pixels off the middle, at most one each."""
    first_y, first_x = int(np.floor(y)) - TAPS + 1, int(np.floor(x)) - TAPS + 1
    total, weights = 0.0, 0.0
    along = np.empty(2 * TAPS, np.float64)
    for j in range(2 * TAPS):
        along[j] = _lanczos(x - (first_x + j))
    for i in range(2 * TAPS):
        across = _lanczos(y - (first_y + i))
        part = 0.0
        for j in range(2 * TAPS):
            part += along[j] * values[first_y + i + WINDOW, first_x + j + WINDOW]
            weights += across * along[j]
        total += across * part
    return total / weights


@njit(nogil=True, cache=True)
def _lanczos(distance: Any) -> Any:  # pragma: no cover - compiled
    if abs(distance) < 1e-9:
        return 1.0
    if abs(distance) >= TAPS:
        return 0.0
    angle = np.pi * distance
    return TAPS * np.sin(angle) * np.sin(angle / TAPS) / (angle * angle)


@njit(nogil=True, cache=True)
def select(found: Any, filters: Any, spacing: Any, capacity: Any, out: Any) -> Any:  # pragma: no cover - compiled
    """Apply the filters to maxima (n, 4), the highest first; gives the number of those left, at the start of `out`.

    Those that the detector's edge or the mask cuts are not left out here, as they change what is beside them.
    """
    size = 0
    for k in np.argsort(-found[:, 2]):
        height = found[k, 2]
        if size == capacity or height < filters.min_absolute:
            break
        if size > filters.relative_to and height < filters.min_relative * out[filters.relative_to, 2]:
            break
        if found[k, 3] >= filters.min_snr and is_distant(out[:size], found[k], spacing):
            out[size] = found[k]
            size += 1
    return size


@njit(nogil=True, cache=True)
def is_distant(disks: Any, disk: Any, spacing: Any) -> Any:  # pragma: no cover - compiled
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
