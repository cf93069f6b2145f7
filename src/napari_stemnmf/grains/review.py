"""The review of the grains of one feature: edits, verdicts, classes and comments, with undo and redo.

A review is the grains that Refine found and the list of edits; everything else follows from these by replay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.editing import GEOMETRY, IMPORTS, Edit, Shapes
from napari_stemnmf.grains.grains import Grains

ACCEPTED, REJECTED = "accepted", "rejected"
_VERDICTS = {"accept": ACCEPTED, "reject": REJECTED, "undecide": ""}


class Annotation(NamedTuple):
    """What a user noted about one grain."""

    verdict: str = ""
    """`ACCEPTED`, `REJECTED`, or empty: not decided."""
    kind: str = ""
    """Its class."""
    comment: str = ""


@dataclass(frozen=True, eq=False)
class Review:
    """The review of one feature's grains.

    Attributes
    ----------
    base : Grains
        As Refine found them.
    edits : tuple of Edit
        What was done, in order.
    undone : tuple of Edit
        What redo brings back, the next one last.
    """

    base: Grains
    edits: tuple[Edit, ...] = ()
    undone: tuple[Edit, ...] = ()

    def with_edit(self, edit: Edit) -> Review:
        """The review with one more edit; what was undone can then no longer be redone.

        An annotation that is there already changes nothing, and leaves the review as it is. Raises as `Shapes.after`.
        """
        state = self._states[-1].after(edit)
        if edit.kind not in GEOMETRY and state.annotations == self._states[-1].annotations:
            return self
        return Review(self.base, (*self.edits, edit))._with_states([*self._states, state], self)

    def undo(self) -> Review:
        """The review without the last edit; a DataError if nothing was done."""
        if not self.edits:
            raise DataError("There is nothing to undo.")
        *edits, last = self.edits
        return replace(self, edits=tuple(edits), undone=(*self.undone, last))._with_states(self._states[:-1], self)

    def redo(self) -> Review:
        """The review with the edit that was undone last; a DataError if nothing was undone."""
        if not self.undone:
            raise DataError("There is nothing to redo.")
        *undone, last = self.undone
        state = self._states[-1].after(last)
        again = replace(self, edits=(*self.edits, last), undone=tuple(undone))
        return again._with_states([*self._states, state], self)

    @cached_property
    def grains(self) -> Grains:
        """The grains as edited; `base` itself if no edit changed a mask."""
        shapes = self._states[-1].shapes
        return self.base if shapes is self._states[0].shapes else shapes.grains

    def verdicts(self) -> pd.DataFrame:
        """The annotation of each grain: "verdict" ("", "accepted", "rejected"), "class", "comment", by "grain_id"."""
        ids = self._states[-1].shapes.by_id
        rows = [self._states[-1].annotations.get(i, Annotation()) for i in ids]
        columns = {name: [row[at] for row in rows] for at, name in enumerate(("verdict", "class", "comment"))}
        return pd.DataFrame(columns, index=pd.Index(list(ids), dtype="int64", name="grain_id"), dtype=object)

    @property
    def digest(self) -> str:
        """A short hash of the edits that changed masks; empty where there are none."""
        done = [edit for edit in self.edits if edit.kind in GEOMETRY]
        if not done:
            return ""
        parts = [_mark(edit) + edit.points.tobytes() for edit in done]
        return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]

    @cached_property
    def _states(self) -> list[_State]:
        """The state before each edit, and the present one."""
        states = [_State(Shapes.from_grains(self.base), {})]
        for edit in self.edits:
            states.append(states[-1].after(edit))
        return states

    def _with_states(self, states: list[_State], before: Review) -> Review:
        """This review with its states given, so that edits need not be replayed, nor unchanged grains stacked again."""
        self.__dict__["_states"] = states
        if "grains" in before.__dict__ and states[-1].shapes is before._states[-1].shapes:
            self.__dict__["grains"] = before.grains
        return self


class _State(NamedTuple):
    """Grains and their annotations between two edits."""

    shapes: Shapes
    annotations: Mapping[int, Annotation]

    def after(self, edit: Edit) -> _State:
        """The state after an edit."""
        before = [self.annotations.get(i, Annotation()) for i in edit.grains]
        if edit.kind not in GEOMETRY:
            self.shapes.chosen(edit)
            changed = {i: _annotated(old, edit) for i, old in zip(edit.grains, before, strict=True)}
            return self._replace(annotations={**self.annotations, **changed})
        shapes = self.shapes.after(edit)
        annotations = {i: annotation for i, annotation in self.annotations.items() if i in shapes.by_id}
        made = [i for i in shapes.by_id if i > self.shapes.highest]
        if edit.kind == "merge":
            annotations[edit.grains[0]] = _joined(before)
        elif edit.kind.startswith("split"):
            annotations[edit.grains[0]] = before[0]._replace(verdict="")
            annotations |= {i: Annotation(kind=before[0].kind) for i in made}
        return _State(shapes, annotations)


def _mark(edit: Edit) -> bytes:
    """What an edit of masks is beside its points."""
    whose = (edit.text,) if edit.kind in IMPORTS else ()
    return repr((edit.kind, edit.grains, edit.points.shape, *whose)).encode()


def _annotated(before: Annotation, edit: Edit) -> Annotation:
    if edit.kind in _VERDICTS:
        return before._replace(verdict=_VERDICTS[edit.kind])
    return before._replace(**{"class": {"kind": edit.text}, "comment": {"comment": edit.text}}[edit.kind])


def _joined(parts: list[Annotation]) -> Annotation:
    """The annotation of merged grains: not decided, the class that all share, all comments."""
    kinds = {part.kind for part in parts}
    comments = dict.fromkeys(part.comment for part in parts if part.comment)
    return Annotation(kind=kinds.pop() if len(kinds) == 1 else "", comment="; ".join(comments))
