"""``stemnmf simulate``."""

from __future__ import annotations

from typing import Any


def add(commands: Any) -> None:
    """Add the command to the parser's."""
