"""HDF5 links, followed by our own rules instead of the library's.

The HDF5 library follows an external link wherever it points, also by absolute paths and through the working
directory. A file from somebody else should not decide which other files are read: links are followed within the folder
of the file that was opened (Dectris masters need that), everything else is refused. Readers open what `locate` found,
so that the library itself meets no external link.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading.stored import open_hdf5

MOST_HOPS = 16
MOST_OBJECTS = 200_000


def locate(path: Path, name: str, folder: Path, hops: int = 0) -> tuple[Path, str]:
    """Where a dataset really lies, following soft and external links.

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
                return locate(inside(link.filename, path, folder), f"{link.path}/{rest}", folder, hops + 1)
            if link is None:
                raise ReadError(f"{path.name} has no dataset {name}.")
            node = node[part]
    return path, "/" + "/".join(parts)


def inside(target: str, path: Path, folder: Path) -> Path:
    """The file that a link names, if it lies in the folder of the file that was opened.

    Raises
    ------
    ReadError
        If it lies elsewhere, or is not there.
    """
    found = (path.parent / target.replace("\\", "/")).resolve()
    if not found.is_relative_to(folder):
        raise ReadError(
            f"{path.name} links to {target}, outside its own folder, which is not followed; "
            "copy that file beside it, and link to it by name."
        )
    if not found.is_file():
        raise ReadError(f"{path.name} links to {target}, which is not there; copy that file beside it.")
    return found


def walk(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All datasets and external links below a group as (path, h5py.Dataset or h5py.ExternalLink).

    By hard links only, each object once, in the file's order; a dataset as `group` gives itself.
    """
    import h5py

    seen: set[Any] = set()
    stack = [(prefix, group)]
    while stack and len(seen) < MOST_OBJECTS:
        name, node = stack.pop()
        if isinstance(node, h5py.ExternalLink):
            yield name, node
            continue
        identity = h5py.h5o.get_info(node.id)
        if (identity.fileno, identity.addr) in seen:
            continue
        seen.add((identity.fileno, identity.addr))
        if isinstance(node, h5py.Dataset):
            yield name, node
        elif isinstance(node, h5py.Group):
            for key in reversed(list(node)):
                link = node.get(key, getlink=True)
                if not isinstance(link, h5py.SoftLink):
                    stack.append((f"{name}/{key}", link if isinstance(link, h5py.ExternalLink) else node[key]))


def child(group: Any, name: str) -> Any:
    """A member of a group, or None where there is none, or only a soft or external link to one."""
    import h5py

    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    return group[name]


def check_storage(dataset: Any, path: Path, folder: Path, hops: int = 0) -> None:
    """Refuse a dataset whose bytes lie in files that a stranger may have chosen.

    Raises
    ------
    ReadError
        If it keeps raw data outside of HDF5, or is a virtual dataset with sources outside the folder.
    """
    if dataset.external:
        raise ReadError(
            f"{path.name} keeps the data of {dataset.name} outside of the file, in {dataset.external[0][0]}, "
            "which is not followed; h5repack brings it into one file."
        )
    if not dataset.is_virtual:
        return
    for source in dataset.virtual_sources():
        if source.file_name == ".":
            target, name = path, source.dset_name
        elif "%" in source.file_name:  # a numbered series: only its folder can be checked
            if not (path.parent / source.file_name).parent.resolve().is_relative_to(folder):
                inside(source.file_name, path, folder)
            continue
        else:
            target, name = inside(source.file_name, path, folder), source.dset_name
        target, name = locate(target, name, folder)
        if hops > MOST_HOPS:
            raise ReadError(f"The virtual datasets in {path.name} go in circles; the file is damaged.")
        with open_hdf5(target) as file:
            check_storage(file[name], target, folder, hops + 1)
