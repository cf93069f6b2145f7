"""The Review dock, with real clicks and keys on the canvas and in the dock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from npe2 import PluginManager, PluginManifest
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QTableView
from review_hands import CTRL, NONE, PLACES, SHIFT, Canvas, agree, grains, press

import napari_stemnmf as stem
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.docks.review.widget import ReviewWidget
from napari_stemnmf.plugin.layers.grain_layers import GONE
from napari_stemnmf.plugin.layers.result_layers import all_layers, result_layers
from napari_stemnmf.plugin.session import Session

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def test_clicks_keys_and_rows_select_the_same_grain(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, layer: Any, qtbot: Any, session: Session
) -> None:
    zoom = viewer.scene.camera.zoom
    canvas.click(12, 36)
    agree(dock, layer, 5)
    canvas.click(10, 13)  # where 1 and 2 overlap: one after the other
    first = session.selected["aa"]
    canvas.click(10, 13)
    assert {first, session.selected["aa"]} == {1, 2}
    agree(dock, layer, session.selected["aa"])
    canvas.click(38, 2)
    assert session.selected["aa"] == 0
    assert not len(layer("AA outline").data)
    canvas.click(28, 8)
    dock.pictures.choose("difference")
    qtbot.waitUntil(lambda: "grain 4</a>, r 1.00" in dock.pictures.title.text(), timeout=10_000)
    agree(dock, layer, 3)
    QTest.mouseClick(dock.pictures.kinds["alone"], Qt.MouseButton.LeftButton)
    assert dock.pictures.title.text() == "of 100 positions without others"
    dock.pictures.title.linkActivated.emit("4")
    agree(dock, layer, 4)

    canvas.key(Qt.Key.Key_N)
    agree(dock, layer, 5)
    canvas.key(Qt.Key.Key_N, SHIFT)
    press(dock.grains, Qt.Key.Key_N, SHIFT)  # in the dock as on the canvas
    agree(dock, layer, 3)
    dock.grains.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    press(dock.grains, Qt.Key.Key_N)
    assert dock.grains.order[:2] == [1, 2]
    agree(dock, layer, dock.grains.order[dock.grains.order.index(3) + 1])
    row = dock.grains.visualRect(dock.grains.model().index(dock.grains.order.index(6), 0)).center()
    QTest.mouseClick(dock.grains.viewport(), Qt.MouseButton.LeftButton, NONE, row)
    agree(dock, layer, 6)
    layer("AA grains").selected_label = 2  # as napari's picker and features table do
    agree(dock, layer, 2)
    assert viewer.scene.camera.zoom == zoom
    viewer.scene.camera.center = (0.0, 500.0, 500.0)
    dock.choose([5])
    assert np.allclose(np.array(viewer.scene.camera.center)[-2:], [5.25, 18.25], atol=8)
    session.select_grain("aa", 1)  # by another dock
    agree(dock, layer, 1)


@pytest.mark.slow
def test_decisions_words_and_their_order(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, layer: Any, session: Session
) -> None:
    canvas.key(Qt.Key.Key_D)
    doubtful = session.selected["aa"]
    assert doubtful == dock._order[0]
    canvas.key(Qt.Key.Key_A)
    assert dock.decided.format() == "1 of 6 decided"
    assert dock.decided.toolTip().startswith("1 of 6 decided: 1 accepted, 0 rejected")
    assert layer("AA grains").features["verdict"][doubtful] == "accepted"
    canvas.key(Qt.Key.Key_D)
    assert session.selected["aa"] == dock._order[1]
    press(dock.grains, Qt.Key.Key_R)
    assert dock.decided.value() == 2
    canvas.key(Qt.Key.Key_D, SHIFT)  # back: the one above is decided, so around the end
    assert session.selected["aa"] == dock._order[-1]
    dock.go.order.setCurrentText("overlap")
    assert set(dock._order[:2]) == {1, 2}

    canvas.click(28, 8)
    canvas.click(28, 20, CTRL)
    assert dock.chosen == (3, 4)
    QTest.keyClicks(dock.decide.written, "twin")
    QTest.keyClick(dock.decide.written, Qt.Key.Key_Return)
    press(dock.grains, Qt.Key.Key_T)
    assert dock.decide.comment.hasFocus()
    QTest.keyClicks(dock.decide.comment, "a and d")  # letters that are keys elsewhere
    QTest.keyClick(dock.decide.comment, Qt.Key.Key_Return)
    features = layer("AA grains").features
    assert features["class"].tolist() == ["", "", "", "twin", "twin", "", ""]
    assert features["comment"].tolist() == ["", "", "", "a and d", "a and d", "", ""]
    assert [dock.decide.kind.itemText(i) for i in range(dock.decide.kind.count())] == ["", "twin"]
    assert session.analysis.is_current("tables/aa")  # words make nothing stale
    assert not dock.run.enabled
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert set(layer("AA grains").features["comment"]) == {""}
    canvas.click(12, 36)
    assert dock.decide.comment.text() == dock.decide.written.text() == ""


def test_merge_split_delete_and_undo_leave_all_in_agreement(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, layer: Any, qtbot: Any, session: Session, notifications: list[str]
) -> None:
    before, others = session.analysis.grains["aa"], layer("AA grains")
    colours = {i: tuple(others.get_color(i)) for i in (1, 2, 4, 5)}
    canvas.click(28, 20)
    canvas.click(28, 8, CTRL)
    agree(dock, layer, 3)
    canvas.key(Qt.Key.Key_J)
    agree(dock, layer, 4)  # the one that was selected first stays
    assert session.analysis.grains["aa"].ids.tolist() == [1, 2, 4, 5, 6]
    assert dock.status.value == "1 grain has changed: press Measure changed."
    assert others.features["stale"].tolist() == [False] * 4 + [True] + [False] * 2
    assert np.isnan(others.features["solidity"][4])
    assert "Changed since it was measured." in dock.numbers.text()
    assert dock.pictures.view._message.text() == "changed: press Measure changed"
    assert layer("AA grains") is others

    canvas.click(12, 36)
    canvas.key(Qt.Key.Key_S)
    drawn = viewer.layers.selection.active
    assert drawn.name.endswith("split line")
    canvas.drag((3, 37), (19, 37.2))
    canvas.key(Qt.Key.Key_S)
    assert drawn not in viewer.layers
    assert viewer.layers.selection.active is others
    agree(dock, layer, 5)
    assert session.analysis.grains["aa"].ids.tolist() == [1, 2, 4, 5, 6, 7]
    canvas.click(12, 40)
    agree(dock, layer, 7)

    dock.edit.ways["split seeds"].trigger()
    canvas.click(8, 39)
    canvas.click(14, 40)
    dock.edit.done.click()
    assert len(session.analysis.grains["aa"]) == 7
    dock.edit.ways["split region"].trigger()
    canvas.drag((30, 30), (30, 44), (38, 44), (38, 30))
    canvas.key(Qt.Key.Key_S)
    assert "region" in notifications[-1]  # grain 7 lies elsewhere: nothing has changed, and one may draw again
    assert dock.edit.done.isVisible()
    canvas.key(Qt.Key.Key_Escape)
    assert not dock.edit.done.isVisible()
    canvas.click(28, 36)
    dock.edit.ways["split region"].trigger()
    canvas.drag((30, 30), (30, 44), (38, 44), (38, 30))
    dock.edit.done.click()
    agree(dock, layer, 6)
    assert session.analysis.grains["aa"].ids.max() == 9

    canvas.key(Qt.Key.Key_Delete)
    assert 6 not in session.analysis.grains["aa"].ids
    agree(dock, layer, session.selected["aa"])
    assert {i: tuple(others.get_color(i)) for i in colours} == colours  # of those that are still there
    after = session.analysis.grains["aa"]
    for _ in range(5):
        canvas.key(Qt.Key.Key_Z, CTRL)
    assert not session.can_undo("aa")
    assert session.analysis.is_current("tables/aa")
    canvas.click(28, 8)
    agree(dock, layer, 3)
    assert np.array_equal(session.analysis.grains["aa"].masks, before.masks)
    for _ in range(5):
        press(dock.grains, Qt.Key.Key_Z, CTRL | SHIFT)
    assert np.array_equal(session.analysis.grains["aa"].masks, after.masks)
    assert session.analysis.grains["aa"].ids.tolist() == after.ids.tolist()

    before = session.analysis.patterns["aa"]
    assert dock.run.enabled
    dock.run.native.click()
    qtbot.waitUntil(lambda: session.running is None, timeout=30_000)
    assert session.analysis.is_current("tables/aa")
    assert not others.features["stale"].any()
    assert np.array_equal(session.analysis.patterns["aa"].patterns[0], before.patterns[0])
    canvas.click(28, 8)
    agree(dock, layer, 4)
    assert dock.status.value == ""


@pytest.mark.slow
def test_a_brush_changes_one_grain_only_and_makes_new_ones(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, layer: Any, session: Session, notifications: list[str]
) -> None:
    start = session.analysis.grains["aa"]
    canvas.click(28, 8)
    dock.edit.buttons["paint"].click()
    brush = layer("AA brush")
    assert viewer.layers.selection.active is brush
    brush.brush_size = 2
    canvas.drag((28, 12), (28, 20))  # over grain 4
    now = session.analysis.grains["aa"]
    assert now.masks[2, 28, 14:20].all()
    others = [0, 1, 3, 4, 5]
    assert np.array_equal(now.masks[others], start.masks[others])
    assert np.array_equal(brush.data != 0, now.masks[2])
    canvas.key(Qt.Key.Key_K)
    brush = layer("AA brush")
    assert brush.mode == "erase"
    brush.brush_size = 2
    canvas.drag((24, 4), (24, 12))
    assert not session.analysis.grains["aa"].masks[2, 24, 5:12].any()
    assert [edit.kind for edit in session.review("aa").edits] == ["add", "erase"]
    canvas.key(Qt.Key.Key_Z, CTRL)  # ours, not napari's
    assert np.array_equal(session.analysis.grains["aa"].masks, now.masks)
    assert np.array_equal(brush.data != 0, now.masks[2])
    brush.brush_size = 100
    canvas.drag((28, 8), (29, 9))  # a grain cannot be erased as a whole
    assert "delete it instead" in notifications[-1]
    assert np.array_equal(brush.data != 0, now.masks[2])
    canvas.key(Qt.Key.Key_K)
    assert brush not in viewer.layers

    dock.edit.buttons["new"].click()
    brush = layer("AA brush")
    brush.brush_size = 3
    canvas.drag((20, 40), (20, 44))
    canvas.drag((21, 40), (22, 44))
    canvas.key(Qt.Key.Key_Escape)
    agree(dock, layer, 7)
    assert session.analysis.grains["aa"].masks[-1, 20, 40:44].all()
    assert [edit.kind for edit in session.review("aa").edits] == ["add", "new", "add"]
    canvas.key(Qt.Key.Key_Z, CTRL)
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert session.selected["aa"] == 0
    assert not len(layer("AA outline").data)


@pytest.mark.slow
def test_each_feature_has_its_own_grains_and_review(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, layer: Any, session: Session
) -> None:
    found = grains()
    other = Grains.from_masks(found.masks[::-1], ids=np.arange(11, 17))
    session.set_analysis(session.analysis.with_result("models/rv", None).with_result("grains/rv", other))
    for data, meta, kind in result_layers(session, "refine", "rv"):
        getattr(viewer, f"add_{kind}")(data, **meta)
    canvas.click(28, 8)
    canvas.click(28, 20, CTRL)
    dock.feature.value = "rv"
    assert dock.chosen == ()
    assert layer("RV grains").visible
    assert not layer("AA grains").visible
    assert not layer("AA outline").visible
    canvas.click(28, 8)
    assert session.selected == {"aa": 4, "rv": 14}
    assert dock.pictures.view._message.text() == "measure the grains first"
    assert dock.numbers.text() == "Grain 14. 100 positions."
    canvas.key(Qt.Key.Key_A)
    canvas.key(Qt.Key.Key_Delete)
    assert dock.decided.format() == "0 of 5 decided"
    assert session.review("aa") is None
    dock.feature.value = "aa"
    agree(dock, layer, 4)
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert len(session.analysis.grains["rv"]) == 5


@pytest.mark.slow
def test_napari_s_features_table_follows_and_leads_where_ids_have_gaps(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, layer: Any, qtbot: Any, session: Session
) -> None:
    canvas.click(28, 8)
    canvas.key(Qt.Key.Key_Delete)
    agree(dock, layer, 4)
    if "napari" not in PluginManager.instance():  # whose table it is
        PluginManager.instance().register(PluginManifest.from_distribution("napari"))
    dock.table.native.click()
    (table,) = [t for t in dock.native.window().findChildren(QTableView) if t is not dock.grains and t.isVisible()]
    names = [table.model().headerData(i, Qt.Orientation.Horizontal) for i in range(table.model().columnCount())]
    grain_id = names.index("grain_id")

    def shown() -> set[str]:
        return {str(index.siblingAtColumn(grain_id).data()) for index in table.selectionModel().selectedRows()}

    assert shown() == {"4"}
    canvas.click(28, 36)
    assert shown() == {"6"}
    flags = QItemSelectionModel.SelectionFlag
    table.selectionModel().select(table.model().index(5, 0), flags.ClearAndSelect | flags.Rows)
    agree(dock, layer, 5)
    assert table.model().index(3, names.index("verdict")).data() == GONE


def test_what_was_reviewed_is_there_without_the_scan_and_the_dock_lets_go(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, layer: Any, qtbot: Any, session: Session, tmp_path: Any
) -> None:
    canvas.click(28, 8)
    canvas.key(Qt.Key.Key_A)
    canvas.click(12, 36)
    canvas.key(Qt.Key.Key_Delete)
    session.analysis.save(tmp_path / "film.stemnmf.h5")
    again = Session(None, stem.Analysis.load(tmp_path / "film.stemnmf.h5"))
    viewer.layers.clear()
    qtbot.wait(50)
    assert not dock.form_area.enabled
    for data, meta, kind in all_layers(again):
        getattr(viewer, f"add_{kind}")(data, **meta)
    assert dock.session is again
    assert dock.decided.format() == "1 of 5 decided"
    assert dock.decided.toolTip().startswith("1 of 5 decided: 1 accepted, 0 rejected")
    canvas.click(28, 8)
    agree(dock, layer, 3)
    assert dock.pictures.view._message.text() == ""
    canvas.click(28, 20, CTRL)
    canvas.key(Qt.Key.Key_J)
    agree(dock, layer, 3)
    assert not dock.run.enabled
    assert "The scan itself is not open" in dock.status.value

    dock.native.parent().hide()
    assert not layer("AA outline").visible
    canvas.key(Qt.Key.Key_Delete)
    canvas.click(12, 36)
    assert again.selected["aa"] == 3
    dock.native.parent().show()
    canvas.key(Qt.Key.Key_N)
    agree(dock, layer, 6)


def test_fewer_grains_than_before_are_shown_without_the_one_that_is_gone(
    viewer: Any, dock: ReviewWidget, session: Session
) -> None:
    last = int(session.analysis.grains["aa"].ids[-1])
    dock.choose([last])
    few = session.analysis.grains["aa"].subset(np.arange(len(PLACES)) < 2)
    session.set_analysis(session.analysis.with_result("grains/aa", few))
    assert dock.selected == 0
    assert dock.chosen == ()
    assert sorted(dock.grains.order) == few.ids.tolist()
    dock.choose([int(few.ids[0])])
    assert "Grain 1" in dock.numbers.text()


def test_merging_grains_that_are_unlike_is_told(viewer: Any, dock: ReviewWidget, session: Session, qtbot: Any) -> None:
    with notification_manager:
        told = notification_manager.records
        before = len(told)
        dock.choose([3, 4])
        dock.act("merge")  # alike, and beside each other
        assert len(session.analysis.grains["aa"]) == len(PLACES) - 1
        assert len(told) == before
        ids = session.analysis.grains["aa"].ids.tolist()
        dock.choose([ids[0], ids[-1]])
        dock.act("merge")
        assert len(session.analysis.grains["aa"]) == len(PLACES) - 2
    text = str(told[-1].message)
    assert text.startswith(
        f"Grains {ids[0]} and {ids[-1]} are one now, though they do not touch and their patterns are"
    )
    assert text.endswith("Undo takes it back.")
