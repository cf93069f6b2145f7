"""The house's style: figures at the size at which a journal prints them, one set of colours, one way to save.

A figure is drawn by a function that `in_style` decorates, which sets fonts and line widths for what is made within; is
made by `new_figure` at its printed width, so that a font of 7 pt is 7 pt on paper; and is written by `save`. Matplotlib
is imported when something is drawn, not before, so that napari has the colours at once.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.writing import result_file
from napari_stemnmf.grains.scoring import FN, FP, TP
from napari_stemnmf.recipe import IN_FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#7A5195", "#8C564B", "#5F9EA0")
"""Okabe and Ito's colour-blind safe set, and four that are distinct from it; neighbours are separated by outlines."""
FEATURE_COLOURS = {"vdf": "#CC79A7", "rv": "#D55E00", "aa": "#0072B2", "bd": "#009E73", "truth": "#4D4D4D"}
"""One colour a representation, the same in every figure."""
FEATURE_NAMES = {feature: feature.upper() for feature in IN_FIGURES}
"""How the representations are written, in the order in which the paper has them."""
GREY = "#9A9A9A"
"""What has no colour of its own: a grain without a match, a start that was stopped."""
KIND_COLOURS = {TP: COLOURS[0], FP: COLOURS[1], FN: COLOURS[4]}
"""Of what a position is to a found grain and a true one. The true grain is blue, dark where it was found and light
where it was not; what is false is orange."""
KIND_NAMES = {TP: "found (TP)", FP: "false (FP)", FN: "missed (FN)"}

WIDTHS = {"column": 85.0, "page": 175.0}
"""Printed widths of figures, mm."""
MM = 1 / 25.4
"""Inches."""
DPI = 300
"""Pixels per inch of what is written as pixels."""
LEAST_DPI, MOST_DPI = 10, 2400
"""What can be asked for; at more, a figure of a page does not fit in memory."""
SMALLEST_FONT = 6.0
"""Points; nothing is written smaller."""
LETTER_MM = 1.25
"""Printed width of a letter of that size, mm."""
FORMATS = ("pdf", "png", "svg")
"""What a figure can be written as."""


class Style:
    """Matplotlib's settings for the functions that it decorates; those of the caller are as before afterwards.

    These settings (``rcParams``) belong to the process, not to a figure or a thread: of two threads that set and
    restore them at once, one would leave its settings to the other, and to the host. So functions in style run one at a
    time; the lock belongs to the style.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)
        self._lock = threading.RLock()

    def __call__(self, draw: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function that draws a figure or parts of one."""

        @wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
            from matplotlib import rc_context

            with self._lock, rc_context(self._settings), warnings.catch_warnings():  # type: ignore[arg-type]
                warnings.filterwarnings("ignore", "Glyph .* missing from")  # of names: no font has all letters
                return draw(*args, **kwargs)

        return drawn


in_style = Style(
    {
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine, and has Å, ², ≥
        "font.size": 7.0, "axes.titlesize": 7.0, "axes.labelsize": 7.0, "figure.titlesize": 8.0,
        "xtick.labelsize": 6.0, "ytick.labelsize": 6.0, "legend.fontsize": 6.0,
        "axes.linewidth": 0.6, "axes.titlepad": 3.0, "axes.labelpad": 2.0, "axes.axisbelow": True,
        "xtick.major.width": 0.6, "xtick.major.size": 2.5, "xtick.major.pad": 2.0,
        "ytick.major.width": 0.6, "ytick.major.size": 2.5, "ytick.major.pad": 2.0,
        "lines.linewidth": 0.9, "lines.markersize": 3.0,
        "patch.linewidth": 0.6, "grid.linewidth": 0.4, "hatch.linewidth": 0.5,
        "legend.frameon": False, "legend.borderaxespad": 0.3, "legend.handlelength": 1.2,
        "image.interpolation": "nearest", "image.composite_image": False,
        "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none",  # text that a journal can edit
        "svg.hashsalt": "napari-stemnmf",  # the same figure gives the same file
    }
)  # fmt: skip
"""Fonts and lines of the house."""


@in_style
def new_figure(width: Literal["column", "page"] = "page", height_mm: float = 100.0) -> Figure:
    """An empty figure of a journal's width, 85 or 175 mm, laid out so that nothing is cut off.

    What is drawn on it takes its fonts from the function that draws: decorate that with `in_style`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTHS[width] * MM, height_mm * MM), dpi=DPI / 2, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=1.0 * MM, h_pad=1.0 * MM, wspace=0.02, hspace=0.02)  # type: ignore[union-attr, call-arg]
    return figure


@in_style
def panel_letters(panels: Iterable[Axes]) -> None:
    """Write a, b, c... in bold above the upper left corner of each panel."""
    for index, ax in enumerate(panels):
        ax.annotate(
            chr(ord("a") + index), (0.0, 1.0), xytext=(-3.0, 3.0), xycoords="axes fraction",
            textcoords="offset points", ha="right", va="baseline", fontsize=8, fontweight="bold", annotation_clip=False,
        )  # fmt: skip


def wrapped(text: str, width_mm: float) -> str:
    """A text in lines of at most about that printed width, in the smallest font."""
    return fill(text, max(4, int(width_mm / LETTER_MM)))


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
        If there is no such format, a number is out of bounds, or a file cannot be written.
    """
    stem = Path(stem)
    if stem.name in ("", ".."):
        raise AnalysisError(f"{stem} is a folder; name the figure in it, as in {stem / 'figure'}.")
    if not LEAST_DPI <= dpi <= MOST_DPI:
        raise AnalysisError(f"dpi={dpi} is no number of pixels per inch from {LEAST_DPI} to {MOST_DPI}.")
    unknown = [kind for kind in formats if kind not in FORMATS]
    if unknown:
        raise AnalysisError(f"A figure cannot be written as '{unknown[0]}'; choose from {', '.join(FORMATS)}.")
    dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    written = []
    for kind in formats:
        target = stem.with_name(f"{stem.name}.{kind}")
        with result_file(target, "The figure ") as part:
            figure.savefig(part, format=kind, dpi=dpi, metadata=dated.get(kind))
        written.append(target)
    return written
