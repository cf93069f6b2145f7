"""Parts of a file, read when they are needed: the layer between a file on disk and a Dask array.

A `Blocks` object holds a file's path and layout, never an open handle: every read opens the file, copies the part and
closes it. So it can be pickled and sent to another process, threads share it freely, users can rename or delete the
file, and memory holds only the blocks that are in work (a memory map would count every page that was touched). Errors
while reading are raised as `ReadError`.
"""

from __future__ import annotations

import contextlib
import lzma
import math
import os
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import numpy as np

from napari_stemnmf.dataset import BLOCK_BYTES, whole_pattern_chunks, working_dtype
from napari_stemnmf.errors import ReadError, StemNMFError
from napari_stemnmf.files import contents
from napari_stemnmf.scan_shape import wrong_scan_shape

if TYPE_CHECKING:
    import dask.array as da

FORMAT_ERRORS = (
    OSError, ValueError, EOFError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, ParseError,
)  # fmt: skip
"""What damaged files give rise to, also in this package's own readers."""
PARSERS = (
    "h5py", "hdf5plugin", "zarr", "numcodecs", "tifffile", "imagecodecs", "rsciio", "skimage", "imageio", "PIL", "dask",
    "zipfile", "xml", "json", "struct",
)  # fmt: skip
"""Packages that take files apart: whatever they raise, damage may be the cause."""
LARGEST_BLOCK_BYTES = 8 * BLOCK_BYTES  # at most so large does a block become to hold whole chunks of the file


UNFORESEEN = (LookupError, TypeError, AttributeError, AssertionError, NotImplementedError)
"""Errors that a sound file can raise, too, where code does not know its layout."""


class Blocks(ABC):
    """A scan (scan_y, scan_x, q_y, q_x) in a file, read by rectangles of probe positions.

    Subclasses set `shape`, `path` (for messages) and `dtype` (native byte order, in which blocks come), and read.
    Indexing takes integers, slices, and lists of positions, as Dask does: a slice of the Dask array reads that slice,
    not its whole blocks.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    ndim = 4
    chunk: tuple[int, int] = (1, 1)  # how many rows and columns of the scan the file stores together

    @abstractmethod
    def read(self, rows: range, columns: range) -> np.ndarray:
        """Patterns (rows, columns, q_y, q_x) at some probe positions; both ranges ascend."""

    def __getitem__(self, index: Any) -> np.ndarray:
        entries = index if isinstance(index, tuple) else (index,)
        entries = (*entries, *[slice(None)] * (4 - len(entries)))
        rows, columns = _positions(entries[0], self.shape[0]), _positions(entries[1], self.shape[1])
        with reading(self.path):
            block = native(self.read(rows, columns))
        rest: list[Any] = []
        for axis, (entry, positions) in enumerate(zip(entries, (rows, columns, None, None), strict=True)):
            if isinstance(entry, (list, np.ndarray)):
                first = positions.start if positions is not None else 0
                block = block.take(np.asarray(entry) - first, axis=axis)
                rest.append(slice(None))
            elif positions is None:
                rest.append(entry)
            elif isinstance(entry, slice):
                rest.append(slice(None, None, -1) if (entry.step or 1) < 0 else slice(None))
            else:
                rest.append(0)
        return block[tuple(rest)]

    def to_dask(self) -> da.Array:
        """The scan as a Dask array in whole patterns, in native byte order and a type that the kernels can take."""
        import dask.array as da
        from dask.base import tokenize

        dtype = working_dtype(self.dtype)
        meta = np.empty((0, 0, 0, 0), self.dtype)
        times = contents.times(self.path)  # napari caches Dask results by name: what was rewritten needs a new one
        array = da.from_array(
            self,
            chunks=self.chunks(),
            name=f"scan-{tokenize(self, times)}",
            asarray=False,
            fancy=True,  # Dask does not merge slices into readers that it takes to be too simple for lists
            lock=False,
            inline_array=True,
            meta=meta,
        )
        return array if dtype == meta.dtype else array.astype(dtype)

    def chunks(self) -> tuple[int, int, int, int]:
        """Sizes of the blocks to read: about `BLOCK_BYTES`, and whole chunks of the file along the scan."""
        return aligned_chunks(self.shape, self.dtype.itemsize, self.chunk)


class Frames(ABC):
    """A stack of patterns (n, q_y, q_x) in a file, read by runs."""

    path: Path
    count: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype

    @abstractmethod
    def read_frames(self, frames: range) -> np.ndarray:
        """Patterns (len(frames), q_y, q_x); the range ascends."""


@dataclass(frozen=True)
class OtherFrames(Frames):
    """A stack that is made of another one, and like it but for its count.

    Attributes
    ----------
    frames : Frames
        The other stack.
    count : int
        How many patterns this one has.
    """

    frames: Frames
    count: int

    @property
    def path(self) -> Path:  # type: ignore[override]
        """The file, for messages."""
        return self.frames.path

    @property
    def frame_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows and columns of a pattern."""
        return self.frames.frame_shape

    @property
    def dtype(self) -> np.dtype:  # type: ignore[override]
        """Type of the counts."""
        return self.frames.dtype


