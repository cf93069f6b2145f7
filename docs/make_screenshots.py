"""The pictures of the documentation, taken of the real plugin as a user drives it: ``make screenshots``.

Most are of simulated data that the package makes; two are of a film of the shared data, where that is beside the
project or named by ``STEMNMF_SHARED``. ``python docs/make_screenshots.py FOLDER [NAME...]`` takes some of them. Needs a
screen, or xvfb-run: ``xvfb-run -a -s "-screen 0 1400x900x24" python docs/make_screenshots.py``.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QWidget

from napari_stemnmf.pipeline import analyse
from napari_stemnmf.plugin.layers.result_layers import all_layers, scan_layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.simulation.sample import sample
from napari_stemnmf.study.distorted import distorted

IMAGES = Path(__file__).parent / "images"
SHARED = Path(os.environ.get("STEMNMF_SHARED") or Path(__file__).resolve().parents[2] / "shared" / "data")
FILM = SHARED / "films" / "ag1_small.h5"
SIZE = (1280, 800)
LEFT = Qt.MouseButton.LeftButton
EXACT = "The image is exact."
SEEDS = 5
"""Fewer than the default: a picture needs no more."""
DISTORTED = {"scan_shape": (32, 32), "ellipse_ratio": 1.04, "beam_stop": True, "seed": 3}
"""The scan whose calibration is shown."""
MATCH = 1
"""The row of the grain whose match is shown."""
POSITION = (10, 21)
"""The probe position whose pattern is shown."""


PICTURES: dict[str, Callable[[Path], None]] = {}
"""What takes pictures, by name."""


def main(folder: Path = IMAGES, names: tuple[str, ...] = ()) -> None:
    """Write the pictures of those names, or all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or PICTURES:
        PICTURES[name](folder)


class Window:
    """The plugin's dock in a window, and the hands of who sits before it; points of the scan are (row, column)."""

    def __init__(self, path: Path | None = None, theme: str = "dark") -> None:
        self.viewer = window(theme)
        if path is None:
            self.viewer.open_sample("napari-stemnmf", "silver_grains")
        else:
            self.viewer.open(str(path), plugin="napari-stemnmf")
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
        self.session: Session = self.dock.step("start").session
        self.dock.steps["start"].adjust.expand()
        settle(1)
        self.viewer.fit_to_view()
        settle()

    @property
    def canvas(self) -> QWidget:
        """What napari draws on."""
        inside = self.dock.window()
        return next(w for w in QApplication.allWidgets() if w.inherits("QOpenGLWidget") and w.window() is inside)

    def step(self, name: str) -> Any:
        """A click on the bar of steps."""
        QTest.mouseClick(self.dock.buttons[name], LEFT)
        settle(0.5)
        return self.dock.steps[name]

    def run(self, step: Any) -> None:
        """A click on Run, and the wait for its end."""
        QTest.mouseClick(step.run.native, LEFT)
        settle(1, until=self.idle)

    def idle(self) -> bool:
        """Whether nothing is running."""
        return self.session.running is None

    def at(self, row: float, column: float) -> QPoint:
        """Where a point of the scan is on the canvas."""
        axes = self.session.dataset.axes if self.session.dataset is not None else self.session.analysis.axes
        camera, size = self.viewer.scene.camera, self.canvas.size()
        y, x = (axis.offset + index * axis.scale for axis, index in zip(axes, (row, column), strict=False))
        _, cy, cx = camera.center
        return QPointF((x - cx) * camera.zoom + size.width() / 2, (y - cy) * camera.zoom + size.height() / 2).toPoint()

    def click(self, row: float, column: float, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """On the canvas."""
        QTest.mouseMove(self.canvas, self.at(row, column))
        QTest.mouseClick(self.canvas, LEFT, modifier, self.at(row, column))
        settle()

    def drag(self, start: tuple[float, float], stop: tuple[float, float]) -> None:
        """On the canvas, with the button held."""
        QTest.mouseMove(self.canvas, self.at(*start))
        QTest.mousePress(self.canvas, LEFT, pos=self.at(*start))
        for share in np.linspace(0.1, 1, 10):
            place = [a + share * (b - a) for a, b in zip(start, stop, strict=True)]
            QTest.mouseMove(self.canvas, self.at(*place))
            settle(0.03)
        QTest.mouseRelease(self.canvas, LEFT, pos=self.at(*stop))
        settle()

    def key(self, key: Any) -> None:
        """On the canvas."""
        self.canvas.setFocus()
        QTest.keyClick(self.canvas, key)
        settle()

    def picture(self, path: Path) -> None:
        """Write a picture of the window."""
        close_notifications()
        settle(0.5)
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)


