"""Export, clicked in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import napari_stemnmf as stem
from napari_stemnmf.export.formats import FORMATS

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def test_what_is_ticked_is_written_and_said(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any, click: Any, notifications: list[str]
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    widget = step("Export")
    assert Path(str(widget.folder.line_edit.value)) == tmp_path / "film-results"
    for name, box in widget.ticks.items():
        box.value = name in ("csv", "recipe")
    click(widget)
    assert {path.name for path in (tmp_path / "film-results").iterdir()} == {
        "grains-aa.csv", "grains-rv.csv", "grains-bd.csv", "recipe.toml",
    }  # fmt: skip
    assert f"Wrote 4 files to {tmp_path / 'film-results'}." in widget.status.value
    assert any("grains-rv.csv, " in message for message in notifications)
    widget.ticks["csv"].value = False
    widget.grains.value = "accepted only"
    widget.ticks["labels"].value = True
    widget.folder.line_edit.value = str(tmp_path / "a.stemnmf.h5")
    click(widget)
    assert any("cannot be made" in message for message in notifications)
    assert widget.run.enabled


def test_formats_of_other_programs_are_offered_and_written(
    viewer: Any, tracked: stem.Analysis, tmp_path: Path, step: Any, click: Any, notifications: list[str]
) -> None:
    """The ticks are the rows of the table of formats; what needs orientations says so, the rest is written."""
    tracked.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    widget = step("Export")
    assert list(widget.ticks) == [row.name for row in FORMATS]
    for name, box in widget.ticks.items():
        assert box.tooltip
        box.value = name in ("py4dstem", "ome-zarr", "coco", "orix")
    click(widget)
    assert {path.name for path in (tmp_path / "film-results").iterdir()} == {
        "py4dstem-vdf.h5", "grains-vdf.ome.zarr", "grains-vdf.coco.json", "grains-vdf.coco.png",
    }  # fmt: skip
    assert any("are not indexed" in message for message in notifications)
