"""Whether a run fits the memory that it may take, before anything is read; and what would."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from napari_stemnmf import stages
from napari_stemnmf.cost import ALL, estimate
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import RecipeError
from napari_stemnmf.memory import available
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.threads import default_workers

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

logger = logging.getLogger(__name__)

SHARE = 0.5
"""Of the memory that is free, what a run may take where nothing is said."""
NAMED = 3
"""Changes that would fit that are named at most."""
WHOLE_GRAINS = 64
"""Least rows of a part of a scan that is offered: less hardly holds a grain."""


def threads_within(
    analysis: Analysis | None,
    dataset: Dataset,
    recipe: Recipe,
    *,
    workers: int | None = None,
    until: str | None = None,
    memory: float | None = None,
    elsewhere: bool = False,
) -> int:
    """Threads that a run may have, so that it takes no more memory than it may: as many as are wanted, or fewer.

    Parameters
    ----------
    analysis : Analysis or None
        What was found before.
    dataset : Dataset
        Its sizes are looked at, no pattern is read.
    recipe : Recipe
    workers : int, optional
        Threads that are wanted; all cores if not given.
    until : str, optional
        Last step to run.
    memory : float, optional
        Bytes that the run may take; half of what is free if not given.
    elsewhere : bool
        Whether patterns are worked on in other processes.

    Raises
    ------
    RecipeError
        If it would not fit with one thread: the message says what would. Where no number of bytes was given, only if
        more is needed than is free, as an estimate may be too high; a warning before.
    """
    wanted, free = default_workers() if workers is None else workers, available()
    allowed = SHARE * free if memory is None else float(memory)
    for threads in [1] if elsewhere else range(wanted, 0, -1):
        if _needed(analysis, dataset, recipe, until, threads) <= allowed:
            return wanted if elsewhere else threads
    needed = _needed(analysis, dataset, recipe, until, 1)
    fitting = [what for what in _changes(analysis, dataset, recipe, until) if what[1] <= allowed][:NAMED]
    would = " or ".join(f"{what} ({size / 1e9:.1f} GB)" for what, size in fitting)
    told = (
        f"This run would take about {needed / 1e9:.1f} GB of memory, and {allowed / 1e9:.1f} GB is what it may take "
        f"(--memory, or memory= in Python). {f'These would fit: {would}.' if would else 'Give a part of the scan.'}"
    )
    if memory is not None or needed > free:
        raise RecipeError(told)
    logger.warning("%s", told)
    return wanted if elsewhere else 1


def _needed(analysis: Analysis | None, dataset: Dataset, recipe: Recipe, until: str | None, threads: int) -> float:
    step = until if until is not None and not stages.named(until).each else ALL
    return estimate(analysis, dataset, recipe, step, workers=threads).bytes


def _changes(
    analysis: Analysis | None, dataset: Dataset, recipe: Recipe, until: str | None
) -> Iterator[tuple[str, float]]:
    """Changes of settings that take less memory, and how much they do; the least of them first."""
    tried: list[tuple[str, Recipe]] = []
    whole = [name for name in recipe.features if getattr(recipe.chain(name).clustering, "windows", "auto") == "off"]
    if whole:
        windows = {f"{name}.clustering.windows": "auto" for name in whole}
        tried.append((" and ".join(f"{name} = auto" for name in windows), recipe.replaced(windows)))
    for name in recipe.features:
        rest = [other for other in recipe.features if other != name]
        if rest:
            tried.append((f"features = {','.join(rest)}", recipe.replaced({"features": rest})))
    if len(recipe.features) > 2:
        tried += [(f"features = {name}", recipe.replaced({"features": [name]})) for name in recipe.features]
    for factor in (2, 4):
        size = recipe.preprocess.bin * factor
        if size <= min(dataset.detector_shape) // 16:
            tried.append((f"preprocess.bin = {size}", recipe.replaced({"preprocess.bin": size})))
    rows = dataset.scan_shape[0]
    while (rows := rows // 2) >= WHOLE_GRAINS:
        tried.append((f"preprocess.scan_y = [0, {rows}]", recipe.replaced({"preprocess.scan_y": (0, rows)})))
    for what, changed in tried:
        yield what, _needed(analysis, dataset, changed, until, 1)
