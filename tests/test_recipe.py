"""A recipe: every setting checked, written once, read back the same."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.errors import RecipeError
from napari_stemnmf.recipe import FEATURES, PRESETS, Recipe
from napari_stemnmf.settings import walk
from napari_stemnmf.stage_settings import ClusteringSettings


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("features", [["aa"], ["rv"], ["rv", "aa"]])
def test_recipe_survives_the_way_through_toml(preset, features):
    recipe = Recipe.preset(preset, features=features)
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@given(
    seeds=st.integers(1, 1000),
    threshold=st.floats(0.01, 1.0),
    rings=st.none() | st.lists(st.floats(0, 1e4), min_size=2, max_size=6, unique=True).map(sorted),
)
def test_any_valid_setting_survives_the_way_through_toml(seeds, threshold, rings):
    recipe = Recipe().replaced(
        {"*.clustering.seeds": seeds, "*.clustering.merge_threshold": threshold, "aa.featurize.rings": rings}
    )
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_recipe_file_is_saved_and_loaded(tmp_path):
    recipe = Recipe.preset("paper").replaced({"center.q_y": 62.75})
    recipe.save(tmp_path / "r.toml")
    assert Recipe.load(tmp_path / "r.toml") == recipe


def test_partial_recipe_file_keeps_the_other_defaults():
    recipe = Recipe.from_toml('features = ["rv"]\n[rv.clustering]\nseeds = 3\n')
    assert recipe.features == ("rv",)
    assert recipe.rv.clustering == ClusteringSettings(seeds=3)
    assert recipe.aa == Recipe().aa


def test_star_changes_every_representation():
    recipe = Recipe().replaced({"*.clustering.seeds": "7"})
    assert {recipe.chain(f).clustering.seeds for f in FEATURES} == {7}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seeds = 3", "seeds"),
        ("[aa.clustering]\nseed = 3", "aa.clustering.seed"),
        ("[aa.clustering]\nseeds = 0", "seeds"),
        ('[aa.clustering]\nseeds = "many"', "seeds"),
        ("[aa.clustering]\nseeds = 2.5", "seeds"),
        ("[aa.clustering]\nseeds = true", "seeds"),
        ("[aa.clustering]\nmerge_threshold = 1.5", "merge_threshold"),
        ("[aa.clustering]\nmerge_threshold = nan", "merge_threshold"),
        ('[aa.refinement]\nthreshold = "median"', "threshold"),
        ("[aa.featurize]\nrings = [5.0]", "rings"),
        ("[aa.featurize]\nrings = [9.0, 5.0]", "rings"),
        ("[aa.featurize]\nangle_step = 7.0", "angle_step"),
        ("aa = 3", "aa"),
        ('features = ["bragg"]', "features"),
        ("features = []", "features"),
        ("features = [", "TOML"),
    ],
)
def test_bad_recipe_is_refused_with_a_sentence_that_names_the_setting(text, named):
    with pytest.raises(RecipeError, match=named):
        Recipe.from_toml(text)


def test_missing_recipe_file_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.load(tmp_path / "none.toml")


def test_unknown_preset_and_unknown_setting_are_refused():
    with pytest.raises(RecipeError, match="default"):
        Recipe.preset("best")
    with pytest.raises(RecipeError, match=r"aa\.clustering\.seeds"):
        Recipe().replaced({"aa.clustering.sedes": 1})


def test_every_setting_carries_help_and_bounds_that_hold_its_default():
    for name, field, value in walk(Recipe()):
        assert field.metadata["help"], name
        low, high = field.metadata["low"], field.metadata["high"]
        if isinstance(value, int | float):
            assert low is None or value >= low, name
            assert high is None or value <= high, name


def test_recipes_are_frozen_and_comparable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().features = ("aa",)
    assert hash(Recipe()) == hash(Recipe())
    assert Recipe.preset("paper") != Recipe.preset("default")
