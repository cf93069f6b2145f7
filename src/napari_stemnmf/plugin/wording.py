"""Words and numbers as napari's window has them: what Python calls by keyword is named by its field. No Qt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_stemnmf.texts import shown_lines

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Input

_MARKUP = re.compile(r"<\s*[A-Za-z/!?]")


def in_window(message: Any) -> str:
    """A message or error of the package with the fields of *Open scan* in place of Python's keywords.

    Examples
    --------
    >>> in_window("give scan_shape=(20, 30)")
    'give 20 scan rows and 30 scan columns in Open scan'
    """
    message = unmarked(message)
    text = re.sub(r"scan_shape=\((\d+), (\d+)\)", r"\1 scan rows and \2 scan columns in Open scan", message)
    return re.sub(r'drop="?(\w+)"?', r"'\1' as what is dropped in Open scan", text)


def unmarked(text: Any) -> str:
    """A text in which Qt, which guesses, sees no markup: it would load the pictures that a file's name calls for."""
    plain = shown_lines(str(text))
    return plain.replace("<", "\u2039").replace(">", "\u203a") if _MARKUP.search(plain) else plain


def other_scan(found: Input, wanted: Input) -> str:
    """Why a scan is not the one that results are of."""
    if found.shape != wanted.shape:
        shapes = (" x ".join(map(str, each.shape)) for each in (found, wanted))
        return "{} holds {} values, the results are of {}.".format(found.name, *shapes)
    return f"{found.name} is of the right shape but is not the file of these results, or was changed since."


def readable(number: float) -> str:
    """A number to four digits, never with a power of ten: large ones are whole, with thousands apart.

    Examples
    --------
    >>> readable(819200.0), readable(12.3456)
    ('819,200', '12.35')
    """
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def size_of(nbytes: int) -> str:
    """Bytes in the unit that suits, as in "42.5 MB"."""
    size = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
