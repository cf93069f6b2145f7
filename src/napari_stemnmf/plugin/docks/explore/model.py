"""The state of Explore: the virtual detectors of a scan and the beam, and the reader of the pattern it shows. No Qt.

One `Explored` belongs to each session, so that the tab and the dock of Explore show the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_stemnmf.control import Control
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.texts import why

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.plugin.session import Session
    from napari_stemnmf.preprocessing.survey import Survey
    from napari_stemnmf.streaming.live_scan import LiveScan
    from napari_stemnmf.streaming.virtual_detectors import Detector

COLOURS = ("#ff4040", "#40e060", "#4a90ff", "#ffd040", "#30e0e0", "#ff60ff")
"""Of the detectors, in the order that they are added; an RGB layer is mixed from them."""
BEAM_PATTERNS = 3
"""Patterns along each axis of the scan that the direct beam is looked for in, before a survey."""
PICTURES = {
    "position": "pattern under the probe",
    "region mean": "mean of the region",
    "region maximum": "maximum of the region",
    "mean": "mean of the scan",
    "maximum": "maximum of the scan",
}
"""What can be shown, and its name in the window."""
SLOW = 0.02
"""A pattern that took more seconds, `READS` times in a row, costs as much as its whole chunk..."""
READS = 3
COSTLIER = 2.5
"""... unless the chunk takes this many times as long."""
CHUNK_BYTES = 64 * 2**20
"""A larger chunk is not kept, bytes."""


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
    """What the widgets of one scan show."""

    changed = Signal()

    def __init__(self) -> None:
        self.detectors: tuple[Placed, ...] = ()
        self.chosen = -1  # which of them; -1 for none
        self.mode = "sum"  # what is made of them, one of `virtual_images.MODES`
        self.picture = "position"  # which pattern is shown, one of `PICTURES`
        self.exact = True  # whether the whole scan is read for an image once the detectors rest
        self.beam: Beam | None = None  # as far as it is known
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

    def change(self, index: int, **fields: Any) -> None:
        """Change fields of a `Placed`; a detector that is centred on the beam stays there."""
        placed = self._on_beam(replace(self.detectors[index], **fields))
        if placed != self.detectors[index]:
            self.detectors = (*self.detectors[:index], placed, *self.detectors[index + 1 :])
            self.changed.emit()

    def remove(self, index: int) -> None:
        """Remove a detector."""
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
        """The scan as it is explored: preprocessed as for all steps once there is a survey."""
        dataset, analysis = session.dataset, session.analysis
        survey = analysis.survey if analysis is not None else None
        if dataset is None or survey is None or analysis is None:
            return dataset
        if self._prepared is None or self._prepared[0] is not dataset or self._prepared[1] is not survey:
            from napari_stemnmf import pipeline

            self._prepared = (dataset, survey, pipeline.prepared(analysis, dataset))
        return self._prepared[2]

    def live(self, scan: Dataset) -> LiveScan:
        """The reduced copy of a scan; that of another is dropped."""
        from napari_stemnmf.streaming.live_scan import MEMORY, LiveScan

        if self._live is None or self._live.dataset is not scan:
            self.stop()
            preferred = preferences()
            self._live = LiveScan(scan, memory=min(MEMORY, preferred.memory_bytes), workers=preferred.threads or None)
        return self._live

    def stop(self) -> None:
        """Stop to read in the background; what was read stays."""
        if self._live is not None:
            self._live.stop()

    def _on_beam(self, placed: Placed) -> Placed:
        if not placed.centred or self.beam is None:
            return placed
        return replace(placed, detector=placed.detector.moved(self.beam.q_y, self.beam.q_x))


def explored(session: Session) -> Explored:
    """What is being explored of a session's scan."""
    if session.explored is None:
        session.explored = Explored()
    found: Explored = session.explored
    return found


def known_beam(session: Session) -> Beam | None:
    """Where Calibrate has found the beam, on average over the scan; None before."""
    analysis = session.analysis
    if analysis is None or analysis.probe is None:
        return None
    where = analysis.probe if analysis.calibration is None else analysis.calibration.geometry
    return Beam(where.q_y, where.q_x, analysis.probe.radius)


def find_beam(scan: Dataset) -> Beam | None:
    """Where the beam is, on the mean of a few patterns spread over the scan; None where it is not found."""
    from napari_stemnmf.disks.central_disk import find_center

    rows, columns = (np.unique(np.linspace(0, n - 1, BEAM_PATTERNS + 2).astype(int)[1:-1]) for n in scan.scan_shape)
    try:
        mean = np.mean([scan.pattern(int(y), int(x)).astype(np.float64) for y in rows for x in columns], axis=0)
        found = find_center(mean)
    except StemNMFError:
        return None
    return Beam(found.q_y, found.q_x, found.probe_radius)


