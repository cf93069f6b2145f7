"""One dock for all: the start page, and behind its *Adjust* the steps. A page is made when it is first shown."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QButtonGroup, QFrame, QPushButton, QScrollArea, QSizePolicy, QStackedWidget, QWidget

from napari_stemnmf import stages
from napari_stemnmf.plugin import status
from napari_stemnmf.plugin.jobs.strip import JobStrip
from napari_stemnmf.plugin.keeper import keeper_of
from napari_stemnmf.plugin.saving.saved_line import SavedLine
from napari_stemnmf.plugin.session import Session, session_of
from napari_stemnmf.plugin.widgets import button as new_button
from napari_stemnmf.plugin.widgets import column, row

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

WIDTH = 412
"""Least width of a step, with a scroll bar beside it, in pixels of the screen."""
TITLE = 6
"""Pixels that napari's title of a dock may lie over what is in it."""
COLUMNS = 5
"""Buttons in a row of the bar: ten with their marks do not fit into one at a dock's width."""
START = "start"
BUTTON = "QPushButton { padding: 3px 1px; margin: 0px; }"


class Entry(NamedTuple):
    """A step of the dock: its name, and what it is for."""

    title: str
    about: str


def entries() -> tuple[Entry, ...]:
    """The steps in order: those of the table of stages, and what comes before and after them."""
    of_stages = (Entry(stage.name.capitalize(), stage.about) for stage in stages.steps())
    return (
        Entry("Explore", "the pattern under the probe, regions, and virtual detectors"),
        *of_stages,
        Entry("Review", "grain by grain: look, decide, correct"),
        Entry("Score", "the grains against a truth"),
        Entry("Recipe", "all steps with one button; the settings, or a script, to take along"),
    )


