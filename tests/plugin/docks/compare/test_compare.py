"""The Compare dock in real windows: linked views, box plots of the tables, clicks, and what happens around it."""

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
from qtpy.QtCore import QEvent, QPoint, QPointF, QRectF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

import napari_stemnmf as stem
from napari_stemnmf.dataset import Axis
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.docks.compare.model import (
    MEASURES,
    Compared,
    Request,
    common_frames,
    compare,
    outline,
    picture,
)
from napari_stemnmf.plugin.docks.compare.plots import spread
from napari_stemnmf.plugin.layers.result_layers import all_layers
from napari_stemnmf.plugin.session import Session

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def unmeasured(analysis: stem.Analysis) -> stem.Analysis:
    """The analysis as it was before Measure."""
    keys = {stage: key for stage, key in analysis.keys.items() if not stage.startswith("tables/")}
    return replace(analysis, tables={}, keys=keys)


@pytest.fixture(scope="session")
def other_analysis(analysis: stem.Analysis) -> stem.Analysis:
    """Another scan, of other shape and step, and not measured."""
    y, x = (replace(axis, size=10, scale=2.0) for axis in analysis.axes[:2])
    axes = (replace(y, size=16), x, *analysis.axes[2:])
    survey = replace(analysis.survey, pattern_sum=analysis.survey.pattern_sum[:16, :10], axes=axes)
    grains = {f: Grains.from_masks(found.masks[:, :16, :10]) for f, found in analysis.grains.items()}
    return replace(unmeasured(analysis), input=replace(analysis.input, name="wire"), survey=survey, grains=grains)


def open_analysis(viewer: Any, analysis: stem.Analysis) -> Session:
    """Put an analysis into the viewer as the reader does, but for most layers: they take their time."""
    session = Session(None, analysis)
    for data, meta, kind in all_layers(session):
        if meta["name"].endswith(("virtual image", "AA grains")):
            getattr(viewer, f"add_{kind}")(data, **meta)
    return session


@pytest.fixture
def compare_dock(viewer: Any, qtbot: Any) -> Callable[[], Any]:
    """Opens the dock, and waits until it shows what it has chosen by itself."""

    def open_dock() -> Any:
        viewer.window.resize(1280, 800)
        viewer.show()
        _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Compare")
        settled(widget, qtbot)
        return widget

    return open_dock


def settled(widget: Any, qtbot: Any) -> None:
    """Wait until the dock shows what its choosers say."""
    wanted = [chooser.currentIndex() > 0 for chooser in widget.choosers]
    qtbot.waitUntil(lambda: [each is not None for each in widget.comparison.shown] == wanted, timeout=20_000)
    qtbot.waitUntil(lambda: not widget._preview.busy, timeout=20_000)
    qtbot.wait(50)


def titles(widget: Any) -> list[str]:
    """What the columns show, in words."""
    return ["" if each is None else each.title for each in widget.comparison.shown]


def wheel(view: Any, steps: int) -> None:
    """Turn the mouse wheel over a view, off its middle."""
    at = QPointF(view.width() / 3, view.height() / 3)
    none = Qt.MouseButton.NoButton
    event = QWheelEvent(
        at, QPointF(view.mapToGlobal(at.toPoint())), QPoint(0, 0), QPoint(0, 120 * steps),
        none, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view.viewport(), event)


def same_camera(one: Any, other: Any) -> bool:
    """Whether two views see the same, to a tenth of a pixel of the screen."""
    here, there = one.camera, other.camera
    away = max(abs(here.x - there.x), abs(here.y - there.y)) / here.pixel
    return away < 0.1 and here.pixel == pytest.approx(there.pixel, rel=1e-3)


def seen(view: Any) -> QRectF:
    """The part of the canvas that a view shows."""
    return view.getPlotItem().getViewBox().viewRect()


def place_on_screen(view: Any, y: float, x: float) -> QPoint:
    """Where a point of the canvas lies in a view."""
    point = view.getPlotItem().getViewBox().mapViewToScene(QPointF(x, y))
    return view.mapFromScene(point)


def test_it_opens_with_the_representations_of_the_scan(viewer: Any, analysis: stem.Analysis, compare_dock: Any) -> None:
    open_analysis(viewer, analysis)
    widget = compare_dock()
    name = analysis.input.name
    there = [f for f in ("rv", "aa", "bd") if f in analysis.grains]
    assert [t for t in titles(widget) if t] == [f"{name} {f.upper()}" for f in there]
    assert widget.comparison.calibrated
    assert not widget.status.text()


