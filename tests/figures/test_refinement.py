"""The figure of the refinement shows what a run does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.refinement import refinement

PAGE = 175.0


def of_component(analysis, feature, component):
    grains = analysis.grains[feature]
    return grains.masks[grains.component == component]


@pytest.mark.parametrize("feature", ["aa", "rv", "bd"])
def test_steps_end_in_the_grains_of_the_run(drawn_sample, readable, feature):
    analysis, _ = drawn_sample
    counts = []
    for component in range(min(4, analysis.models[feature].k)):
        figure = refinement(analysis, feature, component)
        kept = of_component(analysis, feature, component)
        assert figure.axes[5].get_title() == f"grains: {len(kept)}"
        above = np.asarray(figure.axes[2].images[0].get_array())
        threshold = analysis.grains[feature].thresholds[component]
        np.testing.assert_array_equal(above, analysis.models[feature].maps[component] >= threshold)
        assert kept.any(axis=0)[~above].sum() == 0
        counts.append(len(kept))
    readable(figure, PAGE)


def test_the_component_that_is_shown_unless_told_otherwise_has_most_grains(drawn_sample):
    analysis, _ = drawn_sample
    many = np.bincount(analysis.grains["rv"].component)
    assert refinement(analysis, "rv").axes[5].get_title() == f"grains: {many.max()}"


def test_blur_factor_and_noise_of_the_settings_are_shown(drawn_wire, readable):
    analysis, _ = drawn_wire
    figure = refinement(analysis, "aa")
    readable(figure, PAGE)
    assert "blurred by 1 px" in figure.axes[1].get_xlabel()
    maps = analysis.models["aa"].maps
    noise = np.random.default_rng(0).random(maps[0].size).astype(np.float32)
    W = analysis.models["aa"].W.copy()
    W[:, 0] = noise
    noisy = replace(analysis, models={"aa": replace(analysis.models["aa"], W=W)})
    figure = refinement(noisy, "aa", 0)
    readable(figure, PAGE)
    assert "noise" in figure.axes[2].get_title()
    assert figure.axes[5].get_title() == "grains: 0"


def test_a_constant_map_gives_no_grain(drawn_sample, readable):
    analysis, _ = drawn_sample
    W = analysis.models["aa"].W.copy()
    W[:, 1] = 0.5
    flat = replace(analysis, models={"aa": replace(analysis.models["aa"], W=W)})
    readable(refinement(flat, "aa", 1), PAGE)


def test_what_is_not_there_is_refused(drawn_sample):
    analysis, _ = drawn_sample
    with pytest.raises(AnalysisError, match="run the step 'cluster'"):
        refinement(replace(analysis, models={}), "aa")
    with pytest.raises(AnalysisError, match="no component 99"):
        refinement(analysis, "aa", 99)
