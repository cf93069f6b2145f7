"""One pattern on its way into BD: its disks, the bins that they are shared between, the row of BD that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from napari_stemnmf.features.bragg_disks import disks_used
from napari_stemnmf.figures.patterns import ON_PATTERN, PATTERN_COLOURS, VECTOR_MAP_POWER, Frame, draw_circles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.calibration import Calibration

Edges = tuple[float, float, float, float]
"""Left, right, bottom, top."""
ZOOM = 20
"""Bins along each side of the part that is shown enlarged."""
INNER = 0.85
"""Share of that part which the middle of a disk is to lie in."""


@dataclass(frozen=True, eq=False)
class Raster:
    """The row of BD of one position, in pixels from the beam.

    Attributes
    ----------
    image : ndarray
        (rows, columns) value of each bin.
    edges : tuple of float
        Of all bins together: left, right, bottom, top.
    side : float
        Of a bin.
    y, x : ndarray
        (disks,) the disks that it is made of, calibrated.
    """

    image: np.ndarray
    edges: Edges
    side: float
    y: np.ndarray
    x: np.ndarray

    @classmethod
    def of(cls, analysis: Analysis, calibration: Calibration, position: tuple[int, int]) -> Raster | None:
        """Of a position (row, column) of the scan; None where the analysis holds no BD, or no disks."""
        if "bd" not in analysis.features or analysis.peaks is None:
            return None
        found = analysis.features["bd"]
        flat = position[0] * found.scan_shape[1] + position[1]
        side, (rows, columns) = float(found.details["bin"]), (int(n) for n in found.details["grid"])
        values = found.values[[flat]]
        image = np.asarray(values if isinstance(values, np.ndarray) else values.todense()).reshape(rows, columns)
        left, top = float(found.columns["q_x"][0]) - side / 2, float(found.columns["q_y"][0]) - side / 2
        here = analysis.peaks.of(flat)
        y, x, used = (v[here] for v in disks_used(analysis.peaks, calibration, analysis.recipe.bd.featurize))
        return cls(image, (left, left + side * columns, top + side * rows, top), side, y[used], x[used])

    @property
    def window(self) -> Edges | None:
        """The part that holds most disks; None where there are none."""
        if not len(self.y):
            return None
        reach = ZOOM * self.side / 2
        left, right, bottom, top = self.edges
        y = np.clip((self.y[:, None] + self.y).ravel() / 2, top + reach, bottom - reach)
        x = np.clip((self.x[:, None] + self.x).ravel() / 2, left + reach, right - reach)  # between any two disks
        within = (np.abs(y[:, None] - self.y) < INNER * reach) & (np.abs(x[:, None] - self.x) < INNER * reach)
        best = int(np.argmax(within.sum(axis=1)))
        y, x = float(y[best]), float(x[best])
        return x - reach, x + reach, y + reach, y - reach


def draw_enlarged(ax: Axes, raster: Raster, window: Edges, radius: float, frame: Frame) -> None:
    """The disks of a pattern, of a radius in px, on the bins of a window; weak bins lifted."""
    rows, columns = raster.image.shape
    left, right, bottom, top = raster.edges
    at_y, at_x = (np.linspace(a, b, n + 1) for a, b, n in ((top, bottom, rows), (left, right, columns)))
    seen_y, seen_x = (at_y[1:] > window[3]) & (at_y[:-1] < window[2]), (at_x[1:] > window[0]) & (at_x[:-1] < window[1])
    level = raster.image**VECTOR_MAP_POWER
    high = level[seen_y][:, seen_x].max(initial=0.0)
    edges = _scaled(raster.edges, frame.scale)
    ax.imshow(level, cmap=PATTERN_COLOURS, extent=edges, vmin=0.0, vmax=float(high) or 1.0)
    for lines, places in ((ax.axhline, at_y), (ax.axvline, at_x)):
        for place in places * frame.scale:
            lines(place, color="0.55", lw=0.3)
    x, y = raster.x * frame.scale, raster.y * frame.scale
    draw_circles(ax, x, y, radius * frame.scale)
    ax.plot(x, y, "+", color=ON_PATTERN, ms=4, mew=0.8)
    left, right, bottom, top = _scaled(window, frame.scale)
    ax.set(xlim=(left, right), ylim=(bottom, top), title=f"disks on bins of {raster.side:g} px")
    frame.label(ax)


def draw_row(ax: Axes, raster: Raster, frame: Frame) -> None:
    """All bins, weak ones lifted, with the window as a frame."""
    edges = _scaled(raster.edges, frame.scale)
    ax.imshow(raster.image**VECTOR_MAP_POWER, cmap=PATTERN_COLOURS, extent=edges, vmin=0.0)
    if raster.window is not None:
        left, right, bottom, top = _scaled(raster.window, frame.scale)
        ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, ec="white", lw=0.8))
    ax.set_title(f"BD: {raster.image.shape[0]} × {raster.image.shape[1]} bins")
    frame.label(ax)


def _scaled(edges: Edges, scale: float) -> Edges:
    left, right, bottom, top = edges
    return left * scale, right * scale, bottom * scale, top * scale
