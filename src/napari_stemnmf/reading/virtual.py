"""Virtual datasets of HDF5, read from their sources here, so that the library opens no file by itself.

The library takes a source that is missing for zeros, looks for it in the working directory, and fills in the names of
a numbered series (``p%b.h5``) by itself. Here every source is located first, within the folder of the file that was
opened; what is missing is known, by position.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.files.hdf5_chunks import is_complete, written_chunks
from napari_stemnmf.files.hdf5_probe import prove
from napari_stemnmf.gaps import gaps_of
from napari_stemnmf.reading.containment import within
from napari_stemnmf.reading.hdf5_access import MOST_HOPS, Hdf5Array, locate, open_hdf5
from napari_stemnmf.reading.selections import (
    LONGEST,
    MOST_PARTS,
    UNLIMITED,
    declared_shape,
    hyperslab,
    last_of_series,
    numbered,
    positions,
)
from napari_stemnmf.reading.stored_arrays import StoredArray

Found: TypeAlias = tuple[StoredArray, tuple[int, ...]]
"""What reads a dataset, and its shape."""


@dataclass(frozen=True)
class Piece:
    """One source of a virtual dataset.

    Attributes
    ----------
    here : tuple of ndarray
        Along each axis of the virtual dataset, which of its positions it gives.
    there : tuple of ndarray
        Along each axis of the source, which it takes; empty where the source is missing.
    source : StoredArray or None
        None where it is missing.
    """

    here: tuple[np.ndarray, ...]
    there: tuple[np.ndarray, ...] = ()
    source: StoredArray | None = None

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The axes, of here and there, that go together: those along which there is more than one position."""
        return list(zip(_long(self.here), _long(self.there), strict=True))


