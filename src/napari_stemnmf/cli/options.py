"""The options that several commands take, and what they describe: a file, a recipe, analyses and their truths."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.errors import AnalysisError, RecipeError
from napari_stemnmf.recipe import FEATURES, PRESETS, Recipe
from napari_stemnmf.scan_shape import DROPS
from napari_stemnmf.settings import MOST_THREADS as MOST
from napari_stemnmf.settings import walk
from napari_stemnmf.texts import brief, shown

if TYPE_CHECKING:
    import numpy as np

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset

ANALYSIS_NAME = "analysis.stemnmf.h5"
LARGEST = 10**9
"""Of numbers of rows and columns: more can only be a slip."""
_PLACES: tuple[Callable[[Path], str], ...] = (
    lambda path: path.parent.name,
    lambda path: f"{path.parent.name}/{path.name.partition('.')[0]}",
    str,
)
"""What is added to the names of analyses that are equal, from little to much of the path."""


def with_settings() -> dict[str, Any]:
    """For ``add_parser`` of a command that takes ``--set``: its help ends with a list of all settings."""
    return {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "epilog": "settings for --set NAME=VALUE:\n" + settings_help(),
    }


def add_file(parser: argparse.ArgumentParser, several: bool = False) -> None:
    about = "a 4D-STEM scan; FILE::NAME names one of several datasets in it"
    if several:
        about += "; of several, or of a folder of them, each is run on its own"
        parser.add_argument("files", type=name, metavar="FILE", nargs="+", help=about)
    else:
        parser.add_argument("file", type=name, metavar="FILE", help=about)
    parser.add_argument(
        "--scan-shape", type=pair, metavar="ROWS,COLUMNS", help="for a file that holds a stack of patterns"
    )
    parser.add_argument(
        "--drop", type=which, default="last", metavar="last|first|N",
        help="patterns to leave out where a recording has more than the scan has positions: the last (default), the "
        "first, or N of the first and then the last",
    )  # fmt: skip


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--features", metavar="aa,rv,bd", help=f"representations, of {', '.join(FEATURES)}")
    parser.add_argument("--seeds", type=int, metavar="N", help="random starts of each clustering")
    add_settings_options(parser)


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=tuple(PRESETS), default="default", help="settings to start from")
    parser.add_argument("--recipe", type=place, metavar="R.toml", help="settings from a file, in place of a preset")
    parser.add_argument("--mask", type=name, metavar="FILE", help="detector mask, true where pixels are kept")
    parser.add_argument("--workers", type=threads, metavar="N", help="threads; default: all cores")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="settings",
        help="change one setting; repeatable",
    )  # fmt: skip


def add_truth(parser: argparse.ArgumentParser, **how: Any) -> None:
    parser.add_argument(
        "--truth", action="append", type=name, metavar="FILE::NAME",
        help="true grains: stack of masks or label image; one for all analyses, or repeated in their order", **how,
    )  # fmt: skip


def add_grains(parser: argparse.ArgumentParser) -> None:
    from napari_stemnmf.export.chosen import CHOICES

    about = "; ".join(f"{name}: {meaning}" for name, meaning in CHOICES.items())
    parser.add_argument("--grains", choices=tuple(CHOICES), default="kept", help=f"{about}; default: kept")


def settings_help() -> str:
    lines = []
    for name, f, value in walk(Recipe()):
        unit = f" [{f.metadata['unit']}]" if f.metadata["unit"] else ""
        lines.append(f"  {name} (default {'auto' if value is None else value}): {f.metadata['help']}{unit}")
    return "\n".join([*lines, "  a leading * changes all representations: --set '*.refinement.min_size=10'"]).replace(
        "%", "%%"
    )


def pair(text: str) -> tuple[int, int]:
    try:
        rows, columns = (int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{brief(text)} is not ROWS,COLUMNS") from None
    if not (1 <= rows <= LARGEST and 1 <= columns <= LARGEST):
        raise argparse.ArgumentTypeError(f"{brief(text)} must be two numbers from 1 to {LARGEST}")
    return rows, columns


def threads(text: str) -> int:
    """A number of threads."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{brief(text)} is no number of threads from 1 to {MOST}")
    return int(text)


def name(text: str) -> str:
    """The name of a file or folder, perhaps of something in it."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def place(text: str) -> Path:
    """The path of a file or folder."""
    return Path(name(text))


def which(text: str) -> str | int:
    if text in DROPS:
        return text
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{brief(text)} is not {', '.join(DROPS)} or a number of patterns")
    return int(text)


def recipe_from(options: argparse.Namespace) -> Recipe:
    """The recipe that the options of a command line describe."""
    recipe = Recipe.load(options.recipe) if options.recipe else Recipe.preset(options.preset)
    changes: dict[str, Any] = {}
    if getattr(options, "features", None) is not None:
        changes["features"] = options.features
    if getattr(options, "seeds", None) is not None:
        changes["*.clustering.seeds"] = options.seeds
    if options.mask:
        changes["beam_stop.mask"] = options.mask
    for item in options.settings:
        name, equals, value = item.partition("=")
        if not equals:
            raise RecipeError(f"--set needs NAME=VALUE, not '{item}'.")
        changes[name.strip()] = value.strip()
    return recipe.replaced(changes)


def open_file(options: argparse.Namespace, file: str = "") -> Dataset:
    """The scan that a command names, or another `file`, opened with the same options."""
    from napari_stemnmf.reading.opening import open as open_scan

    return open_scan(file or options.file, scan_shape=options.scan_shape, drop=options.drop)


def load_analyses(paths: Sequence[Path], grains: str) -> dict[str, Analysis]:
    """Analyses by the name of their scan, and where several have it, of their folder too; with the grains wanted.

    Raises
    ------
    AnalysisError
        If a file is not an analysis, or is given twice.
    """
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.export.chosen import chosen

    places = [Path(path).resolve() for path in paths]
    twice = next((path for i, path in enumerate(places) if path in places[:i]), None)
    if twice is not None:
        raise AnalysisError(f"The analysis {twice} is given twice; give each one once.")
    analyses = [chosen(Analysis.load(path), grains) for path in paths]
    return dict(zip(unique_names([shown(analysis.input.name) for analysis in analyses], places), analyses, strict=True))


def unique_names(names: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Names that are all different: where some are equal, with the folder, or as much of the path as it takes."""
    unique = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        equal = [i for i, other in enumerate(names) if other == name]
        for place in _PLACES:
            places = [place(paths[i]) for i in equal]
            if len(set(places)) == len(places):
                break
        for i, place_name in zip(equal, places, strict=True):
            unique[i] = f"{name} ({place_name})"
    return unique


def load_truths(given: Sequence[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The true masks of each analysis: one truth serves all, several are in the order of the analyses.

    Raises
    ------
    AnalysisError
        If there are neither one nor as many as analyses.
    ReadError
        If a file holds no masks.
    """
    from napari_stemnmf.reading.masks import load_masks

    if len(given) not in (1, len(names)):
        raise AnalysisError(
            f"Number of analyses: {len(names)}, of truths: {len(given)}; give one truth, or one for each."
        )
    masks = {where: load_masks(where) for where in dict.fromkeys(given)}
    return {name: masks[given[0 if len(given) == 1 else i]] for i, name in enumerate(names)}
