"""What is being explored of a scan: the virtual detectors, what is made of them, and the pattern that is shown. No Qt.

One `Explored` belongs to each session, so that the tab and the dock of Explore show the same. Leans on `passes`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from psygnal import Signal

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.preferences import preferences

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.plugin.session import Session
    from napari_stemnmf.streaming.live_scan import LiveScan
    from napari_stemnmf.streaming.virtual_detectors import Detector

COLOURS = ("#ff4040", "#40e060", "#4a90ff", "#ffd040", "#30e0e0", "#ff60ff")
"""Of the detectors, in the order that they are added; an RGB layer is mixed from them."""
BEAM_PATTERNS = 3
"""Patterns along each axis of the scan that the direct beam is looked for in, before a survey."""


@dataclass(frozen=True)
class Placed:
    """A detector, its colour, and whether its centre is that of the direct beam."""

    detector: Detector
    colour: str
    centred: bool = False


@dataclass(frozen=True)
class Beam:
    """Where the direct beam is, and the radius of its disk, in px."""

    q_y: float
    q_x: float
    radius: float


class Explored:
    """What the widgets of one scan show.

    Attributes
    ----------
    detectors : tuple of Placed
    chosen : int
        Which of them; -1 for none.
    mode : str
        What is made of them, one of `virtual_view.MODES`.
    picture : str
        Which pattern is shown, one of `patterns_shown.SHOWN`.
    exact : bool
        Whether the whole scan is read for an image once the detectors rest.
    beam : Beam or None
        As far as it is known.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.detectors: tuple[Placed, ...] = ()
        self.chosen = -1
        self.mode = "sum"
        self.picture = "position"
        self.exact = True
        self.beam: Beam | None = None
        self._live: LiveScan | None = None
        self._prepared: tuple[object, object, Dataset] | None = None
        self._added = 0

    @property
    def current(self) -> Placed | None:
        """The chosen detector."""
        return self.detectors[self.chosen] if 0 <= self.chosen < len(self.detectors) else None

    def add(self, detector: Detector, *, centred: bool = False) -> None:
        """Add a detector in the next colour, and choose it."""
        used = {placed.colour for placed in self.detectors}
        colour = next((c for c in COLOURS if c not in used), COLOURS[self._added % len(COLOURS)])
        self._added += 1
        self.detectors += (self._on_beam(Placed(detector, colour, centred)),)
        self.chosen = len(self.detectors) - 1
        self.changed.emit()

    def change(self, index: int, detector: Detector) -> None:
        """Put another detector in the place of one; one that is centred on the beam stays there."""
        placed = self._on_beam(replace(self.detectors[index], detector=detector))
        self._put(index, placed)

    def set_centred(self, index: int, centred: bool) -> None:
        """Bind a detector to the beam, or free it."""
        self._put(index, self._on_beam(replace(self.detectors[index], centred=centred)))

    def remove(self, index: int) -> None:
        """Take a detector away."""
        self.detectors = self.detectors[:index] + self.detectors[index + 1 :]
        self.chosen = min(self.chosen, len(self.detectors) - 1)
        self.changed.emit()

    def choose(self, index: int) -> None:
        """Work on one of the detectors."""
        if index != self.chosen and index < len(self.detectors):
            self.chosen = index
            self.changed.emit()

    def set(self, **values: object) -> None:
        """Change mode, picture or exact."""
        if any(getattr(self, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(self, name, value)
            self.changed.emit()

    def set_beam(self, beam: Beam | None) -> None:
        """Take over where the beam is; detectors that are centred on it follow."""
        if beam != self.beam and beam is not None:
            self.beam = beam
            self.detectors = tuple(self._on_beam(placed) for placed in self.detectors)
            self.changed.emit()

    def scan(self, session: Session) -> Dataset | None:
        """The scan as it is explored: prepared as for all steps once there was a first look."""
        dataset, analysis = session.dataset, session.analysis
        survey = analysis.survey if analysis is not None else None
        if dataset is None or survey is None or analysis is None:
            return dataset
        if self._prepared is None or self._prepared[0] is not dataset or self._prepared[1] is not survey:
            from napari_stemnmf import pipeline

            self._prepared = (dataset, survey, pipeline.prepared(analysis, dataset))
        return self._prepared[2]

    def live(self, scan: Dataset) -> LiveScan:
        """The reduced copy of a scan; that of another is let go."""
        from napari_stemnmf.streaming.live_scan import MEMORY, LiveScan

        if self._live is None or self._live.dataset is not scan:
            self.stop()
            wanted = preferences()
            self._live = LiveScan(scan, memory=min(MEMORY, wanted.memory_bytes), workers=wanted.threads or None)
        return self._live

    def stop(self) -> None:
        """Stop to read in the background; what was read stays."""
        if self._live is not None:
            self._live.stop()

    def _put(self, index: int, placed: Placed) -> None:
        if placed != self.detectors[index]:
            self.detectors = (*self.detectors[:index], placed, *self.detectors[index + 1 :])
            self.changed.emit()

    def _on_beam(self, placed: Placed) -> Placed:
        if not placed.centred or self.beam is None:
            return placed
        return replace(placed, detector=placed.detector.moved(self.beam.q_y, self.beam.q_x))


_explored: WeakKeyDictionary[Session, Explored] = WeakKeyDictionary()


def explored(session: Session) -> Explored:
    """What is being explored of a session's scan."""
    if session not in _explored:
        _explored[session] = Explored()
    return _explored[session]


def known_beam(session: Session) -> Beam | None:
    """Where Calibrate has found the beam, on average over the scan; None before."""
    analysis = session.analysis
    if analysis is None or analysis.probe is None:
        return None
    probe, calibration = analysis.probe, analysis.calibration
    if calibration is not None:
        return Beam(calibration.geometry.q_y, calibration.geometry.q_x, probe.radius)
    return Beam(probe.q_y, probe.q_x, probe.radius)


def find_beam(scan: Dataset) -> Beam | None:
    """Where the beam is, on the mean of a few patterns spread over the scan; None where it is not to be found."""
    from napari_stemnmf.disks.central_disk import find_center

    rows, columns = (np.unique(np.linspace(0, n - 1, BEAM_PATTERNS + 2).astype(int)[1:-1]) for n in scan.scan_shape)
    try:
        mean = np.mean([scan.pattern(int(y), int(x)).astype(np.float64) for y in rows for x in columns], axis=0)
        found = find_center(mean)
    except StemNMFError:
        return None
    return Beam(found.q_y, found.q_x, found.probe_radius)
