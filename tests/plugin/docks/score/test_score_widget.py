"""The Score dock, driven by clicks in real windows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_stemnmf.analysis import Analysis, Input
from napari_stemnmf.dataset import Axis
from napari_stemnmf.figures.style import KIND_COLOURS
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.scoring import MEANINGS, confusion, score
from napari_stemnmf.plugin.layers.result_layers import all_layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.recipe import Recipe

SHAPE = (20, 30)
AXES = (Axis("scan_y", 20, 0.5, "nm"), Axis("scan_x", 30, 0.5, "nm"), Axis("q_y", 8, 1.0), Axis("q_x", 8, 1.0))


def block(rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


TRUTH = np.stack([block((0, 8), (0, 8)), block((10, 18), (2, 12)), block((4, 14), (20, 28))])
AA = Grains.from_masks(np.stack([block((10, 18), (2, 12)), block((1, 9), (0, 8))]))  # the second true one, and a shift
RV = Grains.from_masks(TRUTH)


@pytest.fixture
def scan(viewer: Any) -> Callable[..., Session]:
    """Puts an analysis made by hand into the viewer."""

    def add(name: str = "film", **grains: Grains) -> Session:
        given = Input(name, f"{name}.h5", (*SHAPE, 8, 8), "u2", AXES, "0")
        session = Session(None, Analysis(Recipe(), given, grains=grains or {"aa": AA, "rv": RV}))
        for data, meta, kind in all_layers(session):
            getattr(viewer, f"add_{kind}")(data, **meta)
        return session

    return add


@pytest.fixture
def dock(viewer: Any) -> Callable[[], Any]:
    """Opens Score from the plugin's menu entry."""
    return lambda: viewer.window.add_plugin_dock_widget("napari-stemnmf", "Score")[1]


def numbers(widget: Any, column: int) -> dict[str, str]:
    table = widget.scores
    return {table.verticalHeaderItem(i).text(): table.item(i, column).text() for i in range(table.rowCount())}


def said_of_us(notifications: list[str]) -> list[str]:
    """All but what napari says of layers in pixels over layers in nm."""
    return [message for message in notifications if not message.startswith("Inconsistent units")]


def slow_truth(go: threading.Event, threads: list[threading.Thread]) -> da.Array:
    """The true masks, which wait to be read until they may; `threads` are those that read them."""

    def wait(block: np.ndarray) -> np.ndarray:
        threads.append(threading.current_thread())
        go.wait(20)
        return block

    return da.from_array(TRUTH.astype(int)).map_blocks(wait, dtype=int)


def cells(widget: Any) -> list[list[str]]:
    table = widget.grains
    return [[table.item(i, j).text() for j in range(table.columnCount())] for i in range(table.rowCount())]


def test_the_truth_in_the_scan_s_own_file_is_offered(
    viewer: Any, scan: Any, dock: Any, click: Any, tmp_path: Path
) -> None:
    path = tmp_path / "film.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((*SHAPE, 8, 8), np.uint16)
        file["labels"] = TRUTH
    session = scan(str(path.with_suffix("")))
    widget = dock()
    assert widget.file.line_edit.value == f"{path}::labels"
    click(widget)
    assert len(session.scored.rows(0)) == 3
    widget.file.line_edit.value = "mine.h5"
    scan("other")
    assert widget.file.line_edit.value == "mine.h5"


def test_from_a_truth_layer_to_numbers_and_the_picture_of_a_grain(
    viewer: Any, scan: Any, dock: Any, click: Any, layer: Any, notifications: list[str]
) -> None:
    session = scan()
    viewer.add_labels(TRUTH.astype(int), name="truth")
    widget = dock()
    assert widget.truth.value.name == "truth"
    assert widget.file.native.isHidden()
    click(widget)
    expected = score(AA, TRUTH).as_dict()
    assert list(numbers(widget, 0)) == list(MEANINGS)
    assert numbers(widget, 0)["TPR_G"] == f"{expected['TPR_G']:.3f}"
    assert numbers(widget, 1)["n_true_hit"] == "3"
    assert "Scores: AA, RV against truth, 3 true grains." in widget.status.value

    widget.scores.cellClicked.emit(0, 0)
    assert cells(widget) == [
        ["1", "2", "1.000", "0.000", "1.000"],
        ["2", "1", "0.875", "0.015", "0.778"],
        ["–", "3", "–", "–", "–"],
    ]
    viewer.scene.camera.zoom = 200.0
    widget.grains.setCurrentCell(1, 0)
    match, grains = layer("match"), layer("AA grains")
    assert np.array_equal(match.data, confusion(AA.masks[1], TRUTH[0]))
    assert (match.scale == grains.scale).all()
    assert (match.translate == grains.translate).all()
    assert match.get_color(0) is None  # nothing hides the scan
    assert [to_hex(match.get_color(kind)).upper() for kind in KIND_COLOURS] == list(KIND_COLOURS.values())
    assert match.features["kind"].tolist()[1:] == ["found (TP)", "false (FP)", "missed (FN)"]
    assert not grains.visible
    assert not layer("truth").visible
    assert viewer.scene.camera.zoom < 200  # the grain is 4.5 nm high
    assert viewer.dims.point[0] == 1  # the stack shows it too

    widget.grains.setCurrentCell(2, 0)
    assert layer("match") is match
    assert np.array_equal(match.data, np.where(TRUTH[2], 3, 0))
    assert session.analysis.grains["aa"] is AA
    assert said_of_us(notifications) == []


