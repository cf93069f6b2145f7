"""Which files a file may lead to: those in its own folder, and below it. The one rule, for all formats.

A file from somebody else should not decide what else is read: not by an absolute path, not by steps upwards, and not
through a symbolic link that lies beside it.
"""

from __future__ import annotations

from pathlib import Path

from napari_stemnmf.errors import ReadError


def beside(name: str, path: Path, folder: Path | None = None, verb: str = "links to") -> Path:
    """The file that a file names, all links resolved.

    Parameters
    ----------
    name : str
        As the file has it: relative to the file's own folder.
    path : Path
        The file that names it.
    folder : Path, optional
        The resolved folder that may not be left; that of the file if not given, and of what it is a link to.
    verb : str
        What it does with the name, for messages.

    Raises
    ------
    ReadError
        If it is outside the folder, or not there.
    """
    found = within(name, path, folder, verb)
    if not found.is_file():
        raise ReadError(f"{path.name} {verb} {name}, which is not there; copy that file beside it.")
    return found


def within(name: str, path: Path, folder: Path | None = None, verb: str = "links to") -> Path:
    """`beside` for a file that need not be there."""
    folders = [path.parent.resolve(), path.resolve().parent] if folder is None else [folder]
    try:
        found = (path.parent / name.replace("\\", "/")).resolve()
    except (OSError, ValueError, RuntimeError) as error:  # circles of links, characters that no name may have
        raise ReadError(f"{path.name} {verb} {name!r:.80}, which cannot be a file; it is damaged.") from error
    if not any(found.is_relative_to(each) for each in folders):
        raise ReadError(
            f"{path.name} {verb} {name}, outside its own folder, which is not followed; "
            "copy that file beside it, and link to it by name."
        )
    return found
