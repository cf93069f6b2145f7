"""Where detector pixels lie in reciprocal space: the geometry of a detector, and the calibration of a whole scan.

Polar coordinates are taken after the ellipse is made a circle of radius sqrt(a b) (docs/method.md): one convention for
all features. Azimuth runs from q_x (columns) towards q_y (rows).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from napari_stemnmf.disks.detection import Peaks
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
        numbers = map(float, (self.q_y, self.q_x, self.probe_radius, self.ellipse_ratio, self.ellipse_angle))
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

    def with_ellipse(self, ratio: float, angle: float) -> Geometry:
        """With a further ellipse, measured on displacements that `straighten` has given: both together."""
        known = np.array(self._stretch(self.ellipse_ratio))
        further = np.array(replace(self, ellipse_ratio=ratio, ellipse_angle=angle)._stretch(ratio))
        squares, directions = np.linalg.eigh(known @ further @ further @ known)  # of the semi-axes; (x, y) in columns
        x, y = directions[:, 1]
        both = max(float(np.sqrt(squares[1] / squares[0])), 1.0)
        return replace(self, ellipse_ratio=both, ellipse_angle=float(np.degrees(np.arctan2(y, x)) % 180.0))

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


@dataclass(frozen=True, eq=False)
class Calibration:
    """From detector pixels to calibrated coordinates, for every pattern of a scan.

    Attributes
    ----------
    geometry : Geometry
        Mean centre, probe radius, ellipse and mask.
    origin : ndarray of float32
        (scan_y, scan_x, 2) centre (q_y, q_x) of each pattern, px, as `origin_use` says. Its mean is the geometry's.
    measured : ndarray of float32
        (scan_y, scan_x, 2) what the surface was fitted to, px; NaN where nothing was measured or it was an outlier.
    origin_method : str
        ``central``, ``friedel`` or ``mean``.
    origin_fit : str
        ``constant``, ``plane`` or ``parabola``.
    origin_residual : float
        Robust standard deviation of what was measured about the surface, px along one axis; NaN if nothing was.
    ellipse_method : str
        ``disks``, ``ring``, ``set``, ``off``, or ``none`` where nothing significant was found; ``file`` where there is
        then only the one that rectangular pixels give.
    ellipse_radius : float
        Radius of the ring that the ellipse was fitted to, px; NaN if none.
    ellipse_residual : float
        Robust standard deviation of the ring's points about the ellipse, px; NaN if none.
    ellipse_error : float
        Standard error of the ratio a / b that is used: with a circle, how far that may be off; NaN if none.
    pixel_size : float
        Size of a detector pixel, in `pixel_unit`; of a rectangular one, the side of the square of the same area.
    pixel_unit : str
    pixel_method : str
        ``file``, ``d-spacing``, or ``none`` where it is not known (1 px then).
    pixel_radius : float
        Radius of the ring that it was taken from, px; NaN if none.
    pixel_ratio : float
        Its side along q_x over that along q_y, from the file; the geometry's ellipse holds it.
    origin_use : str
        ``surface``, ``measured``, or ``both``: the surface and what is significant of the residuals.
    origin_error, descan_error : float
        Standard errors of the surface (rms over the scan) and of the descan (the largest of the four), px; NaN if none.
    ellipse_angle_error : float
        Standard error of the angle, degrees; NaN if none.
    notes : str
        What is odd and was done about it, a sentence each, one in a line.
    """

    geometry: Geometry
    origin: np.ndarray
    measured: np.ndarray
    origin_method: str = "mean"
    origin_fit: str = "constant"
    origin_residual: float = float("nan")
    ellipse_method: str = "none"
    ellipse_radius: float = float("nan")
    ellipse_residual: float = float("nan")
    ellipse_error: float = float("nan")
    pixel_size: float = 1.0
    pixel_unit: str = "px"
    pixel_method: str = "none"
    pixel_radius: float = float("nan")
    pixel_ratio: float = 1.0
    origin_use: str = field(default="surface", metadata={"since": "0.5"})
    origin_error: float = field(default=float("nan"), metadata={"since": "0.5"})
    descan_error: float = field(default=float("nan"), metadata={"since": "0.5"})
    ellipse_angle_error: float = field(default=float("nan"), metadata={"since": "0.5"})
    notes: str = field(default="", metadata={"since": "0.5"})

    def __post_init__(self) -> None:
        if self.origin.ndim != 3 or self.origin.shape[2] != 2 or self.measured.shape != self.origin.shape:
            raise DataError(f"Centres of shape {self.origin.shape} are not those of a scan (scan_y, scan_x, 2).")

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of probe positions."""
        return int(self.origin.shape[0]), int(self.origin.shape[1])

    @property
    def pixel_sides(self) -> tuple[float, float]:
        """Sides of a detector pixel along q_y and q_x, in `pixel_unit`."""
        return self.pixel_size / self.pixel_ratio**0.5, self.pixel_size * self.pixel_ratio**0.5

    @property
    def descan(self) -> np.ndarray:
        """(2, 2) shift of the pattern over the whole scan, px: rows q_y, q_x; columns along scan_y, along scan_x.

        The slopes of the plane that fits the surface best, times one scan length less one step.
        """
        rows, columns = self.scan_shape
        y, x = np.indices((rows, columns), np.float64).reshape(2, -1)
        design = np.stack([np.ones(y.size), y, x], axis=1)
        slopes = np.linalg.lstsq(design, self.origin.reshape(-1, 2).astype(np.float64), rcond=None)[0][1:]
        return np.asarray(slopes.T * [rows - 1, columns - 1])


