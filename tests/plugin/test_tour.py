"""The whole way as a user goes it, in a real window with mouse and keys: from a file to numbers, and back again."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QCheckBox, QWidget

import napari_stemnmf as stem

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
NAPARI_S_OWN = ("Inconsistent units across layers",)
"""What napari says of any two layers whose last axes differ in unit: the detector's and the scan's."""


class Tour:
    """A window of 1280 x 800, and the hands of who sits before it; points of the scan are (row, column)."""

    def __init__(self, viewer: Any, qtbot: Any, path: Path) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        viewer.window.resize(1280, 800)
        viewer.show()
        viewer.window.activate()
        viewer.open(str(path), plugin="napari-stemnmf")
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
        self.wait(self.dock.isVisible)
        start = self.dock.step("start")
        self.wait(lambda: start.adjust.button.isVisible())
        QTest.mouseClick(start.adjust.button, LEFT)
        self.step("explore" if not path.name.endswith(".stemnmf.h5") else "review")
        viewer.fit_to_view()
        QTest.qWait(100)

    @property
    def session(self) -> Any:
        return self.dock.steps[self.dock.current].session

    @property
    def canvas(self) -> QWidget:
        found = [w for w in QApplication.allWidgets() if w.inherits("QOpenGLWidget") and w.window() is self.window]
        return found[0]

    @property
    def window(self) -> QWidget:
        return self.dock.window()

    def wait(self, until: Callable[[], Any]) -> None:
        self.qtbot.waitUntil(lambda: bool(until()), timeout=60_000)

    def step(self, name: str) -> Any:
        """A click on the bar of steps."""
        QTest.mouseClick(self.dock.buttons[name], LEFT)
        assert self.dock.current == name
        QTest.qWait(50)
        return self.dock.steps[name]

    def press(self, button: Any) -> None:
        """A click on a button, of Qt or of magicgui."""
        native = button if isinstance(button, QWidget) else button.native
        assert native.isEnabled(), native.text()
        place = QPoint(10, native.height() // 2) if isinstance(native, QCheckBox) else native.rect().center()
        QTest.mouseClick(native, LEFT, NONE, place)
        QTest.qWait(50)

    def run(self, step: Any) -> None:
        """Press Run and wait for the end."""
        session = self.session
        self.press(step.run)
        self.wait(lambda: session.running is None and not getattr(getattr(step, "started_run", None), "going", False))

    def at(self, row: float, column: float) -> QPoint:
        """Where a point of the scan is on the canvas."""
        session = self.session
        axes = session.dataset.axes if session.dataset is not None else session.analysis.axes
        camera, size = self.viewer.scene.camera, self.canvas.size()
        _, cy, cx = camera.center
        y, x = row * axes[0].scale + axes[0].offset, column * axes[1].scale + axes[1].offset
        return QPointF((x - cx) * camera.zoom + size.width() / 2, (y - cy) * camera.zoom + size.height() / 2).toPoint()

    def click(self, row: float, column: float, modifier: Any = NONE) -> None:
        QTest.mouseMove(self.canvas, self.at(row, column))
        QTest.mouseClick(self.canvas, LEFT, modifier, self.at(row, column))
        QTest.qWait(20)

    def drag(self, widget: QWidget, start: QPoint, stop: QPoint) -> None:
        QTest.mouseMove(widget, start)
        QTest.qWait(20)
        QTest.mousePress(widget, LEFT, pos=start)
        for share in (0.25, 0.5, 0.75, 1.0):
            QTest.mouseMove(widget, start + (stop - start) * share)
            QTest.qWait(20)
        QTest.mouseRelease(widget, LEFT, pos=stop)
        QTest.qWait(20)

    def key(self, key: Any, modifier: Any = NONE) -> None:
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key, modifier)
        QTest.qWait(20)

    def layer(self, ending: str) -> Any:
        (found,) = [each for each in self.viewer.layers if each.name.endswith(ending)]
        return found


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No warning of ours or of napari's deprecations, no error in the log."""
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        yield
    ours = [str(w.message) for w in caught if "napari_stemnmf" in w.filename]
    old = [str(w.message) for w in caught if issubclass(w.category, FutureWarning | DeprecationWarning)]
    old = [message for message in old if "napari" in message]
    logged = [r.getMessage() for r in caplog.records if r.name.startswith("napari")]
    assert [m for m in ours + old + logged if not m.startswith(NAPARI_S_OWN)] == []


