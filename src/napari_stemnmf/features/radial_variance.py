"""RV, the radial variance: how much the intensity varies over azimuth at each radius.

Equation 1 of Bruefach, Ophus & Scott 2022 (doi 10.1017/S1431927622012259): per pattern, the variance along azimuth
(divisor n) of the polar-elliptical pattern, made exact in docs/method.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.polar import Centers, Table, check_reach, samples
from napari_stemnmf.representation_settings import RadialVarianceSettings
from napari_stemnmf.streaming.engine import BlockResult

MIN_VALID = 0.5  # share of the azimuths of a radius that must be valid


def first_radius(probe_radius: float) -> float:
    """The first radius (px) if none is set: a disk's radius and two pixels off the central disk, past its tail."""
    return float(np.ceil(2.0 * probe_radius + 2.0))


def last_radius(pixels: int) -> float:
    """The last radius (px) if none is set, of a detector with so many pixels along its shorter side: half of that."""
    return float(np.floor((pixels - 1) / 2))


def choose_radii(geometry: Geometry, settings: RadialVarianceSettings) -> np.ndarray:
    """The radii (px) of the columns: what is set, or every pixel from past the central disk to the detector's edge.

    A DataError if the first radius is not below the last, or the last far off the detector.
    """
    r_min = first_radius(geometry.probe_radius) if settings.r_min is None else settings.r_min
    r_max = last_radius(min(geometry.detector_shape)) if settings.r_max is None else settings.r_max
    if r_min >= r_max:
        raise DataError(
            f"Radial variance has no radius between {r_min:g} px (past the central disk) and {r_max:g} px (the edge of "
            "the detector); set rv.featurize.r_min and rv.featurize.r_max."
        )
    check_reach(r_max, geometry)
    if settings.columns is not None:
        return np.linspace(r_min, r_max, settings.columns)
    return np.arange(r_min, r_max + 1e-9)


class RadialVariance:
    """The `Kernel` that gives the RV of each pattern, as ``per_pattern["values"]`` (p, m) float32, counts squared.

    Its parameters are those of `AngularAverage` without rings. ``columns`` holds the ``radius`` (m,), px, and
    ``dropped`` names the radii left out because under half of their azimuths are valid for every centre. A DataError if
    none is left.
    """

    def __init__(
        self,
        geometry: Geometry,
        settings: RadialVarianceSettings | None = None,
        origin: np.ndarray | None = None,
    ) -> None:
        from napari_stemnmf.features.projection import Projection

        self.centers = Centers.of(geometry, origin)
        self.settings = RadialVarianceSettings() if settings is None else settings
        radii = choose_radii(geometry, self.settings)
        azimuths = 360.0 / self.settings.angle_step
        if abs(azimuths - round(azimuths)) > 1e-9:
            raise DataError(f"360 degrees is no multiple of the azimuthal step {self.settings.angle_step:g}.")
        self._radii = tuple(float(r) for r in radii)
        step = self.settings.angle_step
        share = np.min([samples(g, self._radii, step).share for g in self.centers.geometries], axis=0)
        self._keep = (share >= MIN_VALID) & (share > 0.0)
        self.columns = {"radius": radii[self._keep]}
        self.dropped = tuple(f"radius {r:g} px" for r in radii[~self._keep])
        if not self._keep.any():
            raise DataError(
                "No radius has half of its azimuths on valid pixels; check the radii, the centre and the mask."
            )
        self._project = Projection(self.centers, self._tables, sqrt=self.sqrt)

    @property
    def sqrt(self) -> bool:
        """Whether the variance is that of the square roots of the counts."""
        return self.settings.intensity == "sqrt"

    @property
    def details(self) -> dict[str, Any]:
        """What `Features.details` keeps of it."""
        radii = tuple(float(r) for r in self.columns["radius"])
        return {"intensity": self.settings.intensity, "angle_step": self.settings.angle_step, "radii": radii}

    def table(self, geometry: Geometry) -> Table:
        """Sampling weights of the kept radii, for one of the centres' geometries."""
        return samples(geometry, self._radii, self.settings.angle_step).select(self._keep)

    def _tables(self, geometry: Geometry) -> tuple[None, Table]:
        return None, self.table(geometry)

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        return BlockResult(per_pattern={"values": self._project(block, positions)[1]})
