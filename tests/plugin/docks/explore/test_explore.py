"""The Explore dock in a real window, with mouse and keys: probe, region, virtual detectors, layers to keep."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

import napari_stemnmf as stem
from napari_stemnmf.plugin.docks.explore.virtual_images import DETECTOR_KEY, LIVE, legend, mixed, wheel
from napari_stemnmf.plugin.layers import display, result_layers
from napari_stemnmf.plugin.layers.result_layers import scan_layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.streaming.virtual_detectors import Annulus, Disk, from_dict

LEFT = Qt.MouseButton.LeftButton


class Mouse:
    """Presses, moves and releases at points of a widget that are told in its own coordinates by a function."""

    def __init__(self, widget: Any, at: Any) -> None:
        self.widget, self.at = widget, at

    def drag(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """From one point (y, x) to another, in steps."""
        QTest.mousePress(self.widget, LEFT, pos=self.at(*start))
        for share in (0.3, 0.6, 0.8, 1.0):
            between = [a + share * (b - a) for a, b in zip(start, stop, strict=True)]
            QTest.mouseMove(self.widget, self.at(*between))
            QTest.qWait(20)
        QTest.mouseRelease(self.widget, LEFT, pos=self.at(*stop))
        QTest.qWait(20)

    def click(self, y: float, x: float) -> None:
        """At a point (y, x)."""
        QTest.mouseClick(self.widget, LEFT, pos=self.at(y, x))
        QTest.qWait(20)


@pytest.fixture
def canvas(viewer: Any) -> Mouse:
    """The mouse on napari's canvas; points are those of the viewer's world."""
    (native,) = [w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop" and w.isVisible()]

    def at(y: float, x: float) -> QPoint:
        camera, size = viewer.scene.camera, native.size()
        _, cy, cx = camera.center
        return QPointF((x - cx) * camera.zoom + size.width() / 2, (y - cy) * camera.zoom + size.height() / 2).toPoint()

    return Mouse(native, at)


@pytest.fixture
def session(viewer: Any, scan_file: Path) -> Session:
    """A scan as the reader opens it, in a window that is shown."""
    viewer.show()
    return opened(viewer, scan_file)


def opened(viewer: Any, path: Path) -> Session:
    """Put a scan into the viewer as the reader does."""
    found = Session(stem.open(path))
    for data, meta, kind in scan_layers(found):
        getattr(viewer, f"add_{kind}")(data, **meta)
    return found


@pytest.fixture
def dock(viewer: Any, session: Session, qtbot: Any) -> Any:
    from napari_stemnmf.plugin.docks.explore.widget import ExploreWidget

    widget = ExploreWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Explore", area="right")
    viewer.window.resize(1280, 800)
    QTest.qWait(100)  # until the canvas has the size that the dock leaves it
    viewer.fit_to_view()
    qtbot.waitUntil(lambda: widget.display.image is not None, timeout=20_000)
    return widget


@pytest.fixture
def settled(qtbot: Any) -> Any:
    """Waits until pattern and image are as good as they get."""

    def wait(dock: Any) -> Any:
        qtbot.waitUntil(lambda: not dock.source.busy and not dock.live.busy, timeout=30_000)
        QTest.qWait(10)
        return dock.live.virtual

    return wait


def test_the_probe_and_a_region_are_moved_by_mouse_and_keys(
    viewer: Any,
    dock: Any,
    session: Session,
    canvas: Mouse,
    settled: Any,
    tmp_path: Path,
    notifications: list[str],
    qtbot: Any,
) -> None:
    assert session.dataset is not None
    values = np.asarray(session.dataset.data)
    step = session.dataset.axes[0].scale
    assert session.position == (10, 12)
    np.testing.assert_array_equal(dock.display.image, values[10, 12])
    cross = display.find(viewer, session, "position")

    center = viewer.scene.camera.center
    canvas.drag((10 * step, 12 * step), (4 * step, 15 * step))  # the cross is dragged
    assert session.position == (4, 15)
    qtbot.waitUntil(lambda: tuple(cross.data[0]) == (4, 15), timeout=5_000)
    canvas.drag((14 * step, 3 * step), (15 * step, 5 * step))  # elsewhere the canvas is
    assert session.position == (4, 15)
    assert viewer.scene.camera.center != center
    dock.probe.pick.click()
    canvas.click(8 * step, 6 * step)
    assert session.position == (8, 6)
    dock.probe.pick.click()
    QTest.keyClick(canvas.widget, Qt.Key.Key_Right)
    QTest.keyClick(canvas.widget, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert session.position == (18, 7)
    view = dock.display.view
    QTest.keyClick(view, Qt.Key.Key_Up)
    QTest.keyClick(view, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert session.position == (17, 17)
    dock.probe.row.setValue(2)
    settled(dock)
    assert session.position == (2, 17)
    np.testing.assert_array_equal(dock.display.image, values[2, 17])

    dock.display.copy_values()
    copied = np.array([line.split("\t") for line in QGuiApplication.clipboard().text().split("\n")], float)
    np.testing.assert_allclose(copied, values[2, 17])
    dock.display.copy_picture()
    assert not QGuiApplication.clipboard().pixmap().isNull()
    dock.display.save_array(tmp_path / "pattern")
    np.testing.assert_array_equal(np.load(tmp_path / "pattern.npy"), values[2, 17])
    for scale in ("sqrt", "linear", "log"):
        dock.display.scale.setCurrentText(scale)
    dock.display.colours.setCurrentText("viridis")
    dock.display.high.setValue(90.0)
    view.hovered.emit((30.0, 40.0, 5.0))
    assert "1/nm, d " in dock.display.readout.text()

    dock.region.rectangle.click()
    region = display.find(viewer, session, "region")
    canvas.drag((2.6 * step, 3.6 * step), (7.4 * step, 9.4 * step))
    settled(dock)
    np.testing.assert_allclose(dock.display.image, values[3:8, 4:10].mean(axis=(0, 1)), rtol=1e-5)
    canvas.drag((5 * step, 6 * step), (8 * step, 6 * step))  # it can be dragged at once
    settled(dock)
    np.testing.assert_allclose(dock.display.image, values[6:11, 4:10].mean(axis=(0, 1)), rtol=1e-5)
    dock.picture.setCurrentIndex(dock.picture.findData("region maximum"))
    settled(dock)
    np.testing.assert_array_equal(dock.display.image, values[6:11, 4:10].max(axis=(0, 1)))
    dock.region.clear.click()
    settled(dock)
    assert region not in viewer.layers
    assert dock.display.image is None
    dock.picture.setCurrentIndex(dock.picture.findData("mean"))
    settled(dock)
    assert dock.display.image is None  # nothing was read of the whole scan yet

    assert display.find(viewer, session, "patterns") is None  # kept apart beside a dock, until it is asked for
    display.toggle(viewer, session, "patterns", lambda: [result_layers.patterns(session)])
    patterns = display.find(viewer, session, "patterns")
    assert patterns is not None
    assert patterns.visible  # napari's sliders are the probe now
    viewer.dims.set_point((0, 1), np.array([7, 3]) * step)
    settled(dock)
    assert session.position == (7, 3)
    np.testing.assert_array_equal(dock.display.image, values[7, 3])
    session.move_probe(5, 4)
    np.testing.assert_allclose(viewer.dims.point[:2], np.array([5, 4]) * step)
    viewer.window.remove_dock_widget(dock.native)
    QTest.qWait(50)
    assert cross not in viewer.layers
    QTest.keyClick(canvas.widget, Qt.Key.Key_Down)
    assert session.position[0] == 5
    assert [m for m in notifications if not m.startswith("Inconsistent units")] == []


def test_virtual_detectors_follow_the_mouse_and_are_kept(
    viewer: Any, dock: Any, session: Session, settled: Any, qtbot: Any, scan_file: Path, notifications: list[str]
) -> None:
    assert session.dataset is not None
    values = np.asarray(session.dataset.data).astype(np.float64)
    shape = session.dataset.detector_shape
    view, panel = dock.display.view, dock.detectors
    box = view.getPlotItem().getViewBox()

    def at(q_y: float, q_x: float) -> QPoint:
        return view.mapFromScene(box.mapViewToScene(QPointF(q_x, q_y)))

    mouse = Mouse(view.viewport(), at)

    def under(detector: Any) -> np.ndarray:
        return np.asarray((values * detector.mask(shape)).sum(axis=(2, 3)))

    panel.bright.click()
    settled(dock)
    bright = dock._explored.current.detector
    mean = values.mean(axis=(0, 1))
    y, x = np.indices(shape)
    beam = mean > 0.5 * mean.max()
    assert (bright.q_y, bright.q_x) == pytest.approx(
        ((mean * y)[beam].sum() / mean[beam].sum(), (mean * x)[beam].sum() / mean[beam].sum()), abs=0.7
    )
    live = display.find(viewer, session, LIVE)
    np.testing.assert_allclose(live.data, under(bright), rtol=1e-4)
    assert panel.about.text() == "The image is exact."
    assert display.find(viewer, session, "patterns") is None  # the canvas is the scan's

    panel.dark.click()
    radius = dock._explored.current.detector.outer
    mouse.drag((bright.q_y, bright.q_x + radius), (bright.q_y, bright.q_x + radius - 6))  # its outer handle
    dark = dock._explored.current.detector
    assert isinstance(dark, Annulus)
    assert dark.outer == pytest.approx(radius - 6, abs=1.0)
    panel.boxes["inner"].setValue(8.0)
    assert dock._explored.current.detector.inner == 8.0
    settled(dock)
    np.testing.assert_allclose(live.data, under(dock._explored.current.detector), rtol=1e-4)
    panel.wanted.emit("disk")
    disk = dock._explored.current.detector
    mouse.drag(
        (disk.q_y + 0.6 * disk.radius, disk.q_x), (disk.q_y + 10 + 0.6 * disk.radius, disk.q_x - 4)
    )  # its inside
    moved = dock._explored.current.detector
    assert isinstance(moved, Disk)
    assert (moved.q_y, moved.q_x) == pytest.approx((disk.q_y + 10, disk.q_x - 4), abs=1.0)
    panel.detectors.setCurrentRow(0)
    assert dock._explored.current.detector == bright
    panel.centred.click()
    panel.boxes["q_x"].setValue(20.0)
    assert dock._explored.current.detector.q_x == 20.0
    panel.centred.click()
    assert dock._explored.current.detector == bright

    panel.keep.click()
    qtbot.waitUntil(lambda: session.running is None, timeout=20_000)
    (kept,) = [layer for layer in viewer.layers if "disk" in layer.name]
    np.testing.assert_allclose(kept.data, under(bright), rtol=1e-5)
    stored = dict(kept.metadata[DETECTOR_KEY]["detectors"][0])
    assert stored.pop("colour") == dock._explored.current.colour
    assert from_dict(stored) == bright
    panel.rgb.click()
    qtbot.waitUntil(lambda: session.running is None, timeout=20_000)
    (rgb,) = [layer for layer in viewer.layers if "RGB of 3" in layer.name]
    placed = dock._explored.detectors
    expected = mixed(np.stack([under(p.detector) for p in placed]), [p.colour for p in placed])
    np.testing.assert_allclose(rgb.data, expected, atol=1e-3)

    panel.detectors.setCurrentRow(1)
    for mode in ("com x", "com y", "com magnitude", "com wheel", "rgb"):
        panel.mode.setCurrentIndex(panel.mode.findData(mode))
        found = settled(dock)
        assert found.exact, mode
        if mode == "com x":
            mask = dock._explored.current.detector.mask(shape)
            centre = (values * mask * x).sum(axis=(2, 3)) / (values * mask).sum(axis=(2, 3))
            step = session.dataset.axes[3].scale
            np.testing.assert_allclose(
                display.find(viewer, session, LIVE).data, (centre - centre.mean()) * step, atol=1e-4
            )
        assert panel.wheel.isVisible() == (mode == "com wheel")
    assert display.find(viewer, session, LIVE).rgb

    panel.wanted.emit("polygon")
    corners = [(10.0, 12.0), (10.0, 40.0), (30.0, 25.0)]
    for corner in corners:
        mouse.click(*corner)
        QTest.qWait(QApplication.doubleClickInterval() + 50)
    QTest.keyClick(view, Qt.Key.Key_Return)
    assert np.allclose(dock._explored.current.detector.corners, corners, atol=1.0)
    panel.wanted.emit("mask")
    assert any("Select the Shapes or Labels layer" in message for message in notifications)
    panel.detectors.setFocus()
    QTest.keyClick(panel.detectors, Qt.Key.Key_Delete)
    assert len(dock._explored.detectors) == 3
    settled(dock)
    viewer.layers.clear()
    other = weakref.ref(opened(viewer, scan_file))
    qtbot.waitUntil(lambda: dock.session is other(), timeout=5_000)
    assert panel.detectors.count() == 0  # two scans do not mix
    panel.dark.click()
    settled(dock)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not dock.source.busy, timeout=5_000)
    gc.collect()
    assert other() is None  # the dock keeps no scan that has left
    assert dock.display.image is None
    viewer.window.remove_dock_widget(dock.native)
    QTest.qWait(50)
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("napari-stemnmf")]
    assert names == []


def test_colours_say_direction_and_share() -> None:
    y, x = np.array([[0.0, 1.0, 0.0, np.nan]]), np.array([[1.0, 0.0, 0.5, 0.0]])
    np.testing.assert_allclose(wheel(y, x, 1.0)[0], [[1, 0, 0], [0.5, 1, 0], [0.5, 0, 0], [0, 0, 0]], atol=1e-6)
    assert legend(20).shape == (20, 20, 3)
    images = np.stack([np.linspace(0, 9, 12).reshape(3, 4), np.full((3, 4), 2.0)])
    out = mixed(images, ["#ff0000", "#00ff00"])
    assert out[0, 0, 0] == 0.0
    assert out[2, 3, 0] == 1.0
    assert not out[..., 1].any()
