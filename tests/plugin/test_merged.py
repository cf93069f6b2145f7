"""A run ends while the user has changed the analysis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.plugin.jobs.runs import merged


def test_what_the_run_found_and_what_the_user_did_are_both_kept(analysis: stem.Analysis) -> None:
    gone = [int(i) for i in analysis.grains["aa"].ids[:1]]
    edited = pipeline.edit(analysis, "aa", Edit("delete", tuple(gone)))
    mask = np.ones(analysis.input.shape[2:], bool)
    edited = pipeline.with_mask(edited, mask)
    found = analysis.with_result("models/rv", analysis.models["aa"], "seed 1")
    found = found.with_result("tables/aa", analysis.tables["aa"].copy())
    both = merged(analysis, edited, found)
    assert both.models["rv"] is found.models["rv"]
    assert both.keys["models/rv"] == found.keys["models/rv"]
    assert both.grains["aa"] is edited.grains["aa"]
    assert both.reviews["aa"] is edited.reviews["aa"]
    assert both.tables["aa"] is found.tables["aa"]
    assert both.mask is edited.mask
    assert not both.is_current("tables/aa")  # of the grains before the edit
    assert merged(analysis, analysis, found) is found
    assert merged(None, None, found) is found


def test_grains_that_were_edited_are_not_replaced_by_a_run_that_did_not_know(analysis: stem.Analysis) -> None:
    edited = pipeline.edit(analysis, "aa", Edit("comment", (int(analysis.grains["aa"].ids[0]),), "mine"))
    edited = pipeline.edit(edited, "aa", Edit("delete", (int(analysis.grains["aa"].ids[-1]),)))
    recipe = analysis.recipe.replaced({"*.refinement.min_size": 20})
    found = pipeline.run(pipeline.with_recipe(analysis, recipe), None, "refine")
    both = merged(analysis, edited, found)
    assert both.grains["aa"] is edited.grains["aa"]
    assert both.reviews == edited.reviews
    assert both.keys["grains/aa"] == edited.keys["grains/aa"]
    assert both.grains["rv"] is found.grains["rv"]
    assert both.recipe is recipe


def test_what_the_run_dropped_is_gone(analysis: stem.Analysis) -> None:
    recipe = replace(analysis.recipe, features=("aa",))
    both = merged(analysis, replace(analysis, mask=None), pipeline.with_recipe(analysis, recipe))
    assert set(both.models) == {"aa"}
    assert not any(key.endswith("/rv") for key in both.keys)
