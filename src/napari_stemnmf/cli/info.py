"""``stemnmf info``: what a file holds; ``stemnmf recipe``: the settings as a file."""

from __future__ import annotations

import argparse
from typing import Any

from napari_stemnmf.cli.options import add_file, add_recipe_options, open_file, recipe_from
from napari_stemnmf.cli.wording import in_options


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("info", help="say what a file holds, and what is odd about it")
    add_file(parser)
    parser.set_defaults(command=_info)


def _info(options: argparse.Namespace) -> None:
    from napari_stemnmf.preprocessing.oddities import oddities
    from napari_stemnmf.reading.opening import summary

    dataset = open_file(options)
    print(in_options(summary(dataset)))
    for line in oddities(dataset) or ("nothing that was looked for",):
        print(f"  odd       {in_options(line)}")


def add_recipe(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("recipe", help="print a recipe to edit and give to run --recipe")
    add_recipe_options(parser)
    parser.set_defaults(command=_recipe)


def _recipe(options: argparse.Namespace) -> None:
    print(recipe_from(options).to_toml(), end="")
