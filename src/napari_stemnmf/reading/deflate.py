"""Gzip-compressed HDF5 chunks, unpacked outside of HDF5's lock.

HDF5 does one thing at a time in a process, and unpacks chunks while it holds its lock: threads that read a gzip file
through it wait for each other. Here HDF5 only fetches the packed chunks; zlib unpacks them in the thread that wants
them.
"""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np

DEFLATE, SHUFFLE = 1, 2


class DeflatedChunks:
    """Indexes an open h5py dataset by slices; unpacks its chunks itself.

    Parameters
    ----------
    dataset : h5py.Dataset
        For which `can_unpack` is true.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.shuffled = SHUFFLE in _filters(dataset)

    def __getitem__(self, index: tuple[Any, ...]) -> np.ndarray:
        dataset, chunks = self.dataset, self.dataset.chunks
        spans = [
            range(n)[i] if isinstance(i, slice) else range(i, i + 1) for i, n in zip(index, dataset.shape, strict=True)
        ]
        if any(span.step != 1 for span in spans):
            return dataset[index]
        out = np.empty([len(span) for span in spans], dataset.dtype)
        grid = [range(s.start // c * c, s.stop, c) for s, c in zip(spans, chunks, strict=True)]
        for origin in itertools.product(*grid):
            chunk = self._chunk(origin)
            here, there = [], []
            for start, size, span in zip(origin, chunks, spans, strict=True):
                first, last = max(start, span.start), min(start + size, span.stop)
                here.append(slice(first - span.start, last - span.start))
                there.append(slice(first - start, last - start))
            out[tuple(here)] = chunk if isinstance(chunk, np.generic) else chunk[tuple(there)]
        return out[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]

    def _chunk(self, origin: tuple[int, ...]) -> Any:
        """One chunk, or the fill value where it was never written."""
        dataset = self.dataset
        if dataset.id.get_chunk_info_by_coord(origin).byte_offset is None:
            return np.asarray(dataset.fillvalue, dataset.dtype)[()]
        skipped, packed = dataset.id.read_direct_chunk(origin)
        count, size = int(np.prod(dataset.chunks)), dataset.dtype.itemsize
        if skipped:  # filters that were left out for this chunk
            part = tuple(slice(o, o + c) for o, c in zip(origin, dataset.chunks, strict=True))
            chunk = np.zeros(dataset.chunks, dataset.dtype)
            stored = dataset[part]
            chunk[tuple(slice(n) for n in stored.shape)] = stored
            return chunk
        flat = np.frombuffer(zlib.decompress(packed, bufsize=count * size), np.uint8)
        if self.shuffled and size > 1:
            flat = np.ascontiguousarray(flat.reshape(size, count).T).reshape(-1)
        return flat.view(dataset.dtype).reshape(dataset.chunks)


def can_unpack(dataset: Any) -> bool:
    """Whether a dataset holds plain numbers in chunks packed by gzip, perhaps shuffled, and by nothing else."""
    if not dataset.chunks or dataset.dtype.kind not in "iuf":
        return False
    return _filters(dataset) in ([DEFLATE], [SHUFFLE, DEFLATE])


def _filters(dataset: Any) -> list[int]:
    plist = dataset.id.get_create_plist()
    return [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
