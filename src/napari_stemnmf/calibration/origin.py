"""The centre of every pattern: measured where it can be, and smoothed over the scan.

From the central disk, or from Friedel pairs where a beam stop hides it. Leans on `surface` and `friedel`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemnmf.calibration.friedel import LEAST_REACH, REACH, friedel_centres
from napari_stemnmf.calibration.surface import fit_surface, spread
from napari_stemnmf.control import Control
from napari_stemnmf.disks.central_disk import inversion_center
from napari_stemnmf.disks.peaks import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.stage_settings import CenterSettings, OriginSettings

ENOUGH = 0.1  # share of the patterns in which the central disk is to be found, to rely on it


@dataclass(frozen=True, eq=False)
class Origin:
    """Centres of all patterns of a scan; fields as in `Calibration`."""

    origin: np.ndarray
    measured: np.ndarray
    method: str
    fit: str
    residual: float


def find_origin(
    peaks: Peaks | None,
    probe: Probe,
    mean: np.ndarray,
    scan_shape: tuple[int, int],
    settings: OriginSettings | None = None,
    center: CenterSettings | None = None,
    control: Control | None = None,
) -> Origin:
    """The centre of each pattern.

    A method that finds nothing gives way to the next: central disk, Friedel pairs, one centre for all.

    Parameters
    ----------
    peaks : Peaks or None
        Disks and central disk of every pattern; None gives one centre for all.
    probe : Probe
        Its centre, radius and mask, and whether the mask hides the central disk.
    mean : ndarray
        (q_y, q_x) mean pattern, counts.
    scan_shape : tuple of int
        Rows and columns of probe positions.
    settings : OriginSettings, optional
    center : CenterSettings, optional
        A row or column that is set becomes that of the mean centre.
    control : Control, optional
        Checked for a cancel all along.
    """
    settings = OriginSettings() if settings is None else settings
    center = CenterSettings() if center is None else center
    guess = probe.q_y if center.q_y is None else center.q_y, probe.q_x if center.q_x is None else center.q_x
    found = None
    for method in _methods(settings.method, peaks, probe):
        if peaks is not None and method == "central":
            found = _from_central_disk(peaks, settings.fit)
        elif peaks is not None and method == "friedel":
            found = _from_pairs(peaks, guess, probe.radius, settings.fit, control)
        if found is not None:
            break
    if found is None:
        found = _one_for_all(probe, guess, mean, scan_shape)
    return _with_mean(found, center)


def _methods(method: str, peaks: Peaks | None, probe: Probe) -> tuple[str, ...]:
    if peaks is None or method == "mean":
        return ()
    if method == "auto":
        seen = float(np.isfinite(peaks.central).all(axis=1).mean()) if len(peaks.central) else 0.0
        return ("friedel",) if probe.hidden else ("central", "friedel") if seen >= ENOUGH else ("friedel", "central")
    return (method,)


def _from_central_disk(peaks: Peaks, fit: str) -> Origin | None:
    return _smoothed(np.asarray(peaks.central, np.float64), peaks.scan_shape, "central", fit)


def _from_pairs(
    peaks: Peaks, guess: tuple[float, float], radius: float, fit: str, control: Control | None
) -> Origin | None:
    found = friedel_centres(peaks, guess, radius, fit, control)
    if found is None:
        return None
    surface, measured, fit = found
    residual = spread((measured - surface)[np.isfinite(measured).all(axis=1)])
    return _origin(surface, measured, peaks.scan_shape, "friedel", fit, residual)


def _smoothed(measured: np.ndarray, scan_shape: tuple[int, int], method: str, fit: str) -> Origin | None:
    surface, inlier, fit = fit_surface(measured, scan_shape, fit)
    if not inlier.any():
        return None
    residual = spread((measured - surface)[np.isfinite(measured).all(axis=1)])
    return _origin(surface, np.where(inlier[:, None], measured, np.nan), scan_shape, method, fit, residual)


def _one_for_all(probe: Probe, guess: tuple[float, float], mean: np.ndarray, scan_shape: tuple[int, int]) -> Origin:
    """The centre of the mean pattern: the probe's, or where that is hidden the point of its inversion symmetry."""
    if probe.hidden:
        guess = inversion_center(mean, probe.mask, guess, max(REACH * probe.radius, LEAST_REACH)) or guess
    surface = np.tile(np.array(guess, np.float64), (scan_shape[0] * scan_shape[1], 1))
    return _origin(surface, np.full_like(surface, np.nan), scan_shape, "mean", "constant", float("nan"))


def _origin(
    surface: np.ndarray, measured: np.ndarray, scan_shape: tuple[int, int], method: str, fit: str, residual: float
) -> Origin:
    surface, measured = (part.reshape(*scan_shape, 2).astype(np.float32) for part in (surface, measured))
    return Origin(surface, measured, method, fit, residual)


def _with_mean(found: Origin, center: CenterSettings) -> Origin:
    """The same surface, moved so that its mean is what is set."""
    move = np.zeros(2)
    for axis, value in enumerate((center.q_y, center.q_x)):
        if value is not None:
            move[axis] = value - found.origin[..., axis].mean(dtype=np.float64)
    moved = (found.origin + move).astype(np.float32)
    return Origin(moved, found.measured, found.method, found.fit, found.residual)
