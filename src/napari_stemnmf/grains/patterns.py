"""The diffraction pattern of each grain, and the dissimilarity of the patterns that make it up.

Two reads of the data serve all grains of all features: the first for the weighted means, the second for the distance
of each pattern from them. Patterns that no grain covers are not used, and blocks without a covered one not read.
Patterns of grains that are known already are not made again: after an edit, only what the edited grains cover is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.pattern_kernels import Distances, Means, Sums, scaled
from napari_stemnmf.streaming.engine import run_pass
from napari_stemnmf.streaming.pools import Executor


@dataclass(frozen=True, eq=False)
class GrainPatterns:
    """Patterns of the grains of one feature.

    Attributes
    ----------
    patterns : ndarray of float32, (g, q_y, q_x)
        Mean pattern of each grain, weighted by the grain's weights; counts.
    single : ndarray of float32, (g, q_y, q_x)
        The same over the positions that no other grain of the feature covers; NaN where there are none.
    dissimilarity : ndarray of float64, (g,)
        Weighted mean, over the grain's patterns, of the sum over pixels of the absolute difference from the grain's
        mean pattern, each scaled to 0..1 (Bruefach, Ophus & Scott 2022, eq. 6, with absolute differences).
    digests : ndarray of uint64, (g,)
        What each was made from: see `digests`. Empty in files of version 0.3 and before.
    """

    patterns: np.ndarray
    single: np.ndarray
    dissimilarity: np.ndarray = field(default_factory=lambda: np.empty(0))
    digests: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self.patterns)


def grain_patterns(
    dataset: Dataset,
    grains: Mapping[str, Grains],
    *,
    mask: np.ndarray | None = None,
    left_out: np.ndarray | None = None,
    known: Mapping[str, GrainPatterns] | None = None,
    source: str = "",
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> dict[str, GrainPatterns]:
    """Patterns and dissimilarity of every grain of every feature, in two reads of the data at most.

    Parameters
    ----------
    dataset : Dataset
        The scan.
    grains : mapping of str to Grains
        By feature. A grain whose weights are all 0 is taken with equal ones.
    mask : ndarray of bool, (q_y, q_x), optional
        True = keep; other pixels count neither for the scaling to 0..1 nor for the dissimilarity.
    left_out : ndarray of bool, (scan_y, scan_x), optional
        Positions of odd patterns, which are no part of a grain's, even where a grain was painted over them.
    known : mapping of str to GrainPatterns, optional
        Earlier ones: those of grains with the same digest are taken over.
    source : str
        Identifies the preprocessed data; patterns of another source are not taken over.
    workers : int, optional
        Threads to use; the result does not depend on it.
    control : Control, optional
        Progress and cancel.
    executor : Executor, optional
        As in `run_pass`.

    Returns
    -------
    dict of str to GrainPatterns
        Values that are not finite count as 0. A pattern without contrast is all 0 once scaled. A grain without
        positions has NaN throughout.

    Raises
    ------
    DataError
        If grains or mask do not fit the scan.
    """
    control = Control() if control is None else control
    for name, found in grains.items():
        if found.scan_shape != dataset.scan_shape:
            raise DataError(f"The '{name}' grains are of another scan: {found.scan_shape}, not {dataset.scan_shape}.")
    shape = dataset.detector_shape
    keep = np.ones(shape, bool) if mask is None else np.asarray(mask, dtype=bool)
    if keep.shape != shape or not keep.any():
        raise DataError(f"The mask of shape {keep.shape} leaves no pixel of a detector of {shape[0]} x {shape[1]}.")
    source = source if mask is None else f"{source} {hashlib.sha256(np.packbits(keep).tobytes()).hexdigest()}"
    earlier = {name: _earlier((known or {}).get(name), digests(found, source)) for name, found in grains.items()}
    new_rows = {name: rows < 0 for name, rows in earlier.items()}
    members, shared = _members(grains, new_rows, dataset.n_patterns, left_out)
    covered = np.diff(members.indptr) > 0
    options: dict[str, Any] = {"workers": workers, "only": covered, "executor": executor}

    means = np.full((members.shape[1], *shape), np.nan, np.float32)
    singles = np.full_like(means, np.nan)
    distance = np.zeros(members.shape[1])
    weight = np.asarray(members.sum(axis=0))
    if covered.any():
        filling = Means(members, shared, weight, means, singles)
        kernel = Sums(members, shared)
        run_pass(dataset, [kernel], control=control.part(0, 2), merged=filling.merged, **options)
        kernel = Distances(members, scaled(means, keep), keep)
        distance = run_pass(dataset, [kernel], control=control.part(1, 2), **options)[0].total["distance"]
    dissimilarity = np.divide(distance, weight, out=np.full(len(weight), np.nan), where=weight > 0)
    patterns: dict[str, GrainPatterns] = {}
    start = 0
    for name, found in grains.items():
        rows = earlier[name]
        new = slice(start, start + int((rows < 0).sum()))
        before = (known or {}).get(name)
        made = GrainPatterns(means[new], singles[new], dissimilarity[new])
        patterns[name] = _joined(made, before, rows, digests(found, source))
        start = new.stop
    return patterns


def digests(grains: Grains, source: str = "", rows: Sequence[int] | None = None) -> np.ndarray:
    """A hash, (g,), of what each grain's pattern is made from: where it is, weights, how many share it, the source.

    A grain that is moved to another row, or given another id, has the same pattern and the same digest. Only those of
    some `rows` are made where these are given.
    """
    overlap, shape = grains.overlap.ravel(), repr(grains.scan_shape)
    found = []
    for index in range(len(grains)) if rows is None else rows:
        at, weights = grains.part(index)
        parts = (at.astype(np.int64), weights, overlap[at])
        whole = hashlib.sha256(f"{source} {shape} ".encode() + b"".join(part.tobytes() for part in parts))
        found.append(int.from_bytes(whole.digest()[:8], "little"))
    return np.array(found, np.uint64)


def _earlier(known: GrainPatterns | None, needed: np.ndarray) -> np.ndarray:
    """For each digest the row of the earlier patterns that has it, -1 where none does."""
    rows = {} if known is None else {int(d): row for row, d in enumerate(known.digests)}
    return np.array([rows.get(int(d), -1) for d in needed], np.int64)


def _joined(made: GrainPatterns, known: GrainPatterns | None, rows: np.ndarray, marks: np.ndarray) -> GrainPatterns:
    """New patterns where the row of the earlier ones is -1, those elsewhere."""
    old = rows >= 0
    if known is None or not old.any():
        return GrainPatterns(made.patterns, made.single, made.dissimilarity, marks)

    def both(former: np.ndarray, new: np.ndarray) -> np.ndarray:
        whole = np.empty((len(rows), *former.shape[1:]), former.dtype)
        whole[old], whole[~old] = former[rows[old]], new
        return whole

    return GrainPatterns(
        both(known.patterns, made.patterns),
        both(known.single, made.single),
        both(known.dissimilarity, made.dissimilarity),
        marks,
    )


def _members(
    grains: Mapping[str, Grains], new: Mapping[str, np.ndarray], n_patterns: int, left_out: np.ndarray | None = None
) -> tuple[csr_array, np.ndarray]:
    """Weight of each position in each new grain of all features, (n, g) sparse; of each entry, whether shared."""
    positions, rows, weights, shared = [], [], [], []
    start = 0
    for name, found in grains.items():
        overlap, chosen = found.overlap.ravel() > 1, np.flatnonzero(new[name])
        for row, (where, values) in enumerate(found.part(i) for i in chosen.tolist()):
            if left_out is not None:
                there = ~left_out.ravel()[where]
                where, values = where[there], values[there]
            weight = values.astype(np.float64)
            positions.append(where.astype(np.int64))
            rows.append(np.full(len(where), start + row))
            weights.append(weight if weight.any() else np.ones(len(where)))
            shared.append(overlap[where])
        start += len(chosen)
    if not positions:
        return csr_array((n_patterns, start)), np.zeros(0, bool)
    position, row, weight, is_shared = (np.concatenate(part) for part in (positions, rows, weights, shared))
    order = np.lexsort((row, position))
    indptr = np.zeros(n_patterns + 1, np.int64)
    np.cumsum(np.bincount(position, minlength=n_patterns), out=indptr[1:])
    members = csr_array((weight[order], row[order], indptr), shape=(n_patterns, start))
    return members, is_shared[order]
