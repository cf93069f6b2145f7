"""The kernels of the two reads that make the patterns of grains: weighted sums, and distances from the means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.compiled import njit
from napari_stemnmf.streaming.engine import BlockResult, PassResult

_PIXELS_AT_A_TIME = 2048  # their sums for some ten grains stay in the second cache


def _kept(patterns: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The kept pixels of patterns (p, q_y, q_x): (p, kept), each pattern in one piece of memory."""
    flat = patterns.reshape(len(patterns), keep.size)
    return flat if keep.all() else np.ascontiguousarray(flat[:, keep.ravel()])


def scaled(patterns: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The kept pixels of patterns (g, q_y, q_x), each pattern scaled to 0..1: (g, kept) float32."""
    found = np.zeros((len(patterns), np.count_nonzero(keep)), np.float32)
    for row, pattern in enumerate(patterns):
        kept = pattern[keep]
        low, high = kept.min(), kept.max()
        if high > low:
            found[row] = (kept - low) / (high - low)
    return found


@dataclass
class Sums:
    """Kernel: weighted sums of the patterns of each grain, separate for positions of its own and shared ones."""

    members: csr_array
    shared: np.ndarray

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        indptr, entries = _entries(self.members, positions)
        slots = self.members.indices[entries] * 2 + self.shared[entries]
        used, slot = np.unique(slots, return_inverse=True)
        sums = np.zeros((len(used), block[0].size))
        _add_patterns(block.reshape(len(block), -1), indptr, slot, self.members.data[entries], sums)
        names = [f"{'shared' if s % 2 else 'single'} {s // 2}" for s in used]
        return BlockResult(total={name: s.reshape(block.shape[1:]) for name, s in zip(names, sums, strict=True)})


class Means:
    """Takes the sums of each grain out of a pass when its last block is done, and makes means (g, q_y, q_x) of them."""

    def __init__(
        self, members: csr_array, shared: np.ndarray, weight: np.ndarray, means: np.ndarray, singles: np.ndarray
    ) -> None:
        self.members, self.weight, self.means, self.singles = members, weight, means, singles
        own = csr_array((~shared, members.indices, members.indptr), members.shape)
        self.alone = np.asarray((members * own).sum(axis=0))
        self.left = np.bincount(members.indices, minlength=members.shape[1])

    def merged(self, results: list[PassResult], positions: np.ndarray) -> None:
        """A block was added."""
        sums = results[0].total
        there = self.members.indices[_entries(self.members, positions)[1]]
        rows, count = np.unique(there, return_counts=True)
        self.left[rows] -= count
        for row in rows[self.left[rows] == 0].tolist():
            single, other = sums.pop(f"single {row}", None), sums.pop(f"shared {row}", None)
            if single is not None and self.alone[row] > 0:
                self.singles[row] = single / self.alone[row]
            both = [part for part in (single, other) if part is not None]
            if both and self.weight[row] > 0:
                self.means[row] = sum(both) / self.weight[row]


@dataclass
class Distances:
    """Kernel: weighted sum, over the patterns of each grain, of their distance from the grain's scaled mean."""

    members: csr_array
    means: np.ndarray
    keep: np.ndarray

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        indptr, entries = _entries(self.members, positions)
        rows, weights = self.members.indices[entries], self.members.data[entries]
        kept = _kept(block, self.keep)
        low, high = kept.min(axis=1).astype(np.float64), kept.max(axis=1).astype(np.float64)
        if not (np.isfinite(low) & np.isfinite(high)).all():
            kept = np.where(np.isfinite(kept), kept, 0)
            low, high = kept.min(axis=1).astype(np.float64), kept.max(axis=1).astype(np.float64)
        factor = np.divide(1, high - low, out=np.zeros(len(low)), where=high > low)
        distance = np.zeros(self.members.shape[1])
        _add_distances(kept, low, factor, indptr, rows, weights, self.means, distance)
        return BlockResult(total={"distance": distance})


def _entries(members: csr_array, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the positions of a block: where each one's entries start, and the entries."""
    first, count = members.indptr[positions], np.diff(members.indptr)[positions]
    indptr = np.concatenate([[0], np.cumsum(count)])
    return indptr, np.arange(indptr[-1]) + np.repeat(first - indptr[:-1], count)


@njit(nogil=True, cache=True)
def _clean(value: Any) -> float:  # pragma: no cover - compiled
    real = np.float64(value)
    return real if abs(real) < np.inf else 0.0  # NaN compares false


@njit(nogil=True, cache=True)
def _add_patterns(
    block: np.ndarray, indptr: np.ndarray, slot: np.ndarray, weights: np.ndarray, sums: np.ndarray
) -> None:  # pragma: no cover - compiled
    """Add weight times pattern to `sums` (slots, pixels), for entries indptr[p] to indptr[p + 1] of each pattern."""
    patterns, pixels = block.shape
    values = np.empty(_PIXELS_AT_A_TIME)
    for start in range(0, pixels, _PIXELS_AT_A_TIME):
        size = min(_PIXELS_AT_A_TIME, pixels - start)
        for p in range(patterns):
            if indptr[p] == indptr[p + 1]:
                continue
            pattern = block[p, start : start + size]
            for i in range(size):
                values[i] = _clean(pattern[i])
            for entry in range(indptr[p], indptr[p + 1]):
                weight = weights[entry]
                target = sums[slot[entry], start : start + size]
                for i in range(size):
                    target[i] += weight * values[i]


# Inlined by force: a separate copy, which the process that compiles it would call, sums in another order than the copy
# that is in the cached caller.
@njit(nogil=True, cache=True, forceinline=True, fastmath={"reassoc", "contract", "nsz"})
def _distance(first: np.ndarray, second: np.ndarray) -> float:  # pragma: no cover - compiled
    total = np.float64(0)
    for start in range(0, len(first), _PIXELS_AT_A_TIME):  # float32 within a tile is exact enough, and twice as fast
        one, other = first[start : start + _PIXELS_AT_A_TIME], second[start : start + _PIXELS_AT_A_TIME]
        part = np.float32(0)
        for i in range(len(one)):
            part += abs(one[i] - other[i])
        total += part
    return total


@njit(nogil=True, cache=True)
def _add_distances(
    block: np.ndarray,
    low: np.ndarray,
    factor: np.ndarray,
    indptr: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    means: np.ndarray,
    sums: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """Add weight times distance to `sums` (grains,): of each pattern, scaled to 0..1, from the means of its grains."""
    values = np.empty(block.shape[1], np.float32)
    for p in range(len(block)):
        if indptr[p] == indptr[p + 1]:
            continue
        pattern = block[p]
        for i in range(len(values)):
            values[i] = np.float32((np.float64(pattern[i]) - low[p]) * factor[p])
        for entry in range(indptr[p], indptr[p + 1]):
            sums[rows[entry]] += weights[entry] * _distance(values, means[rows[entry]])
