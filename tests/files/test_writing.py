"""Files are whole or absent; what a killed process was writing goes with the next; rights and links stay."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.writing import (
    atomic_write,
    make_folder,
    move_into,
    plain_name,
    read_text,
    result_file,
    result_folder,
    scrap_name,
    sweep,
    temporary_file,
    write_text,
)

POSIX = pytest.mark.skipif(os.name != "posix", reason="rights and links of POSIX")


def killed_while_writing(folder: Path) -> Path:
    """Have a process killed in the middle of a write; the scrap that it leaves."""
    code = (
        "import os, sys; from napari_stemnmf.files.writing import atomic_write\n"
        "with atomic_write(sys.argv[1]) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / "a.h5")], check=False, timeout=60)
    (scrap,) = [path for path in folder.iterdir() if path.name.startswith(".stemnmf-")]
    return scrap


def test_what_a_killed_process_was_writing_goes_with_the_next_result(tmp_path: Path) -> None:
    scrap = killed_while_writing(tmp_path)
    mine = tmp_path / scrap_name(".h5")
    mine.touch()
    foreign = tmp_path / scrap.name.replace(scrap.name.split("-")[2], "01234567")
    foreign.touch()
    for name in (".stemnmf-notes", ".stemnmf-1-x.part", "b.h5", ".a.h5.part"):
        (tmp_path / name).touch()
    with result_file(tmp_path / "other.csv") as part:
        part.write_text("whole")
    assert not scrap.exists()
    assert mine.exists(), "this process goes on writing it"
    assert foreign.exists(), "whether a process of another machine has ended is not known"
    os.utime(foreign, (1, 1))
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        mine.name, "other.csv", ".stemnmf-notes", ".stemnmf-1-x.part", "b.h5", ".a.h5.part",
    }  # fmt: skip


def test_what_is_unpacked_into_the_temporary_folder_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scrap = killed_while_writing(tmp_path)
    made = temporary_file(".npy")
    assert not scrap.exists()
    assert list(tmp_path.iterdir()) == [made]
    if os.name == "posix":
        assert stat.S_IMODE(made.stat().st_mode) == 0o600


@POSIX
def test_a_folder_is_whole_or_what_it_was_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.zarr"

    def write(text: str, ours: bool = True, fails: bool = False) -> None:
        with result_folder(path, lambda there: ours and (there / "mark").is_file()) as part:
            (part / "mark").write_text(text)
            (part / "below").mkdir()
            if fails:
                raise OSError(28, "No space left on device")

    with pytest.raises(AnalysisError, match="No space left"):
        write("none", fails=True)
    assert list(path.parent.iterdir()) == []
    write("one")
    (path / "below" / "old").touch()
    with pytest.raises(AnalysisError, match="No space left"):
        write("half", fails=True)
    assert ((path / "mark").read_text(), (path / "below" / "old").exists()) == ("one", True)
    write("two")
    assert ((path / "mark").read_text(), (path / "below" / "old").exists()) == ("two", False)
    with pytest.raises(AnalysisError, match="something else"):
        write("three", ours=False)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.zarr"]
    half = path.parent / scrap_name(".zarr").replace(f"-{os.getpid()}-", "-4194305-")  # of a process that is no more
    (half / "below").mkdir(parents=True)
    write("four")
    assert [entry.name for entry in path.parent.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664])
def test_a_file_keeps_its_rights(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before")
    path.chmod(mode)
    with atomic_write(path) as part:
        assert stat.S_IMODE(part.stat().st_mode) == 0o600, "nobody else may read what is being written"
        part.write_text("after")
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@POSIX
def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    link, target = tmp_path / "a.txt", tmp_path / "big" / "real.txt"
    target.write_text("before")
    target.chmod(0o600)
    link.symlink_to("big/real.txt")
    write_text(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    finished = tmp_path / "unfinished.txt"
    finished.write_text("later")
    move_into(finished, link)
    assert link.is_symlink()
    assert target.read_text() == "later"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not finished.exists()
    assert [path.name for path in (tmp_path / "big").iterdir()] == ["real.txt"]


@POSIX
def test_devices_and_pipes_are_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "full").symlink_to("/dev/full")
    for path in (pipe, tmp_path / "full", Path("/dev/null")):
        with pytest.raises(AnalysisError, match="device or a pipe"):
            write_text(path, "x")
        with pytest.raises(OSError, match="device or a pipe"):
            read_text(path, 100)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("name", ["a\0b", "\ud800.txt"])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnalysisError, match="no file can have such a name"):
        write_text(tmp_path / name, "x")
    with pytest.raises(AnalysisError, match="no file can have such a name"):
        make_folder(tmp_path / name)


def test_the_longest_name_that_a_file_can_have(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 251 + ".txt"), "whole")
    with pytest.raises(AnalysisError, match="cannot be written"):
        write_text(tmp_path / ("x" * 300), "x")


def test_a_text_is_read_up_to_a_size(tmp_path: Path) -> None:
    write_text(tmp_path / "a.toml", "ü" * 50)
    assert read_text(tmp_path / "a.toml", 100) == "ü" * 50
    with pytest.raises(OSError, match="larger than 99 bytes"):
        read_text(tmp_path / "a.toml", 99)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("film 3", "film 3"),
        ("../../home/me/.bashrc", "_.._home_me_.bashrc"),
        ("a/b\\c:d\n", "a_b_c_d_"),
        ("..", "scan"),
        ("", "scan"),
        ("x" * 500, "x" * 60),
    ],
)
def test_names_of_scans_in_names_of_files(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_a_sweep_costs_little(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i}.tif").touch()
    began = time.process_time()
    for _ in range(10):
        sweep(tmp_path)
    assert time.process_time() - began < 0.5
