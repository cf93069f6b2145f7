"""A recipe: every setting checked, written once, read back the same."""

import argparse
import dataclasses
import os

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.cli.options import add_settings_options, recipe_from
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.errors import RecipeError
from napari_stemnmf.files import storage
from napari_stemnmf.recipe import OF_PAPER, PRESETS, Recipe
from napari_stemnmf.representation_settings import ClusteringSettings, RefinementSettings
from napari_stemnmf.settings import identity, walk
from napari_stemnmf.stage_settings import PreprocessSettings


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
    assert {recipe.nmf_chain(f).clustering.seeds for f in OF_PAPER} == {7}
    assert recipe.vdf == Recipe().vdf, "it has no such setting"


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
    assert Recipe.preset("paper") != Recipe.preset("nmf")


FORMER = {
    "aa.describe.intensity": "sqrt",
    "rv.separation.min_size": "12",
    "*.clustering.draft": "coarse",
    "bd.clustering.draft": "off",
    "*.clustering.refit": "apart",
}
"""Settings under the names and choices of version 0.4 and before."""
PRESENT = {
    "aa.featurize.intensity": "sqrt",
    "rv.refinement.min_size": "12",
    "*.clustering.coarse_fit": "on",
    "bd.clustering.coarse_fit": "off",
    "*.clustering.refit": "separate",
}


def test_former_names_are_understood_when_settings_are_replaced():
    assert Recipe().replaced(FORMER) == Recipe().replaced(PRESENT)


def test_former_names_are_understood_in_a_recipe_file():
    former = """
    [aa.describe]
    intensity = "sqrt"
    [rv.separation]
    min_size = 12
    [aa.clustering]
    draft = "coarse"
    refit = "apart"
    [bd.clustering]
    draft = "off"
    """
    assert Recipe.from_toml(former) == Recipe().replaced(PRESENT)
    assert not any(word in Recipe().to_toml() for word in ("describe]", "separation]", "draft", "apart"))


def test_former_names_are_understood_on_the_command_line():
    parser = argparse.ArgumentParser()
    add_settings_options(parser)

    def recipe(settings):
        options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        return recipe_from(parser.parse_args(options))

    assert recipe(FORMER) == recipe(PRESENT)


def test_the_identity_of_settings_is_their_text_in_the_version_that_first_had_them():
    """Keys of results in files are made of it: a renamed setting must not make them stale."""
    assert identity(ClusteringSettings()) == (
        "ClusteringSettings(components=None, start_factor=5.0, merge_threshold=0.45, seeds=25, first_seed=0, "
        "tolerance=0.0001, max_iterations=200, max_cycles=50, draft='coarse', refit='apart')"
    )
    assert identity(ClusteringSettings(coarse_fit="off", refit="free")).endswith("draft='off', refit='free')")
    assert identity(RefinementSettings()) == (
        "SeparationSettings(min_coherence=0.0, smoothing=0.0, threshold='yen', threshold_scale=1.0, min_size=25)"
    )
    chain = identity(Recipe().aa)
    assert chain.startswith("AngularAverageChain(describe=AngularAverageSettings(rings=None, ")
    assert ", separation=SeparationSettings(" in chain


def test_settings_without_former_names_are_identified_by_their_repr():
    recipe = Recipe()
    for settings in (recipe.center, recipe.disks, recipe.aa.featurize, recipe.aa.scaling):
        assert identity(settings) == repr(settings)
    assert identity(("aa", None, 2.5)) == repr(("aa", None, 2.5))


def test_added_settings_are_no_part_of_an_identity_while_they_have_their_default():
    before = identity(PreprocessSettings())
    assert before.endswith("bin=1)")  # as results of version 0.4 were saved with
    assert identity(PreprocessSettings(odd_patterns="off")) == before.replace("bin=1)", "bin=1, odd_patterns='off')")


def test_a_probe_of_an_earlier_version_loads(tmp_path):
    probe = Probe(np.ones((5, 5), np.float32), 2.0, 7.0, 8.0, None, False, "central", (16, 16), descan=3.5)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        storage.write(file, "probe", probe)
        assert file["probe"].attrs["wander"] == 3.5  # the name in files is that of the version that first wrote it
        assert "descan" not in file["probe"].attrs
    with h5py.File(tmp_path / "a.h5") as file:
        assert storage.read(file, "probe", Probe).descan == 3.5


NAMES = ("m\n.npy", "m\r\t\x1b[2J\x7f\x01.npy", "m\u2028\x85.npy", 'm"\\".npy', "m'''.npy", "日本 é🙂.npy", "# x = 1")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_file_survives_the_way_through_toml(name, tmp_path):
    recipe = Recipe().replaced({"beam_stop.mask": name, "preprocess.dark": f"{name}2"})
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    recipe.save(tmp_path / "r.toml")
    assert Recipe.load(tmp_path / "r.toml") == recipe


@given(st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_the_way_through_toml(name):
    if name.strip().lower() in ("", "none", "auto"):
        return
    recipe = Recipe().replaced({"beam_stop.mask": name})
    assert recipe.beam_stop.mask == name
    assert Recipe.from_toml(recipe.to_toml()) == recipe


@pytest.mark.parametrize("name", ["m\0.npy", "m\udcff.npy", "\ud800"])
def test_a_name_that_cannot_be_kept_is_refused_before_a_run(name):
    with pytest.raises(RecipeError, match=r"'mask' is .* no UTF-8 text; rename that file"):
        Recipe().replaced({"beam_stop.mask": name})


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 3000 + "]" * 3000,
        "x = " + "{a=" * 3000 + "1" + "}" * 3000,
        "[beam_stop]\nmask = " + "[" * 200 + "]" * 200,
        ".".join(["a"] * 5000) + " = 1",
        "[" + ".".join(["a"] * 5000) + "]\nb = 1",
        "[aa.clustering]\nseeds = " + "9" * 5000,
        "[aa.clustering]\nseeds = 1e999",
        "[aa.clustering]\nseeds = " + "9" * 4000,
        "[aa.clustering]\nseeds = 2026-01-01",
        "[aa]\nclustering = 2026-01-01T00:00:00Z",
        'features = [["aa"]]',
        "features = [1]",
        "features = 5",
        '"\\u001b[2J\\n" = 1',
        '"" = "aa"',
        "[beam_stop]\nmask = {a = 1}",
    ],
)
def test_whatever_a_recipe_holds_is_refused_in_one_short_sentence(text):
    with pytest.raises(RecipeError) as error:
        Recipe.from_toml(text)
    said = str(error.value)
    assert len(said) < 2500
    assert len(said.splitlines()) == 1
    assert "\x1b" not in said


def test_what_is_no_recipe_is_not_read(tmp_path):
    (tmp_path / "large.toml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(RecipeError, match="larger than"):
        Recipe.load(tmp_path / "large.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="no UTF-8 text"):
        Recipe.load(tmp_path / "bytes.toml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        Recipe.load(tmp_path)
    with pytest.raises(RecipeError, match=r"no file can have such a name|No such file"):
        Recipe.load("a\0b")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(RecipeError, match="device or a pipe"):
            Recipe.load(tmp_path / "pipe")


def test_features_are_named_once():
    assert Recipe().replaced({"features": "bd,aa,bd"}).features == ("bd", "aa")
