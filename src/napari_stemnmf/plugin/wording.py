"""Messages as napari's window words them: what Python calls by keyword is named by its field in *Open scan*. No Qt."""

from __future__ import annotations

import re
from typing import Any

from napari_stemnmf.texts import shown_lines

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
