"""NMF in overlapping windows of a scan, from many random starts.

Only the windows in work are in memory, one a thread. Each is fitted by itself, with the scaling of the whole scan; how
their components become those of the scan is in `joining`.
"""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.sparse import csr_array, sparray, vstack

from napari_stemnmf.clustering.hals import weights
from napari_stemnmf.clustering.iterative_nmf import IterativeNMF, SeedProgress, SeedRecord
from napari_stemnmf.clustering.joining import Joined, joined
from napari_stemnmf.clustering.matrix import check_matrix, squared_norm
from napari_stemnmf.clustering.scaling import Scale, Scaled
from napari_stemnmf.clustering.scree import Scree, coarse_rows, scree, starting_components
from napari_stemnmf.clustering.windows import Window
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled
from napari_stemnmf.features.features import Features
from napari_stemnmf.representation_settings import ClusteringSettings


@dataclass(frozen=True, eq=False)
class Fitted:
    """NMF of one window from one random start.

    Attributes
    ----------
    record : SeedRecord
    squares : float
        ‖V‖² of the window.
    """

    record: SeedRecord
    squares: float


class Windows:
    """A scan that NMF sees in windows.

    Parameters
    ----------
    features : Features
    windows : list of Window
    scale : Scale
        Of the whole matrix, so that components of different windows can be compared.
    control : Control
        Checked for a cancel as in one fit; told of every cycle, with a `SeedProgress` at the end of each window.
    """

    def __init__(self, features: Features, windows: list[Window], scale: Scale, control: Control) -> None:
        self.features, self.windows, self.scale, self.control = features, windows, scale, control
        self.scan_shape = int(features.scan_shape[0]), int(features.scan_shape[1])

    def run(self, settings: ClusteringSettings, workers: int) -> tuple[list[SeedRecord], Scree]:
        """All seeds in all windows, seed by seed, so that a cancel leaves whole ones; and the mean of their screes."""
        count, first = len(self.windows), settings.first_seed
        news = _News(count, settings.seeds, self.control)
        with ThreadPoolExecutor(workers, thread_name_prefix="nmf") as pool:
            try:
                screes = list(pool.map(self._scree, self.windows))
                start = [starting_components(settings, curve.suggested) for curve in screes]
                tasks = [(seed, i) for seed in range(first, first + settings.seeds) for i in range(count)]
                fits = list(pool.map(lambda task: self._fit(settings, task[0], task[1], start[task[1]], news), tasks))
            except BaseException:
                self.control.cancel()  # one failed, or the user pressed Ctrl-C: the others need not go on
                raise
        sparse = isinstance(self.features.values, sparray)
        return [together(fits[i : i + count], sparse) for i in range(0, len(fits), count)], _mean_scree(screes)

    def scree(self) -> Scree:
        """The mean of the screes of the windows."""
        return _mean_scree(list(map(self._scree, self.windows)))

    def joined(self, record: SeedRecord, workers: int) -> Joined:
        """The components of a seed over the scan."""
        ends = np.cumsum([0, *record.windows])
        tasks = [(w, record.H[a:b]) for w, a, b in zip(self.windows, ends[:-1], ends[1:], strict=True)]
        with ThreadPoolExecutor(workers, thread_name_prefix="nmf") as pool:
            maps = list(pool.map(lambda task: self._maps(*task), tasks))
        return joined(self.windows, maps, record.H, self.scan_shape)

    def _scaled(self, window: Window) -> Scaled:
        """The rows of V of a window."""
        self.control.check()
        return self.scale.apply(self.features.values[window.positions(self.scan_shape[1])], control=self.control)

    def _scree(self, window: Window) -> Scree:
        """Of the rows of one window, but for patterns that are left out."""
        rows = self._scaled(window)
        there = rows.values[~rows.missing] if rows.missing.any() else rows.values
        return scree(there, control=self.control) if there.shape[0] else Scree(np.zeros(1), 1, 0.0)

    def _fit(self, settings: ClusteringSettings, seed: int, index: int, start: int, news: _News) -> Fitted:
        """One seed in one window, to its end."""
        window, nothing = self.windows[index], np.zeros((0, int(self.scale.kept.sum())), np.float32)
        try:
            values = self._scaled(window).values
        except Cancelled:
            return Fitted(SeedRecord(seed, 0, math.nan, (), "cancelled", nothing), 0.0)
        V = check_matrix(values)
        squares = squared_norm(V)
        if squares > 0:
            coarse = coarse_rows(window.shape, start) if settings.coarse_fit == "on" else None
            V_coarse = None if coarse is None else check_matrix(values[coarse])
            report = partial(news.cycle, index)
            record = IterativeNMF(V, V_coarse, start, settings, seed, report, self.control).run()
        else:
            record = SeedRecord(seed, 0, 0.0, (), "done", nothing)
        if isinstance(values, sparray):
            record = replace(record, H=csr_array(record.H))
        fitted = Fitted(record, squares)
        if record.status != "cancelled":
            news.ended(fitted)
        return fitted

    def _maps(self, window: Window, H: np.ndarray | csr_array) -> np.ndarray:
        """The component maps of a window, (k of the window, rows, columns)."""
        H = H.toarray() if isinstance(H, sparray) else H
        if not len(H):
            return np.zeros((0, *window.shape), np.float32)
        W = weights(check_matrix(self._scaled(window).values), H, control=self.control)
        return np.ascontiguousarray(W.T).reshape(-1, *window.shape)