class StagesWidget(QWidget):
    """The start page, and the steps behind a bar of buttons; one scan and one representation for all.

    The bar folds away under *Adjust* on the start page, and stands above a step with a button that leads back.

    Attributes
    ----------
    steps : dict
        The pages that were made so far, by the lower-case name of their step, the start page among them.
    buttons : dict of QPushButton
        The bar, by the same names.
    home : QPushButton
        Leads back to the start page.
    current : str
        The page that is shown.
    jobs : JobStrip
        What runs for other scans.
    saved : SavedLine
        Where the analysis is saved.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._session: Session | None = session_of(viewer.layers.selection.active)
        self._passing_on = False
        self.steps: dict[str, Any] = {}
        self.current = ""
        self._entries = {entry.title.lower(): entry for entry in entries()}
        self.buttons = {name: self._button(name) for name in self._entries}
        self.home = new_button("‹ Start", "back to the start page", lambda: self.show_step(START))
        self.home.setStyleSheet(BUTTON)
        self._pages = QStackedWidget()
        self.jobs, self.saved = JobStrip(viewer), SavedLine(viewer)
        self._lay_out()
        self.destroyed.connect(lambda: self._disconnect())
        self._follow(self._session)
        self.show_step(START)
        keeper = keeper_of(viewer)
        if keeper is not None:
            keeper.join(self)

    def step(self, name: str) -> Any:
        """The page of a step, made if it was not shown before."""
        if name not in self.steps:
            widget = self.steps[name] = _dock_of(name)(self._viewer)
            _set_in_front(widget, False)
            self._pages.addWidget(_native(widget))
            self._pass_on(widget)
            if hasattr(widget, "scan"):
                widget.scan.changed.connect(self._on_scan)
            if hasattr(widget, "pages"):
                widget.pages.wanted.connect(self.show_step)
            if self._session is None and hasattr(widget, "scan"):
                self._on_scan(widget.scan.value)
        return self.steps[name]

    def show_step(self, name: str) -> Any:
        """Show a page, and return its widget."""
        widget = self.step(name)
        if self.current in self.steps and self.current != name:
            _set_in_front(self.steps[self.current], False)
        self.current = name
        self._move_bar(name)
        self._pages.setCurrentWidget(_native(widget))
        _set_in_front(widget, True)
        return widget

    def _move_bar(self, name: str) -> None:
        """Fold the bar away on the start page; put it above any other."""
        at_start = name == START
        self._group.setExclusive(not at_start)
        for each, button in self.buttons.items():
            button.setChecked(each == name)
        self.home.setVisible(not at_start)
        if at_start:
            self.steps[START].steps.addWidget(self._bar)
        else:
            self._top.addWidget(self._bar)

    def reset_choices(self, *args: object) -> None:
        """Called by napari when layers change."""
        for widget in self.steps.values():
            if hasattr(widget, "reset_choices"):
                widget.reset_choices()

    # ---- one scan for all

    def _on_scan(self, session: Any) -> None:
        if self._passing_on or not isinstance(session, Session | None):
            return
        self._follow(session)
        for widget in self.steps.values():
            self._pass_on(widget)

    def _pass_on(self, widget: Any) -> None:
        """Have a step show the scan that was chosen in another."""
        self._passing_on = True
        try:
            chooser = getattr(widget, "scan", None)
            if chooser is not None and self._session is not chooser.value and self._session in chooser.choices:
                chooser.value = self._session
        finally:
            self._passing_on = False

    def _follow(self, session: Session | None) -> None:
        if self._session is not None:
            self._session.changed.disconnect(self._mark, missing_ok=True)
        self._session = session
        if session is not None:
            session.changed.connect(self._mark)
        self._mark()
        self.saved.show_session(session)
        self.jobs.leave_out(session)

    def _disconnect(self) -> None:
        """The dock was closed: stop listening."""
        if self._session is not None:
            self._session.changed.disconnect(self._mark, missing_ok=True)
            self._session = None

    # ---- the bar

    def _button(self, name: str) -> QPushButton:
        title, about = self._entries[name]
        button = new_button(title, f"{title}: {about}", lambda: self.show_step(name), checkable=True)
        button.setStyleSheet(BUTTON)
        button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
        return button

    def _mark(self) -> None:
        """Show how far each step is."""
        feature = status.looked_at(self._session)
        for name, button in self.buttons.items():
            entry, state = self._entries[name], status.mark_of(self._session, name, feature)
            button.setText(f"{entry.title}\N{THIN SPACE}{status.MARKS[state]}".rstrip())
            of = f" ({feature.upper()})" if state and name not in ("calibrate", "score") else ""
            button.setToolTip(f"{entry.title}: {entry.about}" + (f"\n{status.WORDS[state]}{of}" if state else ""))

    def _lay_out(self) -> None:
        buttons = [self.home, *self.buttons.values()]
        self._group = QButtonGroup(self)
        for each in self.buttons.values():
            self._group.addButton(each)
        lines = [row(*buttons[i : i + COLUMNS]) for i in range(0, len(buttons), COLUMNS)]
        for line in lines:
            line.setSpacing(2)
            for i in range(line.count()):
                line.setStretch(i, 1)
        self._bar = QWidget()
        bar = column(*lines, parent=self._bar)
        bar.setSpacing(2)
        bar.setContentsMargins(2, 0, 2, 0)
        self._top = column()
        scroll = QScrollArea()  # beside a table below the canvas there is not room for all of a step
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setMinimumWidth(WIDTH)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(_Room(self._pages))
        column(self._top, scroll, self.jobs, self.saved, parent=self, stretch=scroll).setContentsMargins(0, TITLE, 0, 0)


class _Room(QWidget):
    """Gives a widget all the room there is, and at least what it needs.

    A scroll area asks a layout how high it would like to be, and scrolls although there is room enough.
    """

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        inside.setParent(self)
        self._inside = inside

    def minimumSizeHint(self) -> QSize:
        """What the widget needs."""
        return self._inside.minimumSizeHint()

    def sizeHint(self) -> QSize:
        """What it would like."""
        return self._inside.sizeHint()

    def resizeEvent(self, event: Any) -> None:
        """The widget has all of it."""
        super().resizeEvent(event)
        self._inside.setGeometry(self.rect())

    def event(self, event: QEvent | None) -> bool:
        """The widget needs more, or less."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().event(event)


def _dock_of(name: str) -> Any:
    """The class of a step's dock; one made of the table of stages for a stage that has none of its own."""
    folder = f"napari_stemnmf.plugin.docks.{name}"
    if find_spec(folder) is not None:
        return getattr(import_module(f"{folder}.widget"), f"{name.capitalize()}Widget")
    from napari_stemnmf.plugin.forms.step import StepWidget

    return type(
        f"{name.capitalize()}Widget", (StepWidget,), {"step": name, "run_text": stages.named(name).button or "Run"}
    )


def _native(widget: Any) -> QWidget:
    """The Qt widget of a magicgui or Qt widget."""
    return widget if isinstance(widget, QWidget) else widget.native


def _set_in_front(widget: Any, on: bool) -> None:
    """Tell a step that can use it whether it is the one that is shown: those behind it need not draw."""
    if hasattr(widget, "set_in_front"):
        widget.set_in_front(on)
