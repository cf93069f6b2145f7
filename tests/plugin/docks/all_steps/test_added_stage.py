"""A stage that was added to the table has a button in the bar of steps and a dock to run it with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import napari_stemnmf as stem
from napari_stemnmf import stages
from napari_stemnmf.stages import Stage

ADDED = Stage(
    "count", "counts", "grains", lambda task: {name: len(task.found.grains[name]) for name in task.features}, each=True,
    button="Count", about="how many grains there are", noun="Counts",
)  # fmt: skip


def test_the_bar_of_steps_has_an_added_stage_and_runs_it(
    viewer: Any, scan_file: Path, analysis: stem.Analysis, monkeypatch: pytest.MonkeyPatch, qtbot: Any, click: Any
) -> None:
    from napari_stemnmf.plugin.docks.all_steps.widget import StagesWidget
    from napari_stemnmf.plugin.session import session_of

    monkeypatch.setattr(stages, "STAGES", (*stages.STAGES, ADDED))
    viewer.open(scan_file, plugin="napari-stemnmf")
    session = session_of(viewer.layers[0])
    assert session is not None
    session.recipe = analysis.recipe
    session.set_analysis(analysis)
    dock = StagesWidget(viewer)
    viewer.window.add_dock_widget(dock)
    names = list(dock.buttons)
    assert names.index("count") == names.index("measure") + 1
    assert dock.buttons["count"].text().startswith("Count")
    assert "·" in dock.buttons["count"].text()
    step = dock.show_step("count")
    assert "Press Count" in step.status.value
    click(step)
    assert session.result("count", "aa") == len(analysis.grains["aa"])
    assert "✓" in dock.buttons["count"].text()
    assert "Counts AA: done." in step.status.value
