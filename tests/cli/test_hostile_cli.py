"""Whatever a file is called and whatever is typed: results or one sentence, and nothing written elsewhere."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import cli
from napari_stemnmf.cli.terminal import Careful, Reporter
from napari_stemnmf.errors import RecipeError

QUICK = [
    "--preset",
    "nmf",
    "--features",
    "bd",
    "--seeds",
    "1",
    "--workers",
    "1",
    "--set",
    "bd.clustering.components=12",
]
NAMES = (b"sur\xff.h5", b"a\nb\x1b]0;x\x07.h5", "日本 é.h5".encode(), b"-$\\frac$ =cmd|x'\".h5")


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "film.h5"
    stem.sample(scan_shape=(20, 20), detector_shape=(48, 48), seed=1).save(path)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that does nothing: its last line, which is no traceback."""
    try:
        status = cli.main(arguments)
    except SystemExit as leaves:
        status = leaves.code
    said = capsys.readouterr().err
    assert status in (1, 2), said
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert line.startswith("stemnmf")
    return line


@pytest.mark.parametrize("name", NAMES)
def test_a_scan_of_any_name_comes_to_its_end_and_is_opened_again(
    name: bytes, scan: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = here / os.fsdecode(name)
    film.symlink_to(scan)
    assert cli.main(["info", str(film)]) == 0
    assert cli.main(["run", str(film), "--out", "out", *QUICK]) == 0
    assert cli.main(["run", str(film), "--out", "out", *QUICK]) == 0, "and goes on from there"
    assert cli.main(["score", "out/analysis.stemnmf.h5", "--truth", f"{film}::labels", "--out", "scores"]) == 0
    assert cli.main(["figure", "sizes", "out/analysis.stemnmf.h5", "--out", "sizes", "--formats", "png"]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    (said.out + said.err).encode("utf-8")
    found = stem.Analysis.load("out/analysis.stemnmf.h5")
    assert found.input.source == str(film)
    assert {path.name for path in here.iterdir()} == {film.name, "out", "scores", "sizes.png"}


@pytest.mark.parametrize("name", [b"m\n\x1b[2J.npy", b"m'''\"\\.npy", "日本.npy".encode()])
def test_a_mask_of_any_name_is_used_and_the_run_goes_on_later(name: bytes, scan: Path, here: Path) -> None:
    mask = np.ones((48, 48), bool)
    mask[:2] = False
    np.save(os.fsdecode(name), mask)
    with open(os.fsdecode(name), "wb") as file:
        np.save(file, mask)
    command = ["run", str(scan), "--out", "out", *QUICK, "--mask", os.fsdecode(name)]
    assert cli.main(command) == 0
    before = stem.Analysis.load("out/analysis.stemnmf.h5")
    assert before.recipe.beam_stop.mask == os.fsdecode(name)
    assert cli.main(command) == 0
    assert stem.Analysis.load("out/analysis.stemnmf.h5").times == before.times, "nothing was computed again"
    assert cli.main(["run", str(scan), "--out", "again", "--workers", "1", "--recipe", "out/recipe.toml"]) == 0


def test_a_mask_whose_name_is_no_text_is_refused_before_the_run(
    scan: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(["run", str(scan), "--out", "out", *QUICK, "--mask", os.fsdecode(b"m\xff.npy")], capsys)
    assert "rename that file" in said
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "{scan}", "--out", "out", "--workers", "-3"], "no number of threads"),
        (["run", "{scan}", "--out", "out", "--workers", "0"], "no number of threads"),
        (["run", "{scan}", "--out", "out", "--workers", "1e3"], "no number of threads"),
        (["run", "{scan}", "--out", "out", "--workers", "9" * 5000], "no number of threads"),
        (["run", "{scan}", "--out", "out", "--workers", ""], "no number of threads"),
        (["calibrate", "{scan}", "--workers", "0"], "no number of threads"),
        (["simulate", "ag1", "--out", "a.h5", "--workers", "-1"], "no number of threads"),
        (["reproduce", "--out", "out", "--workers", "-1"], "no number of threads"),
        (["run", "{scan}", "--out", ""], "the name is empty"),
        (["run", "{scan}", "--out", " "], "the name is empty"),
        (["calibrate", "{scan}", "--out", ""], "the name is empty"),
        (["score", "a.stemnmf.h5", "--truth", "x", "--out", ""], "the name is empty"),
        (["score", "a.stemnmf.h5", "--truth", ""], "the name is empty"),
        (["figure", "sizes", "a.stemnmf.h5", "--out", ""], "the name is empty"),
        (["figure", "sizes", "", "--out", "x"], "the name is empty"),
        (["simulate", "ag1", "--out", ""], "the name is empty"),
        (["reproduce", "--out", ""], "the name is empty"),
        (["reproduce", "--out", "out", "--films", ""], "the name is empty"),
        (["demo", "--out", ""], "the name is empty"),
        (["info", ""], "the name is empty"),
        (["run", "{scan}", "--out", "out", "--mask", ""], "the name is empty"),
        (["run", "{scan}", "--out", "out", "--recipe", ""], "the name is empty"),
        (["run", "{scan}", "--out", "out", "--features", ""], "features is empty"),
        (["run", "{scan}", "--out", "out", "--features", ","], "features is empty"),
        (["recipe", "--features", ""], "features is empty"),
        (["run", "{scan}", "--out", "out", "--seeds", "0"], "at least 1"),
        (["run", "{scan}", "--out", "out", "--seeds", "-1"], "at least 1"),
        (["run", "{scan}", "--out", "out", "--set", "=1"], "no setting ''"),
        (["run", "{scan}", "--out", "out", "--set", ""], "NAME=VALUE"),
        (["run", "{scan}", "--out", "out", "--set", "aa.clustering.seeds="], "must be a int"),
        (["run", "{scan}", "--out", "out", "--set", "a\nb\x1b=1"], r"'a\nb\x1b'"),
        (["info", "{scan}", "--scan-shape", "0,5"], "two numbers from 1"),
        (["info", "{scan}", "--scan-shape", "9" * 5000 + ",1"], "not ROWS,COLUMNS"),
        (["info", "{scan}", "--drop", "9" * 5000], "or a number of patterns"),
        (["info", "a\0b.h5"], "a\\x00b.h5"),
        (["run", "{scan}", "--out", "a\0b", *QUICK], "cannot be made: no file can have such a name"),
        (["figure", "sizes", "a.stemnmf.h5", "--dpi", "1000000", "--out", "x"], "There is no analysis file"),
        (["demo", "--out", "{scan}"], "cannot be made: File exists"),
        (["demo", "--out", "{scan}/x"], "cannot be made: Not a directory"),
        (["simulate", "ag1", "--out", "a.h5", "--dose", "nan"], "between 0 and 1e8"),
        (["simulate", "ag1", "--out", "a.h5", "--dose", "-1"], "between 0 and 1e8"),
        (["simulate", "ag1", "--out", "a.h5", "--detector", "0"], "64 to 4096"),
        (["simulate", "ag1", "--out", "a.h5", "--detector", "1000000000"], "64 to 4096"),
        (["simulate", "nanowire", "--out", "a.h5", "--detector", "1000000000"], "at most 4096"),
        (["simulate", "nanowire", "--out", "a.h5", "--detector", "-1"], "at least 20 x 20"),
        (["simulate", "ag1", "--out", "a.h5", "--seed", "-1"], "0 or more"),
        (["simulate", "ag1", "--out", "a.h5", "--scan", "100000"], "rows and columns"),
        (["simulate", "ag1", "--out", "/dev/null", "--overwrite", "--scan", "8"], "device or a pipe"),
        (["bad\x1b[2J\ncommand"], r"bad\x1b[2J\ncommand"),
        (["info", "{scan}", "more\x1b[2J"], r"more\x1b[2J"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    arguments: list[str], told: str, scan: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused([each.replace("{scan}", str(scan)) for each in arguments], capsys)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("workers", [-3, 0, 2.5, True, "2", 10**9])
def test_python_is_told_the_same_of_threads(workers: object, scan: Path) -> None:
    with pytest.raises(RecipeError, match="no number of threads"):
        stem.analyse(stem.open(scan), workers=workers)


def test_names_of_datasets_do_not_steer_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File("a.h5", "w") as file:
        for name in ("da\x1b]0;owned\x07\nta\x1b[2J", "x\u202e2"):
            file[name] = np.ones((6, 7, 32, 32), np.uint16)
    assert cli.main(["info", "a.h5"]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert r"da\x1b]0;owned\x07\nta\x1b[2J" in said
    assert not set("\x1b\x07\u202e") & set(said)
    assert cli.main(["info", "a.h5::x\u202e2"]) == 0
    assert not set("\x1b\x07\u202e") & set(capsys.readouterr().out)


# ---- the output


def run(
    *arguments: str, encoding: str = "utf-8", out: object = subprocess.PIPE, err: object = subprocess.PIPE
) -> tuple:
    """A command in a process of its own: exit status, output and errors."""
    command = [sys.executable, "-m", "napari_stemnmf.cli", *arguments]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(command, stdout=out, stderr=err, env=env, timeout=300)
    return done.returncode, done.stdout or b"", done.stderr or b""


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")


@needs_full
@pytest.mark.parametrize(
    "arguments", [["info", "{scan}"], ["recipe"], ["--help"], ["run", "--help"], ["figure", "--list"]]
)
def test_output_that_cannot_be_written_is_one_sentence(arguments: list[str], scan: Path) -> None:
    with open("/dev/full", "wb") as full:
        status, _, said = run(*(each.replace("{scan}", str(scan)) for each in arguments), out=full)
    assert status == 1
    assert said == b"stemnmf: The output cannot be written: No space left on device.\n"


@needs_full
def test_a_run_writes_its_results_where_nothing_can_be_said_of_them(scan: Path, here: Path) -> None:
    with open("/dev/full", "wb") as full:
        status, _, _ = run("run", str(scan), "--out", "a", *QUICK, out=full, err=full)
    assert status == 1
    reading, writing = os.pipe()
    os.close(reading)  # as where `head` has read enough
    assert run("run", str(scan), "--out", "b", *QUICK, out=writing)[0] == 1
    os.close(writing)
    for out in ("a", "b"):
        assert {path.name for path in (here / out).iterdir()} == {
            "analysis.stemnmf.h5", "grains-bd.csv", "labels-bd.tif", "overview-bd.png", "recipe.toml",
        }  # fmt: skip


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_any_terminal_can_show_what_is_said(encoding: str, here: Path) -> None:
    np.save("日本 \u202e.npy", np.ones((6, 7, 32, 32), np.uint16))
    status, out, said = run("info", "日本 \u202e.npy", encoding=encoding)
    assert (status, said) == (0, b"")
    assert rb"\u65e5\u672c" in out
    assert run("simulate", "--help", encoding=encoding)[0] == 0
    assert run("info", "没有.h5", encoding=encoding)[0] == 1


def test_a_program_without_streams_is_no_error(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["info", str(scan)]) == 0


def test_a_careful_stream_keeps_lines_and_drops_what_steers() -> None:
    raw = io.StringIO()
    stream = Careful(raw)
    print("a\tb\nc\x1b[2J\r", file=stream)
    stream.steer("\x1b[K")
    assert raw.getvalue() == "a\tb\nc\\x1b[2J\\r\n\x1b[K"


def test_full_and_read_only_places_are_one_sentence(scan: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "out").mkdir()
    (here / "out" / "grains-bd.csv").mkdir()
    said = refused(["run", str(scan), "--out", "out", *QUICK], capsys)
    assert "grains-bd.csv cannot be written: Is a directory." in said
    if hasattr(os, "mkfifo"):
        os.mkfifo(here / "pipe")
        assert "device or a pipe" in refused(["recipe", "--recipe", "pipe"], capsys)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_run_whose_terminal_is_closed_ends_as_one_that_is_cancelled(number: str) -> None:
    before = signal.signal(getattr(signal, number), signal.SIG_DFL)  # whoever runs the tests may ignore it
    try:
        with Reporter() as reporter:
            os.kill(os.getpid(), getattr(signal, number))
            assert reporter.cancel.wait(5)
        assert signal.getsignal(getattr(signal, number)) == signal.SIG_DFL
    finally:
        signal.signal(getattr(signal, number), before)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of POSIX")
def test_a_run_under_nohup_goes_on_when_its_terminal_is_closed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Reporter() as reporter:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not reporter.cancel.wait(0.2)
    finally:
        signal.signal(signal.SIGHUP, before)
