"""Texts that come from outside, such as names of files and words of other programs, made fit to be shown or kept.

A name of a file may hold anything but two bytes. A terminal obeys some characters, a list of notes breaks at others,
some turn what follows them around, and bytes that are no UTF-8 cannot be written. Standard library only.
"""

from __future__ import annotations

import os
import re
from functools import cache

STEERING = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
"""Controls of terminals, ends of lines, what turns the direction of writing, and halves of characters."""
LONGEST = 400
"""Letters of a value that a message repeats."""


@cache
def steering(*, but: str = "", and_: str = "") -> re.Pattern[str]:
    """What is shown as an escape, but some letters, and some others; made when it is asked for, as it takes ms."""
    kept = f"(?![{but}])" if but else ""
    return re.compile(f"{kept}[{STEERING}{re.escape(and_)}]")


def shown(text: object) -> str:
    r"""A text in one line, with what would steer a terminal written as Python writes it: ``\n``, ``\x1b``."""
    return steering().sub(_escaped, str(text))


def shown_lines(text: str) -> str:
    """The same of a text whose ends of lines and tabulators are meant."""
    return steering(but="\n\t").sub(_escaped, text)


def is_plain(text: str) -> bool:
    """Whether a text can be written as UTF-8 and handed to the system as a name."""
    return not re.search("[\x00\ud800-\udfff]", text)


def brief(value: object) -> str:
    """A value as Python writes it, cut where it is long or deep: for messages that repeat what was given."""
    import reprlib

    writer = reprlib.Repr()
    writer.maxstring = writer.maxother = writer.maxlong = LONGEST
    return writer.repr(value)


DAMAGED = "it is damaged, or not what its name says"
NOT_WRITTEN = "the disk may be full"


def why(error: BaseException, else_: str = DAMAGED) -> str:
    """What went wrong, in words of the system where it has some, and in ours for what Python says of itself."""
    if isinstance(error, OSError) and error.strerror and error.errno:
        long = "errno =" in error.strerror  # what HDF5 adds to it is for programmers
        return os.strerror(error.errno) if long else error.strerror
    for kind, words in _REASONS.items():
        if isinstance(error, kind):
            return words
    return else_


def _escaped(found: re.Match[str]) -> str:
    letter = found[0]
    if "\udc80" <= letter <= "\udcff":  # a byte of a name that is no UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return ascii(letter)[1:-1]


_REASONS: dict[type[BaseException], str] = {
    MemoryError: "there is not enough memory",
    RecursionError: "it is nested too deeply",
    UnicodeError: "it holds bytes that are no UTF-8 text",
    OverflowError: "it holds a number that is too large",
}
