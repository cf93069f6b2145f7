"""Pooling: patterns of few electrons are added to those of their neighbours, weighted, before anything is looked for.

A Gaussian over the scan, scaled so that values keep the noise of counts: their variance stays to their mean as it was.
Whether to is told by the disks, how far by how alike neighbours are. The cost, besides a second reading of a margin,
is two products with a narrow band, as long as the detector has pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from napari_stemnmf.dataset import Dataset

REACH = 3.0
"""Sigmas to which neighbours are added."""
LEAST, MOST = 0.5, 2.0
"""Least sigma, in positions, that is worth it; and the widest that is tried."""
ENOUGH, AMPLE = 22.0, 100.0
"""Signal-to-noise ratios of the third brightest disk: where most spots of most grains are clear without; where more is
no help."""
LOST = 0.02
"""Share of the variance of what the scan shows that pooling may cost."""
ALIKE = 0.5
"""Correlation two positions apart over that one apart, below which neighbours tell nothing of one another."""
KNOWN = 0.05
"""Share of a neighbourhood that must be known, or nothing is."""
BLOCK_BYTES = 2**27
"""Of a block that is pooled, at most, where that leaves room: narrow ones read the file's rows again and again."""
PATCHES, PATCH = 16, 14
"""Parts of the scan that are looked at, along both axes together, and their length in positions."""


def weights(sigma: float) -> np.ndarray:
    """Of a position's neighbours along one axis, itself in the middle; they add up to as much as their squares."""
    reach = int(np.ceil(REACH * sigma))
    gauss = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(gauss * gauss.sum() / (gauss**2).sum())


def pooled(dataset: Dataset, sigma: float, left_out: np.ndarray | None = None) -> Dataset:
    """A scan (scan_y, scan_x, q_y, q_x) whose patterns are added up over their neighbours: lazy, float32.

    Parameters
    ----------
    sigma : float
        Of the Gaussian, positions. Beyond the edge of the scan its last row or column is taken again.
    left_out : ndarray of bool, (scan_y, scan_x), optional
        Odd patterns: they are added to none, and the others of a neighbourhood count for them as well.
    """
    import dask.array as da

    kernel = weights(sigma).astype(np.float32)
    reach = len(kernel) // 2
    shape = dataset.scan_shape
    rows = _chunks(shape[0], 4 * reach)
    room = BLOCK_BYTES // (4 * (rows[0] + 2 * reach) * max(1, int(np.prod(dataset.detector_shape))))
    data = dataset.data.rechunk({0: rows, 1: _chunks(shape[1], max(4 * reach, int(room)))})
    kept = np.ones(shape, np.float32) if left_out is None else (~left_out).astype(np.float32)
    parts = data, da.from_array(kept[:, :, None, None], chunks=(*data.chunks[:2], 1, 1))
    depth = {0: min(reach, shape[0]), 1: min(reach, shape[1]), 2: 0, 3: 0}
    data = da.map_overlap(
        _pool, *parts, kernel=kernel, depth=depth, boundary={0: "nearest", 1: "nearest", 2: "none", 3: "none"},
        trim=False, dtype=np.float32, chunks=data.chunks, meta=np.empty((0,) * 4, np.float32),
    )  # fmt: skip
    return replace(dataset, data=data)


