"""Run recipe: all steps with one button, cancelled or not, and what may not be lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

import napari_stemnmf as stem
from napari_stemnmf.errors import RecipeError
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.stages import steps

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def answer(words: str) -> list[str]:
    """Press a button of the question that will come; returns what was asked."""
    asked: list[str] = []

    def press() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(20, press)
            return
        asked.append(box.text())
        next(button for button in box.buttons() if button.text() == words).click()

    QTimer.singleShot(20, press)
    return asked


def test_one_button_runs_what_is_missing_and_asks_before_a_review_is_lost(
    viewer: Any, scan_file: Path, step: Any, click: Any, layer: Any, qtbot: Any, tmp_path: Path
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    widget = step("Run recipe")
    session = widget.session
    for name, box in widget.chosen.items():
        box.value = name == "aa"
    parts: list[str] = []
    watch = QTimer()
    watch.timeout.connect(lambda: parts.append(session.running.line()) if session.running is not None else None)
    watch.start(1)

    def done() -> None:
        qtbot.waitUntil(lambda: session.running is None, timeout=60_000)

    click(widget, wait=False)
    done()
    assert [session.state(each.name, "aa") for each in steps()] == ["done"] * 5
    watch.stop()
    begun = list(dict.fromkeys(re.split("[:(]", line)[0].strip() for line in parts if line[0].isdigit()))
    assert {"1/7 Survey", "5/7 Cluster AA", "7/7 Measure"} <= set(begun)
    assert begun == sorted(begun)
    assert "dissimilarity" in layer("AA grains").features
    assert widget.plan.text().count("✓") == 5

    session.edit("aa", Edit("accept", (int(session.analysis.grains["aa"].ids[0]),)))
    reviewed = session.analysis.grains["aa"]
    session.set_recipe(session.recipe.replaced({"aa.refinement.min_size": 9}))
    assert "↻" in widget.plan.text()
    assert layer("AA grains").visible
    asked = answer("Keep")
    click(widget, wait=False)
    assert asked == ["film was reviewed by hand: 1 edit of AA."]
    assert session.running is None
    answer("Replace")
    click(widget, wait=False)
    done()
    assert session.analysis.grains["aa"] is not reviewed
    assert session.review("aa") is None

    (tmp_path / "mine.toml").write_text(stem.Recipe.preset("paper").to_toml())
    widget.take_recipe(tmp_path / "mine.toml")
    assert session.recipe == stem.Recipe.preset("paper")
    assert widget.preset.value == "paper"
    with pytest.raises(RecipeError, match="cannot be read"):
        widget.take_recipe(tmp_path / "none.toml")


def test_cancel_ends_the_whole_run_and_keeps_what_was_done(
    viewer: Any, scan_file: Path, step: Any, click: Any, qtbot: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    widget = step("Run recipe")
    session = widget.session
    session.set_recipe(session.recipe.replaced({"features": ["aa"], "aa.clustering.seeds": 50}))
    click(widget, wait=False)
    qtbot.waitUntil(lambda: session.running is not None and "Cluster" in session.running.line(), timeout=30_000)
    widget.cancel.native.click()
    qtbot.waitUntil(lambda: session.running is None, timeout=10_000)
    assert session.running is None
    assert session.state("featurize", "aa") == "done"
    assert session.state("cluster", "aa") != "done"
    assert session.result("refine", "aa") is None
    assert widget.run.enabled
