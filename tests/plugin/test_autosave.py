"""The analysis is saved by itself, found again, never overwritten unasked, and errors lose nothing."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.files.locks import lock_of
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.plugin.saving import autosave
from napari_stemnmf.plugin.session import Session

pytestmark = pytest.mark.usefixtures("plugin_settings")
TIMEOUT = 20.0


@pytest.fixture
def film(scan_file: Path, tmp_path: Path) -> Path:
    """A scan in a folder of its own."""
    return Path(shutil.copy2(scan_file, tmp_path / "film.h5"))


@pytest.fixture
def found(film: Path, analysis: stem.Analysis) -> stem.Analysis:
    """What was found in that scan."""
    from napari_stemnmf.analysis import Input

    return replace(analysis, input=Input.of(stem.open(film)))


def watched(path: Path, **given: Any) -> tuple[Session, autosave.Saver]:
    session = autosave.watch(Session(stem.open(path), **given))
    return session, autosave.saver_of(session)


def test_a_burst_of_changes_is_saved_once_beside_the_scan_with_settings_and_view(
    film: Path, found: stem.Analysis
) -> None:
    session, saver = watched(film)
    assert "as soon as" in saver.line()
    events: list[str] = []
    saver.happened.connect(lambda: events.append(saver.line()))
    session.set_analysis(found)
    assert "Saving" in saver.line()
    session.move_probe(3, 4)
    ids = [int(i) for i in session.analysis.grains["aa"].ids]  # type: ignore[union-attr]
    session.select_grain("aa", ids[1])
    for grain in ids:
        session.edit("aa", Edit("accept", (grain,)))
    assert saver.wait(TIMEOUT)
    home = film.with_name("film.stemnmf.h5")
    assert session.path == home
    deadline = time.monotonic() + TIMEOUT  # that it is saved is told after it is
    while "Saving" in events[-1] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert f"Saved to {home.name}, " in events[-1]
    assert sum("Saved" in each for each in events) == 1

    session.set_recipe(session.recipe.replaced({"aa.refinement.min_size": 9}))
    saver.save_now()
    assert saver.wait(TIMEOUT)
    again = Session(None, stem.Analysis.load(home), path=home)
    assert again.recipe == session.recipe
    assert again.state("refine", "aa") == "stale"
    assert (again.position, again.selected) == ((3, 4), {"aa": ids[1]})
    assert (again.review("aa").verdicts()["verdict"] == "accepted").all()  # type: ignore[union-attr]


def test_what_lies_beside_the_scan_is_offered_or_left_alone(
    film: Path, found: stem.Analysis, other_file: Path, analysis: stem.Analysis
) -> None:
    home = film.with_name("film.stemnmf.h5")
    replace(analysis, input=replace(analysis.input, fingerprint="other")).save(home)
    session, saver = watched(film)
    session.set_analysis(found)
    assert saver.wait(TIMEOUT)
    assert session.path == film.with_name("film-2.stemnmf.h5")
    assert autosave.fingerprint_of(home) == "other"

    second, other = watched(film)  # the same scan, opened twice: the one finds what the other has saved
    until = time.monotonic() + TIMEOUT
    while other.earlier is None and time.monotonic() < until:
        time.sleep(0.01)
    assert other.earlier == film.with_name("film-2.stemnmf.h5")
    second.set_analysis(replace(found, grains={}, tables={}, keys={}))
    assert other.wait(TIMEOUT)
    assert second.path == film.with_name("film-3.stemnmf.h5")
    assert stem.Analysis.load(session.path).grains.keys() == found.grains.keys()

    second.go_on_from(stem.Analysis.load(session.path), session.path)  # it was opened: now it is the second's
    session.edit("aa", Edit("comment", (int(found.grains["aa"].ids[0]),), "still waiting to be saved"))
    session.go_on_from(stem.Analysis.load(film.with_name("film-3.stemnmf.h5")), film.with_name("film-3.stemnmf.h5"))
    assert saver.wait(TIMEOUT)
    assert session.path == film.with_name("film-3.stemnmf.h5")
    assert not stem.Analysis.load(film.with_name("film-3.stemnmf.h5")).grains
    second.edit("aa", Edit("accept", (int(found.grains["aa"].ids[0]),)))
    assert other.wait(TIMEOUT)
    assert stem.Analysis.load(film.with_name("film-2.stemnmf.h5")).reviews.keys() == {"aa"}


def test_a_file_that_another_program_has_written_to_is_not_overwritten(film: Path, found: stem.Analysis) -> None:
    session, saver = watched(film)
    session.set_analysis(found)
    assert saver.wait(TIMEOUT)
    found.save(film.with_name("film.stemnmf.h5"))
    os.utime(film.with_name("film.stemnmf.h5"), (1, 1))
    session.edit("aa", Edit("accept", (int(found.grains["aa"].ids[0]),)))
    assert saver.wait(TIMEOUT)
    assert session.path == film.with_name("film-2.stemnmf.h5")
    assert not stem.Analysis.load(film.with_name("film.stemnmf.h5")).reviews


def test_a_failed_save_is_one_sentence_and_loses_nothing(film: Path, found: stem.Analysis, tmp_path: Path) -> None:
    session, saver = watched(film)
    gone = tmp_path / "gone"
    gone.mkdir()
    session.set_analysis(found)
    saver.save_as(gone / "mine.stemnmf.h5")
    assert saver.wait(TIMEOUT)
    assert session.path == gone / "mine.stemnmf.h5"
    shutil.rmtree(gone)
    session.edit("aa", Edit("accept", (int(found.grains["aa"].ids[0]),)))
    assert saver.wait(TIMEOUT)
    assert saver.line() == f"Not saved: no such file or directory ({gone}); press Save as…"
    saver.save_as(tmp_path / "mine.stemnmf.h5")
    assert saver.wait(TIMEOUT)
    assert "Saved to mine.stemnmf.h5" in saver.line()
    assert "aa" in stem.Analysis.load(tmp_path / "mine.stemnmf.h5").reviews
    (tmp_path / "notes.stemnmf.h5").write_text("not an analysis")
    saver.save_as(tmp_path / "notes.stemnmf.h5")
    assert saver.wait(TIMEOUT)
    assert "is not a napari-stemnmf analysis" in saver.line()
    assert (tmp_path / "notes.stemnmf.h5").read_text() == "not an analysis"


def test_a_full_disk_leaves_the_file_as_it_was(film: Path, found: stem.Analysis) -> None:
    found.save(film.with_name("film.stemnmf.h5"))
    code = """
