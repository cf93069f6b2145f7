"""``stemnmf score``: found grains against the truth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from napari_stemnmf.cli.run import ANALYSIS_NAME
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.recipe import FEATURES


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("score", help="compare found grains with the truth")
    parser.add_argument("analysis", type=Path, metavar="ANALYSIS", help=f"an analysis file, as in DIR/{ANALYSIS_NAME}")
    parser.add_argument(
        "--truth", required=True, metavar="FILE::NAME", help="true grains: stack of masks or label image"
    )
    parser.add_argument(
        "--feature", choices=FEATURES, help="representation to score; default: the first in the analysis"
    )
    parser.set_defaults(command=_score)


def _score(options: argparse.Namespace) -> None:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.grains.scoring import score
    from napari_stemnmf.reading.masks import load_masks

    analysis = Analysis.load(options.analysis)
    feature = options.feature or next(iter(analysis.grains), None)
    if feature not in analysis.grains:
        found = ", ".join(analysis.grains) or "none"
        raise AnalysisError(f"{options.analysis} holds no grains of '{feature or 'any feature'}' (it has: {found}).")
    scores = score(analysis.grains[feature], load_masks(options.truth)).as_dict()
    known = {name: None if value != value else value for name, value in scores.items()}  # JSON has no NaN
    print(json.dumps({"feature": feature, **known}, indent=2, allow_nan=False))
