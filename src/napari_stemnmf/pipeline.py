"""A run: the stages of the table (`stages`) one after the other, and what is chosen and corrected by hand between them.

One loop, `advance`, runs them, each only where its result is missing or stale. `analyse` is the whole way in Python;
the command line, exported scripts and napari use the same loop.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_stemnmf import stages
from napari_stemnmf.analysis import INCOMPLETE, Analysis, RunTime, is_analysis
from napari_stemnmf.control import Control, Progress
from napari_stemnmf.corrections import changed, choose_seed, edit, import_grains, missing, redo, undo
from napari_stemnmf.cost.budget import threads_within
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import AnalysisError, Cancelled
from napari_stemnmf.files.contents import Part
from napari_stemnmf.files.locks import held
from napari_stemnmf.files.writing import FILE_SUFFIX, move_into
from napari_stemnmf.memory import give_back
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.resuming import (
    blocks_of,
    changed_files,
    key_of_blocks,
    other_data,
    stale,
    start,
    still_the_same,
    unfinished,
    with_mask,
    with_recipe,
)
from napari_stemnmf.stage_functions import Failed, Incomplete, Task, prepared
from napari_stemnmf.stages import Stage
from napari_stemnmf.streaming.cluster import Cluster
from napari_stemnmf.streaming.journal import Journal, Recorded
from napari_stemnmf.streaming.pools import Executor
from napari_stemnmf.texts import why
from napari_stemnmf.threads import checked

logger = logging.getLogger(__name__)

__all__ = [
    "Done", "advance", "analyse", "changed", "choose_seed", "edit", "import_grains", "prepared", "redo", "run", "stale",
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
    client: Any = None,
    path: str | Path | None = None,
    analysis: Analysis | None = None,
    mask: np.ndarray | None = None,
    until: str | None = None,
    overwrite: bool = False,
    memory: float | None = None,
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
        Runs the stages that read the scan in place of threads, e.g. a ``concurrent.futures.ProcessPoolExecutor``.
    client : distributed.Client, optional
        The workers of its scheduler read the scan and compute with it; they need to see its file. The client is not
        made the default, and is left open.
    path : path, optional
        Analysis file to write after each stage. If it exists and is of the same data, the run goes on from it. If its
        scan has been changed since, the run starts afresh, as with `overwrite`.
    analysis : Analysis, optional
        Earlier results of the same data to go on from, instead of a file.
    mask : ndarray of bool, optional
        (q_y, q_x) of the file's detector, True = keep: beside what the recipe finds. That of the earlier results if
        not given.
    until : str, optional
        Last step to run: ``survey``, ``disks``, ``calibrate``, ``featurize``, ``cluster``, ``refine`` or ``measure``.
    overwrite : bool
        Whether to start afresh even if there is an analysis at `path`. It is replaced when the run has come to its end;
        what was finished before a cancel is kept beside it, and the same call goes on from there.
    memory : float, optional
        Bytes that the run may take; half of what is free if not given. Where all threads would take more, it has fewer;
        where one would, it does not begin.

    Returns
    -------
    Analysis
        With features, models, grains, patterns and tables of every feature in the recipe.

    Raises
    ------
    Cancelled
        If `cancel` was set; its ``analysis`` holds what was finished.
    DataError, AnalysisError, ReadError
        If the data does not allow a stage to run, the file cannot be used or another process writes to it, or a file
        that a setting names cannot be read.
    RecipeError
        If the run would take more memory than it may, by an estimate from sizes alone; the message says what would fit.
    StemNMFError
        If the scheduler is lost, or has no worker that fits; what was finished is kept in the file.
    """
    planned, workers = stages.up_to(until), checked(workers)
    recipe = Recipe.preset("default") if recipe is None else recipe
    executor = executor if client is None else Cluster(client)
    how: dict[str, Any] = {"workers": workers, "control": Control(progress, cancel), "executor": executor}

    def begin(earlier: Analysis | None) -> Analysis:
        limits: dict[str, Any] = {"until": until, "memory": memory, "elsewhere": executor is not None}
        how["workers"] = threads_within(earlier, dataset, recipe, workers=workers, **limits)
        begun = start(dataset, recipe, earlier, strict=True)
        return begun if mask is None else with_mask(begun, mask)

    if path is None:
        return _through(begin(analysis), dataset, planned, None, how)
    path = Path(path)
    with held(path, "another run"):
        there = path.exists()
        if path.is_dir():
            raise AnalysisError(f"{path} is a folder, not an analysis file; move it away, or choose another place.")
        if overwrite and there and not (is_analysis(path) or path.name.endswith(FILE_SUFFIX)):
            raise AnalysisError(f"{path} exists and is not a napari-stemnmf analysis; choose another name.")
        earlier = Analysis.load(path) if there and analysis is None and not overwrite else analysis
        begun = begin(earlier)
        if earlier is not None and earlier.input.fingerprint != begun.input.fingerprint:
            logger.warning(other_data(earlier, begun, path))
            overwrite = there
        elif earlier is not None:
            for told in changed_files(earlier, begun):
                logger.warning(told)
        if not (there and overwrite):
            return _through(begun, dataset, planned, path, how, earlier)
        return _afresh(path, begin, lambda begun, part: _through(begun, dataset, planned, part, how))


