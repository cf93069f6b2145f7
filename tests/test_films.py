"""The paper's films and the measured silver grains, the films with few seeds: `benchmarks/films.py` takes all 25."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import napari_stemnmf as stem

FILMS = Path(__file__).resolve().parents[1] / "benchmarks" / "films.py"


@pytest.fixture(scope="module")
def films():
    spec = importlib.util.spec_from_file_location("films", FILMS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recipe():
    return stem.Recipe.preset("paper").replaced({"*.clustering.seeds": 3})


@pytest.mark.slow
def test_paper_preset_reaches_the_papers_scores_on_all_three_films(films, recipe, shared):
    said = [v for v in films.verdicts(films.score_films(shared, recipe)) if not v[0].startswith("CPU time")]
    assert len(said) == 13
    assert [sentence for sentence, holds in said if not holds] == []


@pytest.mark.slow
def test_measured_silver_comes_out_as_five_patterns(films, recipe, shared):
    k, best = films.silver_patterns(shared, recipe.replaced({"aa.clustering.seeds": 25}))
    assert 5 <= k <= 12  # the others share the background and its noise
    assert best.min() > 0.6