class _News:
    """What windows report while they are worked on, one thread at a time."""

    def __init__(self, windows: int, seeds: int, control: Control) -> None:
        self.windows, self.total, self.control = windows, windows * seeds, control
        self._lock = threading.Lock()
        self._done = 0
        self._of_seed: dict[int, list[Fitted]] = {}

    def cycle(self, index: int, progress: SeedProgress) -> None:
        """A cycle in a window."""
        with self._lock:
            self.control.report(self._done, self.total, f"window {index + 1} of {self.windows}, {progress}")

    def ended(self, fitted: Fitted) -> None:
        """The end of a window: what its seed has found in those that are done."""
        with self._lock:
            self._done += 1
            own = self._of_seed.setdefault(fitted.record.seed, [])
            own.append(fitted)
            k, status = sum(each.record.k for each in own), "done" if len(own) == self.windows else ""
            progress = SeedProgress(fitted.record.seed, len(own), k, _error(own), status, "window")
            self.control.report(self._done, self.total, f"{progress}, of {self.windows} windows", progress)


def together(parts: list[Fitted], sparse: bool = False) -> SeedRecord:
    """What became of a seed, from what became of it in each window; of one that was cancelled nothing is kept."""
    records = [part.record for part in parts]
    cycles = tuple(cycle for record in records for cycle in record.cycles)
    seed = records[0].seed
    if any(record.status == "cancelled" for record in records):
        empty = np.zeros((0, max(record.H.shape[1] for record in records)), np.float32)
        return SeedRecord(seed, 0, math.nan, cycles, "cancelled", empty, "cancelled by the user")
    if sparse:
        H: np.ndarray | csr_array = csr_array(vstack([csr_array(record.H) for record in records], format="csr"))
    else:
        H = np.concatenate([record.H for record in records])
    stopped = [record for record in records if record.status == "stopped"]
    reason = f"{stopped[0].reason} in {len(stopped)} of {len(records)} windows" if stopped else ""
    counts = np.array([record.k for record in records])
    return SeedRecord(
        seed, int(counts.sum()), _error(parts), cycles, "stopped" if stopped else "done", H, reason, counts
    )


def _error(parts: list[Fitted]) -> float:
    """‖V − WH‖ / ‖V‖ over windows, whose shared rows count in each."""
    total = sum(part.squares for part in parts)
    return math.sqrt(sum(part.record.error**2 * part.squares for part in parts) / total) if total > 0 else 0.0


def _mean_scree(screes: list[Scree]) -> Scree:
    """The mean curve and suggestion of the windows."""
    length = min(len(curve.variance) for curve in screes)
    variance = np.mean([curve.variance[:length] for curve in screes], axis=0)
    suggested = round(float(np.mean([curve.suggested for curve in screes])))
    return Scree(variance, suggested, float(np.mean([curve.total for curve in screes])))