def centred(peaks: Peaks, calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """Displacement q_y, q_x (peaks,) float32, px, of each disk from the centre of its own pattern, the ellipse undone.

    Radius and azimuth are those of `Geometry.to_polar`. A DataError if disks and calibration are of different scans.
    """
    if peaks.scan_shape != calibration.scan_shape:
        raise DataError(f"Disks of a scan of {peaks.scan_shape} cannot take the centres of {calibration.scan_shape}.")
    origin = calibration.origin.reshape(-1, 2)[peaks.pattern].astype(np.float64)
    y, x = calibration.geometry.straighten(peaks.q_y - origin[:, 0], peaks.q_x - origin[:, 1])
    return y.astype(np.float32), x.astype(np.float32)


def bilinear(q_y: np.ndarray, q_x: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Share points (n,), in rows and columns of a map of some shape, between the four pixels around each.

    Returns flat pixels (n, 4) int64 and shares (n, 4) float32, which add up to 1 for a point within the outermost pixel
    centres. What falls off the map is lost, never wrapped to the other side: its weight is 0 (and its index 0). So is
    that of NaN.
    """
    position = np.stack([np.asarray(q_y, np.float64), np.asarray(q_x, np.float64)], axis=1)
    size = np.array(shape)
    off = ~((position > -1.0) & (position < size)).all(axis=1)  # true for NaN, too
    position[off] = -2.0
    low = np.floor(position).astype(np.int64)
    share = position - low
    y, x = (low[:, i, None] + np.array(taps) for i, taps in enumerate(([0, 0, 1, 1], [0, 1, 0, 1])))
    wy, wx = share[:, :1], share[:, 1:]
    weight = np.concatenate([(1 - wy) * (1 - wx), (1 - wy) * wx, wy * (1 - wx), wy * wx], axis=1)
    there = (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    return np.where(there, y * size[1] + x, 0), np.where(there, weight, 0.0).astype(np.float32)


def bragg_vector_map(q_y: np.ndarray, q_x: np.ndarray, weight: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Two-dimensional histogram of positions, with bilinear weights.

    Parameters
    ----------
    q_y, q_x : ndarray
        (peaks,) position on the detector, px.
    weight : ndarray
        (peaks,) what each adds to the map; what is not finite or below zero counts as 0.
    shape : tuple of int
        (q_y, q_x) pixels of the detector.

    Returns
    -------
    ndarray of float32
        (q_y, q_x); its sum is that of the weights of all points that are not at the border.
    """
    index, share = bilinear(q_y, q_x, shape)
    weight = np.maximum(np.nan_to_num(np.asarray(weight, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    image = np.bincount(index.ravel(), (share * weight[:, None]).ravel(), minlength=shape[0] * shape[1])
    return image.reshape(shape).astype(np.float32)


def raw_map(peaks: Peaks) -> np.ndarray:
    """The Bragg vector map of positions as they were found, weighted by height."""
    return bragg_vector_map(peaks.q_y, peaks.q_x, peaks.height, peaks.detector_shape)


def calibrated_map(peaks: Peaks, calibration: Calibration) -> np.ndarray:
    """The same without descan and ellipse, on the detector's grid about the geometry's centre."""
    y, x = centred(peaks, calibration)
    geometry = calibration.geometry
    return bragg_vector_map(y + geometry.q_y, x + geometry.q_x, peaks.height, peaks.detector_shape)
