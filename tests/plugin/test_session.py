"""The state of a scan, and its status in words, without Qt."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.control import Running
from napari_stemnmf.plugin import session as session_module
from napari_stemnmf.plugin.forms.choosing_step import preset_name
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.status import status


@pytest.fixture
def session(analysis: stem.Analysis, scan_file: object) -> Session:
    return Session(stem.open(scan_file), analysis)  # type: ignore[arg-type]


def test_session_and_what_docks_show_need_no_qt() -> None:
    plugin = Path(session_module.__file__).parent
    models = [f"docks.{path.parent.name}.model" for path in plugin.glob("docks/*/model.py")]
    assert len(models) >= 9
    modules = [f"napari_stemnmf.plugin.{name}" for name in ("session", "status", *models)]
    code = f"import sys, {', '.join(modules)}; print([m for m in ('qtpy', 'napari', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_a_scan_the_status_says_how_to_get_one() -> None:
    assert "drop its file" in status(None, "featurize", "aa")


def test_a_fresh_scan_is_described_and_everything_is_missing(scan_file: object) -> None:
    session = Session(stem.open(scan_file))  # type: ignore[arg-type]
    text = status(session, "featurize", "aa")
    assert "20 × 24 patterns of 64 × 64 pixels, uint16" in text
    assert "Scan step 0.5 nm" in text
    assert "Features VDF: not done yet." in text
    assert session.obstacle("featurize", "aa") == ""
    assert "run Featurize" in session.obstacle("cluster", "aa")
    assert "run Cluster" in status(session, "refine", "aa")


def test_results_are_counted(session: Session) -> None:
    text = status(session, "measure", "aa")
    assert f"{session.analysis.models['aa'].k} components" in text  # type: ignore[union-attr]
    assert "best of 2 of 2 seeds" in text
    assert f"{len(session.analysis.grains['aa'])} grains" in text  # type: ignore[union-attr]
    assert "tale" not in text


def test_a_changed_setting_makes_stale_what_depends_on_it(session: Session) -> None:
    session.set_recipe(session.recipe.replaced({"aa.clustering.merge_threshold": 0.11}))
    states = {step: session.state(step, "aa") for step in ("featurize", "cluster", "refine", "measure")}
    assert states == {"featurize": "done", "cluster": "stale", "refine": "stale", "measure": "stale"}
    assert session.state("cluster", "rv") == "done"
    assert "run Cluster for AA again" in session.obstacle("refine", "aa")
    session.set_recipe(session.recipe.replaced({"aa.clustering.merge_threshold": 0.5}))
    assert session.state("measure", "aa") == "done"


def test_a_running_step_holds_the_others_back(session: Session) -> None:
    seen = []
    session.changed.connect(lambda: seen.append(session.running))
    session.start(Running("Cluster AA"))
    assert session.obstacle("refine", "aa") == "Cluster AA is running."
    session.finish()
    assert session.obstacle("refine", "aa") == ""
    assert len(seen) == 2


def test_an_analysis_without_its_scan_can_be_refined_but_not_measured(analysis: stem.Analysis) -> None:
    session = Session(None, analysis)
    assert session.obstacle("refine", "aa") == ""
    assert "open its file" in session.obstacle("measure", "aa")


def test_the_preset_is_recognised_until_a_setting_differs(session: Session) -> None:
    session.set_recipe(stem.Recipe.preset("paper", ["aa"]))
    assert preset_name(session.recipe) == "paper"
    session.set_recipe(session.recipe.replaced({"aa.clustering.seeds": 3}))
    assert preset_name(session.recipe) == ""


def test_a_copied_layer_stays_with_its_scan(session: Session) -> None:
    assert copy.deepcopy({"stemnmf_session": session})["stemnmf_session"] is session


def test_a_grain_that_is_no_more_is_selected_no_more(session: Session) -> None:
    heard: list[tuple[str, int]] = []
    session.grain_selected.connect(lambda *what: heard.append(what))
    first, *_, last = session.analysis.grains["aa"].ids.tolist()  # type: ignore[union-attr]
    keep = np.arange(len(session.analysis.grains["aa"])) == 0  # type: ignore[union-attr]
    fewer = session.analysis.with_result("grains/aa", session.analysis.grains["aa"].subset(keep))  # type: ignore[union-attr]
    for grain, left in ((last, 0), (first, first)):
        session.select_grain("aa", grain)
        whole = session.analysis
        session.set_analysis(fewer)
        assert session.selected["aa"] == left
        session.set_analysis(whole)
    assert heard == [("aa", last), ("aa", 0), ("aa", first)]
    session.set_analysis(None)
    assert session.selected["aa"] == 0
