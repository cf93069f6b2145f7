"""Messages as napari's window words them: what Python calls by keyword is named by its field in *Open scan*. No Qt."""

from __future__ import annotations

import re
from typing import Any


def in_window(message: Any) -> str:
    """A message or error of the package with the fields of *Open scan* in place of Python's keywords.

    Examples
    --------
    >>> in_window("give scan_shape=(20, 30)")
    'give 20 scan rows and 30 scan columns in Open scan'
    """
    text = re.sub(r"scan_shape=\((\d+), (\d+)\)", r"\1 scan rows and \2 scan columns in Open scan", str(message))
    return re.sub(r'drop="?(\w+)"?', r"'\1' as what is dropped in Open scan", text)
