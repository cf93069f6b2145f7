"""Which grains are selected in Review, and the edits of these: what its widget has beneath its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.review import model, words
from napari_stemnmf.plugin.docks.review.model import Measured
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.widgets import show_error, show_warning

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.grains.editing import Edit


class SelectingWidget(StepWidget):
    """A step in which grains are selected, by whatever means, and edited.

    Attributes
    ----------
    chosen : tuple of int
        Ids of all selected grains, in the order in which they were selected; the last of them is the session's.
    """

    chosen: tuple[int, ...]
    grains: Any
    canvas: Any
    tools: Any
    missed: Any
    _features: pd.DataFrame | None
    _measured: Measured | None
    _next: list[int] | None  # what an edit that is being made leaves selected

    def _show_selected(self) -> None:
        """Show the grain that was selected last, everywhere."""
        raise NotImplementedError

    @property
    def selected(self) -> int:
        """Id of the grain that was selected last, 0 for none."""
        return self._session.selected.get(str(self.feature.value), 0) if self._session is not None else 0

    def choose(self, ids: Sequence[int]) -> None:
        """Select these grains; the last one is shown."""
        if self._session is None:
            return
        ids = [i for i in ids if i]
        kept = [i for i in self.chosen if i in ids[:-1]]
        self.chosen = tuple(dict.fromkeys([*kept, *ids]))
        self._session.select_grain(str(self.feature.value), ids[-1] if ids else 0)
        self._show_selected()
        if not self.tools.tool:
            self.canvas.activate()

    def _on_picked(self, row: int, column: int, more: bool) -> None:
        there = model.grains_at(self._found(), row, column)
        if self._session is not None:
            self._session.move_probe(row, column)
        if not there and self.missed.propose(row, column):
            return
        if more and there:
            self.choose(model.toggled(self.chosen, there[0]))
        elif not more:
            self.choose([model.clicked(there, self.selected)])

    def _on_labelled(self, label: int) -> None:
        if label in self._found().ids:
            self.choose([label])

    def _merge_with(self, neighbour: int) -> None:
        """Merge the selected grain with the one that is offered; the selected one keeps its number."""
        if self.selected and neighbour:
            self.chosen = (self.selected, neighbour)
            self._edit_chosen("merge")

    def _annotate(self, kind: str, text: str) -> None:
        """Give the selected grains a class or a comment, if they do not have it."""
        features, text = self._features, text.strip()
        if features is not None and any(features[kind].iloc[i] != text for i in self.chosen):
            self._edit_chosen(kind, text)

    def _edit_chosen(self, kind: str, text: str = "") -> None:
        """Make an edit of the selected grains."""
        from napari_stemnmf.grains.editing import Edit

        grains = self.chosen
        if kind == "delete" and grains:
            self._next = model.after_deletion(self.grains.order, grains)
        against = ""
        if kind == "merge":
            self._next = list(grains[:1])
            against = words.against_merging(self._measured, grains) if self._measured and len(grains) > 1 else ""
        if self._edit(Edit(kind, grains, text)) and against:
            show_warning(against)
        self._next = None

    def _edit(self, *edits: Edit) -> bool:
        """Make edits. If that is not possible, a notification says why, and nothing has changed."""
        if self._session is None:
            return False
        try:
            self._session.edit(str(self.feature.value), *edits)
        except StemNMFError as error:
            show_error(error)
            return False
        return True

    def _unexplained(self) -> Any:
        """The map of what is not explained, or None."""
        analysis = self._session.analysis if self._session is not None else None
        return None if analysis is None else analysis.unexplained.get(str(self.feature.value))

    def _found(self) -> Any:
        """The grains of the chosen scan and feature, or None."""
        return self._session.result("refine", str(self.feature.value)) if self._session is not None else None
