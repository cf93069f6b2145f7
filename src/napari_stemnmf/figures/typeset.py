"""Tables as figures: typeset with rules above and below, words left, numbers right, chosen cells in bold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE_MM = 4.2
"""Height of a row."""
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
    """Fill `ax` with a table.

    Parameters
    ----------
    ax : Axes
        Its ticks and frame go.
    header : sequence of str
        A name for each column; may have two lines.
    rows : sequence of sequences of str
        Cells, as many as there are columns.
    words : int
        So many columns, from the left, hold words and are set left; the others hold numbers and are set right.
    bold : collection of (row, column)
        Cells to set in bold.
    rules : collection of int
        Rows that a thin rule goes above.
    """
    header_lines = max(name.count("\n") + 1 for name in header)
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
    needed = []
    for column, name in enumerate(header[:words]):
        needed.append(2 + max(map(len, [*name.split("\n"), *(row[column] for row in rows)])))
    share = min(1.0, MOST_WORDS * LETTERS / max(1, sum(needed)))
    edges = [0.0]
    for letters in needed:
        edges.append(edges[-1] + share * letters / LETTERS)
    numbers = len(header) - words
    return edges + [edges[-1] + (1 - edges[-1]) * (i + 1) / numbers for i in range(numbers)]
