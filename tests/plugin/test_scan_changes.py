"""A scan's file is written to while it is open in napari."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import napari_stemnmf as stem
from napari_stemnmf.plugin.session import sessions_of


def test_a_scan_that_changes_while_it_is_open_is_one_notification_and_loses_nothing(
    viewer: Any, step: Any, click: Any, scan_file: Path, tmp_path: Path, qtbot: Any, notifications: list[str]
) -> None:
    path = tmp_path / "scan.h5"
    shutil.copy(scan_file, path)
    viewer.open(path, plugin="napari-stemnmf")
    (session,) = sessions_of(viewer.layers)
    click(step("Calibrate"))
    before, layers = session.analysis, [layer.name for layer in viewer.layers]
    assert before is not None
    assert before.peaks is not None
    stem.sample((20, 24), (64, 64), seed=9).save(path)
    featurize = step("Featurize")
    notifications.clear()  # what napari itself says of layers in several units
    click(featurize)
    assert len(notifications) == 1
    assert "has changed since it was opened; open it again" in notifications[0]
    assert session.analysis.peaks is before.peaks
    assert session.analysis.calibration is before.calibration
    assert [layer.name for layer in viewer.layers] == layers
    assert not session.analysis.features
