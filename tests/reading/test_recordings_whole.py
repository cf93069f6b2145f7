"""Recordings that are shorter than their headers say are told with how much, and no chain of pages is endless."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError, ScanShapeError
from napari_stemnmf.pipeline import run, start
from napari_stemnmf.preprocessing.odd_patterns import MISSING
from napari_stemnmf.reading.recordings import cut_off

SHAPE = (3, 4, 16, 16)


def counts() -> np.ndarray:
    return np.random.default_rng(2).integers(1, 200, SHAPE).astype("u1")


def block_file(path: Path, rows: int, columns: int, data: np.ndarray) -> Path:
    """The header of a block file and some patterns, each behind six bytes."""
    head = b"IMGBLO" + struct.pack("<HIII", 0x0102, 0x1000, 0x1100, 0) + struct.pack("<4H", 16, 0, columns, rows)
    frames = b"".join(b"\xaa\x55" + struct.pack("<I", i) + each.tobytes() for i, each in enumerate(data))
    path.write_bytes(head.ljust(0x1100, b"\0") + frames)
    return path


def series_file(path: Path, sizes: tuple[int, ...], data: np.ndarray, total: int) -> Path:
    """A TIA series of patterns, from their last row up, of which `total` were to come."""
    dimensions = b"".join(struct.pack("<IddI", n, 0.0, 1e-9, 0) + struct.pack("<II6s", 0, 6, b"meters") for n in sizes)
    head = struct.pack("<HHHIIII", 0x4949, 0x0197, 544, 0x4122, 0x4152, total, len(data))
    start = len(head) + 12 + len(dimensions)
    element = struct.pack("<ddiddiHii", 0.0, 1e8, 0, 0.0, 1e8, 0, 1, *data.shape[:0:-1])
    element_size = len(element) + data[0].size + 8
    first = start + 16 * total
    offsets = [first + i * element_size if i < len(data) else 0 for i in range(total)]
    tags = [first + i * element_size + element_size - 8 if i < len(data) else 0 for i in range(total)]
    body = b"".join(element + each[::-1].tobytes() + struct.pack("<HHI", 0x4152, 0, 0) for each in data)
    lists = struct.pack(f"<{2 * total}Q", *offsets, *tags)
    path.write_bytes(head + struct.pack("<QI", start, len(sizes)) + dimensions + lists + body)
    return path


def check_cut_off(dataset: stem.Dataset, there: int) -> None:
    """The first patterns are there, the others told, an error when they are read, and left out where that is asked."""
    assert dataset.shape == SHAPE
    missing = np.arange(12).reshape(3, 4) >= there
    np.testing.assert_array_equal(dataset.gaps.missing, missing)
    assert f"{12 - there} of 12 patterns" in dataset.metadata["notes"]
    with pytest.raises(ReadError, match="are missing"):
        dataset.data.compute(scheduler="synchronous")
    np.testing.assert_array_equal(dataset.pattern(0, 2), counts()[0, 2])
    found = dataset.without_gaps().data.compute(scheduler="synchronous")
    np.testing.assert_array_equal(found[~missing], counts()[~missing])
    assert not found[missing].any()
    recipe = stem.Recipe().replaced({"preprocess.missing": "leave out"})
    np.testing.assert_array_equal(run(start(dataset, recipe), dataset, "survey").survey.odd == MISSING, missing)


def test_block_file_that_is_cut_off_opens_with_what_it_holds(tmp_path: Path) -> None:
    data = counts().reshape(-1, 16, 16)
    whole = stem.open(block_file(tmp_path / "a.blo", 3, 4, data))
    assert whole.gaps is None
    np.testing.assert_array_equal(whole.data.compute(scheduler="synchronous"), counts())
    cut = block_file(tmp_path / "b.blo", 3, 4, data[:8])
    cut.write_bytes(cut.read_bytes()[:-100])
    check_cut_off(stem.open(cut), 7)


def test_block_file_that_holds_hardly_anything_or_is_none_is_refused(tmp_path: Path) -> None:
    data = counts().reshape(-1, 16, 16)
    with pytest.raises(ReadError, match="holds 12 of the 4294836225 patterns"):
        stem.open(block_file(tmp_path / "c.blo", 65535, 65535, data))
    with pytest.raises(ReadError, match="holds 0 of the 12 patterns"):
        stem.open(block_file(tmp_path / "d.blo", 3, 4, data[:0]))
    (tmp_path / "d.blo").write_bytes(b"x" * 99)
    with pytest.raises(ReadError, match="no block file"):
        cut_off(tmp_path / "d.blo", "blo")


@pytest.mark.parametrize("sizes", [(3, 4), (12,)])
def test_series_that_was_stopped_opens_with_what_it_holds(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    data = counts().reshape(-1, 16, 16)
    path = series_file(tmp_path / "a_1.ser", sizes, data, 12)
    whole = stem.open(path, scan_shape=SHAPE[:2])
    assert whole.gaps is None
    np.testing.assert_array_equal(whole.data.compute(scheduler="synchronous"), counts())
    check_cut_off(stem.open(series_file(tmp_path / "a_1.ser", sizes, data[:7], 12), scan_shape=SHAPE[:2]), 7)


@pytest.mark.parametrize(("version", "width"), [(528, 4), (544, 8)])
def test_series_whose_header_cannot_be_is_refused(tmp_path: Path, version: int, width: int) -> None:
    def series(valid: int, total: int, size: int) -> Path:
        head = struct.pack("<HHH", 0x4949, 0x0197, version) + struct.pack("<IIII", 0x4122, 0x4152, total, valid)
        path = tmp_path / "a.ser"
        path.write_bytes((head + (100).to_bytes(width, "little")).ljust(size, b"\0"))
        return path

    assert cut_off(series(6, 6, 400), "ser") is None
    cut = cut_off(series(4, 6, 400), "ser")
    assert cut is not None
    assert cut.missing((2, 3)).tolist() == [[False, False, False], [False, True, True]]
    with pytest.raises(ReadError, match="holds 4 of the 600000000 patterns"):
        cut_off(series(4, 600_000_000, 400), "ser")
    with pytest.raises(ReadError, match="leads out of it"):
        cut_off(series(2**31, 2**31, 400), "ser")


def tvips_file(path: Path, positions: list[int], head: bool) -> Path:
    """A part of a TVIPS recording of patterns at these positions of the scan."""
    start = struct.pack("<5I", 256, 2, 16, 16, 8).ljust(48, b"\0") + struct.pack("<I", 64)
    frames = b"".join(bytes(48) + struct.pack("<I", each) + bytes(12) + b"\1" * 256 for each in positions)
    path.write_bytes((start.ljust(256, b"\0") if head else b"") + frames)
    return path


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([[0, 1, 2], [3, 4, 4]], "_001, is as full as those before it: a part _002 that followed"),
        ([[0, 1, 2], [3, 4]], "very last pattern, at position 4: had it not ended there, a part _002"),
        ([[1, 2, 3, 4]], "very last pattern, at position 4: had it not ended there, a part _001"),
        ([[0, 1, 2], [4, 4]], ""),
        ([[0, 1, 2, 3, 4, 4]], ""),
    ],
)
def test_last_part_of_a_recording_that_may_be_missing_is_told(tmp_path: Path, parts: list, told: str) -> None:
    for i, positions in enumerate(parts):
        tvips_file(tmp_path / f"a_{i:03d}.tvips", positions, i == 0)
    count = sum(map(len, parts))
    notes = stem.open(tmp_path / "a_000.tvips", scan_shape=(1, count)).metadata.get("notes") or ""
    assert told in notes
    assert bool(notes) == bool(told)
    with pytest.raises(ScanShapeError) as error:
        stem.open(tmp_path / "a_000.tvips")
    assert told in str(error.value)


@pytest.mark.parametrize("big", [False, True])
def test_tif_whose_pages_lead_in_circles_is_refused(tmp_path: Path, big: bool) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((3, 16, 16), "u2"), metadata=None, bigtiff=big, photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        first, last = tif.pages[0].offset, tif.pages[-1]
        count = len(last.tags)
        link = last.offset + (8 + 20 * count if big else 2 + 12 * count)
    content = bytearray(path.read_bytes())
    content[link : link + (8 if big else 4)] = first.to_bytes(8 if big else 4, "little")
    path.write_bytes(content)
    with pytest.raises(ReadError, match="in circles"):
        stem.open(path, scan_shape=(1, 3))
    content[link : link + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ReadError, match="ends after 3 of its pages"):
        stem.open(path, scan_shape=(1, 3))
