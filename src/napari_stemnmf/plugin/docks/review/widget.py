"""Review: see the grains one by one, decide on each, and correct what is wrong.

An action's way: a button or a key calls `ReviewWidget.act` with its name; an edit goes on to `Session.edit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import PushButton

from napari_stemnmf.plugin.docks.review import model, words
from napari_stemnmf.plugin.docks.review.actions import (
    DECIDE,
    EDIT,
    GO,
    DecideButtons,
    EditButtons,
    GoButtons,
    ShowBoxes,
    name_keys,
)
from napari_stemnmf.plugin.docks.review.body import Body
from napari_stemnmf.plugin.docks.review.canvas import KINDS, GrainCanvas
from napari_stemnmf.plugin.docks.review.keys import Keys
from napari_stemnmf.plugin.docks.review.missed import Missed
from napari_stemnmf.plugin.docks.review.model import Measured, Pictures
from napari_stemnmf.plugin.docks.review.own_pattern import OwnPattern
from napari_stemnmf.plugin.docks.review.pictures import GrainPictures
from napari_stemnmf.plugin.docks.review.scatter import GrainScatter
from napari_stemnmf.plugin.docks.review.selecting import SelectingWidget
from napari_stemnmf.plugin.docks.review.tools import BRUSHES, Tools
from napari_stemnmf.plugin.docks.review.views import DecidedBar, GrainList
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers.display import show_table
from napari_stemnmf.plugin.layers.grain_layers import annotated, features_of, stale_grains
from napari_stemnmf.plugin.layers.places import axes_of
from napari_stemnmf.plugin.plain_plot import theme_colours
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import (
    Visibility,
    fill_with_forms,
    wrapping_label,
)

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

    pass

WIDTH, BAR = 356, 14
"""Smallest width of the dock's inside, and of a scroll bar beside it, in pixels of the screen."""
NO_GRAINS = "There are no grains of {} yet; run Refine."


