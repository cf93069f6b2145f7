"""A reduced copy of a scan in memory, from which an image under any detector takes milliseconds.

Detector pixels are binned, and where the scan is large, only every so many probe positions are kept, so that the copy
fits a memory budget whatever the size of the scan. It is filled in the background, coarse to fine, and is of use from
its first block on. It holds running sums along the detector's rows: the sum over a stretch of pixels is then the
difference of two entries, and an image costs as much as the detector's outline is long. Leans on the engine's blocks.
"""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError
from napari_stemnmf.streaming.engine import Block, as_counts, blocks, load
from napari_stemnmf.streaming.virtual_detectors import Detector
from napari_stemnmf.streaming.virtual_images import CentresOfMass, coarse_to_fine, covering
from napari_stemnmf.texts import why
from napari_stemnmf.threads import default_workers, in_order

logger = logging.getLogger(__name__)
MEMORY = 128 * 2**20
"""Bytes that a copy may take: read whole, as a centre of mass over the whole detector needs, in about 20 ms."""
FINE, COARSE = 64, 32
"""Detector pixels along an axis that are enough for the eye, and the least that are kept before the scan is thinned."""


class Reduction(NamedTuple):
    """`bin` detector pixels become one along both axes; every `step`-th probe position is kept along both axes."""

    bin: int
    step: int


