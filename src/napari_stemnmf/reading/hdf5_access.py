"""HDF5 files, opened safely: links, limits, and where the data of a dataset is kept.

The HDF5 library follows an external link wherever it points, also by absolute paths and through the working
directory. A file from somebody else should not decide which other files are read: links are followed within the folder
of the file that was opened (Dectris masters need that), everything else is refused. Readers open what `locate` found,
so that the library itself meets no external link.

A file is tried out before it is opened (`hdf5_probe`), and read by its chunks (`hdf5_chunks`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.files import hdf5_chunks
from napari_stemnmf.files.hdf5_probe import MOST_OBJECTS, prove
from napari_stemnmf.reading.containment import beside
from napari_stemnmf.reading.stored_arrays import StoredArray

Described: TypeAlias = tuple[bytes, tuple[int, ...]]
"""Path and shape of a dataset."""
MOST_HOPS = 16
"""Links that lead on to links, at most."""


def open_hdf5(path: Path) -> Any:
    """An HDF5 file for reading: with the filters of hdf5plugin, without a lock on it.

    A ReadError if the library does not survive it.
    """
    import h5py
    import hdf5plugin  # noqa: F401  (registers its filters)

    prove(path)
    return h5py.File(path, "r", locking=False)


@dataclass(frozen=True)
class Hdf5Array(StoredArray):
    """A dataset of an HDF5 file, by a path without external links (see `locate`)."""

    path: Path
    name: str

    def read(self, index: tuple[Any, ...]) -> np.ndarray:
        """The part at an index of integers and slices."""
        with open_hdf5(self.path) as file:
            return hdf5_chunks.part(file[self.name], index)


def locate(path: Path, name: str, folder: Path, hops: int = 0) -> tuple[Path, str]:
    """The file and path of a dataset, after soft and external links.

    Parameters
    ----------
    path, name : Path, str
        File and path within it.
    folder : Path
        The resolved folder that links may not leave.

    Returns
    -------
    tuple of Path and str
        A file, and a path in it that consists of hard links only.

    Raises
    ------
    ReadError
        If a link leaves the folder, goes in circles, or its target is not there.
    """
    import h5py

    if hops > MOST_HOPS:
        raise ReadError(f"The links in {path.name} go in circles at {name}; the file is damaged.")
    parts = [part for part in name.split("/") if part and part != "."]
    with open_hdf5(path) as file:
        node: Any = file
        for i, part in enumerate(parts):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            rest = "/".join(parts[i + 1 :])
            if isinstance(link, h5py.SoftLink):
                target = posixpath.join(node.name, link.path, rest)
                return locate(path, target, folder, hops + 1)
            if isinstance(link, h5py.ExternalLink):
                return locate(beside(link.filename, path, folder), f"{link.path}/{rest}", folder, hops + 1)
            if link is None:
                raise ReadError(f"{path.name} has no dataset {name}.")
            node = node[part]
    return path, "/" + "/".join(parts)


def walk(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All datasets and external links below a group as (path, h5py.Dataset or h5py.ExternalLink).

    By hard links only, each object once, in the file's order; a dataset as `group` gives itself.
    """
    import h5py

    seen: set[Any] = set()
    stack: list[tuple[str, Any, str | None]] = [(prefix, group, None)]
    while stack:
        name, node, key = stack.pop()
        if key is not None:
            kind = node.get(key, getlink=True)
            name = f"{name}/{key}"
            if isinstance(kind, h5py.ExternalLink):
                yield name, kind
            if not isinstance(kind, h5py.HardLink):
                continue
            node = node[key]
        if identity(node) in seen:
            continue
        seen.add(identity(node))
        if len(seen) > MOST_OBJECTS:
            raise _too_many(group)
        if isinstance(node, h5py.Dataset):
            yield name, node
        elif isinstance(node, h5py.Group):
            stack += [(name, node, below) for below in reversed(list(node))]


def outline(group: Any) -> tuple[list[Described], list[bytes]]:
    """Path and shape of all datasets below a group, and the paths of external links, as `walk` finds them.

    Nothing stays open, so that it takes no longer for each of many.
    """
    import h5py

    arrays: list[Described] = []
    linked: list[bytes] = []
    seen: set[int] = {h5py.h5o.get_info(group.id).addr}
    stack = [(b"/" + key, group.id, key) for key in reversed(list(group.id))]
    while stack:
        path, parent, key = stack.pop()
        link = parent.links.get_info(key)
        if link.type == h5py.h5l.TYPE_EXTERNAL:
            linked.append(path)
        if link.type != h5py.h5l.TYPE_HARD or link.u in seen:  # the address of what it leads to
            continue
        seen.add(link.u)
        if len(seen) > MOST_OBJECTS:
            raise _too_many(group)
        node = h5py.h5o.open(parent, key)
        if isinstance(node, h5py.h5g.GroupID):
            stack += [(path + b"/" + below, node, below) for below in reversed(list(node))]
        elif isinstance(node, h5py.h5d.DatasetID) and node.shape is not None:
            arrays.append((path, tuple(node.shape)))
    return arrays, linked


def at(file: Any, path: bytes) -> Any:
    """The dataset at a path that `outline` gave."""
    import h5py

    return h5py.Dataset(h5py.h5o.open(file.id, path))


def _too_many(group: Any) -> ReadError:
    return ReadError(
        f"{Path(group.file.filename).name} holds more than {MOST_OBJECTS} objects; "
        "name the dataset to open, as in FILE::NAME."
    )


def child(group: Any, name: str) -> Any:
    """A member of a group, or None where there is none, or only a soft or external link to one."""
    return group[name] if link_of(group, name) == "hard" else None


def link_of(group: Any, name: str) -> str:
    """The kind of link by which a group has a member: ``hard``, ``soft``, ``external``; empty where it has none."""
    import h5py

    if not isinstance(group, h5py.Group) or name in ("", ".", "/"):
        return ""
    kinds = {h5py.h5l.TYPE_HARD: "hard", h5py.h5l.TYPE_SOFT: "soft", h5py.h5l.TYPE_EXTERNAL: "external"}
    links, raw = group.id.links, name.encode() if isinstance(name, str) else name
    return kinds.get(links.get_info(raw).type, "") if links.exists(raw) else ""


def member(group: Any, name: str, hops: int = 0) -> Any:
    """What a path from a group leads to, soft links followed within the file; None if that is nothing, or elsewhere."""
    node = group.file if name.startswith("/") else group
    parts = [part for part in name.split("/") if part and part != "."]
    for i, part in enumerate(parts):
        kind = link_of(node, part)
        if kind == "soft" and hops < MOST_HOPS:
            target = posixpath.join(node.name, node.get(part, getlink=True).path, *parts[i + 1 :])
            return member(node.file, target, hops + 1)
        if kind != "hard":
            return None
        node = node[part]
    return node if parts else None


def is_group(group: Any, name: str) -> bool:
    """Whether a member of a group is a group, by a hard link."""
    import h5py

    if link_of(group, name) != "hard":
        return False
    return bool(h5py.h5o.get_info(group.id, name.encode()).type == h5py.h5o.TYPE_GROUP)


def identity(node: Any) -> tuple[int, int]:
    """What tells an object of an open file from all others, by whatever path it was reached."""
    import h5py

    info = h5py.h5o.get_info(node.id)
    return info.fileno, info.addr
