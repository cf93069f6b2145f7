"""Iterative NMF of one matrix from many random starts, side by side: in threads, or where else a pool has it done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from napari_stemnmf.clustering.iterative_nmf import IterativeNMF, SeedProgress, SeedRecord
from napari_stemnmf.clustering.matrix import Matrix
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled
from napari_stemnmf.representation_settings import ClusteringSettings
from napari_stemnmf.streaming.pools import Pool, in_turn
from napari_stemnmf.threads import one_blas_thread


def fit_seed(
    given: tuple[Matrix, Matrix | None],
    start: int,
    settings: ClusteringSettings,
    seed: int,
    what: str,
    report: Callable[[SeedProgress], None] | None = None,
    control: Control | None = None,
) -> Fitted:
    """One seed to its end, on V and on the rows of it for coarse fits; runs where the pool says. `what` names it."""
    control = Control() if control is None else control
    with one_blas_thread():
        nmf = IterativeNMF(*given, start, settings, seed, report or (lambda _: None), control)
        record = nmf.run()
    return Fitted(record, nmf.W)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What became of a seed, and its weights (n, k)."""

    record: SeedRecord
    W: np.ndarray

    @property
    def unfinished(self) -> bool:
        """Whether a cancel came before its end."""
        return self.record.status == "cancelled"


class Seeds:
    """The seeds of one call of `cluster`: what is told of them, and the best model so far."""

    def __init__(self, settings: ClusteringSettings, control: Control) -> None:
        self.settings, self.control = settings, control
        self.lock = threading.Lock()
        self.finished = 0
        self.best: tuple[float, int] = (np.inf, -1)
        self.W: np.ndarray | None = None

    def run(self, V: Matrix, V_coarse: Matrix | None, start: int, pool: Pool) -> tuple[SeedRecord, ...]:
        """All seeds to their end, or to a cancel."""
        seeds = range(self.settings.first_seed, self.settings.first_seed + self.settings.seeds)
        records: list[SeedRecord] = []
        try:
            given = pool.shared((V, V_coarse))
            own = (self.report, self.control) if pool.here else ()
            tasks = ((fit_seed, given, start, self.settings, seed, f"seed {seed}", *own) for seed in seeds)
            with suppress(Cancelled):
                for fitted in in_turn(pool, tasks, Control() if pool.here else self.control):
                    records.append(fitted.record)
                    self._take(fitted)
        except BaseException:
            self.control.cancel()  # one failed, or the user pressed Ctrl-C: the others need not go on
            raise
        finally:
            pool.close()
        nothing = np.zeros((0, V.shape[1]), np.float32)
        left = seeds[len(records) :]
        return *records, *(
            SeedRecord(seed, 0, np.nan, (), "cancelled", nothing, "cancelled by the user") for seed in left
        )

    def _take(self, fitted: Fitted) -> None:
        record = fitted.record
        if fitted.unfinished:
            return
        with self.lock:
            self.finished += 1
            if record.k and (record.error, record.seed) < self.best:
                self.best, self.W = (record.error, record.seed), fitted.W
        self.report(SeedProgress(record.seed, len(record.cycles), record.k, record.error, record.status))

    def report(self, progress: SeedProgress) -> None:
        """Report to the user, one thread at a time."""
        with self.lock:
            self.control.report(self.finished, self.settings.seeds, str(progress), progress)
