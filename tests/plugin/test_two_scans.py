"""Two scans in one window: one in view, side by side, and no result of one on the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.plugin.jobs.waiting import Waiting
from napari_stemnmf.plugin.layers import in_view
from napari_stemnmf.plugin.session import Session, session_of, sessions_of


@pytest.fixture
def dock(viewer: Any) -> Any:
    return viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")[1]


@pytest.fixture
def two(viewer: Any, dock: Any, scan_file: Path, other_file: Path, qtbot: Any) -> tuple[Session, Session]:
    """Two scans, opened one after the other; the second is in view."""
    viewer.open(scan_file, plugin="napari-stemnmf")
    viewer.open(other_file, plugin="napari-stemnmf")
    qtbot.wait(50)
    first, second = sessions_of(viewer.layers)
    return first, second


def seen(viewer: Any) -> set[Session | None]:
    return {session_of(layer) for layer in viewer.layers if layer.visible}


def extent(viewer: Any, session: Session) -> np.ndarray:
    image = next(layer for layer in viewer.layers if session_of(layer) is session)
    return np.asarray(image.extent.world)[:, -1]


def test_the_one_that_was_opened_last_is_in_view_and_lies_beside_the_other(viewer: Any, two: Any, dock: Any) -> None:
    first, second = two
    assert seen(viewer) == {second}
    assert dock.step("start").session is second
    assert extent(viewer, first)[1] < extent(viewer, second)[0]
    assert {first.canvas.tag, second.canvas.tag} == {"film", "wire"}
    assert {layer.name.split()[0] for layer in viewer.layers} == {"film", "wire"}


def test_choosing_a_scan_shows_its_layers_only_as_they_were_left(viewer: Any, two: Any, dock: Any) -> None:
    first, second = two
    start = dock.step("start")
    start.scan.value = first
    assert seen(viewer) == {first}
    start.scan.value = second
    assert seen(viewer) == {second}


def test_a_probe_is_moved_on_the_scan_that_it_is_of(viewer: Any, two: Any) -> None:
    from napari_stemnmf.plugin.layers.places import scan_position

    _, second = two
    image = next(layer for layer in viewer.layers if session_of(layer) is second)
    assert scan_position(second, image.data_to_world((3, 5))) == (3, 5)


def test_a_result_for_a_scan_that_is_not_in_view_changes_nothing_in_view(
    viewer: Any, two: Any, dock: Any, qtbot: Any, notifications: list[str], tracked: stem.Analysis
) -> None:
    first, second = two
    start = dock.step("start")
    start.scan.value = first
    start.run.native.click()
    start.scan.value = second
    before = [layer for layer in viewer.layers if session_of(layer) is second]
    active, camera = viewer.layers.selection.active, viewer.scene.camera.center
    assert list(dock.jobs.lines) == [first]
    assert dock.jobs.lines[first].bar.format().startswith("film")
    qtbot.waitUntil(lambda: first.running is None, timeout=120_000)
    assert seen(viewer) == {second}
    assert [layer for layer in viewer.layers if session_of(layer) is second] == before
    assert viewer.layers.selection.active is active
    assert viewer.scene.camera.center == camera
    assert start.session is second
    assert not start.card.isVisibleTo(start.native)
    assert any("Choose it as scan" in each for each in notifications)
    assert not dock.jobs.lines
    owners = [session_of(layer) for layer in viewer.layers]
    assert owners == sorted(owners, key=[first, second].index)  # grouped by scan
    start.scan.value = first
    shown = {layer.name for layer in viewer.layers if layer.visible}
    assert shown == {"film virtual image", "film VDF grains"}
    assert start.card.isVisibleTo(start.native)


def test_a_run_waits_behind_that_of_another_scan(viewer: Any, two: Any, dock: Any, qtbot: Any) -> None:
    first, second = two
    start = dock.step("start")
    start.scan.value = first
    start.run.native.click()
    start.scan.value = second
    assert "begins when film is done" in start.status.value
    start.run.native.click()
    assert isinstance(second.running, Waiting)
    assert "waits for film" in second.running.line()
    qtbot.waitUntil(lambda: first.running is None, timeout=120_000)
    qtbot.waitUntil(lambda: second.running is not None and not isinstance(second.running, Waiting), timeout=10_000)
    qtbot.waitUntil(lambda: second.running is None, timeout=120_000)
    assert second.state("measure", "vdf") == "done"


def test_a_run_that_waits_can_be_cancelled(viewer: Any, two: Any, dock: Any, qtbot: Any) -> None:
    first, second = two
    start = dock.step("start")
    start.scan.value = first
    start.run.native.click()
    start.scan.value = second
    start.run.native.click()
    start.cancel.native.click()
    assert second.running is None
    assert "taken out of the queue" in start.status.value
    first.running.abandon()
    qtbot.waitUntil(lambda: first.running is None, timeout=60_000)
    qtbot.wait(50)
    assert second.running is None


def test_one_representation_at_a_time(viewer: Any, dock: Any, analysis: stem.Analysis, tmp_path: Path) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    (session,) = sessions_of(viewer.layers)

    def grains() -> list[str]:
        return [layer.metadata["stemnmf_role"] for layer in viewer.layers if layer.visible and "grains" in layer.name]

    assert grains() == ["grains/aa"]
    cluster, refine = dock.step("cluster"), dock.step("refine")
    dock.show_step("cluster")
    cluster.feature.value = "bd"
    assert grains() == ["grains/bd"]
    dock.show_step("refine")
    assert refine.feature.value == "bd"
    in_view.show_feature(viewer, session, "rv")
    assert refine.feature.value == "rv"
    assert grains() == ["grains/rv"]


def test_scans_with_long_names_have_short_ones_that_differ(viewer: Any, dock: Any, tmp_path: Path) -> None:
    for number in (17, 18):
        np.save(tmp_path / f"a_very_long_name_of_a_film_{number}.npy", np.ones((4, 5, 16, 16), np.uint16))
        viewer.open(tmp_path / f"a_very_long_name_of_a_film_{number}.npy", plugin="napari-stemnmf")
    names = [layer.name for layer in viewer.layers]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 28


def test_the_selection_goes_over_with_the_view(viewer: Any, two: Any, dock: Any) -> None:
    first, second = two
    dock.step("start").scan.value = first
    assert session_of(viewer.layers.selection.active) is first
    dock.show_step("review")
    assert dock.steps["review"].session is first
    assert seen(viewer) == {first}
    assert second not in seen(viewer)
