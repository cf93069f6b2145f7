"""Drawing of diffraction patterns: logarithmic, with rings, unrolled over azimuth, and on their way into BD.

What the figures of calibration and of the representations have in common. What is drawn is sampled by the features' own
code: `features.polar` for the unrolled pattern, `features.bragg_disks` for the bins of BD.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.collections import EllipseCollection
from matplotlib.patches import Rectangle
from scipy.ndimage import gaussian_filter

from napari_stemnmf.features.bragg_disks import disks_used
from napari_stemnmf.features.polar import unrolled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Calibration, Geometry
    from napari_stemnmf.disks.detection import Peaks

PATTERN_COLOURS = "magma"
"""Of everything in diffraction space: dark to bright, in grey as well."""
ON_PATTERN = "#56B4E9"
"""Lines on dark patterns: the blue of Okabe and Ito's set, distinct from magma's reds."""
VECTOR_MAP_POWER = 0.25
"""Of the Bragg vector map's values, so that weak reflections are seen beside strong ones."""
TYPICAL = 80
"""Percentile of the number of disks that a typical pattern is chosen by: rich, but no outlier."""
LEAST_VALID = 0.5
"""Share of the azimuths that a radius needs for its variance to be drawn."""
Edges = tuple[float, float, float, float]
"""Left, right, bottom, top."""
ZOOM = 20
"""Bins along each side of the part that is shown enlarged."""
INNER = 0.85
"""Share of that part which the middle of a disk is to lie in."""


