"""Detectors that are laid over the patterns afterwards: a point, disk, annulus, sector, rectangle, polygon or mask.

Pure geometry in detector pixels, a pixel's centre on its index. Every detector is a frozen record of some numbers: it
gives the mask of the pixels that it sums, and goes to a plain dictionary and back, for the metadata of a layer or a
script. Angles are in degrees, from q_x towards q_y.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.units import pixel_ratio

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Axis

LEAST = 0.5
"""Least radius, width or side of a detector, in px."""


@dataclass(frozen=True)
class Detector(ABC):
    """A part of the detector that is summed, with its centre (px)."""

    kind: ClassVar[str]
    q_y: float
    q_x: float

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """(q_y, q_x) bool, True for the pixels whose centres lie inside."""
        y, x = np.indices(shape, sparse=True)
        return self._covers(y, x)

    @abstractmethod
    def describe(self, axes: Sequence[Axis] = ()) -> str:
        """A short description; in 1/nm too where the axes q_y, q_x are calibrated."""

    def moved(self, q_y: float, q_x: float) -> Detector:
        """The same detector around another centre."""
        return replace(self, q_y=float(q_y), q_x=float(q_x))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and text, with the kind."""
        return {"kind": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}

    def _covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Whether pixels of rows y (n, 1) and columns x (1, m) lie inside: (n, m) bool."""
        raise NotImplementedError


@dataclass(frozen=True)
class Point(Detector):
    """The one pixel that is nearest; none off the detector."""

    kind: ClassVar[str] = "point"

    def describe(self, axes: Sequence[Axis] = ()) -> str:
        return f"point at {self.q_y:.0f}, {self.q_x:.0f} px"

    def _covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return (y == np.floor(self.q_y + 0.5)) & (x == np.floor(self.q_x + 0.5))


@dataclass(frozen=True)
class Disk(Detector):
    """Pixels up to a radius (px)."""

    kind: ClassVar[str] = "disk"
    radius: float

    def describe(self, axes: Sequence[Axis] = ()) -> str:
        return f"disk {_lengths(axes, self.radius)}"

    def _covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.hypot(y - self.q_y, x - self.q_x) <= self.radius  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Annulus(Detector):
    """Pixels between two radii (px), the inner one included."""

    kind: ClassVar[str] = "annulus"
    inner: float
    outer: float

    def describe(self, axes: Sequence[Axis] = ()) -> str:
        return f"annulus {_lengths(axes, self.inner, self.outer)}"

    def _covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        distance = np.hypot(y - self.q_y, x - self.q_x)
        return (distance >= self.inner) & (distance < self.outer)


@dataclass(frozen=True)
class Sector(Annulus):
    """The part of an annulus from one angle on to another (degrees, from q_x towards q_y)."""

    kind: ClassVar[str] = "sector"
    start: float
    stop: float

    @property
    def span(self) -> float:
        """Angle that it covers, above 0 and up to 360 degrees."""
        return (self.stop - self.start) % 360.0 or 360.0

    def describe(self, axes: Sequence[Axis] = ()) -> str:
        return f"sector {_lengths(axes, self.inner, self.outer)}, {self.start:.0f}° to {self.start + self.span:.0f}°"

    def _covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        angle = np.degrees(np.arctan2(y - self.q_y, x - self.q_x))
        return super()._covers(y, x) & ((angle - self.start) % 360.0 < self.span)


@dataclass(frozen=True)
class Rectangle(Detector):
    """Pixels within half a height and half a width (px) of the centre."""

    kind: ClassVar[str] = "rectangle"
    height: float
    width: float

    def describe(self, axes: Sequence[Axis] = ()) -> str:
        return f"rectangle {self.height:.0f} × {self.width:.0f} px at {self.q_y:.0f}, {self.q_x:.0f} px"

    def _covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return (abs(y - self.q_y) <= self.height / 2) & (abs(x - self.q_x) <= self.width / 2)


@dataclass(frozen=True)
class Polygon(Detector):
    """Pixels inside a closed line through `corners`, (q_y, q_x) each, by the even-odd rule."""

    kind: ClassVar[str] = "polygon"
    corners: tuple[tuple[float, float], ...]

    @classmethod
    def through(cls, corners: Sequence[Sequence[float]]) -> Polygon:
        """The polygon through some points, (n, 2); its centre is their mean. A DataError if less than three."""
        if len(corners) < 3:
            raise DataError(f"A drawn detector needs three corners or more, not {len(corners)}; click more points.")
        points = tuple((float(y), float(x)) for y, x in corners)
        q_y, q_x = np.mean(points, axis=0)
        return cls(float(q_y), float(q_x), points)

    def moved(self, q_y: float, q_x: float) -> Polygon:
        by_y, by_x = q_y - self.q_y, q_x - self.q_x
        return Polygon(float(q_y), float(q_x), tuple((y + by_y, x + by_x) for y, x in self.corners))

    def describe(self, axes: Sequence[Axis] = ()) -> str:
        return f"polygon of {len(self.corners)} corners at {self.q_y:.0f}, {self.q_x:.0f} px"

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"corners": [list(corner) for corner in self.corners]}

    def _covers(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return inside_polygon(np.array(self.corners), *(line.ravel().astype(np.float64) for line in (y, x)))


@dataclass(frozen=True)
class Mask(Detector):
    """Any pixels, as runs (first flat index, length) of a detector of `shape`; it moves by whole pixels."""

    kind: ClassVar[str] = "mask"
    shape: tuple[int, int]
    runs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, mask: np.ndarray) -> Mask:
        """The detector that sums where a mask (q_y, q_x) is True; a DataError if it is True nowhere."""
        if not mask.any():
            raise DataError("The mask of this detector covers no pixel; draw one that does.")
        start, stop = runs(mask)
        q_y, q_x = (float(i.mean()) for i in np.nonzero(mask))
        spans = tuple((int(a), int(b - a)) for a, b in zip(start, stop, strict=True))
        return cls(q_y, q_x, (int(mask.shape[0]), int(mask.shape[1])), spans)

    def moved(self, q_y: float, q_x: float) -> Mask:
        """The same detector around another centre, by whole pixels; what leaves the detector is lost."""
        by = round(q_y - self.q_y), round(q_x - self.q_x)
        if by == (0, 0):
            return self
        rows, columns = np.nonzero(self.mask(self.shape))
        rows, columns = rows + by[0], columns + by[1]
        there = (rows >= 0) & (rows < self.shape[0]) & (columns >= 0) & (columns < self.shape[1])
        out = np.zeros(self.shape, bool)
        out[rows[there], columns[there]] = True
        return Mask.of(out) if out.any() else self

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """As `Detector.mask`; a DataError if the detector is of another shape."""
        if tuple(shape) != tuple(self.shape):
            raise DataError(
                f"The mask of this detector is {self.shape[0]} x {self.shape[1]} px, but the patterns are {shape[0]} x "
                f"{shape[1]} px; draw it again."
            )
        out = np.zeros(shape[0] * shape[1], bool)
        for start, length in self.runs:
            out[start : start + length] = True
        return out.reshape(shape)

    def describe(self, axes: Sequence[Axis] = ()) -> str:
        return f"mask of {sum(length for _, length in self.runs)} px"

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"shape": list(self.shape), "runs": [list(run) for run in self.runs]}


KINDS: dict[str, type[Detector]] = {c.kind: c for c in (Point, Disk, Annulus, Sector, Rectangle, Polygon, Mask)}


def from_dict(values: Mapping[str, Any]) -> Detector:
    """The detector that `Detector.to_dict` gave; a DataError if the kind is unknown or a number is missing."""
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in KINDS:
        raise DataError(f"There is no virtual detector of kind '{kind}'; known are {', '.join(KINDS)}.")
    for name in ("corners", "runs"):
        if name in values:
            values[name] = tuple(tuple(pair) for pair in values[name])
    if "shape" in values:
        values["shape"] = tuple(values["shape"])
    try:
        return KINDS[kind](**values)
    except TypeError as error:
        raise DataError(f"The virtual detector ({kind}) is not complete: {error}.") from error


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stretches of True in a mask (q_y, q_x), none across the end of a row: flat start and stop of each, int64."""
    edges = np.diff(np.pad(np.asarray(mask, np.int8), ((0, 0), (1, 1))), axis=1)
    columns = mask.shape[1]
    (row, start), (_, stop) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    return (row * columns + start).astype(np.int64), (row * columns + stop).astype(np.int64)


def inside_polygon(vertices: np.ndarray, q_y: np.ndarray, q_x: np.ndarray) -> np.ndarray:
    """(rows, columns) whether each point of a grid, at rows `q_y` and columns `q_x`, is inside a closed polygon.

    The polygon's corners (k, 2), (y, x), are in the order that they are joined; the even-odd rule decides.
    """
    inside = np.zeros((len(q_y), len(q_x)), bool)
    for (y0, x0), (y1, x1) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        rows = (q_y >= min(y0, y1)) & (q_y < max(y0, y1))
        crossing = x0 + (q_y[rows] - y0) * (x1 - x0) / (y1 - y0)
        inside[rows] ^= q_x[None, :] < crossing[:, None]
    return inside


def _lengths(axes: Sequence[Axis], *radii: float) -> str:
    """Radii in px, and in 1/nm where that is known and the same in all directions."""
    text = " to ".join(f"{r:.1f}" for r in radii) + " px"
    if axes and axes[-1].unit == "1/nm" and pixel_ratio(axes) == 1.0:
        text += " (" + " to ".join(f"{r * axes[-1].scale:.2f}" for r in radii) + " 1/nm)"
    return text
