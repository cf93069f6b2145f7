"""Random hands in a real window: mouse, keys and menus over two scans, from a seed. What must hold is asked after each.

    tools/with-screen .venv/bin/python benchmarks/monkey.py [--seed N] [--seconds S]

No exception, in whatever thread; no result, selection or edit at a scan or representation that was not meant; layers
that show what the analysis has; and at the end no thread of ours and no growth above 100 MB. Ends with 1 where one is
missed. The hands are those of the test in the suite, which does the same for some seconds.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

GROWTH_MB = 100
KEYS = "NDARUQW"
"""Keys of Review that need no second hand."""


class Monkey:
    """Does one random thing after the other in a viewer with scans, and looks whether all is as it must be.

    Parameters
    ----------
    viewer : napari viewer
    sessions : list of Session
        Scans with grains, in the viewer.
    seed : int
    wait : callable
        Runs the event loop for so many ms.
    """

    def __init__(self, viewer: Any, sessions: list[Any], seed: int, wait: Callable[[int], None]) -> None:
        from qtpy.QtWidgets import QApplication

        self.viewer, self.sessions, self.wait = viewer, sessions, wait
        self.chance = np.random.default_rng(seed)
        self.done: list[str] = []
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Review")
        wait(300)
        inside = self.dock.native.window()
        self.canvas = next(
            w
            for w in QApplication.allWidgets()
            if type(w).__name__.startswith("CanvasBackend") and w.window() is inside
        )
        self.removed: list[Any] = []

    def step(self) -> None:
        """One random deed, and the look after it."""
        before = {id(s): s.analysis for s in self.sessions}
        shown = self.dock.session
        deeds = (
            self.click, self.click, self.key, self.key, self.key, self.button, self.draw, self.brush, self.choose_scan,
            self.remove, self.bring_back, self.toggle, self.measure, self.zoom, self.hide_dock, self.row,
        )  # fmt: skip
        deed = deeds[int(self.chance.integers(len(deeds)))]
        self.done.append(deed.__name__)
        deed()
        self.wait(int(self.chance.integers(1, 40)))
        self.look(deed.__name__, before, shown)

    # ---- deeds

    def _place(self) -> Any:
        from qtpy.QtCore import QPoint

        size = self.canvas.size()
        return QPoint(*(int(self.chance.integers(5, max(6, each - 5))) for each in (size.width(), size.height())))

    def click(self) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        held = Qt.KeyboardModifier.ControlModifier if self.chance.random() < 0.3 else Qt.KeyboardModifier.NoModifier
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, held, self._place())

    def key(self) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        keys = [getattr(Qt.Key, f"Key_{each}") for each in KEYS]
        keys += [Qt.Key.Key_Escape, Qt.Key.Key_Delete, Qt.Key.Key_J, Qt.Key.Key_Z, Qt.Key.Key_Z]
        key = keys[int(self.chance.integers(len(keys)))]
        held = Qt.KeyboardModifier.ControlModifier if key == Qt.Key.Key_Z else Qt.KeyboardModifier.NoModifier
        QTest.keyClick(self.canvas, key, held)

    def button(self) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        parts = (self.dock.go.buttons, self.dock.decide.buttons, self.dock.edit.buttons, self.dock.pictures.kinds)
        some = [b for part in parts for b in part.values() if b.isEnabled() and b.isVisible()]
        if some:
            QTest.mouseClick(some[int(self.chance.integers(len(some)))], Qt.MouseButton.LeftButton)

    def draw(self) -> None:
        """A line across something, and S."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.keyClick(self.canvas, Qt.Key.Key_S)
        self._drag()
        QTest.keyClick(self.canvas, Qt.Key.Key_S)
        if self.dock.tools.tool:
            QTest.keyClick(self.canvas, Qt.Key.Key_Escape)

    def brush(self) -> None:
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.keyClick(self.canvas, (Qt.Key.Key_G, Qt.Key.Key_K)[int(self.chance.integers(2))])
        self._drag()
        if self.chance.random() < 0.7:
            QTest.keyClick(self.canvas, Qt.Key.Key_Escape)

    def _drag(self) -> None:
        from qtpy.QtCore import QEvent, QPointF, Qt
        from qtpy.QtGui import QMouseEvent
        from qtpy.QtTest import QTest
        from qtpy.QtWidgets import QApplication

        start, end = self._place(), self._place()
        left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mousePress(self.canvas, left, none, start)
        for share in (0.3, 0.7, 1.0):
            at = start + (end - start) * share
            whole = QPointF(self.canvas.mapToGlobal(at))
            move = QMouseEvent(QEvent.Type.MouseMove, QPointF(at), whole, Qt.MouseButton.NoButton, left, none)
            QApplication.sendEvent(self.canvas, move)
            self.wait(12)
        QTest.mouseRelease(self.canvas, left, none, end)

    def choose_scan(self) -> None:
        here = [s for s in self.sessions if any(s is each for each in self.dock.scan.choices)]
        if here:
            self.dock.scan.value = here[int(self.chance.integers(len(here)))]

    def remove(self) -> None:
        """A layer, but never the last of a scan."""
        from napari_stemnmf.plugin.session import session_of

        layers = list(self.viewer.layers)
        layer = layers[int(self.chance.integers(len(layers)))]
        session = session_of(layer)
        rest = [each for each in layers if each is not layer and session_of(each) is session]
        if session is not None and rest:
            self.viewer.layers.remove(layer)
            self.removed.append(layer)

    def bring_back(self) -> None:
        if self.removed:
            layer = self.removed.pop()
            if layer not in self.viewer.layers and not any(each.name == layer.name for each in self.viewer.layers):
                self.viewer.add_layer(layer)

    def toggle(self) -> None:
        boxes = [*self.dock.show_boxes.boxes.values()]
        box = boxes[int(self.chance.integers(len(boxes)))]
        box.setChecked(not box.isChecked())
        names = self.dock.show_boxes.colours
        names.setCurrentIndex(int(self.chance.integers(names.count())))

    def measure(self) -> None:
        """Measure changed, on the scan in front; a run may go on while the next things are done."""
        if self.dock.run.enabled:
            self.dock.run.native.click()

    def zoom(self) -> None:
        self.viewer.scene.camera.zoom *= float(self.chance.choice([0.7, 1.0 / 0.7]))
        if self.chance.random() < 0.4:
            self.viewer.fit_to_view()

    def hide_dock(self) -> None:
        parent = self.dock.native.parent()
        parent.setVisible(not parent.isVisible())
        self.wait(20)
        parent.setVisible(True)

    def row(self) -> None:
        ids = self.dock.grains.order
        if ids:
            self.dock.choose([ids[int(self.chance.integers(len(ids)))]])

    # ---- what must hold

    def look(self, deed: str, before: dict[int, Any], shown: Any) -> None:
        """Only the scan in front may have changed its reviews; layers show what analyses have."""
        from napari_stemnmf.plugin.layers.display import find

        for session in self.sessions:
            analysis, was = session.analysis, before[id(session)]
            meant = session in (shown, self.dock.session) or session.running is not None or deed == "measure"
            for feature, review in analysis.reviews.items():
                same = was is analysis or review is was.reviews.get(feature)
                assert same or meant, f"{deed} has changed the review of {session.name}, which was not in front"
            for feature, grains in analysis.grains.items():
                assert session.selected.get(feature, 0) in (0, *grains.ids.tolist()), (
                    f"{deed} left a grain selected that is no more"
                )
                flat = find(self.viewer, session, f"grains/{feature}")
                if flat is not None:
                    assert flat.data.shape == grains.scan_shape
                    if not np.array_equal(flat.data, grains.labels):
                        self.wait(50)  # a stroke is taken in the next turn
                        assert np.array_equal(flat.data, session.analysis.grains[feature].labels), (
                            f"{deed}: stale labels"
                        )
        if self.dock.session is not None and self.dock._found() is not None:
            assert set(self.dock.chosen) <= set(self.dock._found().ids.tolist()), f"{deed}: a grain of another scan"

    def rest(self) -> None:
        """Wait for what runs, and for the threads to end."""
        self.dock.tools.stop()
        end = time.monotonic() + 120
        while time.monotonic() < end and (any(s.running for s in self.sessions) or _ours()):
            self.wait(50)
        assert not _ours(), f"threads are left: {_ours()}"


