"""What is chosen and corrected by hand between the stages of a run: seeds, and grains. `pipeline` offers it as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_stemnmf import stages
from napari_stemnmf.analysis import INCOMPLETE, Analysis
from napari_stemnmf.clustering import ensemble
from napari_stemnmf.control import Control
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.measurement import not_measured
from napari_stemnmf.grains.patterns import digests
from napari_stemnmf.grains.review import Review


def choose_seed(analysis: Analysis, feature: str, seed: int, *, control: Control | None = None) -> Analysis:
    """The analysis with another seed's model of `feature` in place of the chosen one.

    Results of a clustering that was cancelled stay incomplete, and those of other settings stale.

    Raises
    ------
    AnalysisError
        If the feature has no model yet, or one without seeds.
    """
    _require(analysis, f"models/{feature}")
    _require(analysis, f"features/{feature}")
    before = analysis.ensemble(feature)
    if before is None:
        raise AnalysisError(f"{feature.upper()} is grouped without random starts; there is no seed to choose.")
    control = (control or Control()).for_stage(f"Seed {seed} of {feature.upper()}")
    scaling = analysis.recipe.nmf_chain(feature).scaling
    model = ensemble.model_of(before, seed, analysis.features[feature], scaling, control=control)
    stage = f"models/{feature}"
    key, _, mark = analysis.keys[stage].partition(" ")
    keys = {**analysis.keys, stage: f"{key} {mark if mark == INCOMPLETE else f'seed {seed}'}"}
    return replace(analysis, models={**analysis.models, feature: model}, keys=keys)


def edit(analysis: Analysis, feature: str, *edits: Edit) -> Analysis:
    """The analysis after corrections of a feature's grains by hand: all of `edits`, or none.

    Raises
    ------
    AnalysisError
        If the feature has no grains yet.
    DataError
        If an edit names a grain that is not there, would change no mask or would leave a grain without positions.
    """
    _require(analysis, f"grains/{feature}")
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


def changed(analysis: Analysis, feature: str, rows: Sequence[int] | None = None) -> np.ndarray:
    """Which grains of a feature (g,) were not measured as they are now, so that their rows of the table are stale.

    Only some `rows` of grains are asked about where these are given, and the answer is in their order.
    """
    _require(analysis, f"grains/{feature}")
    grains, table, known = analysis.grains[feature], analysis.tables.get(feature), analysis.patterns.get(feature)
    if table is None or known is None or not analysis.is_current(f"grains/{feature}", partial=True):
        return np.ones(len(grains) if rows is None else len(rows), bool)
    if analysis.is_current(f"tables/{feature}", partial=True):
        return np.zeros(len(grains) if rows is None else len(rows), bool)
    review = analysis.reviews.get(feature)
    if not len(known.digests) and review is not None:  # a file of version 0.3: what was measured is the grains as found
        before = analysis.with_review(feature, Review(review.base))
        if before.is_current(f"tables/{feature}", partial=True):
            known = replace(known, digests=digests(review.base, analysis.keys.get("survey", "")))
    return not_measured(grains, table, known, analysis.keys.get("survey", ""), rows)


def _review(analysis: Analysis, feature: str) -> Review:
    if feature not in analysis.reviews:
        raise AnalysisError(f"The grains of {feature.upper()} have not been edited; there is nothing to undo or redo.")
    return analysis.reviews[feature]


def _require(analysis: Analysis, path: str) -> None:
    if analysis.result(path) is None:
        raise AnalysisError(missing(path))


def missing(path: str) -> str:
    """That a result is missing, and what to do."""
    stage, _, feature = stages.stage_of(path), *path.split("/")[1:], ""
    of = f" of {feature.upper()}" if feature else ""
    return f"There are no {path.partition('/')[0]}{of} yet; run the step '{stage.name}' first."
