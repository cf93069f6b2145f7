"""Explore: the pattern under the probe, patterns of regions, and images under virtual detectors that follow live."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtWidgets import QWidget

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.explore.model import (
    PICTURES,
    Beam,
    Explored,
    PatternReader,
    PatternRequest,
    ShownPattern,
    explored,
    find_beam,
    known_beam,
)
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers.places import axes_of, masked_by
from napari_stemnmf.plugin.patterns.scan_patterns import point_reading
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import Visibility, chooser, column, report

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

    from napari_stemnmf.dataset import Dataset


class ExploreWidget(StepWidget):
    """Looks at a scan: its patterns, and its images under virtual detectors.

    Attributes
    ----------
    picture : QComboBox
        Which pattern is shown, one of `model.PICTURES`.
    display, probe, region, detectors : QWidget
        The pattern, and the parts that change what it shows.
    overlay : DetectorOverlay
        The detectors over the pattern.
    source : Preview
        Reads the patterns.
    live : LiveImage
        The image under them.
    """

    step: ClassVar[str] = "explore"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_stemnmf.plugin.docks.explore.detectors import DetectorOverlay
        from napari_stemnmf.plugin.docks.explore.live_image import LiveImage
        from napari_stemnmf.plugin.docks.explore.panels import DetectorPanel, RegionPanel
        from napari_stemnmf.plugin.patterns.pattern_display import PatternDisplay
        from napari_stemnmf.plugin.patterns.probe import PositionPicker, ProbeLine
        from napari_stemnmf.plugin.plain_plot import follow_theme

        self.display, self.probe, self.detectors = PatternDisplay(), ProbeLine(), DetectorPanel()
        self.overlay = DetectorOverlay(self.display.view)
        self.region = RegionPanel(viewer)
        self.source: Preview[PatternRequest, ShownPattern] = Preview(PatternReader())
        self._beam: Preview[Dataset, Beam | None] = Preview(find_beam)
        self._picker = PositionPicker(viewer)
        self._explored: Explored | None = None
        self._request: PatternRequest | None = None
        self._what = ""
        self._made = False
        super().__init__(viewer)
        for part in (self.feature, self.run, self.cancel, self.cost, self.progress):
            part.visible = False
        self.live = LiveImage(viewer, self.native)
        self._made = True
        self._connect()
        follow_theme(viewer, self.native, self.display.view.set_colours)
        self._refresh()

    # ---- how it looks

    def _add_forms(self) -> None:
        tooltip = "what to show: one pattern, or the mean or maximum over a region or over the whole scan"
        self.picture = chooser(PICTURES, tooltip)
        self.add_section(
            "Virtual detectors", self.detectors, expanded=True, tooltip="images under parts of the detector"
        )
        self.add_section("Region of the scan", self.region, expanded=True, tooltip="mean or maximum pattern of an area")

    def _style(self) -> None:
        """Pattern above, settings below, and the user draws the line between them."""
        super()._style()
        above = QWidget()
        column(self.picture, self.display, self.probe, parent=above, stretch=self.display).setSpacing(3)
        self._put_above(above, 1, 1)
        self._visibility = Visibility(above, self._on_visible)

    def _connect(self) -> None:
        self.source.ready.connect(self._on_pattern)
        self.source.failed.connect(self._show_note)
        self.live.shown.connect(lambda found: self.detectors.show_wheel(found.top, found.unit))
        self.live.message.connect(self._show_message)
        self._beam.ready.connect(self._on_beam)
        self.picture.currentIndexChanged.connect(self._on_picture)
        self.probe.moved.connect(self._move_probe)
        self.probe.pick.toggled.connect(self._on_pick)
        self.region.begun.connect(self._on_draw_region)
        self.region.changed.connect(self._on_region)
        self.detectors.wanted.connect(lambda what: report(lambda: self._do(what)))
        self.detectors.typed.connect(self._on_typed_number)
        view = self.display.view
        view.hovered.connect(self._on_hover)
        view.stepped.connect(self._on_stepped)
        view.drawn.connect(self._on_drawn)
        self.display.saved.connect(lambda path: self._show_message(f"Saved {path}."))

    # ---- the probe and the region

    def _on_stepped(self, rows: int, columns: int) -> None:
        if self._session is not None:
            row, column = self._session.position
            self._session.move_probe(row + rows, column + columns)

    def _on_pick(self, on: bool) -> None:
        if on:
            self.region.rest()
        self._picker.set_active(self._session if self._in_view else None, anywhere=on)

    def _on_probe(self, row: int, column: int) -> None:
        """The session's probe was moved, here or elsewhere."""
        self.probe.show_position(row, column)
        if self._explored is not None:
            self._explored.set(picture="position")
        self._ask_pattern()

    def _on_picture(self, _: int) -> None:
        if self._explored is not None:
            self._explored.set(picture=self.picture.currentData())
            if self.picture.currentData() == "position":
                self.region.rest()
            self._ask_pattern()

    def _on_draw_region(self) -> None:
        if self._explored is not None and not self._explored.picture.startswith("region"):
            self._explored.set(picture="region mean")
        self._ask_pattern()

    def _on_region(self) -> None:
        if self._explored is not None and self._explored.picture.startswith("region"):
            self._ask_pattern()

    def _ask_pattern(self) -> None:
        """Have the pattern read that is chosen now; the read of the one before stops."""
        session, found = self._session, self._explored
        if session is None or found is None:
            self._stop_reading()
            self._show_note("Open a 4D-STEM scan.")
            self.source.ask(PatternRequest())  # the reader drops what it has read
        elif self._in_view:
            self._stop_reading()
            survey = session.analysis.survey if session.analysis is not None else None
            region = self.region.inside() if found.picture.startswith("region") else None
            self._request = PatternRequest(found.scan(session), survey, found.picture, session.position, region)
            self.source.ask(self._request)

    def _stop_reading(self) -> None:
        self.source.drop()
        if self._request is not None:
            self._request.control.cancel()
            self._request = None

    def _on_pattern(self, shown: ShownPattern) -> None:
        self._what = shown.what
        self.display.show_pattern(shown.image, shown.note)
        self._on_hover(None)

    def _show_note(self, note: str) -> None:
        self._on_pattern(ShownPattern(note=note))

    def _on_hover(self, point: tuple[float, float, float] | None) -> None:
        found = self._explored
        if point is None or self._session is None or found is None:
            self.display.readout.setText(f"{self._what}\n")
            return
        q_y, q_x, value = point
        axes, radius, step = axes_of(self._session), None, 1.0
        if found.beam is not None:
            down, right = q_y - found.beam.q_y, q_x - found.beam.q_x
            radius = math.hypot(down, right)
            step = math.hypot(down * axes[-2].scale, right * axes[-1].scale) / radius if radius else 1.0
        self.display.readout.setText(point_reading(q_y, q_x, value, radius, step, axes[-1].unit))

    # ---- the detectors

    def _do(self, what: str) -> None:
        from napari_stemnmf.plugin.docks.explore.detectors import new_detector

        session, found = self._session, self._explored
        scan = found.scan(session) if session is not None and found is not None else None
        if session is None or found is None or scan is None:
            return
        if what == "keep":
            self.live.keep(found.mode)
        elif what == "rgb":
            self.live.keep("rgb")
        elif what == "polygon":
            self.display.view.draw()
            self._show_message(
                "Click corners on the pattern; a double click or Enter closes the polygon, Escape gives it up."
            )
        elif what == "mask":
            from napari_stemnmf.streaming.virtual_detectors import Mask

            layer = self._viewer.layers.selection.active
            if type(layer).__name__ not in ("Shapes", "Labels"):
                raise StemNMFError("Select the Shapes or Labels layer that was drawn on a pattern, then add the mask.")
            found.add(Mask.of(~masked_by(layer, axes_of(session)[2:], self._viewer.dims.point)))
        else:
            detector, centred = new_detector(what, scan.detector_shape, found.beam)
            found.add(detector, centred=centred)

    def _on_drawn(self, corners: list[tuple[float, float]]) -> None:
        from napari_stemnmf.streaming.virtual_detectors import Polygon

        self._show_message("")
        if self._explored is not None and len(corners) >= 3:
            self._explored.add(Polygon.through(corners))

    def _on_typed_number(self, name: str, value: float) -> None:
        from napari_stemnmf.plugin.docks.explore.detectors import with_number

        found = self._explored
        if found is not None and found.current is not None:
            found.change(found.chosen, detector=with_number(found.current.detector, name, value))

    def _on_beam(self, beam: Beam | None) -> None:
        if self._explored is not None:
            self._explored.set_beam(beam)

    def _on_explored(self) -> None:
        """What is explored has changed, here or in another dock of the same scan."""
        found, session = self._explored, self._session
        if found is None or session is None:
            return
        self.detectors.show_explored(found, axes_of(session))
        self.picture.setCurrentIndex(self.picture.findData(found.picture))
        self.overlay.show_explored(found)
        if self._in_view:
            self.live.follow(session, found)

    def _show_message(self, message: str) -> None:
        self.detectors.about.setText(message)
        self.detectors.about.setVisible(bool(message))

    # ---- what happens around

    @property
    def _in_view(self) -> bool:
        return self._visibility.visible

    def _on_visible(self, visible: bool) -> None:
        """While it is hidden (another step, a closed dock) nothing is read, and the canvas is left alone."""
        if not visible:
            self.probe.pick.setChecked(False)
            self._stop()
        self._picker.set_active(self._session if visible else None)
        if visible:
            self._ask_pattern()
            self._on_explored()

    def _stop(self) -> None:
        self.live.stop()
        self._stop_reading()

    def _refresh(self, *_: Any) -> None:
        """Show the session as it is now."""
        if not self._made:
            return
        session = self._session
        self._follow(session)
        self.form_area.enabled = session is not None
        self.status.value = self._status_text(session, "")
        self.status.visible = bool(self.status.value)

    def _status_text(self, session: Session | None, feature: str) -> str:
        if session is None:
            return "Open a 4D-STEM scan."
        if session.dataset is None:
            return f"{session.name}: the scan itself is not open; open its file to see its patterns."
        return session.running.line() if session.running is not None else ""

    def _follow(self, session: Session | None) -> None:
        found = explored(session) if session is not None else None
        if found is not self._explored:
            self._stop()
            if self._explored is not None:
                self._explored.changed.disconnect(self._on_explored)
            self._explored = found
            if found is not None:
                found.changed.connect(self._on_explored)
            self.region.follow(session)
            self._picker.set_active(session if self._in_view else None, anywhere=self.probe.pick.isChecked())
        if session is not None and found is not None:
            self.probe.set_scan_shape(*session.scan_shape)
            self.probe.show_position(*session.position)
            beam, scan = known_beam(session), found.scan(session)
            if beam is None and found.beam is None and scan is not None:
                self._beam.ask(scan)
            else:
                self._beam.drop()
                found.set_beam(beam)
        else:
            self._beam.drop()
            self.detectors.show_explored(None)
            self.overlay.show_explored(None)
        self._ask_pattern()
        self._on_explored()

    def _disconnect(self, *args: Any) -> None:
        self._stop()
        self.live.close()
        if self._explored is not None:
            self._explored.changed.disconnect(self._on_explored)
            self._explored = None
        self._picker.set_active(None)
        self.region.follow(None)
        self.source.close()
        self._beam.close()
        super()._disconnect(*args)