def _ours() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("napari-stemnmf") and t.is_alive()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    import napari
    from qtpy.QtTest import QTest

    import napari_stemnmf as stem
    from napari_stemnmf.plugin.layers.in_view import give_place
    from napari_stemnmf.plugin.layers.result_layers import all_layers
    from napari_stemnmf.plugin.session import Session

    raised: list[str] = []
    sys.excepthook = lambda *error: raised.append("".join(traceback.format_exception(*error)))
    threading.excepthook = lambda args: raised.append("".join(traceback.format_exception(args.exc_value)))
    with tempfile.TemporaryDirectory() as folder:
        viewer = napari.Viewer()
        viewer.window.resize(1280, 800)
        sessions = []
        for name, shape, seed in (("film", (40, 48), 2), ("wire", (36, 36), 5)):
            path = Path(folder) / f"{name}.h5"
            stem.sample(shape, (64, 64), seed=seed).save(path)
            dataset = stem.open(path)
            sessions.append(give_place(Session(dataset, stem.analyse(dataset)), sessions))
            for data, meta, kind in all_layers(sessions[-1]):
                getattr(viewer, f"add_{kind}")(data, **meta)
        monkey = Monkey(viewer, sessions, options.seed, QTest.qWait)
        end, steps, first = time.monotonic() + options.seconds, 0, 0
        while time.monotonic() < end and not raised:
            monkey.step()
            steps += 1
            if steps == 100:
                first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        monkey.rest()
        growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first) / 1e3 if first else 0.0
        counts = {name: monkey.done.count(name) for name in sorted(set(monkey.done))}
        print(f"seed {options.seed}: {steps} deeds {counts}")
        print(f"peak of memory after the first 100: +{growth:.0f} MB (bound {GROWTH_MB})")
        for each in raised:
            print(each)
        viewer.close()
    return 0 if not raised and growth <= GROWTH_MB else 1


if __name__ == "__main__":
    sys.exit(main())
