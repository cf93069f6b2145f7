"""Time from a moved setting to the disks drawn on the pattern, in a real window of the Calibrate step.

    tools/with-screen .venv/bin/python benchmarks/preview.py [--sizes 126,252,432]

For the mean pattern and for the pattern at a position; medians and the slowest but one of 30 moves, beside the time of
the detection alone. Wall time, since it is what a user feels: run it on an idle machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_stemnmf.disks.detection import detect
from napari_stemnmf.plugin.layers.result_layers import scan_layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.study.distorted import distorted

MOVES = 30
BOUND_MS = 50.0


def wait(until: Callable[[], object]) -> None:
    """Let the event loop run until a condition holds."""
    while not until():
        QApplication.processEvents()


def moved(step: Any, value: float) -> float:
    """Milliseconds from a change of the least SNR to the pattern drawn with its disks."""
    done: list[object] = []
    step._preview.ready.connect(done.append)
    start = time.perf_counter()
    step._disks.editor("min_snr").box.value = value
    wait(lambda: done and not step._preview.busy)
    step.panel.view.repaint()
    spent = time.perf_counter() - start
    step._preview.ready.disconnect(done.append)
    return 1e3 * spent


def alone(analysis: Any, pattern: np.ndarray) -> float:
    """Median milliseconds of the detection on one pattern."""
    times = []
    for _ in range(MOVES):
        start = time.perf_counter()
        detect(pattern, analysis.probe, analysis.recipe.disks)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times))


def measure(size: int) -> None:
    """Open a scan of a detector size, calibrate it, and move a setting."""
    viewer = napari.Viewer(show=True)
    made = distorted((8, 8), size)
    session = Session(made.dataset)
    for data, meta, kind in scan_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    _, step = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Calibrate")
    step.run.native.click()
    wait(lambda: session.running is None)
    bare = alone(session.analysis, made.dataset.pattern(4, 4))
    for picture in ("mean", "position"):
        step.panel.choose(picture)
        step.panel.wanted.emit()
        end = time.perf_counter() + 1.0
        wait(lambda end=end: time.perf_counter() > end)  # type: ignore[misc]
        drawn = [moved(step, 3.0 + 0.5 * (move % 10)) for move in range(MOVES)]
        median, slow = np.median(drawn), sorted(drawn)[-2]
        print(
            f"{size}^2 {picture:>8}: drawn after {median:5.1f} ms (slowest but one {slow:5.1f}), "
            f"bound {BOUND_MS:.0f}: {'holds' if median <= BOUND_MS else 'FAILS'}; detection alone {bare:.2f} ms",
            flush=True,
        )
    viewer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="126,252,432")
    for size in parser.parse_args().sizes.split(","):
        measure(int(size))


if __name__ == "__main__":
    main()