@dataclass(frozen=True)
class VirtualArray(StoredArray):
    """A virtual dataset, read source by source; what no source gives has the fill value."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    fill: Any
    pieces: tuple[Piece, ...]

    @property
    def parts(self) -> int:
        """How many datasets it is put together of, counted as often as they are taken."""
        return sum(each.source.parts if isinstance(each.source, VirtualArray) else 1 for each in self.pieces)

    def read(self, index: tuple[Any, ...]) -> np.ndarray:
        """The part at an index of integers and slices."""
        spans = [
            range(n)[i] if isinstance(i, slice) else range(i, i + 1) for i, n in zip(index, self.shape, strict=True)
        ]
        out = np.full([len(span) for span in spans], self.fill, self.dtype)
        for piece in self.pieces:
            if piece.source is not None:
                _copy(piece, spans, out)
        return out[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]


def stored(
    path: Path, name: str, folder: Path, hops: int = 0, known: dict[tuple[Path, str], Found] | None = None
) -> Found:
    """What reads a dataset of an HDF5 file, and its shape.

    Parameters
    ----------
    path, name : Path, str
        As `locate` gives them.
    folder : Path
        The resolved folder that sources may not leave.
    hops : int
        How deep this is in virtual datasets of virtual datasets.
    known : dict, optional
        What was located already, by file and name.

    Raises
    ------
    ReadError
        If its data is kept outside of HDF5, or a source lies outside the folder, or sources go in circles.
    """
    if hops > MOST_HOPS:
        raise ReadError(f"The virtual datasets in {path.name} go in circles; the file is damaged.")
    known = {} if known is None else known
    if (path, name) in known:
        return known[path, name]
    with open_hdf5(path) as file:
        dataset = file[name]
        if dataset.external:
            raise ReadError(
                f"{path.name} keeps the data of {dataset.name} outside of the file, in {dataset.external[0][0]}, "
                "which is not followed; h5repack brings it into one file."
            )
        if not dataset.is_virtual:
            return known.setdefault((path, name), (Hdf5Array(path, name), tuple(dataset.shape)))
        sources, shape = dataset.virtual_sources(), declared_shape(dataset, path)
        fill, dtype = dataset.fillvalue, dataset.dtype
    found: list[tuple[Any, tuple[np.ndarray, ...], Path, str]] = []
    for source in sources:
        found += _of_source(source, shape, path, folder)
        if len(found) > MOST_PARTS:
            raise ReadError(f"{path.name} has more than {MOST_PARTS} sources, too many for one scan.")
    prove(*{target for _, _, target, _ in found})
    pieces = tuple(_piece(*each, path, folder, hops, known) for each in found)
    array = VirtualArray(path, tuple(shape), dtype.newbyteorder("="), fill, pieces)
    if array.parts > MOST_PARTS:
        raise ReadError(f"{path.name} is put together of {array.parts} parts, too many for one scan.")
    return known.setdefault((path, name), (array, tuple(shape)))


def missing(array: StoredArray, axes: Sequence[int]) -> np.ndarray | None:
    """Which positions along some axes of a stored array hold what was never written, or lies in a file that is missing.

    A bool array over those axes; None where nothing is missing.
    """
    if isinstance(array, VirtualArray):
        return _missing_of_virtual(array, axes)
    if not isinstance(array, Hdf5Array):
        return None
    with open_hdf5(array.path) as file:
        dataset = file[array.name]
        if is_complete(dataset):
            return None
        if not dataset.chunks:
            return np.ones([dataset.shape[axis] for axis in axes], bool)
        return gaps_of(written_chunks(dataset), dataset.shape, dataset.chunks, axes)


def _missing_of_virtual(array: VirtualArray, axes: Sequence[int]) -> np.ndarray | None:
    """Positions that a missing source would give, or that less was given of than of others."""
    shape = [array.shape[axis] for axis in axes]
    covered, gaps = np.zeros(shape, np.int64), np.zeros(shape, bool)
    for piece in array.pieces:
        where = np.ix_(*[piece.here[axis] for axis in axes])
        if piece.source is None:
            gaps[where] = True
            continue
        covered[where] += math.prod(len(at) for axis, at in enumerate(piece.here) if axis not in axes)
        paired = dict(piece.pairs)
        theirs = [paired[axis] for axis in axes if axis in paired]
        of_source = missing(piece.source, theirs or [0])
        if of_source is None:
            continue
        taken = [piece.there[axis] for axis in theirs] or [piece.there[0]]
        part = of_source[np.ix_(*taken)]
        gaps[where] |= part.reshape([len(piece.here[axis]) for axis in axes]) if theirs else part.any()
    gaps |= covered < covered.max(initial=0)
    return gaps if gaps.any() else None


def _of_source(
    source: Any, shape: list[int], path: Path, folder: Path
) -> list[tuple[Any, tuple[np.ndarray, ...], Path, str]]:
    """Selection in the source, positions here, file and name of a source, or of each of a numbered series.

    `shape` grows where a series goes on behind a file that is missing.
    """
    regular = hyperslab(source.vspace, path)
    endless = [axis for axis, count in enumerate(regular[2] if regular else ()) if count == UNLIMITED]
    is_series = bool(re.search(r"(?<!%)(?:%%)*%b", f"{source.file_name}\0{source.dset_name}"))
    if not is_series:
        target = path if source.file_name == "." else within(numbered(source.file_name, 0), path, folder)
        here = positions(regular, shape, path)
        return [(source.src_space, here, target, numbered(source.dset_name, 0))]
    if len(endless) != 1 or regular is None:
        raise ReadError(f"{path.name} names a series {source.file_name} for a part of fixed size; it is damaged.")
    axis = endless[0]
    start, stride, block = regular[0][axis], max(1, regular[1][axis]), regular[3][axis]
    blocks = max(-(-(shape[axis] - start) // stride), last_of_series(source.file_name, path) + 1, 0)
    if blocks > MOST_PARTS:
        raise ReadError(f"{path.name} has {blocks} sources, too many for one scan.")
    shape[axis] = max(shape[axis], start + (blocks - 1) * stride + block)
    if shape[axis] > LONGEST:
        raise ReadError(f"{path.name} declares {shape[axis]} positions along an axis; it is damaged.")
    found = []
    for number in range(blocks):
        name = numbered(source.file_name, number)
        target = path if name == "." else within(name, path, folder)
        one = [list(part) for part in regular]
        one[0][axis], one[2][axis] = start + number * stride, 1
        here = positions(tuple(map(tuple, one)), shape, path)
        found.append((source.src_space, here, target, numbered(source.dset_name, number)))
    return found


def _piece(
    space: Any,
    here: tuple[np.ndarray, ...],
    target: Path,
    name: str,
    path: Path,
    folder: Path,
    hops: int,
    known: dict[tuple[Path, str], Found],
) -> Piece:
    """A source as it is found; without one where its file is not there."""
    if not target.is_file():
        return Piece(here)
    try:
        located = locate(target, name, folder)
    except ReadError as error:
        if "has no dataset" not in str(error):
            raise
        return Piece(here)
    source, shape = stored(*located, folder, hops + 1, known)
    there = positions(hyperslab(space, path), list(shape), path)
    if len(_long(here)) == len(_long(there)):  # of a source that grew or shrank, what both have
        pairs = [(a, b, min(len(here[a]), len(there[b]))) for a, b in zip(_long(here), _long(there), strict=True)]
        if UNLIMITED in np.ravel((hyperslab(space, path) or ((), (), ()))[2]):
            here = tuple(_cut(at, axis, {a: n for a, _, n in pairs}) for axis, at in enumerate(here))
            there = tuple(_cut(at, axis, {b: n for _, b, n in pairs}) for axis, at in enumerate(there))
    if [len(here[a]) for a in _long(here)] != [len(there[b]) for b in _long(there)]:
        raise ReadError(
            f"{path.name} takes {name} of {target.name} in another shape than it has; "
            "it is damaged, or h5repack brings it into one file."
        )
    if any(at.size and int(at.max()) >= n for at, n in zip(there, shape, strict=True)):
        raise ReadError(f"{target.name} holds less of {name} than {path.name} takes of it; it is not whole.")
    return Piece(here, there, source)


def _cut(at: np.ndarray, axis: int, sizes: dict[int, int]) -> np.ndarray:
    return at[: sizes[axis]] if axis in sizes else at


def _long(positions: Sequence[np.ndarray]) -> list[int]:
    return [axis for axis, at in enumerate(positions) if len(at) != 1]


def _copy(piece: Piece, spans: Sequence[range], out: np.ndarray) -> None:
    """Put what a source gives of some spans where it belongs in `out`."""
    for at, span in zip(piece.here, spans, strict=True):
        if not len(at) or not len(span) or at[-1] < min(span[0], span[-1]) or at[0] > max(span[0], span[-1]):
            return
    chosen = []
    for at, span in zip(piece.here, spans, strict=True):
        ahead = (at - span.start) * (1 if span.step > 0 else -1)
        step = abs(span.step)
        chosen.append(np.flatnonzero((ahead >= 0) & (ahead // step < len(span)) & (ahead % step == 0)))
    if any(len(each) == 0 for each in chosen):
        return
    pairs = {there: here for here, there in piece.pairs}
    wanted = [at[chosen[pairs[axis]]] if axis in pairs else at for axis, at in enumerate(piece.there)]
    slices = [_slice(at) for at in wanted]
    part = piece.source.read(tuple(slices))  # type: ignore[union-attr]
    for axis, (at, taken) in enumerate(zip(wanted, slices, strict=True)):
        if part.shape[axis] != len(at):
            part = part.take(at - taken.start, axis=axis)
    target = tuple(
        (at[each] - span.start) // span.step for at, each, span in zip(piece.here, chosen, spans, strict=True)
    )
    out[np.ix_(*target)] = part.reshape([len(each) for each in chosen])


def _slice(at: np.ndarray) -> slice:
    """The slice that gives ascending positions, or more than those where they are not evenly spaced."""
    first, last = int(at[0]), int(at[-1])
    step = int(at[1] - at[0]) if len(at) > 1 and (np.diff(at) == at[1] - at[0]).all() else 1
    return slice(first, last + 1, step)
