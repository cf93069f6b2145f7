"""Grains corrected by hand: what a user did, as a list of edits that can be replayed, and the grains that result.

An `Edit` names grains by their ids, so that a list of edits means the same whenever it is replayed on the grains that
Refine found. Grains overlap: an edit changes the masks of the grains that it names and of no other.

- merge: the union of masks and the larger weights, under the first of the ids;
- split: the largest part keeps the id, the others get new ones, by their first position; of a split by a region,
  the part inside it gets the new one;
- delete: the ids are never used again;
- add, erase: positions; added ones weigh as much as the grain's do on average, in a new grain 1;
- import: grains that another program has drawn take the place of all there are, by their own ids; one that has the
  mask of the one with its id is that one still. With "import more" those there are stay, and new ones get new ids.

A new id is the highest ever used + 1. Rows keep their order, new grains come last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.splitting import by_line, by_region, by_seeds
from napari_stemnmf.texts import shown_lines

IMPORTS = frozenset({"import", "import more"})
"""Kinds of edits by which grains come in from other programs."""

GEOMETRY = IMPORTS | {"merge", "split region", "split line", "split seeds", "delete", "add", "erase", "new"}
"""Kinds of edits that change masks."""

ANNOTATIONS = frozenset({"accept", "reject", "undecide", "comment", "class"})
"""Kinds of edits that change what is noted about grains: verdict, comment, class."""


@dataclass(frozen=True, eq=False)
class Edit:
    """One thing that a user did to grains.

    Attributes
    ----------
    kind : str
        One of `GEOMETRY` or `ANNOTATIONS`.
    grains : tuple of int
        Ids of the grains that it acts on; none for "new" and imports, one for splits, "add" and "erase".
    text : str
        The comment or the class; of an import, id and number of positions of each grain, as in "5:183 7:44".
    points : ndarray of float64, (n, 2)
        (row, column): positions of the scan for "split region", "add", "erase" and "new", of the grains of an import
        one after the other, seeds for "split seeds",
        and the vertices of the line, between positions too, for "split line".

    Raises
    ------
    DataError
        If there is no such kind of edit, or the points are not finite pairs.
    """

    kind: str
    grains: tuple[int, ...] = ()
    text: str = ""
    points: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))

    def __post_init__(self) -> None:
        if self.kind not in GEOMETRY | ANNOTATIONS:
            raise DataError(f"There is no edit '{self.kind}'; choose from {', '.join(sorted(GEOMETRY | ANNOTATIONS))}.")
        points = np.array(self.points, dtype=np.float64)
        if points.size == 0:
            points = np.empty((0, 2))
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise DataError(f"Points of an edit are finite pairs (row, column), not an array of shape {points.shape}.")
        points.flags.writeable = False
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "text", shown_lines(str(self.text)))
        object.__setattr__(self, "grains", tuple(dict.fromkeys(int(grain) for grain in self.grains)))


def import_of(grains: Mapping[int, np.ndarray], columns: int, *, more: bool = False) -> Edit:
    """The edit by which grains come in: by id the flat positions of each, on a scan of so many columns.

    With `more` those there are stay, and the new ones get new ids.
    """
    text = " ".join(f"{grain}:{len(at)}" for grain, at in grains.items())
    flat = np.concatenate([np.asarray(at, np.int64) for at in grains.values()]) if grains else np.empty(0, np.int64)
    return Edit("import more" if more else "import", (), text, np.stack(np.divmod(flat, columns), axis=1))


class Shape(NamedTuple):
    """One grain: its flat positions in order, its weights there, its component, and what is known of its being right.

    Of what is edited, nothing is known.
    """

    at: np.ndarray
    weights: np.ndarray
    component: int
    confidence: float = float("nan")
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Shapes:
    """Grains while they are edited: one entry a grain, so that an edit costs what it changes.

    Attributes
    ----------
    base : Grains
        As Refine found them.
    by_id : mapping of int to Shape
        Those that there are now, in order.
    highest : int
        The highest id that was ever used: a new grain takes the next one.
    """

    base: Grains
    by_id: Mapping[int, Shape]
    highest: int

    @classmethod
    def from_grains(cls, base: Grains) -> Shapes:
        """The shapes of grains before any edit."""
        parts = (base.part(row) for row in range(len(base)))
        known = zip(parts, base.component.tolist(), base.confidence.tolist(), base.reasons, strict=True)
        rows = (Shape(at, weights, *rest) for (at, weights), *rest in known)
        return cls(base, dict(zip(base.ids.tolist(), rows, strict=True)), int(base.ids.max(initial=0)))

    @property
    def grains(self) -> Grains:
        """The grains as they are now; put together at every access, because a review keeps many states."""
        shapes = list(self.by_id.values())
        return Grains.of(
            [(s.at, s.weights) for s in shapes],
            self.base.scan_shape,
            component=np.array([s.component for s in shapes], np.int64),
            ids=np.array(list(self.by_id), np.int64),
            thresholds=self.base.thresholds,
            confidence=np.array([s.confidence for s in shapes], np.float32),
            reasons=tuple(s.reason for s in shapes),
        )

    def after(self, edit: Edit) -> Shapes:
        """The grains after an edit of a kind in `GEOMETRY`.

        Raises
        ------
        DataError
            If it names a grain that is not there, would change nothing or would leave a grain without positions.
        """
        if edit.kind in IMPORTS:
            return _imported(self, edit)
        changed, made = _CHANGES[edit.kind](self, edit)
        by_id = {i: changed.get(i, shape) for i, shape in self.by_id.items()}
        by_id |= {self.highest + 1 + i: shape for i, shape in enumerate(made)}
        kept = {i: shape for i, shape in by_id.items() if shape is not None}
        return Shapes(self.base, kept, self.highest + len(made))

    def chosen(self, edit: Edit, least: int = 1, most: int | None = None) -> list[Shape]:
        """The grains that an edit names, in its order; an error if some are missing, or too few or too many."""
        absent = [str(i) for i in edit.grains if i not in self.by_id]
        if absent:
            raise DataError(f"There is no grain {', '.join(absent)}; it was deleted, merged, or never there.")
        if len(edit.grains) < least or (most is not None and len(edit.grains) > most):
            numbers = {(1, None): "one grain or more", (2, None): "two grains or more", (1, 1): "one grain"}
            number = numbers.get((least, most), "no grain")
            raise DataError(f"'{edit.kind}' takes {number}, not {len(edit.grains)}; select {number}.")
        return [self.by_id[i] for i in edit.grains]


Change = tuple[dict[int, Shape | None], Sequence[Shape]]
"""What becomes of the grains that an edit names (None: deleted), and the new grains."""


def _merge(shapes: Shapes, edit: Edit) -> Change:
    parts = shapes.chosen(edit, 2)
    component = parts[0].component if len({p.component for p in parts}) == 1 else -1
    at, place = np.unique(np.concatenate([p.at for p in parts]), return_inverse=True)
    weights = np.zeros(len(at), np.float32)
    np.maximum.at(weights, place, np.concatenate([p.weights for p in parts]))
    whole = Shape(at, weights, component)
    first, *others = edit.grains
    return {first: whole, **dict.fromkeys(others)}, ()


def _delete(shapes: Shapes, edit: Edit) -> Change:
    shapes.chosen(edit)
    return dict.fromkeys(edit.grains), ()


def _split(shapes: Shapes, edit: Edit) -> Change:
    (whole,) = shapes.chosen(edit, 1, 1)
    scan = shapes.base.scan_shape
    mask = _plane(whole.at, np.ones(len(whole.at), bool), scan)
    try:
        if edit.kind == "split region":
            inside = by_region(mask, _plane(_positions(edit.points, scan), True, scan))
            parts = [mask & ~inside, inside]
        elif edit.kind == "split line":
            parts = _largest_first(by_line(mask, edit.points))
        else:
            parts = _largest_first(by_seeds(mask, _plane(whole.at, whole.weights, scan), edit.points))
    except DataError as error:
        raise DataError(f"Grain {edit.grains[0]} cannot be split: {error}") from None
    of_each = (part.ravel()[whole.at] for part in parts)
    kept, *new = (Shape(whole.at[its], whole.weights[its], whole.component) for its in of_each)
    return {edit.grains[0]: kept}, new


def _add(shapes: Shapes, edit: Edit) -> Change:
    (grain,) = shapes.chosen(edit, 1, 1)
    added = np.setdiff1d(_positions(edit.points, shapes.base.scan_shape), grain.at)
    if not len(added):
        raise DataError(f"All positions that would be added are in grain {edit.grains[0]} already; paint beside it.")
    weight = np.float32(grain.weights.mean(dtype=np.float64)) if len(grain.at) else np.float32(1)
    at = np.concatenate([grain.at, added])
    weights = np.concatenate([grain.weights, np.full(len(added), weight)])
    order = np.argsort(at)
    return {edit.grains[0]: Shape(at[order], weights[order], grain.component)}, ()


def _erase(shapes: Shapes, edit: Edit) -> Change:
    (grain,) = shapes.chosen(edit, 1, 1)
    left = ~np.isin(grain.at, _positions(edit.points, shapes.base.scan_shape))
    if left.all():
        raise DataError(f"None of the positions to erase is in grain {edit.grains[0]}; erase inside it.")
    if not left.any():
        raise DataError(f"Erasing this would leave grain {edit.grains[0]} without a position; delete it instead.")
    return {edit.grains[0]: Shape(grain.at[left], grain.weights[left], grain.component)}, ()


def _new(shapes: Shapes, edit: Edit) -> Change:
    shapes.chosen(edit, 0, 0)
    at = _positions(edit.points, shapes.base.scan_shape)
    if not len(at):
        raise DataError("A new grain needs a position at least; paint where it lies.")
    return {}, [Shape(at, np.ones(len(at), np.float32), -1)]


def _imported(shapes: Shapes, edit: Edit) -> Shapes:
    """The grains after an import."""
    shapes.chosen(edit, 0, 0)
    before = shapes.by_id
    by_id: dict[int, Shape] = {} if edit.kind == "import" else dict(before)
    highest = shapes.highest
    for grain, points in _grains_of(edit):
        at = _positions(points, shapes.base.scan_shape)
        if edit.kind == "import":
            same = before[grain] if grain in before and np.array_equal(before[grain].at, at) else None
        else:
            grain, same = highest + 1, None
        by_id[grain] = same or Shape(at, np.ones(len(at), np.float32), -1)
        highest = max(highest, grain)
    if by_id.keys() == before.keys() and all(by_id[i] is before[i] for i in before):
        raise DataError("These are the grains that there are already; nothing was changed.")
    order = [*(i for i in before if i in by_id), *(i for i in by_id if i not in before)]
    return Shapes(shapes.base, {i: by_id[i] for i in order}, highest)


def _grains_of(edit: Edit) -> list[tuple[int, np.ndarray]]:
    """The grains of an import: id and positions (n, 2) of each."""
    try:
        pairs = [tuple(map(int, pair.split(":"))) for pair in edit.text.split()]
        ids, counts = [i for i, _ in pairs], [count for _, count in pairs]
    except ValueError:
        ids, counts = [], []
    if not ids or min(ids) < 1 or len(set(ids)) < len(ids) or min(counts) < 1 or sum(counts) != len(edit.points):
        raise DataError("An import needs positions, and id and number of positions of each grain, each id once.")
    return list(zip(ids, np.split(edit.points, np.cumsum(counts)[:-1]), strict=True))


_CHANGES = {
    "merge": _merge,
    "delete": _delete,
    "split region": _split,
    "split line": _split,
    "split seeds": _split,
    "add": _add,
    "erase": _erase,
    "new": _new,
}


def _largest_first(parts: list[np.ndarray]) -> list[np.ndarray]:
    """The largest part, then the others as they come."""
    largest = int(np.argmax([part.sum() for part in parts]))
    return [parts[largest], *parts[:largest], *parts[largest + 1 :]]


def _positions(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Points (n, 2) as flat positions, each once and in order."""
    row, column = np.rint(points).astype(np.int64).T
    if len(points) and not ((row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])).all():
        raise DataError(f"Positions lie outside the scan of {shape[0]} x {shape[1]}; stay inside it.")
    return np.unique(row * shape[1] + column)


def _plane(at: np.ndarray, values: Any, shape: tuple[int, int]) -> np.ndarray:
    """Values of flat positions as an image (scan_y, scan_x), 0 elsewhere."""
    plane = np.zeros(shape[0] * shape[1], np.asarray(values).dtype)
    plane[at] = values
    return plane.reshape(shape)
