"""The stages in order: survey -> disks -> calibrate -> featurize -> cluster -> refine -> measure.

The only place that knows the order. Each step takes an `Analysis` and returns a new one with its results, computing
only what is missing or stale; `analyse` runs them all. The command line, the Python API and the napari widgets all
come here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.analysis import INCOMPLETE, Analysis, Input, RunTime
from napari_stemnmf.calibration import calibrate as calibration
from napari_stemnmf.clustering import ensemble
from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.control import Control, Progress
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks import detection
from napari_stemnmf.disks.probe import Probe, find_probe
from napari_stemnmf.errors import AnalysisError, Cancelled, DataError
from napari_stemnmf.features import featurize as representations
from napari_stemnmf.grains import refinement
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.measurement import measure as measure_grains
from napari_stemnmf.grains.measurement import not_measured
from napari_stemnmf.grains.patterns import digests, grain_patterns
from napari_stemnmf.grains.review import Review
from napari_stemnmf.grains.stability import stability as stability_of
from napari_stemnmf.preprocessing import preprocess
from napari_stemnmf.preprocessing.beam_stop import detector_mask
from napari_stemnmf.preprocessing.preprocess import prepare
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.streaming.engine import Executor
from napari_stemnmf.streaming.survey import Survey


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
        Runs the steps of `READING` block by block in place of threads, e.g. ``passes.remote.connect(address)``.
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
    if until is not None and until not in _STEPS:
        raise AnalysisError(f"There is no step '{until}'; choose from {', '.join(_STEPS)}.")
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
        for name, step in _STEPS.items():
            before = analysis
            reading = {"executor": executor} if name in READING else {}
            analysis = step(analysis, dataset, workers=workers, control=control, **reading)
            if path is not None and (analysis is not before or not Path(path).exists()):
                analysis.save(path)
            control.check()
            if name == until:
                break
    except Cancelled as stop:
        if stop.analysis is not None:
            analysis = stop.analysis
        if path is not None:
            analysis.save(path)
        raise Cancelled(str(stop), analysis) from None
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
    names = {*recipe.features, *(name for name, review in analysis.reviews.items() if review.edits)}
    kept: dict[str, Any] = {
        name: {f: result for f, result in getattr(analysis, name).items() if f in names}
        for name in ("features", "failed", "models", "grains", "patterns", "tables", "reviews")
    }
    keys = {stage: key for stage, key in analysis.keys.items() if "/" not in stage or stage.split("/")[1] in names}
    return analysis if recipe == analysis.recipe else replace(analysis, recipe=recipe, keys=keys, **kept)


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


def prepared(analysis: Analysis, dataset: Dataset) -> Dataset:
    """The scan as all steps after the survey see it, lazily: cropped, dark subtracted, hot pixels repaired, binned."""
    return prepare(dataset, _survey(analysis), analysis.recipe.preprocess)


def take_survey(
    analysis: Analysis,
    dataset: Dataset,
    *,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Analysis:
    """Hot pixels, mean and maximum pattern and virtual image (one read); then the mask and the probe."""
    stage = _stage(control, "Survey")
    recipe = analysis.recipe
    if not analysis.is_current("survey"):
        clock = _Clock()
        found = preprocess.take_survey(dataset, recipe.preprocess, workers=workers, control=stage, executor=executor)
        analysis = analysis.with_result("survey", found, took=clock.read())
    if not analysis.is_current("probe"):
        seen, detector, clock = _survey(analysis), dataset.detector_shape, _Clock()
        with _keeping(analysis):
            mask = detector_mask(seen, recipe.beam_stop, recipe.preprocess, detector, analysis.mask, stage)
            probe = find_probe(prepared(analysis, dataset), seen, mask, recipe.center, recipe.probe, stage)
        analysis = analysis.with_result("probe", probe, took=clock.read())
    return analysis


def find_disks(
    analysis: Analysis,
    dataset: Dataset,
    *,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Analysis:
    """The Bragg disks and the centre of every pattern (one read). Takes the survey first if it is missing."""
    analysis = take_survey(analysis, dataset, workers=workers, control=control, executor=executor)
    if not analysis.is_current("peaks"):
        stage, settings, clock = _stage(control, "Disks"), analysis.recipe.disks, _Clock()
        data = prepared(analysis, dataset)
        peaks = detection.find_disks(
            data, _probe(analysis), settings, workers=workers, control=stage, executor=executor
        )
        analysis = analysis.with_result("peaks", peaks, took=clock.read())
    return analysis


def calibrate(
    analysis: Analysis,
    dataset: Dataset,
    *,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Analysis:
    """Centres of all patterns, ellipse and pixel size. Finds the disks first if they are missing."""
    analysis = find_disks(analysis, dataset, workers=workers, control=control, executor=executor)
    if not analysis.is_current("calibration"):
        seen, clock, stage = _survey(analysis), _Clock(), _stage(control, "Calibration")
        found = calibration.calibrate(analysis.peaks, _probe(analysis), seen, seen.axes, analysis.recipe, stage)
        analysis = analysis.with_result("calibration", found, took=clock.read())
    return analysis


def featurize(
    analysis: Analysis,
    dataset: Dataset,
    *,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Analysis:
    """The feature matrices, all in one read of the data. Calibrates first if need be.

    A representation that the data does not allow is left out, and noted in `Analysis.failed`, if another is left.

    Raises
    ------
    DataError
        If the data allows none of them.
    """
    analysis = calibrate(analysis, dataset, workers=workers, control=control, executor=executor)
    wanted = _wanted(analysis, "features", features)
    if wanted and analysis.calibration is not None:
        clock = _Clock()
        described = representations.featurize(
            prepared(analysis, dataset),
            _survey(analysis),
            analysis.calibration,
            analysis.recipe,
            names=wanted,
            peaks=analysis.peaks,
            workers=workers,
            executor=executor,
            control=_stage(control, "Features"),
        )
        took = clock.read()
        for name, found in described.features.items():
            analysis = analysis.with_result(f"features/{name}", found, took=took)
        for name, why in described.failed.items():
            analysis = analysis.with_failure(name, why)
    return analysis


def cluster(
    analysis: Analysis,
    dataset: Dataset | None = None,
    *,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
) -> Analysis:
    """Iterative NMF of each feature matrix.

    Raises
    ------
    Cancelled
        If cancelled; its ``analysis`` holds the best of the seeds that were finished, marked as incomplete.
    """
    for name in _wanted(analysis, "models", features):
        _require(analysis, "features", name, "featurize")
        chain = analysis.recipe.chain(name)
        stage, clock = _stage(control, f"Cluster {name.upper()}"), _Clock()
        with _keeping(analysis):
            model = ensemble.cluster(
                analysis.features[name], chain.scaling, chain.clustering, workers=workers, control=stage
            )
        incomplete = any(record.status == "cancelled" for record in model.seeds)
        mark = INCOMPLETE if incomplete else ""
        analysis = analysis.with_result(f"models/{name}", model, mark, took=clock.read())
        if stage.cancelled:
            done = sum(record.status != "cancelled" for record in model.seeds)
            raise Cancelled(
                f"Clustering {name.upper()} was cancelled with {done} of {len(model.seeds)} seeds done.", analysis
            )
    return analysis


def choose_seed(analysis: Analysis, feature: str, seed: int, *, control: Control | None = None) -> Analysis:
    """The analysis with another seed's model of `feature` in place of the chosen one.

    Results of a clustering that was cancelled stay incomplete, and those of other settings stale.

    Raises
    ------
    AnalysisError
        If the feature has no model yet.
    """
    _require(analysis, "models", feature, "cluster")
    _require(analysis, "features", feature, "featurize")
    control = _stage(control, f"Seed {seed} of {feature.upper()}")
    scaled = scale(analysis.features[feature].values, analysis.recipe.chain(feature).scaling, control=control)
    model = ensemble.choose(analysis.models[feature], seed, scaled.values, control=control)
    stage = f"models/{feature}"
    key, _, mark = analysis.keys[stage].partition(" ")
    keys = {**analysis.keys, stage: f"{key} {mark if mark == INCOMPLETE else f'seed {seed}'}"}
    return replace(analysis, models={**analysis.models, feature: model}, keys=keys)


def refine(
    analysis: Analysis,
    dataset: Dataset | None = None,
    *,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
) -> Analysis:
    """Spatially distinct grains from the component maps."""
    for name in _wanted(analysis, "grains", features):
        _require(analysis, "models", name, "cluster")
        stage, clock = _stage(control, f"Refine {name.upper()}"), _Clock()
        grains = refinement.refine(analysis.models[name].maps, analysis.recipe.chain(name).refinement, control=stage)
        analysis = analysis.with_result(f"grains/{name}", grains, took=clock.read())
    return analysis


def edit(analysis: Analysis, feature: str, *edits: Edit) -> Analysis:
    """The analysis after corrections of a feature's grains by hand: all of `edits`, or none.

    Raises
    ------
    AnalysisError
        If the feature has no grains yet.
    DataError
        If an edit names a grain that is not there, would change no mask or would leave a grain without positions.
    """
    _require(analysis, "grains", feature, "refine")
    review = analysis.reviews.get(feature) or Review(analysis.grains[feature])
    for each in edits:
        review = review.with_edit(each)
    return analysis.with_review(feature, review)


def undo(analysis: Analysis, feature: str) -> Analysis:
    """The analysis without the last edit of a feature's grains.

    Raises
    ------
    AnalysisError, DataError
        If nothing was edited.
    """
    return analysis.with_review(feature, _review(analysis, feature).undo())


def redo(analysis: Analysis, feature: str) -> Analysis:
    """The analysis with the edit of a feature's grains that was undone last.

    Raises
    ------
    AnalysisError, DataError
        If nothing was undone.
    """
    return analysis.with_review(feature, _review(analysis, feature).redo())


def measure(
    analysis: Analysis,
    dataset: Dataset,
    *,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Analysis:
    """Pattern, dissimilarity, size, shape and stability of every grain; all features in the same reads of the data.

    Patterns are made only of grains that there are none of yet: after an edit, little is read.
    """
    wanted = _wanted(analysis, "tables", features)
    for name in wanted:
        _require(analysis, "grains", name, "refine")
    if wanted:
        stage, clock = _stage(control, "Measure"), _Clock()
        found = {name: analysis.grains[name] for name in wanted}
        source, parts = analysis.keys["survey"], len(wanted) + 1
        patterns = grain_patterns(
            prepared(analysis, dataset),
            found,
            known=analysis.patterns,
            source=source,
            workers=workers,
            executor=executor,
            control=stage.part(0, parts),
        )
        tables = {}
        for i, name in enumerate(wanted, 1):
            stable = stability(analysis, name, workers=workers, control=stage.part(i, parts))
            tables[name] = measure_grains(found[name], analysis.axes, patterns[name], stable, control=stage)
        took = clock.read()
        for name in wanted:
            analysis = analysis.with_result(f"patterns/{name}", patterns[name])
            analysis = analysis.with_result(f"tables/{name}", tables[name], took=took)
    return analysis


def stability(
    analysis: Analysis, feature: str, *, workers: int | None = None, control: Control | None = None
) -> np.ndarray:
    """How far each grain of a feature is found again from the other seeds: (g,), 0 to 1; NaN where there is none.

    The first time for a model it takes as long as to refine every seed; then the seeds' grains are at hand.

    Raises
    ------
    AnalysisError
        If the feature has no grains yet.
    """
    _require(analysis, "grains", feature, "refine")
    if feature not in analysis.models or feature not in analysis.features:
        return np.full(len(analysis.grains[feature]), np.nan)
    chain = analysis.recipe.chain(feature)
    return stability_of(
        analysis.grains[feature],
        analysis.models[feature],
        analysis.features[feature],
        chain.scaling,
        chain.refinement,
        workers=workers,
        control=control,
    )


def changed(analysis: Analysis, feature: str) -> np.ndarray:
    """Which grains of a feature (g,) were not measured as they are now, so that their rows of the table are stale."""
    _require(analysis, "grains", feature, "refine")
    grains, table, known = analysis.grains[feature], analysis.tables.get(feature), analysis.patterns.get(feature)
    if table is None or known is None or not analysis.is_current(f"grains/{feature}", partial=True):
        return np.ones(len(grains), bool)
    if analysis.is_current(f"tables/{feature}", partial=True):
        return np.zeros(len(grains), bool)
    review = analysis.reviews.get(feature)
    if not len(known.digests) and review is not None:  # a file of version 0.3: what was measured is the grains as found
        before = analysis.with_review(feature, Review(review.base))
        if before.is_current(f"tables/{feature}", partial=True):
            known = replace(known, digests=digests(review.base, analysis.keys.get("survey", "")))
    return not_measured(grains, table, known, analysis.keys.get("survey", ""))


READING = ("survey", "disks", "calibrate", "featurize", "measure")
"""Steps that read the scan, and may do so on other machines."""
_STEPS: dict[str, Callable[..., Analysis]] = {
    "survey": take_survey,
    "disks": find_disks,
    "calibrate": calibrate,
    "featurize": featurize,
    "cluster": cluster,
    "refine": refine,
    "measure": measure,
}


def stale(analysis: Analysis, recipe: Recipe | None = None) -> dict[str, str]:
    """Which results are "missing" or "stale" under `recipe`, by stage as in "models/aa"; empty when all is done."""
    recipe = analysis.recipe if recipe is None else recipe
    stages = ["survey", "probe", "peaks", "calibration"]
    names = [name for name in recipe.features if name not in analysis.failed]
    stages += [f"{stage}/{name}" for stage in ("features", "models", "grains", "tables") for name in names]
    return {
        stage: "stale" if stage in analysis.keys else "missing"
        for stage in stages
        if not analysis.is_current(stage, recipe)
    }


@contextmanager
def _keeping(analysis: Analysis) -> Iterator[None]:
    """A cancel within keeps what there is."""
    try:
        yield
    except Cancelled as stop:
        raise Cancelled(str(stop), analysis) from None


class _Clock:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> RunTime:
        return RunTime(time.perf_counter() - self._wall, time.process_time() - self._cpu)


def _stage(control: Control | None, name: str) -> Control:
    return (control or Control()).for_stage(name)


def _survey(analysis: Analysis) -> Survey:
    if analysis.survey is None:
        raise AnalysisError("There is no survey yet; run the step 'take_survey' first.")
    return analysis.survey


def _probe(analysis: Analysis) -> Probe:
    if analysis.probe is None:
        raise AnalysisError("There is no probe yet; run the step 'take_survey' first.")
    return analysis.probe


def _review(analysis: Analysis, feature: str) -> Review:
    if feature not in analysis.reviews:
        raise AnalysisError(f"The grains of {feature.upper()} have not been edited; there is nothing to undo or redo.")
    return analysis.reviews[feature]


def _wanted(analysis: Analysis, stage: str, features: Iterable[str] | None) -> list[str]:
    """Features of the recipe (or of those asked for) whose result at `stage` is not up to date."""
    names = analysis.recipe.features if features is None else tuple(features)
    names = tuple(name for name in names if name not in analysis.failed or not analysis.is_current(f"features/{name}"))
    return [name for name in names if not analysis.is_current(f"{stage}/{name}")]


def _require(analysis: Analysis, stage: str, feature: str, step: str) -> None:
    if feature not in getattr(analysis, stage):
        raise AnalysisError(f"There are no {stage} of {feature.upper()} yet; run the step '{step}' first.")
