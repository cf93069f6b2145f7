"""Chunks of Zarr arrays, read and unpacked here: bounded by the array's shape, from the store's own folder only.

A store is a folder of many files; a link among them may lead anywhere, a chunk of 1 MB may unpack to 1 GB, and one that
is not there counts as zeros. Layouts that are not known here are left to the zarr library.
"""

from __future__ import annotations

import bz2
import lzma
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.files.hdf5_chunks import gathered, inflated
from napari_stemnmf.gaps import gaps_of

SLACK = 2**16
"""Bytes that packing may add to what cannot be packed, beside a quarter of it."""
DESCRIPTIONS = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
MOST_DESCRIPTION = 64 * 2**20
"""Bytes of a file that describes an array or a group, at most."""
_GZIP = 16 + zlib.MAX_WBITS
_EMPTY, _ANY_SIZE = 2**64 - 1, 2**62
"""Place and size of a chunk that a shard does not hold; more than any file has."""


@dataclass(frozen=True)
class Layout:
    """How an array is kept: shape, chunks, type as stored, order of values, name of its packing, fill value."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    order: str
    packing: str
    fill: Any

    @property
    def size(self) -> int:
        """Bytes of a chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize


def layout_of(array: Any) -> Layout | None:
    """The layout of a zarr array; None where it is one that only the library knows."""
    described = array.metadata.to_dict()
    shape, fill = tuple(int(n) for n in array.shape), array.fill_value
    if described["zarr_format"] == 2:
        packing = (described.get("compressor") or {"id": ""})["id"]
        plain, order, dtype = not described.get("filters"), described["order"], np.dtype(array.dtype)
    else:
        codecs = [codec for codec in described["codecs"] if codec["name"] != "crc32c"]
        plain = bool(codecs) and codecs[0]["name"] == "bytes" and len(codecs) == len(described["codecs"]) <= 2
        packing, order = codecs[1]["name"] if len(codecs) > 1 else "", "C"
        end = (codecs[0].get("configuration") or {}).get("endian", "little") if plain else "little"
        dtype = np.dtype(array.dtype).newbyteorder(">" if end == "big" else "<")
    if not plain or packing not in _UNPACKERS or dtype.kind not in "biuf" or order not in "CF":
        return None
    return Layout(shape, chunk_shape(array), dtype, order, packing, 0 if fill is None else fill)


def chunk_shape(array: Any) -> tuple[int, ...]:
    """The shape of what is kept in one file: a chunk, or a shard of them."""
    return tuple(int(n) for n in (getattr(array, "shards", None) or array.chunks))


def read_chunks(path: Path, name: str, array: Any, layout: Layout, index: tuple[Any, ...]) -> np.ndarray:
    """The part of an array at integers and slices."""
    with contents(path) as fetch:

        def chunk(origin: tuple[int, ...]) -> Any:
            at = tuple(start // size for start, size in zip(origin, layout.chunks, strict=True))
            packed = fetch(f"{name}/{array.metadata.encode_chunk_key(at)}".strip("/"), layout.size)
            if packed is None:
                return np.asarray(layout.fill, layout.dtype)[()]
            return _unpacked(packed, layout, path, name)

        return gathered(chunk, index, layout.shape, layout.chunks, layout.dtype)


@dataclass(frozen=True)
class Absent:
    """Which chunks of an array are not in its store.

    Such a chunk counts as the fill value, and writers leave out what is nothing else (``write_empty_chunks``). Where
    patterns are cut into several chunks, some of a pattern are empty; where all of one are not there, it is missing, as
    every pattern has a direct beam.

    Attributes
    ----------
    places : ndarray of int
        (n, axes) chunks that are there, counted in chunks.
    shape, chunks : tuple of int
        Of the array.
    """

    places: np.ndarray
    shape: tuple[int, ...]
    chunks: tuple[int, ...]

    def missing(self, axes: Sequence[int]) -> np.ndarray | None:
        """Where along some axes nothing is there, as a bool array; None where that is nowhere."""
        found = gaps_of(self.places, self.shape, self.chunks, axes, wholly=True)
        return found if found is not None and found.any() else None

    def note(self, axes: Sequence[int]) -> str:
        """What is told of positions along some axes of which a part is not there; empty where there are none."""
        lacking = gaps_of(self.places, self.shape, self.chunks, axes)
        wholly = self.missing(axes)
        partly = None if lacking is None else lacking if wholly is None else lacking & ~wholly
        if partly is None or not partly.any():
            return ""
        grid = math.prod(-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True))
        return (
            f"Of {partly.sum()} of {partly.size} patterns some chunks are not in the store, and are taken for the fill "
            f"value, as its format has it ({grid - len(self.places)} of {grid} chunks): writers leave out those that "
            "hold nothing else; if any was lost on the way, copy the store once more."
        )


