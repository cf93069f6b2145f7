"""Grains: weighted regions of the scan that may overlap, kept as what they are, a few positions each.

The record is one sparse matrix with a row for each grain; masks and weights of the whole scan are views of it, made
when they are asked for. A scan of 1024 x 1024 positions with 3,000 grains would hold 3 GB of masks and four times that
of weights; the grains are some tens of MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import Crop, row, stacked
from napari_stemnmf.errors import DataError

AT_A_TIME = 2**26
"""Bytes of masks that are read together from a file of a former version."""


@dataclass(frozen=True, eq=False)
class Grains:
    """Weighted regions, one a grain; grains may overlap.

    Attributes
    ----------
    inside : csr_array of float32, (g, n)
        Weight of the grain's component at each probe position of each grain. What is stored of a row is the grain, also
        where its weight is 0; positions are numbered row by row.
    scan_shape : tuple of int
        Rows and columns of probe positions.
    component : ndarray of int64, (g,)
        Row of the component that the grain came from; -1 where it came from none.
    ids : ndarray of int64, (g,)
        Persistent numbers from 1, unique: a grain keeps its own when others are removed.
    thresholds : ndarray of float32, (k,)
        Threshold of each component map, in the units of its weights; NaN where the map was empty or constant.
    note : str
        A sentence on how they were found where that is not plain: why there are none, or which crystal is large.
    confidence : ndarray of float32, (g,)
        Probability that the grain is right, which is to share more than half of its union with a true one; NaN where
        it is not known, as of what was edited by hand.
    reasons : tuple of str, (g,)
        What speaks against each grain, in words; empty where nothing does.

    Raises
    ------
    DataError
        If the shapes do not fit, or an id is used twice or is under 1.

    Examples
    --------
    >>> grains = Grains.from_masks([[[True, True], [False, False]], [[False, True], [False, True]]])
    >>> grains.areas.tolist(), grains.at(0, 1).tolist(), grains.mask(1).tolist()
    ([2, 2], [0, 1], [[False, True], [False, True]])
    """

    inside: csr_array
    scan_shape: tuple[int, int]
    component: np.ndarray
    ids: np.ndarray
    thresholds: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    note: str = ""
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32), metadata={"since": "0.5"})
    reasons: tuple[str, ...] = field(default=(), metadata={"since": "0.5"})

    def __post_init__(self) -> None:
        rows, columns = (int(n) for n in self.scan_shape)
        inside = csr_array(self.inside, dtype=np.float32)
        count, n = inside.shape
        if n != rows * columns:
            raise DataError(f"Grains of {n} positions are not of a scan of {rows} x {columns}.")
        try:
            inside.check_format(full_check=True)
        except ValueError as error:
            raise DataError(f"The positions of the grains are not those of a scan of {rows} x {columns}.") from error
        if not inside.has_canonical_format:
            inside = inside.copy()
            inside.sum_duplicates()
        given = {name: np.asarray(getattr(self, name)) for name in _KINDS}
        if not len(given["confidence"]):
            given["confidence"] = np.full(count, np.nan)
        for name in ("component", "ids", "confidence"):
            if given[name].shape != (count,):
                raise DataError(f"There are {count} grains, but '{name}' has the shape {given[name].shape}.")
        ids = given["ids"]
        if count and (ids.min() < 1 or len(np.unique(ids)) != count):
            raise DataError("The ids of grains must be unique and at least 1.")
        for name, kind in _KINDS.items():
            object.__setattr__(self, name, given[name].astype(kind, copy=False))
        object.__setattr__(self, "inside", inside)
        object.__setattr__(self, "scan_shape", (rows, columns))
        object.__setattr__(self, "reasons", tuple(self.reasons) or ("",) * count)

    @classmethod
    def of(
        cls,
        parts: Iterable[tuple[np.ndarray, np.ndarray]],
        scan_shape: Sequence[int],
        *,
        component: Any = None,
        ids: Any = None,
        thresholds: Any = None,
        **more: Any,
    ) -> Grains:
        """Grains from the flat positions and weights of each; components default to -1, ids to 1, 2, 3..."""
        listed, (rows, columns) = list(parts), scan_shape
        count = len(listed)
        return cls(
            stacked(listed, (count, rows * columns)),
            (rows, columns),
            np.full(count, -1) if component is None else np.asarray(component),
            np.arange(1, count + 1) if ids is None else np.asarray(ids),
            np.empty(0, np.float32) if thresholds is None else np.asarray(thresholds),
            **more,
        )

    @classmethod
    def from_masks(
        cls, masks: Any, weights: Any = None, *, component: Any = None, ids: Any = None, thresholds: Any = None
    ) -> Grains:
        """Grains from boolean masks (g, scan_y, scan_x), or from one mask (scan_y, scan_x).

        Weights default to 1 inside; those outside a mask are not taken. Components default to -1, ids to 1, 2, 3...

        Raises
        ------
        DataError
            If the shapes do not fit.
        """
        masks = np.asarray(masks)
        masks = masks[None] if masks.ndim == 2 else masks
        if masks.ndim != 3:
            raise DataError(f"Masks of grains have the axes (grain, scan_y, scan_x), not the shape {masks.shape}.")
        if weights is not None:
            weights = np.asarray(weights)
            weights = weights[None] if weights.ndim == 2 else weights
            if weights.shape != masks.shape:
                raise DataError(f"Weights of shape {weights.shape} do not fit masks of shape {masks.shape}.")
        parts = _parts_of(masks, weights)
        return cls.of(parts, masks.shape[1:], component=component, ids=ids, thresholds=thresholds)

    @classmethod
    def former(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that a file of a version before 0.6 has as masks and weights of the whole scan."""
        if "masks" not in stored:
            return {}
        masks, weights = stored["masks"], stored["weights"]
        count, rows, columns = masks.shape
        step = max(1, AT_A_TIME // max(1, 5 * rows * columns))
        parts: list[tuple[np.ndarray, np.ndarray]] = []
        for start in range(0, count, step):
            some = slice(start, start + step)
            parts += _parts_of(masks[some], weights[some])
        return {"inside": stacked(parts, (count, rows * columns)), "scan_shape": (rows, columns)}

    def __len__(self) -> int:
        return int(self.inside.shape[0])

    def subset(self, rows: Any) -> Grains:
        """Some of the grains, by rows or a mask of them (g,), with what is known of each."""
        rows = np.arange(len(self))[rows]
        each = {name: getattr(self, name)[rows] for name in ("inside", "component", "ids", "confidence")}
        return replace(self, **each, reasons=tuple(self.reasons[row] for row in rows))

    def row_of(self, grain_id: int) -> int:
        """The row of the grain of an id; -1 if there is none."""
        (rows,) = np.nonzero(self.ids == grain_id)
        return int(rows[0]) if len(rows) else -1

    # ---- one grain, or what is known without a view of the scan

    @property
    def areas(self) -> np.ndarray:
        """(g,) int64 number of positions of each grain."""
        return np.diff(self.inside.indptr).astype(np.int64)

    @property
    def flat(self) -> csr_array:
        """(g, n) int64, 1 inside: products of it count positions that grains share."""
        ones = np.ones(self.inside.nnz, np.int64)
        return csr_array((ones, self.inside.indices, self.inside.indptr), shape=self.inside.shape)

    def part(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Flat positions of a grain, in order, and its weights there; views, not to be changed."""
        return row(self.inside, index)

    def places(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the positions of a grain."""
        return np.divmod(self.part(index)[0].astype(np.int64), self.scan_shape[1])

    def crop(self, index: int, pad: int = 0) -> Crop:
        """The mask of a grain in the smallest rectangle that holds it, and a margin, which may leave the scan."""
        at = self.part(index)[0].astype(np.int64)
        if not len(at):
            return Crop(0, 0, np.zeros((2 * pad, 2 * pad), bool))
        return Crop.of(at, np.ones(len(at), bool), self.scan_shape[1], pad)

    def mask(self, index: int) -> np.ndarray:
        """(scan_y, scan_x) bool: where a grain is."""
        mask = np.zeros(self.inside.shape[1], bool)
        mask[self.part(index)[0]] = True
        return mask.reshape(self.scan_shape)

    def at(self, row: int, column: int) -> np.ndarray:
        """Rows of the grains that hold a position."""
        (entries,) = np.nonzero(self.inside.indices == row * self.scan_shape[1] + column)
        return np.searchsorted(self.inside.indptr, entries, side="right") - 1

    # ---- views of the whole scan

    @cached_property
    def masks(self) -> np.ndarray:
        """(g, scan_y, scan_x) bool, all masks whole, made when first asked for; not to be changed."""
        return self._dense(np.ones(self.inside.nnz, bool))

    @cached_property
    def weights(self) -> np.ndarray:
        """(g, scan_y, scan_x) float32, all weights whole, 0 outside; made when first asked for; not to be changed."""
        return self._dense(self.inside.data)

    @property
    def labels(self) -> np.ndarray:
        """The dominant grain of each position, (scan_y, scan_x) int32: its id, 0 for none.

        The dominant grain is the one nearest to its own maximum weight there: a weakly diffracting grain is not hidden
        by a strong neighbour, and two grains meet where each has fallen to the same share. Ties go to the smaller
        grain, then to the lower row.
        """
        labels = np.zeros(self.inside.shape[1], np.int32)
        highest = np.zeros(self.inside.shape[1], np.float32)
        for index in np.argsort(self.areas, kind="stable"):  # smaller first: a later one must be strictly larger to win
            at, weights = self.part(index)
            peak = weights.max(initial=0.0)
            share = weights / peak if peak > 0 else np.zeros(len(at), np.float32)
            wins = (share > highest[at]) | (labels[at] == 0)
            labels[at[wins]] = self.ids[index]
            highest[at[wins]] = share[wins]
        return labels.reshape(self.scan_shape)

    @property
    def stack(self) -> np.ndarray:
        """One plane a grain, (g, scan_y, scan_x) int32: the grain's id inside its mask."""
        return self._dense(np.repeat(self.ids.astype(np.int32), self.areas))

    @property
    def overlap(self) -> np.ndarray:
        """Number of grains at each position, (scan_y, scan_x) uint16."""
        count = np.bincount(self.inside.indices, minlength=self.inside.shape[1])
        return count.astype(np.uint16).reshape(self.scan_shape)

    def _dense(self, values: np.ndarray) -> np.ndarray:
        """Values of the stored positions as (g, scan_y, scan_x)."""
        dense = np.zeros(self.inside.shape, values.dtype)
        dense[np.repeat(np.arange(len(self)), self.areas), self.inside.indices] = values
        return dense.reshape(len(self), *self.scan_shape)


_KINDS = {
    "component": np.int64, "ids": np.int64, "thresholds": np.float32, "confidence": np.float32,
}  # fmt: skip


def grown(grains: Grains, iterations: int, structure: np.ndarray | None = None) -> csr_array:
    """(g, n) int64, 1 inside and up to so many steps around each grain, as `scipy.ndimage.binary_dilation` has it."""
    rows, columns = grains.scan_shape
    parts = []
    for index in range(len(grains)):
        crop = grains.crop(index, iterations)
        wide = ndimage.binary_dilation(crop.values, structure, iterations)
        y, x = np.nonzero(wide)
        y, x = y + crop.top, x + crop.left
        there = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
        at = y[there] * columns + x[there]
        parts.append((at, np.ones(len(at), np.int64)))
    return stacked(parts, (len(grains), rows * columns))


def notes_of_grains(grains: Mapping[str, Grains]) -> list[str]:
    """The notes of each representation's grains, and whether some have grains where others have none."""
    notes = [f"{name.upper()}: {found.note}" for name, found in grains.items() if found.note]
    some = ", ".join(f"{name.upper()} finds {len(found)}" for name, found in grains.items() if len(found))
    none = " and ".join(name.upper() for name, found in grains.items() if not len(found))
    return [*notes, f"The representations differ: {some}, {none} no grain."] if some and none else notes


def _parts_of(masks: np.ndarray, weights: np.ndarray | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions and weights of each of some masks (g, scan_y, scan_x)."""
    at = [np.flatnonzero(mask) for mask in masks]
    if weights is None:
        return [(where, np.ones(len(where), np.float32)) for where in at]
    return [(where, each.ravel()[where].astype(np.float32)) for where, each in zip(at, weights, strict=True)]
