"""Where the analysis of a scan is kept: beside the scan, under its name. No Qt, no napari."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from napari_stemnmf.files import FILE_SUFFIX


def scan_file(source: str) -> Path | None:
    """The file of a dataset's source, "FILE" or "FILE::name"; None for a scan without one."""
    file = source.partition("::")[0]
    return Path(file).absolute() if file else None


def place(scan: Path, number: int = 1) -> Path:
    """Where the analysis of a scan is kept; the others of the same name are numbered from 2."""
    return scan.parent / f"{scan.name.removesuffix(scan.suffix)}{f'-{number}' if number > 1 else ''}{FILE_SUFFIX}"


def free_place(scan: Path, taken: set[Path] | frozenset[Path] = frozenset()) -> Path:
    """The first place beside a scan that holds nothing and is not among those that others have taken."""
    places = (place(scan, number) for number in count(1))
    return next(each for each in places if each not in taken and not each.exists())


def earlier(scan: Path, fingerprint: str) -> Path | None:
    """The analysis beside a scan that is of the same data; the newest of several; None if there is none."""
    stem, end = place(scan).name.removesuffix(FILE_SUFFIX), FILE_SUFFIX
    named = [
        each
        for each in scan.parent.glob(f"*{end}")
        if (rest := each.name.removesuffix(end)) == stem
        or (rest.startswith(f"{stem}-") and rest[len(stem) + 1 :].isdecimal())
    ]
    found = [each for each in named if fingerprint_of(each) == fingerprint]
    return max(found, key=lambda each: each.stat().st_mtime_ns, default=None)


def fingerprint_of(path: Path) -> str:
    """Which data an analysis file is of; empty for another file. Reads no results."""
    import h5py

    from napari_stemnmf.analysis import is_analysis  # not above: places are asked for while a scan is being opened

    if not is_analysis(path):
        return ""
    try:
        with h5py.File(path, "r") as file:
            return str(file["input"].attrs["fingerprint"])
    except (OSError, KeyError):
        return ""