@pytest.mark.usefixtures("quiet", "autosave")
def test_from_a_file_to_numbers_and_back(
    viewer: Any, make_napari_viewer: Any, qtbot: Any, scan_file: Path, tmp_path: Path, notifications: list[str]
) -> None:
    path = tmp_path / "film.h5"
    shutil.copy2(scan_file, path)
    tour = Tour(viewer, qtbot, path)

    # Explore: the probe is dragged, moved by keys; a bright field is dragged aside and kept
    explore = tour.dock.steps["explore"]
    session = tour.session
    values = np.asarray(session.dataset.data)
    tour.wait(lambda: explore.display.image is not None)
    row, column = session.position
    tour.drag(tour.canvas, tour.at(row, column), tour.at(row - 3, column + 2))
    tour.key(Qt.Key.Key_Right)
    tour.key(Qt.Key.Key_Down, SHIFT)
    assert session.position == (row + 7, column + 3)
    tour.wait(lambda: np.array_equal(explore.display.image, values[row + 7, column + 3]))
    tour.press(explore.detectors.bright)
    tour.wait(lambda: explore.detectors.about.text() == "The image is exact.")
    tour.press(explore.detectors.centred)
    view = explore.display.view
    place = explore.detectors.boxes
    middle = QPointF(place["q_x"].value(), place["q_y"].value())
    box = view.getPlotItem().getViewBox()
    start, stop = (view.mapFromScene(box.mapViewToScene(p)) for p in (middle, middle + QPointF(14.0, 8.0)))
    before = place["q_x"].value()
    tour.drag(view.viewport(), start, stop)

    assert place["q_x"].value() == pytest.approx(before + 14, abs=2)
    tour.wait(lambda: explore.detectors.about.text() == "The image is exact.")
    tour.press(explore.detectors.keep)
    tour.wait(lambda: session.running is None and any("disk" in layer.name for layer in tour.viewer.layers))

    # Calibrate, then all the rest by the recipe
    calibrate = tour.step("calibrate")
    tour.run(calibrate)
    assert session.analysis.calibration is not None
    recipe = tour.step("recipe")
    for name in ("aa", "vdf"):
        tour.press(recipe.chosen[name])
    session.set_recipe(session.recipe.replaced({"*.clustering.seeds": 2, "*.refinement.min_size": 6}))
    tour.run(recipe)
    tour.wait(lambda: session.state("measure", "aa") == "done")
    assert recipe.features() == ("aa",)

    # Review: look, decide, merge, split, take back, measure what has changed
    review = tour.step("review")
    found = session.analysis.grains["aa"]
    assert len(found) >= 3
    tour.wait(lambda: tour.layer("AA grains").visible)
    labels = found.labels

    def inside(grain: int) -> tuple[float, float]:
        """A place that shows a grain, well inside it."""
        from scipy.ndimage import distance_transform_edt

        away = distance_transform_edt(np.pad(labels == grain, 1))[1:-1, 1:-1]
        return tuple(np.array(np.unravel_index(away.argmax(), away.shape), float))  # type: ignore[return-value]

    big = sorted(np.unique(labels)[1:], key=lambda grain: -(labels == grain).sum())[:3]
    first, second, third = (int(grain) for grain in big)
    covering = found.ids[found.masks[(slice(None), *map(int, inside(first)))]]
    while session.selected.get("aa", 0) != first:  # grains that overlap take turns
        tour.click(*inside(first))
        assert session.selected["aa"] in covering
    tour.key(Qt.Key.Key_A)
    assert session.review("aa").verdicts()["verdict"][first] == "accepted"
    review.choose([second])
    others = found.ids[found.masks[(slice(None), *map(int, inside(third)))]]
    tour.click(*inside(third), CTRL)
    merged = review.chosen
    assert len(merged) == 2
    assert set(merged) <= {second, *others.tolist()}
    tour.key(Qt.Key.Key_J)
    kept, gone = merged
    assert gone not in session.analysis.grains["aa"].ids
    assert session.selected["aa"] == kept
    assert session.state("measure", "aa") == "stale"
    tour.key(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(session.analysis.grains["aa"].masks, found.masks)
    assert session.state("measure", "aa") == "done"
    review.choose([first])
    rows, columns = np.nonzero(found.masks[found.ids == first][0])
    tour.key(Qt.Key.Key_S)
    middle_row = float(np.median(rows)) + 0.5
    tour.drag(tour.canvas, tour.at(middle_row, columns.min() - 1.5), tour.at(middle_row, columns.max() + 1.5))
    tour.key(Qt.Key.Key_S)
    now = session.analysis.grains["aa"]
    assert len(now) == len(found) + 1
    assert (now.masks.sum(axis=0) == found.masks.sum(axis=0)).all()
    tour.run(review)
    assert session.state("measure", "aa") == "done"
    assert len(session.analysis.tables["aa"]) == len(now)
    features = tour.layer("AA grains").features
    assert features["grain_id"][int(now.ids[-1])] == now.ids[-1]

    # It was saved by itself; the window is closed
    saved = tmp_path / "film.stemnmf.h5"
    tour.wait(lambda: session.path == saved and "Saved to" in tour.dock.saved.message.text())
    session.move_probe(5, 6)
    viewer.close()
    QTest.qWait(100)

    # Another day: everything is there, and is taken home
    again = Tour(make_napari_viewer(), qtbot, saved)
    session = again.session
    np.testing.assert_array_equal(session.analysis.grains["aa"].masks, now.masks)
    np.testing.assert_array_equal(again.layer("AA grains").data, now.labels)
    assert session.recipe.features == ("aa",)
    assert session.can_undo("aa")
    again.key(Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(session.analysis.grains["aa"].masks, found.masks)
    again.key(Qt.Key.Key_Z, CTRL | SHIFT)
    _, export = again.viewer.window.add_plugin_dock_widget("napari-stemnmf", "Export")
    home = tmp_path / "home"
    export.folder.line_edit.value = str(home)
    again.press(export.run)
    again.wait(lambda: session.running is None and (home / "repeat.py").exists())
    table = pd.read_csv(home / "grains-aa.csv")
    assert table["grain_id"].tolist() == now.ids.tolist()
    stack = tifffile.imread(home / "stack-aa.tif")
    np.testing.assert_array_equal(stack != 0, now.masks)
    again.viewer.close()
    QTest.qWait(100)
    told = [m for m in notifications if not m.startswith(NAPARI_S_OWN)]
    assert [m.split(" to ")[0] for m in told if " are one now, though " not in m] == ["Wrote 5 files"]
    assert len(told) == 2  # the grains that were merged are unlike
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("napari-stemnmf")]
    assert left == []

    # What was taken home repeats it, without napari
    done = subprocess.run([sys.executable, str(home / "repeat.py")], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    repeated = [stem.Analysis.load(each) for each in home.rglob("*.stemnmf.h5")]
    assert any(np.array_equal(each.grains["aa"].masks, now.masks) for each in repeated), done.stdout
