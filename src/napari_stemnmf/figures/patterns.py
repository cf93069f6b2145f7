"""Drawing of diffraction patterns, for several figures: logarithmic, with rings, unrolled over azimuth and radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.collections import EllipseCollection
from scipy.ndimage import gaussian_filter

from napari_stemnmf.features.polar import unrolled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

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


@dataclass(frozen=True)
class Frame:
    """Where the pixels of a detector lie in a drawing: at (pixel - centre) * scale, in `unit`.

    Where they are rectangular, `ratio` is the side along q_x over that along q_y, and `scale` is for radii.
    """

    q_y: float = 0.0
    q_x: float = 0.0
    scale: float = 1.0
    unit: str = "px"
    ratio: float = 1.0

    @classmethod
    def calibrated(cls, calibration: Calibration) -> Frame:
        """About the mean centre, in the unit of the calibration; in pixels where their size is not known."""
        geometry = calibration.geometry
        known = calibration.pixel_method != "none"
        size, unit = (calibration.pixel_size, calibration.pixel_unit) if known else (1.0, "px")
        return cls(geometry.q_y, geometry.q_x, size, unit, calibration.pixel_ratio if known else 1.0)

    def place(self, q_y: np.ndarray, q_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of points on the detector (px): their x and their y in the drawing."""
        along_x, along_y = self.scale * self.ratio**0.5, self.scale / self.ratio**0.5
        return (np.asarray(q_x) - self.q_x) * along_x, (np.asarray(q_y) - self.q_y) * along_y

    def extent(self, shape: tuple[int, ...]) -> Edges:
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
    extent: Edges | None = None,
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


def draw_rings(ax: Axes, geometry: Geometry, rings: tuple[float, ...], frame: Frame) -> None:
    """The bounds of rings (px), as the ellipses that they are on the detector; the limits of the axes stay on it."""
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
    frame: Frame,
    sqrt: bool = False,
) -> Axes:
    """A pattern (q_y, q_x) of finite counts over azimuth and radius, the ellipse undone, with its radial variance.

    The variance, of the square roots of the counts if `sqrt`, is drawn at the radii `columns` (m,), in px; the axes
    have the frame's unit. Returns the axes of the variance, which lie on top of `ax`.
    """
    scale, unit = frame.scale, frame.unit
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
