"""Recordings that are shorter than their headers say are told with how much, and no chain of pages is endless."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading.recordings import check_whole


def block_file(path: Path, rows: int, columns: int, side: int, patterns: int) -> Path:
    """The header of a block file and some patterns, each behind six bytes."""
    head = b"IMGBLO" + struct.pack("<HIII", 0x0102, 0x1000, 0x1100, 0) + struct.pack("<4H", side, 0, columns, rows)
    path.write_bytes(head.ljust(0x1100, b"\0") + bytes(patterns * (side * side + 6)))
    return path


def test_block_file_that_is_cut_off_says_how_much_it_holds(tmp_path: Path) -> None:
    check_whole(block_file(tmp_path / "a.blo", 3, 4, 16, 12), "blo")
    with pytest.raises(ReadError, match="holds 11 of the 12 patterns"):
        stem.open(block_file(tmp_path / "b.blo", 3, 4, 16, 11))
    with pytest.raises(ReadError, match="holds 12 of the 4294836225 patterns"):
        stem.open(block_file(tmp_path / "c.blo", 65535, 65535, 16, 12))
    with pytest.raises(ReadError, match="no block file"):
        check_whole(tmp_path / "d.blo" if (tmp_path / "d.blo").write_bytes(b"x" * 99) else tmp_path, "blo")


@pytest.mark.parametrize(("version", "width"), [(528, 4), (544, 8)])
def test_series_that_was_stopped_says_how_much_it_holds(tmp_path: Path, version: int, width: int) -> None:
    def series(valid: int, total: int, size: int) -> Path:
        head = struct.pack("<HHH", 0x4949, 0x0197, version) + struct.pack("<IIII", 0x4122, 0x4152, total, valid)
        path = tmp_path / "a.ser"
        path.write_bytes((head + (100).to_bytes(width, "little")).ljust(size, b"\0"))
        return path

    check_whole(series(6, 6, 400), "ser")
    with pytest.raises(ReadError, match="holds 4 of the 6 patterns"):
        check_whole(series(4, 6, 400), "ser")
    with pytest.raises(ReadError, match="leads out of it"):
        check_whole(series(2**31, 2**31, 400), "ser")


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
