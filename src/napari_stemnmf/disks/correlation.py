"""The compiled search for disks in patterns: where a pattern looks like the probe, and how surely.

The pattern is binned until the probe's radius is some three pixels, correlated whole with the likewise binned
template, and its local maxima are the candidates. Only there the template is laid over the pattern itself. So the
work does not grow with the detector, and no Fourier transform is needed. Each pattern is calculated by itself.

Leans on numba alone; what the tables of a `Search` hold is decided in `detection`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

LARGEST = float(np.finfo(np.float32).max)
TILE_ROWS, TILE_COLUMNS = 4, 16
"""Part of a pattern in which its noise is measured."""
TILE_QUANTILE = 0.25  # of the tiles' ratios of variance to mean: tiles with disks in them lie above
TILE_BIAS = 0.83  # that quantile for nothing but noise: chi-squared of 32 degrees of freedom
RESPONSE_QUANTILE = 0.25  # of the squares of the correlation over what the counts alone explain
RESPONSE_BIAS = 0.1015  # that quantile for nothing but noise: chi-squared of one degree of freedom
MANY = 10.0  # electrons in a disk's area from which on their number is as good as normally distributed
LENIENCE = 0.7  # share of the least signal-to-noise ratio that a candidate on the binned pattern needs
CONTRAST = 0.02  # an uneven background counts as noise of this share of its height
TOGETHER = 8  # patterns that are laid out at a time: so few stay in the processor's cache
TAPS = 4  # reach of the Lanczos kernel, px
WINDOW = TAPS + 1  # reach of the correlation that is known around a maximum before it is interpolated, px
_FAST = {"reassoc", "contract", "nsz"}


class Search(NamedTuple):
    """What the search needs to know of detector and probe; arrays, and numbers.

    Attributes
    ----------
    kernel, squares : ndarray of float32
        (2 h + 1, 2 h + 1) template and its square.
    coarse_kernel, coarse_squares : ndarray of float32
        The same on the binned pattern; squares divided by the pixels of a bin.
    peak, coarse_share : float
        Largest value of `kernel`, and sum of `coarse_squares`.
    bin : int
        Pixels along each side of a bin.
    pad : int
        Pixels around the pattern that are filled with those of its edge; a multiple of `bin`.
    masked, source : ndarray of int64
        Flat pixels that are left out, and the pixel that each takes its value from.
    tiles : ndarray of int64
        (t, 2) first row and column of the tiles that the noise is measured in.
    samples : ndarray of int64
        (s, 2) row and column, in bins, where the correlation is looked at for its noise.
    allowed : ndarray of bool
        (q_y, q_x) where the centre of a disk may lie.
    centre_y, centre_x, wander : float
        Where the central disk is to be looked for, and how far around; negative if it is not.
    """

    kernel: np.ndarray
    squares: np.ndarray
    coarse_kernel: np.ndarray
    coarse_squares: np.ndarray
    peak: float
    coarse_share: float
    bin: int
    pad: int
    masked: np.ndarray
    source: np.ndarray
    tiles: np.ndarray
    samples: np.ndarray
    allowed: np.ndarray
    centre_y: float
    centre_x: float
    wander: float


class Filters(NamedTuple):
    """Which of the maxima are disks; lengths in px."""

    upsampling: int
    min_snr: float
    min_absolute: float
    min_relative: float
    relative_to: int
    spacing: float
    edge: float
    max_peaks: int


def search(block: np.ndarray, plan: Search, filters: Filters) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Disks of patterns (p, q_y, q_x).

    Returns
    -------
    table : ndarray of float32
        (peaks, 4): q_y, q_x, height and signal-to-noise ratio, pattern after pattern, the highest first.
    counts : ndarray of int64
        (p,) peaks of each pattern.
    central : ndarray of float32
        (p, 2) centre of the central disk, NaN where there is none.
    saturated : int
        Patterns whose brightest pixels all have one value.
    """
    n, rows, columns = block.shape
    tall, wide = (-(-(size + 2 * plan.pad) // plan.bin) * plan.bin for size in (rows, columns))
    images = np.zeros((min(n, TOGETHER), tall, wide), np.float32)
    counts, central = np.zeros(n, np.int64), np.full((n, 2), np.nan, np.float32)
    tables, saturated = [np.empty((0, 4), np.float32)], 0
    for first in range(0, n, TOGETHER):
        part = slice(first, min(first + TOGETHER, n))
        patterns = block[part]
        _lay_out(patterns, plan.masked, plan.source, plan.pad, images)
        table, cut = _search(images[: len(patterns)], rows, columns, plan, filters, counts[part], central[part])
        tables.append(table)
        saturated += cut
    return np.concatenate(tables), counts, central, saturated


@njit(nogil=True, cache=True)
def _search(
    images: Any, rows: Any, columns: Any, plan: Any, filters: Any, counts: Any, central: Any
) -> Any:  # pragma: no cover - compiled
    """The table of `search` for patterns that are laid out, and its number of saturated ones; fills the rest."""
    step, pad = plan.bin, plan.pad
    tall, wide = images.shape[1:]
    binned = np.empty((tall // step, wide // step), np.float32)
    response = np.empty(((rows + step - 1) // step, (columns + step - 1) // step), np.float32)
    # among four bins that touch there is one maximum at most
    found = np.empty((((response.shape[0] + 1) // 2) * ((response.shape[1] + 1) // 2), 4), np.float32)
    ratios = np.empty(max(len(plan.tiles), len(plan.samples), 1), np.float32)
    capacity = min(len(found), filters.max_peaks)
    table = np.empty((len(images) * capacity, 4), np.float32)
    total, saturated = 0, 0
    for p in range(len(images)):
        image = images[p]
        brightest = _brightest(image)
        if brightest <= 0.0:
            continue
        gain = _gain(image, plan.tiles, pad, ratios)
        saturated += _is_saturated(image, pad, rows, columns, brightest, gain, plan.kernel)
        if step > 1:
            _bin(image, step, binned)
        coarse = binned if step > 1 else image
        _correlate(coarse, plan.coarse_kernel, pad // step, pad // step, response)
        gain = _uneven(coarse, response, plan, gain, ratios)
        size = _candidates(image, coarse, response, plan, filters, gain, rows, columns, found)
        _central(image, found[:size], plan, central[p])
        counts[p] = _select(image, found[:size], plan, filters, rows, columns, capacity, table[total:])
        total += counts[p]
    return table[:total].copy(), saturated


@njit(nogil=True, cache=True, error_model="numpy")
def _lay_out(patterns: Any, masked: Any, source: Any, pad: Any, images: Any) -> None:  # pragma: no cover - compiled
    """Copy patterns into the middle of `images`, odd values as 0; around them their edge goes on."""
    rows, columns = patterns.shape[1:]
    tall, wide = images.shape[1:]
    for p in range(len(patterns)):
        pattern, image = patterns[p], images[p]
        for y in range(rows):
            line = image[pad + y, pad : pad + columns]
            for x in range(columns):
                value = np.float32(pattern[y, x])
                line[x] = value if value > np.float32(0.0) and value <= np.float32(LARGEST) else np.float32(0.0)
        for k in range(len(masked)):
            value = image[pad + source[k] // columns, pad + source[k] % columns]
            image[pad + masked[k] // columns, pad + masked[k] % columns] = value
        for y in range(pad, pad + rows):
            line = image[y]
            line[:pad] = line[pad]
            line[pad + columns :] = line[pad + columns - 1]
        for y in range(tall):
            inner = min(max(y, pad), pad + rows - 1)
            if inner != y:
                for x in range(wide):
                    image[y, x] = image[inner, x]


@njit(nogil=True, cache=True)
def _brightest(image: Any) -> Any:  # pragma: no cover - compiled
    highest = np.zeros(image.shape[1], np.float32)  # of each column: so the comparisons go side by side
    for y in range(image.shape[0]):
        line = image[y]
        for x in range(highest.size):
            highest[x] = line[x] if line[x] > highest[x] else highest[x]
    largest = np.float32(0.0)
    for x in range(highest.size):
        largest = max(largest, highest[x])
    return largest


@njit(nogil=True, cache=True)
def _gain(image: Any, tiles: Any, pad: Any, ratios: Any) -> Any:  # pragma: no cover - compiled
    """Variance over mean of the counts, from neighbours but one, where the pattern is smooth; 1 for electrons."""
    size = 0
    for t in range(len(tiles)):
        y0, x0 = tiles[t, 0] + pad, tiles[t, 1] + pad
        mean, square = 0.0, 0.0
        for y in range(y0, y0 + TILE_ROWS):
            for k in range(TILE_COLUMNS // 2):
                x = x0 + 4 * (k // 2) + k % 2
                a, b = np.float64(image[y, x]), np.float64(image[y, x + 2])
                mean += a + b
                square += (a - b) ** 2
        if mean > 0.0:
            ratios[size] = square / mean
            size += 1
    if size == 0:
        return 0.0
    return np.sort(ratios[:size])[int(TILE_QUANTILE * (size - 1))] / TILE_BIAS


@njit(nogil=True, cache=True)
def _uneven(binned: Any, response: Any, plan: Any, gain: Any, ratios: Any) -> Any:  # pragma: no cover - compiled
    """The gain that would explain how uneven the correlation is where no disk is.

    Above that of single pixels where a detector blurs, so that neighbours have their noise in common, or where the
    background has structure. Where counts are few the single pixels say all.
    """
    if len(plan.samples) == 0:
        return gain
    coarse_pad = plan.pad // plan.bin
    least = MANY * gain * plan.peak * plan.coarse_share
    for k in range(len(plan.samples)):
        i, j = plan.samples[k, 0], plan.samples[k, 1]
        noise = _dot(binned, plan.coarse_squares, i + coarse_pad, j + coarse_pad)
        ratios[k] = response[i, j] ** 2 / noise if noise > least else RESPONSE_BIAS * gain
    size = len(plan.samples)
    return max(gain, np.sort(ratios[:size])[int(RESPONSE_QUANTILE * (size - 1))] / RESPONSE_BIAS)


@njit(nogil=True, cache=True)
def _is_saturated(
    image: Any, pad: Any, rows: Any, columns: Any, brightest: Any, gain: Any, kernel: Any
) -> Any:  # pragma: no cover - compiled
    """Whether the maximum is shared by so many pixels as half a disk has; not where counts are few."""
    if brightest < 20.0 * gain:
        return False
    area, same = 0, 0
    for y in range(kernel.shape[0]):
        for x in range(kernel.shape[1]):
            area += kernel[y, x] > np.float32(0.0)
    for y in range(pad, pad + rows):
        line = image[y, pad : pad + columns]
        here = np.int32(0)
        for x in range(columns):
            here += np.int32(line[x] == brightest)
        same += here
    return same >= max(4, area // 2)


@njit(nogil=True, cache=True, fastmath=_FAST)
def _bin(image: Any, step: Any, binned: Any) -> None:  # pragma: no cover - compiled
    """Mean of each step x step pixels."""
    share = np.float32(1.0 / (step * step))
    line = np.empty(image.shape[1], np.float32)
    for i in range(binned.shape[0]):
        line[:] = np.float32(0.0)
        for k in range(step):
            other = image[step * i + k]
            for x in range(line.size):
                line[x] += other[x]
        out = binned[i]
        if step == 2:  # a number that is known when it is compiled goes faster
            for j in range(out.size):
                out[j] = (line[2 * j] + line[2 * j + 1]) * share
            continue
        for j in range(out.size):
            total = np.float32(0.0)
            for k in range(step):
                total += line[step * j + k]
            out[j] = total * share


@njit(nogil=True, cache=True, fastmath=_FAST)
def _correlate(image: Any, kernel: Any, top: Any, left: Any, out: Any) -> None:  # pragma: no cover - compiled
    """Correlation with the kernel of the pixels from (top, left) on, as many as `out` has.

    Eight of the kernel's weights at a time go over a row, so that it is not stored and loaded again for each.
    """
    reach, width = kernel.shape[0] // 2, image.shape[1]
    offset = np.zeros(kernel.size + 7, np.int64)
    weight = np.zeros(kernel.size + 7, np.float32)
    taps = 0
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            if kernel[i, j] != np.float32(0.0):
                offset[taps], weight[taps] = (i - reach) * width + j - reach, kernel[i, j]
                taps += 1
    flat = image.reshape(-1)
    wide = np.uintp(out.shape[1])
    for y in range(out.shape[0]):
        line = out[y]
        line[:] = np.float32(0.0)
        start = (top + y) * width + left
        for t in range(0, taps, 8):
            w0, w1, w2, w3 = weight[t], weight[t + 1], weight[t + 2], weight[t + 3]
            w4, w5, w6, w7 = weight[t + 4], weight[t + 5], weight[t + 6], weight[t + 7]
            a0, a1 = np.uintp(start + offset[t]), np.uintp(start + offset[t + 1])  # unsigned: no test for negative ones
            a2, a3 = np.uintp(start + offset[t + 2]), np.uintp(start + offset[t + 3])
            a4, a5 = np.uintp(start + offset[t + 4]), np.uintp(start + offset[t + 5])
            a6, a7 = np.uintp(start + offset[t + 6]), np.uintp(start + offset[t + 7])
            for x in range(wide):
                line[x] += (
                    (w0 * flat[a0 + x] + w1 * flat[a1 + x])
                    + (w2 * flat[a2 + x] + w3 * flat[a3 + x])
                    + (w4 * flat[a4 + x] + w5 * flat[a5 + x])
                    + (w6 * flat[a6 + x] + w7 * flat[a7 + x])
                )


@njit(nogil=True, cache=True, fastmath=_FAST)
def _dot(image: Any, kernel: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """Sum of the image times the kernel about one pixel."""
    reach = kernel.shape[0] // 2
    total = np.float32(0.0)
    for i in range(kernel.shape[0]):
        weights = kernel[i]
        line = image[y + i - reach, x - reach : x + reach + 1]
        for j in range(weights.size):
            total += weights[j] * line[j]
    return total


@njit(nogil=True, cache=True)
def _window(image: Any, kernel: Any, y: Any, x: Any, out: Any) -> None:  # pragma: no cover - compiled
    """The correlation at and around one pixel."""
    reach = out.shape[0] // 2
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = _dot(image, kernel, y + i - reach, x + j - reach)


@njit(nogil=True, cache=True)
def _vertex(low: Any, middle: Any, high: Any) -> Any:  # pragma: no cover - compiled
    """Where the parabola through three values one step apart has its maximum, within half a step of the middle."""
    curvature = low - 2.0 * middle + high
    if curvature >= 0.0:
        return 0.0
    return min(max(0.5 * (low - high) / curvature, -0.5), 0.5)


@njit(nogil=True, cache=True)
def _candidates(
    image: Any, binned: Any, response: Any, plan: Any, filters: Any, gain: Any, rows: Any, columns: Any, found: Any
) -> Any:  # pragma: no cover - compiled
    """Maxima of the correlation that stand out of the noise; gives their number, fills (q_y, q_x, height, snr)."""
    step, pad = plan.bin, plan.pad
    coarse_pad = pad // step
    needed = (LENIENCE * filters.min_snr) ** 2 * gain
    # in a disk on nothing at all the variance is already so large that lower ones cannot reach the least ratio
    least = max(needed * plan.peak, LENIENCE * filters.min_absolute)
    near = np.empty((3, 3), np.float32)
    tall, wide = response.shape
    size = 0
    for i in range(tall):
        for j in range(wide):
            value = response[i, j]
            if not value > least or not _is_maximum(response, i, j):
                continue
            if value * value < needed * _dot(binned, plan.coarse_squares, i + coarse_pad, j + coarse_pad):
                continue
            y, x = _start(response, i, j, step)
            y, x = min(y, rows - 1), min(x, columns - 1)
            y, x = _climb(image, plan.kernel, pad, y, x, rows, columns, near)
            if near[1, 1] <= 0.0:
                continue
            dy, dx = _vertex(near[0, 1], near[1, 1], near[2, 1]), _vertex(near[1, 0], near[1, 1], near[1, 2])
            height = near[1, 1] - 0.25 * ((near[0, 1] - near[2, 1]) * dy + (near[1, 0] - near[1, 2]) * dx)
            noise, base, spike = _surroundings(image, plan.kernel, plan.squares, pad + y, pad + x)
            if height - spike < 0.5 * height:
                continue
            variance = max(gain * noise + (CONTRAST * base) ** 2, 1e-12 * height * height)
            snr = height / np.sqrt(variance)
            if snr < filters.min_snr:
                continue
            found[size, 0], found[size, 1], found[size, 2], found[size, 3] = y + dy, x + dx, height, snr
            size += 1
    return size


@njit(nogil=True, cache=True)
def _is_maximum(values: Any, i: Any, j: Any) -> Any:  # pragma: no cover - compiled
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
def _start(response: Any, i: Any, j: Any, step: Any) -> Any:  # pragma: no cover - compiled
    """The pixel of the pattern where a maximum of the binned correlation lies."""
    y, x = float(i), float(j)
    if 0 < i < response.shape[0] - 1 and 0 < j < response.shape[1] - 1:
        y += _vertex(response[i - 1, j], response[i, j], response[i + 1, j])
        x += _vertex(response[i, j - 1], response[i, j], response[i, j + 1])
    return int((y + 0.5) * step), int((x + 0.5) * step)


@njit(nogil=True, cache=True)
def _climb(
    image: Any, kernel: Any, pad: Any, y: Any, x: Any, rows: Any, columns: Any, near: Any
) -> Any:  # pragma: no cover - compiled
    """The next maximum of the correlation, uphill from a pixel; `near` (3, 3) is filled with the values there."""
    for _ in range(4 * kernel.shape[0]):
        _window(image, kernel, pad + y, pad + x, near)
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
    return _dot(image, squares, y, x), base / min(weights, -1e-30), first - second


@njit(nogil=True, cache=True)
def _select(
    image: Any, found: Any, plan: Any, filters: Any, rows: Any, columns: Any, capacity: Any, out: Any
) -> Any:  # pragma: no cover - compiled
    """Apply the filters to the maxima, the highest first; gives the number of those left, at the start of `out`."""
    size = 0
    for k in np.argsort(-found[:, 2]):
        y, x, height = found[k, 0], found[k, 1], found[k, 2]
        if size == capacity or height < filters.min_absolute:
            break
        if size > filters.relative_to and height < filters.min_relative * out[filters.relative_to, 2]:
            break
        room = min(y + 0.5, x + 0.5, rows - 0.5 - y, columns - 0.5 - x)
        if room < filters.edge or not plan.allowed[min(round(y), rows - 1), min(round(x), columns - 1)]:
            continue
        apart = True
        for m in range(size):
            if (out[m, 0] - y) ** 2 + (out[m, 1] - x) ** 2 < filters.spacing**2:
                apart = False
                break
        if apart:
            for c in range(4):
                out[size, c] = found[k, c]
            size += 1
    if filters.upsampling > 1:
        for m in range(size):
            y, x = _refine(image, plan, out[m, 0], out[m, 1], filters.upsampling)
            out[m, 0], out[m, 1] = min(max(y, -0.5), rows - 0.5), min(max(x, -0.5), columns - 0.5)
    return size


@njit(nogil=True, cache=True)
def _central(image: Any, found: Any, plan: Any, out: Any) -> None:  # pragma: no cover - compiled
    """Centre of the highest disk near the mean centre; left as it is if there is none."""
    best = -1
    for k in range(len(found)):
        distance = (found[k, 0] - plan.centre_y) ** 2 + (found[k, 1] - plan.centre_x) ** 2
        if plan.wander >= 0.0 and distance <= plan.wander**2 and (best < 0 or found[k, 2] > found[best, 2]):
            best = k
    if best >= 0:
        out[0], out[1] = _refine(image, plan, found[best, 0], found[best, 1], 16)


@njit(nogil=True, cache=True)
def _refine(image: Any, plan: Any, y: Any, x: Any, upsampling: Any) -> Any:  # pragma: no cover - compiled
    """The maximum of the correlation on a grid finer by `upsampling`, and of a parabola there.

    Between pixels the correlation is interpolated with a Lanczos kernel, which for so smooth a function equals what
    its discrete Fourier transform gives.
    """
    middle_y, middle_x = round(y), round(x)
    values = np.empty((2 * WINDOW + 1, 2 * WINDOW + 1), np.float32)
    _correlate(image, plan.kernel, plan.pad + middle_y - WINDOW, plan.pad + middle_x - WINDOW, values)
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
    return middle_y + at_y + fine * _vertex(up, best, down), middle_x + at_x + fine * _vertex(left, best, right)


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
