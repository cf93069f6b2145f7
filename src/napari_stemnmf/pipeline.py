"""The stages in order: open -> survey -> calibrate -> featurize -> cluster -> refine -> measure.

The only place that knows the order. Each step takes an `Analysis` and returns a new one with its results, computing
only what is missing or stale; `analyse` runs them all. The command line, the Python API and the napari widgets all
come here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_stemnmf.analysis import INCOMPLETE, Analysis, Input
from napari_stemnmf.calibration.geometry import geometry
from napari_stemnmf.clustering import ensemble
from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.control import Control, Progress
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import AnalysisError, Cancelled
from napari_stemnmf.features.describe import describe
from napari_stemnmf.grains.measurement import measure as measure_grains
from napari_stemnmf.grains.patterns import grain_patterns
from napari_stemnmf.grains.separation import separate
from napari_stemnmf.passes.survey import Survey, survey
from napari_stemnmf.recipe import Recipe


def analyse(
    dataset: Dataset,
    recipe: Recipe | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    workers: int | None = None,
    path: str | Path | None = None,
    analysis: Analysis | None = None,
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
    path : path, optional
        Analysis file to write after each stage. If it exists and is of the same data, the run goes on from it.
    analysis : Analysis, optional
        Earlier results of the same data to go on from, instead of a file.

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
    recipe = Recipe.preset("default") if recipe is None else recipe
    control = Control(progress, cancel)
    earlier = analysis
    if earlier is None and path is not None and Path(path).exists():
        earlier = Analysis.load(path)
    analysis = start(dataset, recipe, earlier)
    if earlier is not None and earlier.input.fingerprint != analysis.input.fingerprint and path is not None:
        raise AnalysisError(f"{path} is an analysis of other data ({earlier.input.name}); choose another place.")
    try:
        for step in (take_survey, featurize, cluster, refine, measure):
            before = analysis
            analysis = step(analysis, dataset, workers=workers, control=control)
            if path is not None and (analysis is not before or not Path(path).exists()):
                analysis.save(path)
            control.check()
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
    """The analysis under another recipe; results of features that it leaves out are dropped."""
    kept: dict[str, Any] = {
        name: {f: result for f, result in getattr(analysis, name).items() if f in recipe.features}
        for name in ("features", "models", "grains", "patterns", "tables")
    }
    keys = {
        stage: key for stage, key in analysis.keys.items() if "/" not in stage or stage.split("/")[1] in recipe.features
    }
    return analysis if recipe == analysis.recipe else replace(analysis, recipe=recipe, keys=keys, **kept)


def take_survey(
    analysis: Analysis, dataset: Dataset, *, workers: int | None = None, control: Control | None = None
) -> Analysis:
    """Mean and maximum pattern and virtual image (one read), then the centre of the patterns."""
    control = _stage(control, "Survey")
    if not analysis.is_current("survey"):
        analysis = analysis.with_result("survey", survey(dataset, workers=workers, control=control))
    if not analysis.is_current("calibration"):
        analysis = analysis.with_result("calibration", geometry(_survey(analysis), analysis.recipe.center))
    return analysis


def featurize(
    analysis: Analysis,
    dataset: Dataset,
    *,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
) -> Analysis:
    """The feature matrices, all in one read of the data. Takes the survey first if it is missing."""
    analysis = take_survey(analysis, dataset, workers=workers, control=control)
    wanted = _wanted(analysis, "features", features)
    if wanted and analysis.calibration is not None:
        seen, where, stage = _survey(analysis), analysis.calibration, _stage(control, "Features")
        found = describe(dataset, seen, where, analysis.recipe, names=wanted, workers=workers, control=stage)
        for name in wanted:
            analysis = analysis.with_result(f"features/{name}", found[name])
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
        stage = _stage(control, f"Cluster {name.upper()}")
        try:
            model = ensemble.cluster(
                analysis.features[name], chain.scaling, chain.clustering, workers=workers, control=stage
            )
        except Cancelled as stop:
            raise Cancelled(str(stop), analysis) from None
        incomplete = any(record.status == "cancelled" for record in model.seeds)
        analysis = analysis.with_result(f"models/{name}", model, INCOMPLETE if incomplete else "")
        if stage.cancelled:
            done = sum(record.status != "cancelled" for record in model.seeds)
            raise Cancelled(
                f"Clustering {name.upper()} was cancelled with {done} of {len(model.seeds)} seeds done.", analysis
            )
    return analysis


def choose_seed(analysis: Analysis, feature: str, seed: int) -> Analysis:
    """The analysis with another seed's model of `feature` in place of the chosen one.

    Raises
    ------
    AnalysisError
        If the feature has no model yet.
    """
    _require(analysis, "models", feature, "cluster")
    _require(analysis, "features", feature, "featurize")
    scaled = scale(analysis.features[feature].values, analysis.recipe.chain(feature).scaling)
    model = ensemble.choose(analysis.models[feature], seed, scaled.values)
    return analysis.with_result(f"models/{feature}", model, f"seed {seed}")


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
        grains = separate(analysis.models[name].maps, analysis.recipe.chain(name).separation)
        analysis = analysis.with_result(f"grains/{name}", grains)
    return analysis


def measure(
    analysis: Analysis,
    dataset: Dataset,
    *,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    control: Control | None = None,
) -> Analysis:
    """Pattern, dissimilarity, size and shape of every grain; all features in the same reads of the data."""
    wanted = _wanted(analysis, "tables", features)
    for name in wanted:
        _require(analysis, "grains", name, "refine")
    if wanted:
        found = {name: analysis.grains[name] for name in wanted}
        patterns = grain_patterns(dataset, found, workers=workers, control=_stage(control, "Measure"))
        for name in wanted:
            table = measure_grains(analysis.grains[name], dataset.axes, patterns[name])
            analysis = analysis.with_result(f"patterns/{name}", patterns[name])
            analysis = analysis.with_result(f"tables/{name}", table)
    return analysis


def stale(analysis: Analysis, recipe: Recipe | None = None) -> dict[str, str]:
    """Which results are "missing" or "stale" under `recipe`, by stage as in "models/aa"; empty when all is done."""
    recipe = analysis.recipe if recipe is None else recipe
    stages = ["survey", "calibration"]
    stages += [f"{stage}/{name}" for stage in ("features", "models", "grains", "tables") for name in recipe.features]
    return {
        stage: "stale" if stage in analysis.keys else "missing"
        for stage in stages
        if not analysis.is_current(stage, recipe)
    }


def _stage(control: Control | None, name: str) -> Control:
    return (control or Control()).for_stage(name)


def _survey(analysis: Analysis) -> Survey:
    if analysis.survey is None:
        raise AnalysisError("There is no survey yet; run the step 'take_survey' first.")
    return analysis.survey


def _wanted(analysis: Analysis, stage: str, features: Iterable[str] | None) -> list[str]:
    """Features of the recipe (or of those asked for) whose result at `stage` is not up to date."""
    names = analysis.recipe.features if features is None else tuple(features)
    return [name for name in names if not analysis.is_current(f"{stage}/{name}")]


def _require(analysis: Analysis, stage: str, feature: str, step: str) -> None:
    if feature not in getattr(analysis, stage):
        raise AnalysisError(f"There are no {stage} of {feature.upper()} yet; run the step '{step}' first.")
