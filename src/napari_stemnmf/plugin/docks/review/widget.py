"""Review: look at the grains one by one, decide on each, and correct what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from magicgui.widgets import PushButton
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.measure.widget import show_table
from napari_stemnmf.plugin.docks.review import model as reviewing
from napari_stemnmf.plugin.docks.review.buttons import DecideButtons, EditButtons, GoButtons
from napari_stemnmf.plugin.docks.review.grain_list import GrainList
from napari_stemnmf.plugin.docks.review.grain_patterns import Measured, Pictures
from napari_stemnmf.plugin.docks.review.grain_pictures import GrainPictures
from napari_stemnmf.plugin.docks.review.grains_on_canvas import KINDS, GrainsOnCanvas
from napari_stemnmf.plugin.docks.review.keys import Keys
from napari_stemnmf.plugin.docks.review.tools import BRUSHES, Tools, tell
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Latest
from napari_stemnmf.plugin.layers.grain_layers import features_of, stale_grains
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.grains.editing import Edit

WIDTH, BAR = 356, 14
"""Least width of the dock's inside, and of a scroll bar beside it, in pixels of the screen."""
NO_GRAINS = "There are no grains of {} yet; run Refine."


class ReviewWidget(StepWidget):
    """The grains of one scan and feature: a table, the patterns of the selected one, decisions and edits.

    Attributes
    ----------
    decided : QProgressBar
        How many grains are decided.
    grains : GrainList
        The grains, of which one or more are selected.
    pictures : GrainPictures
        The patterns of the grain that was selected last.
    words : QLabel
        Its numbers.
    go, decide, edit : GoButtons, DecideButtons, EditButtons
    tools : Tools
    table : PushButton
        Opens napari's features table.
    """

    step: ClassVar[str] = "review"
    run_text: ClassVar[str] = "Measure changed"

    def _add_forms(self) -> None:
        self._chosen: tuple[int, ...] = ()  # the last of them is the session's
        self._seen: tuple[Any, ...] = (None, "", None)
        self._features: pd.DataFrame | None = None
        self._measured: Measured | None = None
        self._order: list[int] = []
        self._next: list[int] | None = None  # what an edit that is being made leaves selected
        self.decided, self.grains, self.pictures, self.words = QProgressBar(), GrainList(), GrainPictures(), QLabel()
        self.go, self.decide, self.edit = (
            GoButtons(self.act, self.pictures.scale),
            DecideButtons(self.act),
            EditButtons(self.act),
        )
        self.canvas = GrainsOnCanvas(self._viewer, self._on_picked, self._on_labelled, self._on_painted)
        self.tools = Tools(self.canvas, self.edit, self._do, self.choose, tell)
        self._keys = Keys(self._viewer, self.native, self.act)
        self._watch = _Watch(self.native, self._on_visible)
        self._latest = Latest(lambda measured: measured.compared(), self.native)
        self._latest.done.connect(self._on_compared)
        self.grains.chosen.connect(self.choose)
        self.pictures.neighbour_wanted.connect(lambda grain: self.choose([grain]))
        self.go.order.currentTextChanged.connect(lambda _: self._list_grains())
        kind, comment = self.decide.kind, self.decide.comment
        kind.activated.connect(lambda _: self._note_down("class", kind.currentText()))
        self.decide.written.editingFinished.connect(lambda: self._note_down("class", kind.currentText()))
        comment.editingFinished.connect(lambda: self._note_down("comment", comment.text()))
        self._viewer.events.theme.connect(self._on_theme)

    def _buttons(self) -> list[Any]:
        self.table = PushButton(name="table", text="Show table")
        self.table.tooltip = "napari's features table, with all numbers; a click on a row selects the grain here"
        self.table.clicked.connect(self._on_table)
        self.run.tooltip = "patterns and numbers of the grains that were changed; those of the others stay"
        return [self.table]

    def _style(self) -> None:
        super()._style()
        self.decided.setToolTip("grains that were accepted or rejected; kept with the analysis")
        self.words.setToolTip("the grain that was selected last; lengths in nm where the scan is calibrated")
        self.words.setWordWrap(True)
        self.words.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(2, 0, 2, 0)
        column.setSpacing(4)
        parts = (self.decided, self.grains, self.go, self.words, self.pictures, self.decide, self.edit)
        for part in parts:
            column.addWidget(part, {self.grains: 3, self.pictures: 2}.get(part, 0))
        for part in (self.decide, self.edit):
            part.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.form_area.native.layout().addWidget(body)
        self.form_area.native.setMinimumWidth(WIDTH)
        self._scroll.setMinimumWidth(WIDTH + BAR)
        inner = self._scroll.widget()
        room = inner.layout() if inner is not None else None
        if isinstance(room, QVBoxLayout):
            room.setStretch(0, 1)  # table and pictures take the room that is left empty below forms
            room.setStretch(1, 0)
        shown = preferences()
        self.pictures.scale.setCurrentText(shown.scaling)
        self.pictures.set_colour_map(shown.colormap)
        self._on_theme()

    # ---- what the user does

    def act(self, name: str) -> None:
        """Do what a button or a key says."""
        if self._found() is None:
            return
        if name in ("next", "previous"):
            self.choose([reviewing.after(self.grains.order, self.selected, 1 if name == "next" else -1)])
        elif name in ("next doubtful", "previous doubtful"):
            found = reviewing.next_doubtful(
                self._order, self._undecided(), self.selected, 1 if name == "next doubtful" else -1
            )
            self.choose([found] if found else self.chosen)
        elif name == "comment":
            self.decide.comment.setFocus()
        elif name == "cancel":
            self.tools.put_down()
        elif name == "done" or (name == self.tools.tool and name.startswith("split")):
            self.tools.split(self.selected)
        elif name in BRUSHES or name.startswith("split"):
            self.tools.take_up(name, self.selected)
        elif name in ("undo", "redo"):
            self._undo(name)
        else:
            self._edit(name)

    @property
    def selected(self) -> int:
        """Id of the grain that was selected last, 0 for none."""
        return self._session.selected.get(str(self.feature.value), 0) if self._session is not None else 0

    @property
    def chosen(self) -> tuple[int, ...]:
        """Ids of all selected grains, in the order in which they were selected."""
        return self._chosen

    def choose(self, ids: Sequence[int]) -> None:
        """Select these grains; the last one is looked at."""
        if self._session is None:
            return
        ids = [i for i in ids if i]
        kept = [i for i in self._chosen if i in ids[:-1]]
        self._chosen = tuple(dict.fromkeys([*kept, *ids]))
        self._session.select_grain(str(self.feature.value), ids[-1] if ids else 0)
        self._show_selected()
        if not self.tools.tool:
            self.canvas.activate()

    def _on_picked(self, row: int, column: int, more: bool) -> None:
        there = reviewing.grains_at(self._found(), row, column)
        if more and there:
            self.choose(reviewing.toggled(self.chosen, there[0]))
        elif not more:
            self.choose([reviewing.clicked(there, self.selected)])

    def _on_labelled(self, label: int) -> None:
        if label in self._found().ids:
            self.choose([label])

    def _on_painted(self, now: np.ndarray) -> None:
        self.tools.painted(self.selected, self._found, now)

    def _note_down(self, kind: str, text: str) -> None:
        """A class or a comment for the selected grains, if they do not have it."""
        features, text = self._features, text.strip()
        if features is not None and any(features[kind].iloc[i] != text for i in self.chosen):
            self._edit(kind, text)

    def _edit(self, kind: str, text: str = "") -> None:
        from napari_stemnmf.grains.editing import Edit

        grains, order = self.chosen, self.grains.order
        if kind == "delete" and grains:
            below = [i for i in order[order.index(grains[-1]) :] if i not in grains]
            self._next = (below or [i for i in order if i not in grains])[:1]
        elif kind == "merge":
            self._next = list(grains[:1])
        self._do(lambda: [Edit(kind, grains, text)])
        self._next = None

    def _do(self, make: Callable[[], Sequence[Edit]]) -> bool:
        """Make edits; if that is not possible it is told, and nothing has changed."""
        session = self._session
        if session is None:
            return False
        try:
            session.edit(str(self.feature.value), *make())
        except StemNMFError as error:
            tell(error)
            return False
        return True

    def _undo(self, name: str) -> None:
        if self._session is not None:
            (self._session.undo if name == "undo" else self._session.redo)(str(self.feature.value))

    def _on_run(self) -> None:
        self._start("measure")

    def _on_table(self) -> None:
        if self._session is not None:
            show_table(self._viewer, self._session, str(self.feature.value))

    # ---- what is shown

    def _show_session(self, session: Session | None) -> None:
        feature, found = str(self.feature.value), self._found()
        self._link()
        seen = (session, feature, session.analysis if session is not None else None)
        if any(new is not old for new, old in zip(seen, self._seen, strict=True)):
            self._follow(session)
            other = seen[:2] != self._seen[:2]
            self._seen = seen
            if other:
                self._chosen = ()
                if self.native.isVisible():
                    self.canvas.bring_forward()
            self._take(session, feature)
        for part in (self.decide, self.edit):
            part.setEnabled(found is not None)
        self.edit.buttons["undo"].setEnabled(session is not None and session.can_undo(feature))
        self.edit.buttons["redo"].setEnabled(session is not None and session.can_redo(feature))
        self.table.enabled = found is not None

    def _take(self, session: Session | None, feature: str) -> None:
        """Show other grains, or what an edit or Measure has made of them."""
        found = self._found()
        if session is None or session.analysis is None or found is None:
            self._features, self._measured, self._order, self._chosen = None, None, [], ()
            self.grains.show_grains(None)
        else:
            stale = stale_grains(session.analysis, feature)
            self._features = features_of(session, feature, stale)
            self.canvas.update(self._features)
            self._measured = Measured.of(session.analysis, feature, stale, self._measured)
            if self._measured.likeness is None and self._measured.rows:
                self._latest.ask(self._measured)
            if self._next is not None:
                self._chosen = tuple(self._next)
                session.select_grain(feature, self._next[-1] if self._next else 0)
            else:
                kept = [i for i in self._chosen if i in found.ids]
                self._chosen = tuple(kept) if self.selected in kept else (self.selected,) * bool(self.selected)
            self._list_grains()
        review = session.review(feature) if session is not None else None
        count = 0 if found is None else len(found)
        decided, words = reviewing.progress(None if review is None else review.verdicts(), count)
        self.decided.setRange(0, max(1, count))
        self.decided.setValue(decided)
        self.decided.setFormat(words)
        self._show_selected()

    def _list_grains(self) -> None:
        """Fill the table, and put the grains into the order of doubt."""
        if self._features is not None:
            table, self._order = reviewing.listed(self._found(), self._features, self.go.order.currentText())
            self.grains.show_grains(table)
            self.grains.select(self.chosen)

    def _show_selected(self) -> None:
        """Show the grain that was selected last, everywhere."""
        features, grain = self._features, self.selected
        self.grains.select(self.chosen)
        self.canvas.show(grain, self.chosen[:-1])
        found = self._found()
        positions = 0 if found is None else int(found.masks[found.ids == grain].sum())
        told = "" if features is None else reviewing.in_words(features, grain, positions, len(self.chosen))
        self.words.setText(told)
        self.pictures.show_grain(Pictures() if self._measured is None else self._measured.pictures(grain))
        if features is not None:
            kinds = sorted({kind for kind in features["class"] if kind})
            row = features.iloc[grain]
            self.decide.show_words(kinds, row["class"] if grain else "", row["comment"] if grain else "")

    def _on_compared(self, measured: Measured) -> None:
        """The likenesses of the grains have been computed."""
        if self._measured is not None and measured.rows == self._measured.rows:
            self._measured = measured
            self.pictures.show_grain(measured.pictures(self.selected))

    def _told(self, session: Session | None, feature: str) -> str:
        if session is None:
            return super()._told(session, feature)
        if self._found() is None:
            return NO_GRAINS.format(feature.upper())
        stale = 0 if self._features is None or "stale" not in self._features else int(self._features["stale"].sum())
        obstacle = session.obstacle("measure", feature) if stale and session.running is None else ""
        return "\n".join(line for line in (reviewing.stale_line(stale), obstacle, session.note) if line)

    def _can_run(self, session: Session) -> bool:
        feature = str(self.feature.value)
        return session.state("measure", feature) != "done" and not session.obstacle("measure", feature)

    def _found(self) -> Any:
        """The grains of the chosen scan and feature, or None."""
        return self._session.result("refine", str(self.feature.value)) if self._session is not None else None

    def _undecided(self) -> set[int]:
        features = self._features
        if features is None:
            return set()
        return set(features.loc[(features["verdict"] == "") & (features["grain_id"] > 0), "grain_id"].tolist())

    # ---- what happens around

    def _refresh(self, *args: Any) -> None:
        super()._refresh(*args)
        self.status.visible = bool(self.status.value)

    def _on_layers(self, event: Any = None) -> None:
        super()._on_layers(event)
        self._link()

    def _link(self) -> None:
        """Stand for the layers that there are now."""
        self.canvas.follow(self._session, str(self.feature.value))
        self._keys.hold([layer for layer in map(self.canvas.layer, KINDS) if layer is not None])

    def _follow(self, session: Session | None) -> None:
        """Hear of grains that other docks select in the scan."""
        before = self._seen[0]
        if before is not session:
            self.tools.put_down()
            if before is not None:
                before.grain_selected.disconnect(self._on_grain_selected)
            if session is not None:
                session.grain_selected.connect(self._on_grain_selected)

    def _on_grain_selected(self, feature: str, grain: int) -> None:
        if (
            self._next is None
            and feature == str(self.feature.value)
            and (self._chosen[-1] if self._chosen else 0) != grain
        ):
            self._chosen = (grain,) * bool(grain)
            self._show_selected()

    def _on_visible(self, visible: bool) -> None:
        """Take clicks and keys while the dock is seen, and only then."""
        self.canvas.listen(visible)
        self._keys.listen(visible)
        if visible:
            self._link()
            self.canvas.bring_forward()
            self.canvas.show(self.selected, self.chosen[:-1])
        else:
            self.tools.put_down()
            self.canvas.hide()

    def _on_theme(self, event: Any = None) -> None:
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        self.pictures.set_colours(theme.canvas.as_hex(), theme.text.as_hex())

    def _disconnect(self, *args: Any) -> None:
        self._latest.close()
        self._viewer.events.theme.disconnect(self._on_theme)
        self.canvas.listen(False)
        self._keys.listen(False)
        if self._seen[0] is not None:
            self._seen[0].grain_selected.disconnect(self._on_grain_selected)
        super()._disconnect(*args)


class _Watch(QObject):
    """Tells when a widget is seen and when not, as tabs and docks come and go."""

    def __init__(self, watched: QWidget, tell_visible: Callable[[bool], None]) -> None:
        super().__init__(watched)
        self._tell = tell_visible
        watched.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Look at the events as they pass."""
        if event is not None and event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self._tell(event.type() == QEvent.Type.Show)
        return False
