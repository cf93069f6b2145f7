"""Saving, finding again and reopening, in a real window."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.plugin.session import session_of

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


@pytest.fixture
def film(scan_file: Path, tmp_path: Path) -> Path:
    """A scan in a folder of its own."""
    return Path(shutil.copy2(scan_file, tmp_path / "film.h5"))


def dock(viewer: Any) -> Any:
    _, stages = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    return stages


def test_work_is_saved_offered_again_and_goes_on(
    viewer: Any, film: Path, analysis: stem.Analysis, qtbot: Any, autosave: None, layer: Any, notifications: list[str]
) -> None:
    from napari_stemnmf.analysis import Input

    home = film.with_name("film.stemnmf.h5")
    found = replace(analysis, input=Input.of(stem.open(film)))
    viewer.open(film, plugin="napari-stemnmf")
    stages = dock(viewer)
    saved, session = stages.saved, session_of(viewer.layers[0])
    assert saved.message.text() == "Results are saved beside the scan as soon as there are some."
    assert not saved.save_as.isEnabled()
    assert session is not None
    session.set_analysis(found)
    session.move_probe(2, 5)
    first = int(found.grains["rv"].ids[0])
    session.edit("rv", Edit("reject", (first,)))
    qtbot.waitUntil(lambda: "Saved to film.stemnmf.h5" in saved.message.text(), timeout=20_000)
    assert saved.message.toolTip() == str(home)

    viewer.layers.clear()
    viewer.open(film, plugin="napari-stemnmf")
    again = session_of(viewer.layers[0])
    assert again is not None
    assert again is not session
    qtbot.waitUntil(lambda: saved.open_earlier.isVisibleTo(stages), timeout=20_000)
    assert "There is an earlier analysis of this scan: film.stemnmf.h5." in saved.message.text()
    saved.open_earlier.click()
    qtbot.waitUntil(lambda: again.analysis is not None, timeout=20_000)
    assert again.position == (2, 5)
    assert again.review("rv").verdicts()["verdict"][first] == "rejected"  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: any(each.name.endswith("BD grains") for each in viewer.layers), timeout=20_000)
    assert layer("AA grains").visible
    assert layer("virtual image")
    assert not saved.open_earlier.isVisibleTo(stages)
    again.undo("rv")
    saver = again.saver
    assert saver is not None
    assert saver.wait(20)
    assert not stem.Analysis.load(home).reviews["rv"].edits
    lock = ".film.stemnmf.h5.lock"  # as long as the scan is open
    assert {each.name for each in film.parent.glob("*film*")} == {"film.h5", "film.stemnmf.h5", lock}

    viewer.layers.save(str(film.with_name("copy.stemnmf.h5")), plugin="napari-stemnmf")
    assert again.path == film.with_name("copy.stemnmf.h5")
    qtbot.waitUntil(lambda: "Saved to copy.stemnmf.h5" in saved.message.text(), timeout=5_000)
    assert [m for m in notifications if not m.startswith("Inconsistent units")] == []


def test_a_lost_scan_can_be_found_again_and_only_that_one(
    viewer: Any, film: Path, other_file: Path, analysis: stem.Analysis, qtbot: Any, autosave: None,
    notifications: list[str],
) -> None:  # fmt: skip
    from napari_stemnmf.analysis import Input

    kept = film.parent / "kept"
    kept.mkdir()
    replace(analysis, input=Input.of(stem.open(film))).save(kept / "film.stemnmf.h5")
    elsewhere = film.rename(film.parent / "renamed.h5")
    viewer.open(kept / "film.stemnmf.h5", plugin="napari-stemnmf")
    stages = dock(viewer)
    saved, session = stages.saved, session_of(viewer.layers[0])
    assert session is not None
    assert session.dataset is None
    assert "The scan film.h5 is not available" in saved.message.text()
    session.edit("aa", Edit("accept", (int(session.analysis.grains["aa"].ids[0]),)))  # type: ignore[union-attr]
    saved.look_at(other_file)
    qtbot.waitUntil(lambda: saved.find_scan.isEnabled(), timeout=20_000)
    assert any("needs 480 patterns, but wire.h5 has 288" in message for message in notifications)
    assert session.dataset is None
    saved.look_at(elsewhere)
    qtbot.waitUntil(lambda: session.dataset is not None, timeout=20_000)
    assert not saved.find_scan.isVisibleTo(stages)
    assert session.state("measure", "aa") == "done"
    assert session.saver is not None
    assert session.saver.wait(20)
    assert stem.Analysis.load(kept / "film.stemnmf.h5").input.source.startswith(str(elsewhere))
    shutil.rmtree(kept)
    session.undo("aa")
    assert session.saver.wait(20)
    told = f"The analysis of {session.name} was not saved: no such file or directory ({kept}); press Save as…"
    qtbot.waitUntil(lambda: told in notifications, timeout=5_000)
    qtbot.waitUntil(lambda: "Not saved: no such file or directory" in saved.message.text(), timeout=5_000)


def test_without_a_place_the_line_says_so(viewer: Any, analysis: stem.Analysis, qtbot: Any, tmp_path: Path) -> None:
    from napari.settings import get_plugin_settings

    viewer.open_sample("napari-stemnmf", "silver_grains")
    stages = dock(viewer)
    saved, session = stages.saved, session_of(viewer.layers[0])
    assert session is not None
    assert saved.message.text() == "Nothing to save yet."
    get_plugin_settings("napari-stemnmf").saving.autosave = True
    session.set_analysis(analysis)
    assert saved.message.text() == "Not saved: this scan has no file to be saved beside; press Save as…"
    saved.save_to(tmp_path / "sample.stemnmf.h5")
    qtbot.waitUntil(lambda: "Saved to sample.stemnmf.h5" in saved.message.text(), timeout=20_000)
    session.move_probe(1, 1)
    session.edit("aa", Edit("accept", (int(analysis.grains["aa"].ids[0]),)))
    assert session.saver is not None
    assert session.saver.wait(20)
    assert stem.Analysis.load(tmp_path / "sample.stemnmf.h5").view["position"] == (1, 1)


@pytest.mark.slow
def test_a_program_that_is_killed_leaves_a_whole_file(film: Path, analysis: stem.Analysis, tmp_path: Path) -> None:
    from napari_stemnmf.analysis import Input

    given = tmp_path / "given.stemnmf.h5"
    replace(analysis, input=Input.of(stem.open(film))).save(given)
    code = """
import sys
import napari_stemnmf as stem
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.plugin.saving import autosave
from napari_stemnmf.plugin.session import Session
autosave.SOON = 0.01
session = autosave.watch(Session(stem.open(sys.argv[1])))
session.set_analysis(stem.Analysis.load(sys.argv[2]))
grains = [int(i) for i in session.analysis.grains["aa"].ids]
print("ready", flush=True)
for i in range(100_000):
    session.edit("aa", Edit("comment", (grains[i % len(grains)],), str(i)))
    session.saver.wait(0.02)
"""
    home = film.with_name("film.stemnmf.h5")
    for pause in np.linspace(0.3, 1.2, 4):
        home.unlink(missing_ok=True)
        run = subprocess.Popen(
            [sys.executable, "-c", code, str(film), str(given)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(pause)
        run.kill()
        run.wait()
        run.stdout.close()
        if home.exists():
            assert stem.Analysis.load(home).grains.keys() == analysis.grains.keys()
    assert home.exists()
    assert stem.Analysis.load(home).reviews["aa"].edits
