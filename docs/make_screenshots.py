"""The pictures of the documentation, taken of the real plugin on simulated data: ``make screenshots``.

Needs a screen, or xvfb-run: ``xvfb-run -a -s "-screen 0 1400x900x24" python docs/make_screenshots.py``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

from napari_stemnmf.pipeline import analyse
from napari_stemnmf.plugin.layers import all_layers, scan_layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.simulation.distorted import distorted
from napari_stemnmf.simulation.sample import sample

IMAGES = Path(__file__).parent / "images"
SIZE = (1280, 800)
SEEDS = 5
"""Fewer than the default: a picture needs no more."""
DISTORTED = {"scan_shape": (32, 32), "ellipse_ratio": 1.04, "beam_stop": True, "seed": 3}
"""The scan whose calibration is shown."""
MATCH = 1
"""The row of the grain whose match is shown."""
POSITION = (10, 21)
"""The probe position whose pattern is shown."""


def main(folder: Path = IMAGES) -> None:
    """Write all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    grains(folder / "napari.png")
    calibrate(folder / "calibrate.png")
    score(folder / "score.png")
    compare(folder / "compare.png")
    figures(folder / "figures.png")


def calibrate(path: Path, theme: str = "dark") -> None:
    """A distorted scan behind a beam stop, calibrated: disks, ring, mask and numbers."""
    viewer = window(theme)
    session = Session(distorted(**DISTORTED).dataset)
    for data, meta, kind in scan_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    _, stages = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    step = stages.steps[0]
    step.run.native.click()
    settle(until=lambda: session.running is None)
    step.panel.pick.setChecked(True)
    step.panel.choose_position(*POSITION)
    step.panel.boxes["rv"].setChecked(True)
    settle(2)
    viewer.reset_view()
    take(viewer, path)


def grains(path: Path) -> None:
    """The sample's grains, the dock of the steps, and the table."""
    viewer = window("dark")
    viewer.open_sample("napari-stemnmf", "silver_grains")
    _, stages = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    session = stages.steps[0].session
    session.set_recipe(session.recipe.replaced({"*.clustering.seeds": SEEDS}))
    for i, step in enumerate(stages.steps[:5]):
        stages.tabs.setCurrentIndex(i)
        step.run.native.click()
        settle(until=lambda: session.running is None)
    stages.steps[4].table.native.click()
    settle(1)
    viewer.reset_view()
    take(viewer, path)


def score(path: Path, theme: str = "dark") -> None:
    """The sample's grains against its truth: every grain with its best match, one of them on the canvas."""
    viewer, session = analysed(theme)
    grains = next(layer for layer in viewer.layers if layer.name.endswith("AA grains"))
    place = {"scale": (1, *grains.scale), "units": ("pixel", *grains.units)}
    place["axis_labels"] = ("grain", *grains.axis_labels)
    viewer.add_labels(sample().masks.astype(int), name="truth", visible=False, **place)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Score")
    dock.run.native.click()
    settle(1, until=lambda: session.running is None)
    dock.scores.chosen.emit(0)
    dock.grains.setCurrentCell(MATCH, 0)
    settle(1)
    take(viewer, path)


def compare(path: Path, theme: str = "dark") -> None:
    """The sample's representations side by side, a grain marked in all of them."""
    viewer, session = analysed(theme)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Compare")
    settle(1, until=lambda: any(dock.comparison.shown))
    grains = session.analysis.grains["aa"]
    dock.comparison.mark(1, int(grains.masks.sum(axis=(1, 2)).argmax()))
    viewer.reset_view()
    take(viewer, path)


def figures(path: Path, theme: str = "dark") -> None:
    """A figure of the sample for print."""
    viewer, _ = analysed(theme)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Figures")
    settle(1, until=lambda: dock.drawn is not None)
    viewer.reset_view()
    take(viewer, path)


def analysed(theme: str) -> tuple[napari.Viewer, Session]:
    """A viewer with the sample, analysed to the end: the scan and the dominant grains of AA."""
    dataset = sample().dataset
    session = Session(dataset, analyse(dataset, Recipe.preset("default").replaced({"*.clustering.seeds": SEEDS})))
    viewer = window(theme)
    for data, meta, kind in all_layers(session):
        if meta["name"].endswith(("virtual image", "AA grains")):
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
    for widget in QApplication.allWidgets():  # notifications fade in an active window only, which Xvfb has not
        if type(widget).__name__ == "NapariQtNotification":
            widget.close()
    settle()
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    viewer.close()


def settle(seconds: float = 0.3, until: Callable[[], bool] = lambda: True) -> None:
    """Let the window work for some time, and on until a condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or not until():
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
