"""The compiled loops over pixels: patterns laid out with a margin, binned, correlated with a kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_stemnmf.compiled import njit

LARGEST = float(np.finfo(np.float32).max)
_FAST = {"reassoc", "contract", "nsz"}


@njit(nogil=True, cache=True, error_model="numpy")
def lay_out(patterns: Any, masked: Any, source: Any, pad: Any, images: Any) -> None:  # pragma: no cover - compiled
    """Copy patterns into the middle of `images`, invalid values as 0; around them their edge goes on."""
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
def brightest(image: Any) -> Any:  # pragma: no cover - compiled
    highest = np.zeros(image.shape[1], np.float32)  # of each column: so the comparisons go side by side
    for y in range(image.shape[0]):
        line = image[y]
        for x in range(highest.size):
            highest[x] = line[x] if line[x] > highest[x] else highest[x]
    largest = np.float32(0.0)
    for x in range(highest.size):
        largest = max(largest, highest[x])
    return largest


@njit(nogil=True, cache=True, fastmath=_FAST)
def bin_pixels(image: Any, step: Any, binned: Any) -> None:  # pragma: no cover - compiled
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
def correlate(image: Any, kernel: Any, top: Any, left: Any, out: Any) -> None:  # pragma: no cover - compiled
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
def dot(image: Any, kernel: Any, y: Any, x: Any) -> Any:  # pragma: no cover - compiled
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
def window(image: Any, kernel: Any, y: Any, x: Any, out: Any) -> None:  # pragma: no cover - compiled
    """The correlation at and around one pixel."""
    reach = out.shape[0] // 2
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = dot(image, kernel, y + i - reach, x + j - reach)


@njit(nogil=True, cache=True)
def is_saturated(
    image: Any, pad: Any, rows: Any, columns: Any, brightest: Any, gain: Any, kernel: Any, masked: Any
) -> Any:  # pragma: no cover - compiled
    """Whether the maximum is shared by so many pixels as half a disk has; not where counts are few.

    Masked pixels (flat) hold copies of their neighbours, and do not count.
    """
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
    for k in range(masked.size):
        y, x = divmod(masked[k], columns)
        same -= np.int32(image[y + pad, x + pad] == brightest)
    return same >= max(4, area // 2)
