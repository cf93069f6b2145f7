"""``stemnmf info``: what a file holds; ``stemnmf recipe``: the settings as a file."""

from __future__ import annotations

import argparse
from typing import Any

from napari_stemnmf.cli.options import add_file, add_recipe_options, open_file, recipe_from
from napari_stemnmf.errors import worded_for


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("info", help="say what a file holds")
    add_file(parser)
    parser.set_defaults(command=_info)


def _info(options: argparse.Namespace) -> None:
    from napari_stemnmf.reading.opening import summary

    print(worded_for("shell", summary(open_file(options))))


def add_recipe(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("recipe", help="print a recipe to edit and give to run --recipe")
    add_recipe_options(parser)
    parser.set_defaults(command=_recipe)


def _recipe(options: argparse.Namespace) -> None:
    print(recipe_from(options).to_toml(), end="")
