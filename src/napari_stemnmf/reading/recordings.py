"""Recordings that hold less than their headers say: RosettaSciIO fills up with zeros, or looks for ever."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from napari_stemnmf.errors import ReadError

_BLO_FRAME = 6
"""Bytes before each pattern of a block file."""


def check_whole(path: Path, kind: str) -> None:
    """A ReadError for a recording of a kind in `CHECKS` that holds fewer patterns than its header says."""
    if kind in CHECKS:
        with path.open("rb") as file:
            head = file.read(64)
        CHECKS[kind](path, head)


def _blo(path: Path, head: bytes) -> None:
    """A NanoMEGAS block file."""
    if len(head) < 30 or head[:6] != b"IMGBLO":
        raise ReadError(f"{path.name} is no block file, whatever its name says.")
    offset = struct.unpack("<I", head[12:16])[0]
    side, _, columns, rows = struct.unpack("<4H", head[20:28])
    record = side * side + _BLO_FRAME
    there = max(0, path.stat().st_size - offset) // record
    _tell(path, there, rows * columns)


def _ser(path: Path, head: bytes) -> None:
    """A TIA series."""
    if len(head) < 34 or head[:2] != b"II":
        raise ReadError(f"{path.name} is no TIA series, whatever its name says.")
    version, total, valid = struct.unpack("<H", head[4:6])[0], *struct.unpack("<2I", head[14:22])
    size = path.stat().st_size
    width = 4 if version <= 528 else 8  # bytes of an offset
    offset = int.from_bytes(head[22 : 22 + width], "little")
    if offset + width * valid > size:
        raise ReadError(f"{path.name} is damaged: its list of {valid} patterns leads out of it.")
    _tell(path, valid, total)


def _tell(path: Path, there: int, total: int) -> None:
    if there < total:
        raise ReadError(f"{path.name} is truncated: it holds {there} of the {total} patterns that its header tells of.")


CHECKS: dict[str, Callable[[Path, bytes], None]] = {"blo": _blo, "ser": _ser}
"""By kind of a file, what compares its header with it."""