def test_box_plots_have_the_numbers_of_the_tables(viewer: Any, analysis: stem.Analysis, compare_dock: Any) -> None:
    open_analysis(viewer, analysis)
    widget = compare_dock()
    features = [each.feature for each in widget.comparison.shown if each is not None]
    for plot, column in zip(widget.comparison.plots, ("area_nm2", "feret_max_nm", "dissimilarity"), strict=True):
        for i, feature in enumerate(features):
            numbers = analysis.tables[feature][column]
            assert np.array_equal(plot.points(i)[1], numbers)
            found = plot.spreads[i]
            assert found[1:4] == pytest.approx(numbers.quantile([0.25, 0.5, 0.75]))
            assert found.mean == pytest.approx(numbers.mean())
            assert numbers.min() <= found.low <= found.high <= numbers.max()


def test_views_follow_each_other(viewer: Any, analysis: stem.Analysis, compare_dock: Any, qtbot: Any) -> None:
    open_analysis(viewer, analysis)
    views = compare_dock().comparison.views
    before = views[0].camera
    for moved in (0, 1):
        wheel(views[moved], 2)
        qtbot.wait(20)
        assert same_camera(*views[:2])
        assert views[0].camera.pixel < 0.9 * before.pixel
        before = views[0].camera
    middle = QPoint(views[0].width() // 2, views[0].height() // 2)
    qtbot.mousePress(views[0].viewport(), Qt.MouseButton.LeftButton, pos=middle)
    for step in (5, 15, 30):
        qtbot.mouseMove(views[0].viewport(), middle + QPoint(step, step))
        qtbot.wait(20)
    qtbot.mouseRelease(views[0].viewport(), Qt.MouseButton.LeftButton, pos=middle + QPoint(30, 30))
    qtbot.wait(20)
    assert same_camera(*views[:2])
    assert views[0].camera.pixel == pytest.approx(before.pixel)
    assert views[0].camera.x < before.x
    qtbot.mouseDClick(views[1].viewport(), Qt.MouseButton.LeftButton, pos=middle)
    qtbot.mouseRelease(views[1].viewport(), Qt.MouseButton.LeftButton, pos=middle)
    qtbot.wait(20)
    assert same_camera(*views[:2])
    assert seen(views[0]).contains(QRectF(0, 0, 11.5, 9.5))


def test_scans_of_other_step_and_shape_lie_on_one_canvas(
    viewer: Any, analysis: stem.Analysis, other_analysis: stem.Analysis, compare_dock: Any, qtbot: Any
) -> None:
    first, second = open_analysis(viewer, analysis), open_analysis(viewer, other_analysis)
    widget = compare_dock()
    for column, session in enumerate((first, second, None)):
        widget.choose(column, session, "aa")
    settled(widget, qtbot)
    views = widget.comparison.views
    assert same_camera(*views[:2])
    size = [axis.size * axis.scale for axis in other_analysis.axes[:2]]
    assert seen(views[0]).width() >= max(12.0, size[1])
    assert seen(views[0]).height() >= max(10.0, size[0])
    assert views[2].isHidden()
    assert "was not measured" in widget.status.text()
    assert [s is None for s in widget.comparison.plots[0].spreads] == [False, True]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_click_on_a_grain_marks_it_everywhere(
    viewer: Any, analysis: stem.Analysis, compare_dock: Any, qtbot: Any, theme: str
) -> None:
    viewer.theme = theme
    session = open_analysis(viewer, analysis)
    widget = compare_dock()
    comparison, column = widget.comparison, titles(widget).index(f"{session.name} AA")
    grains = analysis.grains["aa"]
    row, scan_column = np.argwhere((grains.labels > 0) & (grains.overlap == 1))[0]
    grain = grains.labels[row, scan_column] - 1
    view = comparison.views[column]
    at = place_on_screen(view, row * 0.5, scan_column * 0.5)
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: comparison.marked[column] == grain)
    (layer,) = (each for each in viewer.layers if each.name.endswith("AA grains"))
    assert layer.selected_label == grain + 1
    shown = [i for i, each in enumerate(comparison.shown) if each is not None]
    headers = [comparison.rows.horizontalHeaderItem(i).text() for i in range(comparison.rows.columnCount())]
    row_shown = shown.index(column)
    text = comparison.rows.item(row_shown, headers.index("area_nm2")).text()
    assert float(text) == pytest.approx(analysis.tables["aa"]["area_nm2"][grain], rel=1e-3)
    for i in shown:
        other = comparison.shown[i]
        if comparison.marked[i] is not None and i != column:
            shared = other.grains.masks[comparison.marked[i]] & grains.masks[grain]
            assert shared.any()

    background = np.argwhere(grains.labels == 0)
    if len(background):
        qtbot.wait(QApplication.doubleClickInterval())
        at = place_on_screen(view, *(background[0] * 0.5))
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)
        qtbot.waitUntil(lambda: comparison.marked == [None] * 3)


