"""NMF in overlapping windows of a scan, from many random starts.

Only the windows in work are in memory. Each is fitted by itself, with the scaling of the whole scan, in threads or
where else a pool has it done (`streaming.pools`); how their components become those of the scan is in `joining`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

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
from napari_stemnmf.streaming.pools import Executor, in_turn, pool_of
from napari_stemnmf.threads import one_blas_thread


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

    @property
    def unfinished(self) -> bool:
        """Whether a cancel came before its end."""
        return self.record.status == "cancelled"


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

    def run(
        self, settings: ClusteringSettings, executor: Executor | None, workers: int
    ) -> tuple[list[SeedRecord], Scree]:
        """All seeds in all windows, seed by seed, so that a cancel leaves whole ones; and the mean of their screes."""
        count, seeds = len(self.windows), range(settings.first_seed, settings.first_seed + settings.seeds)
        news = _News(count, settings.seeds, self.control)
        pool = pool_of(executor, workers)
        stop = self.control if pool.here else None  # a control cannot travel to another process
        screes: list[Scree] = []

        def all_screes() -> Iterator[tuple[Any, ...]]:
            for i, window in enumerate(self.windows):
                rows = self._scaled(window)
                there = rows.values[~rows.missing] if rows.missing.any() else rows.values
                yield scree_of, there, f"window {i}", stop

        def all_fits() -> Iterator[tuple[Any, ...]]:
            for seed in seeds:
                for i, window in enumerate(self.windows):
                    start = starting_components(settings, screes[i].suggested)
                    values = np.zeros((0, 0), np.float32) if self.control.cancelled else self._scaled(window).values
                    what = window.shape, settings, seed, start, f"window {i}, seed {seed}"
                    yield fit_window, values, *what, partial(news.cycle, i) if pool.here else None, stop

        found: list[Fitted] = []
        try:
            screes += in_turn(pool, all_screes(), self.control)
            with suppress(Cancelled):
                for fitted in in_turn(pool, all_fits(), Control() if pool.here else self.control):
                    found.append(fitted)
                    if not fitted.unfinished:
                        news.ended(fitted)
        except BaseException:
            self.control.cancel()  # one failed, or the user pressed Ctrl-C: the others need not go on
            raise
        finally:
            pool.close()
        for seed in list(seeds)[len(found) // count :]:  # those that a cancel left
            missing = count - (len(found) % count) if len(found) % count else count
            found += [Fitted(_cancelled(seed, int(self.scale.kept.sum())), 0.0)] * missing
        sparse = isinstance(self.features.values, sparray)
        return [together(found[i : i + count], sparse) for i in range(0, len(found), count)], _mean_scree(screes)

    def scree(self) -> Scree:
        """The mean of the screes of the windows."""
        return _mean_scree([self._scree(window) for window in self.windows])

    def joined(self, record: SeedRecord, workers: int, executor: Executor | None = None) -> Joined:
        """The components of a seed over the scan."""
        ends = np.cumsum([0, *record.windows])
        pool = pool_of(executor, workers)
        stop = self.control if pool.here else None

        def tasks() -> Iterator[tuple[Any, ...]]:
            for i, window in enumerate(self.windows):
                H = record.H[ends[i] : ends[i + 1]]
                yield maps_of, self._scaled(window).values, window.shape, H, f"maps of window {i}", stop

        try:
            maps = list(in_turn(pool, tasks(), self.control))
        finally:
            pool.close()
        return joined(self.windows, maps, record.H, self.scan_shape)

    def _scaled(self, window: Window) -> Scaled:
        """The rows of V of a window."""
        self.control.check()
        return self.scale.apply(self.features.values[window.positions(self.scan_shape[1])], control=self.control)

    def _scree(self, window: Window) -> Scree:
        """Of the rows of one window, but for patterns that are left out."""
        rows = self._scaled(window)
        there = rows.values[~rows.missing] if rows.missing.any() else rows.values
        return scree_of(there, "", self.control)


def scree_of(rows: np.ndarray | csr_array, what: str, control: Control | None = None) -> Scree:
    """The scree of rows of V, which may be none; runs where the pool says. `what` names it."""
    with one_blas_thread():
        return scree(rows, control=control or Control()) if rows.shape[0] else Scree(np.zeros(1), 1, 0.0)


def fit_window(
    values: np.ndarray | csr_array,
    shape: tuple[int, int],
    settings: ClusteringSettings,
    seed: int,
    start: int,
    what: str,
    report: Callable[[SeedProgress], None] | None = None,
    control: Control | None = None,
) -> Fitted:
    """NMF of the scaled rows of one window from one random start, to its end; runs where the pool says.

    Parameters
    ----------
    values : (n, m') float32
    shape : tuple of int
        Of the window.
    settings : ClusteringSettings
    seed, start : int
        Random start, and components that it has.
    what : str
        Names the task.
    report : callable, optional
        Told of every cycle.
    control : Control, optional
        A cancel is noticed within one iteration; what was not finished says so.
    """
    control = Control() if control is None else control
    if control.cancelled:
        return Fitted(_cancelled(seed, values.shape[1]), 0.0)
    with one_blas_thread():
        V = check_matrix(values)
        squares = squared_norm(V)
        if squares > 0:
            coarse = coarse_rows(shape, start) if settings.coarse_fit == "on" else None
            V_coarse = None if coarse is None else check_matrix(values[coarse])
            record = IterativeNMF(V, V_coarse, start, settings, seed, report or _nobody, control).run()
        else:
            record = SeedRecord(seed, 0, 0.0, (), "done", np.zeros((0, values.shape[1]), np.float32))
    if isinstance(values, sparray):
        record = replace(record, H=csr_array(record.H))
    return Fitted(record, squares)


def maps_of(
    values: np.ndarray | csr_array,
    shape: tuple[int, int],
    H: np.ndarray | csr_array,
    what: str,
    control: Control | None = None,
) -> np.ndarray:
    """The component maps (k, rows, columns) of the scaled rows of a window for given components; `what` names it."""
    H = H.toarray() if isinstance(H, sparray) else H
    if not len(H):
        return np.zeros((0, *shape), np.float32)
    with one_blas_thread():
        W = weights(check_matrix(values), H, control=control)
    return np.ascontiguousarray(W.T).reshape(-1, *shape)


def _nobody(_: SeedProgress) -> None:
    """Nobody listens."""


def _cancelled(seed: int, columns: int) -> SeedRecord:
    """Of a seed of which nothing was done."""
    return SeedRecord(seed, 0, math.nan, (), "cancelled", np.zeros((0, columns), np.float32))


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
