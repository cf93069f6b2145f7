"""Tables as figures: how any table is typeset, the scores with the best of each film in bold, and run times."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from napari_stemnmf.clustering.scree import starting_components
from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.figures.style import COLOURS, FEATURE_NAMES, GREY, in_style, new_figure
from napari_stemnmf.stages import STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_stemnmf.analysis import Analysis

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


PART_COLOURS = {"calibration": COLOURS[4], "features": COLOURS[1], "measurement": COLOURS[5], "clustering": COLOURS[0],
                "refinement": COLOURS[3]}  # fmt: skip
"""Of the parts of a run, as the table of stages names them; others are grey."""
RUN_PARTS = {stage.part: stage.together or not stage.each for stage in STAGES if stage.part}
"""The parts of a run in order, and whether a part is done once for all representations."""
BAR_MM = 3.6
"""Height of a bar with its gap."""
LONGEST = 40
"""Letters of a name that are written."""


def run_time_table(analyses: Mapping[str, Analysis]) -> pd.DataFrame:
    """Parameters and run times of every representation.

    Parameters
    ----------
    analyses : mapping of str to Analysis
        By the name that the table is to give them.

    Returns
    -------
    pandas.DataFrame
        A row for each analysis and representation: ``film``, ``feature``; ``k_scree`` (components that the scree
        suggests), ``k0`` (that every seed starts from), ``merge_threshold``, ``seeds``, ``k`` (of the chosen model);
        ``calibration_wall_s`` and ``_cpu_s`` (everything before the features, once for the scan), and the same of
        ``features`` and ``measurement`` (once for all representations), ``clustering`` and ``refinement``. NaN where a
        time is not known: files of before version 0.3 hold none.

    Raises
    ------
    AnalysisError
        If no analysis holds a model.
    """
    rows = [
        _row(name, analysis, feature)
        for name, analysis in analyses.items()
        for feature in FEATURE_NAMES
        if feature in analysis.models
    ]
    if not rows:
        raise AnalysisError("None of the analyses holds components; run them to the end first.")
    return pd.DataFrame(rows)


def _row(name: str, analysis: Analysis, feature: str) -> dict[str, Any]:
    model, of_nmf = analysis.ensemble(feature), ("k_scree", "k0", "merge_threshold", "seeds")
    row: dict[str, Any] = {"film": name, "feature": feature, **dict.fromkeys(of_nmf, np.nan)}
    if model is not None:
        settings, found = analysis.recipe.nmf_chain(feature).clustering, model.scree.suggested
        row |= {"k_scree": found, "k0": starting_components(settings, found)}
        row |= {"merge_threshold": settings.merge_threshold, "seeds": len(model.seeds)}
    row["k"] = analysis.models[feature].k
    times = [(stage.part, analysis.times.get(stage.path(feature))) for stage in STAGES]
    for clock in ("wall", "cpu"):
        for part in RUN_PARTS:
            known = [getattr(time, clock) for name, time in times if name == part and time is not None]
            row[f"{part}_{clock}_s"] = sum(known) if known else np.nan
    return row


@in_style
def run_times(analyses: Mapping[str, Analysis]) -> Figure:
    """Draw where the time of runs went, above a table of their parameters.

    Parameters
    ----------
    analyses : mapping of str to Analysis
        By the name that the figure is to give them. Those that hold no times are marked.

    Returns
    -------
    matplotlib.figure.Figure
        175 mm wide.

    Raises
    ------
    AnalysisError
        If no analysis holds a model.
    """
    table = run_time_table(analyses)
    bars = len(table) + table["film"].nunique()
    heights = [bars * BAR_MM + 14.0, table_height(len(table), 2)]
    figure = new_figure("page", sum(heights) + 6.0)
    grid = figure.add_gridspec(2, 1, height_ratios=heights)
    _bars(figure.add_subfigure(grid[0]).subplots(), table)
    _numbers(figure.add_subfigure(grid[1]).subplots(), table)
    return figure


def _bars(ax: Axes, table: pd.DataFrame) -> None:
    """A bar for the shared stages of each film, and one for each of its representations."""
    at, labels = 0, []
    known: set[str] = set()
    for film, rows in table.groupby("film", sort=False):
        first = rows.iloc[0]
        once = {part: first[f"{part}_wall_s"] for part, of_all in RUN_PARTS.items() if of_all}
        own = [
            {part: row[f"{part}_wall_s"] for part, of_all in RUN_PARTS.items() if not of_all}
            for _, row in rows.iterrows()
        ]
        names = [f"{shorten(str(film), LONGEST, placeholder='…')}, once", *(FEATURE_NAMES[f] for f in rows["feature"])]
        for name, parts in zip(names, [once, *own], strict=True):
            start = 0.0
            times = {part: seconds for part, seconds in parts.items() if np.isfinite(seconds)}
            for part, seconds in times.items():
                colour, label = PART_COLOURS.get(part, GREY), None if part in known else part
                ax.barh(at, seconds, left=start, height=0.7, color=colour, label=label)
                known.add(part)
                start += seconds
            text = f"{start:.1f}" if times else "not recorded: the file is of an older version"
            ax.annotate(text, (start, at), xytext=(3, 0), textcoords="offset points", va="center", fontsize=6)
            labels.append(name)
            at += 1
    ax.set_yticks(range(at), labels)
    ax.set(ylim=(at - 0.5, -0.5), xlabel="time on the clock (s)")
    ax.set_xlim(left=0)
    ax.spines[["top", "right"]].set_visible(False)
    if known:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(known))


NUMBERS = ("k_scree", "k0", "merge_threshold", "seeds", "k")
"""Columns of the table of runs that are numbers of components and settings."""


def _numbers(ax: Axes, table: pd.DataFrame) -> None:
    header = [
        "film", "", "components\nby scree", "to start\nfrom, k0", "merge\nthreshold", "seeds", "components\nchosen, k",
        "clustering\nclock (s)", "clustering\nCPU (s)",
    ]  # fmt: skip
    rows, new_film = [], table["film"].ne(table["film"].shift()).to_numpy()
    for new, (_, row) in zip(new_film, table.iterrows(), strict=True):
        wall, cpu = (row[f"clustering_{clock}_s"] for clock in ("wall", "cpu"))
        rows.append(
            [
                shorten(str(row["film"]), LONGEST, placeholder="…") if new else "",
                FEATURE_NAMES[row["feature"]],
                *(
                    "–" if np.isnan(row[n]) else f"{row[n]:g}"
                    for n in ("k_scree", "k0", "merge_threshold", "seeds", "k")
                ),
                *("–" if np.isnan(seconds) else f"{seconds:.1f}" for seconds in (wall, cpu)),
            ]
        )
    typeset(ax, header, rows, words=2, rules=np.flatnonzero(new_film)[1:].tolist())
