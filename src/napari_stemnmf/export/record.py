"""Which files of a folder a run of ours has written, so that none of another run stays beside those of the last.

The record is a comment at the end of ``recipe.toml``, which every run writes last. Files that are in no record are the
user's and are never touched; neither are those that were changed since they were written.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.writing import read_text, write_text
from napari_stemnmf.recipe import LARGEST
from napari_stemnmf.texts import why

logger = logging.getLogger(__name__)
RECIPE = "recipe.toml"
ABOUT = "# written by napari-stemnmf beside this recipe; what a later run does not write again is removed:"
ASIDE = "earlier results"
"""Folder for what a version before 0.5 has left, which kept no record."""
_LINE = re.compile(r"^#   ([0-9a-f]{64})  ([^/\\\n]+)$", re.MULTILINE)


def recorded(folder: Path) -> dict[str, str] | None:
    """By name, a digest of each file that the last run wrote; None without a record."""
    try:
        _, about, lines = read_text(folder / RECIPE, LARGEST).partition(ABOUT)
    except (OSError, UnicodeDecodeError):
        return None
    return {name: digest for digest, name in _LINE.findall(lines)} if about else None


def tidy(folder: Path, written: Iterable[Path], before: Mapping[str, str] | None, former: Iterable[str] = ()) -> None:
    """Record what a run has written, and take out what the one before has left.

    Parameters
    ----------
    folder : Path
    written : iterable of Path
        Files of this run, the recipe among them.
    before : mapping or None
        What was `recorded` before it.
    former : iterable of str
        Names of what an earlier version has written, which kept no record: it is put into a folder of its own.
    """
    digests = {path.name: _digest(path) for path in written if path.name != RECIPE}
    left = {name: digest for name, digest in (before or {}).items() if name not in digests}
    ours = [name for name, digest in left.items() if (folder / name).is_file() and _digest(folder / name) == digest]
    changed = [name for name in left if name not in ours and (folder / name).is_file()]
    old = [] if before is not None else [n for n in former if n not in (RECIPE, *digests) and (folder / n).is_file()]
    try:
        for name in ours:
            (folder / name).unlink()
        for name in old:
            (folder / ASIDE).mkdir(exist_ok=True)
            (folder / name).replace(folder / ASIDE / name)
    except OSError as error:
        raise AnalysisError(f"{folder / name} is of another run and cannot be removed: {why(error)}.") from error
    recipe = (folder / RECIPE).read_text(encoding="utf-8").partition(ABOUT)[0]
    lines = [ABOUT, *(f"#   {digest}  {name}" for name, digest in digests.items())]
    write_text(folder / RECIPE, recipe + "\n" + "\n".join(lines) + "\n")
    if ours:
        logger.warning("Removed from %s, as they were of another run: %s.", folder, ", ".join(ours))
    if old:
        logger.warning("Moved to %s, as they were of another run: %s.", folder / ASIDE, ", ".join(old))
    if changed:
        logger.warning("In %s, of another run, and changed by hand since: %s.", folder, ", ".join(changed))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
