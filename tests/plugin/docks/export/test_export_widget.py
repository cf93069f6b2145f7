"""Export, clicked in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import napari_stemnmf as stem

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def test_what_is_ticked_is_written_and_said(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any, click: Any, notifications: list[str]
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    widget = step("Export")
    assert Path(str(widget.folder.line_edit.value)) == tmp_path / "film-results"
    for name, box in widget.ticks.items():
        box.value = name == "recipe"
    click(widget)
    assert {path.name for path in (tmp_path / "film-results").iterdir()} == {
        "grains-aa.csv", "grains-rv.csv", "grains-bd.csv", "recipe.toml",
    }  # fmt: skip
    assert f"Wrote 4 files to {tmp_path / 'film-results'}." in widget.status.value
    assert any("grains-rv.csv, " in message for message in notifications)
    widget.tables.value = "none"
    widget.grains.value = "accepted only"
    widget.ticks["labels"].value = True
    widget.folder.line_edit.value = str(tmp_path / "a.stemnmf.h5")
    click(widget)
    assert any("cannot be made" in message for message in notifications)
    assert widget.run.enabled
