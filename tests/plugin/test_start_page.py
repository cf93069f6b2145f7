"""The start page: what is in a file, first images, and 4-D layers that cost nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.plugin.docks.open_scan.model import datasets, shapes_of
from napari_stemnmf.plugin.docks.start.model import Card, card, facts
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.session import Session, session_of, sessions_of
from napari_stemnmf.streaming.first_images import first_images
from napari_stemnmf.streaming.virtual_images import quick_look


@pytest.fixture
def dock(viewer: Any) -> Any:
    return viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")[1]


def test_facts_tell_what_the_file_says_and_what_is_assumed() -> None:
    told = dict(facts(Session(stem.sample((8, 9), (32, 32)).dataset)))
    assert told["Scan"] == "8 × 9 positions, step 0.5 nm"
    assert "1/nm a pixel" in told["Patterns"]
    assert told["Beam"] == "300 kV, 20,000 electrons a pattern"
    assert "Assumed" not in told
    bare = dict(facts(Session(stem.Dataset.from_array(np.ones((3, 4, 16, 16), np.uint16)))))
    assert bare["Scan"] == "3 × 4 positions"
    assert "step is not in the file" in bare["Assumed"]
    assert "no camera calibration" in bare["Assumed"]


def test_the_card_counts_grains_those_that_need_a_look_and_what_is_not_explained(tracked: stem.Analysis) -> None:
    session = Session(None, tracked)
    found = card(session, "vdf")
    assert found is not None
    assert found.grains == len(tracked.grains["vdf"])
    assert found.unexplained is not None
    assert 0 <= found.unexplained <= 1
    assert Card(25, 6, 0.08).text() == "25 grains · 6 need a look · 8 % of the diffracted intensity not explained"
    assert Card(1, 0, None).text() == "1 grain · none needs a look"
    assert Card(0, 0, None).text() == "No grains were found"
    assert card(session, "aa") is None


def test_a_rejected_grain_is_no_longer_on_the_card(tracked: stem.Analysis) -> None:
    from napari_stemnmf.grains.editing import Edit

    session = Session(None, tracked)
    before = card(session, "vdf")
    session.edit("vdf", Edit("reject", (int(tracked.grains["vdf"].ids[0]),)))
    after = card(session, "vdf")
    assert before is not None
    assert after is not None
    assert after.grains == before.grains - 1


def test_first_images_are_those_of_the_whole_scan() -> None:
    dataset = stem.sample((12, 10), (32, 32)).dataset
    raw = np.asarray(dataset.data)
    beside = np.zeros((32, 32), bool)
    beside[:8] = True
    *_, last = first_images(dataset, np.zeros(dataset.scan_shape), beside)
    assert last.whole
    assert np.allclose(last.total, raw.mean(axis=(2, 3)), rtol=1e-5)
    assert last.dark is not None
    assert np.allclose(last.dark, raw[..., beside].mean(axis=-1), rtol=1e-5)
    assert np.array_equal(last.maximum, raw.max(axis=(0, 1)))


def test_a_preview_says_so_and_sharpens_by_itself(viewer: Any, dock: Any, qtbot: Any, tmp_path: Path) -> None:
    raw = np.random.default_rng(0).poisson(np.linspace(1, 9, 128)[:, None, None, None], (128, 128, 32, 32))
    np.save(tmp_path / "large.npy", raw.astype(np.uint32))  # above what is read whole at once
    viewer.open(tmp_path / "large.npy", plugin="napari-stemnmf")
    (image,) = viewer.layers
    assert image.name == "large preview"
    qtbot.waitUntil(lambda: image.name == "large virtual image", timeout=60_000)
    assert np.allclose(image.data, raw.mean(axis=(2, 3)), rtol=1e-4)
    start = dock.step("start")
    qtbot.waitUntil(lambda: not start.pictures.line.isVisibleTo(start.native), timeout=5_000)
    assert all(button.isEnabled() for button in start.pictures.buttons.values())


def test_a_quick_look_tells_whether_it_saw_all() -> None:
    assert quick_look(stem.sample((8, 9), (32, 32)).dataset)[1]
    chunks = ((1,) * 40, (4,), (1024,), (1024,))
    data = da.zeros((40, 4, 1024, 1024), chunks=chunks, dtype=np.uint16)
    assert not quick_look(stem.Dataset.from_array(data), seconds=0.0)[1]


def test_the_4d_layer_is_apart_beside_a_dock_and_comes_when_asked_for(
    viewer: Any, dock: Any, scan_file: Path, notifications: list[str], qtbot: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    qtbot.wait(50)
    (image,) = viewer.layers
    assert [f"{u:~}" for u in viewer.layers.extent.units] == ["nm", "nm"]
    assert viewer.dims.ndim == 2
    start = dock.step("start")
    start.patterns.native.click()
    patterns = display.find(viewer, start.session, "patterns")
    assert patterns is not None
    assert patterns.visible
    assert not image.visible
    start.patterns.native.click()
    assert list(viewer.layers) == [image]
    assert image.visible


def test_a_4d_layer_that_was_there_before_the_dock_is_put_away(viewer: Any, scan_file: Path, qtbot: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    assert len(viewer.layers) == 2
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "Explore")
    qtbot.waitUntil(lambda: not [each for each in viewer.layers if each.name.endswith("patterns")], timeout=5_000)


def test_a_4d_layer_of_others_becomes_a_scan_when_it_is_chosen(viewer: Any, dock: Any, qtbot: Any) -> None:
    raw = np.asarray(stem.sample((8, 9), (32, 32)).dataset.data)
    layer = viewer.add_image(raw, name="mine", scale=(2, 2, 0.1, 0.1), units=("nm", "nm", "1/nm", "1/nm"))
    start = dock.step("start")
    qtbot.waitUntil(lambda: start.session is not None, timeout=10_000)
    session = start.session
    assert session_of(layer) is session
    assert session.dataset.scan_shape == (8, 9)
    assert [(axis.scale, axis.unit) for axis in session.dataset.axes] == [
        (2, "nm"),
        (2, "nm"),
        (0.1, "1/nm"),
        (0.1, "1/nm"),
    ]
    assert start.run.enabled
    assert [each.name for each in viewer.layers] == ["mine virtual image"]
    start.patterns.native.click()
    assert layer in viewer.layers


def test_a_4d_layer_is_not_taken_where_a_scan_is_open_until_it_is_chosen(
    viewer: Any, dock: Any, scan_file: Path, qtbot: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    viewer.add_image(np.ones((4, 5, 16, 16), np.uint8), name="mine")
    start = dock.step("start")
    qtbot.wait(50)
    assert len(sessions_of(viewer.layers)) == 1
    start.scan.value = start.scan.choices[-1]
    qtbot.waitUntil(lambda: len(sessions_of(viewer.layers)) == 2, timeout=10_000)
    assert start.session.name == "mine"


def test_datasets_of_a_file_are_listed_with_their_shapes(tmp_path: Path, viewer: Any, qtbot: Any) -> None:
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a/data"] = np.ones((3, 4, 16, 16), np.uint16)
        file["b/stack"] = np.ones((12, 16, 16), np.uint16)
        file["b/note"] = np.ones(4)
    assert {(each.name, each.stack) for each in datasets(tmp_path / "two.h5")} == {("a/data", False), ("b/stack", True)}
    _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Open scan")
    widget.path.value = tmp_path / "two.h5"
    qtbot.waitUntil(lambda: widget.datasets.count() == 2, timeout=10_000)
    lines = [widget.datasets.item(row).text() for row in range(2)]
    assert any("3 × 4 × 16 × 16" in line for line in lines)
    row = next(i for i, line in enumerate(lines) if line.startswith("b/stack"))
    widget.datasets.setCurrentRow(row)
    assert widget.dataset.value == "b/stack"
    assert "3 × 4" in widget.shapes.text()
    widget.rows.value, widget.columns.value = 3, 4
    widget.open_button.native.click()
    assert sessions_of(viewer.layers)[0].scan_shape == (3, 4)


def test_a_dataset_can_be_typed_behind_the_file(tmp_path: Path, viewer: Any) -> None:
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a/data"] = np.ones((3, 4, 16, 16), np.uint16)
        file["b/data"] = np.ones((4, 4, 16, 16), np.uint16)
    _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Open scan")
    widget.path.line_edit.native.setText(f"{tmp_path / 'two.h5'}::b/data")
    widget.open_button.native.click()
    assert sessions_of(viewer.layers)[0].scan_shape == (4, 4)


def test_a_file_that_does_not_say_enough_leads_to_open_scan(tmp_path: Path, viewer: Any, dock: Any) -> None:
    np.save(tmp_path / "stack.npy", np.ones((12, 16, 16), np.uint16))
    dock.step("start").take(tmp_path / "stack.npy")
    (asks,) = (each for name, each in viewer.window.dock_widgets.items() if name.startswith("Open scan"))
    assert Path(str(asks.path.value)).name == "stack.npy"


def test_shapes_of_a_prime_number_of_patterns_are_none() -> None:
    assert shapes_of(7) == []
    assert shapes_of(16)[0] == (4, 4)


def test_docks_lie_in_tabs(viewer: Any, dock: Any, qtbot: Any) -> None:
    from qtpy.QtWidgets import QDockWidget

    viewer.show()
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "Explore")
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "Compare")
    qtbot.wait(100)
    window = dock.window()
    ours = [each for each in window.findChildren(QDockWidget) if "(napari-stemnmf)" in each.windowTitle()]
    assert len(ours) == 3
    assert len(window.tabifiedDockWidgets(ours[0])) == 2


def test_a_scale_bar_stands_on_the_canvas(viewer: Any, scan_file: Path, qtbot: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    qtbot.wait(50)
    assert viewer.canvas.overlays.scale_bar.visible
