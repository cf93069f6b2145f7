"""What a user makes of the grains of one feature: edits, verdicts, classes and comments, with undo and redo.

A review is the grains that Refine found and the list of what was done to them; all else follows from these by replay.
Leans on `editing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import pandas as pd

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.editing import GEOMETRY, Edit, Shapes
from napari_stemnmf.grains.refinement import Grains

ACCEPTED, REJECTED = "accepted", "rejected"
_VERDICTS = {"accept": ACCEPTED, "reject": REJECTED, "undecide": ""}


class Words(NamedTuple):
    """What is said of one grain."""

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
        """The review with one more thing done; what was undone can then no longer be redone.

        Words that say what is said already change nothing, and leave the review as it is.

        Raises
        ------
        DataError
            If the edit names a grain that is not there, would change no mask or would leave a grain without positions.
        """
        state = self._states[-1].after(edit)
        if edit.kind not in GEOMETRY and state.words == self._states[-1].words:
            return self
        return Review(self.base, (*self.edits, edit))._knowing([*self._states, state], self)

    def undo(self) -> Review:
        """The review without the last edit.

        Raises
        ------
        DataError
            If nothing was done.
        """
        if not self.edits:
            raise DataError("There is nothing to undo.")
        *edits, last = self.edits
        return replace(self, edits=tuple(edits), undone=(*self.undone, last))._knowing(self._states[:-1], self)

    def redo(self) -> Review:
        """The review with the edit that was undone last.

        Raises
        ------
        DataError
            If nothing was undone.
        """
        if not self.undone:
            raise DataError("There is nothing to redo.")
        *undone, last = self.undone
        state = self._states[-1].after(last)
        again = replace(self, edits=(*self.edits, last), undone=tuple(undone))
        return again._knowing([*self._states, state], self)

    @cached_property
    def grains(self) -> Grains:
        """The grains as edited; `base` itself if no edit changed a mask."""
        shapes = self._states[-1].shapes
        return self.base if shapes is self._states[0].shapes else shapes.grains

    def verdicts(self) -> pd.DataFrame:
        """What is said of each grain: "verdict" ("", "accepted", "rejected"), "class" and "comment", by "grain_id"."""
        words = self._states[-1].words
        ids = self._states[-1].shapes.by_id
        said = [words.get(i, Words()) for i in ids]
        columns = {"verdict": 0, "class": 1, "comment": 2}
        found = {name: [w[at] for w in said] for name, at in columns.items()}
        return pd.DataFrame(found, index=pd.Index(list(ids), dtype="int64", name="grain_id"), dtype=object)

    @property
    def digest(self) -> str:
        """A short hash of the edits that changed masks; empty where there are none."""
        done = [edit for edit in self.edits if edit.kind in GEOMETRY]
        if not done:
            return ""
        parts = [repr((edit.kind, edit.grains, edit.points.shape)).encode() + edit.points.tobytes() for edit in done]
        return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]

    @cached_property
    def _states(self) -> list[_State]:
        """What was there before each edit, and what is there now."""
        states = [_State(Shapes.of(self.base), {})]
        for edit in self.edits:
            states.append(states[-1].after(edit))
        return states

    def _knowing(self, states: list[_State], before: Review) -> Review:
        """The same, which need not replay its edits, nor stack grains anew that the one before it has as well."""
        self.__dict__["_states"] = states
        if "grains" in before.__dict__ and states[-1].shapes is before._states[-1].shapes:
            self.__dict__["grains"] = before.grains
        return self


class _State(NamedTuple):
    """Grains and words between two edits."""

    shapes: Shapes
    words: Mapping[int, Words]

    def after(self, edit: Edit) -> _State:
        """What an edit makes of it."""
        if edit.kind not in GEOMETRY:
            self.shapes.chosen(edit)
            said = {i: _said(self.words.get(i, Words()), edit) for i in edit.grains}
            return self._replace(words={**self.words, **said})
        shapes = self.shapes.after(edit)
        words = {i: said for i, said in self.words.items() if i in shapes.by_id}
        made = [i for i in shapes.by_id if i > self.shapes.highest]
        before = [self.words.get(i, Words()) for i in edit.grains]
        if edit.kind == "merge":
            words[edit.grains[0]] = _joined(before)
        elif edit.kind.startswith("split"):
            words[edit.grains[0]] = before[0]._replace(verdict="")
            words |= {i: Words(kind=before[0].kind) for i in made}
        return _State(shapes, words)


def _said(before: Words, edit: Edit) -> Words:
    if edit.kind in _VERDICTS:
        return before._replace(verdict=_VERDICTS[edit.kind])
    return before._replace(**{"class": {"kind": edit.text}, "comment": {"comment": edit.text}}[edit.kind])


def _joined(parts: list[Words]) -> Words:
    """Of grains that became one: not decided; the class that all have; all comments."""
    kinds = {part.kind for part in parts}
    comments = dict.fromkeys(part.comment for part in parts if part.comment)
    return Words(kind=kinds.pop() if len(kinds) == 1 else "", comment="; ".join(comments))
