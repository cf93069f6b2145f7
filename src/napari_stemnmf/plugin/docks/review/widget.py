"""Review: see the grains one by one, decide on each, and correct what is wrong.

An action's way: a button or a key calls `ReviewWidget.act` with its name; an edit goes on to `Session.edit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import PushButton
from qtpy.QtWidgets import QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.review import model, words
from napari_stemnmf.plugin.docks.review.actions import DecideButtons, EditButtons, GoButtons, Keys
from napari_stemnmf.plugin.docks.review.canvas import KINDS, GrainCanvas
from napari_stemnmf.plugin.docks.review.model import Measured, Pictures
from napari_stemnmf.plugin.docks.review.tools import BRUSHES, Tools
from napari_stemnmf.plugin.docks.review.views import DecidedBar, GrainList, GrainPictures
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers.display import show_table
from napari_stemnmf.plugin.layers.grain_layers import features_of, stale_grains
from napari_stemnmf.plugin.plain_plot import theme_colours
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import Visibility, column, fill_with_forms, show_error, show_warning, wrapping_label

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.grains.editing import Edit

WIDTH, BAR = 356, 14
"""Smallest width of the dock's inside, and of a scroll bar beside it, in pixels of the screen."""
NO_GRAINS = "There are no grains of {} yet; run Refine."


