"""What the docks of all steps share: the scan's chooser, forms, status, Run, progress and Cancel.

A dock shows the state of the chosen scan's `Session` and keeps none of its own, so several docks may be open at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import Container, Label, ProgressBar, PushButton
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFrame, QScrollArea, QSizePolicy, QSplitter, QWidget

from napari_stemnmf.errors import RecipeError
from napari_stemnmf.plugin.forms.form import Form, align_labels
from napari_stemnmf.plugin.forms.forms import Forms
from napari_stemnmf.plugin.forms.scan_choice import ScanChoice
from napari_stemnmf.plugin.keeper import keeper_of
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.saving.guard import watch_over
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.status import status
from napari_stemnmf.plugin.widgets import Section, column

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

REFRESH_MS = 100
"""How often progress is shown."""
BAR_MARGIN = 8
"""Width of the progress bar that is not for its text."""


class StepWidget(ScanChoice):
    """Base of the step docks; a subclass names its step and adds its forms.

    Attributes
    ----------
    scan : ComboBox
        The scan to work on, which is the one in view: follows the selected layer, and can be set. A 4-D image layer of
        others can be chosen, too, and becomes a scan.
    feature : ComboBox
        The representation to work on, "vdf", "aa", "rv" or "bd", which is the one in view; hidden where a step works on
        all.
    run, cancel : PushButton
    status : Label
        What is set, missing or stale, in words.
    cost : Label
        What Run would take now: time and memory.
    progress : ProgressBar
    """

    step: ClassVar[str]
    run_text: ClassVar[str] = "Run"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._session: Session | None = None
        self._refreshing = False
        self._in_front = True
        self._make_choosers()
        self.form_area: Container[Any] = Container(name="settings", labels=False)
        self.forms = Forms(self.form_area, self._on_setting)
        self.status = Label(name="status")
        self.cost = Label(name="cost")
        self.run = PushButton(name="run", text=self.run_text)
        self.run.tooltip = (
            "work in the background, for the scan and feature that are chosen; what is done is not done again"
        )
        self.cancel = PushButton(name="cancel", text="Cancel")
        self.cancel.tooltip = "stop and keep what was found so far"
        self.progress = ProgressBar(name="progress", min=0, max=1000, value=0)
        pressed = [*self._buttons(), self.run, self.cancel]
        buttons = Container(name="buttons", widgets=pressed, layout="horizontal", labels=False)
        super().__init__(name=self.step, labels=False)
        head: Container[Any] = Container(name="head", labels=True)
        head.extend([self.scan, *self._head(), self.feature])
        align_labels(head)
        foot = Container(
            name="foot", widgets=[self.status, *self._foot(), self.cost, buttons, self.progress], labels=False
        )
        for box in (head, foot, buttons, self.form_area):
            box.margins = (0, 0, 0, 0)
        self.extend([head, self.form_area, foot])
        self._add_forms()
        self._style()
        self._timer = QTimer(self.native)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self._show_progress)
        self.run.clicked.connect(self._on_run)
        self.cancel.clicked.connect(self._on_cancel)
        self.scan.changed.connect(self._on_scan)
        self.feature.changed.connect(self._on_feature)
        layers = viewer.layers
        layers.events.inserted.connect(self._on_layers)
        layers.events.removed.connect(self._on_layers)
        layers.selection.events.active.connect(self._on_active)
        self.native.destroyed.connect(self._disconnect)
        watch_over(viewer, self.native)
        self._refresh()
        self._on_layers()
        keeper = keeper_of(viewer)
        if keeper is not None:
            keeper.join(self.native)

    def _head(self) -> list[Any]:
        """More widgets between the chooser of the scan and that of the feature."""
        return []

    def _foot(self) -> list[Any]:
        """More widgets between the status and the buttons."""
        return []

    def _buttons(self) -> list[Any]:
        """More buttons before Run."""
        return []

    def _add_forms(self) -> None:
        """Add the step's forms with `add_form`."""

    def add_form(self, path: str, title: str = "", sliders: Mapping[str, float] | None = None) -> Form:
        """A form for the settings at a path of the recipe; ``{feature}`` in it stands for the chosen feature."""
        return self.forms.add(path, title, sliders)

    def add_section(self, title: str, *parts: QWidget, expanded: bool = False, tooltip: str = "") -> Section:
        """A part of the settings that folds away."""
        body = QWidget()
        column(*parts, parent=body).setContentsMargins(8, 0, 0, 4)
        section = Section(title, body, expanded=expanded, tooltip=tooltip)
        self.form_area.native.layout().addWidget(section)
        return section

    def features(self) -> tuple[str, ...]:
        """The features that Run computes."""
        return (str(self.feature.value),)

    def set_in_front(self, on: bool) -> None:
        """Behind another step a dock follows its scan, and shows what has changed when it is in front again."""
        was, self._in_front = self._in_front, on
        if not on:
            self._timer.stop()
        elif not was:
            self._refresh()

    @property
    def session(self) -> Session | None:
        """The session of the chosen scan."""
        return self._session

    # ---- what the user does

    def _on_run(self) -> None:
        self._start(self.step)

    def _start(self, step: str) -> None:
        if self._session is not None and self._session.running is None:
            from napari_stemnmf.plugin.jobs.runs import Job

            Job(self._viewer, self._session, step, self.features(), display.showing).start()

    def _on_cancel(self) -> None:
        if self._session is not None and self._session.running is not None:
            self._session.running.cancel()
            self.cancel.enabled = False
            self.cancel.text = "Stopping…"

    def _on_setting(self, path: str, name: str, value: Any) -> None:
        self._change({f"{path.format(feature=self.feature.value)}.{name}": value})

    def _change(self, changes: Mapping[str, Any]) -> None:
        """Change settings as the user does; the status says where one is not valid."""
        if self._session is None or self._refreshing:
            return
        try:
            self._session.set_recipe(self._session.recipe.replaced(changes))
        except RecipeError as error:
            self.status.value = str(error)
            self.run.enabled = False

    def _move_probe(self, row: int, column: int) -> None:
        if self._session is not None:
            self._session.move_probe(row, column)

    # ---- what happens around

    def _on_changed(self, *_: Any) -> None:
        if self._in_front:
            self._refresh()

    def _refresh(self, *_: Any) -> None:
        """Show the session as it is now."""
        session = self._session
        self._show_feature(session)
        feature = str(self.feature.value)
        running = session.running if session is not None else None
        self._refreshing = True
        try:
            if session is not None:
                self.forms.show(session.recipe, feature)
            self._show_session(session)
        finally:
            self._refreshing = False
        self.form_area.enabled = session is not None
        self.status.value = self._status_text(session, feature)
        self.run.enabled = session is not None and self._can_run(session)
        self._show_cost(session)
        self.cancel.enabled = running is not None
        self.cancel.text = "Cancel"
        self.progress.visible = running is not None
        if running is not None:
            self._timer.start()
        else:
            self._timer.stop()
        self._show_progress()

    def _show_session(self, session: Session | None) -> None:
        """Show what a subclass shows beyond the forms."""

    def _status_text(self, session: Session | None, feature: str) -> str:
        """What the status says."""
        return status(session, self.step, feature)

    def _can_run(self, session: Session) -> bool:
        """Whether Run has something to do and may do it."""
        return not any(session.obstacle(self.step, feature) for feature in self.features() or ("",))

    def _show_cost(self, session: Session | None) -> None:
        """What Run would take now: an estimate from what is known, for which nothing is read."""
        from napari_stemnmf.cost import estimate, is_known
        from napari_stemnmf.plugin.preferences import preferences

        self.cost.visible = is_known(self._costed)
        if session is None or not is_known(self._costed):
            self.cost.value = ""
            return
        asked, threads = self.features(), preferences().threads
        given = (session.analysis, session.dataset, session.recipe, self._costed, asked, threads or None)
        cost = estimate(*given, **self._known())
        self.cost.value = f"{self.run.text}: {cost.text()}"
        self.cost.tooltip = f"time [s] and memory [GB] beside what is held now. {cost.why}"

    @property
    def _costed(self) -> str:
        """The step that Run is estimated as."""
        return self.step

    def _known(self) -> dict[str, Any]:
        """What the dock knows beside its session, as options of `estimate`."""
        return {}

    def _show_progress(self) -> None:
        running = self._session.running if self._session is not None else None
        if running is None:
            return
        fraction = running.progress.fraction if running.progress is not None else 0.0
        self.progress.value = round(1000 * fraction)
        self._show_line(running.line())

    def _show_line(self, line: str) -> None:
        """Write on the progress bar, the whole of it into the tool tip: long lines lose their middle."""
        bar = self.progress.native
        bar.setToolTip(line)
        bar.setFormat(bar.fontMetrics().elidedText(line, Qt.TextElideMode.ElideMiddle, bar.width() - BAR_MARGIN))

    def _disconnect(self, *_: Any) -> None:
        """The dock was closed: stop listening."""
        layers = self._viewer.layers
        layers.events.inserted.disconnect(self._on_layers)
        layers.events.removed.disconnect(self._on_layers)
        layers.selection.events.active.disconnect(self._on_active)
        self._leave()

    def _leave(self) -> None:
        """Stop listening to the scan."""
        if self._session is not None:
            self._session.changed.disconnect(self._on_changed)
            self._session.probe_moved.disconnect(self._on_probe)
        self._session = None

    def _on_probe(self, row: int, column: int) -> None:
        """Another probe position is looked at."""

    def _put_above(self, view: QWidget, share: int, rest: int) -> None:
        """Put a view above the settings; the user draws the line between them, which begins at these shares."""
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(view)
        self.splitter.addWidget(self._scroll)
        self.splitter.setCollapsible(0, False)
        self.splitter.setStretchFactor(0, share)
        self.splitter.setStretchFactor(1, rest)
        self.native.layout().insertWidget(1, self.splitter, 1)

    def _style(self) -> None:
        """Settings scroll between a fixed head and foot; the status wraps."""
        for label in (self.status, self.cost):
            label.native.setTextFormat(Qt.TextFormat.PlainText)
            label.native.setWordWrap(True)
            label.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.progress.native.setTextVisible(True)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        inner = QWidget()
        column(self.form_area.native, parent=inner).addStretch(1)
        scroll.setWidget(inner)
        self.native.layout().insertWidget(1, scroll, 1)
        self.native.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._scroll = scroll
