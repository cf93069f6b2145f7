"""BD, the Bragg disks: their calibrated positions, weighted by height and binned over the detector.

Bruefach, Ophus & Scott 2022 (doi 10.1017/S1431927622012259), made exact in docs/method.md. About one per cent of the
matrix is not zero, so it is sparse from here on to its components.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from napari_stemnmf.calibration.geometry import Calibration, bilinear, centred
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import doubtful
from napari_stemnmf.disks.tracks import DIRECT_BEAM
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.features import Features
from napari_stemnmf.representation_settings import BraggDiskSettings

BIN_OF_RADIUS = 0.5625
"""Side of a bin per probe radius: the paper's 3 px where a disk's radius is 5.3 px."""


def bragg_disks(peaks: Peaks, calibration: Calibration, settings: BraggDiskSettings | None = None) -> Features:
    """The BD of every pattern of a scan, from its disks and its calibration.

    Returns
    -------
    Features
        ``bd``. Values are a csr_array (n, m), counts a pixel or their square root: a column for every bin of the
        detector, a disk shared between the four bins around it. Columns: ``q_y``, ``q_x`` [px] of the bin's centre from
        the direct beam, its ``radius`` [px] and ``azimuth`` [deg]. Details: ``bin``, ``r_min`` [px], ``grid`` (rows and
        columns of bins), ``intensity``, the number of ``disks`` and of patterns ``without_disk``.

    Raises
    ------
    DataError
        If disks and calibration are of different scans, or no disk lies between the radii.
    """
    settings = BraggDiskSettings() if settings is None else settings
    geometry = calibration.geometry
    side = bin_side(geometry.probe_radius) if settings.bin is None else settings.bin
    r_min = DIRECT_BEAM * geometry.probe_radius if settings.r_min is None else settings.r_min
    y, x, used = disks_used(peaks, calibration, settings)
    if not used.any():
        raise DataError(
            f"None of the {len(peaks)} disks lies {r_min:g} px or more from the centre, within bd.featurize.r_max, and "
            "is strong enough; lower disks.min_snr, bd.featurize.min_snr or bd.featurize.r_min."
            f"{doubtful(geometry.probe_radius, geometry.detector_shape)}"
        )
    grid = (int(np.ceil(geometry.detector_shape[0] / side)), int(np.ceil(geometry.detector_shape[1] / side)))
    top, left = (0.5 * side - 0.5 - c for c in (geometry.q_y, geometry.q_x))  # centre of the first bin from the beam
    bins, share = bilinear((y[used] - top) / side, (x[used] - left) / side, grid)
    height = np.sqrt(peaks.height[used]) if settings.intensity == "sqrt" else peaks.height[used]
    values = _matrix(peaks.pattern[used], bins, height[:, None] * share, (len(peaks.central), grid[0] * grid[1]))
    q_y, q_x = np.repeat(top + side * np.arange(grid[0]), grid[1]), np.tile(left + side * np.arange(grid[1]), grid[0])
    columns = {"q_y": q_y, "q_x": q_x, "radius": np.hypot(q_y, q_x), "azimuth": np.degrees(np.arctan2(q_y, q_x)) % 360}
    details: dict[str, Any] = {
        "intensity": settings.intensity,
        "bin": float(side),
        "r_min": float(r_min),
        "grid": grid,
        "disks": int(used.sum()),
        "without_disk": int((np.diff(values.indptr) == 0).sum()),
    }
    return Features("bd", values, columns, (), peaks.scan_shape, details)


def disks_used(
    peaks: Peaks, calibration: Calibration, settings: BraggDiskSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated q_y and q_x (peaks,) of the disks, px from the beam, and which of them BD is made of."""
    geometry = calibration.geometry
    r_min = DIRECT_BEAM * geometry.probe_radius if settings.r_min is None else settings.r_min
    r_max = np.inf if settings.r_max is None else settings.r_max
    y, x = centred(peaks, calibration)
    radius = np.hypot(y, x)
    strong = (peaks.height > 0) & np.isfinite(peaks.height) & (peaks.snr >= settings.min_snr)
    return y, x, strong & (radius >= r_min) & (radius <= r_max)


def bin_side(probe_radius: float) -> float:
    """The side of a bin (px) if none is set: in proportion to the probe's radius, to half a pixel."""
    return max(0.5, round(2.0 * BIN_OF_RADIUS * probe_radius) / 2.0)


def _matrix(rows: np.ndarray, bins: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Sum of what falls into each bin, (n, m) float32; `bins` and `values` hold the shares of each disk."""
    there = values > 0
    row = np.broadcast_to(rows[:, None], bins.shape)[there]
    matrix = coo_array((values[there].astype(np.float32), (row, bins[there])), shape=shape).tocsr()
    matrix.sum_duplicates()
    return matrix
