"""``stemnmf figure``: any figure of the catalogue, from analyses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.cli.options import ANALYSIS_NAME, add_grains, add_truth, load_analyses, load_truths, place
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("figure", help="draw a figure for print: PDF, SVG, PNG")
    parser.add_argument("name", nargs="?", metavar="NAME", help="which figure; --list tells them all")
    parser.add_argument(
        "analyses", nargs="*", type=place, metavar="ANALYSIS", help=f"analysis files, as in DIR/{ANALYSIS_NAME}"
    )
    parser.add_argument("--list", action="store_true", help="say which figures there are, and what each needs")
    add_truth(parser, default=[])
    add_grains(parser)
    parser.add_argument("--feature", choices=tuple(FEATURES), help="representation; default: the first in the analysis")
    parser.add_argument("--out", type=place, metavar="STEM", help="path of the figure without its ending")
    parser.add_argument("--formats", default="pdf,png", metavar="pdf,png", help="of pdf, png and svg")
    parser.add_argument("--dpi", type=int, default=300, metavar="N", help="pixels per inch of PNG")
    parser.set_defaults(command=_figure)


def _figure(options: argparse.Namespace) -> None:
    from napari_stemnmf.figures import catalogue
    from napari_stemnmf.figures.style import save

    if options.list:
        _list()
        return
    if options.name is None or options.out is None:
        raise AnalysisError("Say which figure, of which analyses, and where it goes: NAME ANALYSIS --out STEM.")
    entry = catalogue.find(options.name)
    formats = [kind.strip() for kind in options.formats.split(",")]
    analyses = load_analyses(options.analyses, options.grains)
    truths = load_truths(options.truth, list(analyses)) if options.truth else {}
    datasets = _scans(analyses, options.analyses) if entry.uses_scan else {}
    figure = catalogue.draw(options.name, analyses, truths, datasets, options.feature)
    for path in save(figure, options.out, formats, options.dpi):
        print(path)


def _list() -> None:
    from napari_stemnmf.figures.catalogue import CATALOGUE

    for name, entry in CATALOGUE.items():
        needs = [f"{entry.analyses} analysis" if entry.analyses == "one" else "one or more analyses"]
        needs += ["truth"] * entry.needs_truth + ["a feature"] * entry.needs_feature
        print(f"{name:<20}{entry.title} ({', '.join(needs)})")


def _scans(analyses: dict[str, Analysis], paths: Sequence[Path]) -> dict[str, Dataset]:
    """The scans that are still where they were, or beside their analyses."""
    from napari_stemnmf.reading.finding import find_scan

    return {
        name: dataset
        for (name, analysis), path in zip(analyses.items(), paths, strict=True)
        if (dataset := find_scan(analysis.input, path.parent)) is not None
    }
