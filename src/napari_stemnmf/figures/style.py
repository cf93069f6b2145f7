"""The house's style: figures at the size at which a journal prints them, one set of colours, one way to save.

A figure is drawn inside `in_style`, which sets fonts and line widths for what is made within; is made by `new_figure`
at its printed width, so that a font of 7 pt is 7 pt on paper; and is written by `save`. No pyplot, no global state that
lasts. Leans on matplotlib and on `storage` for files that are whole or absent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from textwrap import fill
from typing import Literal, ParamSpec, TypeVar

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_stemnmf import storage
from napari_stemnmf.errors import AnalysisError

P = ParamSpec("P")
R = TypeVar("R")

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#7A5195", "#8C564B", "#5F9EA0")
"""Okabe and Ito's colour-blind safe set, and four that stand apart from it; neighbours are told apart by outlines."""
FEATURE_COLOURS = {"rv": "#D55E00", "aa": "#0072B2", "bd": "#009E73", "truth": "#4D4D4D"}
"""One colour a representation, the same in every figure."""
FEATURE_NAMES = {"rv": "RV", "aa": "AA", "bd": "BD"}
"""How the representations are written, in the order in which the paper has them."""
GREY = "#9A9A9A"
"""What has no colour of its own: a grain without a match, a start that was stopped."""

WIDTHS = {"column": 85.0, "page": 175.0}
"""Printed widths of figures, mm."""
MM = 1 / 25.4
"""Inches."""
DPI = 300
"""Pixels per inch of what is written as pixels."""
SMALLEST_FONT = 6.0
"""Points; nothing is written smaller."""
LETTER_MM = 1.25
"""Printed width of a letter of that size, mm."""
FORMATS = ("pdf", "png", "svg")
"""What a figure can be written as."""

_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine, and has Å, ², ≥
    "font.size": 7.0,
    "axes.titlesize": 7.0,
    "axes.labelsize": 7.0,
    "xtick.labelsize": 6.0,
    "ytick.labelsize": 6.0,
    "legend.fontsize": 6.0,
    "figure.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "axes.titlepad": 3.0,
    "axes.labelpad": 2.0,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "lines.linewidth": 0.9,
    "lines.markersize": 3.0,
    "patch.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.borderaxespad": 0.3,
    "legend.handlelength": 1.2,
    "image.interpolation": "nearest",
    "image.composite_image": False,
    "pdf.fonttype": 42,  # TrueType, so that a journal can edit the text
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "napari-stemnmf",  # the same figure gives the same file
}
_one_at_a_time = threading.RLock()  # matplotlib's settings belong to the process


def in_style(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function that draws a figure (or parts of one) do so with the house's fonts and lines.

    Two such functions do not run at the same time: matplotlib's settings belong to the process. Those of the caller
    are as before afterwards.
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with _one_at_a_time, rc_context(_STYLE):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return drawn


@in_style
def new_figure(width: Literal["column", "page"] = "page", height_mm: float = 100.0) -> Figure:
    """An empty figure of a journal's width, laid out so that nothing is cut off.

    What is drawn on it takes its fonts from the function that draws: decorate that with `in_style`.

    Parameters
    ----------
    width : {"column", "page"}
        85 or 175 mm.
    height_mm : float
        Printed height, mm.
    """
    figure = Figure(figsize=(WIDTHS[width] * MM, height_mm * MM), dpi=DPI / 2, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=1.0 * MM, h_pad=1.0 * MM, wspace=0.02, hspace=0.02)  # type: ignore[union-attr, call-arg]
    return figure


@in_style
def panel_letters(panels: Iterable[Axes | Sequence[Axes] | None], start: str = "a") -> None:
    """Write a, b, c... in bold above the upper left corner of each panel.

    Parameters
    ----------
    panels : iterable of Axes, or of groups of Axes
        In the order of the letters; the first of a group stands for the group, None leaves a letter out.
    start : str
        First letter.
    """
    for index, panel in enumerate(panels):
        if panel is None:
            continue
        ax = panel if isinstance(panel, Axes) else panel[0]
        ax.annotate(
            chr(ord(start) + index), (0.0, 1.0), xytext=(-3.0, 3.0), xycoords="axes fraction",
            textcoords="offset points", ha="right", va="baseline", fontsize=8, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def wrapped(words: str, width_mm: float) -> str:
    """Words in lines of at most about that printed width, in the smallest font."""
    return fill(words, max(4, int(width_mm / LETTER_MM)))


@in_style
def save(figure: Figure, stem: str | Path, formats: Sequence[str] = ("pdf", "png"), dpi: int = DPI) -> list[Path]:
    """Write a figure, a file for each format; each file is whole or absent.

    Parameters
    ----------
    figure : Figure
    stem : str or path
        Path without a suffix; a folder that is absent is made.
    formats : sequence of {"pdf", "png", "svg"}
        Text stays text in PDF and SVG; pictures within them keep their own pixels.
    dpi : int
        Pixels per inch of PNG.

    Returns
    -------
    list of Path
        What was written, in the order of `formats`.

    Raises
    ------
    AnalysisError
        If there is no such format, or a file cannot be written.
    """
    stem = Path(stem)
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown:
        raise AnalysisError(f"A figure cannot be written as '{unknown[0]}'; choose from {', '.join(FORMATS)}.")
    written = []
    for kind in formats:
        target = stem.with_name(f"{stem.name}.{kind}")
        dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with storage.atomic_write(target) as part:
                figure.savefig(part, format=kind, dpi=dpi, metadata=dated.get(kind))
        except OSError as error:
            raise AnalysisError(f"The figure {target} cannot be written: {error}.") from error
        written.append(target)
    return written