def _through(
    analysis: Analysis,
    dataset: Dataset,
    planned: Sequence[Stage],
    path: Path | None,
    how: dict[str, Any],
    earlier: Analysis | None = None,
) -> Analysis:
    """Run all that is planned, and keep the file up to date; `earlier` is what it holds."""
    begun, control = analysis, how["control"]
    journal = None if path is None else blocks_of(path)
    try:
        for done in advance(analysis, dataset, planned, **how, journal=journal):
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
    if journal is not None:
        journal.unlink(missing_ok=True)
    as_it_was = earlier is not None and path is not None and path.exists() and _alike(begun, earlier)
    if path is not None and analysis is begun and not as_it_was:
        analysis.save(path)
    return analysis


def _alike(a: Analysis, b: Analysis) -> bool:
    """Whether two analyses of the same results need not be saved both."""
    return (a.recipe, a.input, a.files) == (b.recipe, b.input, b.files) and a.mask is b.mask


def _afresh(
    path: Path, begin: Callable[[Analysis | None], Analysis], go: Callable[[Analysis, Path], Analysis]
) -> Analysis:
    """A run from the beginning that replaces the analysis at `path` when it is done, and leaves it alone if it fails.

    What a cancelled one has found is kept beside it, and the next goes on from there.
    """
    part = unfinished(path)
    kept = None
    with contextlib.suppress(AnalysisError):
        kept = Analysis.load(part)
    try:
        found = go(begin(kept), part)
        move_into(part, path)
    except Cancelled as stop:
        raise Cancelled(f"{stop} {path} is as it was.", stop.analysis) from None
    except OSError as error:
        raise AnalysisError(f"The analysis cannot be written to {path}: {why(error)}.") from error
    except BaseException:
        part.unlink(missing_ok=True)
        blocks_of(part).unlink(missing_ok=True)
        raise
    return found


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
    journal: Path | None = None,
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
    journal : Path, optional
        Where answers of the stage that is running are kept (`streaming.journal`), so that it goes on where it was if it
        is stopped. It is gone once its stage is done and the next one is asked for.

    Raises
    ------
    Cancelled
        If the user asked to stop; its ``analysis`` holds what was finished.
    DataError, AnalysisError
        If the data does not allow a stage to run, what it needs is missing, or the scan's files were changed.
    """
    workers = checked(workers)
    names = tuple(analysis.recipe.features if features is None else features)
    noted: tuple[Part, ...] = ()
    for stage, batch in stages.order(planned, names):
        wanted = todo(analysis, stage, batch)
        if not wanted:
            continue
        for path in map(stages.needed, stage.paths(wanted)):
            if path and analysis.result(path) is None:
                raise AnalysisError(missing(path))
        part = (control or Control()).for_stage(stage.heading(wanted))
        noted = still_the_same(analysis, dataset, noted)
        kept = None if journal is None else Journal(journal, key_of_blocks(analysis, stage, wanted))
        given = executor if kept is None else Recorded(kept, executor, workers)
        task = Task(analysis, dataset, wanted if stage.each else (), workers, part, given)
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            found = stage.run(task)
        except Cancelled as stop:
            raise Cancelled(str(stop), analysis) from None
        took = RunTime(time.perf_counter() - wall, time.process_time() - cpu)
        give_back()
        noted = still_the_same(analysis, dataset, noted) if stage.reads else noted
        analysis, stopped = _with_found(analysis, stage, found, took)
        if stopped:
            raise Cancelled(stopped, analysis)
        sent = yield Done(stage, task.features, analysis)
        if kept is not None:
            kept.remove()
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
