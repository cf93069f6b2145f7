"""The compiled search for disks in patterns: where a pattern looks like the probe, and how surely.

The pattern is binned until the probe's radius is some three pixels, correlated whole with the likewise binned
template, and its local maxima are the candidates. Only there the template is laid over the pattern itself. So the
work does not grow with the detector, and no Fourier transform is needed. Each pattern is calculated by itself.

Leans on `correlation`, `noise`, `ridges`, `measure` and `overlap`; what the tables of a `Search` hold
is decided in `detection`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.correlation import bin_pixels, brightest, correlate, dot, is_saturated, lay_out
from napari_stemnmf.disks.edges import FARTHEST, edges
from napari_stemnmf.disks.measure import measure, refine, select
from napari_stemnmf.disks.noise import gain_of, uneven
from napari_stemnmf.disks.overlap import INFLUENCE, is_maximum, keep_whole, neighbours, separate, tallest
from napari_stemnmf.disks.ridges import Ground, ridges
from napari_stemnmf.preprocessing.vertex import vertex

LENIENCE = 0.7  # share of the least signal-to-noise ratio that a candidate on the binned pattern needs
BESIDE = 2.0  # mismatches of the disks around it that a disk needs that is seen only with those taken away
TOGETHER = 8  # patterns that are laid out at a time: so few stay in the processor's cache


class Search(NamedTuple):
    """What the search needs of detector and probe; lengths in px."""

    kernel: np.ndarray  # (2 h + 1, 2 h + 1) float32 template
    squares: np.ndarray  # its square
    coarse_kernel: np.ndarray  # the template on the binned pattern
    coarse_squares: np.ndarray  # its square, divided by the pixels of a bin
    peak: float  # largest value of `kernel`
    coarse_share: float  # sum of `coarse_squares`
    falloff: np.ndarray  # what a disk of height 1 adds to the correlation around it, see `template.falloff_of`
    coarse_falloff: np.ndarray  # the same on the binned pattern
    patches: np.ndarray  # (s, s, 2 m + 1, 2 m + 1) the same by bins, for a disk at s x s places within the middle one
    radius: float  # that of the probe
    ring: float  # weight of a pixel around the disk, without its sign
    ring_falloff: np.ndarray  # what a disk of height 1 adds to the mean level on the ring of a place around it
    spike: float  # share of a disk's height that may come from one single pixel
    mismatch: float  # share of what a disk explains that may be left of it
    faintest: float  # share of a disk's height that another one beside it has at least
    bin: int  # pixels along each side of a bin
    pad: int  # pixels around the pattern that are filled with those of its edge; a multiple of `bin`
    masked: np.ndarray  # flat pixels that are left out, int64
    source: np.ndarray  # the flat pixel that each of them takes its value from
    tiles: np.ndarray  # (t, 2) first row and column of the tiles that the noise is measured in
    samples: np.ndarray  # (s, 2) row and column, in bins, where the correlation is sampled for its noise
    rings: np.ndarray  # (distances, directions) flat bins about the centre where ridges are looked for
    ring_step: float  # px between their distances
    allowed: np.ndarray  # (q_y, q_x) bool, where the centre of a disk may be
    edges: np.ndarray  # what pixels count for the place of a disk's edge, see `edges.edge_tables`
    clear: np.ndarray  # (q_y, q_x) bool, where there is room for that
    centre_y: float  # where the central disk is looked for
    centre_x: float
    descan: float  # how far around; negative if it is not looked for
    gain: float  # variance of the counts over their mean; 0 where each pattern is to tell it
    least: float  # the same as neighbouring patterns tell it: what is less, disks must not explain away


class Filters(NamedTuple):
    """Which of the maxima are disks; lengths in px.

    `spacing` is for maxima of the correlation, `closest` for disks that are separated with others taken away.
    """

    upsampling: int
    min_snr: float
    min_absolute: float
    min_relative: float
    relative_to: int
    spacing: float
    closest: float
    edge: float
    max_peaks: int


def search(block: np.ndarray, plan: Search, filters: Filters) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Disks of patterns (p, q_y, q_x).

    Returns
    -------
    table : ndarray of float32
        (peaks, 6): q_y, q_x, height, signal-to-noise ratio and the edge's q_y, q_x (NaN where it is not clear),
        pattern after pattern, the highest first.
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
    tables, saturated = [np.empty((0, 6), np.float32)], 0
    for first in range(0, n, TOGETHER):
        part = slice(first, min(first + TOGETHER, n))
        patterns = block[part]
        lay_out(patterns, plan.masked, plan.source, plan.pad, images)
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
    outlines = np.empty((len(table), 2), np.float32)
    total, saturated = 0, 0
    for p in range(len(images)):
        image = images[p]
        highest = brightest(image)
        if highest <= 0.0:
            continue
        gain, least = gain_of(image, plan.tiles, pad, ratios, plan.least)
        least = max(least, min(plan.least, gain))
        if plan.gain > 0.0:
            gain, least = plan.gain, plan.gain
        saturated += is_saturated(image, pad, rows, columns, highest, gain, plan.kernel, plan.masked)
        if step > 1:
            bin_pixels(image, step, binned)
        coarse = binned if step > 1 else image
        correlate(coarse, plan.coarse_kernel, pad // step, pad // step, response)
        levels = ridges(coarse, response, plan, gain)
        gain, known, left = uneven(coarse, response, plan, gain, least, ratios)
        ground = Ground(gain, levels)
        size = _candidates(image, coarse, left, known, plan, filters, ground, rows, columns, found)
        _central(image, found[:size], plan, ground, central[p])
        rest = table[total:]
        size = select(found[:size], filters, filters.spacing, capacity, rest)
        size = separate(image, coarse, response, plan, filters, ground, (rows, columns), rest, size, capacity)
        counts[p] = keep_whole(image, plan, filters, ground, (rows, columns), rest[:size])
        _refine(image, plan, ground, filters, rows, columns, rest[: counts[p]])
        edges(image, plan.edges, plan.clear, pad, FARTHEST * plan.radius, rest[: counts[p]], outlines[total:])
        total += counts[p]
    return np.concatenate((table[:total], outlines[:total]), axis=1), saturated


@njit(nogil=True, cache=True)
def _candidates(
    image: Any, binned: Any, left: Any, known: Any, plan: Any, filters: Any, ground: Any, rows: Any, columns: Any,
    found: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """The known disks, and maxima of what is left of the correlation without them that stand out of the noise.

    Gives their number, fills (q_y, q_x, height, snr). Each is measured with the known disks beside it taken away.
    """
    step, pad = plan.bin, plan.pad
    coarse_pad = pad // step
    needed = (LENIENCE * filters.min_snr) ** 2 * ground.gain
    # in a disk on nothing at all the variance is already so large that lower ones cannot reach the least ratio
    least = max(needed * plan.peak, LENIENCE * filters.min_absolute)
    near = np.empty((3, 3), np.float32)
    tall, wide = left.shape
    size = 0
    for k in range(len(known)):
        y, x = min(max(round(known[k, 0]), 0), rows - 1), min(max(round(known[k, 1]), 0), columns - 1)
        others = neighbours(plan, known, k, y, x, INFLUENCE * known[k, 2])
        if measure(image, plan, ground, y, x, rows, columns, others, near, found[size]):
            size += found[size, 3] >= filters.min_snr
    for i in range(tall):
        for j in range(wide):
            value = left[i, j]
            if not value > least or not is_maximum(left, i, j) or size == len(found):
                continue
            if value * value < needed * dot(binned, plan.coarse_squares, i + coarse_pad, j + coarse_pad):
                continue
            y, x = _start(left, i, j, step)
            y, x = min(y, rows - 1), min(x, columns - 1)
            if value < BESIDE * plan.mismatch * tallest(plan, known, y, x):
                continue
            others = neighbours(plan, known, -1, y, x, 0.0)
            if measure(image, plan, ground, y, x, rows, columns, others, near, found[size]):
                size += found[size, 3] >= filters.min_snr
    return size


@njit(nogil=True, cache=True)
def _start(response: Any, i: Any, j: Any, step: Any) -> Any:  # pragma: no cover - compiled
    """The pixel of the pattern where a maximum of the binned correlation lies."""
    y, x = float(i), float(j)
    if 0 < i < response.shape[0] - 1 and 0 < j < response.shape[1] - 1:
        y += vertex(response[i - 1, j], response[i, j], response[i + 1, j])
        x += vertex(response[i, j - 1], response[i, j], response[i, j + 1])
    return int((y + 0.5) * step), int((x + 0.5) * step)


@njit(nogil=True, cache=True)
def _refine(
    image: Any, plan: Any, ground: Any, filters: Any, rows: Any, columns: Any, disks: Any
) -> None:  # pragma: no cover
    """Positions on a finer grid, if the settings ask for it; neighbours taken away."""
    if filters.upsampling == 1:
        return
    coarse = disks.copy()
    for k in range(len(coarse)):
        y, x = coarse[k, 0], coarse[k, 1]
        others = neighbours(plan, coarse, k, y, x, 0.0)
        y, x = refine(image, plan, ground, y, x, filters.upsampling, others)
        disks[k, 0], disks[k, 1] = min(max(y, -0.5), rows - 0.5), min(max(x, -0.5), columns - 0.5)


@njit(nogil=True, cache=True)
def _central(image: Any, found: Any, plan: Any, ground: Any, out: Any) -> None:  # pragma: no cover - compiled
    """Centre of the highest disk near the mean centre; left as it is if there is none."""
    best = -1
    for k in range(len(found)):
        distance = (found[k, 0] - plan.centre_y) ** 2 + (found[k, 1] - plan.centre_x) ** 2
        if plan.descan >= 0.0 and distance <= plan.descan**2 and (best < 0 or found[k, 2] > found[best, 2]):
            best = k
    if best >= 0:
        out[0], out[1] = refine(image, plan, ground, found[best, 0], found[best, 1], 16, found[:0])
