"""HDF5 datasets read by their chunks: gzip unpacked here, and no chunk that is not what the dataset declares.

HDF5 does one thing at a time in a process, and unpacks chunks while it holds its lock: threads that read a gzip file
through it wait for each other. Here HDF5 only fetches the packed chunks; zlib unpacks them in the thread that reads.

What a chunk unpacks to is bounded by the shape and type of the dataset: a chunk of 1 MB may hold 1 GB of zeros. Chunks
of filters that only the library knows are looked at before it gets them.
"""

from __future__ import annotations

import functools
import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_stemnmf.errors import ReadError

_DEFLATE, _SHUFFLE, _FLETCHER = 1, 2, 3
_PACKINGS: tuple[list[int], ...] = ([_DEFLATE], [_SHUFFLE, _DEFLATE], [])
_PIPELINES = tuple([*packing, *check] for packing in _PACKINGS for check in ([], [_FLETCHER]))
"""Filters, in the order in which they were applied, that are undone here."""
_CHECKSUM = 4
"""Bytes that a checksum adds to a chunk."""
_SLACK = 2**16
"""Bytes that packing may add to what cannot be packed, beside a quarter of it."""
_SIZES = {32001: (4, 8, "little"), 32004: (0, 8, "big"), 32008: (0, 8, "big")}
"""Filters that write before a chunk how many bytes it unpacks to: Blosc, LZ4, Bitshuffle."""