def start(folder: Path) -> None:
    """The start page of the sample, before and after *Find grains*."""
    tour = Window()
    page = tour.dock.step("start")
    page.adjust.expand(False)
    settle(1, until=lambda: all(button.isEnabled() for button in page.pictures.buttons.values()))
    tour.viewer.fit_to_view()
    tour.picture(folder / "start.png")
    tour.run(page)
    settle(1, until=page.card.isVisible)
    tour.picture(folder / "card.png")
    tour.viewer.close()


def tour(folder: Path) -> None:
    """The sample from the open file to the corrected grains: the pictures of the tutorial, and those of most docks."""
    tour = Window()
    explore = tour.step("explore")
    settle(1, until=lambda: explore.display.image is not None)
    tour.drag(tour.session.position, (16, 13))
    tour.picture(folder / "explore.png")
    QTest.mouseClick(explore.detectors.dark, LEFT)
    settle(1, until=lambda: explore.detectors.about.text() == EXACT)
    tour.picture(folder / "detectors.png")
    QTest.mouseClick(explore.detectors.keep, LEFT)
    settle(1, until=tour.idle)
    featurize = tour.step("featurize")
    tour.run(featurize)
    settle(1)
    tour.picture(folder / "featurize.png")
    tour.run(tour.step("cluster"))
    tour.picture(folder / "cluster.png")
    refine = tour.step("refine")
    settle(2)
    tour.picture(folder / "refine.png")
    tour.run(refine)
    measure = tour.step("measure")
    tour.run(measure)
    QTest.mouseClick(measure.table.native, LEFT)
    settle(1)
    tour.viewer.fit_to_view()
    tour.picture(folder / "napari.png")
    tables = [d for d in tour.dock.window().findChildren(QDockWidget) if "table" in d.windowTitle().lower()]
    for table in tables:
        table.close()
    settle(0.5)
    tour.viewer.fit_to_view()
    review = tour.step("review")
    for key in (Qt.Key.Key_N, Qt.Key.Key_A, Qt.Key.Key_N, Qt.Key.Key_A):
        tour.key(key)
    review.choose([])
    tour.key(Qt.Key.Key_D)  # the most doubtful of all
    settle(1)
    tour.picture(folder / "review.png")
    grains = tour.session.analysis.grains["vdf"]
    areas = grains.masks.sum(axis=(1, 2))
    review.choose([int(grains.ids[areas.argmax()])])
    rows, columns = np.nonzero(grains.masks[areas.argmax()])
    tour.key(Qt.Key.Key_S)
    tour.drag((np.median(rows) - 3.5, columns.min() - 2.5), (np.median(rows) + 3.5, columns.max() + 2.5))
    tour.picture(folder / "split.png")
    tour.key(Qt.Key.Key_S)
    tour.step("recipe")
    tour.picture(folder / "recipe.png")
    _, export = tour.viewer.window.add_plugin_dock_widget("napari-stemnmf", "Export")
    export.folder.line_edit.value = "results"
    tour.dock.parentWidget().close()
    settle(1)
    tour.picture(folder / "export.png")
    tour.viewer.close()


def nmf(folder: Path) -> None:
    """The sample in the article's way: cells of AA, scree, seeds, and the threshold of a component map."""
    tour = Window()
    tour.session.set_recipe(Recipe.preset("nmf", ("aa",)).replaced({"*.clustering.seeds": SEEDS}))
    featurize = tour.step("featurize")
    tour.run(featurize)
    settle(1, until=lambda: bool(featurize.panel.shown.rings))
    tour.picture(folder / "cells.png")
    cluster = tour.step("cluster")
    settle(1, until=lambda: cluster.scree.line is not None)
    tour.picture(folder / "scree.png")
    tour.run(cluster)
    tour.picture(folder / "seeds.png")
    refine = tour.step("refine")
    settle(2, until=lambda: refine.weights.line is not None)
    tour.picture(folder / "threshold.png")
    tour.viewer.close()


def film(folder: Path) -> None:
    """A film of the shared data, in the light theme: its patterns, its grains under review; none where it is absent."""
    if not FILM.exists():
        return
    with tempfile.TemporaryDirectory() as there:  # the analysis is saved beside the scan
        shutil.copy(FILM, there)
        _film(folder, Path(there) / FILM.name)