def test_clicks_on_one_place_go_through_the_grains_there(
    viewer: Any, analysis: stem.Analysis, compare_dock: Any
) -> None:
    session = open_analysis(viewer, analysis)
    widget = compare_dock()
    comparison, column = widget.comparison, titles(widget).index(f"{session.name} AA")
    grains = analysis.grains["aa"]
    row, scan_column = np.unravel_index(grains.overlap.argmax(), grains.overlap.shape)
    count = int(grains.overlap.max())
    seen = []
    for _ in range(count + 1):
        comparison.views[column].clicked.emit(int(row), int(scan_column))
        seen.append(comparison.marked[column])
    assert seen[0] == grains.labels[row, scan_column] - 1 == seen[-1]
    assert set(seen) == set(np.flatnonzero(grains.masks[:, row, scan_column]))


def test_a_click_on_a_point_marks_its_grain(
    viewer: Any, analysis: stem.Analysis, compare_dock: Any, qtbot: Any
) -> None:
    open_analysis(viewer, analysis)
    comparison = compare_dock().comparison
    plot = comparison.plots[0]
    x, y = plot.points(0)
    grain = int(np.argmax(y))
    at = place_on_screen(plot, y[grain], x[grain])
    qtbot.mouseClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: comparison.marked[0] == grain)


def test_scans_that_leave_the_viewer_leave_the_dock(
    viewer: Any,
    analysis: stem.Analysis,
    other_analysis: stem.Analysis,
    compare_dock: Any,
    qtbot: Any,
    notifications: list[str],
) -> None:
    first, second = open_analysis(viewer, analysis), open_analysis(viewer, other_analysis)
    widget = compare_dock()
    widget.choose(0, first, "aa")
    widget.choose(1, second, "aa")
    widget.choose(2, first, "rv")
    settled(widget, qtbot)
    for layer in [each for each in viewer.layers if each.metadata["stemnmf_session"] is first]:
        viewer.layers.remove(layer)
    settled(widget, qtbot)
    assert titles(widget) == ["", f"{second.name} AA", ""]
    viewer.layers.clear()
    settled(widget, qtbot)
    assert titles(widget) == ["", "", ""]
    assert "too little to compare" in widget.status.text()
    assert not [m for m in notifications if "nconsistent" not in m]


def test_a_session_dies_with_its_layers(viewer: Any, analysis: stem.Analysis, compare_dock: Any, qtbot: Any) -> None:
    session = weakref.ref(open_analysis(viewer, replace(analysis)))
    held = weakref.ref(session().analysis)
    widget = compare_dock()
    viewer.layers.clear()
    settled(widget, qtbot)
    gc.collect()
    assert session() is None
    assert held() is None


def test_new_results_are_shown(viewer: Any, analysis: stem.Analysis, compare_dock: Any, qtbot: Any) -> None:
    session = open_analysis(viewer, unmeasured(analysis))
    widget = compare_dock()
    assert "run Measure" in widget.status.text()
    wheel(widget.comparison.views[0], 3)
    qtbot.wait(20)
    camera = widget.comparison.views[0].camera
    session.set_analysis(analysis)
    qtbot.waitUntil(lambda: all(widget.comparison.plots[0].spreads), timeout=20_000)
    assert not widget.status.text()
    assert widget.comparison.views[1].camera == pytest.approx(camera, rel=1e-3)


def test_files_can_be_added(
    viewer: Any, analysis: stem.Analysis, compare_dock: Any, qtbot: Any, tmp_path: Path, notifications: list[str]
) -> None:
    open_analysis(viewer, analysis)
    analysis.save(tmp_path / "again.stemnmf.h5")
    (tmp_path / "broken.stemnmf.h5").write_bytes(b"nothing")
    widget = compare_dock()
    count = widget.choosers[0].count()
    widget.add_files(str(tmp_path / "broken.stemnmf.h5"), str(tmp_path / "again.stemnmf.h5"))
    qtbot.waitUntil(lambda: widget.choosers[0].count() == 2 * count - 1, timeout=20_000)
    assert [m for m in notifications if "broken" in m]
    assert widget.choosers[2].itemText(count).startswith(f"{analysis.input.name} (2) ")
    widget.choosers[2].setCurrentIndex(count)
    widget.choosers[2].activated.emit(count)
    settled(widget, qtbot)
    assert titles(widget)[2].startswith(f"{analysis.input.name} (2) ")


