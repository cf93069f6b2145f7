"""A run: the stages of the table (`stages`) one after the other, and what is chosen and corrected by hand between them.

One loop, `advance`, runs them, each only where its result is missing or stale. `analyse` is the whole way in Python;
the command line, exported scripts and napari use the same loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_stemnmf import stages
from napari_stemnmf.analysis import INCOMPLETE, Analysis, Input, RunTime
from napari_stemnmf.control import Control, Progress
from napari_stemnmf.corrections import changed, choose_seed, edit, missing, redo, undo
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import AnalysisError, Cancelled, DataError
from napari_stemnmf.recipe import FEATURES, Recipe
from napari_stemnmf.stage_functions import Failed, Incomplete, Task, prepared
from napari_stemnmf.stages import Stage
from napari_stemnmf.streaming.engine import Executor

__all__ = [
    "Done", "advance", "analyse", "changed", "choose_seed", "edit", "prepared", "redo", "run", "stale",
    "start", "todo", "undo", "with_mask", "with_recipe",
]  # fmt: skip


def analyse(
    dataset: Dataset,
    recipe: Recipe | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    path: str | Path | None = None,
    analysis: Analysis | None = None,
    mask: np.ndarray | None = None,
    until: str | None = None,
) -> Analysis:
    """Find the grains of a scan.

    Parameters
    ----------
    dataset : Dataset
        The scan, as `napari_stemnmf.open` returns it.
    recipe : Recipe, optional
        The settings; the preset "default" if not given.
    progress : callable, optional
        Called with a `Progress` now and then, from any thread.
    cancel : threading.Event, optional
        Set it to stop; what was finished is kept in the file and in the exception.
    workers : int, optional
        Threads to use; all cores by default. The result does not depend on it.
    executor : Executor, optional
        Runs the stages that read the scan in place of threads, e.g. ``distributed.Client(address).get_executor()``.
    path : path, optional
        Analysis file to write after each stage. If it exists and is of the same data, the run goes on from it.
    analysis : Analysis, optional
        Earlier results of the same data to go on from, instead of a file.
    mask : ndarray of bool, optional
        (q_y, q_x) of the file's detector, True = keep: beside what the recipe finds. That of the earlier results if
        not given.
    until : str, optional
        Last step to run: ``survey``, ``disks``, ``calibrate``, ``featurize``, ``cluster``, ``refine`` or ``measure``.

    Returns
    -------
    Analysis
        With features, models, grains, patterns and tables of every feature in the recipe.

    Raises
    ------
    Cancelled
        If `cancel` was set; its ``analysis`` holds what was finished.
    DataError, AnalysisError
        If the data does not allow a stage to run, or the file cannot be used.
    """
    planned = stages.up_to(until)
    recipe = Recipe.preset("default") if recipe is None else recipe
    control = Control(progress, cancel)
    earlier = analysis
    if earlier is None and path is not None and Path(path).exists():
        earlier = Analysis.load(path)
    analysis = start(dataset, recipe, earlier)
    if earlier is not None and earlier.input.fingerprint != analysis.input.fingerprint and path is not None:
        raise AnalysisError(f"{path} is an analysis of other data ({earlier.input.name}); choose another place.")
    if mask is not None:
        analysis = with_mask(analysis, mask)
    try:
        for done in advance(analysis, dataset, planned, workers=workers, control=control, executor=executor):
            analysis = done.analysis
            if path is not None:
                analysis.save(path)
            control.check()
        control.check()
    except Cancelled as stop:
        analysis = stop.analysis or analysis
        if path is not None:
            analysis.save(path)
        raise Cancelled(str(stop), analysis) from None
    if path is not None and not Path(path).exists():
        analysis.save(path)
    return analysis


def start(dataset: Dataset, recipe: Recipe, earlier: Analysis | None = None) -> Analysis:
    """An analysis of `dataset` with `recipe`: an empty one, or `earlier` with the recipe changed.

    Results of `earlier` that do not belong to the recipe are recomputed by the steps that need them; if it is of
    other data it is left behind altogether.
    """
    record = Input.of(dataset)
    if earlier is None or earlier.input.fingerprint != record.fingerprint:
        return Analysis(recipe, record)
    return with_recipe(replace(earlier, input=record), recipe)


def with_recipe(analysis: Analysis, recipe: Recipe) -> Analysis:
    """The analysis under another recipe; results of features that it leaves out are dropped, unless edited by hand."""
    if recipe == analysis.recipe:
        return analysis
    names = {*recipe.features, *(name for name, review in analysis.reviews.items() if review.edits)}
    keys = {path: key for path, key in analysis.keys.items() if "/" not in path or path.split("/")[1] in names}
    return replace(analysis.without(set(FEATURES) - names, "failed"), recipe=recipe, keys=keys)


def with_mask(analysis: Analysis, mask: np.ndarray | None) -> Analysis:
    """The analysis with a mask (q_y, q_x) of the file's detector, True = keep, or with none.

    Raises
    ------
    DataError
        If the mask is not of the detector's shape.
    """
    if mask is None:
        return replace(analysis, mask=None)
    mask = np.array(mask, dtype=bool)
    if mask.shape != tuple(analysis.input.shape[2:]):
        rows, columns = analysis.input.shape[2:]
        raise DataError(f"The mask is of shape {mask.shape}, but the detector has {rows} x {columns} pixels.")
    return replace(analysis, mask=mask)


class Done(NamedTuple):
    """What a run has come to after one of its parts."""

    stage: Stage
    features: tuple[str, ...]
    """The representations that it was run for; empty where it is of the whole scan."""
    analysis: Analysis
    """Everything found so far."""


def advance(
    analysis: Analysis,
    dataset: Dataset | None,
    planned: Sequence[Stage],
    *,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Generator[Done, Analysis | None, None]:
    """Run stages one after the other, of each only what is missing or stale, and yield after each what there is.

    Stages that run for one representation at a time take the first to its grains before the next begins. An analysis
    that is sent in takes the place of the one that was yielded: the run goes on from it.

    Parameters
    ----------
    analysis : Analysis
        What was found before.
    dataset : Dataset or None
        The scan; None where no stage needs it.
    planned : sequence of Stage
        As `stages.up_to` or `stages.run_with` give them.
    features : iterable of str, optional
        Representations to run for; those of the recipe if not given.
    workers, control, executor
        As for `analyse`; `control` is a `Control`.

    Raises
    ------
    Cancelled
        If the user asked to stop; its ``analysis`` holds what was finished.
    DataError, AnalysisError
        If the data does not allow a stage to run, or what it needs is missing.
    """
    names = tuple(analysis.recipe.features if features is None else features)
    for stage, batch in stages.order(planned, names):
        wanted = todo(analysis, stage, batch)
        if not wanted:
            continue
        for path in map(stages.needed, stage.paths(wanted)):
            if path and analysis.result(path) is None:
                raise AnalysisError(missing(path))
        part = (control or Control()).for_stage(stage.heading(wanted))
        given = executor if stage.reads else None
        task = Task(analysis, dataset, wanted if stage.each else (), workers, part, given)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            found = stage.run(task)
        except Cancelled as stop:
            raise Cancelled(str(stop), analysis) from None
        took = RunTime(time.perf_counter() - wall, time.process_time() - cpu)
        analysis, stopped = _with_found(analysis, stage, found, took)
        if stopped:
            raise Cancelled(stopped, analysis)
        sent = yield Done(stage, task.features, analysis)
        analysis = analysis if sent is None else sent


def run(
    analysis: Analysis, dataset: Dataset | None, name: str, *, features: Iterable[str] | None = None, **how: Any
) -> Analysis:
    """One stage, and what it needs of the whole scan: the analysis with what was missing or stale of them.

    Parameters
    ----------
    analysis : Analysis
    dataset : Dataset or None
    name : str
        ``survey``, ``disks``, ``calibrate``, ``featurize``, ``cluster``, ``refine`` or ``measure``.
    features, workers, control, executor
        As for `advance`, which says what is raised.
    """
    for done in advance(analysis, dataset, stages.run_with(name), features=features, **how):
        analysis = done.analysis
    return analysis


def todo(analysis: Analysis, stage: Stage, features: Sequence[str], recipe: Recipe | None = None) -> tuple[str, ...]:
    """For which representations a stage has something to do under a recipe; ("",) for one of the whole scan."""
    names: Sequence[str] = [""]
    if stage.each:
        tried = {name for name in analysis.failed if analysis.is_current(f"features/{name}", recipe)}
        names = [name for name in features if name not in tried]
    return tuple(name for name in names if not analysis.is_current(stage.path(name), recipe))


def _with_found(analysis: Analysis, stage: Stage, found: Any, took: RunTime) -> tuple[Analysis, str]:
    """The analysis with what a stage has found, and why it was stopped, if it was."""
    stopped = ""
    for feature, result in found.items() if stage.each else [("", found)]:
        if isinstance(result, Failed):
            analysis = analysis.with_failure(feature, result.why)
            continue
        mark = ""
        if isinstance(result, Incomplete):
            result, mark, stopped = result.result, INCOMPLETE if result.marked else "", result.message
        values = result if stage.also else (result,)
        for name, value in zip(stage.results, values, strict=True):
            path = f"{name}/{feature}" if feature else name
            analysis = analysis.with_result(path, value, mark, took if name == stage.result else None)
    return analysis, stopped


def stale(analysis: Analysis, recipe: Recipe | None = None) -> dict[str, str]:
    """Which results are "missing" or "stale" under `recipe`, by name as in "models/aa"; empty when all is done."""
    recipe = analysis.recipe if recipe is None else recipe
    names = [name for name in recipe.features if name not in analysis.failed]
    return {
        path: "stale" if path in analysis.keys else "missing"
        for stage in stages.STAGES
        for path in stage.paths(names)
        if not analysis.is_current(path, recipe)
    }
