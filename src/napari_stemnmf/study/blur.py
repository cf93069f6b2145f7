"""The source's blur over a scan whose rows come one after another, so that the scan never lies in memory.

At its edges the scan is mirrored about its outermost positions. Leans on NumPy and `threads`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from napari_stemnmf.threads import one_blas_thread

TRUNCATE = 4.0
"""The Gaussian is cut off at so many standard deviations."""


def blurred_rows(rows: Iterator[np.ndarray], shape: tuple[int, int], sigma: float) -> Iterator[np.ndarray]:
    """Rows (scan_x, ...) of a scan of `shape` (rows, columns), blurred along both scan axes by `sigma` positions.

    Each row is taken from `rows` once; as many are held as the Gaussian is wide.
    """
    if sigma <= 0:
        yield from rows
        return
    reach = int(np.ceil(TRUNCATE * sigma))
    across, along = smoothing(shape[0], sigma), smoothing(shape[1], sigma).astype(np.float32)
    held: deque[np.ndarray] = deque(maxlen=2 * reach + 1)
    last = -1
    for i in range(shape[0]):
        while last < min(i + reach, shape[0] - 1):
            row = np.asarray(next(rows), np.float32)
            with one_blas_thread():
                held.append((along @ row.reshape(shape[1], -1)).reshape(row.shape))
            last += 1
        first = last + 1 - len(held)
        out = np.zeros_like(held[0])
        for n, row in enumerate(held):
            if weight := across[i, first + n]:
                out += np.float32(weight) * row
        yield out


def smoothing(length: int, sigma: float) -> np.ndarray:
    """Matrix (length, length) that blurs by a Gaussian; mirrored about its first and last value. Rows sum to 1."""
    reach = int(np.ceil(TRUNCATE * sigma))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    matrix, period = np.zeros((length, length)), max(1, 2 * (length - 1))
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        along = (np.arange(length) + offset) % period  # there and back
        matrix[np.arange(length), np.minimum(along, period - along)] += weight
    return matrix
