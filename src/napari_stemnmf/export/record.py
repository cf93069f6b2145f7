"""Which files of a folder a run of ours has written, so that none of another run stays beside those of the last.

The record is a small file in the folder. Files that are in no record are the user's and are never touched; neither are
those that were changed since they were written.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files import result_file

logger = logging.getLogger(__name__)
RECORD = ".stemnmf-results.json"
"""Name of the record."""
ASIDE = "earlier results"
"""Folder for files of a version before 0.5, which kept no record."""
UNKNOWN = "unknown"


def recorded(folder: Path) -> dict[str, dict[str, str]]:
    """By name of a file in the folder: a digest of what was written, and what it is of. Empty without a record."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return {str(name): {key: str(value) for key, value in entry.items()} for name, entry in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def record(folder: Path, written: Iterable[Path], of: str = "") -> None:
    """Add files to the record; `of` names the result that they show, where they stay as long as that is current."""
    entries = {path.name: {"digest": _digest(path), "of": of} for path in written if path.parent == folder}
    _write(folder, {**recorded(folder), **entries})


def adopt(folder: Path, names: Iterable[str]) -> None:
    """Record files of a version that kept no record, unless there is one."""
    if not (folder / RECORD).exists():
        found = {name: {"digest": UNKNOWN, "of": ""} for name in names if (folder / name).is_file()}
        if found:
            _write(folder, found)


def tidy(folder: Path, written: Iterable[Path], current: Iterable[str] = ()) -> None:
    """Record what a run has written, and take out what other runs have left; `current` names results that still hold.

    What was taken out, or was changed since it was written and so stays, is told by a warning.
    """
    written, known, keep = list(written), recorded(folder), set(current)
    names = {path.name for path in written}
    removed, moved, stay = [], [], []
    for name, entry in known.items():
        path = folder / name
        if name in names or (entry.get("of") and entry["of"] in keep) or not path.is_file() or path.parent != folder:
            continue
        try:
            if entry.get("digest") == UNKNOWN:
                (folder / ASIDE).mkdir(exist_ok=True)
                path.replace(folder / ASIDE / name)
                moved.append(name)
            elif entry.get("digest") == _digest(path):
                path.unlink()
                removed.append(name)
            else:
                stay.append(name)
        except OSError as error:
            raise AnalysisError(
                f"{path}, which is of another run, cannot be removed: {error.strerror or error}."
            ) from error
    gone = {*removed, *moved, *stay}
    kept = {name: entry for name, entry in known.items() if name not in gone and (folder / name).is_file()}
    _write(folder, {**kept, **{path.name: {"digest": _digest(path), "of": ""} for path in written}})
    if removed:
        logger.warning("Removed from %s, as they were of another run: %s.", folder, ", ".join(removed))
    if moved:
        logger.warning("Moved to %s, as they are of another run: %s.", folder / ASIDE, ", ".join(moved))
    if stay:
        logger.warning("In %s, of another run, and changed since by hand: %s.", folder, ", ".join(stay))


def _write(folder: Path, files: Mapping[str, Mapping[str, str]]) -> None:
    about = "Files that napari-stemnmf has written here; it removes them when a later run does not write them."
    with result_file(folder / RECORD) as part:
        part.write_text(json.dumps({"about": about, "files": files}, indent=1), encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
