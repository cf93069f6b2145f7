"""The start page: a scan, what is in its file, its first images, *Find grains*, and one card when that ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QFileDialog, QFrame, QLabel, QVBoxLayout, QWidget

from napari_stemnmf import stages
from napari_stemnmf.cost import ALL
from napari_stemnmf.plugin.docks.calibrate.model import look_over
from napari_stemnmf.plugin.docks.open_scan.model import open_into
from napari_stemnmf.plugin.docks.start import model
from napari_stemnmf.plugin.docks.start.pictures import Pictures
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.jobs.waiting import Waiting, running_beside
from napari_stemnmf.plugin.keeper import keeper_of, warm_up
from napari_stemnmf.plugin.layers import display, in_view
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.status import looked_at
from napari_stemnmf.plugin.widgets import LayerToggle, Section, button, column, facts, report, row, wrapping_label

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

SAMPLE = ("napari-stemnmf", "silver_grains")


class Pages(QWidget):
    """Carries which page is wanted in place of the start page."""

    wanted = Signal(str)


class StartWidget(StepWidget):
    """The page that the dock opens on.

    Attributes
    ----------
    open, folder, other, sample : QPushButton
    pictures : Pictures
    card : QFrame
        What was found; `review` and `export` lead on from it.
    adjust : Section
        Where the steps fold away; `steps` is the layout that the bar of steps goes into.
    pages : Pages
        Its signal `wanted` names another page.
    """

    step: ClassVar[str] = "start"
    run_text: ClassVar[str] = "Find grains"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.pages = Pages()
        self._look: Any = None
        self._looked_at: Session | None = None
        self._drawn: tuple[Any, ...] = ()
        self._first_look: Preview[Session, tuple[Session, tuple[str, ...]]] = Preview(look_over)
        super().__init__(viewer)
        self.feature.visible = False
        self._first_look.ready.connect(self._on_looked_over)
        if self._session is None:
            warm_up()
        self._keeper = keeper_of(viewer)
        if self._keeper is not None:
            self._keeper.scans_changed.connect(self._on_scans)

    def features(self) -> tuple[str, ...]:
        """Those of the recipe."""
        return self._session.recipe.features if self._session is not None else ()

    # ---- how it looks

    def _add_forms(self) -> None:
        self.run.tooltip = "all steps from the patterns to measured grains, in the background; what is done is kept"
        self.open = button("Open…", "open the file of a scan, or an analysis", self._on_open)
        self.folder = button("Folder…", "open a scan that is a folder: Zarr or zspy", self._on_open_folder)
        self.other = button("Other…", "name a dataset of a file, or the scan's shape", lambda: self._ask_more(None))
        self.sample = button("Sample", "a simulated silver film with overlapping grains", self._on_sample)
        self.about, self.pictures = QLabel(), Pictures()
        self.about.setWordWrap(True)
        self.about.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.pictures.wanted.connect(self._on_picture)
        self.odd = wrapping_label()
        self.odd.setStyleSheet("color: #e0a030;")
        self.card = self._card()
        holder = QWidget()
        self.steps = QVBoxLayout(holder)
        self.steps.setContentsMargins(0, 0, 0, 0)
        self.adjust = Section("Adjust", holder, tooltip="the steps one by one, with their settings")
        self.patterns = LayerToggle(
            self._viewer, "patterns", "the patterns as a layer", lambda session: [layers.patterns(session)],
            "the 4-D layer: the canvas becomes the detector, and napari's sliders move the probe",
        )  # fmt: skip
        opening = QWidget()
        row(self.open, self.folder, self.other, self.sample, parent=opening)
        below = (self.card, self.about, self.odd, self.pictures, self.patterns.native, self.adjust)
        for part in (opening, *below):
            self.form_area.native.layout().addWidget(part)

    def _card(self) -> QFrame:
        frame = QFrame()
        frame.setObjectName("card")
        frame.setStyleSheet("QFrame#card { border: 1px solid palette(highlight); border-radius: 4px; }")
        self.result = wrapping_label()
        self.result.setStyleSheet("font-size: 15px; font-weight: bold;")
        self.review = button("Review →", "look at the grains, those first that need it", self._on_review)
        self.export = button("Table and figure…", "write tables, figures and more to a folder", self._on_export)
        column(self.result, row(self.review, self.export), parent=frame).setContentsMargins(8, 8, 8, 8)
        return frame

    # ---- what the user does

    def _go(self, page: str) -> None:
        self.pages.wanted.emit(page)

    def _on_review(self) -> None:
        """Go to the grain that most needs a look, if one does and none is selected."""
        session = self._session
        self._go("review")
        if session is None:
            return
        feature = looked_at(session)
        first = model.most_doubtful(session, feature)
        if first and not session.selected.get(feature):
            session.select_grain(feature, first)

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.native, "Open a scan or an analysis")
        if path:
            self.take(path)

    def _on_open_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self.native, "Open a folder that holds a scan")
        if path:
            self.take(path)

    def take(self, path: str | Path) -> None:
        """Open a file or folder; where it does not say enough itself, the dock *Open scan* asks for the rest."""
        report(lambda: open_into(self._viewer, path, more=self._ask_more))

    def _ask_more(self, path: Path | None) -> None:
        _, dock = self._viewer.window.add_plugin_dock_widget("napari-stemnmf", "Open scan")
        dock.native.window().show()
        if path is not None:
            dock.path.value = path

    def _on_sample(self) -> None:
        self._viewer.open_sample(*SAMPLE)

    def _on_export(self) -> None:
        self._viewer.window.add_plugin_dock_widget("napari-stemnmf", "Export")

    def _on_picture(self, name: str) -> None:
        """Bring a picture onto the canvas."""
        session = self._session
        if session is None:
            return
        if name == "maximum":
            self._go("explore")
            return
        images = self._look.images if self._look is not None else None
        if name == "dark_field" and images is not None and images.dark is not None:
            display.put(self._viewer, *layers.dark_field(session, images.dark))
        for role in ("virtual_image", "dark_field"):
            layer = display.find(self._viewer, session, role)
            if layer is not None:
                layer.visible = role == name

    def _start(self, step: str) -> None:
        session = self._session
        if session is None or session.running is not None:
            return
        from napari_stemnmf.plugin.jobs.runs import Job
        from napari_stemnmf.plugin.saving.confirm import may_find_anew

        features = self.features()
        if not may_find_anew(session, features, self.native):
            return
        if session.canvas.feature not in features:
            in_view.show_feature(self._viewer, session, features[0])
        viewer = self._viewer

        def begin() -> None:
            Job(viewer, session, ALL, features, display.showing).start()

        others = running_beside(viewer, session)
        if others:
            Waiting(viewer, session, "Find grains", others, begin).start()
        else:
            begin()

    # ---- what happens around

    def _status_text(self, session: Session | None, feature: str) -> str:
        if session is None:
            return ""
        obstacle = "" if session.running is not None else session.obstacle("featurize", "")
        failed = {} if session.analysis is None else session.analysis.failed
        left_out = [f"{name.upper()} was left out: {why}" for name, why in failed.items() if name in self.features()]
        others = [other.canvas.tag for other in running_beside(self._viewer, session)]
        queue = "" if session.running is not None or not others else f"Find grains {model.queue_line(others)}."
        return "\n".join(line for line in (*left_out, session.note, obstacle, queue) if line)

    def _can_run(self, session: Session) -> bool:
        each = [stage.name for stage in stages.STAGES if stage.each]
        return not session.obstacle("featurize", "") and any(session.todo(name, self.features()) for name in each)

    def _refresh(self, *args: Any) -> None:
        super()._refresh(*args)
        self.form_area.enabled = True  # Open and Sample are there without a scan

    @property
    def _costed(self) -> str:
        return ALL

    def _show_session(self, session: Session | None) -> None:
        self.patterns.visible = session is not None
        self.patterns.show_state(session, "patterns", session is not None and session.dataset is not None)
        for part in (self.pictures, self.adjust):
            part.setVisible(session is not None)
        self.scan.visible = bool(self.scan.choices)
        self._listen_to(session.canvas.first_look if session is not None else None)
        if session is None:
            self.about.setText(model.NO_SCAN)
            self.card.hide()
            self.odd.hide()
            return
        self.about.setText(facts(model.facts(session)))
        odd = model.odd(session)
        self.odd.setText("\n".join(odd))
        self.odd.setVisible(bool(odd))
        found = model.card(session, looked_at(session)) if session.running is None else None
        self.card.setVisible(found is not None)
        if found is not None:
            self.result.setText(found.text())
            self.review.setEnabled(found.grains > 0)
        self._show_pictures(session)
        fresh = session.dataset is not None and session.analysis is None and session.oddities is None
        if fresh and session is not self._looked_at:
            self._looked_at = session
            self._first_look.ask(session)

    def _show_pictures(self, session: Session) -> None:
        survey = session.analysis.survey if session.analysis is not None else None
        images, error = (self._look.images, self._look.error) if self._look is not None else (None, "")
        total = survey.virtual_image if survey is not None else images.total if images is not None else None
        brightest = survey.maximum if survey is not None else images.maximum if images is not None else None
        dark = images.dark if images is not None else None
        drawn = (session, total, dark, brightest)
        if len(self._drawn) != len(drawn) or any(a is not b for a, b in zip(drawn, self._drawn, strict=True)):
            self._drawn = drawn
            for name, values in (("virtual_image", total), ("dark_field", dark), ("maximum", brightest)):
                self.pictures.show_picture(name, values)
        line = "" if survey is not None or session.dataset is None else model.reading_line(images, error)
        self.pictures.line.setText(line)
        self.pictures.line.setVisible(bool(line))

    def _on_scans(self) -> None:
        """A scan has come, and with it what makes its first images."""
        self._on_changed()

    def _listen_to(self, look: Any) -> None:
        if look is self._look:
            return
        if self._look is not None:
            self._look.changed.disconnect(self._on_images, missing_ok=True)
        self._look = look
        if look is not None:
            look.changed.connect(self._on_images)

    def _on_images(self) -> None:
        session = self._session
        if session is not None and self._in_front:
            self.about.setText(facts(model.facts(session)))
            self._show_pictures(session)

    def _on_looked_over(self, found: tuple[Session, tuple[str, ...]]) -> None:
        session = found[0]
        session.oddities = found[1]
        self._looked_at = None
        session.changed.emit()

    def _disconnect(self, *args: Any) -> None:
        super()._disconnect(*args)
        self._listen_to(None)
        self._first_look.close()
        if self._keeper is not None:
            self._keeper.scans_changed.disconnect(self._on_scans)
            self._keeper = None
