"""The image under the virtual detectors: at once from the live copy, better as that fills, exact when they rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.explore import virtual_images
from napari_stemnmf.plugin.jobs import tasks as jobs
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers import places
from napari_stemnmf.plugin.preferences import preferences

if TYPE_CHECKING:
    from napari_stemnmf.control import Control
    from napari_stemnmf.plugin.docks.explore.model import Explored
    from napari_stemnmf.plugin.docks.explore.virtual_images import Virtual, VirtualRequest
    from napari_stemnmf.plugin.session import Session

REST_MS = 300
"""How long a detector rests before the whole scan is read for its image."""
FILL_MS = 250
"""How often the image is made again while the live copy is being filled."""


class LiveImage(QObject):
    """Keeps the layer of one scan's virtual image up to date, in threads: the latest request wins.

    `virtual` is the image; the signal `message` describes it, `shown` carries another.
    """

    message = Signal(str)
    shown = Signal(object)

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._session: Session | None = None
        self._explored: Explored | None = None
        self._quick: Preview[VirtualRequest, Virtual] = Preview(virtual_images.make, every=True)  # as the copy fills
        self._whole: Preview[VirtualRequest, Virtual] = Preview(virtual_images.make)
        self._rest, self._fill = QTimer(self), QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._fill.setInterval(FILL_MS)
        self._filled = 0.0
        self._asked: Any = None
        self._exact = False  # whether the image that is shown needs no better one
        self._control: Control | None = None
        self.virtual: Virtual | None = None
        for preview in (self._quick, self._whole):
            preview.ready.connect(self._on_ready)
            preview.failed.connect(self.message)
        self._rest.timeout.connect(self._ask_exact)
        self._fill.timeout.connect(self._on_fill)

    @property
    def busy(self) -> bool:
        """Whether a better image is still to come."""
        waits = self._rest.isActive() or self._fill.isActive()
        return waits or self._quick.busy or self._whole.busy

    def follow(self, session: Session | None, found: Explored | None) -> None:
        """Show the image of a scan as its detectors are now, or of none; the same request is not made twice."""
        if found is not self._explored:
            self.stop()
            self._session, self._explored = session, found
        if found is None or session is None:
            return
        calibration = session.analysis.calibration if session.analysis is not None else None
        placed = found.detectors if found.mode == "rgb" else found.current
        asked = (calibration, placed, found.mode, found.exact, found.scan(session))
        if self._asked is None or not all(a is b or a == b for a, b in zip(asked, self._asked, strict=True)):
            self._asked = asked
            self._ask()

    def stop(self) -> None:
        """Read no more; what is shown stays."""
        self._drop()
        self._fill.stop()
        if self._explored is not None:
            self._explored.stop()
        self._asked = self.virtual = None
        self._session = self._explored = None

    def close(self) -> None:
        """The dock was closed."""
        self.stop()
        self._quick.close()
        self._whole.close()

    def keep(self, mode: str) -> None:
        """Keep the image as a layer of its own; what is not exact yet is read first, with progress.

        Raises
        ------
        StemNMFError
            If the scan has to be read and something else is running.
        """
        session, shown = self._session, self.virtual
        if session is None:
            return
        if shown is not None and self._exact and shown.request.mode == mode:
            virtual_images.keep(self._viewer, session, shown)
            return
        request = self._request(live=False, mode=mode)
        if request is None:
            return
        if session.running is not None:
            raise StemNMFError(f"{session.running.title} is running; keep the image when that has ended.")

        def work(control: Control) -> Virtual:
            return virtual_images.make(replace(request, control=control))

        jobs.Task(self._viewer, session, "Virtual image", work, virtual_images.keep).start()

    def _ask(self) -> None:
        """Have the image made from the live copy, and exactly once the detector rests."""
        self._drop()
        request = self._request(live=True)
        if request is None or request.live is None:
            self.virtual = None
            self._fill.stop()
            self.message.emit("")
            return
        request.live.start()
        self._filled = request.live.fraction
        self._quick.ask(request)
        if not request.live.complete:
            self._fill.start()
        if self._explored is not None and self._explored.exact:
            self._rest.start()

    def _drop(self) -> None:
        """Want no result any more of what was asked so far."""
        self._rest.stop()
        self._quick.drop()
        self._whole.drop()
        self._exact = False
        if self._control is not None:
            self._control.cancel()
            self._control = None

    def _request(self, *, live: bool, mode: str = "") -> VirtualRequest | None:
        from napari_stemnmf.control import Control

        session, found = self._session, self._explored
        scan = found.scan(session) if session is not None and found is not None else None
        if session is None or found is None or found.current is None or scan is None:
            return None
        mode = mode or found.mode
        placed = found.detectors if mode == "rgb" else (found.current,)
        calibration = session.analysis.calibration if session.analysis is not None else None
        origin = calibration.origin if calibration is not None and calibration.scan_shape == scan.scan_shape else None
        copy = found.live(scan) if live else None
        workers = preferences().workers(scan)
        control = None if live else Control(stage="The virtual image")
        return virtual_images.VirtualRequest(
            scan, placed, mode, places.axes_of(session), origin, copy, control, workers
        )

    def _ask_exact(self) -> None:
        request = self._request(live=False)
        if self._fill.isActive():  # one read at a time: the copy first, which all detectors use
            self._rest.start()
        elif request is not None and not self._exact:
            self._control = request.control
            self._whole.ask(request)
            self._describe()

    def _on_fill(self) -> None:
        """The live copy has grown."""
        request = self._request(live=True)
        if request is None or request.live is None or request.live.error:
            self._fill.stop()
            if request is not None and request.live is not None:
                self.message.emit(request.live.error)
            return
        if request.live.fraction > self._filled and not self._exact:
            self._filled = request.live.fraction
            self._quick.ask(request)
        if request.live.complete:
            self._fill.stop()

    def _on_ready(self, found: Virtual) -> None:
        session = self._session
        if session is None or self._exact:
            return
        self.virtual, self._exact = found, found.exact
        virtual_images.show_live(self._viewer, session, found)
        self.shown.emit(found)
        self._describe()

    def _describe(self) -> None:
        if self.virtual is not None:
            self.message.emit(virtual_images.summary(self.virtual, reading=self._control is not None))
