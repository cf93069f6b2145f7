"""Which files a scan is read from: its own, the headers and data beside it, and what an HDF5 file links to.

They are all looked at to tell whether the data is still the same (`contents`).
"""

from __future__ import annotations

import contextlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading.containment import within
from napari_stemnmf.reading.stored_arrays import StoredArray


def files_of(path: Path, kind: str, scan: Dataset) -> tuple[str, ...]:
    """All files that a scan of a kind, as `opening.sniff` names it, is read from; its own first."""
    found = [path]
    if kind == "hdf5":
        name = str(scan.metadata.get("dataset") or scan.source.partition("::")[2] or "/")
        found += [file for file in sorted(_linked(path.resolve(), name)) if file != path.resolve()]
    elif kind == "xml":
        found += [path.parent / node.get("filename", "") for node in ET.parse(path).getroot().iter("raw_file")]
    elif kind == "tvips":
        found += tvips_parts(path)[1:]
    elif kind in ("mib", "ser", "emi", "mrc"):
        found += list(_described(path, kind))
    return tuple(dict.fromkeys(str(file.absolute()) for file in found if file == path or file.is_file()))


def check_beside(path: Path, kind: str) -> None:
    """A ReadError where a file beside a scan, which is read by its name, is a link out of the folder."""
    for file in tvips_parts(path) if kind == "tvips" else _described(path, kind):
        if file.is_file():
            within(file.name, path, verb="is read with")


def tvips_parts(path: Path) -> list[Path]:
    """The parts of a TVIPS recording, in order, from its first on; a ReadError where one between them is missing."""
    stem = re.sub(r"_\d{3}\.tvips$", "", path.name, flags=re.IGNORECASE)
    if stem == path.name:
        return [path]
    pattern = re.compile(re.escape(stem) + r"_(\d{3})" + re.escape(path.suffix))
    found = {int(match[1]): each for each in path.parent.iterdir() if (match := pattern.fullmatch(each.name))}
    lacking = sorted(set(range(max(found, default=0))) - set(found))
    if lacking:
        names = ", ".join(f"_{number:03d}" for number in lacking[:8])
        raise ReadError(
            f"{path.name} is a recording in {max(found) + 1} parts, of which {len(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} missing ({names}); copy the whole recording."
        )
    return [found[number] for number in sorted(found)]


def _described(path: Path, kind: str) -> Iterator[Path]:
    """The header, or the data, that lies beside a file."""
    if kind == "mib":
        yield path.with_suffix(".hdr")
    elif kind == "ser":
        yield path.with_name(re.sub(r"_\d+$", "", path.stem) + ".emi")
    elif kind == "emi":
        yield from sorted(path.parent.glob(f"{path.stem}_*.ser"))
    elif kind == "mrc":
        prefix = re.match(r"\d{8}_\d+", path.name)
        yield path.with_name(re.sub(r"_movie\.mrc$", "_info.txt", path.name, flags=re.IGNORECASE))
        yield path.with_name(f"{prefix[0] if prefix else path.stem}_info.txt")


def _linked(path: Path, name: str) -> set[Path]:
    """The files that a dataset, or the datasets of a group, are kept in; links are followed within the folder."""
    from napari_stemnmf.reading.hdf5_access import locate, open_hdf5, walk
    from napari_stemnmf.reading.virtual import stored

    folder, found = path.parent, {path}
    waiting, seen = {(path, name)}, set()
    while waiting:
        seen.add(link := waiting.pop())
        try:
            target, inner = locate(*link, folder)
        except ReadError:
            continue  # a link that the scan does not need: those that it needs were followed when it was opened
        found.add(target)
        with open_hdf5(target) as opened:
            for below, node in walk(opened[inner], inner):
                if not hasattr(node, "shape"):
                    waiting |= {(target, below)} - seen
                elif node.is_virtual:
                    with contextlib.suppress(ReadError):  # of a dataset that is not the scan
                        found |= _sources(stored(target, below, folder)[0])
    return found


def _sources(array: StoredArray) -> set[Path]:
    """The files that a stored array is read from."""
    from napari_stemnmf.reading.virtual import VirtualArray

    if not isinstance(array, VirtualArray):
        return {array.path}
    return {array.path}.union(*[_sources(piece.source) for piece in array.pieces if piece.source is not None])
