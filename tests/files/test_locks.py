"""One process at a time writes to a file of results; the others are told who does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.locks import Holder, held, lock_of, take


def left_by(path: Path, holder: Holder) -> None:
    lock_of(path).write_text(json.dumps(asdict(holder)))


def test_another_thread_is_told_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    path, said = tmp_path / "a.h5", []

    def other() -> None:
        with pytest.raises(AnalysisError) as error:
            take(path, "another run")
        said.append(str(error.value))

    with held(path, "stemnmf run"):
        with held(path, "within it"):  # the same thread goes on
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert f"is being written by stemnmf run (process {os.getpid()}" in said[0]
    assert "wait until it has ended" in said[0]
    assert not lock_of(path).exists()


def test_a_process_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    code = f"import os; from napari_stemnmf.files.locks import take; take({str(path)!r}, 'a run'); os._exit(9)"
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert lock_of(path).exists()
    with held(path, "the next"):
        assert json.loads(lock_of(path).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the start of a process is known on Linux only")
def test_a_number_that_another_process_has_by_now(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    left_by(path, replace(Holder.me("a run"), process="another boot 1", thread=1))
    with held(path, "the next"):
        pass


def test_of_another_machine_it_is_said_which_file_to_delete(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    left_by(path, replace(Holder.me("a run"), host="cluster7", place="cluster7 x", pid=2**22 + 1))
    with pytest.raises(AnalysisError, match=r"on cluster7.*delete .*\.a\.h5\.lock"):
        take(path, "the next")


def test_a_lock_without_content(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    lock_of(path).touch()
    with pytest.raises(AnalysisError, match="is being written by another run"):
        take(path, "the next")  # it is being made
    os.utime(lock_of(path), (1, 1))
    take(path, "the next").release()  # it never was


def test_a_lock_that_somebody_else_has_by_now_is_not_released(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    first = take(path, "first")
    left_by(path, replace(Holder.me("second"), token="other"))
    first.release()
    assert lock_of(path).exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="cannot be written to"):
        take(tmp_path / "none" / "a.h5", "a run")


def test_who_takes_a_lock_removes_what_killed_runs_have_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    code = "import sys; from napari_stemnmf.files.writing import scrap_name; print(scrap_name('.npy'))"
    name = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    for folder in (tmp_path, temporary):
        (folder / name.strip()).touch()
    with held(tmp_path / "a.h5", "a run"):
        pass
    assert list(tmp_path.iterdir()) == [temporary]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000, "[]", "1", '{"pid": "1"}', '{"since": 1e400}', '{"since": NaN}', '{"since": -1e300}',
        '{"who": 1}', '{"no": 1}', "\0" * 100, "x" * 2**15, '{"pid": 99999999999999999999}',
    ],
)  # fmt: skip
def test_a_lock_of_anything_stops_nobody_for_long(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    lock_of(path).write_text(text)
    os.utime(lock_of(path), (1, 1))
    refusal = ""
    try:
        take(path, "the next").release()
    except AnalysisError as error:
        refusal = str(error)
    assert not refusal or f"delete {lock_of(path)}" in refusal


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are of POSIX")
def test_a_pipe_in_place_of_a_lock_does_not_keep_anybody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    os.mkfifo(lock_of(path))
    with pytest.raises(AnalysisError, match=r"delete .*lock"):
        take(path, "the next")
