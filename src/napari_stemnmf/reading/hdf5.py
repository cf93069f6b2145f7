"""HDF5 files of any kind: the scan is found by its shape, and calibrated by whichever convention the file follows.

Known to work: py4DSTEM and EMD 0.x and 1.0, HyperSpy (hspy), NeXus, NCEM EMD (also as HyperSpy writes it, transposed),
fpd, Prismatic, Velox EMD image stacks, Dectris (Arina) masters with their data files, and plain datasets.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError
from napari_stemnmf.files.hdf5_probe import prove
from napari_stemnmf.reading import calibrations, nexus
from napari_stemnmf.reading.blocks import Blocks, Frames, reading
from napari_stemnmf.reading.candidates import Candidate, believed, open_chosen
from napari_stemnmf.reading.containment import within
from napari_stemnmf.reading.hdf5_access import Described, at, identity, locate, open_hdf5, outline, walk
from napari_stemnmf.reading.stored_arrays import Stack, StoredArray, array_blocks
from napari_stemnmf.reading.virtual import missing, stored

MOST_ARRAYS = 200
"""Arrays of a file that are described, at most."""
_DECTRIS = re.compile(r"(^|/)data_\d{6}$")
_AXIS = re.compile(r"/dim\d+$")  # one of the vectors that calibrate an EMD array
_DEPTH = re.compile(r"CBED_array_depth(\d+)/")


def open_hdf5_scan(
    path: Path, *, dataset: str | None = None, scan_shape: tuple[int, int] | None = None, drop: str | int = "last"
) -> Dataset:
    """An HDF5 file as a scan; arguments and errors are those of `opening.open`."""
    with reading(path, " as HDF5"):
        real = path.resolve()
        found, broken = _found(real, dataset)
        if not any(c.role for c in found) and broken is not None:
            raise broken

        def metadata(candidate: Candidate) -> dict[str, Any]:
            with open_hdf5(real) as file:
                return {"format": "HDF5", "dataset": candidate.name, **calibrations.facts(file)}

        return open_chosen(found, path, dataset=dataset, scan_shape=scan_shape, drop=drop, metadata=metadata)


def _found(path: Path, dataset: str | None) -> tuple[list[Candidate], ReadError | None]:
    """`candidates`, with the one that is named, also where it is reached by links only, or among too many others."""
    try:
        found, broken = candidates(path)
    except ReadError:
        if dataset is None or not (direct := _linked(path, dataset)):
            raise
        return direct, None
    if dataset is not None and not any(c.name.strip("/") == dataset.strip("/") for c in found):
        found = [*found, *_linked(path, dataset)]
    return found, broken


def candidates(path: Path) -> tuple[list[Candidate], ReadError | None]:
    """All arrays of a file, external links within its folder followed; and why a link was not, where none could be."""
    folder, found, broken = path.parent, [], None
    with open_hdf5(path) as file:
        arrays, links = outline(file)
        outside = sorted((_text(name), name) for name in links)
        named = nexus.signals(file)
        for raw, _ in _largest([each for each in arrays if not _AXIS.search(_text(each[0]))]):
            node = at(file, raw)
            found.append(_candidate(node, path, path, _text(raw), folder, named.get(identity(node))))
        linked = [name for name, _ in outside]
        files = [file.get(raw, getlink=True).filename for _, raw in outside]
        scan = calibrations.dectris(file, path) if any(_DECTRIS.search(name) for name in linked) else None
    targets = []
    with contextlib.suppress(ReadError):  # each says so by itself when it is opened
        prove(*[within(each, path, folder) for each in dict.fromkeys(files)])
    for name in linked:
        try:
            targets.append((name, *locate(path, name, folder)))
        except ReadError as error:
            broken = error
    if scan is not None and broken is not None:
        return found, broken  # part of a series would pass for the whole
    if scan is not None:
        found.append(_dectris(path, targets, scan, folder))
    else:
        for name, target, inner in targets:
            with open_hdf5(target) as file:
                nodes = [(below, node) for below, node in walk(file[inner], name) if getattr(node, "shape", None)]
                found += [_candidate(node, path, target, below, folder, named.get(below)) for below, node in nodes]
    return _deepest(found), broken


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _largest(arrays: list[Described]) -> list[Described]:
    """The arrays of a file; where they are very many, the largest of them, among which the scan is."""
    if len(arrays) <= MOST_ARRAYS:
        return arrays
    several = [each for each in arrays if len(each[1]) >= 2]
    return sorted(several, key=lambda each: math.prod(each[1]), reverse=True)[:MOST_ARRAYS]


def _linked(path: Path, dataset: str) -> list[Candidate]:
    """A dataset that is reached by a link only."""
    try:
        target, inner = locate(path, dataset, path.parent)
    except ReadError as error:
        if "has no dataset" in str(error):
            return []
        raise
    with open_hdf5(target) as file:
        if not hasattr(file[inner], "shape"):
            return []
        return [_candidate(file[inner], path, target, "/" + dataset.strip("/"), path.parent)]


def _candidate(
    node: Any, path: Path, target: Path, name: str, folder: Path, named: nexus.Signal | None = None
) -> Candidate:
    """An HDF5 dataset as a candidate, with what NeXus says of it; its storage is checked when it is chosen."""
    dtype, chunks, inner = node.dtype.newbyteorder("="), node.chunks, node.name
    velox = calibrations.is_velox(node)

    @functools.cache
    def array() -> tuple[StoredArray, tuple[int, ...]]:
        return stored(target, inner, folder)

    shape = tuple(node.shape)
    if node.is_virtual:  # of a series, with what comes behind files that are missing
        with contextlib.suppress(ReadError):  # told when it is chosen
            shape = array()[1]

    def blocks(order: tuple[int, ...]) -> Blocks | Frames:
        return array_blocks(array()[0], shape, order, dtype, chunks)

    def gaps(axes: Sequence[int]) -> np.ndarray | None:
        found = missing(array()[0], axes)
        if found is not None and found.all():
            raise ReadError(f"{path.name} has room for {name}, but nothing was ever written to it.")
        return found

    def load() -> np.ndarray:
        if missing(array()[0], range(len(shape))) is not None:
            raise ReadError(f"{name} in {path.name} was not written to its end; it is not whole.")
        return array()[0].read((slice(None),) * len(shape))

    return Candidate(
        name,
        shape,
        dtype,
        blocks,
        gaps=gaps,
        load=load,
        scalings=calibrations.scalings(node, named.scalings if named is not None else ()),
        frame_axis=2 if velox else 0,
        preferred=calibrations.is_preferred(node) or (named is not None and named.preferred),
    )


def _dectris(path: Path, targets: list[tuple[str, Path, str]], scan: dict[str, Any], folder: Path) -> Candidate:
    """The data files of a Dectris master, as one stack."""
    parts, shapes, dtypes = [], [], []
    for _, target, inner in targets:
        with open_hdf5(target) as file:
            node = file[inner]
            parts.append((stored(target, inner, folder)[0], int(node.shape[0])))
            shapes.append(tuple(node.shape[1:]))
            dtypes.append(node.dtype.newbyteorder("="))
    if len(set(shapes)) != 1 or len(set(dtypes)) != 1 or len(shapes[0]) != 2:
        raise ReadError(f"The data files of {path.name} hold patterns of different shapes or types; it is damaged.")
    count = sum(n for _, n in parts)

    def gaps(axes: Sequence[int]) -> np.ndarray | None:
        found = [missing(part, axes) for part, _ in parts]
        if all(each is None for each in found):
            return None
        return np.concatenate([np.zeros(n, bool) if f is None else f for f, (_, n) in zip(found, parts, strict=True)])

    shape = scan["scan_shape"]
    return Candidate(
        targets[0][0].rsplit("/", 1)[0] or "/",
        (count, *shapes[0]),
        dtypes[0],
        lambda order: Stack(tuple(parts), 3, order, shapes[0], dtypes[0]),
        gaps=gaps,
        scan_shape=believed(shape, count),
        scan_scalings=scan["scalings"],
        preferred=True,
        patterns=count > 1 or shape is not None,
        metadata=scan["metadata"],
    )


def _deepest(found: list[Candidate]) -> list[Candidate]:
    """Of the thicknesses that a Prismatic simulation holds, the last is the specimen's: it is preferred."""
    depths = [(int(match[1]), c) for c in found if (match := _DEPTH.search(c.name)) and c.role == "scan"]
    if len(depths) < 2:
        return found
    last = max(depths, key=lambda pair: pair[0])[1]
    others = [c.name for _, c in depths if c is not last]
    chosen = replace(last, preferred=True, metadata={"other_thicknesses": ", ".join(others)})
    return [chosen if c is last else c for c in found]
