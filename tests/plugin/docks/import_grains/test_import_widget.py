"""Import grains, clicked in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import napari_stemnmf as stem
from napari_stemnmf.export.results import export


def open_in(viewer: Any, analysis: stem.Analysis, folder: Path) -> None:
    analysis.save(folder / "a.stemnmf.h5")
    viewer.open(folder / "a.stemnmf.h5", plugin="napari-stemnmf")


def test_a_labels_layer_becomes_grains_and_review_can_undo_it(
    viewer: Any, tracked: stem.Analysis, tmp_path: Path, step: Any, click: Any, notifications: list[str]
) -> None:
    open_in(viewer, tracked, tmp_path)
    drawn = np.zeros(tracked.grains["vdf"].scan_shape, np.uint8)
    drawn[2:6, 3:9], drawn[10:14, 4:8] = 7, 9
    viewer.add_labels(drawn, name="mine")
    widget = step("Import grains")
    assert [name for name, _ in widget._sources()] == ["mine", "a file"]
    widget.source.value = viewer.layers["mine"]
    assert not widget.file.visible
    click(widget)
    session = widget.session
    grains = session.analysis.grains["vdf"]
    assert grains.ids.tolist() == [7, 9]
    assert np.array_equal(grains.labels, drawn)
    assert not session.analysis.is_current("tables/vdf")  # to be measured
    assert any("2 grains of VDF now" in message for message in notifications)
    session.undo("vdf")
    assert np.array_equal(session.analysis.grains["vdf"].ids, tracked.grains["vdf"].ids)
    widget.more.value = True
    click(widget)
    count, highest = len(tracked.grains["vdf"]), int(tracked.grains["vdf"].ids.max())
    assert session.analysis.grains["vdf"].ids[count:].tolist() == [highest + 1, highest + 2]


def test_a_file_that_is_no_labels_is_told_and_changes_nothing(
    viewer: Any, tracked: stem.Analysis, tmp_path: Path, step: Any, click: Any, notifications: list[str]
) -> None:
    open_in(viewer, tracked, tmp_path)
    widget = step("Import grains")
    click(widget)
    assert any("Choose a file" in message for message in notifications)
    np.save(tmp_path / "small.npy", np.ones((3, 4), np.uint8))
    widget.file.line_edit.value = str(tmp_path / "small.npy")
    click(widget)
    assert any("has 3 x 4 pixels, but the scan has 20 x 24 positions" in message for message in notifications)
    export(tracked, tmp_path / "out", ["stacks"])
    widget.file.line_edit.value = str(tmp_path / "out" / "stack-vdf.tif")
    click(widget)
    assert any("nothing was changed" in message for message in notifications)
    assert not widget.session.can_undo("vdf")
