"""``stemnmf score``: found grains against the truth."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.cli.options import ANALYSIS_NAME, add_grains, add_truth, load_analyses, load_truths, place
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.writing import make_folder
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    import numpy as np

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.grains.scoring import ScoresByName

ALL = "all"
COLUMN = 8
"""Letters of a column in a terminal."""


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("score", help="compare found grains with the truth")
    parser.add_argument(
        "analyses", type=place, nargs="+", metavar="ANALYSIS", help=f"an analysis file, as in DIR/{ANALYSIS_NAME}"
    )
    add_truth(parser, required=True)
    add_grains(parser)
    parser.add_argument(
        "--feature", choices=(*FEATURES, ALL),
        help="representation to score, or all; default: the first in the analysis, all of several analyses",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="JSON in place of a table: one object for each row")
    parser.add_argument(
        "--out", type=place, metavar="DIR",
        help="folder for scores.csv, distributions.csv, pairs.csv and a picture of every grain's match",
    )  # fmt: skip
    parser.set_defaults(command=_score)


def _score(options: argparse.Namespace) -> None:
    from napari_stemnmf.grains.scoring import score

    analyses = load_analyses(options.analyses, options.grains)
    truths = load_truths(options.truth, list(analyses))
    chosen = {
        (name, feature): score(analysis.grains[feature], truths[name])
        for name, analysis in analyses.items()
        for feature in _features(name, analysis, options.feature, len(analyses) > 1)
    }
    written = _write(analyses, truths, chosen, options.out) if options.out is not None else []
    alone = len(analyses) == 1 and options.feature != ALL
    if alone:
        print(json.dumps(_records(chosen, ("feature",))[0], indent=2, allow_nan=False))
    elif options.json:
        print(json.dumps(_records(chosen, ("film", "feature")), indent=2, allow_nan=False))
    else:
        print(as_text(chosen, shutil.get_terminal_size().columns))
    for path in written:
        print(f"  {path}", file=sys.stderr if alone or options.json else sys.stdout)


def as_text(scores: ScoresByName, width: int) -> str:
    """A table for a terminal: a line for each number, a column for each analysis and feature, folded at a width."""
    from napari_stemnmf.grains.scoring import MEANINGS

    names = ["", "", *MEANINGS]
    first = [f"{name:<{max(map(len, names))}}" for name in names]
    parts = [first]
    for film, group in groupby(scores.items(), key=lambda item: item[0][0]):
        columns = [[feature.upper(), *map(_number, found.as_dict().values())] for (_, feature), found in group]
        lines = ["".join(f"{cell:>{COLUMN}}" for cell in cells) for cells in zip(*columns, strict=True)]
        wide = max(len(film) + 2, len(lines[0]))
        block = [f"{line:>{wide}}" for line in (film, *lines)]
        if len(parts[-1][0]) + wide > width and parts[-1] is not first:
            parts.append(first)
        parts[-1] = [line + more for line, more in zip(parts[-1], block, strict=True)]
    return "\n\n".join("\n".join(part) for part in parts)


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if value != value else f"{value:.3f}"


def _features(name: str, analysis: Analysis, requested: str | None, one_of_several: bool) -> list[str]:
    """The features of an analysis to score."""
    found = list(analysis.grains)
    if found and requested in (None, ALL):
        return found if requested == ALL or one_of_several else found[:1]
    if requested is None or requested not in found:
        what = "any feature" if requested in (None, ALL) else requested
        raise AnalysisError(
            f"The analysis of {name} holds no grains of '{what}' (it has: {', '.join(found) or 'none'})."
        )
    return [requested]


def _records(scores: ScoresByName, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Plain numbers by name; None where a number is not defined, as JSON has no NaN."""
    records = []
    for (film, feature), found in scores.items():
        values = {"film": film, "feature": feature}
        known = {name: None if value != value else value for name, value in found.as_dict().items()}
        records.append({name: values[name] for name in names} | known)
    return records


def _write(
    analyses: Mapping[str, Analysis], truths: Mapping[str, np.ndarray], scores: ScoresByName, folder: Path
) -> list[Path]:
    from napari_stemnmf.export.tables import write_scores
    from napari_stemnmf.figures.matches import matches
    from napari_stemnmf.figures.style import save

    make_folder(folder)
    written = write_scores(scores, folder)
    for name, feature in scores:
        analysis = analyses[name]
        figure = matches(analysis.grains[feature], truths[name], analysis.axes)
        written += save(figure, folder / f"matches-{_file_name(name)}-{_file_name(feature)}")
    return written


def _file_name(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")
