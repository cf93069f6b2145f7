"""Positions of disks in calibrated coordinates, and their maps: the Bragg vector map, raw and calibrated.

Positions are calibrated, not images: descan is subtracted and the ellipse undone for each disk, and only then are
they rasterised. A pixel (or bin) k is centred on coordinate k.
"""

from __future__ import annotations

import numpy as np

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.errors import DataError


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


def bragg_vector_map(
    q_y: np.ndarray, q_x: np.ndarray, weight: np.ndarray, shape: tuple[int, int], *, sampling: int = 1
) -> np.ndarray:
    """Two-dimensional histogram of positions, with bilinear weights.

    Parameters
    ----------
    q_y, q_x : ndarray
        (peaks,) position on the detector, px.
    weight : ndarray
        (peaks,) what each adds to the map; what is not finite or below zero counts as 0.
    shape : tuple of int
        (q_y, q_x) pixels of the detector.
    sampling : int
        Pixels of the map per detector pixel, along each axis.

    Returns
    -------
    ndarray of float32
        (q_y * sampling, q_x * sampling); its sum is that of the weights of all points that are not at the border.
    """
    fine = (int(shape[0]) * sampling, int(shape[1]) * sampling)
    shift = 0.5 * (sampling - 1)  # the centre of a detector pixel is that of its block of map pixels
    index, share = bilinear(
        np.asarray(q_y, np.float64) * sampling + shift, np.asarray(q_x, np.float64) * sampling + shift, fine
    )
    weight = np.maximum(np.nan_to_num(np.asarray(weight, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    image = np.bincount(index.ravel(), (share * weight[:, None]).ravel(), minlength=fine[0] * fine[1])
    return image.reshape(fine).astype(np.float32)


def raw_map(peaks: Peaks, *, weight: np.ndarray | None = None, sampling: int = 1) -> np.ndarray:
    """The Bragg vector map of positions as they were found, weighted by height if no weight is given."""
    weight = peaks.height if weight is None else weight
    return bragg_vector_map(peaks.q_y, peaks.q_x, weight, peaks.detector_shape, sampling=sampling)


def calibrated_map(
    peaks: Peaks, calibration: Calibration, *, weight: np.ndarray | None = None, sampling: int = 1
) -> np.ndarray:
    """The Bragg vector map without descan and ellipse, on the detector's grid about the geometry's centre."""
    weight = peaks.height if weight is None else weight
    y, x = centred(peaks, calibration)
    geometry = calibration.geometry
    return bragg_vector_map(y + geometry.q_y, x + geometry.q_x, weight, peaks.detector_shape, sampling=sampling)
