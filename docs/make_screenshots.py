"""The pictures of the documentation, taken of the real plugin on the sample data: ``make screenshots``.

Needs a screen, or xvfb-run: ``xvfb-run -a -s "-screen 0 1400x900x24" python docs/make_screenshots.py``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

IMAGES = Path(__file__).parent / "images"
SIZE = (1280, 800)
SEEDS = 5
"""Fewer than the default: a picture needs no more."""


def main(folder: Path = IMAGES) -> None:
    """Write napari.png: the sample's grains, the dock of the steps, and the table."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(show=False)
    viewer.window.resize(*SIZE)
    viewer.show()
    settle(1)
    viewer.window.resize(*SIZE)
    viewer.open_sample("napari-stemnmf", "silver_grains")
    _, stages = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    session = stages.steps[0].session
    session.set_recipe(session.recipe.replaced({"*.clustering.seeds": SEEDS}))
    for i, step in enumerate(stages.steps):
        stages.tabs.setCurrentIndex(i)
        step.run.native.click()
        settle(until=lambda: session.running is None)
    stages.steps[-1].table.native.click()
    settle(1)
    viewer.reset_view()
    for widget in QApplication.allWidgets():  # notifications fade in an active window only, which Xvfb has not
        if type(widget).__name__ == "NapariQtNotification":
            widget.close()
    settle()
    viewer.screenshot(str(folder / "napari.png"), canvas_only=False, flash=False)
    viewer.close()


def settle(seconds: float = 0.3, until: Callable[[], bool] = lambda: True) -> None:
    """Let the window work for some time, and on until a condition holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end or not until():
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
