"""AA, the angular average: the mean intensity of each diffraction ring in each sector of azimuth.

Bruefach, Ophus & Scott 2022 (doi 10.1017/S1431927622012259), made exact in docs/method.md: rings lie between
consecutive local minima of the radial mean of the maximum pattern; each ring times every 5 degrees is a column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter
from scipy.signal import find_peaks

from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import doubtful
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.polar import Centers, Table, check_reach, radial_profile, sectors
from napari_stemnmf.preprocessing.camera_offset import above_offset
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.representation_settings import AngularAverageSettings
from napari_stemnmf.streaming.engine import BlockResult

PROFILE_STEP = 0.25  # px between the radii of the profile
PROMINENCE = 0.12  # least depth of a minimum, in natural logarithms of the profile: about 12 %
FLOOR = 1e-3  # added to the profile, as a share of its largest value past the central disk
SMOOTHING = 0.15  # width (sigma) of the smoothing, in probe radii
MIN_SMOOTHING = 1 / 160  # and at least this share of the radius of the detector

BLUR = 0.25  # in probe radii: how far centres may lie from their mean before the maximum pattern is blurred


def rings_of(
    survey: Survey, geometry: Geometry, calibration: Calibration | None = None, peaks: Peaks | None = None
) -> tuple[float, ...]:
    """Radii that bound the diffraction rings of a scan, px: those of its patterns above an offset of the camera.

    The geometry is that of the calibration, or the best that is known before there is one.
    """
    maximum = survey.maximum if calibration is None else centered_maximum(survey, calibration, peaks)
    patterns = (maximum, survey.mean)
    if survey.offset:
        patterns = (above_offset(maximum, geometry.mask), above_offset(survey.mean, geometry.mask))
    return find_rings(patterns[0], geometry, patterns[1])


def find_rings(maximum: np.ndarray, geometry: Geometry, mean: np.ndarray | None = None) -> tuple[float, ...]:
    """Radii (px, at least two, ascending) that bound the diffraction rings, from the maximum over all patterns.

    They are the local minima of its radial mean. The mean over the valid azimuths of each radius is smoothed by a
    fraction of the disk's radius; minima count where they are at least 12 % below the maxima on both sides, and the
    deepest of those closer than a disk's radius. Where a beam stop hides the central disk, the edge of its shadow may
    bound the first ring. Where that shows no ring (patterns of one bit, each pixel of which was hit at some time), they
    are those of the `mean` pattern. A DataError if there are fewer than two such minima, so no ring.
    """
    minima: tuple[float, ...] = ()
    for pattern in (maximum,) if mean is None else (maximum, mean):
        minima = _minima(pattern, geometry)
        if len(minima) >= 2:
            return minima
    many = "minimum" if len(minima) == 1 else "minima"
    raise DataError(
        f"No diffraction ring was found: the radial mean of the {'maximum' if mean is None else 'mean'} pattern has "
        f"{len(minima)} local {many} past the central disk, and a ring needs two. "
        "Set the radii that bound the rings, in pixels, as aa.featurize.rings, or leave AA out of the features."
        f"{doubtful(geometry.probe_radius, geometry.detector_shape)}"
    )


def _minima(pattern: np.ndarray, geometry: Geometry) -> tuple[float, ...]:
    """Radii of the local minima of the radial mean of a pattern past the central disk, px."""
    edge = half_detector(geometry)
    radii = np.arange(0.0, edge + PROFILE_STEP / 2, PROFILE_STEP)
    counts = np.maximum(np.nan_to_num(pattern, posinf=0.0, neginf=0.0), 0.0)
    profile = radial_profile(counts, geometry, tuple(radii))
    seen = np.isfinite(profile)
    radii, profile = radii[seen], profile[seen]
    past = radii > geometry.probe_radius
    if past.sum() <= 4 or not profile[past].max() > 0.0:
        return ()
    level = np.log(profile + FLOOR * profile[past].max())
    sigma = max(SMOOTHING * geometry.probe_radius, MIN_SMOOTHING * edge, PROFILE_STEP)
    level = gaussian_filter1d(level, sigma / PROFILE_STEP, mode="nearest")
    distance = max(1.0, geometry.probe_radius / PROFILE_STEP)  # no ring is narrower than a disk's radius
    hidden = int(radii[0] > geometry.probe_radius)  # then the flank of the central disk is added
    level = np.pad(level, (hidden, 0), constant_values=level.max())
    minima = find_peaks(-level, prominence=PROMINENCE, distance=distance)[0] - hidden
    return tuple(float(radii[i]) for i in minima if radii[i] > geometry.probe_radius)


def centered_maximum(survey: Survey, calibration: Calibration, peaks: Peaks | None = None) -> np.ndarray:
    """The maximum pattern (q_y, q_x), or what it would be without descan where that blurs it, about the mean centre.

    Where centres are further from their mean than a quarter of the disk's radius, and disks are known, it is put
    together from these: on the mean pattern, a flat disk at each place where one was found, moved to the mean centre,
    and as high as the highest there.
    """
    geometry = calibration.geometry
    away = calibration.origin - np.array([geometry.q_y, geometry.q_x], np.float32)
    if peaks is None or len(peaks) == 0 or np.abs(away).max() <= BLUR * geometry.probe_radius:
        return survey.maximum
    moved = away.reshape(-1, 2)[peaks.pattern]
    y, x = (np.rint(at).astype(np.int64) for at in (peaks.q_y - moved[:, 0], peaks.q_x - moved[:, 1]))
    rows, columns = geometry.detector_shape
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    highest = np.zeros((rows, columns), np.float32)
    np.maximum.at(highest, (y[inside], x[inside]), peaks.height[inside])
    reach = int(np.ceil(geometry.probe_radius))
    disk = np.hypot(*(np.indices((2 * reach + 1, 2 * reach + 1)) - reach)) <= geometry.probe_radius
    return survey.mean + maximum_filter(highest, footprint=disk, mode="constant")


def half_detector(geometry: Geometry) -> float:
    """Half of the detector's shorter side, to the outer pixel centres: the largest radius (px) of the rings."""
    return (min(geometry.detector_shape) - 1) / 2