class Chunks:
    """Indexes an open h5py dataset in chunks by integers and slices.

    Parameters
    ----------
    dataset : h5py.Dataset
        With ``chunks``.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.filters = _filters(dataset)
        self.size = math.prod(dataset.chunks) * dataset.dtype.itemsize

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        dataset = self.dataset
        if can_unpack(dataset):
            return gathered(self._chunk, index, dataset.shape, dataset.chunks, dataset.dtype)
        spans = [
            range(n)[i] if isinstance(i, slice) else range(i, i + 1) for i, n in zip(index, dataset.shape, strict=True)
        ]
        for origin in origins(spans, dataset.chunks) if self.filters else ():
            self._packed(origin)
        found = np.asarray(dataset[index])
        self._check_empty(found.reshape([len(span) for span in spans]), spans)
        return found

    def _check_empty(self, found: np.ndarray, spans: list[range]) -> None:
        """An error where the library gave the fill value for a chunk that the file tells of, but it did not find."""
        if not found.size:
            return
        fill, chunks = np.asarray(self.dataset.fillvalue, found.dtype), self.dataset.chunks
        starts = [range(min(s[0], s[-1]) // c * c, max(s[0], s[-1]) + 1, c) for s, c in zip(spans, chunks, strict=True)]
        parts = [[_inside(span, each, c) for each in at] for span, at, c in zip(spans, starts, chunks, strict=True)]
        parts = [[part for part in along if part.start < part.stop] for along in parts]
        middles = [[(part.start + part.stop - 1) // 2 for part in along] for along in parts]
        for place in np.argwhere(found[np.ix_(*middles)] == fill):
            where = tuple(along[i] for along, i in zip(parts, place, strict=True))
            if (found[where] == fill).all():
                at = [span[part.start] // c * c for span, part, c in zip(spans, where, chunks, strict=True)]
                self._packed(tuple(at))

    def _chunk(self, origin: tuple[int, ...]) -> Any:
        """One chunk, or the fill value where it was never written."""
        dataset, found = self.dataset, self._packed(origin)
        if found is None:
            return np.asarray(dataset.fillvalue, dataset.dtype)[()]
        active, packed = found
        flat = np.frombuffer(self._unpacked(packed, active), np.uint8)
        size = dataset.dtype.itemsize
        if _SHUFFLE in active and size > 1:
            flat = np.ascontiguousarray(flat.reshape(size, -1).T).reshape(-1)
        chunk = flat.view(np.uint8 if dataset.dtype.kind == "b" else dataset.dtype).reshape(dataset.chunks)
        return chunk != 0 if dataset.dtype.kind == "b" else chunk

    def _unpacked(self, packed: Any, active: list[int]) -> Any:
        try:
            if _FLETCHER in active:
                packed = _checked(packed)
            data = inflated(packed, self.size) if _DEFLATE in active else packed
        except ValueError as error:
            raise self._wrong(str(error)) from error
        if len(data) != self.size:
            raise self._wrong(f"holds {len(data)} bytes in place of {self.size}")
        return data

    def _active(self, mask: int) -> list[int]:
        """The filters of a chunk, of which some may have been left out."""
        return [code for i, code in enumerate(self.filters) if not mask >> i & 1]

    @functools.cached_property
    def _room(self) -> np.ndarray:
        """Where packed chunks are put, one after the other: none may be larger."""
        return np.empty(self.size + self.size // 4 + _SLACK, np.uint8)

    @functools.cached_property
    def _unwritten(self) -> Callable[[tuple[int, ...]], bool]:
        """Whether, as far as the file tells, a chunk that begins at a place was never written."""
        if is_complete(self.dataset):
            return lambda origin: False
        listed: set[tuple[int, ...]] = set()
        self.dataset.id.chunk_iter(lambda info: listed.add(tuple(info.chunk_offset)))
        return lambda origin: origin not in listed

    def _packed(self, origin: tuple[int, ...]) -> tuple[list[int], Any] | None:
        """The filters and bytes of a chunk, which the next call overwrites; None where it was never written.

        An error where the chunk cannot be what it is, or where the file tells of it but does not lead to it: what the
        library takes for zeros.
        """
        try:
            mask, packed = self.dataset.id.read_direct_chunk(origin, out=self._room)
        except ValueError as error:
            raise self._wrong("holds more bytes than its shape has room for") from error
        except (RuntimeError, OSError) as error:
            if getattr(error, "errno", None):
                raise  # of the disk
            if self._unwritten(origin):
                return None
            raise self._wrong("is not where the file says") from error
        active = self._active(mask)
        if len(packed) <= (_CHECKSUM if _FLETCHER in active else 0):
            raise self._wrong("is empty")
        if not active and len(packed) != self.size:
            raise self._wrong(f"holds {len(packed)} bytes in place of {self.size}")
        if active and self.filters not in _PIPELINES:
            self._check_unpacked(packed, active)
        return active, packed

    def _check_unpacked(self, packed: Any, active: list[int]) -> None:
        """An error where a chunk that the library unpacks would come to more than its dataset declares."""
        first = next((code for code in reversed(active) if code != _FLETCHER), None)
        if first not in _SIZES and first != _DEFLATE:
            return
        most = self.size + self.size // 4 + _SLACK
        if first == _DEFLATE:
            inflater = zlib.decompressobj()
            too_much = len(inflater.decompress(packed, self.size + _CHECKSUM + 1)) > self.size + _CHECKSUM
        else:
            start, stop, order = _SIZES[first]
            too_much = int.from_bytes(packed[start:stop], order) > most  # type: ignore[arg-type]
        if too_much:
            raise self._wrong("unpacks to more than its shape has room for")

    def _wrong(self, what: str) -> ReadError:
        name = str(self.dataset.file.filename).replace("\\", "/").rpartition("/")[2]
        return ReadError(f"{name} is damaged: a chunk of {self.dataset.name} {what}; get it once more.")


def gathered(
    chunk_at: Callable[[tuple[int, ...]], Any],
    index: tuple[Any, ...],
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype,
) -> np.ndarray:
    """The part of an array in chunks at integers and slices, put together of its chunks.

    Parameters
    ----------
    chunk_at : callable
        Gives the chunk that begins at a position: an array of the shape of a chunk, or one number.
    index, shape, chunks, dtype
        Which part, of an array of which shape, size of chunks and type.
    """
    wanted = [range(n)[i] if isinstance(i, slice) else range(i, i + 1) for i, n in zip(index, shape, strict=True)]
    spans = [range(min(r[0], r[-1]), max(r[0], r[-1]) + 1) if len(r) else range(0) for r in wanted]
    out = np.empty([len(span) for span in spans], dtype)
    for origin in origins(spans, chunks):
        chunk = chunk_at(origin)
        here, there = [], []
        for start, size, span in zip(origin, chunks, spans, strict=True):
            first, last = max(start, span.start), min(start + size, span.stop)
            here.append(slice(first - span.start, last - span.start))
            there.append(slice(first - start, last - start))
        out[tuple(here)] = chunk if isinstance(chunk, np.generic) else chunk[tuple(there)]
    return out[
        tuple(slice(None, None, r.step) if isinstance(i, slice) else 0 for i, r in zip(index, wanted, strict=True))
    ]


def inflated(packed: Any, size: int, form: int = zlib.MAX_WBITS) -> bytes:
    """What zlib's data unpacks to; a ValueError where that is more than so many bytes, or it is cut off."""
    inflater = zlib.decompressobj(form)
    data = inflater.decompress(packed, size)
    if not inflater.eof and inflater.decompress(inflater.unconsumed_tail, 1):
        raise ValueError("unpacks to more than its shape has room for")
    if not inflater.eof:
        raise ValueError("is cut off")
    return data