@dataclass(frozen=True, eq=False)
class PatternRequest:
    """Which pattern to show, one of `PICTURES`, or none where that is empty; `control` stops the read of a region."""

    scan: Dataset | None = None
    survey: Survey | None = None
    picture: str = ""
    position: tuple[int, int] = (0, 0)
    region: np.ndarray | None = None
    control: Control = field(default_factory=lambda: Control(stage="The pattern"))


@dataclass(frozen=True, eq=False)
class ShownPattern:
    """A pattern (q_y, q_x), or a sentence on why there is none; and what it is of."""

    image: np.ndarray | None = None
    note: str = ""
    what: str = ""


class PatternReader:
    """Reads patterns in one worker thread, and keeps the last chunk and the last region.

    Single patterns are read where that is quick; where a pattern costs as much as its chunk, the chunk is kept, so that
    the probe moves inside it without another read.
    """

    def __init__(self) -> None:
        self._scan: Dataset | None = None
        self._chunk: tuple[slice, slice, np.ndarray] | None = None
        self._region: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._seconds: list[float] = []
        self._whole: bool | None = None

    def __call__(self, request: PatternRequest) -> ShownPattern:
        """The requested pattern, or a note on what to do.

        Raises
        ------
        StemNMFError
            If it cannot be read.
        """
        if request.scan is not self._scan:
            self._scan, self._chunk, self._region = request.scan, None, None
            self._seconds, self._whole = [], None
        try:
            return self._read(request)
        except StemNMFError:
            raise
        except Exception as error:  # whatever a format's library raises
            raise StemNMFError(f"The pattern cannot be read: {why(error)}.") from error

    def _read(self, request: PatternRequest) -> ShownPattern:
        scan, picture = request.scan, request.picture
        if not picture:
            return ShownPattern(note="Open a 4D-STEM scan.")
        if picture in ("mean", "maximum"):
            if request.survey is None:
                return ShownPattern(note="Press First look in Calibrate: the whole scan was not read yet.")
            return ShownPattern(getattr(request.survey, picture), what=f"{picture} of the scan")
        if scan is None:
            return ShownPattern(note="The scan itself is not open; open its file to see its patterns.")
        if picture == "position":
            y, x = (min(at, size - 1) for at, size in zip(request.position, scan.scan_shape, strict=True))
            return ShownPattern(self.pattern(scan, y, x), what=f"scan y {y}, x {x}")
        region = request.region
        if region is None or not region.any():
            return ShownPattern(note="Draw a rectangle or a polygon on the scan: its patterns show here.")
        if self._region is None or not np.array_equal(self._region[0], region):
            from napari_stemnmf.streaming.virtual_images import region_patterns

            self._region = (region, *region_patterns(scan, region, control=request.control))
        image = self._region[1 if picture == "region mean" else 2]
        return ShownPattern(image, what=f"{picture.split()[1]} of {int(region.sum())} patterns")

    def pattern(self, scan: Dataset, y: int, x: int) -> np.ndarray:
        """The pattern (q_y, q_x) at a probe position."""
        last = self._chunk
        if last is not None and last[0].start <= y < last[0].stop and last[1].start <= x < last[1].stop:
            return np.asarray(last[2][y - last[0].start, x - last[1].start])
        rows, columns = (_around(sizes, at) for sizes, at in zip(scan.data.chunks[:2], (y, x), strict=True))
        nbytes = (rows.stop - rows.start) * (columns.stop - columns.start) * scan.data[0, 0].nbytes
        if self._whole is None and len(self._seconds) == READS and min(self._seconds) > SLOW:
            self._whole = nbytes <= CHUNK_BYTES
        start = time.perf_counter()
        if not self._whole:
            found = scan.pattern(y, x)
            self._seconds = [*self._seconds, time.perf_counter() - start][-READS:]
            return found
        from napari_stemnmf.streaming.engine import load

        last = self._chunk = None  # only one chunk in memory
        chunk = load(scan.data[rows, columns])
        self._whole = time.perf_counter() - start < COSTLIER * max(self._seconds)
        self._chunk = (rows, columns, chunk) if self._whole else None
        return np.asarray(chunk[y - rows.start, x - columns.start])


def _around(sizes: tuple[int, ...], index: int) -> slice:
    """The chunk along an axis that holds an index."""
    ends = np.cumsum(sizes)
    i = int(np.searchsorted(ends, index, side="right"))
    return slice(int(ends[i] - sizes[i]), int(ends[i]))
