"""``stemnmf info``: what a file holds."""

from __future__ import annotations

import argparse
from typing import Any

from napari_stemnmf.cli.options import add_file, open_file


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("info", help="say what a file holds")
    add_file(parser)
    parser.set_defaults(command=_info)


def _info(options: argparse.Namespace) -> None:
    from napari_stemnmf.reading.opening import summary

    print(summary(open_file(options)))