def _checked(data: Any) -> Any:
    """Data without the checksum that follows it; a ValueError where that is another's."""
    from numcodecs.fletcher32 import Fletcher32

    try:
        return memoryview(Fletcher32().decode(data)).cast("B")
    except RuntimeError as error:
        raise ValueError("does not have the sum that was noted of it") from error


def whole(dataset: Any) -> np.ndarray:
    """All of an open h5py dataset, by its chunks where it has any."""
    if dataset.chunks and dataset.dtype.kind in "biuf":
        return np.asarray(Chunks(dataset)[(slice(None),) * dataset.ndim])
    return np.asarray(dataset[()])


def part(dataset: Any, index: tuple[Any, ...]) -> np.ndarray:
    """The part of an open h5py dataset at integers and slices, by its chunks where it has any."""
    return np.asarray((Chunks(dataset) if dataset.chunks else dataset)[index])


def can_unpack(dataset: Any) -> bool:
    """Whether a dataset holds plain numbers in chunks that are packed by gzip, shuffled or with a checksum only."""
    if not dataset.chunks or dataset.dtype.kind not in "biuf":
        return False
    return bool(filters := _filters(dataset)) and filters in _PIPELINES


def written_chunks(dataset: Any) -> np.ndarray:
    """(n, axes) places of the chunks of a dataset that were written, counted in chunks; a ReadError if one is wrong."""
    found: list[tuple[int, ...]] = []
    dataset.id.chunk_iter(lambda info: found.append(tuple(info.chunk_offset)))
    chunks = np.array(dataset.chunks, np.int64)
    places = np.array(found, np.int64).reshape(-1, dataset.ndim)
    if (places < 0).any() or (places >= np.array(dataset.shape)).any() or (places % chunks).any():
        raise ReadError(f"{dataset.name} has chunks outside of its shape; the file is damaged.")
    return np.unique(places // chunks, axis=0)


def is_complete(dataset: Any) -> bool:
    """Whether all of a dataset was written, as far as the file knows."""
    if dataset.is_virtual or dataset.external or not dataset.size:
        return True
    if not dataset.chunks:
        return bool(dataset.id.get_storage_size() >= dataset.nbytes)
    grid = [-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)]
    return bool(dataset.id.get_num_chunks() >= math.prod(grid))


def origins(spans: Sequence[Sequence[int]], chunks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Where the chunks begin that hold what is at spans of indices."""
    ends = [(min(s[0], s[-1]), max(s[0], s[-1]) + 1) if len(s) else (0, 0) for s in spans]
    return itertools.product(*[range(first // c * c, last, c) for (first, last), c in zip(ends, chunks, strict=True)])


def _inside(span: range, start: int, size: int) -> slice:
    """Which of the positions of a span, by their number, lie in a chunk that begins at `start`."""
    if not len(span):
        return slice(0)
    first, last = (start, start + size - 1) if span.step > 0 else (start + size - 1, start)
    ahead, behind = -((span.start - first) // span.step), (last - span.start) // span.step + 1
    return slice(max(0, ahead), max(0, min(behind, len(span))))


def _filters(dataset: Any) -> list[int]:
    plist = dataset.id.get_create_plist()
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
