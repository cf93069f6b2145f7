"""Texts from outside are shown in one line that no terminal obeys, and an error is told in words for people."""

from __future__ import annotations

import errno
import os
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.texts import NOT_WRITTEN, brief, is_plain, shown, shown_lines, why


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("film.h5", "film.h5"),
        ("Ångström 日本 é🙂", "Ångström 日本 é🙂"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("invoice\u202efdp.h5", r"invoice\u202efdp.h5"),
        ("a\u2028b", r"a\u2028b"),
        ("sur\udcff.h5", r"sur\xff.h5"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_steers_a_terminal_is_shown_as_an_escape(text: str, told: str) -> None:
    assert shown(text) == told


@given(st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF)))
def test_whatever_is_shown_can_be_written_and_is_one_line(text: str) -> None:
    line = shown(text)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1
    assert not [letter for letter in line if unicodedata.category(letter) in ("Cc", "Cs")]
    assert shown(line) == line
    assert shown_lines("a\n\tb\x1b") == "a\n\tb\\x1b"


def test_a_message_of_ours_is_one_line_whatever_it_names() -> None:
    assert str(DataError("there is no da\nta\x1b[2J")) == r"there is no da\nta\x1b[2J"
    assert str(ReadError()) == ""


def test_values_in_messages_are_cut() -> None:
    assert len(brief("x" * 10**6)) < 500
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    assert len(brief(nested)) < 500


def test_errors_are_told_in_the_system_s_words_or_in_ours() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/secret/.part")
    assert why(full) == "No space left on device"
    of_hdf5 = OSError(errno.ENOSPC, "Can't write data (errno = 28, error message = 'No space', buf = 0x55)")
    assert why(of_hdf5) == "No space left on device"
    for error in (ValueError("invalid literal for int()"), RuntimeError("x"), RecursionError(), UnicodeError()):
        assert not re.search(r"int\(\)|Error|codec", why(error))
    assert why(RuntimeError("Can't decrement id ref count"), NOT_WRITTEN) == NOT_WRITTEN


def test_a_text_that_can_be_a_name() -> None:
    assert is_plain("m\n.npy")
    assert not is_plain("m\0.npy")
    assert not is_plain("m\udcff.npy")
