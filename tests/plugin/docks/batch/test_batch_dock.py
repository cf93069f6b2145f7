"""The Batch dock: a folder of scans is run in the background, and what needs a look is reviewed one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

import napari_stemnmf as stem
from napari_stemnmf.plugin.docks.batch.model import Batch
from napari_stemnmf.plugin.session import sessions_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stem.sample((14, 16), (48, 48), seed=2).save(tmp_path / "one.h5")
    stem.sample((16, 18), (48, 48), seed=5).save(tmp_path / "two.h5")
    return tmp_path


def test_a_folder_is_run_and_reviewed(viewer: Any, qtbot: Any, folder: Path, notifications: list[str]) -> None:
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Batch")
    assert not dock.run.isEnabled()
    dock.add([folder / "nowhere"])
    dock.add([folder])
    assert [dock.files.item(i, 0).text() for i in range(dock.files.rowCount())][-2:] == ["one.h5", "two.h5"]
    dock.clear.click()
    dock.add([folder])
    dock.set_out(folder / "out")
    QTest.mouseClick(dock.run, Qt.MouseButton.LeftButton)
    assert dock.cancel.isEnabled()
    qtbot.waitUntil(lambda: dock._worker is None, timeout=180_000)
    assert "grain" in dock.files.item(0, 1).text()
    table = pd.read_csv(folder / "out" / "scans.csv")
    assert len(table) == 2
    assert not dock.run.isEnabled()  # all is done
    dock.open_for_review(1)
    (session,) = sessions_of(viewer.layers)
    assert session.path == folder / "out" / "two" / "analysis.stemnmf.h5"
    assert session.dataset is not None
    dock.open_for_review(0)
    (session,) = sessions_of(viewer.layers)  # the one before was saved, and is closed
    assert session.path == folder / "out" / "one" / "analysis.stemnmf.h5"


def test_a_batch_that_is_stopped_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch = Batch.of([folder / "one.h5", folder / "two.h5"], out)
    run = batch.run(stem.Recipe.preset("default"), out, 1)
    first = next(run)
    assert first.file.name == "one.h5"
    batch.cancel.set()
    assert list(run) == []
    assert batch.state(folder / "two.h5").startswith("stopped")
    batch.cancel.clear()
    assert [each.file.name for each in batch.run(stem.Recipe.preset("default"), out, 1)] == ["two.h5"]
    assert batch.fraction() == 1
    assert set(batch.to_review()) <= set(batch.files)
