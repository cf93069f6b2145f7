"""The overview of a run."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.overview import COLOURS, neighbours_apart, overview


@pytest.fixture(scope="module")
def analysis():
    sample = stem.sample(scan_shape=(24, 24), detector_shape=(64, 64))
    recipe = stem.Recipe.preset("default").replaced({"*.clustering.seeds": 2, "*.clustering.components": 20})
    return stem.analyse(sample.dataset, recipe)


@pytest.mark.parametrize("feature", ["aa", "rv", "bd"])
def test_overview_draws_every_panel(analysis, feature, tmp_path):
    figure = overview(analysis, feature)
    figure.savefig(tmp_path / "overview.png")
    assert (tmp_path / "overview.png").stat().st_size > 10_000
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert len(panels) == 6
    assert all(ax.has_data() for ax in panels)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in panels)


def test_nothing_is_cut_off_or_written_over(analysis):
    figure = overview(analysis, "aa")
    figure.draw_without_rendering()
    canvas = figure.bbox
    titles = [ax.title.get_window_extent() for ax in figure.axes if ax.get_title()]
    assert all(canvas.x0 <= t.x0 and t.x1 <= canvas.x1 and t.y1 <= canvas.y1 for t in titles)
    assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])


def test_grains_that_meet_differ_in_colour():
    masks = np.zeros((14, 8, 60), bool)
    for i in range(14):
        masks[i, :, 4 * i : 4 * i + 7] = True
    colours = neighbours_apart(masks)
    assert set(colours) <= set(COLOURS)
    assert all(a != b for a, b in pairwise(colours))
    same_place = neighbours_apart(np.ones((5, 4, 4), bool))
    assert len(set(same_place)) == 5


def test_run_without_grains_is_drawn_too(analysis):
    none = stem.Grains.from_masks(np.zeros((0, 24, 24), bool))
    empty = replace(analysis, grains={"aa": none}, tables={"aa": analysis.tables["aa"][:0]})
    overview(empty, "aa").draw_without_rendering()


def test_overview_of_what_was_not_run_is_refused(analysis):
    with pytest.raises(AnalysisError, match="run it first"):
        overview(replace(analysis, grains={}), "bd")
