"""What the Measure step says before it runs and after; which button the status names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.plugin.docks.measure import model
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.status import next_button, status


def said(analysis: stem.Analysis, feature: str = "aa") -> str:
    grains = analysis.grains.get(feature)
    changed = None if grains is None else model.grains_to_measure((analysis, feature))
    return model.plan(grains, analysis.tables.get(feature), changed)


def test_before_measuring_it_is_said_for_how_many_grains(analysis: stem.Analysis) -> None:
    many = len(analysis.grains["aa"])
    assert said(analysis) == f"{many} grains, all measured as they are now."
    fresh = replace(analysis, tables={}, patterns={})
    assert said(fresh) == f"{many} grains, none measured yet."
    first = int(analysis.grains["aa"].ids[0])
    edited = pipeline.edit(analysis, "aa", Edit("delete", (first,)))
    assert "1 in the table no longer there" in said(edited)
    assert said(replace(analysis, grains={})) == "There are no grains yet."


def test_a_table_is_told_in_words(analysis: stem.Analysis) -> None:
    table = analysis.tables["aa"]
    assert model.in_short(table).startswith(f"{len(table)} grains measured, median diameter ")
    rows = dict(model.findings(table))
    assert rows["Diameter"].endswith(" nm")
    assert rows["Grains"].startswith(f"{len(table)}, ")
    assert model.in_short(table[:0]) == "no grains"
    pixels = table[[name for name in table if not name.endswith(("_nm", "_nm2"))]]
    assert dict(model.findings(pixels))["Area"].endswith(" px")


def test_the_status_names_the_button(scan_file: Path, analysis: stem.Analysis) -> None:
    session = Session(stem.open(scan_file))
    assert "First look" in next_button(session, "calibrate", "")
    assert status(session, "featurize", "aa").endswith("Press Featurize, which calibrates first.")
    assert "run Featurize" in status(session, "cluster", "aa")  # what is in the way comes first
    session.set_recipe(analysis.recipe)
    session.set_analysis(analysis)
    assert next_button(session, "featurize", "aa") == "Go on with Cluster."
    assert next_button(session, "measure", "aa") == "Go on with Review."
    session.edit("aa", Edit("delete", (int(analysis.grains["aa"].ids[0]),)))
    text = status(session, "measure", "aa")
    assert "Stale: grains were edited." in text
    assert text.endswith("Press Measure to bring it up to date.")
    session.set_recipe(analysis.recipe.replaced({"aa.featurize.angle_step": 10.0}))
    assert next_button(session, "featurize", "aa") == "Press Featurize to bring it up to date."


def test_measure_takes_only_what_was_edited(
    viewer: Any, qtbot: Any, scan_file: Path, analysis: stem.Analysis, step: Callable[..., Any], click: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    dock = step("Measure")
    session = dock.session
    session.set_recipe(analysis.recipe)
    session.set_analysis(analysis)
    qtbot.waitUntil(lambda: "all measured" in dock.about.text(), timeout=10_000)
    assert dock.cost.value == "Measure: nothing to do"
    assert "median" in dock.found.text()
    session.edit("aa", Edit("delete", (int(analysis.grains["aa"].ids[0]),)))
    qtbot.waitUntil(lambda: "no longer there" in dock.about.text(), timeout=10_000)
    assert "GB" in dock.cost.value
    click(dock)
    qtbot.waitUntil(lambda: "all measured" in dock.about.text(), timeout=10_000)
    assert len(session.analysis.tables["aa"]) == len(analysis.grains["aa"]) - 1
