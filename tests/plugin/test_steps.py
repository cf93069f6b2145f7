"""The docks of the steps, driven by clicks in real windows."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QThreadPool

import napari_stemnmf as stem
from napari_stemnmf.plugin.layers import in_view
from napari_stemnmf.plugin.session import Session, session_of, sessions_of
from napari_stemnmf.representation_settings import (
    AngularAverageSettings,
    ClusteringSettings,
    RadialVarianceSettings,
    RefinementSettings,
    ScalingSettings,
)

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def add(viewer: Any, dataset: stem.Dataset) -> Session:
    """Put a dataset into the viewer as the reader does."""
    from napari_stemnmf.plugin.layers.result_layers import scan_layers

    session = Session(dataset)
    for data, meta, kind in scan_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    return session


def test_from_a_file_to_a_table_click_by_click(
    viewer: Any, scan_file: Path, step: Any, click: Any, layer: Any, notifications: list[str], tmp_path: Path
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize, cluster, refine, measure = (step(name) for name in ("Featurize", "Cluster", "Refine", "Measure"))
    assert not any(widget.run.enabled for widget in (cluster, refine, measure))

    click(featurize)
    assert "Features AA: " in featurize.status.value
    assert "columns" in featurize.status.value
    assert np.array_equal(layer("virtual image").data, featurize.session.analysis.survey.virtual_image)
    click(cluster)
    maps = layer("AA component maps")
    k = featurize.session.analysis.models["aa"].k
    assert maps.data.shape == (k, 20, 24)
    assert tuple(maps.scale[-2:]) == (0.5, 0.5)
    assert maps.axis_labels == ("component", "scan_y", "scan_x")
    click(refine)
    grains, stack = layer("AA grains"), layer("AA grain stack")
    assert grains.data.shape == (20, 24)
    assert stack.data.shape == (len(grains.features) - 1, 20, 24)
    assert layer("AA overlap").data.shape == (20, 24)
    assert grains.visible
    assert not maps.visible
    click(measure)
    assert "dissimilarity" in layer("AA grains").features
    assert f"Table AA: {len(stack.data)} grains measured, median diameter " in measure.status.value

    measure.table.native.click()
    assert viewer.layers.selection.active is grains
    viewer.layers.save(str(tmp_path / "run.stemnmf.h5"), plugin="napari-stemnmf")
    assert len(stem.Analysis.load(tmp_path / "run.stemnmf.h5").tables["aa"]) == len(stack.data)
    assert [m for m in notifications if not m.startswith("Inconsistent units")] == []


def test_the_numbers_are_those_of_the_python_api(
    viewer: Any, scan_file: Path, step: Any, click: Any, analysis: stem.Analysis
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    for name in ("Featurize", "Cluster", "Refine"):
        click(step(name))
    found = step("Refine").session.analysis
    assert np.array_equal(found.features["rv"].values, analysis.features["rv"].values)
    assert np.array_equal(found.models["aa"].W, analysis.models["aa"].W)
    assert np.array_equal(found.grains["aa"].masks, analysis.grains["aa"].masks)


def test_the_other_representation_has_its_own_settings_and_layers(
    viewer: Any, scan_file: Path, step: Any, click: Any, layer: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    click(step("Featurize"))
    cluster = step("Cluster")
    cluster.feature.value = "rv"
    cluster.forms.of(ClusteringSettings).editor("seeds").box.value = 1
    assert (cluster.session.recipe.rv.clustering.seeds, cluster.session.recipe.aa.clustering.seeds) == (1, 2)
    click(cluster)
    assert layer("RV component maps").data.ndim == 3
    assert cluster.session.state("cluster", "aa") == "missing"


def test_running_again_updates_the_layers_that_are_there(
    viewer: Any, scan_file: Path, step: Any, click: Any, layer: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    for name in ("Featurize", "Cluster", "Refine"):
        click(step(name))
    grains = layer("AA grains")
    grains.opacity = 0.3
    refine = step("Refine")
    refine.forms.of(RefinementSettings).editor("min_size").box.value = 200
    assert "Stale: settings have changed." in refine.status.value
    click(refine)
    assert layer("AA grains") is grains
    assert grains.opacity == 0.3
    assert len(grains.features) - 1 == len(refine.session.analysis.grains["aa"])


def test_a_preset_sets_every_step(viewer: Any, scan_file: Path, step: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize, cluster = step("Featurize"), step("Cluster")
    featurize.preset.value = "paper"
    assert featurize.session.recipe == stem.Recipe.preset("paper")
    assert cluster.forms.of(ScalingSettings).editor("method").setting() == stem.Recipe.preset("paper").aa.scaling.method
    cluster.forms.of(ClusteringSettings).editor("seeds").box.value = 3
    assert featurize.preset.value == "own settings"


def test_only_the_ticked_features_are_computed(viewer: Any, scan_file: Path, step: Any, click: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize = step("Featurize")
    featurize.chosen["rv"].value = featurize.chosen["bd"].value = False
    click(featurize)
    assert set(featurize.session.analysis.features) == {"aa"}
    featurize.chosen["aa"].value = False
    assert not featurize.run.enabled


def test_what_featurize_took_shows_greyed_where_it_is_automatic(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    featurize = step("Featurize")
    aa, rv = (featurize.forms.of(kind) for kind in (AngularAverageSettings, RadialVarianceSettings))
    assert aa.editor("rings").box.value.startswith(f"{analysis.features['aa'].details['rings'][0]:g}, ")
    radii = analysis.features["rv"].details["radii"]
    shown = [rv.editor(name).box.value for name in ("r_min", "r_max", "columns")]
    assert shown == [radii[0], radii[-1], len(radii)]
    assert rv.editor("r_min").setting() is None


def test_bragg_disks_go_all_the_way_to_grains(
    viewer: Any, distorted_scan: Any, step: Any, click: Any, layer: Any
) -> None:
    session = add(viewer, distorted_scan.dataset)
    featurize = step("Featurize")
    for name, box in featurize.chosen.items():
        box.value = name == "bd"
    click(featurize)
    assert "Features BD: " in featurize.status.value
    assert "Calibration: done." in featurize.status.value
    matrix = session.analysis.features["bd"].values
    featurize.maps["bd"].native.click()
    shown = layer("BD features").data
    assert shown.shape == (min(200, matrix.shape[1]), 8, 8)
    assert shown.max() == pytest.approx(matrix.max())
    cluster = step("Cluster")
    cluster.feature.value = "bd"
    click(cluster)
    assert layer("BD component maps").data.shape[1:] == (8, 8)


def test_a_setting_that_cannot_be_is_refused_in_words(viewer: Any, scan_file: Path, step: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize = step("Featurize")
    editor = featurize.forms.of(AngularAverageSettings).editor("rings")
    editor.automatic.value = False
    editor.box.value = "30, 20"
    assert "at least two ascending radii" in featurize.status.value
    assert not featurize.run.enabled


def test_an_error_is_one_sentence_in_a_notification(
    viewer: Any, step: Any, click: Any, notifications: list[str]
) -> None:
    add(viewer, stem.Dataset.from_array(np.zeros((8, 8, 32, 32), np.uint16), name="blank"))
    featurize = step("Featurize")
    click(featurize)
    (message,) = [m for m in notifications if not m.startswith("Inconsistent units")]
    assert message in featurize.status.value
    assert "Traceback" not in message
    assert featurize.run.enabled


def test_featurize_stops_within_a_block_when_cancelled(
    viewer: Any, step: Any, click: Any, qtbot: Any, slow_scan: stem.Dataset
) -> None:
    add(viewer, slow_scan)
    featurize = step("Featurize")
    click(featurize, wait=False)
    session = featurize.session
    qtbot.waitUntil(lambda: session.running.progress is not None, timeout=20_000)
    assert featurize.cancel.enabled
    assert not featurize.run.enabled
    featurize.cancel.native.click()
    qtbot.waitUntil(lambda: session.running is None, timeout=5_000)
    assert "cancelled" in featurize.status.value
    assert featurize.run.enabled


def test_a_cancelled_clustering_keeps_the_seeds_that_were_done(
    viewer: Any, scan_file: Path, step: Any, click: Any, qtbot: Any, layer: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    click(step("Featurize"))
    cluster = step("Cluster")
    session = cluster.session
    session.set_recipe(session.recipe.replaced({"aa.clustering.seeds": 1000}))
    click(cluster, wait=False)

    def seeds_done() -> bool:
        return session.running.progress is not None and session.running.progress.fraction > 0.004

    qtbot.waitUntil(seeds_done, timeout=60_000)
    assert "seed" in session.running.line() or "k " in session.running.line()
    cluster.cancel.native.click()
    qtbot.waitUntil(lambda: session.running is None, timeout=10_000)
    assert session.state("cluster", "aa") == "incomplete"
    assert "Incomplete" in cluster.status.value
    assert layer("AA component maps").data.shape[0] == session.analysis.models["aa"].k
    for widget in (step("Refine"), step("Measure")):
        session.set_recipe(session.recipe.replaced({"aa.clustering.seeds": 1000}))
        click(widget)
    assert "Of a clustering that was cancelled." in widget.status.value
    assert "dissimilarity" in layer("AA grains").features


def test_the_viewer_stays_alive_while_a_step_runs(
    viewer: Any, step: Any, click: Any, qtbot: Any, slow_scan: stem.Dataset
) -> None:
    from qtpy.QtCore import QTimer

    add(viewer, slow_scan)
    featurize = step("Featurize")
    ticks: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(20)
    click(featurize, wait=False)
    qtbot.waitUntil(lambda: featurize.session.running.progress is not None, timeout=20_000)
    ticks.clear()
    qtbot.wait(1000)
    timer.stop()
    featurize.cancel.native.click()
    assert len(ticks) > 5


def test_two_scans_that_run_together_do_not_mix(
    viewer: Any, scan_file: Path, other_file: Path, step: Any, click: Any, qtbot: Any
) -> None:
    for path in (scan_file, other_file):
        viewer.open(path, plugin="napari-stemnmf")
    featurize = step("Featurize")
    first, second = featurize.scan.choices
    featurize.scan.value = first
    click(featurize, wait=False)
    featurize.scan.value = second
    assert featurize.run.enabled
    click(featurize, wait=False)
    viewer.layers.selection.active = viewer.layers[0]
    qtbot.waitUntil(lambda: first.running is None and second.running is None, timeout=60_000)
    assert first.analysis.survey.virtual_image.shape == (20, 24)
    assert second.analysis.survey.virtual_image.shape == (16, 18)
    for layer in viewer.layers:
        session = session_of(layer)
        assert layer.data.shape[:2] == session.dataset.scan_shape


def test_the_choice_of_the_scan_follows_the_selected_layer(
    viewer: Any, scan_file: Path, other_file: Path, step: Any
) -> None:
    for path in (scan_file, other_file):
        viewer.open(path, plugin="napari-stemnmf")
    featurize = step("Featurize")
    viewer.layers.selection.active = viewer.layers[0]
    assert featurize.session.dataset.scan_shape == (20, 24)
    viewer.layers.selection.active = viewer.layers[-1]
    assert featurize.session.dataset.scan_shape == (16, 18)


def test_the_same_file_opened_twice_is_two_scans(viewer: Any, scan_file: Path, step: Any) -> None:
    for _ in range(2):
        viewer.open(scan_file, plugin="napari-stemnmf")
    featurize = step("Featurize")
    assert len({id(choice) for choice in featurize.scan.choices}) == 2


def test_removing_all_layers_of_a_scan_stops_its_step(
    viewer: Any, step: Any, click: Any, qtbot: Any, slow_scan: stem.Dataset
) -> None:
    add(viewer, slow_scan)
    featurize = step("Featurize")
    session = featurize.session
    click(featurize, wait=False)
    qtbot.waitUntil(lambda: session.running.progress is not None, timeout=20_000)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not QThreadPool.globalInstance().activeThreadCount(), timeout=5_000)
    assert session.analysis is None
    assert featurize.session is None
    assert len(viewer.layers) == 0


def test_removing_one_layer_of_a_scan_does_not_stop_it(
    viewer: Any, scan_file: Path, step: Any, click: Any, qtbot: Any, layer: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize = step("Featurize")
    session = featurize.session
    click(featurize, wait=False)
    viewer.layers.remove(layer("patterns"))
    qtbot.waitUntil(lambda: session.running is None, timeout=60_000)
    assert session.state("featurize", "aa") == "done"


def test_closing_the_dock_in_mid_run_leaves_the_step_running(
    viewer: Any, scan_file: Path, step: Any, click: Any, qtbot: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize = step("Featurize")
    session = featurize.session
    click(featurize, wait=False)
    viewer.window.remove_dock_widget(featurize.native)
    qtbot.waitUntil(lambda: session.running is None, timeout=60_000)
    assert step("Featurize").status.value.count("columns") == len(session.recipe.features)


def test_a_session_dies_with_its_layers(viewer: Any, scan_file: Path, step: Any, click: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize = step("Featurize")
    click(featurize)
    session = weakref.ref(featurize.session)
    viewer.layers.clear()
    gc.collect()
    assert session() is None


def test_the_4d_layer_is_put_away_by_the_first_maps_and_comes_back(
    viewer: Any, scan_file: Path, step: Any, click: Any, layer: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    patterns, image = layer("patterns"), layer("virtual image")
    patterns.colormap = "turbo"
    featurize = step("Featurize")
    for name in ("Featurize", "Cluster"):
        click(step(name))
    assert patterns not in viewer.layers
    assert [f"{u:~}" for u in viewer.layers.extent.units[-2:]] == ["nm", "nm"]
    featurize.patterns.native.click()
    assert layer("patterns") is patterns
    assert patterns.colormap.name == "turbo"
    assert patterns.visible
    assert not image.visible
    featurize.patterns.native.click()
    assert patterns not in viewer.layers
    assert image.visible


def test_a_4d_layer_that_is_looked_at_stays(viewer: Any, scan_file: Path, step: Any, click: Any, layer: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    layer("patterns").visible = True
    for name in ("Featurize", "Cluster"):
        click(step(name))
    assert layer("patterns").visible


def test_one_grain_can_be_shown_whole(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any, layer: Any
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    refine = step("Refine")
    refine.plane.value = 2
    stack = layer("AA grain stack")
    assert stack.visible
    assert not layer("AA grains").visible
    assert stack.selected_label == 2
    assert viewer.dims.current_step[viewer.dims.ndim - 3] == 1
    refine.plane.value = 0
    assert layer("AA grains").visible


def test_patterns_of_grains_have_the_canvas_for_themselves(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any, layer: Any
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    measure = step("Measure")
    measure.patterns.native.click()
    shown = layer("AA grain patterns")
    assert np.array_equal(shown.data, analysis.patterns["aa"].patterns)
    assert [each for each in viewer.layers if each.visible] == [shown]
    measure.patterns.native.click()
    assert shown not in viewer.layers
    assert layer("AA grains").visible


def test_feature_columns_can_be_looked_at(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any, layer: Any
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    step("Featurize").maps["aa"].native.click()
    assert layer("AA features").data.shape == (analysis.features["aa"].values.shape[1], 20, 24)


def test_all_steps_in_one_dock_share_scan_and_feature_and_say_how_far_they_are(
    viewer: Any, analysis: stem.Analysis, other_file: Path, qtbot: Any, tmp_path: Path
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    viewer.open(other_file, plugin="napari-stemnmf")
    _, stages = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    shown = stages.step(stages.current)
    assert list(stages.steps.values()) == [shown]  # the others are made when they are wanted
    first, second = shown.scan.choices
    second.set_recipe(first.recipe)
    shown.scan.value = first
    cluster = stages.show_step("cluster")
    assert cluster.session is first
    assert stages.buttons["cluster"].text().endswith("✓")
    cluster.feature.value = "rv"
    in_view.show_feature(viewer, second, "rv")
    first.set_recipe(first.recipe.replaced({"rv.clustering.merge_threshold": 0.11}))
    assert stages.buttons["cluster"].text().endswith("↻")
    assert "stale" in stages.buttons["cluster"].toolTip()
    cluster.scan.value = second
    assert {widget.session for widget in stages.steps.values()} == {second}
    assert stages.buttons["cluster"].text().endswith("·")

    qtbot.keyClick(stages.buttons["refine"], Qt.Key.Key_Space)
    assert stages.current == "refine"
    assert stages.step("refine").native.isVisibleTo(stages)
    assert (stages.step("refine").feature.value, stages.step("refine").session) == ("rv", second)


@pytest.mark.parametrize("name", ["Calibrate", "Featurize", "Cluster", "Refine", "Measure", "STEM-NMF", "Open scan"])
def test_a_dock_fits_into_a_small_window(viewer: Any, scan_file: Path, name: str) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", name)
    hint = getattr(widget, "native", widget).minimumSizeHint()
    assert hint.height() <= 600
    assert hint.width() <= 420


def test_results_of_an_analysis_without_its_scan_can_be_refined(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any, click: Callable[..., None]
) -> None:
    replace(analysis, input=replace(analysis.input, source="")).save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    refine = step("Refine")
    refine.forms.of(RefinementSettings).editor("min_size").box.value = 60
    click(refine)
    assert refine.session.state("refine", "aa") == "done"
    assert not step("Measure").run.enabled


def test_a_stack_of_patterns_opens_with_its_scan_shape_given(
    viewer: Any, tmp_path: Path, notifications: list[str], layer: Any
) -> None:
    np.save(tmp_path / "stack.npy", np.ones((12, 16, 16), np.uint16))
    _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Open scan")
    widget.path.value = tmp_path / "stack.npy"
    widget.open_button.native.click()
    assert "scan shape" in notifications[-1]
    widget.rows.value, widget.columns.value = 3, 5
    widget.open_button.native.click()
    assert "15 patterns" in notifications[-1]
    widget.columns.value = 4
    widget.open_button.native.click()
    assert sessions_of(viewer.layers)[0].dataset.shape == (3, 4, 16, 16)


def test_of_too_many_patterns_those_that_are_named_are_dropped_and_the_status_tells(
    viewer: Any, tmp_path: Path, notifications: list[str], layer: Any
) -> None:
    from napari_stemnmf.plugin.session import session_of
    from napari_stemnmf.plugin.status import status

    stack = np.broadcast_to(np.arange(14, dtype=np.uint16)[:, None, None], (14, 16, 16))
    np.save(tmp_path / "stack.npy", stack)
    _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Open scan")
    widget.path.value = tmp_path / "stack.npy"
    widget.rows.value, widget.columns.value = 4, 4
    widget.open_button.native.click()
    assert "3 scan rows and 4 scan columns in Open scan takes the whole rows" in notifications[-1]
    widget.rows.value, widget.drop.value = 3, "first"
    widget.open_button.native.click()
    session = session_of(layer("virtual image"))
    assert session.dataset.pattern(0, 0).max() == 2
    assert "the first 2 were dropped" in status(session, "calibrate", "")


def test_one_of_several_datasets_opens_by_its_name(viewer: Any, tmp_path: Path, layer: Any) -> None:
    import h5py

    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a/data"] = np.ones((3, 4, 16, 16), np.uint16)
        file["b/data"] = np.ones((4, 4, 16, 16), np.uint16)
    _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Open scan")
    widget.path.value = tmp_path / "two.h5"
    widget.dataset.value = "b/data"
    widget.open_button.native.click()
    assert sessions_of(viewer.layers)[0].dataset.shape == (4, 4, 16, 16)
