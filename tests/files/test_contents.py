"""What files hold is told by content: copies are the same, edits are noticed as far as is said."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from napari_stemnmf.files import contents
from napari_stemnmf.files.contents import changed, look, mark


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are old enough for their times to count."""
    monkeypatch.setattr(contents, "YOUNG_SECONDS", 0.0)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything over 64 KiB is large, and sampled in 8 blocks of 1 KiB."""
    monkeypatch.setattr(contents, "WHOLE_BYTES", 2**16)
    monkeypatch.setattr(contents, "BLOCK", 2**10)
    monkeypatch.setattr(contents, "BLOCKS", 8)
    monkeypatch.setattr(contents, "SMALL", 2**10)


def written(path: Path, size: int, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.random.default_rng(seed).bytes(size))
    return path


def edit(path: Path, at: int, keep_time: bool = False) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("keep_time", [False, True])
def test_one_byte_in_the_middle_of_a_file_that_is_read_whole(tmp_path: Path, old: None, keep_time: bool) -> None:
    path = written(tmp_path / "a", 10**5)
    before = look([path])
    time.sleep(0.02)
    edit(path, 54321, keep_time)
    assert changed(before, look([path], before))


def test_a_copy_is_the_same_data(tmp_path: Path, old: None, large: None) -> None:
    path = written(tmp_path / "a", 10**6)
    time.sleep(0.02)
    copy = Path(shutil.copyfile(path, tmp_path / "b"))
    assert copy.stat().st_mtime_ns != path.stat().st_mtime_ns
    assert not changed(look([path]), look([copy]))
    assert mark(look([path])) == mark(look([copy]))


def test_nothing_is_read_where_size_and_times_are_as_they_were(
    tmp_path: Path, old: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/0.0", "a/0.1", "b"):
        written(tmp_path / name, 5000)
    paths = [tmp_path / "a", tmp_path / "b"]
    before = look(paths)
    monkeypatch.setattr(contents, "_digest", lambda *_: pytest.fail("it was read"))
    assert look(paths, before) == before


def test_a_large_file_that_was_written_to_where_no_sample_is(tmp_path: Path, old: None, large: None) -> None:
    path = written(tmp_path / "a", 10**6)
    before = look([path])
    time.sleep(0.02)
    edit(path, 60_000)
    now = look([path], before)
    assert mark(now) == mark(before)
    assert changed(before, now)  # as it is at its old place, and its time is another


def test_rights_and_names_are_no_content(tmp_path: Path, old: None, large: None) -> None:
    path = written(tmp_path / "a", 10**6)
    before = look([path])
    path.chmod(0o600)
    moved = path.rename(tmp_path / "b")
    assert not changed(before, look([moved], before))


def test_a_chunk_that_was_replaced_as_a_store_replaces_it(tmp_path: Path, old: None, large: None) -> None:
    for i in range(40):
        written(tmp_path / "z" / "c" / str(i), 20_000, i)
    before = look([tmp_path / "z"])
    assert any(not part.digest for part in before)  # there are more chunks than samples
    unread = next(part for part in before if not part.digest)
    chunk = tmp_path / "z" / unread.name.partition("/")[2]
    time.sleep(0.02)
    new = written(chunk.with_suffix(".new"), 20_000, 99)
    new.replace(chunk)
    now = look([tmp_path / "z"], before)
    assert changed(before, now)
    shutil.copytree(tmp_path / "z", tmp_path / "copy", copy_function=shutil.copyfile)
    assert not changed(now, look([tmp_path / "copy"]))


def test_links_are_followed(tmp_path: Path, old: None) -> None:
    first, second = written(tmp_path / "one", 5000, 1), written(tmp_path / "two", 5000, 2)
    link = tmp_path / "scan"
    link.symlink_to(first)
    before = look([link])
    link.unlink()
    link.symlink_to(second)
    assert changed(before, look([link], before))


def test_a_folder_that_links_to_itself_is_read_once(tmp_path: Path) -> None:
    written(tmp_path / "z" / "c", 100)
    (tmp_path / "z" / "again").symlink_to(tmp_path / "z")
    assert len(look([tmp_path / "z"])) == 1


def test_times_of_what_was_just_written_prove_nothing(tmp_path: Path) -> None:
    assert look([written(tmp_path / "a", 100)])[0].times == (0, 0, 0)


def test_reading_is_bounded_and_spread_over_all(large: None) -> None:
    sizes = [10**9, 500, 10**7, 0, 3 * 10**9]
    blocks = contents._blocks(sizes)
    assert sum(length for of_file in blocks for _, length in of_file) <= 16 * 2**10
    assert blocks[1] == [(0, 500)]
    assert blocks[3] == []
    for size, of_file in zip(sizes, blocks, strict=True):
        assert all(start >= 0 and start + length <= size for start, length in of_file)
        assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(of_file))
