"""What calibration has found: where each pattern's centre lies, what is an ellipse, and how large a pixel is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError


@dataclass(frozen=True, eq=False)
class Calibration:
    """From detector pixels to calibrated coordinates, for every pattern of a scan.

    Attributes
    ----------
    geometry : Geometry
        Mean centre, probe radius, ellipse and mask.
    origin : ndarray of float32
        (scan_y, scan_x, 2) centre (q_y, q_x) of each pattern, px: the fitted surface. Its mean is the geometry's.
    measured : ndarray of float32
        (scan_y, scan_x, 2) what the surface was fitted to, px; NaN where nothing was measured or it was an outlier.
    origin_method : str
        ``central``, ``friedel`` or ``mean``.
    origin_fit : str
        ``constant``, ``plane`` or ``parabola``.
    origin_residual : float
        Robust standard deviation of what was measured about the surface, px along one axis; NaN if nothing was.
    ellipse_method : str
        ``disks``, ``ring``, ``set``, ``off``, or ``none`` where nothing significant was found.
    ellipse_radius : float
        Radius of the ring that the ellipse was fitted to, px; NaN if none.
    ellipse_residual : float
        Robust standard deviation of the ring's points about the ellipse, px; NaN if none.
    ellipse_error : float
        Standard error of the ratio a / b; NaN if none.
    pixel_size : float
        Size of a detector pixel, in `pixel_unit`.
    pixel_unit : str
    pixel_method : str
        ``file``, ``d-spacing``, or ``none`` where it is not known (1 px then).
    pixel_radius : float
        Radius of the ring that it was taken from, px; NaN if none.
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

    def __post_init__(self) -> None:
        if self.origin.ndim != 3 or self.origin.shape[2] != 2 or self.measured.shape != self.origin.shape:
            raise DataError(f"Centres of shape {self.origin.shape} are not those of a scan (scan_y, scan_x, 2).")

    @classmethod
    def constant(cls, geometry: Geometry, scan_shape: tuple[int, int]) -> Calibration:
        """The same centre for every pattern."""
        origin = np.empty((*scan_shape, 2), np.float32)
        origin[...] = geometry.q_y, geometry.q_x
        return cls(geometry, origin, np.full_like(origin, np.nan))

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of probe positions."""
        return int(self.origin.shape[0]), int(self.origin.shape[1])

    @property
    def is_constant(self) -> bool:
        """Whether all patterns have the same centre."""
        return bool((self.origin == self.origin[0, 0]).all())

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