@dataclass(frozen=True)
class PartOfFrames(OtherFrames):
    """Some patterns of a stack that follow each other, from the `first` that is taken."""

    first: int = 0

    def read_frames(self, frames: range) -> np.ndarray:
        """Patterns (len(frames), q_y, q_x), counted from the first that is taken."""
        return self.frames.read_frames(range(frames.start + self.first, frames.stop + self.first, frames.step))


@dataclass(frozen=True)
class ScanOfFrames(Blocks):
    """A stack of patterns, taken row by row as a scan."""

    frames: Frames
    scan_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        rows, columns = self.scan_shape
        if rows < 1 or columns < 1 or rows * columns != self.frames.count:
            raise wrong_scan_shape(self.frames.path.name, self.scan_shape, self.frames.count)

    @property
    def path(self) -> Path:  # type: ignore[override]
        """The file, for messages."""
        return self.frames.path

    @property
    def dtype(self) -> np.dtype:  # type: ignore[override]
        """Type of the counts, in this machine's byte order."""
        return self.frames.dtype.newbyteorder("=")

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Sizes of (scan_y, scan_x, q_y, q_x)."""
        return (*self.scan_shape, *self.frames.frame_shape)

    def read(self, rows: range, columns: range) -> np.ndarray:
        """Patterns at some probe positions; whole rows that follow each other are one read."""
        width = self.scan_shape[1]
        if rows.step == 1 and columns == range(width):
            stack = self.frames.read_frames(range(rows.start * width, rows.stop * width))
            return stack.reshape(len(rows), width, *self.frames.frame_shape)
        runs = [
            self.frames.read_frames(range(y * width + columns.start, y * width + columns.stop, columns.step))
            for y in rows
        ]
        if not runs:
            return np.empty((0, len(columns), *self.frames.frame_shape), self.dtype)
        return np.stack(runs) if len(runs) > 1 else runs[0][np.newaxis]


@dataclass(frozen=True)
class RawFrames(Frames):
    """Patterns that follow each other in a file, uncompressed.

    Attributes
    ----------
    path, offset : Path, int
        The file, and where its first record begins, in bytes.
    count, frame_shape, dtype : int, tuple of int, numpy.dtype
        How many patterns of what.
    record : int, optional
        Bytes from one pattern to the next, where there is more than the pattern.
    container : object, optional
        Where `path` is an archive: its `file()` gives the path of the unpacked file.
    """

    path: Path
    offset: int
    count: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype
    record: int | None = None
    container: Any = None

    def read_frames(self, frames: range) -> np.ndarray:
        """Patterns (len(frames), q_y, q_x) in the byte order of the file."""
        size = math.prod(self.frame_shape) * self.dtype.itemsize
        record = self.record or size
        out = np.empty((len(frames), *self.frame_shape), self.dtype)
        flat = out.reshape(len(frames), math.prod(self.frame_shape)).view(np.uint8)
        with open(self.container.file() if self.container else self.path, "rb", buffering=0) as file:
            if frames.step == 1 and record == size:
                _fill(file, self.offset + frames.start * record, flat.reshape(-1), self.path)
            elif frames.step == 1:
                records = np.empty((len(frames), record), np.uint8)
                used = records.reshape(-1)[: records.size - (record - size)]
                _fill(file, self.offset + frames.start * record, used, self.path)
                flat[:] = records[:, :size]
            else:
                for i, frame in enumerate(frames):
                    _fill(file, self.offset + frame * record, flat[i], self.path)
        return out


@contextlib.contextmanager
def reading(path: Path, what: str = "") -> Iterator[None]:
    """Turn every error that a file gives rise to into one sentence; an error of this package's own stays what it is."""
    try:
        yield
    except StemNMFError:
        raise
    except MemoryError as error:
        raise ReadError(f"There is not enough memory to read {path.name}.") from error
    except FileNotFoundError as error:
        raise ReadError(f"{error.filename or path} is not there (any more).") from error
    except PermissionError as error:
        raise ReadError(f"{path.name} may not be read: permission denied.") from error
    except Exception as error:
        if not _is_of_the_file(error):
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        if isinstance(error, UNFORESEEN):
            why = f"it is damaged, or laid out in a way that is not known here ({type(error).__name__}: {reason})"
        else:
            why = f"it seems damaged or truncated ({reason})"
        raise ReadError(f"{path.name} cannot be read{what}; {why}.") from error


