"""``stemnmf run``: a scan's grains, into a folder."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.cli.options import add_file, add_recipe_options, open_file, recipe_from, with_settings
from napari_stemnmf.cli.terminal import Reporter, interrupt_sets
from napari_stemnmf.errors import AnalysisError

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.recipe import Recipe

ANALYSIS_NAME = "analysis.stemnmf.h5"


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("run", help="find the grains of a scan", **with_settings())
    add_file(parser)
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder for the results; made if need be"
    )
    parser.add_argument("--overwrite", action="store_true", help="start afresh even if DIR holds an analysis")
    add_recipe_options(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    recipe = recipe_from(options)
    dataset = open_file(options)
    run_into(dataset, recipe, options.out, workers=options.workers, overwrite=options.overwrite)


def run_into(
    dataset: Dataset, recipe: Recipe, out: Path, *, workers: int | None = None, overwrite: bool = False
) -> Analysis:
    """Analyse, write all results into `out`, and print what was found and where it lies."""
    from napari_stemnmf.export.results import write_results
    from napari_stemnmf.pipeline import analyse

    make_folder(out)
    path = out / ANALYSIS_NAME
    if overwrite:
        path.unlink(missing_ok=True)
    elif path.exists():
        _keep_reviews(path, recipe)
    cancel = threading.Event()
    with Reporter() as reporter, interrupt_sets(cancel):
        analysis = analyse(dataset, recipe, progress=reporter, cancel=cancel, workers=workers, path=path)
    for name in recipe.features:
        if name not in analysis.grains:
            continue
        grains, model = analysis.grains[name], analysis.models[name]
        print(
            f"{name.upper()}: {len(grains)} grains from {model.W.shape[1]} components "
            f"(seed {model.seed} of {len(model.seeds)}, error {model.error:.4f})"
        )
    warn(analysis)
    for written in [path, *write_results(analysis, out)]:
        print(f"  {written}")
    return analysis


def _keep_reviews(path: Path, recipe: Recipe) -> None:
    """Refuse settings under which grains that were reviewed by hand would be found anew."""
    from napari_stemnmf.analysis import Analysis

    earlier = Analysis.load(path)
    lost = [
        name.upper()
        for name, review in earlier.reviews.items()
        if review.edits and name in recipe.features and not earlier.is_current(f"grains/{name}", recipe, partial=True)
    ]
    if lost:
        raise AnalysisError(
            f"{path} holds a review of {' and '.join(lost)} by hand, which these settings would replace; "
            "choose another folder, or --overwrite to start afresh."
        )


def make_folder(folder: Path) -> None:
    """Make a folder for results, and those it lies in."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnalysisError(f"The folder {folder} cannot be made: {error}.") from error


def warn(analysis: Analysis) -> None:
    """Say on stderr what is odd about the data."""
    for warning in analysis.warnings:
        print(f"stemnmf: {warning}", file=sys.stderr)