def _chunks(size: int, length: int) -> tuple[int, ...]:
    """Nearly equal parts of an axis, none shorter than the neighbourhood of its first position."""
    count = max(size // length, 1)
    return tuple(size * (i + 1) // count - size * i // count for i in range(count))


def _pool(block: np.ndarray, kept: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A block and its margin (scan_y, scan_x, q_y, q_x), pooled, without its margin; `kept` is 0 at odd patterns."""
    if kept.all():
        return _added(block, kernel)
    share = _added(kept, kernel) / kernel.sum() ** 2  # of the neighbourhood that is known
    whole = _added(np.where(kept > 0, block, 0), kernel)
    return np.asarray(np.divide(whole, share, out=np.zeros_like(whole), where=share > KNOWN))


def _added(block: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    rows, columns, *detector = block.shape
    first = _band(rows, kernel) @ block.reshape(rows, -1).astype(np.float32)
    second = np.matmul(_band(columns, kernel), first.reshape(len(first), columns, -1))
    return np.asarray(second.reshape(*second.shape[:2], *detector))


def _band(size: int, kernel: np.ndarray) -> np.ndarray:
    """The matrix (size - margin, size) that pools along one axis."""
    band = np.zeros((size - len(kernel) + 1, size), np.float32)
    for i in range(len(band)):
        band[i, i : i + len(kernel)] = kernel
    return band


def is_faint(third: float) -> bool:
    """Whether disks are so faint that patterns may be pooled, by the signal-to-noise ratio of the third brightest."""
    return third < ENOUGH


def advised(
    dataset: Dataset,
    third: float,
    centre: tuple[float, float],
    radius: float,
    left_out: np.ndarray | None = None,
) -> float:
    """How far to pool, sigma in positions; 0 for not at all.

    It is pooled where the third brightest disk, of the upper quarter of the patterns that have any, is below `ENOUGH`
    times its standard error: then most spots of most grains are lost. It is pooled so far that the scan loses no more
    than `LOST` of the variance of what it shows, and no further than to `AMPLE`.

    Parameters
    ----------
    third : float
        Signal-to-noise ratio of that disk, as `disks.clarity.third_brightest` tells it of the scan or a part of it.
    centre : tuple of float
        Of the pattern (q_y, q_x), px.
    radius : float
        Of the probe, px.
    left_out : ndarray of bool, (scan_y, scan_x), optional
        Odd patterns, which tell nothing.
    """
    if not is_faint(third):
        return 0.0
    needed = AMPLE / max(third, 1.0) / np.sqrt(4 * np.pi)  # pooling raises the ratio by the root of its area
    correlation = _correlation(dataset, centre, radius, left_out)
    best = 0.0
    for sigma in np.arange(LEAST, min(needed, MOST) + 0.05, 0.1):
        if blurred(float(sigma), correlation) <= LOST:
            best = float(sigma)
    return best


def blurred(sigma: float, correlation: np.ndarray) -> float:
    """What pooling loses of a signal's variance, from how it is correlated (lag_y, lag_x) over the scan."""
    kernel = weights(sigma)[: len(correlation)]
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    offset = np.arange(len(kernel)) - len(kernel) // 2
    y, x = (a.ravel() for a in np.meshgrid(offset, offset, indexing="ij"))
    weight = kernel.ravel()
    between = correlation[np.abs(y[:, None] - y), np.abs(x[:, None] - x)]
    return float(1 - 2 * weight @ correlation[np.abs(y), np.abs(x)] + weight @ between @ weight)


def _correlation(
    dataset: Dataset, centre: tuple[float, float], radius: float, left_out: np.ndarray | None
) -> np.ndarray:
    """How the intensities of squares of a probe's size are correlated over (lag_y, lag_x) positions, 1 for none.

    Noise is left out: what is at no lag follows from that at one and two.
    """
    size = max(round(2 * radius), 1)
    products = np.zeros((PATCH, PATCH))
    for patch in _patches(dataset, size, centre, radius, left_out):
        rows, columns, _ = patch.shape
        apart = patch - patch.mean(axis=(0, 1))
        power = np.abs(np.fft.rfft2(apart, (2 * rows, 2 * columns), axes=(0, 1))) ** 2
        lags = np.fft.irfft2(power.sum(axis=2), (2 * rows, 2 * columns))[:rows, :columns]
        products[:rows, :columns] += lags / np.outer(rows - np.arange(rows), columns - np.arange(columns))
    one = products[0, 1] + products[1, 0]
    two = products[0, 2] + products[2, 0]
    if not two > ALIKE * one > 0:  # from position to position all is new
        return np.eye(1, PATCH).T @ np.eye(1, PATCH)
    products[0, 0] = max(one + (one - two) / 3, one) / 2  # a parabola, level at no lag
    return products / products[0, 0]


def _patches(
    dataset: Dataset, size: int, centre: tuple[float, float], radius: float, left_out: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Parts of the scan, (rows, columns, squares), spread evenly; the mean of a part stands for its odd patterns."""
    rows, columns = dataset.scan_shape
    q_y, q_x = (n // size for n in dataset.detector_shape)
    y, x = ((np.arange(n) + 0.5) * size - 0.5 - c for n, c in zip((q_y, q_x), centre, strict=True))
    away = np.hypot(y[:, None], x[None]) > 2 * radius + size
    each = int(np.sqrt(PATCHES))
    for top in np.linspace(0, max(rows - PATCH, 0), each).astype(int):
        for left in np.linspace(0, max(columns - PATCH, 0), each).astype(int):
            part = np.asarray(dataset.data[top : top + PATCH, left : left + PATCH]).astype(np.float64)
            part = (
                part[:, :, : q_y * size, : q_x * size].reshape(*part.shape[:2], q_y, size, q_x, size).sum(axis=(3, 5))
            )
            squares = part[:, :, away]
            if left_out is not None:
                odd = left_out[top : top + PATCH, left : left + PATCH]
                squares[odd] = squares[~odd].mean(axis=0) if not odd.all() else 0.0
            yield squares
