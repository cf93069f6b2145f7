"""The Figures dock in real windows: what it offers, what it draws, and what it writes."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

import napari_stemnmf as stem
from napari_stemnmf.figures import catalogue, style
from napari_stemnmf.plugin.docks.figures import model as drawing
from napari_stemnmf.plugin.layers.result_layers import all_layers
from napari_stemnmf.plugin.session import Session

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def open_analysis(viewer: Any, analysis: stem.Analysis) -> Session:
    """Put an analysis into the viewer as the reader does, but for most layers: they take their time."""
    session = Session(None, analysis)
    for data, meta, kind in all_layers(session):
        if meta["name"].endswith("virtual image"):
            getattr(viewer, f"add_{kind}")(data, **meta)
    return session


@pytest.fixture(scope="session")
def without_truth(analysis: stem.Analysis) -> stem.Analysis:
    """The analysis of a scan whose file is gone."""
    return replace(analysis, input=replace(analysis.input, source=""))


@pytest.fixture
def figures(viewer: Any, qtbot: Any) -> Callable[[], Any]:
    """Opens the dock, and waits until it has drawn what it begins with."""

    def open_dock() -> Any:
        viewer.window.resize(1280, 800)
        viewer.show()
        _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Figures")
        settled(widget, qtbot)
        return widget

    return open_dock


def settled(widget: Any, qtbot: Any) -> None:
    """Wait until nothing is being read, drawn or written."""
    busy = (widget._drawer, widget._writer)
    qtbot.waitUntil(
        lambda: not any(each.busy for each in busy) and not widget._sources.reading and "Drawing" not in said(widget),
        timeout=60_000,
    )
    qtbot.wait(20)


def said(widget: Any) -> str:
    return str(widget.status.text())


def test_the_preview_is_the_figure_and_what_is_saved_is_the_figure(
    viewer: Any, without_truth: stem.Analysis, figures: Any, qtbot: Any, tmp_path: Path, notifications: list[str]
) -> None:
    open_analysis(viewer, without_truth)
    widget = figures()
    assert widget.figure.currentData() == "sizes"
    assert widget.drawn is not None, said(widget)
    figure = catalogue.draw("sizes", {without_truth.input.name: without_truth})
    width, height = figure.get_size_inches() * drawing.DPI
    shown = widget.view.pixmap
    assert (shown.width(), shown.height()) == pytest.approx((width, height), abs=1)
    assert widget.drawn.png == drawing.preview(figure)

    widget.save_as(tmp_path / "by-hand" / "sizes")
    settled(widget, qtbot)
    style.save(figure, tmp_path / "by-python" / "sizes")
    written = imread(tmp_path / "by-hand" / "sizes.png")
    assert np.array_equal(written, imread(tmp_path / "by-python" / "sizes.png"))
    assert (tmp_path / "by-hand" / "sizes.pdf").read_bytes()[:4] == b"%PDF"
    assert [m for m in notifications if m.startswith("Wrote sizes.pdf and sizes.png")]


def test_it_says_what_is_missing(viewer: Any, without_truth: stem.Analysis, figures: Any, qtbot: Any) -> None:
    widget = figures()
    assert "no analysis yet" in said(widget)
    assert not widget.save.isEnabled()
    open_analysis(viewer, without_truth)
    widget.choose("films")
    settled(widget, qtbot)
    assert f"needs the true grains of {without_truth.input.name}" in said(widget)
    assert widget.view.pixmap.isNull()
    viewer.layers.clear()
    settled(widget, qtbot)
    assert "no analysis yet" in said(widget)


def test_truth_may_be_a_labels_layer_a_stack_or_a_file(
    viewer: Any, without_truth: stem.Analysis, figures: Any, qtbot: Any, tmp_path: Path, notifications: list[str]
) -> None:
    session = open_analysis(viewer, without_truth)
    grains = without_truth.grains["aa"]
    stack = grains.masks.astype(np.int32)
    widget = figures()
    widget.choose("matches")
    widget.feature.setCurrentIndex(widget.feature.findData("aa"))
    layer = viewer.add_labels(stack, name="by hand")
    viewer.add_labels(np.zeros((5, 5), int), name="of another shape")
    offered = [widget.material.cellWidget(0, 1).itemText(i) for i in range(widget.material.cellWidget(0, 1).count())]
    assert offered == ["none", "by hand", "file…"]
    widget.material.set_truth(session, layer)
    settled(widget, qtbot)
    assert widget.drawn is not None, said(widget)
    by_layer = widget.drawn.png

    np.save(tmp_path / "truth.npy", stack)
    np.save(tmp_path / "wrong.npy", stack[:, :-1])
    widget.material.add_truth_file(session, tmp_path / "wrong.npy")
    assert [m for m in notifications if "wrong.npy holds no true grains of 20 x 24" in m]
    widget.material.add_truth_file(session, tmp_path / "truth.npy")
    settled(widget, qtbot)
    assert widget.drawn.png == by_layer

    widget.material.set_truth(session, layer)
    settled(widget, qtbot)
    viewer.layers.remove(layer)
    settled(widget, qtbot)
    assert "needs the true grains" in said(widget)


def test_several_analyses_and_the_truth_in_their_files(
    viewer: Any, analysis: stem.Analysis, figures: Any, qtbot: Any, tmp_path: Path
) -> None:
    open_analysis(viewer, analysis)
    analysis.save(tmp_path / "again.stemnmf.h5")
    widget = figures()
    widget.add_files(str(tmp_path / "again.stemnmf.h5"))
    qtbot.waitUntil(lambda: widget.material.rowCount() == 2, timeout=20_000)
    assert len(widget.material.ticked()) == 1
    widget.choose("score-table")
    settled(widget, qtbot)
    names = [name for name, _ in widget.material.ticked()]
    assert names == [f"{analysis.input.name} (1)", f"{analysis.input.name} (2)"]
    assert widget.drawn is not None, said(widget)
    both = widget.drawn.png
    widget.material.item(1, 0).setCheckState(Qt.CheckState.Unchecked)
    settled(widget, qtbot)
    assert [name for name, _ in widget.material.ticked()] == names[:1]
    assert widget.drawn.png != both


def test_errors_are_notifications_and_the_dock_goes_on(
    viewer: Any, without_truth: stem.Analysis, figures: Any, qtbot: Any, notifications: list[str], tmp_path: Path
) -> None:
    session = open_analysis(viewer, replace(without_truth, grains={}, tables={}, patterns={}))
    widget = figures()
    assert widget.drawn is None
    assert said(widget) in notifications
    session.set_analysis(without_truth)
    settled(widget, qtbot)
    assert widget.drawn is not None, said(widget)
    (tmp_path / "file").write_text("in the way")
    widget.save_as(tmp_path / "file" / "sizes")
    settled(widget, qtbot)
    assert [m for m in notifications if "cannot be written" in m]


def test_the_wheel_goes_nearer_and_a_double_click_shows_all(
    viewer: Any, without_truth: stem.Analysis, figures: Any, qtbot: Any
) -> None:
    open_analysis(viewer, without_truth)
    view = figures().view
    before = view.transform().m11()
    assert before * view.pixmap.width() <= view.viewport().width() + 1
    at = QPointF(view.viewport().rect().center())
    event = QWheelEvent(
        at, QPointF(view.viewport().mapToGlobal(at.toPoint())), QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view.viewport(), event)
    assert view.transform().m11() == pytest.approx(1.25 * before)
    qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at.toPoint())
    assert view.transform().m11() == pytest.approx(before)


def test_a_session_dies_with_its_layers(viewer: Any, without_truth: stem.Analysis, figures: Any, qtbot: Any) -> None:
    session = weakref.ref(open_analysis(viewer, replace(without_truth)))
    held = weakref.ref(session().analysis)
    widget = figures()
    viewer.layers.clear()
    settled(widget, qtbot)
    gc.collect()
    assert session() is None
    assert held() is None


def test_closing_while_it_draws_leaves_nothing_behind(viewer: Any, without_truth: stem.Analysis, qtbot: Any) -> None:
    open_analysis(viewer, without_truth)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Figures")
    assert widget._drawer.busy
    viewer.window.remove_dock_widget(dock)
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "Figures")
    viewer.close()
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "napari-stemnmf preview"], timeout=30_000
    )