@dataclass(frozen=True)
class Frame:
    """Where the pixels of a detector lie in a drawing: at (pixel - centre) * scale, in `unit`."""

    q_y: float = 0.0
    q_x: float = 0.0
    scale: float = 1.0
    unit: str = "px"

    @classmethod
    def calibrated(cls, calibration: Calibration) -> Frame:
        """About the mean centre, in the unit of the calibration; in pixels where their size is not known."""
        geometry = calibration.geometry
        known = calibration.pixel_method != "none"
        size, unit = (calibration.pixel_size, calibration.pixel_unit) if known else (1.0, "px")
        return cls(geometry.q_y, geometry.q_x, size, unit)

    def place(self, q_y: np.ndarray, q_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of points on the detector (px): their x and their y in the drawing."""
        return (np.asarray(q_x) - self.q_x) * self.scale, (np.asarray(q_y) - self.q_y) * self.scale

    def extent(self, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
        """Edges of a detector of `shape` pixels: left, right, bottom, top, as ``imshow`` takes them."""
        left, top = self.place(np.array(-0.5), np.array(-0.5))
        right, bottom = self.place(np.array(shape[0] - 0.5), np.array(shape[1] - 0.5))
        return float(left), float(right), float(bottom), float(top)

    def label(self, ax: Axes) -> None:
        """Name the axes."""
        ax.set(xlabel=f"$q_x$ ({self.unit})", ylabel=f"$q_y$ ({self.unit})")


def draw_log(
    ax: Axes,
    image: np.ndarray,
    *,
    keep: np.ndarray | None = None,
    percentiles: tuple[float, float] = (1.0, 99.9),
    colours: str = PATTERN_COLOURS,
    extent: tuple[float, float, float, float] | None = None,
    aspect: Literal["equal", "auto"] = "equal",
) -> AxesImage:
    """An image on a logarithmic scale, its contrast taken from the pixels that are kept."""
    values = np.maximum(np.asarray(image, np.float64), 0.0)
    kept = values[np.isfinite(values) & (values > 0) & (True if keep is None else keep)]
    unit = max(float(np.percentile(kept, 5)) if kept.size else 1.0, 1e-12)
    level, within = np.log1p(values / unit), np.log1p(kept / unit)
    low, high = np.percentile(within, percentiles) if within.size else (0.0, 1.0)
    low = low if percentiles[0] > 0 else 0.0
    high = max(high, low + 1e-6)
    return ax.imshow(level, cmap=colours, interpolation="nearest", extent=extent, aspect=aspect, vmin=low, vmax=high)


def draw_vector_map(ax: Axes, image: np.ndarray, frame: Frame) -> None:
    """A Bragg vector map, its weak reflections lifted."""
    level = gaussian_filter(image, 0.5) ** VECTOR_MAP_POWER
    high, edges = float(np.percentile(level, 99.5)) or 1.0, frame.extent(image.shape)
    ax.imshow(level, cmap=PATTERN_COLOURS, interpolation="nearest", extent=edges, vmin=0.0, vmax=high)
    frame.label(ax)


def draw_rings(ax: Axes, geometry: Geometry, rings: tuple[float, ...], frame: Frame | None = None) -> None:
    """The bounds of rings (px), as the ellipses that they are on the detector; the limits of the axes stay on it."""
    frame = Frame() if frame is None else frame
    azimuth = np.linspace(0.0, 360.0, 181)
    for radius in rings:
        x, y = frame.place(*geometry.from_polar(np.full(azimuth.shape, radius), azimuth))
        ax.plot(x, y, color="white", lw=0.7, ls="--")
    left, right, bottom, top = frame.extent(geometry.detector_shape)
    ax.set(xlim=(left, right), ylim=(bottom, top))


def draw_circles(ax: Axes, x: np.ndarray, y: np.ndarray, radius: float) -> None:
    """The outline of a disk at each place of a drawing, in its units."""
    size = np.full(len(x), 2.0 * radius)
    places = np.stack([x, y], axis=1)
    circles = EllipseCollection(size, size, np.zeros(len(x)), units="xy", offsets=places, transOffset=ax.transData)
    circles.set(facecolor="none", edgecolor=ON_PATTERN, linewidth=0.8)
    ax.add_collection(circles)


def draw_unrolled(
    ax: Axes,
    image: np.ndarray,
    geometry: Geometry,
    columns: np.ndarray,
    *,
    scale: float = 1.0,
    unit: str = "px",
    sqrt: bool = False,
) -> Axes:
    """A pattern (q_y, q_x) of finite counts over azimuth and radius, the ellipse undone, with its radial variance.

    The variance, of the square roots of the counts if `sqrt`, is drawn at the radii `columns` (m,), in px; `scale` and
    `unit` are those of a pixel. Returns the axes of the variance, which lie on top of `ax`.
    """
    image = np.maximum(np.asarray(image, np.float64), 0.0)
    edge = (min(geometry.detector_shape) - 1) / 2
    polar = unrolled(image, geometry, tuple(np.arange(0.0, edge)))
    ax.set_facecolor("0.35")  # where nothing was measured
    draw_log(ax, polar, extent=(0, 360, (len(polar) - 0.5) * scale, -0.5 * scale), aspect="auto")
    measured = unrolled(np.sqrt(image) if sqrt else image, geometry, tuple(columns))
    enough = np.isfinite(measured).mean(axis=1) >= LEAST_VALID
    variance = np.full(len(columns), np.nan)
    variance[enough] = np.nanvar(measured[enough], axis=1)
    high = float(np.nanmax(variance, initial=0.0))
    power = int(np.floor(np.log10(high))) if high >= 1000 or 0 < high < 0.1 else 0
    over = ax.twiny()
    over.plot(variance / 10.0**power, columns * scale, color=ON_PATTERN, lw=1.0)
    over.set_xlim(0, 1.05 * high / 10.0**power or 1.0)
    over.set_xlabel(f"variance ({f'$10^{{{power}}}$ ' if power else ''}counts{'' if sqrt else '²'})")
    ax.set(xlabel="azimuth (°)", ylabel=f"$|q|$ ({unit})", xticks=range(0, 361, 90))
    return over


def typical_position(peaks: Peaks, among: np.ndarray | None = None) -> tuple[int, int]:
    """Row and column of a pattern that is rich in disks, as the figures show it by default.

    It is one of `among`, (scan_y, scan_x), if that is given and any of those positions has a disk.
    """
    counts = peaks.counts
    eligible = counts > 0
    if among is not None and (eligible & among.ravel()).any():
        eligible &= among.ravel()
    if not eligible.any():
        return 0, 0
    away = np.where(eligible, np.abs(counts - np.percentile(counts[eligible], TYPICAL)), np.inf)
    heights = np.bincount(peaks.pattern, np.maximum(np.nan_to_num(peaks.height), 0.0), minlength=counts.size)
    best = np.lexsort((-heights, away))[0]  # of those with as many disks, the brightest
    row, column = divmod(int(best), peaks.scan_shape[1])
    return row, column


@dataclass(frozen=True, eq=False)
class Raster:
    """The row of BD of one position, in pixels from the beam."""

    image: np.ndarray
    """(rows, columns) value of each bin."""
    edges: Edges
    """Of all bins together."""
    side: float
    """Of a bin."""
    y: np.ndarray
    x: np.ndarray
    """(disks,) the disks that it is made of, calibrated."""

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
