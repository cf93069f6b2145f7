"""Distributions side by side: a box, every value as a point, and the mean with its number.

Leans on matplotlib's box plot and on `style`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from napari_stemnmf.figures.style import LETTER_MM, wrapped

BOX = 0.62
"""Width of a box, where 1 is the distance of two."""
LEVELS = 30
"""Points in the same one of so many equal steps of the axis stand beside each other."""


def distributions(
    ax: Axes, groups: Mapping[str, np.ndarray], colours: Sequence[str], label: str, *, width_mm: float = 45.0
) -> None:
    """Draw one box a group, all its values, and below it its name and mean.

    Parameters
    ----------
    ax : Axes
    groups : mapping of str to ndarray
        Values by name; those that are NaN are left out, a group may be empty.
    colours : sequence of str
        One a group.
    label : str
        Of the axis of values, with the unit.
    width_mm : float
        About how wide the panel is printed; long names below it are wrapped.
    """
    values = [np.asarray(v, np.float64)[np.isfinite(v)] for v in groups.values()]
    at = np.arange(len(values))
    low, high = _range(values)
    for x, of_one, colour in zip(at, values, colours, strict=True):
        if not len(of_one):
            continue
        dark = tuple(0.7 * np.array(to_rgb(colour)))
        ax.boxplot(
            [of_one], positions=[x], widths=BOX, showfliers=False, patch_artist=True, manage_ticks=False,
            boxprops={"facecolor": tuple(0.25 * np.array(to_rgb(colour)) + 0.75), "edgecolor": dark},
            medianprops={"color": dark, "linewidth": 0.9}, whiskerprops={"color": dark}, capprops={"color": dark},
        )  # fmt: skip
        ax.scatter(x + _beside(of_one, low, high), of_one, s=4, color=colour, linewidths=0, alpha=0.85, zorder=3)
        ax.plot(
            [x], [of_one.mean()], "D", color="black", markeredgecolor="white", markeredgewidth=0.5, markersize=3.6,
            zorder=4,
        )  # fmt: skip
    width = width_mm / max(1, len(values))
    mean = "mean " if width >= 9 * LETTER_MM else ""
    names = [wrapped(name, width) for name in groups]
    below = [mean + number(float(v.mean())) if len(v) else "none" for v in values]
    ax.set_xticks(at, [f"{name}\n{text}" for name, text in zip(names, below, strict=True)])
    room = high - low
    ax.set(xlim=(-0.6, len(values) - 0.4), ylim=(low - 0.04 * room, high + 0.08 * room), ylabel=label)
    ax.tick_params(axis="x", length=0)
    ax.spines[["top", "right"]].set_visible(False)


def number(value: float) -> str:
    """A number with about three digits, and no exponent for what is easily read without one."""
    size = abs(value)
    if size and not 1e-2 <= size < 1e5:
        return f"{value:.2g}"
    return f"{value:.{0 if size >= 1000 else 1 if size >= 10 else 2}f}"


def _range(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """From 0 (or below, where values are) to the largest value."""
    every = np.concatenate([*values, np.zeros(1)])
    low, high = float(every.min()), float(every.max())
    return low, high if high > low else low + 1.0


def _beside(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """How far each point stands to the side: those of about the same value in a row about the middle."""
    level = np.round((values - low) / (high - low) * LEVELS).astype(int)
    offset = np.zeros(len(values))
    for one in np.unique(level):
        (here,) = np.nonzero(level == one)
        row = np.arange(len(here)) - (len(here) - 1) / 2
        offset[here] = row * min(0.1, 0.9 * BOX / max(1, len(here)))
    return offset
