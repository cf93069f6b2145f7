"""The new user's ten minutes, with real mouse and keys: from an empty window to grains, a look at them, and a table.

Decisions are counted: a press that somebody has to choose among others. There may be eight at most.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

LEFT = Qt.MouseButton.LeftButton
MOST = 8


class User:
    """Sits before an empty window of 1280 x 800, and counts what had to be decided."""

    def __init__(self, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.viewer, self.qtbot, self.decisions = viewer, qtbot, 0
        self._monkeypatch = monkeypatch
        viewer.window.resize(1280, 800)
        viewer.show()
        viewer.window.activate()
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
        self.wait(self.dock.isVisible)
        self.start = self.dock.step("start")

    def wait(self, until: Callable[[], Any], seconds: float = 60.0) -> None:
        self.qtbot.waitUntil(lambda: bool(until()), timeout=int(1000 * seconds))

    def press(self, button: Any) -> None:
        """A click that had to be decided on, on a button that is seen and inside the window."""
        native = button if isinstance(button, QWidget) else button.native
        self.wait(lambda: native.isVisible() and native.isEnabled(), 20.0)
        window = native.window()
        corner = native.mapTo(window, native.rect().bottomRight())
        assert window.rect().contains(corner), f"{native.text()} is cut off"
        self.decisions += 1
        QTest.mouseClick(native, LEFT, pos=native.rect().center())
        QTest.qWait(50)

    def key(self, key: Any, *, decided: bool = True) -> None:
        """A key on the canvas."""
        inside = self.dock.window()
        canvas = next(w for w in QApplication.allWidgets() if w.inherits("QOpenGLWidget") and w.window() is inside)
        canvas.setFocus()
        self.decisions += decided
        QTest.keyClick(canvas, key)
        QTest.qWait(50)

    def choose_file(self, path: Path) -> None:
        """The answer to the next question for a file."""
        self._monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_, **__: (str(path), ""))
        self.decisions += 1

    @property
    def session(self) -> Any:
        return self.start.session


@pytest.fixture
def user(viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> User:
    return User(viewer, qtbot, monkeypatch)


def ten_minutes(user: User, results: Path, notifications: list[str]) -> pd.DataFrame:
    """From the open scan to the exported table."""
    user.wait(lambda: user.session is not None)
    assert "positions" in user.start.about.text()
    user.wait(lambda: all(b.isEnabled() for b in user.start.pictures.buttons.values()))
    assert "Find grains:" in user.start.cost.value
    user.press(user.start.run)
    user.wait(lambda: user.start.card.isVisible(), 150.0)
    said = user.start.result.text()
    assert "grains" in said
    assert "look" in said
    assert "of the diffracted intensity not explained" in said
    user.press(user.start.review)
    review = user.dock.steps["review"]
    user.wait(lambda: review.native.isVisible())
    user.key(Qt.Key.Key_N, decided=False)
    feature = str(review.feature.value)
    grain = user.session.selected[feature]
    user.key(Qt.Key.Key_A)
    verdicts = user.session.review(feature).verdicts()["verdict"]
    assert verdicts[grain] == "accepted"
    user.press(user.dock.home)
    user.press(user.start.export)
    (export,) = (widget for name, widget in user.viewer.window.dock_widgets.items() if name.startswith("Export"))
    export.folder.value = results
    user.press(export.run)
    user.wait(lambda: user.session.running is None and list(results.glob("*.csv")))
    assert not [each for each in notifications if "Inconsistent" in each]
    assert user.decisions <= MOST
    (path,) = results.glob("*.csv")
    return pd.read_csv(path)


def test_from_the_sample_to_a_table(user: User, tmp_path: Path, notifications: list[str]) -> None:
    user.press(user.start.sample)
    table = ten_minutes(user, tmp_path / "results", notifications)
    assert 15 <= len(table) <= 25
    seen = {layer.name for layer in user.viewer.layers if layer.visible}
    assert seen == {"silver virtual image", "silver VDF grains", "silver VDF marks"}


def test_from_a_file_to_a_table(user: User, scan_file: Path, tmp_path: Path, notifications: list[str]) -> None:
    path = shutil.copy(scan_file, tmp_path)
    user.choose_file(Path(path))
    user.press(user.start.open)
    assert len(ten_minutes(user, tmp_path / "results", notifications)) >= 1


@pytest.mark.slow
def test_from_a_shared_film_to_a_table(user: User, shared: Path, tmp_path: Path, notifications: list[str]) -> None:
    path = shutil.copy(shared / "films" / "ag2_small.h5", tmp_path)
    user.choose_file(Path(path))
    user.press(user.start.open)
    assert len(ten_minutes(user, tmp_path / "results", notifications)) >= 20