class AngularAverage:
    """The `Kernel` that gives the AA of each pattern, as ``per_pattern["values"]`` (p, m) float32.

    Parameters
    ----------
    geometry : Geometry
        Mean centre, ellipse and mask.
    rings : tuple of float
        Radii that bound the rings, ascending, px.
    settings : AngularAverageSettings, optional
        Sector width, least valid share, intensity scale.
    origin : ndarray, optional
        (scan_y, scan_x, 2) centre (q_y, q_x) of each pattern, px; the geometry's for all if not given.

    Attributes
    ----------
    columns : dict of ndarray
        (m,) each: ``ring`` from 1, ``r_in``, ``r_out`` (px), ``azimuth`` (degrees, middle of the sector, from q_x
        towards q_y).
    dropped : tuple of str
        Columns left out because too little of them is valid for every centre.

    Raises
    ------
    DataError
        If the rings are not ascending radii on the detector, or no column is left.
    """

    def __init__(
        self,
        geometry: Geometry,
        rings: tuple[float, ...],
        settings: AngularAverageSettings | None = None,
        origin: np.ndarray | None = None,
    ) -> None:
        from napari_stemnmf.features.projection import Projection

        self.centers = Centers.of(geometry, origin)
        self.rings = tuple(float(r) for r in rings)
        self.settings = AngularAverageSettings() if settings is None else settings
        step = self.settings.angle_step
        if len(self.rings) < 2 or list(self.rings) != sorted(set(self.rings)) or self.rings[0] < 0:
            raise DataError(f"Rings need at least two ascending radii; got {self.rings}.")
        check_reach(self.rings[-1], geometry)
        share = np.min([sectors(g, self.rings, step).share for g in self.centers.geometries], axis=0)
        self._keep = (share >= self.settings.min_valid) & (share > 0.0)
        per_ring = round(360.0 / step)
        ring = np.repeat(np.arange(len(self.rings) - 1), per_ring)
        azimuth = np.tile((np.arange(per_ring) + 0.5) * step, len(self.rings) - 1)
        bounds = np.asarray(self.rings)
        every = {"ring": ring + 1, "r_in": bounds[ring], "r_out": bounds[ring + 1], "azimuth": azimuth}
        self.columns = {name: values[self._keep] for name, values in every.items()}
        self.dropped = tuple(f"ring {ring[i] + 1}, {azimuth[i]:g} deg" for i in np.flatnonzero(~self._keep))
        if not self._keep.any():
            raise DataError("No sector of any ring lies on valid pixels; check the rings, the centre and the mask.")
        self._project = Projection(self.centers, self._tables, sqrt=self.sqrt)

    @property
    def sqrt(self) -> bool:
        """Whether square roots of the counts are averaged."""
        return self.settings.intensity == "sqrt"

    @property
    def details(self) -> dict[str, Any]:
        """What `Features.details` keeps of it."""
        return {"intensity": self.settings.intensity, "angle_step": self.settings.angle_step, "rings": self.rings}

    def table(self, geometry: Geometry) -> Table:
        """Weights of the kept columns, for one of the centres' geometries."""
        return sectors(geometry, self.rings, self.settings.angle_step).select(self._keep)

    def _tables(self, geometry: Geometry) -> tuple[Table, None]:
        return self.table(geometry), None

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        return BlockResult(per_pattern={"values": self._project(block, positions)[0]})
