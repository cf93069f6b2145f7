"""One figure: what was measured on the films beside what the paper prints, film by film.

Filled and joined: ours, with standard errors; open and dashed: printed. Dissimilarities are drawn relative to that of
BD on Ag1, as their scale differs. Leans on matplotlib and the house's style.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_stemnmf.figures.style import FEATURE_COLOURS, FEATURE_NAMES, in_style, new_figure, panel_letters
from napari_stemnmf.study.measures import QUANTITIES, Number, Numbers
from napari_stemnmf.study.paper import FILMS, printed

MARKERS = ("^", "v", "s")
"""Of other merge thresholds of AA, in order."""
PANELS = ("precision_A", "TPR_G", "dissimilarity")
REFERENCE = ("ag1", "bd", "dissimilarity")
"""Dissimilarities are shown as multiples of this one."""
_FLOOR = {"precision_A": 60.0, "TPR_G": 0.0, "dissimilarity": 0.0}
_SHIFT = {"rv": -0.18, "aa": 0.0, "bd": 0.12}


@in_style
def comparison(numbers: Numbers, variants: Mapping[float, Numbers]) -> Figure:
    """Precision_A, mean TPR_G and relative dissimilarity of the three films.

    Parameters
    ----------
    numbers : Numbers
        What was measured.
    variants : mapping of float to Numbers
        The same with AA merged at other thresholds; those of AA are drawn as triangles.
    """
    figure = new_figure("page", 66.0)
    panels = figure.subplots(1, len(PANELS))
    for ax, quantity in zip(panels, PANELS, strict=True):
        for feature, shift in _SHIFT.items():
            names = [(film, feature, quantity) for film in FILMS]
            style = {"color": FEATURE_COLOURS[feature], "marker": "o"}
            at = np.arange(len(FILMS)) + shift
            theirs = [_printed(*name) for name in names]
            _points(ax, at + 0.03, theirs, _unit(quantity, None), **style, ls=":", mfc="white")
            _points(ax, at, [numbers.get(name) for name in names], _unit(quantity, numbers), **style, ls="-")
            for index, (marker, variant) in enumerate(zip(MARKERS, variants.values(), strict=False)):
                again = [variant.get(name) if feature == "aa" else None for name in names]
                look = {**style, "marker": marker, "mfc": "white", "ls": "none"}
                _points(ax, at - 0.06 - 0.04 * index, again, _unit(quantity, numbers), **look)
        relative = quantity == "dissimilarity"
        label = "dissimilarity / that of BD on Ag1" if relative else f"{QUANTITIES[quantity].label} (%)"
        ax.set(xticks=range(len(FILMS)), xticklabels=[film.capitalize() for film in FILMS], ylabel=label)
        ax.set_xlim(-0.4, len(FILMS) - 0.6)
        ax.set_ylim(_FLOOR[quantity], None if relative else 103)
        ax.grid(axis="y", alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    panel_letters(panels)
    figure.legend(handles=_legend(variants), loc="outside lower center", ncols=7)
    return figure


def _printed(film: str, feature: str, quantity: str) -> Number | None:
    known = printed(film, feature, quantity)
    return None if known is None else Number(film, feature, quantity, known.value)


def _unit(quantity: str, numbers: Numbers | None) -> float:
    """What one unit of a panel is worth."""
    if quantity != "dissimilarity":
        return 1 / QUANTITIES[quantity].scale
    if numbers is None:
        reference = printed(*REFERENCE)
        return reference.value if reference else float("nan")
    return numbers[REFERENCE].value if REFERENCE in numbers else float("nan")


def _points(ax: Axes, at: np.ndarray, found: list[Number | None], unit: float, **style: object) -> None:
    values = np.array([np.nan if n is None else n.value for n in found]) / unit
    errors = np.nan_to_num([0.0 if n is None else n.error for n in found]) / unit
    ax.errorbar(at, values, yerr=errors if errors.any() else None, capsize=1.5, elinewidth=0.6, **style)  # type: ignore[arg-type]


def _legend(thresholds: Iterable[float]) -> list[Line2D]:
    aa = FEATURE_COLOURS["aa"]
    return [
        *(Line2D([], [], color=FEATURE_COLOURS[f], lw=2, label=FEATURE_NAMES[f]) for f in ("rv", "aa", "bd")),
        Line2D([], [], color="0.3", marker="o", ls="-", label="ours"),
        Line2D([], [], color="0.3", marker="o", ls=":", mfc="white", label="printed in the paper"),
        *(
            Line2D([], [], color=aa, marker=marker, ls="none", mfc="white", label=f"ours, AA merged at {threshold}")
            for marker, threshold in zip(MARKERS, thresholds, strict=False)
        ),
    ]
