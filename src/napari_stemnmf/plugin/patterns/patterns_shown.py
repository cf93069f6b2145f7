"""The pattern that Explore shows: under the probe, or the mean or maximum of a region or of the whole scan. No Qt.

A `PatternReader` is used from one worker thread. It reads single patterns where that is quick; where a pattern costs as
much as the chunk that it lies in, it keeps that chunk, so that the probe moves on inside it for nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.errors import Cancelled, StemNMFError

if TYPE_CHECKING:
    from napari_stemnmf.control import Control
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.streaming.survey import Survey

SHOWN = {
    "position": "pattern under the probe",
    "region mean": "mean of the region",
    "region maximum": "maximum of the region",
    "mean": "mean of the scan",
    "maximum": "maximum of the scan",
}
"""What can be shown, and its name in the window."""
SLOW = 0.02
"""Seconds above which a pattern, `READS` times in a row, is as dear as its whole chunk..."""
READS = 3
DEARER = 2.5
"""... unless the chunk takes so many times as long."""
CHUNK_BYTES = 64 * 2**20
"""Most of a chunk that is kept."""


@dataclass(frozen=True, eq=False)
class PatternRequest:
    """Which pattern to show; `number` tells the newest, `control` stops one that is no longer wanted."""

    scan: Dataset | None
    survey: Survey | None
    picture: str
    position: tuple[int, int]
    region: np.ndarray | None
    number: int
    control: Control


@dataclass(frozen=True, eq=False)
class Shown:
    """A pattern (q_y, q_x), or a sentence on why there is none; and what it is of."""

    number: int
    image: np.ndarray | None = None
    note: str = ""
    what: str = ""


class PatternReader:
    """Makes patterns, and remembers the last chunk and the last region."""

    def __init__(self) -> None:
        self._scan: Dataset | None = None
        self._chunk: tuple[slice, slice, np.ndarray] | None = None
        self._region: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
        self._seconds: list[float] = []
        self._whole: bool | None = None

    def __call__(self, request: PatternRequest) -> Shown:
        """The pattern that is requested for; what cannot be done becomes its note."""
        if request.scan is not self._scan:
            self._scan, self._chunk, self._region = request.scan, None, None
            self._seconds, self._whole = [], None
        try:
            return self._shown(request)
        except Cancelled:
            return Shown(request.number)
        except StemNMFError as error:
            return Shown(request.number, note=str(error))
        except Exception as error:  # whatever a format's library raises
            return Shown(request.number, note=f"The pattern cannot be read: {error}.")

    def _shown(self, request: PatternRequest) -> Shown:
        if request.picture in ("mean", "maximum"):
            if request.survey is None:
                return Shown(request.number, note="Press First look in Calibrate: the whole scan was not read yet.")
            return Shown(
                request.number, getattr(request.survey, request.picture), what=f"{request.picture} of the scan"
            )
        if request.scan is None:
            return Shown(request.number, note="The scan itself is not open; open its file to see its patterns.")
        if request.picture == "position":
            rows, columns = request.scan.scan_shape
            y, x = min(request.position[0], rows - 1), min(request.position[1], columns - 1)
            return Shown(request.number, self.pattern(request.scan, y, x), what=f"scan y {y}, x {x}")
        if request.region is None or not request.region.any():
            return Shown(request.number, note="Draw a rectangle or a polygon on the scan: its patterns show here.")
        mean, maximum = self._of_region(request.scan, request.region, request.control)
        image = mean if request.picture == "region mean" else maximum
        return Shown(
            request.number, image, what=f"{request.picture.split()[1]} of {int(request.region.sum())} patterns"
        )

    def pattern(self, scan: Dataset, y: int, x: int) -> np.ndarray:
        """The pattern (q_y, q_x) at a probe position."""
        kept = self._chunk
        if kept is not None and kept[0].start <= y < kept[0].stop and kept[1].start <= x < kept[1].stop:
            return np.asarray(kept[2][y - kept[0].start, x - kept[1].start])
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

        self._chunk = None  # two of them would be one too many
        chunk = load(scan.data[rows, columns])
        self._whole = time.perf_counter() - start < DEARER * max(self._seconds)
        self._chunk = (rows, columns, chunk) if self._whole else None
        return np.asarray(chunk[y - rows.start, x - columns.start])

    def _of_region(self, scan: Dataset, region: np.ndarray, control: Control) -> tuple[np.ndarray, np.ndarray]:
        kept = self._region
        if kept is None or not np.array_equal(kept[0], region):
            from napari_stemnmf.streaming.virtual_images import region_patterns

            kept = self._region = (region, *region_patterns(scan, region, control=control))
        return kept[1], kept[2]


def as_text(image: np.ndarray) -> str:
    """A pattern as lines of tab-separated numbers, as spreadsheets take it."""
    return "\n".join("\t".join(f"{value:.7g}" for value in row) for row in image.tolist())


def _around(sizes: tuple[int, ...], index: int) -> slice:
    """The chunk along an axis that an index lies in."""
    ends = np.cumsum(sizes)
    i = int(np.searchsorted(ends, index, side="right"))
    return slice(int(ends[i] - sizes[i]), int(ends[i]))
