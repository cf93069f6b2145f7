"""The scree before a clustering, its seeds as they report while they run or as the model records them; and what became
of tracks that are grouped. No Qt."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from napari_stemnmf.clustering.ensemble import Ensemble
    from napari_stemnmf.clustering.grouping import Groups
    from napari_stemnmf.clustering.iterative_nmf import SeedProgress, SeedRecord
    from napari_stemnmf.clustering.scree import Scree
    from napari_stemnmf.control import Control
    from napari_stemnmf.representation_settings import ClusteringSettings, ScalingSettings

RUNNING = "running"


class ScreeRequest(NamedTuple):
    """The features whose scree is to be computed; `control` is cancelled when it is no longer needed."""

    features: Any
    scaling: ScalingSettings
    clustering: ClusteringSettings
    control: Control

    def is_of(self, features: Any, scaling: ScalingSettings, clustering: ClusteringSettings) -> bool:
        """Whether it is the one of these features and settings."""
        windows = [(c.windows, c.window_size) for c in (self.clustering, clustering)]
        return self.features is features and self.scaling == scaling and windows[0] == windows[1]


def find_scree(request: ScreeRequest) -> Scree:
    """The scree of a feature matrix, scaled as it will be clustered; in windows, the mean of theirs."""
    from napari_stemnmf.clustering.ensemble import scree_of_windows
    from napari_stemnmf.clustering.scaling import scale
    from napari_stemnmf.clustering.scree import scree
    from napari_stemnmf.threads import one_blas_thread

    with one_blas_thread():
        of_windows = scree_of_windows(request.features, request.scaling, request.clustering, control=request.control)
        if of_windows is not None:
            return of_windows
        scaled = scale(request.features.values, request.scaling, control=request.control)
        return scree(scaled.values, control=request.control)


@dataclass
class Trace:
    """One seed: components and error after each cycle, and at its end.

    Attributes
    ----------
    seed : int
    ks : list of int
    errors : list of float
        Of each cycle, over the rows that it was fitted to.
    k : int
        Components now, or at the end.
    error : float
        Of the last cycle, or of the model at the end.
    status : str
        ``running``, or as in `SeedRecord`.
    step : str
        What `ks` and `errors` are of: each cycle, or, where NMF runs in windows, all windows up to each.
    """

    seed: int
    ks: list[int] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    k: int = 0
    error: float = float("nan")
    status: str = RUNNING
    step: str = "cycle"


def traces_of_news(news: Iterable[SeedProgress]) -> list[Trace]:
    """The seeds of a run so far, by number."""
    traces: dict[int, Trace] = {}
    for report in news:
        trace = traces.setdefault(report.seed, Trace(report.seed, step=report.step))
        trace.k, trace.error = report.k, report.error
        if report.status:
            trace.status = report.status
        if not report.status or report.step == "window":
            trace.ks.append(report.k)
            trace.errors.append(report.error)
    return [traces[seed] for seed in sorted(traces)]


def traces_of_model(model: Ensemble | None) -> list[Trace]:
    """The seeds that a model was chosen from."""
    if model is None:
        return []
    return [_trace(record) for record in model.seeds]


def _trace(record: SeedRecord) -> Trace:
    """One seed of a model."""
    if len(record.windows):
        ks = record.windows.cumsum().tolist()
        return Trace(record.seed, ks, [math.nan] * len(ks), record.k, record.error, record.status, "window")
    ks, errors = [c.k for c in record.cycles], [c.error for c in record.cycles]
    return Trace(record.seed, ks, errors, record.k, record.error, record.status)


def best(traces: Iterable[Trace]) -> Trace | None:
    """The seed of the smallest error among those that have ended with a model."""
    ended = [trace for trace in traces if trace.k and trace.status not in (RUNNING, "cancelled")]
    return min(ended, key=lambda trace: (trace.error, trace.seed), default=None)


def summary(traces: list[Trace], of: int, chosen: int | None) -> str:
    """How many of so many seeds are done, or which one is in use, in a sentence."""
    if not traces:
        return ""
    ended = sum(trace.status != RUNNING for trace in traces)
    leader = best(traces)
    in_use = next((trace for trace in traces if trace.seed == chosen), None)
    if in_use is not None:
        which = "" if leader is None or leader.seed == chosen else f" (smallest error: seed {leader.seed})"
        return f"In use: seed {chosen}, k {in_use.k}, error {in_use.error:.4f}{which}."
    lead = "" if leader is None else f" Best: seed {leader.seed}, k {leader.k}, error {leader.error:.4f}."
    return f"{ended} of {of} seeds done.{lead}"


def fates(groups: Groups) -> list[tuple[int, str]]:
    """How many tracks became what, in words; those in groups first, what became of none left out."""
    from napari_stemnmf.clustering import grouping as of

    words = {
        of.USED: "in a group: spots of one grain",
        of.ALONE: "alone: no other spot has their footprint",
        of.EXPLAINED: "in a group that other groups explain",
        of.FAINT: "too faint",
        of.SMALL: "over too few positions",
        of.DOUBLE: "diffracted twice, by two grains",
        of.TAIL: "the tail of a brighter spot",
    }
    counts = [(int((groups.fate == fate).sum()), said) for fate, said in words.items()]
    return [line for line in counts if line[0]]