def absent_chunks(path: Path, name: str, array: Any) -> Absent:
    """Which chunks of an array are not there; of shards, which of the chunks in them."""
    shape, stored = tuple(int(n) for n in array.shape), chunk_shape(array)
    places = set()
    for key in names_in(path, name):
        place = tuple(int(number) for number in re.findall(r"\d+", key.rpartition("c/")[2]))
        inside = len(place) == len(shape) and all(i * c < n for i, c, n in zip(place, stored, shape, strict=True))
        if inside and array.metadata.encode_chunk_key(place) == key:
            places.add(place)
    found = np.array(sorted(places), np.int64).reshape(-1, len(shape))
    if shard := _shard_of(array):
        return Absent(_inner_chunks(path, name, array, found, shard), shape, shard.chunks)
    return Absent(found, shape, stored)


@dataclass(frozen=True)
class Shard:
    """Where in a shard its list of chunks is: their shape, how many along each axis, at its start, bytes behind it."""

    chunks: tuple[int, ...]
    counts: tuple[int, ...]
    at_start: bool
    checksum: int

    @property
    def size(self) -> int:
        """Bytes of the list."""
        return 16 * math.prod(self.counts) + self.checksum


def _shard_of(array: Any) -> Shard | None:
    """How the shards of an array are made; None where it has none, or none that are known here."""
    described = array.metadata.to_dict()
    codec = next((c for c in described.get("codecs") or () if c["name"] == "sharding_indexed"), None)
    if codec is None or len(described["codecs"]) != 1:
        return None
    settings = codec["configuration"]
    packing = [each["name"] for each in settings["index_codecs"]]
    big = (settings["index_codecs"][0].get("configuration") or {}).get("endian") == "big"
    if packing not in (["bytes"], ["bytes", "crc32c"]) or big:
        return None
    chunks = tuple(int(n) for n in settings["chunk_shape"])
    counts = tuple(s // c for s, c in zip(chunk_shape(array), chunks, strict=True))
    return Shard(chunks, counts, settings.get("index_location", "end") == "start", 4 if len(packing) > 1 else 0)


def _inner_chunks(path: Path, name: str, array: Any, shards: np.ndarray, shard: Shard) -> np.ndarray:
    """(n, axes) chunks that shards hold, counted in chunks."""
    found = [np.empty((0, len(array.shape)), np.int64)]
    grid = np.array([-(-n // c) for n, c in zip(array.shape, shard.chunks, strict=True)])
    with contents(path) as fetch:
        for place in shards:
            key = f"{name}/{array.metadata.encode_chunk_key(tuple(int(n) for n in place))}".strip("/")
            listed = fetch(key, _ANY_SIZE, shard.size if shard.at_start else -shard.size)
            if listed is None or len(listed) < shard.size:
                raise ReadError(f"{path.name} is damaged: {key} ends before its list of chunks; copy it again.")
            entries = np.frombuffer(listed[: shard.size - shard.checksum], "<u8").reshape(-1, 2)
            there = np.flatnonzero((entries != _EMPTY).any(axis=1))
            inner = np.stack(np.unravel_index(there, shard.counts), axis=1) + place * np.array(shard.counts)
            found.append(inner[(inner < grid).all(axis=1)])
    return np.concatenate(found)


def names_in(path: Path, name: str) -> Iterator[str]:
    """What is below an array or group of a store, by the paths from there."""
    if path.is_dir():
        top = path / name
        for folder, _, files in os.walk(top):
            below = Path(folder).relative_to(top).as_posix()
            yield from (file if below == "." else f"{below}/{file}" for file in files)
        return
    prefix = f"{name}/" if name else ""
    with zipfile.ZipFile(path) as archive:
        yield from (each[len(prefix) :] for each in archive.namelist() if each.startswith(prefix))


class contents:  # noqa: N801  (a context, as those of contextlib)
    """What gives the bytes of a file of a store, None where there is none: ``fetch(key, size, some)``.

    `size` is what its content may come to; a ReadError where a file is larger than that can be, or lies elsewhere. Of
    `some` only so many bytes are read, from the end if that is negative.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.archive: zipfile.ZipFile | None = None

    def __enter__(self) -> Callable[..., bytes | None]:
        if self.path.is_dir():
            self.root = os.path.realpath(self.path)
            return self._of_folder
        self.archive = zipfile.ZipFile(self.path)
        return self._of_archive

    def __exit__(self, *_: Any) -> None:
        if self.archive is not None:
            self.archive.close()

    def _of_folder(self, key: str, size: int, some: int | None = None) -> bytes | None:
        file = os.path.realpath(os.path.join(self.root, key))
        if not file.startswith(self.root + os.sep):
            raise elsewhere(self.path, key)
        try:
            with open(file, "rb") as opened:
                there = os.fstat(opened.fileno()).st_size
                self._check(key, there, size)
                return _some(opened, there, some)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def _of_archive(self, key: str, size: int, some: int | None = None) -> bytes | None:
        assert self.archive is not None
        try:
            info = self.archive.getinfo(key)
        except KeyError:
            return None
        self._check(key, info.file_size, size)
        with self.archive.open(info) as opened:
            return _some(opened, info.file_size, some)

    def _check(self, key: str, there: int, size: int) -> None:
        if there > size + size // 4 + SLACK:
            raise ReadError(f"{self.path.name} is damaged: {key} holds {there} bytes in place of at most {size}.")


def _some(opened: IO[bytes], there: int, some: int | None) -> bytes:
    """All of an open file, or so many of its bytes, from its end if that is negative."""
    if some is not None and some < 0:
        opened.seek(max(0, there + some))
    return opened.read(-1 if some is None else abs(some))


def elsewhere(path: Path, key: str) -> ReadError:
    """The error for a part of a store that is a link out of it."""
    return ReadError(
        f"{path.name} links to a file outside its own folder at {key}, which is not followed; "
        "copy the store with what its links lead to."
    )


def _unpacked(packed: bytes, layout: Layout, path: Path, name: str) -> np.ndarray:
    try:
        data = _UNPACKERS[layout.packing](packed, layout.size)
    except (ValueError, RuntimeError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = str(error) if str(error).startswith(("unpacks", "is cut")) else "cannot be unpacked"
        raise ReadError(f"{path.name} is damaged: a chunk of {name or 'its array'} {reason}; copy it again.") from error
    if len(data) != layout.size:
        raise ReadError(
            f"{path.name} is damaged: a chunk of {name or 'its array'} holds {len(data)} bytes in place of "
            f"{layout.size}; copy it again."
        )
    flat = np.frombuffer(data, np.uint8 if layout.dtype.kind == "b" else layout.dtype)
    chunk = flat.reshape(layout.chunks, order=layout.order)  # type: ignore[call-overload]
    return np.asarray(chunk != 0) if layout.dtype.kind == "b" else np.asarray(chunk)


def _bounded(decompressor: Any, packed: bytes, size: int) -> bytes:
    data: bytes = decompressor.decompress(packed, size)
    if not decompressor.eof and decompressor.decompress(b"", 1):
        raise ValueError("unpacks to more than its shape has room for")
    return data


def _by_codec(name: str) -> Callable[[bytes, int], Any]:
    """Unpacking by a codec of numcodecs into a buffer of the size that it must have."""

    def unpack(packed: bytes, size: int) -> Any:
        import numcodecs

        if name == "blosc" and int.from_bytes(packed[4:8], "little") > size:
            raise ValueError("unpacks to more than its shape has room for")
        out = np.empty(size, np.uint8)
        filled = numcodecs.get_codec({"id": name}).decode(packed, out)
        return np.asarray(filled).reshape(-1).view(np.uint8)

    return unpack


_UNPACKERS: dict[str, Callable[[bytes, int], Any]] = {
    "": lambda packed, size: packed,
    "gzip": lambda packed, size: inflated(packed, size, _GZIP),
    "zlib": inflated,
    "bz2": lambda packed, size: _bounded(bz2.BZ2Decompressor(), packed, size),
    "lzma": lambda packed, size: _bounded(lzma.LZMADecompressor(), packed, size),
    "zstd": _by_codec("zstd"),
    "lz4": _by_codec("lz4"),
    "blosc": _by_codec("blosc"),
}
"""By name of a packing: what unpacks bytes to at most so many."""