class ReviewWidget(StepWidget):
    """The grains of one scan and feature: a table, the patterns of the selected one, decisions and edits.

    Attributes
    ----------
    decided : DecidedBar
    grains : GrainList
        The grains, of which one or more are selected.
    pictures, numbers : GrainPictures, QLabel
        Patterns and numbers of the grain that was selected last.
    go, decide, edit, tools : GoButtons, DecideButtons, EditButtons, Tools
    chosen : tuple of int
        Ids of all selected grains, in the order in which they were selected; the last of them is the session's.
    table : PushButton
        Opens napari's features table.
    """

    step: ClassVar[str] = "review"
    run_text: ClassVar[str] = "Measure changed"

    def _add_forms(self) -> None:
        self.chosen: tuple[int, ...] = ()
        self._shown: tuple[Any, ...] = (None, "", None)
        self._features: pd.DataFrame | None = None
        self._measured: Measured | None = None
        self._order: list[int] = []
        self._next: list[int] | None = None  # what an edit that is being made leaves selected
        self.decided, self.grains, self.pictures = DecidedBar(), GrainList(), GrainPictures()
        self.numbers = wrapping_label("the grain that was selected last; lengths in nm where the scan is calibrated")
        self.go, self.decide = GoButtons(self.act, self.pictures.scale), DecideButtons(self.act)
        self.edit = EditButtons(self.act)
        self.canvas = GrainCanvas(
            self._viewer,
            self._on_picked,
            self._on_labelled,
            lambda now: self.tools.take_stroke(self.selected, self._found, now),
        )
        self.tools = Tools(self._viewer, self.canvas, self.edit, self._edit, self.choose)
        self._keys = Keys(self._viewer, self.native, self.act)
        self._visibility = Visibility(self.native, self._on_visible)
        self._preview = Preview(Measured.compared, self.native)
        self._preview.ready.connect(self._on_compared)
        self.grains.chosen.connect(self.choose)
        self.pictures.neighbour_chosen.connect(lambda grain: self.choose([grain]))
        self.go.order.currentTextChanged.connect(lambda _: self._list_grains())
        self.decide.annotated.connect(self._annotate)
        self._viewer.events.theme.connect(self._on_theme)

    def _buttons(self) -> list[Any]:
        self.table = PushButton(name="table", text="Show table")
        self.table.tooltip = "napari's features table, with all numbers; a click on a row selects the grain here"
        self.table.clicked.connect(lambda: show_table(self._viewer, self._session, str(self.feature.value)))
        self.run.tooltip = "patterns and numbers of the grains that were changed; those of the others stay"
        return [self.table]

    def _style(self) -> None:
        super()._style()
        body = QWidget()
        parts = (self.decided, self.grains, self.go, self.numbers, self.pictures, self.decide, self.edit)
        layout = column(*parts, parent=body)
        layout.setContentsMargins(2, 0, 2, 0)
        layout.setStretchFactor(self.grains, 3)
        layout.setStretchFactor(self.pictures, 2)
        self.form_area.native.layout().addWidget(body)
        self.form_area.native.setMinimumWidth(WIDTH)
        self._scroll.setMinimumWidth(WIDTH + BAR)
        fill_with_forms(self._scroll)
        shown = preferences()
        self.pictures.scale.setCurrentText(shown.scaling)
        self.pictures.set_colour_map(shown.colormap)
        self._on_theme()

    # ---- what the user does

    def act(self, name: str) -> None:
        """Do what a button or a key is for."""
        session, step = self._session, -1 if name.startswith("previous") else 1
        if session is None or self._found() is None:
            return
        match name:
            case "next" | "previous":
                self.choose([model.after(self.grains.order, self.selected, step)])
            case "next doubtful" | "previous doubtful":
                found = model.next_doubtful(self._order, model.undecided(self._features), self.selected, step)
                self.choose([found] if found else self.chosen)
            case "accept" | "reject" | "undecide" | "merge" | "delete":
                self._edit_chosen(name)
            case "undo" | "redo":
                (session.undo if name == "undo" else session.redo)(str(self.feature.value))
            case "comment":
                self.decide.comment.setFocus()
            case "cancel":
                self.tools.stop()
            case _ if name == "done" or (name == self.tools.tool and name not in BRUSHES):  # the key that began a split
                self.tools.split(self.selected)
            case _:
                self.tools.start(name, self.selected, session)

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
        if more and there:
            self.choose(model.toggled(self.chosen, there[0]))
        elif not more:
            self.choose([model.clicked(there, self.selected)])

    def _on_labelled(self, label: int) -> None:
        if label in self._found().ids:
            self.choose([label])

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

    def _on_run(self) -> None:
        self._start("measure")

    # ---- what is shown

    def _show_session(self, session: Session | None) -> None:
        feature, found = str(self.feature.value), self._found()
        self._link()
        shown = (session, feature, session.analysis if session is not None else None)
        if any(new is not old for new, old in zip(shown, self._shown, strict=True)):
            self._follow(session)
            other = shown[:2] != self._shown[:2]
            self._shown = shown
            if other:
                self.chosen = ()
                if self.native.isVisible():
                    self.canvas.bring_forward()
            self._show_grains(session, feature)
        for part in (self.decide, self.edit):
            part.setEnabled(found is not None)
        self.edit.buttons["undo"].setEnabled(session is not None and session.can_undo(feature))
        self.edit.buttons["redo"].setEnabled(session is not None and session.can_redo(feature))
        self.table.enabled = found is not None

    def _show_grains(self, session: Session | None, feature: str) -> None:
        """Show other grains, or the changes of an edit or of Measure."""
        found = self._found()
        self._preview.drop()
        if session is None or session.analysis is None or found is None:
            self._features, self._measured, self._order, self.chosen = None, None, [], ()
            self.grains.show_grains(None)
        else:
            stale = stale_grains(session.analysis, feature)
            self._features = features_of(session, feature, stale)
            self.canvas.update(self._features)
            self._measured = Measured.of(session.analysis, feature, stale, self._measured)
            if self._measured.similarity is None and self._measured.rows:
                self._preview.ask(self._measured)
            if self._next is not None:
                self.chosen = tuple(self._next)
                session.select_grain(feature, self._next[-1] if self._next else 0)
            else:
                kept = [i for i in self.chosen if i in found.ids]
                self.chosen = tuple(kept) if self.selected in kept else (self.selected,) * bool(self.selected)
            self._list_grains()
        review = session.review(feature) if session is not None else None
        self.decided.show_decisions(None if review is None else review.verdicts(), 0 if found is None else len(found))
        self._show_selected()

    def _list_grains(self) -> None:
        """Fill the table, and order the grains by review priority."""
        if self._features is not None:
            table, self._order = model.listed(self._found(), self._features, self.go.order.currentText())
            self.grains.show_grains(table)
            self.grains.select(self.chosen)

    def _show_selected(self) -> None:
        """Show the grain that was selected last, everywhere."""
        features, grain = self._features, self.selected
        self.grains.select(self.chosen)
        self.canvas.show(grain, self.chosen[:-1])
        self.pictures.show_grain(Pictures() if self._measured is None else self._measured.pictures(grain))
        if features is None:
            self.numbers.setText("")
        else:
            found = self._found()
            row_of = found.row_of(grain)
            positions = int(found.areas[row_of]) if row_of >= 0 else 0
            origin = "group" if self.feature.value == "vdf" else "component"
            self.numbers.setText(words.numbers_in_words(features, grain, positions, len(self.chosen), origin))
            kinds = sorted({kind for kind in features["class"] if kind})
            row = features.iloc[grain]
            self.decide.show_annotation(kinds, row["class"] if grain else "", row["comment"] if grain else "")

    def _on_compared(self, measured: Measured) -> None:
        """The similarities of the grains have been computed."""
        self._measured = measured
        self.pictures.show_grain(measured.pictures(self.selected))

    def _status_text(self, session: Session | None, feature: str) -> str:
        if session is None:
            return super()._status_text(session, feature)
        if self._found() is None:
            return NO_GRAINS.format(feature.upper())
        stale = 0 if self._features is None or "stale" not in self._features else int(self._features["stale"].sum())
        obstacle = session.obstacle("measure", feature) if stale and session.running is None else ""
        return "\n".join(line for line in (words.stale_line(stale), obstacle, session.note) if line)

    def _can_run(self, session: Session) -> bool:
        feature = str(self.feature.value)
        return session.state("measure", feature) != "done" and not session.obstacle("measure", feature)

    def _found(self) -> Any:
        """The grains of the chosen scan and feature, or None."""
        return self._session.result("refine", str(self.feature.value)) if self._session is not None else None

    # ---- what happens around

    def _refresh(self, *args: Any) -> None:
        super()._refresh(*args)
        self.status.visible = bool(self.status.value)

    def _on_layers(self, event: Any = None) -> None:
        super()._on_layers(event)
        self._link()

    def _link(self) -> None:
        """Use the present layers of the scan and feature."""
        feature = str(self.feature.value)
        if not self.canvas.shows(self._session, feature):
            self.tools.stop()
        self.canvas.follow(self._session, feature)
        self._keys.hold([layer for layer in map(self.canvas.layer, KINDS) if layer is not None])

    def _follow(self, session: Session | None) -> None:
        """Follow the grains that other docks select in the scan."""
        before = self._shown[0]
        if before is not session and before is not None:
            before.grain_selected.disconnect(self._on_grain_selected)
        if before is not session and session is not None:
            session.grain_selected.connect(self._on_grain_selected)

    def _on_grain_selected(self, feature: str, grain: int) -> None:
        other = (self.chosen or (0,))[-1] != grain
        if other and feature == str(self.feature.value) and self._next is None:
            self.chosen = (grain,) * bool(grain)
            self._show_selected()

    def _on_visible(self, visible: bool) -> None:
        """React to clicks and keys while the dock is visible, and only then."""
        self.canvas.listen(visible)
        self._keys.listen(visible)
        if visible:
            self._link()
            self.canvas.bring_forward()
            self.canvas.show(self.selected, self.chosen[:-1])
        else:
            self.tools.stop()
            self.canvas.hide()

    def _on_theme(self, event: Any = None) -> None:
        self.pictures.set_colours(*theme_colours(self._viewer))

    def _disconnect(self, *args: Any) -> None:
        self._preview.close()
        self._viewer.events.theme.disconnect(self._on_theme)
        self.canvas.listen(False)
        self._keys.listen(False)
        if self._shown[0] is not None:
            self._shown[0].grain_selected.disconnect(self._on_grain_selected)
        super()._disconnect(*args)
