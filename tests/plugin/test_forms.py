"""Forms show what the recipe's dataclasses say, and nothing else."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from napari_stemnmf import recipe as recipes
from napari_stemnmf.plugin.forms.form import Form

SETTINGS = [
    recipes.CenterSettings,
    recipes.AngularAverageSettings,
    recipes.RadialVarianceSettings,
    recipes.ScalingSettings,
    recipes.ClusteringSettings,
    recipes.RefinementSettings,
]


@pytest.fixture
def form(qtbot: Any, request: pytest.FixtureRequest) -> tuple[Form, list[tuple[str, Any]]]:
    changes: list[tuple[str, Any]] = []
    made = Form(request.param(), lambda name, value: changes.append((name, value)))
    qtbot.addWidget(made.native)
    return made, changes


@pytest.mark.parametrize("form", SETTINGS, indirect=True)
def test_a_form_shows_each_setting_with_its_default_and_help(form: tuple[Form, list], request: Any) -> None:
    made, _ = form
    settings = request.node.callspec.params["form"]()
    assert all(made.editor(f.name).setting() == getattr(settings, f.name) for f in fields(settings))
    for f in fields(settings):
        editor = made.editor(f.name)
        assert editor.tooltip == f.metadata["help"]
        assert f.metadata["unit"] in editor.label
        assert f.name.replace("_", " ") in editor.label


@pytest.mark.parametrize("form", SETTINGS, indirect=True)
def test_bounds_and_choices_come_from_the_recipe(form: tuple[Form, list], request: Any) -> None:
    made, _ = form
    for f in fields(request.node.callspec.params["form"]):
        box = made.editor(f.name).box
        if f.metadata["choices"]:
            assert box.choices == f.metadata["choices"]
        if f.metadata["low"] is not None:
            assert box.min == f.metadata["low"]
        if f.metadata["high"] is not None:
            assert box.max == f.metadata["high"]


@pytest.mark.parametrize("form", [recipes.ClusteringSettings], indirect=True)
def test_an_edit_reports_that_one_setting(form: tuple[Form, list]) -> None:
    made, changes = form
    made.editor("seeds").box.value = 7
    assert changes == [("seeds", 7)]


@pytest.mark.parametrize("form", [recipes.ClusteringSettings], indirect=True)
def test_other_settings_can_be_shown_without_being_reported(form: tuple[Form, list]) -> None:
    made, changes = form
    made.show_settings(recipes.ClusteringSettings(components=31, merge_threshold=0.2))
    assert made.editor("components").setting() == 31
    assert made.editor("merge_threshold").setting() == pytest.approx(0.2)
    assert changes == []


@pytest.mark.parametrize("form", [recipes.ClusteringSettings], indirect=True)
def test_the_small_tolerance_is_not_rounded_away(form: tuple[Form, list]) -> None:
    made, changes = form
    box = made.editor("tolerance").box
    box.value = box.value + box.step
    assert changes == [("tolerance", pytest.approx(2e-4))]


@pytest.mark.parametrize("form", [recipes.CenterSettings], indirect=True)
def test_an_automatic_setting_is_empty_until_it_is_set_by_hand(form: tuple[Form, list]) -> None:
    made, changes = form
    editor = made.editor("q_y")
    editor.show_found(62.75)
    assert editor.setting() is None
    assert not editor.box.enabled
    assert changes == []
    editor.automatic.value = False
    assert editor.box.enabled
    assert changes == [("q_y", 62.75)]


@pytest.mark.parametrize("form", [recipes.AngularAverageSettings], indirect=True)
def test_a_list_of_radii_is_typed_with_commas(form: tuple[Form, list]) -> None:
    made, changes = form
    editor = made.editor("rings")
    editor.automatic.value = False
    editor.box.value = "12, 20.5, 33"
    settings = recipes.Recipe().replaced({"aa.featurize.rings": changes[-1][1]})
    assert settings.aa.featurize.rings == (12.0, 20.5, 33.0)


@pytest.mark.parametrize("form", [recipes.ClusteringSettings], indirect=True)
def test_the_few_that_decide_most_are_in_sight_and_the_rest_folds(form: tuple[Form, list]) -> None:
    made, _ = form
    assert made.advanced is not None
    assert not made.advanced.expanded
    folded = {
        name for name in ("seeds", "components", "tolerance") if made.advanced.isAncestorOf(made.editor(name).native)
    }
    assert folded == {"tolerance"}


def test_every_setting_that_is_named_as_in_sight_is_there() -> None:
    from napari_stemnmf import stage_settings
    from napari_stemnmf.plugin.forms.few import FEW

    for kind, names in FEW.items():
        settings = getattr(stage_settings, kind, None) or getattr(recipes, kind)
        assert set(names) <= {f.name for f in fields(settings)}, kind


@pytest.mark.parametrize("form", [recipes.ClusteringSettings], indirect=True)
def test_a_setting_goes_back_to_its_default(form: tuple[Form, list]) -> None:
    made, changes = form
    editor = made.editor("seeds")
    default = editor.setting()
    made.native.show()
    assert not editor.reset.native.isVisible()
    editor.box.value = default + 3
    assert editor.reset.native.isVisible()
    editor.reset.native.click()
    assert editor.setting() == default
    assert changes == [("seeds", default + 3), ("seeds", default)]
    assert not editor.reset.native.isVisible()
