"""Which scan and which representation a dock works on: those in view, chosen here or anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, Container
from qtpy.QtCore import QTimer

from napari_stemnmf.plugin.layers import adopting, in_view
from napari_stemnmf.plugin.session import FEATURE_NAMES, Session, named, session_of, sessions_of
from napari_stemnmf.plugin.status import offered
from napari_stemnmf.plugin.widgets import report

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest


class ScanChoice(Container):
    """The part of a dock that follows the scan and the representation in view; a subclass shows them.

    Attributes
    ----------
    scan, feature : ComboBox
    """

    _viewer: napari.viewer.Viewer
    _session: Session | None
    _refreshing: bool

    def _make_choosers(self) -> None:
        self.scan = ComboBox(name="scan", label="scan", choices=self._scans)
        self.scan.tooltip = "the scan to work on; follows the selected layer"
        self.feature = ComboBox(
            name="feature",
            label="feature",
            choices=self._representations,
        )
        self.feature.tooltip = "the representation to work on, of those that the recipe has"

    def _scans(self, _: Any = None) -> list[tuple[str, Any]]:
        layers = self._viewer.layers
        others = [(f"{layer.name} (4-D layer)", layer) for layer in layers if adopting.can_be_scan(layer)]
        return [*named(sessions_of(layers)), *others]

    def _on_layers(self, event: Any = None) -> None:
        self.scan.reset_choices()
        self._choose_scan(in_view.scan_in_view(self._viewer))

    def reset_choices(self, *_: Any) -> None:
        """Called by napari when layers change."""
        self.scan.reset_choices()

    def _on_active(self, event: Any = None) -> None:
        """Follow the selected layer to its scan."""
        self._choose_scan(session_of(self._viewer.layers.selection.active))

    def _choose_scan(self, session: Session | None) -> None:
        if session is not None and session is not self.scan.value and session in self.scan.choices:
            self.scan.value = session
        elif self.scan.value is None and self.scan.choices:
            self.scan.value = next(
                c for c in (*self.scan.choices, None) if c is not None or len(self.scan.choices) == 1
            )
        self._on_scan()

    def _on_scan(self, *_: Any) -> None:
        chosen = self.scan.value
        session = chosen if isinstance(chosen, Session) else None
        if chosen is not None and session is None:
            QTimer.singleShot(0, lambda: self._adopt(chosen))
        if session is self._session:
            return  # a layer came, went or was selected: what the dock shows is the session's
        self._leave()
        self._session = session
        if session is not None:
            session.changed.connect(self._on_changed)
            session.probe_moved.connect(self._on_probe)
            if not in_view.is_in_view(self._viewer, session):
                in_view.show_scan(self._viewer, session)
        self._refresh()

    def _adopt(self, layer: Any) -> None:
        """Make a scan of a 4-D image layer of others, as it was chosen."""
        if layer in self._viewer.layers and adopting.can_be_scan(layer):
            report(lambda: adopting.adopt(self._viewer, layer))

    def _on_feature(self, *_: Any) -> None:
        """Another representation was chosen: the canvas and all docks go over to it."""
        if self._session is not None and not self._refreshing and self.feature.value:
            in_view.show_feature(self._viewer, self._session, str(self.feature.value))

    def _representations(self, _: Any = None) -> list[tuple[str, str]]:
        return [(FEATURE_NAMES[name], name) for name in offered(self._session)]

    def _show_feature(self, session: Session | None) -> None:
        """Choose the representation that is in view, among those that there are; the first where none was chosen."""
        was, self._refreshing = self._refreshing, True
        try:
            if [name for _, name in self._representations()] != list(self.feature.choices):
                self.feature.reset_choices()
            if session is not None and session.canvas.feature in self.feature.choices:
                self.feature.value = session.canvas.feature
        finally:
            self._refreshing = was
        if session is not None and session.canvas.feature != self.feature.value:
            in_view.show_feature(self._viewer, session, str(self.feature.value))

    # ---- what a subclass does

    def _leave(self) -> None:
        """Stop listening to the scan."""
        raise NotImplementedError

    def _refresh(self, *_: Any) -> None:
        """Show the session as it is now."""
        raise NotImplementedError

    def _on_changed(self, *_: Any) -> None:
        """The session has changed."""
        raise NotImplementedError

    def _on_probe(self, row: int, column: int) -> None:
        """Another probe position is looked at."""
        raise NotImplementedError