def reduction(scan_shape: tuple[int, int], detector_shape: tuple[int, int], memory: int = MEMORY) -> Reduction:
    """The finest reduction that fits into so many bytes: pixels go first, down to `COARSE`, then positions."""
    bin_ = max(1, -(-max(detector_shape) // FINE))
    step = 1
    while _bytes(scan_shape, detector_shape, bin_, step) > memory and step < max(scan_shape):
        if max(detector_shape) // (bin_ + 1) >= COARSE:
            bin_ += 1
        else:
            step += 1
    return Reduction(bin_, step)


class LiveScan:
    """A reduced copy of one scan; its methods may be called from any thread, and at any time.

    It takes at most `memory` bytes and reads in so many `workers`, by default one for each core. ``error`` holds why
    reading stopped; it is empty if it did not.
    """

    def __init__(self, dataset: Dataset, *, memory: int = MEMORY, workers: int | None = None) -> None:
        self.dataset = dataset
        self._workers = default_workers() if workers is None else workers
        self.reduction = reduction(dataset.scan_shape, dataset.detector_shape, memory)
        self.error = ""
        bin_, step = self.reduction
        self._grid = tuple(np.arange(min(step // 2, n - 1), n, step) for n in dataset.scan_shape)
        rows, columns = (-(-n // bin_) for n in dataset.detector_shape)
        self._there = np.zeros([len(along) for along in self._grid], bool)
        self._table = np.zeros((rows, columns + 1, self._there.size), np.float32)
        self._todo = self._cells()
        self._parts = len(self._todo)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def fraction(self) -> float:
        """Share of the copy that is filled, 0 to 1."""
        return 1.0 - len(self._todo) / self._parts if self._parts else 1.0

    @property
    def complete(self) -> bool:
        """Whether all of it is filled."""
        return not self._todo

    @property
    def exact(self) -> bool:
        """Whether it is the whole scan, so that its images are no approximation."""
        return self.complete and self.reduction == (1, 1)

    @property
    def started(self) -> bool:
        """Whether there is anything to take an image from."""
        return bool(self._there.any())

    def start(self) -> None:
        """Fill it in the background, or go on where that was stopped."""
        with self._lock:
            if self.complete or self.error or (self._thread is not None and not self._stop.is_set()):
                return
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._fill, args=(self._stop,), name="napari-stemnmf live scan", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Stop to fill it, after the blocks that are being read; what is there stays."""
        self._stop.set()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the reading has ended; whether it has."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def image(self, detector: Detector) -> np.ndarray:
        """(scan_y, scan_x) float32 counts under a detector; positions that are not there show the nearest that is.

        A DataError if the detector covers no pixel, here and in `centres_of_mass`.
        """
        mask = covering(detector, self.dataset.detector_shape)
        (sums,) = self._combined(self._binned(mask)[None])
        return self._spread(sums)

    def centres_of_mass(self, detector: Detector) -> CentresOfMass:
        """Centre of mass within a detector, about as `virtual_images.centres_of_mass` gives it."""
        mask = covering(detector, self.dataset.detector_shape)
        grid = np.indices(mask.shape)
        about = grid[:, mask].mean(axis=1)  # moments about the middle lose no digits
        from_middle = grid - about[:, None, None]
        weights = np.stack([self._binned(mask * by) for by in (1.0, *from_middle)])
        moments = self._combined(weights).astype(np.float64)
        moments[1:] += moments[0] * about[:, None]
        spread = np.stack([self._spread(each).ravel() for each in moments], axis=1)
        found = CentresOfMass.of(spread, self.dataset.scan_shape)
        (low_y, low_x), (high_y, high_x) = grid[:, mask].min(axis=1), grid[:, mask].max(axis=1)
        known = (found.q_y >= low_y) & (found.q_y <= high_y) & (found.q_x >= low_x) & (found.q_x <= high_x)
        # where there are next to no counts, the digits that were lost would point anywhere
        return CentresOfMass(np.where(known, found.q_y, np.nan), np.where(known, found.q_x, np.nan))

    # ---- from weights of binned pixels to images

    def _binned(self, weights: np.ndarray) -> np.ndarray:
        """Mean weight of each binned pixel, of the weights (q_y, q_x) of the detector's own."""
        bin_ = self.reduction.bin
        starts = [np.arange(0, n, bin_) for n in weights.shape]
        sizes = [np.diff(np.append(start, n)) for start, n in zip(starts, weights.shape, strict=True)]
        sums = np.add.reduceat(np.add.reduceat(weights.astype(np.float64), starts[0], axis=0), starts[1], axis=1)
        return np.asarray(sums / np.outer(*sizes))

    def _combined(self, weights: np.ndarray) -> np.ndarray:
        """(w, n) sums over binned pixels with w sets of weights (w, rows, columns)."""
        from napari_stemnmf.streaming.summing import combine

        of_entries = -np.diff(np.pad(weights, ((0, 0), (0, 0), (1, 1))), axis=2).reshape(len(weights), -1)
        entries = np.flatnonzero(of_entries.any(axis=0))
        chosen = np.ascontiguousarray(of_entries[:, entries], np.float32)
        return np.asarray(combine(self._table.reshape(-1, self._table.shape[-1]), entries, chosen))

    def _spread(self, values: np.ndarray) -> np.ndarray:
        """(scan_y, scan_x) of the values at the positions that were kept."""
        coarse = values.reshape(self._there.shape)
        there = self._there.copy()
        if there.any() and not there.all():
            from scipy.ndimage import distance_transform_edt

            coarse = coarse[tuple(distance_transform_edt(~there, return_distances=False, return_indices=True))]
        rows, columns = (
            np.minimum(np.arange(n) // self.reduction.step, len(along) - 1)
            for n, along in zip(self.dataset.scan_shape, self._grid, strict=True)
        )
        return np.asarray(coarse[np.ix_(rows, columns)])

    # ---- filling

    def _cells(self) -> list[Block]:
        """Blocks that hold a position of the grid, coarse to fine."""
        found = {(b.y0, b.x0): b for b in blocks(self.dataset)}
        rows, columns = (sorted({key[i] for key in found}) for i in (0, 1))
        order = (found[rows[i], columns[j]] for i, j in coarse_to_fine(len(rows), len(columns)))
        return [block for block in order if all(len(where) for where in self._inside(block))]

    def _inside(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Indices, along the rows and the columns of the grid, of the positions that lie in a block."""
        y, x = self._grid
        return np.flatnonzero((y >= block.y0) & (y < block.y1)), np.flatnonzero((x >= block.x0) & (x < block.x1))

    def _fill(self, stop: threading.Event) -> None:
        try:
            for block in in_order(self._read, list(self._todo), self._workers):
                if block in self._todo:
                    self._todo.remove(block)
                if stop.is_set():
                    return
        except ReadError as error:
            self.error = str(error)
        except Exception as error:  # whatever a format's library raises
            logger.exception("The live copy of %s failed.", self.dataset.name)
            self.error = f"{self.dataset.name} cannot be read: {why(error)}."

    def _read(self, block: Block) -> Block:
        """Read the positions of the grid that a block holds into the table."""
        from napari_stemnmf.streaming.summing import reduce_patterns

        i, j = self._inside(block)
        y, x = self._grid[0][i], self._grid[1][j]
        step = self.reduction.step
        part = self.dataset.data[y[0] : y[-1] + 1 : step, x[0] : x[-1] + 1 : step]
        patterns = as_counts(load(part)).reshape(-1, *self.dataset.detector_shape)
        where = (i[:, None] * self._there.shape[1] + j).ravel()
        reduce_patterns(patterns, self.reduction.bin, self._table, where)
        self._there[np.ix_(i, j)] = True
        return block


def _bytes(scan_shape: tuple[int, int], detector_shape: tuple[int, int], bin_: int, step: int) -> int:
    positions = np.prod([-(-n // step) for n in scan_shape], dtype=np.int64)
    rows, columns = (-(-n // bin_) for n in detector_shape)
    return int(positions) * rows * (columns + 1) * 4
