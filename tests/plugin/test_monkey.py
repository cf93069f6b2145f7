"""Somebody who presses anything: two scans, runs, layers that go and come, docks that close. Seeded, real events."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QMessageBox

from napari_stemnmf.plugin.layers import in_view
from napari_stemnmf.plugin.session import ROLE_KEY, session_of, sessions_of

LEFT = Qt.MouseButton.LeftButton
SECONDS = float(os.environ.get("STEMNMF_MONKEY_SECONDS", "20"))
SEED = int(os.environ.get("STEMNMF_MONKEY_SEED", "0"))


class Monkey:
    """Knows what can be pressed, and nothing of what it does."""

    def __init__(self, viewer: Any, paths: list[Path], seed: int) -> None:
        self.viewer, self.paths, self.chance = viewer, paths, random.Random(seed)
        self.done: list[str] = []
        self.dock: Any = None
        self.open_dock()

    def open_dock(self) -> None:
        _, self.dock = self.viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")

    def close_dock(self) -> None:
        self.viewer.window.remove_dock_widget(self.dock)
        self.open_dock()

    def open_scan(self) -> None:
        if len(sessions_of(self.viewer.layers)) < 3:
            self.viewer.open(self.chance.choice(self.paths), plugin="napari-stemnmf")

    def choose_scan(self) -> None:
        page = self.dock.steps[self.dock.current]
        if hasattr(page, "scan") and page.scan.choices:
            page.scan.value = self.chance.choice(page.scan.choices)

    def choose_feature(self) -> None:
        page = self.dock.steps[self.dock.current]
        if hasattr(page, "feature") and page.feature.choices:
            page.feature.value = self.chance.choice(page.feature.choices)

    def show_step(self) -> None:
        self.dock.show_step(self.chance.choice(["start", *self.dock.buttons]))

    def press(self) -> None:
        page = self.dock.steps[self.dock.current]
        button = self.chance.choice([page.run, page.run, page.cancel])
        if button.native.isVisible() and button.native.isEnabled():
            QTest.mouseClick(button.native, LEFT)

    def remove_layer(self) -> None:
        if self.viewer.layers and self.chance.random() < 0.5:
            self.viewer.layers.remove(self.chance.choice(list(self.viewer.layers)))

    def select_layer(self) -> None:
        if self.viewer.layers:
            self.viewer.layers.selection.active = self.chance.choice(list(self.viewer.layers))

    def patterns(self) -> None:
        start = self.dock.show_step("start")
        if start.patterns.native.isVisible() and start.patterns.native.isEnabled():
            QTest.mouseClick(start.patterns.native, LEFT)

    def select_grain(self) -> None:
        for session in sessions_of(self.viewer.layers):
            for feature, grains in (session.analysis.grains if session.analysis else {}).items():
                if len(grains):
                    session.select_grain(feature, int(self.chance.choice(list(grains.ids))))

    def move_probe(self) -> None:
        for session in sessions_of(self.viewer.layers):
            rows, columns = session.scan_shape
            session.move_probe(self.chance.randrange(rows), self.chance.randrange(columns))

    def do(self) -> None:
        actions: list[Callable[[], None]] = [
            self.open_scan, self.choose_scan, self.choose_feature, self.show_step, self.show_step, self.press,
            self.press, self.press, self.remove_layer, self.select_layer, self.patterns, self.select_grain,
            self.move_probe,
        ]  # fmt: skip
        if self.chance.random() < 0.02:
            actions = [self.close_dock]
        action = self.chance.choice(actions)
        self.done.append(action.__name__)
        action()


def test_nothing_breaks(
    viewer: Any, qtbot: Any, scan_file: Path, other_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QMessageBox, "exec", lambda *_: 0)
    paths = [Path(shutil.copy(each, tmp_path)) for each in (scan_file, other_file)]
    viewer.window.resize(1280, 800)
    viewer.show()
    monkey = Monkey(viewer, paths, SEED)
    monkey.open_scan()
    monkey.open_scan()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        monkey.do()
        QTest.qWait(monkey.chance.choice([0, 10, 50, 200]))
        where = monkey.done[-8:]
        for session in sessions_of(viewer.layers):
            analysis = session.analysis
            if analysis is not None and session.dataset is not None:
                assert analysis.input.name == session.dataset.name, where
        seen = {session_of(each) for each in viewer.layers if each.visible} - {None}
        assert len(seen) <= 1, (where, [(each.name, each.visible) for each in viewer.layers])
        session = in_view.scan_in_view(viewer)
        of = {each.metadata.get(ROLE_KEY, "").partition("/")[2] for each in viewer.layers if each.visible} - {""}
        assert session is None or len(of & {"vdf", "aa", "rv", "bd"}) <= 1, (where, of)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=60_000)

    def ours() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith("napari-stemnmf")]

    qtbot.waitUntil(lambda: not ours(), timeout=30_000)