def _is_of_the_file(error: Exception) -> bool:
    """Whether an error says that a file is damaged: one of reading or of values, or any that its parser ran into."""
    if isinstance(error, FORMAT_ERRORS):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    home = "" if last is None else str(last.tb_frame.f_globals.get("__name__", ""))
    return home.partition(".")[0] in PARSERS


def native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order; only a foreign one is copied."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def aligned_chunks(shape: tuple[int, ...], itemsize: int, chunk: tuple[int, int]) -> tuple[int, int, int, int]:
    """Block sizes that hold whole patterns and, along the scan, whole chunks of the file.

    Parameters
    ----------
    shape : tuple of int
        (scan_y, scan_x, q_y, q_x).
    itemsize : int
        Bytes of a detector pixel.
    chunk : tuple of int
        Rows and columns of the scan that the file stores together.

    Returns
    -------
    tuple of int
        Block sizes of about `BLOCK_BYTES`; up to `LARGEST_BLOCK_BYTES` where the file's own chunks are so large. Beyond
        that a block is part of a chunk, which is then read more than once.
    """
    rows, columns, q_y, q_x = (int(n) for n in shape)
    high, wide = min(chunk[0], rows), min(chunk[1], columns)
    pattern = max(1, q_y * q_x * itemsize)
    if high * wide == 1:
        return whole_pattern_chunks(shape, itemsize)  # type: ignore[return-value]
    if high * wide * pattern > LARGEST_BLOCK_BYTES:
        return whole_pattern_chunks(shape, itemsize, LARGEST_BLOCK_BYTES)  # type: ignore[return-value]
    patterns = BLOCK_BYTES // pattern
    if high * columns <= patterns:
        return (min(rows, patterns // columns // high * high), columns, q_y, q_x)
    return (high, min(columns, max(1, patterns // high // wide) * wide), q_y, q_x)


def _positions(entry: Any, size: int) -> range:
    """The positions of one index, ascending; for a list, all between its ends."""
    if isinstance(entry, (list, np.ndarray)):
        return range(int(min(entry)), int(max(entry)) + 1) if len(entry) else range(0)
    if not isinstance(entry, slice):
        position = range(size)[int(entry)]
        return range(position, position + 1)
    positions = range(size)[entry]
    return positions if positions.step > 0 else positions[::-1]


def _fill(file: Any, offset: int, out: np.ndarray, path: Path) -> None:
    """Read exactly as many bytes as `out` holds."""
    file.seek(offset, os.SEEK_SET)
    view, done = memoryview(out), 0  # type: ignore[arg-type]
    while done < len(view):
        got = file.readinto(view[done:])
        if not got:
            raise ReadError(f"{path.name} ends before its last pattern; it is truncated.")
        done += got
