"""Tables as figures: how any table is typeset, and the tables of scores, with the best of each film in bold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_stemnmf.errors import DataError
from napari_stemnmf.figures.style import FEATURE_NAMES, in_style, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
TITLE_MM, LINE_MM = 6.0, 4.2
"""Heights of a table's title and of a row."""
THICK, THIN = 0.9, 0.5
"""Rules, points."""
BASELINE = 0.7
"""Where letters stand in a row, from its top."""
GAP = 0.004
"""Between a cell's edge and its text, as a share of the width."""
LETTERS = 125
"""About so many fit into a page's width."""
MOST_WORDS = 0.5
"""Largest share of the width that columns of words take."""


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
    heights = [table_height(len(table), _lines(part.values())) + TITLE_MM for _, part in PARTS]
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


def _lines(header: Iterable[str]) -> int:
    return max(name.count("\n") + 1 for name in header)


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


def table_height(rows: int, header_lines: int = 1) -> float:
    """Printed height of a table with so many rows, mm."""
    return LINE_MM * (rows + header_lines + 0.6)


def typeset(
    ax: Axes,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    words: int = 1,
    bold: Collection[tuple[int, int]] = (),
    rules: Collection[int] = (),
) -> None:
    """Fill `ax` with a table, in place of its ticks and frame.

    The names of the header may have two lines. The first `words` columns hold words and are set left, the others hold
    numbers and are set right. Cells (row, column) in `bold` are bold, and a thin rule goes above the rows in `rules`.
    """
    header_lines = _lines(header)
    total = len(rows) + header_lines + 0.6
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(total, 0))
    edges = _edges(header, rows, words)

    def write(line: float, column: int, text: str, weight: str = "normal") -> None:
        x, side = (edges[column] + GAP, "left") if column < words else (edges[column + 1] - GAP, "right")
        ax.text(x, line + BASELINE, text, ha=side, va="baseline", fontweight=weight)

    for column, name in enumerate(header):
        lines = name.split("\n")
        for index, text in enumerate(lines):
            write(0.1 + header_lines - len(lines) + index, column, text)
    first = header_lines + 0.4
    for at, width in ((0.0, THICK), (first - 0.1, THIN), (total, THICK)):
        ax.axhline(at, color="black", lw=width, clip_on=False)
    for row, cells in enumerate(rows):
        if row in rules:
            ax.axhline(first + row, color="black", lw=THIN / 2)
        for column, text in enumerate(cells):
            write(first + row, column, text, "bold" if (row, column) in bold else "normal")


def _edges(header: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> list[float]:
    """Edges of the columns, 0 to 1: words take what they need, numbers share the rest evenly."""
    needed = [
        2 + max(map(len, [*name.split("\n"), *(row[column] for row in rows)]))
        for column, name in enumerate(header[:words])
    ]
    share = min(1.0, MOST_WORDS * LETTERS / max(1, sum(needed)))
    edges = [0.0]
    for letters in needed:
        edges.append(edges[-1] + share * letters / LETTERS)
    numbers = len(header) - words
    return edges + [edges[-1] + (1 - edges[-1]) * (i + 1) / numbers for i in range(numbers)]