class ReviewWidget(SelectingWidget):
    """The grains of one scan and feature: a table, the patterns of the selected one, decisions and edits.

    Attributes
    ----------
    decided : DecidedBar
    grains, scatter : GrainList, GrainScatter
        The grains, of which one or more are selected: as a table, and as a plot, on two tabs.
    pictures, numbers : GrainPictures, QLabel
        Patterns and numbers of the grain that was selected last.
    go, decide, edit, show_boxes, tools : GoButtons, DecideButtons, EditButtons, ShowBoxes, Tools
    table : PushButton
        Opens napari's features table.
    """

    step: ClassVar[str] = "review"
    run_text: ClassVar[str] = "Measure changed"

    def _add_forms(self) -> None:
        self.chosen, self._next = (), None
        self._shown: tuple[Any, ...] = (None, "", None)
        self._features, self._measured = None, None
        self._seen: tuple[Any, ...] = ()  # what the features were made from
        self._stale: Any = None
        self._only_noted = False
        self._order: list[int] = []
        self.decided, self.grains, self.pictures = DecidedBar(), GrainList(), GrainPictures()
        self.scatter, self.show_boxes = GrainScatter(), ShowBoxes()
        self.numbers = wrapping_label("the grain that was selected last; lengths in nm where the scan is calibrated")
        self._keys = Keys(self._viewer, self.native, self.act)
        self.go, self.decide, self.edit = GoButtons(self.act), DecideButtons(self.act), EditButtons(self.act)
        self._keys.changed = self._name_keys
        self.canvas = GrainCanvas(
            self._viewer,
            self._on_picked,
            self._on_labelled,
            lambda now: self.tools.take_stroke(self.selected, self._found, now),
        )
        self.tools = Tools(self._viewer, self.canvas, self.edit, self._edit, self.choose)
        self._visibility = Visibility(self.native, self._on_visible)
        self._preview = Preview(Measured.compared, self.native)
        self._preview.ready.connect(self._on_compared)
        self.own = OwnPattern(self.pictures, self.native)
        self.grains.chosen.connect(self.choose)
        self.scatter.chosen.connect(self.choose)
        self.pictures.neighbour_chosen.connect(lambda grain: self.choose([grain]))
        self.pictures.merge_asked.connect(self._merge_with)
        self.go.order.currentTextChanged.connect(lambda _: self._list_grains())
        self.decide.annotated.connect(self._annotate)
        self.show_boxes.colours.currentTextChanged.connect(self.canvas.colour_by)
        self.show_boxes.boxes["numbers"].toggled.connect(self.canvas.show_numbers)
        self.missed = Missed(self.show_boxes.boxes["unexplained"], self.canvas, self.tools, self._unexplained)
        self._viewer.events.theme.connect(self._on_theme)

    def _buttons(self) -> list[Any]:
        self.table = PushButton(name="table", text="Show table")
        self.table.tooltip = "napari's features table, with all numbers; a click on a row selects the grain here"
        self.table.clicked.connect(lambda: show_table(self._viewer, self._session, str(self.feature.value)))
        self.run.tooltip = "patterns and numbers of the grains that were changed; those of the others stay"
        return [self.table]

    def _style(self) -> None:
        super()._style()
        pages = {"List": self.grains, "Plot": self.scatter}
        below = (self.pictures, self.decide, self.edit, self.show_boxes)
        self.body = Body(self.decided, pages, (self.go, self.numbers), below)
        self.form_area.native.layout().addWidget(self.body)
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
            case "accept" | "done" if self.tools.tool == "propose":
                self.tools.take_proposal(self._found)
            case "accept next" | "reject next":
                self._edit_chosen(name.split()[0])
                self.act("next doubtful")
            case "merge offered":
                if self.pictures.offer.isVisibleTo(self.pictures):
                    self.pictures.offer.click()
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

    def _on_run(self) -> None:
        self._start("measure")

    # ---- what is shown

    def _show_session(self, session: Session | None) -> None:
        feature, found = str(self.feature.value), self._found()
        self._link()
        shown = (session, feature, session.analysis if session is not None else None)
        if any(new is not old for new, old in zip(shown, self._shown, strict=True)):
            self._follow(session)
            self.own.follow(session)
            self.pictures.set_axis(axes_of(session)[3] if session is not None else None)
            other = shown[:2] != self._shown[:2]
            self._shown = shown
            if other:
                self.chosen = ()
                self.missed.hide()
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
            self.scatter.show_grains(None)
        else:
            stale = self._know(session, session.analysis, feature)
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
            self._list_grains() if not self._only_noted else self.grains.show_noted(self._features)
        review = session.review(feature) if session is not None else None
        self.decided.show_decisions(None if review is None else review.verdicts(), 0 if found is None else len(found))
        self._show_selected()

    def _know(self, session: Session, analysis: Analysis, feature: str) -> Any:
        """Take what is known of the grains, or what is noted of them if only that is new; returns what is stale."""
        review, found = session.review(feature), analysis.grains[feature]
        seen = (session, found, analysis.tables.get(feature), analysis.keys.get(f"tables/{feature}"), feature)
        same = len(self._seen) == len(seen) and all(new is old for new, old in zip(seen[:3], self._seen, strict=False))
        same = same and seen[3:] == self._seen[3:]
        if same and self._features is not None and review is not None:
            self._features = annotated(self._features, review.verdicts())
        else:
            edited = len(self._seen) == len(seen) and seen[0] is self._seen[0] and seen[2] is self._seen[2]
            before = (self._seen[1], self._stale) if edited and seen[4] == self._seen[4] else None
            self._stale = stale_grains(analysis, feature, before)
            self._features = features_of(session, feature, self._stale)
        self._seen, self._only_noted = seen, same and review is not None
        return self._stale

    def _list_grains(self) -> None:
        """Fill the table, and order the grains by review priority."""
        if self._features is not None:
            table, self._order = model.listed(self._found(), self._features, self.go.order.currentText())
            self.grains.show_grains(table)
            self.scatter.show_grains(table)
            self.grains.select(self.chosen)

    def _show_selected(self) -> None:
        """Show the grain that was selected last, everywhere."""
        features, grain = self._features, self.selected
        self.grains.select(self.chosen)
        self.scatter.select(self.chosen)
        self.canvas.show(grain, self.chosen[:-1])
        self.pictures.show_grain(Pictures() if self._measured is None else self._measured.pictures(grain))
        if features is None:
            self.numbers.setText("")
        else:
            found = self._found()
            row_of = found.row_of(grain)
            positions = int(found.areas[row_of]) if row_of >= 0 else 0
            origin = "group" if self.feature.value == "vdf" else "component"
            self.numbers.setText(words.numbers_in_words(features, grain, positions, len(self.chosen)))
            self.numbers.setToolTip(words.more_in_words(features, grain, origin))
            kinds = sorted({kind for kind in features["class"] if kind})
            said = features.iloc[grain]
            self.decide.show_annotation(kinds, said["class"] if grain else "", said["comment"] if grain else "")

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
        self.scatter.set_theme(*theme_colours(self._viewer))

    def _name_keys(self) -> None:
        """The keys were changed in napari's preferences: tool tips name the new ones."""
        for buttons, abouts in ((self.go.buttons, GO), (self.decide.buttons, DECIDE), (self.edit.buttons, EDIT)):
            name_keys(buttons, abouts)

    def _disconnect(self, *args: Any) -> None:
        self._preview.close()
        self._viewer.events.theme.disconnect(self._on_theme)
        self.own.close()
        self.pictures.close_window()
        self.canvas.listen(False)
        self._keys.close()
        if self._shown[0] is not None:
            self._shown[0].grain_selected.disconnect(self._on_grain_selected)
        super()._disconnect(*args)
