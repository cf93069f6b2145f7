"""Calibrate: hot pixels, mask, probe, disks, centre of each pattern, ellipse and pixel size, seen on the patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import PushButton
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_stemnmf.export.calibration import findings
from napari_stemnmf.plugin.docks.calibrate.model import CalibratePicture, CalibratePictures, look_over
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers.places import axes_of
from napari_stemnmf.plugin.patterns.scan_patterns import PictureRequest
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import Section, button, facts
from napari_stemnmf.units import pixel_size

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest


SLIDERS = {"min_snr": 30.0, "min_relative": 0.2}
"""Settings of the disks that are edited with a slider, and how far it reaches."""
FORMS = {
    "preprocess": ("Preprocess", "crop, dark reference, hot pixels and binning, before anything else"),
    "center": ("Centre", "where the direct beam is on average, and how large its disk is"),
    "probe": ("Probe", "the template that disks are looked for with"),
    "origin": ("Origin of each pattern", "the beam may descan over the detector as it scans (descan)"),
    "ellipse": ("Ellipse", "what should be a circle and is an ellipse"),
    "pixel_size": ("Pixel size", "from a ring of known lattice spacing"),
}
"""Settings without more to them: title and tool tip of each."""


class CalibrateWidget(StepWidget):
    """Finds the transformation from detector to reciprocal space, and shows it over the patterns.

    Attributes
    ----------
    look : PushButton
        Takes the survey only.
    panel : PatternPanel
        The pattern with its overlays; disks are found again whenever a setting changes.
    mask : MaskPanel
    ring : QPushButton
        While it is down, a click on the pattern chooses the ring of the pixel size.
    """

    step: ClassVar[str] = "calibrate"
    run_text: ClassVar[str] = "Calibrate all"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_stemnmf.plugin.docks.calibrate.panels import MaskPanel, PatternPanel
        from napari_stemnmf.plugin.patterns.probe import PositionPicker
        from napari_stemnmf.plugin.plain_plot import follow_theme

        self.panel, self.mask = PatternPanel(), MaskPanel(viewer)
        self._pictures = CalibratePictures()
        self._preview: Preview[PictureRequest, CalibratePicture] = Preview(self._pictures)
        self._first_look: Preview[Session, tuple[Session, tuple[str, ...]]] = Preview(look_over)
        self._looked_at: Session | None = None
        self._picker = PositionPicker(viewer)
        self._own_choice = False
        super().__init__(viewer)
        self.feature.visible = False
        self._preview.ready.connect(self.panel.show_picture)
        self._preview.failed.connect(self._show_note)
        self._first_look.ready.connect(self._on_looked)
        self.panel.wanted.connect(self._on_wanted)
        self.panel.clicked.connect(self._on_click)
        self.panel.pick.toggled.connect(self._on_pick)
        self.look.clicked.connect(lambda: self._start("survey"))
        follow_theme(viewer, self.native, self.panel.view.set_colours)
        self._ask()

    def features(self) -> tuple[str, ...]:
        """None: calibration is one for all."""
        return ()

    def _buttons(self) -> list[Any]:
        self.look = PushButton(name="look", text="First look")
        self.look.tooltip = "one read of the scan: mean and maximum pattern, hot pixels, mask and probe; no disks yet"
        self.run.tooltip = (
            "First look, then the disks of every pattern, then centre, descan, ellipse and pixel size; "
            "only what is missing or stale is computed"
        )
        return [self.look]

    def _add_forms(self) -> None:
        self.found = QLabel()
        self.found.setWordWrap(True)
        self.found.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.found_section = self.add_section("Found", self.found, expanded=True, tooltip="numbers and their residuals")
        self._disks = self.forms.make("disks", SLIDERS)
        self.add_section(
            "Disks", self._disks.native, expanded=True, tooltip="changes show on the pattern above at once"
        )
        stop = self.forms.make("beam_stop")
        self.add_section("Beam stop and mask", self.mask, stop.native, tooltip="detector pixels that are left out")
        tooltip = "then click the ring on the pattern, and enter its d spacing [nm] above"
        self.ring = button("Pick ring", tooltip, checkable=True)
        self._found_forms = {path: self.forms.make(path) for path in FORMS}
        title, tooltip = FORMS["pixel_size"]
        self.add_section(title, self._found_forms["pixel_size"].native, self.ring, tooltip=tooltip)
        rest = [path for path in FORMS if path != "pixel_size"]
        parts = [Section(FORMS[path][0], self._found_forms[path].native, tooltip=FORMS[path][1]) for path in rest]
        self.add_section("Advanced", *parts, tooltip="settings that seldom need a change")

    def _style(self) -> None:
        """Pattern above, settings below, and the user draws the line between them."""
        super()._style()
        self._put_above(self.panel, 1, 1)

    # ---- what the user does

    def _on_wanted(self) -> None:
        self._own_choice = True
        self._move_probe(*self.panel.probe.position)
        self._ask()

    def _on_click(self, q_y: float, q_x: float) -> None:
        radius = self.panel.shown.radius(q_y, q_x)
        if self._session is None or not self.ring.isChecked() or radius is None:
            return
        self.ring.setChecked(False)
        self._on_setting("pixel_size", "radius", max(0.5, round(radius, 2)))

    def _on_pick(self, on: bool) -> None:
        self._picker.set_active(self._session if on else None, anywhere=True)
        if on:
            self.panel.choose_position(*self.panel.probe.position)

    def _on_probe(self, row: int, column: int) -> None:
        """The session's probe was moved, here or elsewhere."""
        self.panel.probe.show_position(row, column)
        if self.panel.pick.isChecked() and self.panel.chosen != "position":
            self.panel.choose("position")
        if self.panel.chosen == "position":
            self._ask()

    # ---- what happens around

    def _on_layers(self, event: Any = None) -> None:
        super()._on_layers(event)
        self.mask.show_state(self._session)

    def _show_session(self, session: Session | None) -> None:
        analysis = session.analysis if session is not None else None
        dataset = session.dataset if session is not None else None
        rows = findings(analysis)
        self.found.setText(facts(rows) if rows else "Nothing yet.")
        self.mask.show_state(session)
        surveyed = analysis is not None and analysis.survey is not None
        if session is not None:
            self.panel.probe.set_scan_shape(*session.scan_shape)
            self.panel.probe.show_position(*session.position)
            axes = axes_of(session)
            self.panel.calibrate(pixel_size(axes), axes[-1].unit)
        if not self._own_choice:
            self.panel.choose("mean" if surveyed or dataset is None else "position")
        self._show_found(analysis)
        fresh = dataset is not None and not surveyed and session is not None and session.oddities is None
        if fresh and session is not None and session is not self._looked_at:
            self._looked_at = session
            self._first_look.ask(session)
        if session is None:
            self.panel.pick.setChecked(False)
        self._ask()

    def _on_looked(self, found: tuple[Session, tuple[str, ...]]) -> None:
        session = found[0]
        session.oddities = found[1]
        self._looked_at = None
        session.changed.emit()

    def _refresh(self, *_: Any) -> None:
        super()._refresh()
        self.look.enabled = self.run.enabled

    def _show_found(self, analysis: Any) -> None:
        """What is automatic shows what was found."""
        probe, calibration = (None, None) if analysis is None else (analysis.probe, analysis.calibration)
        if probe is not None:
            for name, value in (("q_y", probe.q_y), ("q_x", probe.q_x), ("probe_radius", probe.radius)):
                self._found_forms["center"].editor(name).show_found(value)
            self._disks.editor("spacing").show_found(2 * probe.radius)
            self._disks.editor("edge").show_found(probe.radius)
        if calibration is not None:
            ellipse, where = self._found_forms["ellipse"], calibration.geometry
            ellipse.editor("ratio").show_found(where.ellipse_ratio)
            ellipse.editor("angle").show_found(where.ellipse_angle)
            if calibration.pixel_radius > 0:
                self._found_forms["pixel_size"].editor("radius").show_found(calibration.pixel_radius)

    def _ask(self) -> None:
        """Have the chosen picture made, with the settings as they are now."""
        session = self._session
        if session is None:
            self._preview.drop()
            self._pictures.forget()
            self._show_note("Open a 4D-STEM scan.")
            return
        if self.panel.shown.image is None:
            self._show_note("Reading…")
        recipe, picture, position = session.recipe, self.panel.chosen, self.panel.probe.position
        self._preview.ask(PictureRequest(session.dataset, session.analysis, recipe, picture, position))

    def _show_note(self, note: str) -> None:
        self.panel.show_picture(CalibratePicture(note=note))

    def _disconnect(self, *args: Any) -> None:
        super()._disconnect(*args)
        self._preview.close()
        self._first_look.close()
        self._picker.set_active(None)
