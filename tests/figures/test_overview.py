"""The overview of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.catalogue import draw
from napari_stemnmf.figures.overview import overview


@pytest.fixture(scope="module")
def analysis():
    sample = stem.sample(scan_shape=(24, 24), detector_shape=(64, 64))
    recipe = stem.Recipe.preset("nmf").replaced({"*.clustering.seeds": 2, "*.clustering.components": 20})
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


@pytest.mark.parametrize("feature", ["aa", "rv", "bd"])
def test_nothing_is_cut_off_or_written_over(analysis, feature, readable, uncluttered):
    figure = overview(analysis, feature)
    readable(figure, 175)
    uncluttered(figure)


def test_run_without_grains_is_drawn_too(analysis):
    none = stem.Grains.from_masks(np.zeros((0, 24, 24), bool))
    empty = replace(analysis, grains={"aa": none}, tables={"aa": analysis.tables["aa"][:0]})
    overview(empty, "aa").draw_without_rendering()


def test_an_amorphous_film_in_which_no_spot_is_followed_is_drawn():
    y, x = np.indices((48, 48)) - 23.5
    away = np.hypot(y, x)
    light = 400.0 * (away < 3) + 4.0 * np.exp(-(((away - 13) / 4) ** 2))
    counts = np.random.default_rng(0).poisson(np.broadcast_to(light, (6, 6, 48, 48))).astype(np.uint16)
    found = stem.analyse(stem.Dataset.from_array(counts), stem.Recipe.preset("default"), workers=1)
    assert not len(found.features["vdf"].columns["q_y"])
    for name in ("overview", "calibration", "representations", "sizes"):
        draw(name, {"film": found}).draw_without_rendering()


def test_overview_of_what_was_not_run_is_refused(analysis):
    with pytest.raises(AnalysisError, match="run it first"):
        overview(replace(analysis, grains={}), "bd")
