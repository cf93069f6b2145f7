"""What is chosen and corrected by hand between the stages of a run: seeds, and grains. `pipeline` offers it as well."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_stemnmf import stages
from napari_stemnmf.analysis import INCOMPLETE, Analysis
from napari_stemnmf.clustering import ensemble
from napari_stemnmf.control import Control
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.grains.editing import Edit, import_of
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


def import_grains(
    analysis: Analysis, feature: str, given: str | os.PathLike[str] | np.ndarray, *, more: bool = False
) -> Analysis:
    """The analysis with grains that another program has drawn in the place of a feature's, or beside them.

    It is an edit like others: it can be undone, and what it changes is to be measured again. A grain whose number and
    mask are those of one that is there stays that one, with its weights and what a review says.

    Parameters
    ----------
    analysis : Analysis
        With grains of the feature.
    feature : str
    given : path or ndarray
        A file, as `reading.given_grains.load_grains` takes it, or an array: a label image, or a stack of masks or of
        label images.
    more : bool
        Whether those that are there stay; the new ones then get new ids.

    Raises
    ------
    AnalysisError
        If the feature has no grains yet.
    ReadError, DataError
        If there are no grains in the file, they are of another shape, or are those that there are.
    """
    from napari_stemnmf.reading.given_grains import grains_in, load_grains

    _require(analysis, f"grains/{feature}")
    shape = analysis.grains[feature].scan_shape
    found = grains_in(given, shape) if isinstance(given, np.ndarray) else load_grains(given, shape)
    return edit(analysis, feature, import_of(found.parts, shape[1], more=more))


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
