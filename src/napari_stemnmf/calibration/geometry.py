"""The geometry of a detector: all that decides at which radius and azimuth a pixel lies, and whether it counts.

Polar coordinates are taken after the ellipse is made a circle of radius sqrt(a b) (docs/method.md): one convention for
all features. Azimuth runs from q_x (columns) towards q_y (rows).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_stemnmf.errors import DataError


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the pixels of a detector lie around the direct beam. Equal and hashable by content.

    Attributes
    ----------
    detector_shape : tuple of int
        (q_y, q_x) pixels.
    q_y, q_x : float
        Row and column of the direct beam, px.
    probe_radius : float
        Radius of the central disk, px.
    ellipse_ratio : float
        a / b of the semi-axes of what should be a circle, at least 1.
    ellipse_angle : float
        Direction of a, degrees from q_x towards q_y.
    mask : ndarray of bool or None
        (q_y, q_x), True = keep; None keeps all. A read-only copy is held.
    """

    detector_shape: tuple[int, int]
    q_y: float
    q_x: float
    probe_radius: float
    ellipse_ratio: float = 1.0
    ellipse_angle: float = 0.0
    mask: np.ndarray | None = None
    _key: tuple = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shape = (int(self.detector_shape[0]), int(self.detector_shape[1]))
        mask = None if self.mask is None else np.array(self.mask, dtype=bool)
        if mask is not None and mask.shape != shape:
            raise DataError(f"The mask is of shape {mask.shape}, but the detector has {shape[0]} x {shape[1]} pixels.")
        if self.ellipse_ratio < 1.0:
            raise DataError(f"The ellipse ratio a/b is {self.ellipse_ratio:g}; it must be at least 1.")
        if mask is not None:
            mask.setflags(write=False)
        numbers = tuple(
            float(v) for v in (self.q_y, self.q_x, self.probe_radius, self.ellipse_ratio, self.ellipse_angle)
        )
        object.__setattr__(self, "detector_shape", shape)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "_key", (shape, *numbers, None if mask is None else np.packbits(mask).tobytes()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Geometry) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def to_polar(self, q_y: np.ndarray, q_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Radius (px) and azimuth (degrees, 0 to 360) of points on the detector, given in pixels."""
        y, x = self.straighten(np.asarray(q_y) - self.q_y, np.asarray(q_x) - self.q_x)
        return np.hypot(y, x), np.degrees(np.arctan2(y, x)) % 360.0

    def straighten(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Displacements from the beam (px) with the ellipse undone: one on it comes to the radius sqrt(a b)."""
        if self.ellipse_ratio == 1.0:
            return y, x
        (xx, xy), (_, yy) = self._stretch(1.0 / self.ellipse_ratio)
        return xy * x + yy * y, xx * x + xy * y

    def from_polar(self, radius: np.ndarray, azimuth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column on the detector (px) of points at a radius (px) and an azimuth (degrees)."""
        y = radius * np.sin(np.radians(azimuth))
        x = radius * np.cos(np.radians(azimuth))
        if self.ellipse_ratio != 1.0:
            (xx, xy), (_, yy) = self._stretch(self.ellipse_ratio)
            y, x = xy * x + yy * y, xx * x + xy * y
        return y + self.q_y, x + self.q_x

    def edge_distances(self) -> tuple[float, float, float, float]:
        """Distances from the beam to the outermost pixel centres: top, bottom, left, right (px)."""
        rows, columns = self.detector_shape
        return self.q_y, rows - 1 - self.q_y, self.q_x, columns - 1 - self.q_x

    def _stretch(self, ratio: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """The symmetric matrix in (x, y) that stretches along the ellipse's a, and shrinks across, by sqrt(ratio)."""
        c, s = np.cos(np.radians(self.ellipse_angle)), np.sin(np.radians(self.ellipse_angle))
        along, across = np.sqrt(ratio), 1.0 / np.sqrt(ratio)
        xy = (along - across) * c * s
        return (along * c * c + across * s * s, xy), (xy, along * s * s + across * c * c)
