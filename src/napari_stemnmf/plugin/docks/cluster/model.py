"""How the seeds of a clustering go, or went: from what they tell while they run, or from the model. No Qt."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stemnmf.clustering.ensemble import Ensemble
    from napari_stemnmf.clustering.iterative import SeedNews

RUNNING = "running"


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
    """

    seed: int
    ks: list[int] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    k: int = 0
    error: float = float("nan")
    status: str = RUNNING


def traces_of_news(news: Iterable[SeedNews]) -> list[Trace]:
    """The seeds of a run so far, by number."""
    traces: dict[int, Trace] = {}
    for told in news:
        trace = traces.setdefault(told.seed, Trace(told.seed))
        trace.k, trace.error = told.k, told.error
        if told.status:
            trace.status = told.status
        else:
            trace.ks.append(told.k)
            trace.errors.append(told.error)
    return [traces[seed] for seed in sorted(traces)]


def traces_of_model(model: Ensemble | None) -> list[Trace]:
    """The seeds that a model was chosen from."""
    if model is None:
        return []
    return [
        Trace(r.seed, [c.k for c in r.cycles], [c.error for c in r.cycles], r.k, r.error, r.status) for r in model.seeds
    ]


def best(traces: Iterable[Trace]) -> Trace | None:
    """The seed of the smallest error among those that have ended with a model."""
    ended = [trace for trace in traces if trace.k and trace.status not in (RUNNING, "cancelled")]
    return min(ended, key=lambda trace: (trace.error, trace.seed), default=None)


def words(traces: list[Trace], of: int, chosen: int | None) -> str:
    """How far the seeds are, in a sentence."""
    if not traces:
        return ""
    ended = sum(trace.status != RUNNING for trace in traces)
    leader = best(traces)
    of_them = next((trace for trace in traces if trace.seed == chosen), None)
    if of_them is not None:
        which = "" if leader is None or leader.seed == chosen else f" (smallest error: seed {leader.seed})"
        return f"In use: seed {chosen}, k {of_them.k}, error {of_them.error:.4f}{which}."
    lead = "" if leader is None else f" Best: seed {leader.seed}, k {leader.k}, error {leader.error:.4f}."
    return f"{ended} of {of} seeds done.{lead}"