def test_closing_the_dock_or_the_viewer_leaves_nothing_behind(
    viewer: Any, analysis: stem.Analysis, compare_dock: Any, qtbot: Any
) -> None:
    session = open_analysis(viewer, analysis)
    widget = compare_dock()
    viewer.window.remove_dock_widget(widget)
    session.set_analysis(unmeasured(analysis))
    again = compare_dock()
    assert "run Measure" in again.status.text()
    session.set_analysis(analysis)
    viewer.close()  # while columns are being made
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    session.set_analysis(None)
    qtbot.waitUntil(
        lambda: not [t for t in threading.enumerate() if t.name == "napari-stemnmf preview"], timeout=10_000
    )


# ---- what is shown, without a window


def two_overlapping() -> Grains:
    masks = np.zeros((2, 12, 20), bool)
    masks[0, 2:8, 2:12] = True
    masks[1, 4:10, 8:18] = True
    return Grains.from_masks(masks)


def columns(analysis: stem.Analysis, *features: str) -> list[Compared]:
    return [each for each in compare([Request("a", f, analysis) for f in features]) if each is not None]


def test_overlap_is_striped_with_all_its_grains() -> None:
    grains = two_overlapping()
    drawn = picture(grains, ["#ff0000", "#0000ff"])
    fine = drawn.shape[0] // 12
    assert drawn.shape == (12 * fine, 20 * fine, 4)

    def colours(row: slice, column: slice) -> set[tuple[int, ...]]:
        part = drawn[row.start * fine : row.stop * fine, column.start * fine : column.stop * fine]
        return {tuple(map(int, pixel)) for pixel in part.reshape(-1, 4)}

    assert colours(slice(4, 8), slice(8, 12)) == {(255, 0, 0, 255), (0, 0, 255, 255)}
    assert colours(slice(2, 4), slice(2, 12)) == {(255, 0, 0, 255)}
    assert colours(slice(0, 2), slice(0, 20)) == {(0, 0, 0, 0)}


def test_outlines_run_along_the_edges_of_positions() -> None:
    mask = two_overlapping().masks[0]
    ends = outline(mask)
    assert len(ends) == 8  # four sides, two ends each
    assert np.array_equal(ends.min(axis=0), [1.5, 1.5])
    assert np.array_equal(ends.max(axis=0), [7.5, 11.5])
    lengths = np.abs(np.diff(ends.reshape(-1, 2, 2), axis=1)).sum()
    assert lengths == 2 * (6 + 10)
    assert len(outline(np.zeros((3, 4), bool))) == 0


def test_frames_are_in_nm_only_where_all_scans_are(analysis: stem.Analysis) -> None:
    (column,) = columns(analysis, "aa")
    angstrom = tuple(Axis(a.name, a.size, 10 * a.scale, "Å", offset=10.0, assumed=False) for a in column.axes)
    calibrated, (nm, tenth) = common_frames([column, replace(column, axes=angstrom)])
    assert calibrated
    assert nm == pytest.approx((0, 0, 0.5, 0.5))
    assert tenth == pytest.approx((1, 1, 0.5, 0.5))
    pixels = tuple(Axis(a.name, a.size, 1.0, "px", assumed=True) for a in column.axes)
    calibrated, frames = common_frames([column, replace(column, axes=pixels)])
    assert not calibrated
    assert frames[0] == frames[1] == (0, 0, 1, 1)
    assert column.values(MEASURES[0], calibrated=False).dtype == np.float64


def test_scans_that_lie_apart_are_laid_on_one_another(analysis: stem.Analysis) -> None:
    (column,) = columns(analysis, "aa")
    far = tuple(replace(axis, offset=1e4) for axis in column.axes)
    _, frames = common_frames([column, replace(column, axes=far)])
    assert frames[0] == frames[1]


def test_counterparts_are_of_the_largest_overlap(analysis: stem.Analysis) -> None:
    (column,) = columns(analysis, "aa")
    for grain, mask in enumerate(analysis.grains["aa"].masks):
        assert column.counterpart(mask) == (grain, 1.0)
    assert column.counterpart(np.zeros_like(mask)) is None


def test_a_table_of_other_grains_counts_as_none(analysis: stem.Analysis) -> None:
    old = replace(analysis, keys={**analysis.keys, "grains/aa": "another"})
    assert [each.table is None for each in columns(old, "aa", "rv")] == [True, False]


def test_spread_of_few_or_no_numbers() -> None:
    assert spread(None) is None
    assert spread(np.array([np.nan])) is None
    assert spread(np.array([3.0, np.nan])) == (3, 3, 3, 3, 3, 3)
    assert spread(np.array([1, 2, 3, 4, 100.0]))[4] == 4
