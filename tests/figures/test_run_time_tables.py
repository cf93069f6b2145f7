"""Run times and the parameters of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_stemnmf.analysis import RunTime
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.tables import run_time_table, run_times

PAGE = 175.0


def test_table_has_parameters_and_times_of_every_representation(drawn_sample):
    analysis, _ = drawn_sample
    timed = replace(
        analysis,
        times={
            "survey": RunTime(1.0, 2.0),
            "peaks": RunTime(3.0, 4.0),
            "features/aa": RunTime(0.5, 0.6),
            "models/aa": RunTime(20.0, 39.0),
        },
    )
    table = run_time_table({"film": timed}).set_index("feature")
    assert list(table.index) == ["rv", "aa", "bd"]
    aa = table.loc["aa"]
    assert (aa["film"], aa["k0"], aa["seeds"], aa["k"]) == ("film", 20, 2, analysis.models["aa"].k)
    assert aa["merge_threshold"] == analysis.recipe.aa.clustering.merge_threshold
    assert aa["k_scree"] == analysis.models["aa"].scree.suggested
    assert (aa["calibration_wall_s"], aa["calibration_cpu_s"]) == (4.0, 6.0)
    assert (aa["features_wall_s"], aa["clustering_wall_s"], aa["clustering_cpu_s"]) == (0.5, 20.0, 39.0)
    assert np.isnan(table.loc["rv", "clustering_wall_s"])


def test_starting_components_are_those_of_the_run_where_the_scree_decides(drawn_sample):
    analysis, _ = drawn_sample
    free = replace(analysis, recipe=analysis.recipe.replaced({"*.clustering.components": None}))
    table = run_time_table({"film": free})
    assert list(table["k0"]) == [max(2, 5 * k) for k in table["k_scree"]]


def test_figure_says_so_where_a_file_has_no_times(drawn_sample, readable):
    analysis, _ = drawn_sample
    figure = run_times({"new": analysis, "a film of an older version": replace(analysis, times={})})
    readable(figure, PAGE)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert sum("not recorded" in text for text in said) == 4
    readable(run_times({"old": replace(analysis, times={})}), PAGE)


def test_analyses_without_components_are_refused(drawn_sample):
    analysis, _ = drawn_sample
    with pytest.raises(AnalysisError, match="holds components"):
        run_times({"film": replace(analysis, models={})})
