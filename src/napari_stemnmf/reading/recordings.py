"""Recordings that hold less than their headers say: RosettaSciIO fills up with zeros, or looks for ever."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.gaps import MOST_POSITIONS
from napari_stemnmf.reading.blocks import Frames, OtherFrames, RawFrames

_BLO_FRAME = 6
"""Bytes before each pattern of a block file."""
_TVIPS_FRAME, _TVIPS_POSITION = 12, 48
"""Bytes before each pattern of a TVIPS recording of version 1, and where in them the scan's position is, in others."""
_LEAST_SHARE = 16
"""A header that tells of more than so many times the patterns that are there is damaged."""


@dataclass(frozen=True)
class CutOff:
    """A recording that ends too early.

    Attributes
    ----------
    there, total : int
        Patterns that it holds, and that its header tells of.
    frames : Frames, optional
        Those that are there, where RosettaSciIO does not give them.
    """

    there: int
    total: int
    frames: Frames | None = None

    def missing(self, shape: tuple[int, ...]) -> np.ndarray:
        """Which patterns of a scan or stack of that shape are not there."""
        return np.arange(self.total).reshape(shape) >= self.there


class FilledUp(OtherFrames):
    """Patterns that are there, and zeros behind them."""

    def read_frames(self, frames: range) -> np.ndarray:
        """Patterns (len(frames), q_y, q_x)."""
        there = range(frames.start, min(frames.stop, self.frames.count), frames.step)
        out = np.zeros((len(frames), *self.frame_shape), self.dtype)
        if len(there):
            out[: len(there)] = self.frames.read_frames(there)
        return out


def cut_off(path: Path, kind: str) -> CutOff | None:
    """What a recording lacks; None where it is whole, or of a kind that is not known here.

    A ReadError where it holds nothing, or hardly anything, of what its header tells of.
    """
    if kind not in _KINDS:
        return None
    with path.open("rb") as file:
        head = file.read(64)
    found = _KINDS[kind](path, head)
    if found.there >= found.total:
        return None
    if found.total > min(_LEAST_SHARE * found.there, MOST_POSITIONS):
        raise ReadError(
            f"{path.name} is damaged: it holds {found.there} of the {found.total} patterns that its header tells of."
        )
    return found


def tvips_end(parts: Sequence[Path]) -> str:
    """What speaks for a part missing behind the last of a TVIPS recording, as a sentence; empty where it is whole.

    No header says how many parts or patterns there are. But each pattern has the number of the scan's position, which
    stands still once the scan is over; and a recording is cut into parts of one size, of which the last is not full.
    """
    with parts[0].open("rb") as file:
        head = file.read(256)
    if len(head) < 256:
        return ""
    size, version, columns, rows, bits = struct.unpack("<5I", head[:20])
    before = _TVIPS_FRAME if version == 1 else struct.unpack("<I", head[48:52])[0]
    record = before + columns * rows * (bits // 8)
    patterns = [max(0, each.stat().st_size - (0 if i else size)) // record for i, each in enumerate(parts)]
    following = f"a part _{len(parts):03d} that followed would be missing without any other trace"
    if len(parts) > 1 and patterns[-1] >= max(patterns[:-1]):
        return f"Its last part, _{len(parts) - 1:03d}, is as full as those before it: {following}."
    if patterns[-1] < 2 or before < _TVIPS_POSITION + 4:
        return ""
    with parts[-1].open("rb") as file:
        numbers = []
        for i in (patterns[-1] - 2, patterns[-1] - 1):
            file.seek((0 if len(parts) > 1 else size) + i * record + _TVIPS_POSITION)
            numbers.append(int.from_bytes(file.read(4), "little"))
    if numbers[1] <= numbers[0]:
        return ""
    return f"Its scan goes on to its very last pattern, at position {numbers[1]}: had it not ended there, {following}."


def _blo(path: Path, head: bytes) -> CutOff:
    """A NanoMEGAS block file."""
    if len(head) < 30 or head[:6] != b"IMGBLO":
        raise ReadError(f"{path.name} is no block file, whatever its name says.")
    offset = struct.unpack("<I", head[12:16])[0]
    side, _, columns, rows = struct.unpack("<4H", head[20:28])
    record = side * side + _BLO_FRAME
    there = max(0, path.stat().st_size - offset) // record
    frames = RawFrames(path, offset + _BLO_FRAME, there, (side, side), np.dtype("u1"), record)
    return CutOff(there, rows * columns, frames)


def _ser(path: Path, head: bytes) -> CutOff:
    """A TIA series."""
    if len(head) < 34 or head[:2] != b"II":
        raise ReadError(f"{path.name} is no TIA series, whatever its name says.")
    version, total, valid = struct.unpack("<H", head[4:6])[0], *struct.unpack("<2I", head[14:22])
    size = path.stat().st_size
    width = 4 if version <= 528 else 8  # bytes of an offset
    offset = int.from_bytes(head[22 : 22 + width], "little")
    if offset + width * valid > size:
        raise ReadError(f"{path.name} is damaged: its list of {valid} patterns leads out of it.")
    return CutOff(valid, total)


_KINDS: dict[str, Callable[[Path, bytes], CutOff]] = {"blo": _blo, "ser": _ser}
"""By kind of a file, what compares its header with it."""
