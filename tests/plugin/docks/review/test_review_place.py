"""Review as the place to work: the large pattern, plot, proposals, offers, colours, and keys that can be changed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from napari.utils.action_manager import action_manager
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from review_hands import CTRL, NONE, Canvas, agree, press

from napari_stemnmf.plugin.docks.review.keys import KEYS, PREFIX, keys_of
from napari_stemnmf.plugin.docks.review.model import proposal
from napari_stemnmf.plugin.docks.review.widget import ReviewWidget
from napari_stemnmf.plugin.layers.grain_layers import ink_of
from napari_stemnmf.plugin.session import Session

LEFT = Qt.MouseButton.LeftButton


def test_a_decision_goes_on_to_the_next_that_is_open(dock: ReviewWidget, session: Session, canvas: Canvas) -> None:
    canvas.key(Qt.Key.Key_D)
    first, second = dock._order[:2]
    assert dock.selected == first
    canvas.key(Qt.Key.Key_Q)
    assert dock.selected == second
    canvas.key(Qt.Key.Key_W)
    verdicts = session.review("aa").verdicts()["verdict"]
    assert (verdicts[first], verdicts[second]) == ("accepted", "rejected")
    assert dock.selected == dock._order[2]
    assert dock.decided.format() == "2 of 6 decided"


def test_neighbours_that_are_alike_are_offered_to_be_merged(dock: ReviewWidget, qtbot: Any, session: Session) -> None:
    dock.choose([3])
    qtbot.waitUntil(lambda: dock.pictures.offer.text() == "Merge with 4 (r 1.00)", timeout=10_000)
    assert dock.pictures.offer.isVisible()
    dock.choose([5])
    assert not dock.pictures.offer.isVisible()  # it touches nobody
    dock.choose([3])
    QTest.mouseClick(dock.pictures.offer, LEFT)
    assert session.analysis.grains["aa"].ids.tolist() == [1, 2, 3, 5, 6]
    assert dock.selected == 3


def test_the_pattern_of_a_position_is_read_and_the_pattern_has_a_window(
    dock: ReviewWidget, qtbot: Any, session: Session, canvas: Canvas
) -> None:
    canvas.click(28, 8)
    QTest.mouseClick(dock.pictures.kinds["position"], LEFT)
    qtbot.waitUntil(lambda: dock.pictures.title.text() == "pattern at (28, 8)", timeout=10_000)
    assert np.array_equal(dock.pictures.view._values, session.dataset.pattern(28, 8))
    assert dock.pictures.view._bar.text.textItem.toPlainText().endswith("nm⁻¹")
    before = dock.pictures.view.width()
    QTest.mouseClick(dock.pictures.out, LEFT)
    assert dock.pictures.view.window() is not dock.native.window()
    qtbot.waitUntil(lambda: dock.pictures.view.width() > before, timeout=5_000)
    dock.choose([5])
    assert dock.numbers.text().startswith("Grain 5")
    QTest.mouseClick(dock.pictures.out, LEFT)
    qtbot.waitUntil(lambda: dock.pictures.view.window() is dock.native.window(), timeout=5_000)


def test_plot_table_and_canvas_select_the_same_grains(
    dock: ReviewWidget, qtbot: Any, session: Session, layer: Any
) -> None:
    dock.body.tabs.setCurrentIndex(1)
    plot = dock.scatter
    qtbot.waitUntil(plot.isVisible)
    plot.across.setCurrentText("positions")
    plot.upward.setCurrentText("overlap_fraction")
    qtbot.wait(100)
    box = plot._box

    def at(x: float, y: float) -> QPoint:
        return plot.plot.mapFromScene(box.mapViewToScene(QPointF(x, y)))

    table = dock._features.set_index("grain_id")
    place = dict(zip(plot._ids.tolist(), plot._at.tolist(), strict=True))
    QTest.mouseClick(plot.plot.viewport(), LEFT, NONE, at(*place[4]))
    agree(dock, layer, 4)
    assert table.loc[4, "overlap_fraction"] == place[4][1]
    low, high = np.min(list(place.values()), axis=0), np.max(list(place.values()), axis=0)
    (x0, y0), (x1, y1) = low - 0.05 * (high - low), high + 0.05 * (high - low)
    middle = (y0 + y1) / 2
    plot._on_lasso([QPointF(x0, middle), QPointF(x1, middle), QPointF(x1, y1), QPointF(x0, y1)])
    assert set(dock.chosen) == {i for i, (_, y) in place.items() if y > middle} == {1, 2}
    agree(dock, layer, dock.chosen[-1])
    dock.choose([6])
    assert plot._picked.getData()[0].tolist() == [place[6][0]]


def test_a_lasso_is_drawn_with_the_mouse(dock: ReviewWidget, qtbot: Any) -> None:
    dock.body.tabs.setCurrentIndex(1)
    plot = dock.scatter
    qtbot.waitUntil(plot.isVisible)
    qtbot.wait(100)
    view, rect = plot.plot.viewport(), plot._box.sceneBoundingRect().toRect()
    corners = [rect.topLeft(), rect.topRight(), rect.bottomRight(), rect.bottomLeft()]
    corners = [
        corner + QPoint(3 * (1 if i in (0, 3) else -1), 3 * (1 if i < 2 else -1)) for i, corner in enumerate(corners)
    ]
    QTest.mousePress(view, LEFT, NONE, corners[0])
    for before, corner in pairwise(corners):
        _drag(view, (before + corner) / 2)
        _drag(view, corner)
    QTest.mouseRelease(view, LEFT, NONE, corners[-1])
    assert len(dock.chosen) >= 4  # all that is within the frame


def _drag(view: Any, to: QPoint) -> None:
    from qtpy.QtCore import QEvent
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    event = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(to), QPointF(view.mapToGlobal(to)), Qt.MouseButton.NoButton, LEFT, NONE
    )
    QApplication.sendEvent(view, event)
    QTest.qWait(20)


def test_what_is_not_explained_leads_to_a_new_grain(
    dock: ReviewWidget, qtbot: Any, session: Session, canvas: Canvas, layer: Any, notifications: list[str]
) -> None:
    box = dock.show_boxes.boxes["unexplained"]
    QTest.mouseClick(box, LEFT, NONE, QPoint(8, box.height() // 2))
    assert not box.isChecked()
    assert "run Measure" in notifications[-1]
    share = np.full((40, 48), 0.05, np.float32)
    share[14:24, 26:31] = 0.8
    session.set_analysis(session.analysis.with_result("unexplained/aa", share))
    QTest.mouseClick(box, LEFT, NONE, QPoint(8, box.height() // 2))
    assert layer("AA not explained").visible
    canvas.click(38, 3)  # nothing is left over there
    assert dock.tools.tool == ""
    canvas.click(18, 28)
    assert dock.tools.tool == "propose"
    assert np.array_equal(layer("AA brush").data != 0, proposal(share, 18, 28))
    assert (layer("AA brush").data[15:23, 27:30] != 0).all()
    dock.edit.done.click()
    agree(dock, layer, 7)
    assert session.analysis.grains["aa"].masks[-1][15:23, 27:30].all()
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert 7 not in session.analysis.grains["aa"].ids
    canvas.click(18, 28)
    canvas.key(Qt.Key.Key_Escape)
    assert len(session.analysis.grains["aa"]) == 6
    box.setChecked(False)
    assert not layer("AA not explained").visible


def test_rejected_grains_are_hatched_overlaps_striped_and_numbers_written(
    dock: ReviewWidget, session: Session, layer: Any, canvas: Canvas
) -> None:
    marks = layer("AA marks")
    finer = marks.data.shape[0] // 40
    both = np.kron(session.analysis.grains["aa"].overlap > 1, np.ones((finer, finer), bool))
    assert not marks.data[~both].any()
    assert 0.3 < (marks.data[both] > 0).mean() < 0.7  # every second stripe is of the grain beneath
    assert set(np.unique(marks.data)) <= {0, 1, 2}
    ink = ink_of(layer("AA grains").features)
    dock.choose([5])
    canvas.key(Qt.Key.Key_R)
    hatched = marks.data == ink
    inside = np.kron(session.analysis.grains["aa"].masks[4], np.ones((finer, finer), bool))
    assert 0.1 < hatched[inside].mean() < 0.6
    assert not hatched[~inside].any()
    assert np.allclose(marks.colormap.map(np.array([ink]))[0], (0, 0, 0, 1))
    canvas.key(Qt.Key.Key_Z, CTRL)
    assert not (marks.data == ink).any()
    dock.show_boxes.boxes["numbers"].setChecked(True)
    numbers = layer("AA numbers")
    assert list(numbers.text.string.array) == ["1", "2", "3", "4", "5", "6"]
    canvas.key(Qt.Key.Key_Delete)
    assert list(numbers.text.string.array) == ["1", "2", "3", "4", "6"]
    dock.show_boxes.boxes["numbers"].setChecked(False)
    assert not numbers.visible


def test_colours_follow_what_is_chosen(dock: ReviewWidget, layer: Any, canvas: Canvas) -> None:
    dock.show_boxes.colours.setCurrentText("verdict")
    dock.choose([5])
    grey = layer("AA grains").get_color(5)
    assert np.allclose(grey, layer("AA grains").get_color(6))
    canvas.key(Qt.Key.Key_A)
    assert not np.allclose(grey, layer("AA grains").get_color(5))
    assert np.allclose(layer("AA marks").colormap.colors, layer("AA grains").colormap.colors)
    dock.show_boxes.colours.setCurrentText("neighbours")
    assert not np.allclose(layer("AA grains").get_color(3), layer("AA grains").get_color(4))


def test_the_outline_is_a_pixel_of_the_screen_at_any_zoom(viewer: Any, dock: ReviewWidget, layer: Any) -> None:
    dock.choose([3])
    outline = layer("AA outline")
    for zoom in (4.0, 40.0):
        viewer.scene.camera.zoom = zoom
        halo, line = (width * outline.scale[-1] * zoom for width in outline.edge_width)
        assert line == pytest.approx(1, rel=0.1)
        assert halo == pytest.approx(3, rel=0.1)


@pytest.fixture
def own_keys() -> Iterator[None]:
    """Keys as they are at first, afterwards too."""
    yield
    for name, (key, _) in KEYS.items():
        ident = PREFIX + name.replace(" ", "_")
        action_manager.unbind_shortcut(ident)
        action_manager.bind_shortcut(ident, key)


def test_keys_stand_in_napari_s_list_and_can_be_changed(
    viewer: Any, dock: ReviewWidget, canvas: Canvas, session: Session, own_keys: None, qtbot: Any
) -> None:
    from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor

    editor = ShortcutEditor()
    qtbot.addWidget(editor)
    table = editor._table
    listed = {table.item(row, 0).text(): table.item(row, 2).text() for row in range(table.rowCount())}
    assert {f"STEM-NMF Review: {about}" for _, about in KEYS.values()} <= set(listed)
    assert listed["STEM-NMF Review: accept"] == "A"
    action_manager.unbind_shortcut(f"{PREFIX}accept")  # as the editor does
    action_manager.bind_shortcut(f"{PREFIX}accept", "Y")
    assert keys_of("accept") == ["Y"]
    assert "(key Y)" in dock.decide.buttons["accept"].toolTip()
    dock.choose([3])
    canvas.key(Qt.Key.Key_A)
    assert session.review("aa") is None
    canvas.key(Qt.Key.Key_Y)
    assert session.review("aa").verdicts()["verdict"][3] == "accepted"
    press(dock.grains, Qt.Key.Key_Z, CTRL)
    press(dock.grains, Qt.Key.Key_Y)
    assert session.review("aa").verdicts()["verdict"][3] == "accepted"
    dock.native.parent().hide()
    assert "Y" not in {str(key) for key in viewer.keymap}


def test_the_list_begins_with_the_least_likely_and_says_why(dock: ReviewWidget, session: Session, viewer: Any) -> None:
    said = {"confidence": [0.99, 0.4, 0.9, 0.8, 0.7, 0.95], "reason": ["", "its spots do not agree", "", "", "", ""]}
    table = session.analysis.tables["aa"].assign(**said)
    session.set_analysis(session.analysis.with_result("tables/aa", table))
    assert dock.grains.order == [2, 5, 4, 3, 6, 1]
    model = dock.grains.model()
    titles = [model.headerData(i, Qt.Orientation.Horizontal) for i in range(model.columnCount())]
    row = {t: model.index(0, i).data() for i, t in enumerate(titles) if not dock.grains.isColumnHidden(i)}
    assert row == {"grain": "2", "": "", "likely": "40%", "why not": "its spots do not agree", "size": "120"}
    menu = dock.grains.columns_menu()
    next(a for a in menu.actions() if a.text() == "shared").toggle()
    assert not dock.grains.isColumnHidden(titles.index("shared"))


def test_a_removed_layer_of_grains_comes_back_beneath_the_outline_and_sliders_fit(
    viewer: Any, dock: ReviewWidget, session: Session, layer: Any
) -> None:
    dock.choose([3])
    viewer.layers.remove(layer("AA grains"))
    dock.choose([5])  # whoever goes on reviewing sees grains
    flat, outline = layer("AA grains"), layer("AA outline")
    assert np.array_equal(flat.data, session.analysis.grains["aa"].labels)
    assert viewer.layers.index(outline) > viewer.layers.index(flat)
    viewer.layers.move(viewer.layers.index(outline), 0)  # as when all layers of an earlier analysis come
    dock.choose([6])
    assert viewer.layers.index(outline) > max(viewer.layers.index(flat), viewer.layers.index(layer("AA marks")))
    dock.act("split seeds")
    viewer.layers.selection.active.data = np.array([[28, 34], [34, 40]])
    dock.edit.done.click()
    assert len(session.analysis.grains["aa"]) == 7
    assert int(viewer.dims.range[-3].stop) == 6  # the slider of the stack ends at the last grain