import resource, sys
import napari_stemnmf as stem
from napari_stemnmf.plugin.saving import autosave
from napari_stemnmf.plugin.session import Session
path = sys.argv[1]
analysis = stem.Analysis.load(path)
session = autosave.watch(Session(None, analysis, path=__import__("pathlib").Path(path)))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
session.saver.save_as(session.path)
assert session.saver.wait(20)
print(session.saver.line())
"""
    home = film.with_name("film.stemnmf.h5")
    before = home.read_bytes()
    done = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"Not saved: file too large ({home.parent}); press Save as…"
    assert home.read_bytes() == before
    assert [each.name for each in film.parent.iterdir() if each.name.startswith(".")] == []


def test_scans_of_the_same_name_do_not_mix(film: Path, found: stem.Analysis, other_file: Path) -> None:
    (film.parent / "other").mkdir()
    twin = Path(shutil.copy2(other_file, film.parent / "other" / "film.h5"))
    (first, saver), (second, other) = watched(film), watched(twin)
    assert first.name == second.name
    first.set_analysis(found)
    second.set_analysis(pipeline.start(stem.open(twin), found.recipe))
    assert saver.wait(TIMEOUT)
    assert other.wait(TIMEOUT)
    assert (first.path, second.path) == (film.with_name("film.stemnmf.h5"), twin.with_name("film.stemnmf.h5"))
    for path in (film, twin):
        home = path.with_name("film.stemnmf.h5")
        assert autosave.fingerprint_of(home) == stem.open(path).fingerprint()


@pytest.mark.slow
def test_a_program_that_ends_at_once_still_saves(film: Path, found: stem.Analysis, tmp_path: Path) -> None:
    found.save(tmp_path / "given.stemnmf.h5")
    code = """
import sys
import napari_stemnmf as stem
from napari_stemnmf.plugin.saving import autosave
from napari_stemnmf.plugin.session import Session
session = autosave.watch(Session(stem.open(sys.argv[1])))
session.set_analysis(stem.Analysis.load(sys.argv[2]))
"""
    subprocess.run([sys.executable, "-c", code, str(film), str(tmp_path / "given.stemnmf.h5")], check=True, timeout=60)
    assert stem.Analysis.load(film.with_name("film.stemnmf.h5")).grains.keys() == found.grains.keys()


def test_a_file_that_another_process_writes_to_is_left_to_it(film: Path, found: stem.Analysis) -> None:
    home = film.with_name("film.stemnmf.h5")
    session, saver = watched(film)
    session.set_analysis(found)
    assert saver.wait(TIMEOUT)
    held = json.loads(lock_of(home).read_text())  # so a run in a shell that wants to write there is told
    assert (held["who"], held["pid"]) == ("napari", os.getpid())
    lock_of(home).write_text(json.dumps({**held, "pid": 1, "process": "", "token": "of a run"}))
    saver._writers.locks.pop(home)  # as if the run had come first
    session.edit("aa", Edit("accept", (int(found.grains["aa"].ids[0]),)))
    assert saver.wait(TIMEOUT)
    assert session.path == film.with_name("film-2.stemnmf.h5")
    assert not stem.Analysis.load(home).reviews
    lock_of(home).unlink()


def test_a_scan_that_is_closed_is_not_held_any_more(film: Path, found: stem.Analysis) -> None:
    session, saver = watched(film)
    session.set_analysis(found)
    assert saver.wait(TIMEOUT)
    lock = lock_of(film.with_name("film.stemnmf.h5"))
    assert lock.exists()
    session.saver = None
    del session, saver
    gc.collect()
    assert not lock.exists()
