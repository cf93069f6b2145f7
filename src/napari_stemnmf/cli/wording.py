"""Messages as a shell's user reads them: what Python calls by keyword is named by its option here."""

from __future__ import annotations

import re

_SCAN_SHAPE = re.compile(r"\bscan_shape=\(([^()]*)\)")
_DROP = re.compile(r'\bdrop="?(\w+)"?')
_KEYWORD = re.compile(r"\b(workers|mask|seeds|dpi|features|overwrite|preset|recipe|until)=(?=[^\s=])")
SETTINGS_HINT = "Settings are given as --set NAME=VALUE."


def in_options(message: str) -> str:
    """A message of the package with the options of the command line in place of Python's.

    ``scan_shape=(3, 4)`` becomes ``--scan-shape 3,4``, and a message that names settings says how to give them.
    """
    message = _DROP.sub(r"--drop \1", message)
    message = _SCAN_SHAPE.sub(lambda found: f"--scan-shape {_pair(found[1])}", message)
    message = _KEYWORD.sub(lambda found: f"--{found[1]} ", message)
    message = re.sub(r"\bdataset=(\S+?)(?=[\s,;.]|$)", "FILE::NAME", message)
    message = message.replace(
        "load it with Analysis.load, or drop it on napari", "give it to stemnmf score or figure, or drop it on napari"
    )
    if "--set " not in message and any(re.search(rf"\b{re.escape(name)}\b", message) for name in _names()):
        message = f"{message} {SETTINGS_HINT}"
    return message


def _pair(text: str) -> str:
    pair = text.replace(" ", "")
    return pair if any(letter.isdigit() for letter in pair) else pair.upper()


def _names() -> list[str]:
    from napari_stemnmf.recipe import Recipe
    from napari_stemnmf.settings import walk

    return [name for name, _, _ in walk(Recipe()) if "." in name]
