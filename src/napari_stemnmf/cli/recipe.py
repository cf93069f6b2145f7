"""``stemnmf recipe``: the settings, to edit."""

from __future__ import annotations

import argparse
from typing import Any

from napari_stemnmf.cli.options import add_recipe_options, recipe_from


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("recipe", help="print a recipe to edit and give to run --recipe")
    add_recipe_options(parser)
    parser.set_defaults(command=_recipe)


def _recipe(options: argparse.Namespace) -> None:
    print(recipe_from(options).to_toml(), end="")
