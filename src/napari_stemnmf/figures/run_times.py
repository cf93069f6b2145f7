"""How long runs took, and the parameters that decide it: table S1 of Bruefach et al. 2022, for any analyses."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from napari_stemnmf.clustering.scree import starting_components
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.style import COLOURS, FEATURE_NAMES, GREY, in_style, new_figure
from napari_stemnmf.figures.tables import table_height, typeset
from napari_stemnmf.stages import STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.analysis import Analysis

PART_COLOURS = {"calibration": COLOURS[4], "features": COLOURS[1], "measurement": COLOURS[5], "clustering": COLOURS[0],
                "refinement": COLOURS[3]}  # fmt: skip
"""Of the parts of a run, as the table of stages names them; others are grey."""
PARTS = {stage.part: stage.together or not stage.each for stage in STAGES if stage.part}
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
    model, settings = analysis.models[feature], analysis.recipe.chain(feature).clustering
    row: dict[str, Any] = {
        "film": name,
        "feature": feature,
        "k_scree": model.scree.suggested,
        "k0": starting_components(settings, model.scree.suggested),
        "merge_threshold": settings.merge_threshold,
        "seeds": len(model.seeds),
        "k": model.k,
    }
    times = [(stage.part, analysis.times.get(stage.path(feature))) for stage in STAGES]
    for clock in ("wall", "cpu"):
        for part in PARTS:
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
        once = {part: first[f"{part}_wall_s"] for part, of_all in PARTS.items() if of_all}
        own = [
            {part: row[f"{part}_wall_s"] for part, of_all in PARTS.items() if not of_all} for _, row in rows.iterrows()
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
                *(f"{row[name]:d}" for name in ("k_scree", "k0")),
                f"{row['merge_threshold']:g}",
                f"{row['seeds']:d}",
                f"{row['k']:d}",
                *("–" if np.isnan(seconds) else f"{seconds:.1f}" for seconds in (wall, cpu)),
            ]
        )
    typeset(ax, header, rows, words=2, rules=np.flatnonzero(new_film)[1:].tolist())
