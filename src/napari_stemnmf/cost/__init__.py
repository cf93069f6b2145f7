"""What a step will cost before it runs: seconds, and the memory that it takes beside what is held already.

Nothing is read and nothing heavy imported, so that a window may ask at every change of a setting. How costs are counted
is in `work`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf import stages
from napari_stemnmf.cost.sizes import Scan
from napari_stemnmf.cost.work import Work
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.threads import default_workers

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

ALL = "recipe"
"""In place of a stage: all of them."""


@dataclass(frozen=True)
class Estimate:
    """What a step will cost.

    Attributes
    ----------
    seconds : float
        On the clock; 0 where nothing is missing or stale.
    bytes : float
        The most memory it takes beside what is held already.
    rough : bool
        Whether something that decides the cost had to be guessed.
    why : str
        What the estimate rests on, or what had to be guessed: a sentence.
    """

    seconds: float = 0.0
    bytes: float = 0.0
    rough: bool = False
    why: str = "Nothing is missing or stale."

    def text(self) -> str:
        """As in "about 12 s, 0.4 GB"; "nothing to do" where it costs nothing."""
        if not self.seconds:
            return "nothing to do"
        return f"{'roughly' if self.rough else 'about'} {_time(self.seconds)}, {_memory(self.bytes)}"


def estimate(
    analysis: Analysis | None,
    dataset: Dataset | None,
    recipe: Recipe,
    step: str,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    measured_again: Mapping[str, np.ndarray] | None = None,
    suggested: Mapping[str, int] | None = None,
) -> Estimate:
    """What a step will cost, with what was found so far.

    Parameters
    ----------
    analysis : Analysis or None
        What was found so far: what is current is not computed again, and what took its time tells how fast it goes.
    dataset : Dataset or None
        The scan; its sizes are looked at, no pattern is read. None if it is not open.
    recipe : Recipe
        The settings that the step will run with.
    step : str
        A stage, which takes with it what it needs of the whole scan, or `ALL`.
    features : iterable of str, optional
        Those that the step is for; the recipe's if not given.
    workers : int, optional
        Threads that it will have; all cores by default.
    measured_again : mapping of ndarray of bool, optional
        By feature, which grains (g,) are to be measured, as `pipeline.changed` tells; all if not given.
    suggested : mapping of int, optional
        By feature, the components that a scree of its features as they are scaled suggests.

    Returns
    -------
    Estimate
    """
    names = tuple(recipe.features if features is None else features)
    scan = Scan.of(analysis, dataset, recipe, default_workers() if workers is None else max(1, workers))
    if scan is None:
        return Estimate(why="Open a scan.")
    todo = _todo(analysis, recipe, step, names)
    if not todo:
        return Estimate()
    cost = Work(scan, analysis, recipe, todo, measured_again or {}, suggested or {})
    seconds = held = most = 0.0
    for stage in todo:
        one = cost.of(stage)
        seconds += one.seconds
        most = max(most, held + one.peak)
        held += one.kept
    guessed = " and ".join(cost.guessed)
    why = f"Not known yet: {guessed}." if guessed else "From what earlier stages of this scan found and took."
    return Estimate(max(seconds, 1e-3), max(most, held), bool(guessed), why)


def is_known(step: str) -> bool:
    """Whether there is an estimate for a step."""
    return step == ALL or any(stage.name == step for stage in stages.STAGES)


def _todo(analysis: Analysis | None, recipe: Recipe, step: str, names: Sequence[str]) -> list[str]:
    """The results, as in "models/aa", that are missing or stale, in the order in which they are computed."""
    planned = stages.STAGES if step == ALL else stages.run_with(step)
    failed = {} if analysis is None else analysis.failed
    return [
        path
        for stage in planned
        for path in stage.paths(names)
        if analysis is None
        or not (analysis.is_current(path, recipe) or (path.partition("/")[2] in failed and "features" not in path))
    ]


def _time(seconds: float) -> str:
    if seconds < 1.0:
        return "1 s or less"
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    minutes = seconds / 60.0
    return f"{minutes:.0f} min" if minutes < 90.0 else f"{minutes / 60.0:.1f} h"


def _memory(size: float) -> str:
    return "under 0.1 GB" if size < 0.1e9 else f"{size / 1e9:.1f} GB"
