"""Scores as typeset tables: area by area, grain by grain, and one to one; the best of each film in bold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_stemnmf.errors import DataError
from napari_stemnmf.figures.style import FEATURE_NAMES, in_style, new_figure
from napari_stemnmf.figures.typeset import table_height, typeset

AREA = {"precision_A": "precision", "TPR_A": "TPR", "TNR_A": "TNR", "FPR_A": "FPR", "FNR_A": "FNR"}
GRAIN = {"TPR_G": "TPR", "TNR_G": "TNR", "FPR_G": "FPR", "FNR_G": "FNR", "n_found": "found", "n_true": "true",
         "n_true_hit": "true, hit"}  # fmt: skip
ONE_TO_ONE = {
    "mean_iou": "mean IoU",
    "f1_iou50": "F1 at IoU\nabove 0.5",
    "recall_depth_1": "recall,\n1 grain deep",
    "recall_depth_2": "2 deep",
    "recall_depth_3": "3 or deeper",
}
"""Columns of `grains.scoring.score_table`, as the tables name them."""
PARTS = (
    ("Area by area: any grain against any true grain (%)", AREA),
    ("Grain by grain: each found grain against its best match, means (%)", GRAIN),
    ("One to one: each true grain against its partner (%)", ONE_TO_ONE),
)
LOW_IS_GOOD = ("FPR_A", "FNR_A", "FPR_G", "FNR_G")
COUNTS = ("n_found", "n_true", "n_true_hit")
UNJUDGED = ("n_found", "n_true")
"""More is neither better nor worse."""
TITLE_MM = 6.0


@in_style
def score_tables(table: pd.DataFrame) -> Figure:
    """Typeset the scores of analyses.

    Parameters
    ----------
    table : pandas.DataFrame
        As `grains.scoring.score_table` gives it: ``film``, ``feature``, and the plain numbers of the scores. Within
        each film the best value of every column is bold; films are not compared with each other.

    Returns
    -------
    matplotlib.figure.Figure
        175 mm wide.

    Raises
    ------
    DataError
        If the table is empty, or lacks a column.
    """
    needed = ["film", "feature", *(name for _, part in PARTS for name in part)]
    missing = [name for name in needed if name not in table]
    if missing or not len(table):
        raise DataError(
            f"A table of scores has no column '{missing[0]}'." if missing else "The table of scores is empty."
        )
    table = table.reset_index(drop=True)
    heights = [table_height(len(table), _lines(part)) + TITLE_MM for _, part in PARTS]
    figure = new_figure("page", sum(heights) + 4.0)
    for ax, (title, part) in zip(figure.subplots(len(PARTS), 1, height_ratios=heights), PARTS, strict=True):
        _table(ax, table, part)
        ax.set_title(title, loc="left")
    figure.supxlabel("Bold: the best of the film.", x=0.01, ha="left", fontsize=6)
    return figure


def best(table: pd.DataFrame, name: str) -> set[int]:
    """Rows with the best value of a column within their film; none where all of a film are equal or alone."""
    if name in UNJUDGED:
        return set()
    rows: set[int] = set()
    for _, values in table[name].astype(float).groupby(table["film"]):
        known = values.dropna()
        if known.nunique() > 1:
            top = known.min() if name in LOW_IS_GOOD else known.max()
            rows |= set(known.index[known == top])
    return rows


def _lines(part: dict[str, str]) -> int:
    return max(name.count("\n") + 1 for name in part.values())


def _table(ax: Axes, table: pd.DataFrame, part: dict[str, str]) -> None:
    films = list(table["film"])
    starts = [i for i, film in enumerate(films) if i == 0 or film != films[i - 1]]
    features = [FEATURE_NAMES.get(str(feature), str(feature)) for feature in table["feature"]]
    columns = [[_number(value, name in COUNTS) for value in table[name].astype(float)] for name in part]
    rows = [
        [str(film) if row in starts else "", features[row], *(column[row] for column in columns)]
        for row, film in enumerate(films)
    ]
    bold = {(row, column) for column, name in enumerate(part, start=2) for row in best(table, name)}
    typeset(ax, ["film", "", *part.values()], rows, words=2, bold=bold, rules=starts[1:])


def _number(value: float, count: bool) -> str:
    if not np.isfinite(value):
        return "–"
    return f"{int(value)}" if count else f"{100 * value:.1f}"