def test_a_column_that_is_clicked_and_the_feature_that_is_chosen_list_their_grains(
    viewer: Any, scan: Any, dock: Any, click: Any
) -> None:
    scan()
    viewer.add_labels(TRUTH.astype(int), name="truth")
    widget = dock()
    click(widget)
    widget.scores.cellClicked.emit(3, 1)
    assert widget.feature.value == "rv"
    assert widget.tables.currentIndex() == 1
    assert len(cells(widget)) == 3
    widget.feature.value = "bd"
    assert cells(widget) == []
    widget.feature.value = "aa"
    widget.grains.sortItems(4)
    assert [row[0] for row in cells(widget)] == ["2", "1", "–"]
    widget.grains.setCurrentCell(0, 0)  # what a sorted row shows is its own grain
    assert np.array_equal(viewer.layers["film match"].data, confusion(AA.masks[1], TRUTH[0]))


def test_truth_may_be_a_label_image_a_stack_or_a_file(
    viewer: Any, scan: Any, dock: Any, click: Any, tmp_path: Path
) -> None:
    session = scan()
    widget = dock()
    assert not widget.file.native.isHidden()
    with h5py.File(tmp_path / "truth.h5", "w") as file:
        file["labels"] = TRUTH
        file["other"] = TRUTH[:1].astype("u1")
    image = (TRUTH * np.array([3, 5, 9])[:, None, None]).max(axis=0)
    made: list[Callable[[], Any]] = [
        lambda: viewer.add_labels(image, name="label image"),
        lambda: viewer.add_image(TRUTH.astype(np.uint8), name="stack"),
        lambda: f"{tmp_path}/truth.h5",
        lambda: f"{tmp_path}/truth.h5::labels",
    ]
    for make in made:
        truth = make()
        widget.truth.value = "a file" if isinstance(truth, str) else truth
        if isinstance(truth, str):
            widget.file.value = truth
        click(widget)
        assert np.array_equal(session.scored.truth, TRUTH), truth
        assert numbers(widget, 1)["f1_iou50"] == "1.000"


def test_what_was_painted_is_scored_beside_the_record(
    viewer: Any, scan: Any, dock: Any, click: Any, layer: Any
) -> None:
    session = scan()
    viewer.add_labels(TRUTH.astype(int), name="truth")
    widget = dock()
    painted = layer("AA grains").data.copy()
    painted[TRUTH[2]] = 3
    layer("AA grains").data = painted
    click(widget)
    assert [subject.name for subject in session.scored.subjects] == ["AA", "AA painted labels", "RV"]
    assert [numbers(widget, column)["n_found"] for column in range(3)] == ["2", "3", "3"]
    assert "Painted layers are scored as they were painted" in widget.status.value
    widget.scores.cellClicked.emit(0, 1)
    assert cells(widget)[2][:2] == ["3", "3"]
    widget.grains.setCurrentCell(2, 0)
    assert (layer("match").data[TRUTH[2]] == 1).all()


def test_bad_truth_is_one_sentence_and_loses_nothing(
    viewer: Any, scan: Any, dock: Any, click: Any, notifications: list[str], tmp_path: Path
) -> None:
    session = scan()
    good = viewer.add_labels(TRUTH.astype(int), name="truth")
    widget = dock()
    click(widget)
    before = session.scored
    with h5py.File(tmp_path / "nothing.h5", "w") as file:
        file["thickness"] = np.ones(SHAPE)
    bad: list[tuple[Any, str]] = [
        ("", "Choose a file"),
        ("nothing.h5", "holds no masks"),
        ("absent.h5", "absent.h5"),
        (TRUTH[:, 1:].astype(int), "score grains against the truth of the same scan"),
        (np.zeros(SHAPE, int), "The layer bad [1] holds no masks"),
        (np.ones(SHAPE, np.float32), "holds float32 numbers, not masks"),
    ]
    for given, said in bad:
        if isinstance(given, str):
            widget.truth.value = "a file"
            if given:
                widget.file.value = tmp_path / given
        else:
            widget.truth.value = viewer.add_image(given, name="bad", visible=False)
        notifications.clear()
        click(widget)
        (sentence,) = said_of_us(notifications)
        assert said in sentence
        assert session.scored is before
        assert numbers(widget, 0)["n_true"] == "3"
    widget.truth.value = good
    click(widget)
    assert session.scored is not before