def _film(folder: Path, path: Path) -> None:
    tour = Window(path, "light")
    explore = tour.step("explore")
    settle(1, until=lambda: explore.display.image is not None)
    QTest.mouseClick(explore.detectors.dark, LEFT)
    settle(1, until=lambda: explore.detectors.about.text() == EXACT)
    tour.picture(folder / "film-explore.png")
    recipe = tour.step("recipe")
    QTest.mouseClick(recipe.run.native, LEFT)
    settle(1, until=lambda: tour.session.state("measure", "vdf") == "done" and tour.idle())
    tour.step("review")
    settle(1)
    tour.key(Qt.Key.Key_D)
    settle(2)
    tour.picture(folder / "film-review.png")
    tour.viewer.close()


def calibrate(folder: Path, theme: str = "dark") -> None:
    """A distorted scan behind a beam stop, calibrated: disks, ring, mask and numbers."""
    viewer = window(theme)
    session = Session(distorted(**DISTORTED).dataset)
    for data, meta, kind in scan_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    _, stages = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    step = stages.show_step("calibrate")
    step.run.native.click()
    settle(until=lambda: session.running is None)
    step.panel.pick.setChecked(True)
    step.panel.choose_position(*POSITION)
    step.panel.boxes["rv"].setChecked(True)
    settle(2)
    viewer.reset_view()
    take(viewer, folder / "calibrate.png")


def score(folder: Path, theme: str = "dark") -> None:
    """The sample's grains against its truth: every grain with its best match, one of them on the canvas."""
    viewer, session = analysed(theme, "default", "VDF")
    grains = next(layer for layer in viewer.layers if layer.name.endswith("VDF grains"))
    place = {"scale": (1, *grains.scale), "units": ("pixel", *grains.units)}
    place["axis_labels"] = ("grain", *grains.axis_labels)
    viewer.add_labels(sample().masks.astype(int), name="truth", visible=False, **place)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Score")
    dock.run.native.click()
    settle(1, until=lambda: session.running is None)
    dock.scores.chosen.emit(0)
    dock.grains.setCurrentCell(MATCH, 0)
    settle(1)
    take(viewer, folder / "score.png")


def compare(folder: Path, theme: str = "dark") -> None:
    """The sample's representations side by side, a grain marked in all of them."""
    viewer, session = analysed(theme)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Compare")
    settle(1, until=lambda: any(dock.comparison.shown))
    grains = session.analysis.grains["aa"]
    dock.comparison.mark(1, int(grains.masks.sum(axis=(1, 2)).argmax()))
    viewer.reset_view()
    take(viewer, folder / "compare.png")


def figures(folder: Path, theme: str = "dark") -> None:
    """A figure of the sample for print."""
    viewer, _ = analysed(theme)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Figures")
    settle(1, until=lambda: dock.drawn is not None)
    viewer.reset_view()
    take(viewer, folder / "figures.png")


def analysed(theme: str, preset: str = "nmf", shown: str = "AA") -> tuple[napari.Viewer, Session]:
    """A viewer with the sample, analysed to the end: the scan and the dominant grains of the one that is shown."""
    dataset = sample().dataset
    session = Session(dataset, analyse(dataset, Recipe.preset(preset).replaced({"*.clustering.seeds": SEEDS})))
    viewer = window(theme)
    for data, meta, kind in all_layers(session):
        if meta["name"].endswith(("virtual image", f"{shown} grains")):
            getattr(viewer, f"add_{kind}")(data, **meta | {"visible": True})
    return viewer, session


def window(theme: str) -> napari.Viewer:
    """A viewer of the pictures' size."""
    viewer = napari.Viewer(show=False)
    viewer.theme = theme
    viewer.window.resize(*SIZE)
    viewer.show()
    settle(1)
    viewer.window.resize(*SIZE)
    return viewer


def take(viewer: napari.Viewer, path: Path) -> None:
    """Write a picture of the window, and close it."""
    close_notifications()
    settle()
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    viewer.close()


def close_notifications() -> None:
    """They fade in an active window only, which a screen without a window manager has not."""
    for widget in QApplication.allWidgets():
        if type(widget).__name__ == "NapariQtNotification":
            widget.close()


def settle(seconds: float = 0.3, until: Callable[[], bool] = lambda: True) -> None:
    """Let the window work for some time, and on until a condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or not until():
        QApplication.processEvents()
        time.sleep(0.01)


PICTURES |= {each.__name__: each for each in (start, tour, nmf, film, calibrate, score, compare, figures)}

if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES, tuple(sys.argv[2:]))