def test_scores_belong_to_the_scan_they_were_started_for_and_the_window_does_not_wait(
    viewer: Any, scan: Any, dock: Any, click: Any, qtbot: Any, layer: Any
) -> None:
    first, second = scan("one"), scan("two", rv=RV)
    go, threads = threading.Event(), []
    go.set()
    truth = viewer.add_labels(slow_truth(go, threads), name="truth", visible=False)
    widget = dock()
    widget.truth.value = truth
    widget.scan.value = first
    go.clear()
    threads.clear()
    click(widget, wait=False)
    assert first.running is not None
    assert not widget.run.enabled
    widget.scan.value = second
    go.set()
    qtbot.waitUntil(lambda: first.running is None, timeout=20_000)
    assert threads
    assert threading.main_thread() not in threads
    assert first.scored is not None
    assert second.scored is None
    assert widget.scores.rowCount() == 0
    assert [subject.name for subject in first.scored.subjects] == ["AA", "RV"]

    click(widget)
    widget.feature.value = "rv"
    widget.grains.setCurrentCell(0, 0)
    assert layer("match").name == "two match"


def test_a_cancel_is_no_error_and_keeps_what_there_was(
    viewer: Any, scan: Any, dock: Any, click: Any, qtbot: Any, notifications: list[str]
) -> None:
    session = scan()
    go, threads = threading.Event(), []
    go.set()
    viewer.add_labels(slow_truth(go, threads), name="truth", visible=False)
    widget = dock()
    go.clear()
    click(widget, wait=False)
    widget.cancel.native.click()
    go.set()
    qtbot.waitUntil(lambda: session.running is None, timeout=20_000)
    assert session.scored is None
    assert "cancelled" in widget.status.value
    assert said_of_us(notifications) == []


def test_scores_of_grains_that_are_no_more_are_called_stale(viewer: Any, scan: Any, dock: Any, click: Any) -> None:
    session = scan()
    viewer.add_labels(TRUTH.astype(int), name="truth")
    widget = dock()
    click(widget)
    widget.grains.setCurrentCell(0, 0)
    session.set_analysis(session.analysis.with_result("grains/aa", RV))
    assert "Stale: there are other grains now." in widget.status.value
    assert numbers(widget, 0)["n_found"] == "2"
    click(widget)
    assert "Stale" not in widget.status.value
    assert numbers(widget, 0)["n_found"] == "3"
    assert not viewer.layers["film match"].data.any()


def test_the_tables_are_those_of_the_command_line(
    viewer: Any, scan: Any, dock: Any, click: Any, tmp_path: Path, notifications: list[str]
) -> None:
    scan()
    viewer.add_labels(TRUTH.astype(int), name="truth")
    widget = dock()
    assert not widget.save.enabled
    click(widget)
    widget.save_to(tmp_path / "tables")
    table = pd.read_csv(tmp_path / "tables" / "scores.csv")
    assert table[["film", "feature"]].to_numpy().tolist() == [["film", "AA"], ["film", "RV"]]
    assert table["TPR_G"].tolist() == [score(AA, TRUTH).TPR_G, 1.0]
    assert len(pd.read_csv(tmp_path / "tables" / "distributions.csv")) == 5
    assert said_of_us(notifications) == []
    widget.save_to(tmp_path / "tables" / "scores.csv")
    assert len(said_of_us(notifications)) == 1


def test_without_grains_there_is_nothing_to_score(viewer: Any, scan: Any, dock: Any) -> None:
    widget = dock()
    assert not widget.run.enabled
    assert "Open a 4D-STEM scan" in widget.status.value
    session = Session(None, Analysis(Recipe(), Input("bare", "bare.h5", (*SHAPE, 8, 8), "u2", AXES, "0")))
    viewer.add_image(np.zeros(SHAPE), name="image", metadata={"stemnmf_session": session})
    assert widget.session is session
    assert not widget.run.enabled
    assert "run Refine" in widget.status.value


def test_no_label_shows_markup(scan: Any, dock: Any) -> None:
    """Labels show their text as it is, which may be a file's; but for the legend, whose colours are markup."""
    scan()
    shown = [label for label in dock().native.findChildren(QLabel) if "<span" in label.text()]
    assert len(shown) == 1
    assert shown[0].textFormat() == Qt.TextFormat.RichText
