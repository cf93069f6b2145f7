"""The centre of every pattern: measured where it can be, and smoothed over the scan.

It is that of the central disk, or of Friedel pairs of disks where a beam stop hides it (`friedel`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_stemnmf.calibration.centres import brightness, fit_trusted, moved_lines, own_error, with_residuals
from napari_stemnmf.calibration.followed import follow
from napari_stemnmf.calibration.friedel import LEAST_REACH, REACH, Pairs, friedel_centres
from napari_stemnmf.calibration.lenses import centres_of_spots
from napari_stemnmf.calibration.surface import covariances, slopes, spread, standard_errors
from napari_stemnmf.control import Control
from napari_stemnmf.disks.central_disk import off_detector
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.disks.sampled import sampled
from napari_stemnmf.preprocessing.symmetry import inversion_center
from napari_stemnmf.stage_settings import CenterSettings, OriginSettings

SELDOM = 0.6  # share of the patterns below which a word is said of it
ENOUGH = 0.1  # share of the patterns in which the central disk is to be found, to rely on it
SHARED = 2.0  # factor on errors by blocks of the scan: grains are few, and all pull; as on multislice films
WEAK = 0.01  # probe radii: error of the centres from which on spots of grains are asked, too
SAME = 0.5  # correlation of what both err by: it is the same crystals that pull the central disk and their spots
ROUNDS = 2  # of that: by better centres spots are followed better
HERE = 0.5  # probe radii: a disk so near to where the centre should be is the direct beam
TELLING = 0.04  # probe radii: an error of the centres above that is told
LEAST_ERROR = 0.004  # probe radii
CLIPPED = 0.3  # px, over the root of the pixels along its rim: error of the middle of a saturated disk
PAIR_ERROR = 0.2  # probe radii: error of the centre that the pairs of one pattern give


class Origin(NamedTuple):
    """Centres of all patterns of a scan; fields as in `Calibration`, where they are called ``origin_...``."""

    origin: np.ndarray
    measured: np.ndarray
    method: str
    fit: str
    residual: float
    use: str = "surface"
    error: float = float("nan")
    descan_error: float = float("nan")
    note: str = ""


def find_origin(
    peaks: Peaks | None,
    probe: Probe,
    mean: np.ndarray,
    scan_shape: tuple[int, int],
    settings: OriginSettings | None = None,
    center: CenterSettings | None = None,
    control: Control | None = None,
    saturated: bool = False,
) -> Origin:
    """The centre of each pattern.

    A method that finds nothing gives way to the next: central disk, Friedel pairs, one centre for all. Without disks
    there is one centre for all, that of the probe, or of the mean pattern (q_y, q_x) where the mask hides the probe's
    disk. A row or column that `center` sets becomes that of the mean centre. A `saturated` central disk, all of whose
    pixels count alike, tells its middle less well.
    """
    settings = OriginSettings() if settings is None else settings
    center = CenterSettings() if center is None else center
    guess = probe.q_y if center.q_y is None else center.q_y, probe.q_x if center.q_x is None else center.q_x
    found = astray = None
    off = off_detector(center, probe.detector_shape)
    for method in () if off else _methods(settings.method, peaks, probe):
        if peaks is not None and method == "central":
            found = _from_disks(peaks, probe.radius, settings, saturated)
        elif peaks is not None and method == "friedel":
            known = center.q_y is not None and center.q_x is not None
            about = guess if astray is None or known else _behind(probe.mask, guess)
            pairs = friedel_centres(peaks, about, probe.radius, settings.fit, control, mean, probe.mask, known)
            found = None if pairs is None else _from_pairs(pairs, peaks, probe.radius, settings)
        if found is not None and not _astray(found, peaks, probe, settings):
            break
        astray, found = found or astray, None
    found = found or astray
    if found is None:
        found = _one_for_all(probe, guess, None if off else mean, scan_shape)
    if peaks is not None and not probe.hidden and settings.method == "auto" and _seen(peaks) < SELDOM:
        note = f"A direct beam was found in {_seen(peaks):.0%} of the patterns only: " + (
            "it may be hidden by what is masked, and is taken to lie where Friedel pairs of disks say."
            if found.method == "friedel" and probe.mask is not None
            else "it may be off the detector. Then set center.q_y and center.q_x, which may be off it as well."
        )
        found = found._replace(note="\n".join(filter(None, (found.note, note))))
    return _with_mean(found, center)


def _astray(found: Origin, peaks: Peaks | None, probe: Probe, settings: OriginSettings) -> bool:
    """Whether what was taken for the central disk is now this disk, now that: it is all over the place.

    Then it is seldom seen, or what is masked hides the true one.
    """
    if settings.method != "auto" or found.method != "central" or peaks is None:
        return False
    return found.residual > probe.radius and (_seen(peaks) < SELDOM or probe.mask is not None)


def _behind(mask: np.ndarray | None, guess: tuple[float, float]) -> tuple[float, float]:
    """The masked pixel nearest to the detector's middle, behind which the direct beam may be; else what was guessed."""
    if mask is None or mask.all():
        return guess
    masked = np.argwhere(~mask)
    row, column = masked[np.argmin(np.hypot(*(masked - 0.5 * (np.array(mask.shape) - 1)).T))]
    return float(row), float(column)


def _seen(peaks: Peaks) -> float:
    """Share of the patterns in which the central disk was found."""
    return float(np.isfinite(peaks.central).all(axis=1).mean()) if len(peaks.central) else 0.0


def _methods(method: str, peaks: Peaks | None, probe: Probe) -> tuple[str, ...]:
    if peaks is None or method == "mean":
        return ()
    if method == "auto":
        return (
            ("friedel",)
            if probe.hidden
            else ("central", "friedel")
            if _seen(peaks) >= ENOUGH
            else ("friedel", "central")
        )
    return (method,)


def _from_pairs(pairs: Pairs, peaks: Peaks, radius: float, settings: OriginSettings) -> Origin:
    """The centres that Friedel pairs give; where another place is about as likely, that is told, and in the errors."""
    surface, measured, fit, other = pairs
    scan_shape = peaks.scan_shape
    own = np.full(len(surface), PAIR_ERROR * radius)
    weight = np.isfinite(measured).all(axis=1).astype(np.float64)
    known = SHARED**2 * covariances(measured - surface, weight, scan_shape, fit)
    surface, known = _by_spots(surface, known, peaks, radius, fit, own=True)
    found = _used(surface, measured, own, known, scan_shape, radius, ("friedel", fit), settings.use)
    if other is None:
        return found
    far = other - pairs.surface
    error = np.hypot(np.nan_to_num(found.error), np.sqrt((far**2).sum(axis=1).mean()))
    descan_error = np.hypot(np.nan_to_num(found.descan_error), np.abs(slopes(scan_shape, far)).max())
    away = other.mean(axis=0)
    note = (
        f"The direct beam is hidden and few grains do not tell where it is: the centre may as well lie at q_y = "
        f"{away[0]:.1f}, q_x = {away[1]:.1f} px; if you know it, set center.q_y and center.q_x."
    )
    return found._replace(
        error=float(error), descan_error=float(descan_error), note="\n".join(filter(None, (note, found.note)))
    )


def _from_disks(peaks: Peaks, radius: float, settings: OriginSettings, saturated: bool) -> Origin | None:
    central = np.asarray(peaks.central, np.float64)
    height, snr = brightness(peaks, radius)
    surface, inlier, fit, weight = fit_trusted(central, height, radius, peaks.scan_shape, settings.fit)
    if not inlier.any():
        return None
    moved = moved_lines(central, surface, _disk_at(surface, peaks, HERE * radius), radius, peaks.scan_shape)
    measured, error = np.where((inlier | moved)[:, None], central, np.nan), own_error(snr, radius)
    known = SHARED**2 * covariances(measured - surface, weight, peaks.scan_shape, fit)
    if saturated:
        known[:, 0, 0] += CLIPPED**2 / (2.0 * np.pi * radius)
    if standard_errors(known, peaks.scan_shape, fit)[0] > WEAK * radius:
        surface, known = _by_spots(surface, known, peaks, radius, fit)
    found = _used(surface, measured, error, known, peaks.scan_shape, radius, ("central", fit), settings.use, moved)
    return found._replace(residual=spread((central - surface)[np.isfinite(central).all(axis=1)]))


def _disk_at(surface: np.ndarray, peaks: Peaks, reach: float) -> np.ndarray:
    """(n,) bool: patterns with a disk where a surface (n, 2) says that the centre is, to within `reach` px."""
    own = surface[peaks.pattern]
    near = np.hypot(peaks.q_y - own[:, 0], peaks.q_x - own[:, 1]) < reach
    return np.bincount(peaks.pattern[near], minlength=len(surface)) > 0


def _by_spots(
    surface: np.ndarray, known: np.ndarray, peaks: Peaks, radius: float, fit: str, own: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The surface (n, 2) and the covariances of its terms with what spots of grains tell of them.

    What was `known` of the terms counts as well, unless that is from such spots of its `own`. Where few grains have
    pairs of spots, all stays as it was.
    """
    peaks = sampled(peaks)
    start, edges, covariance = surface, peaks.by_edges(), known
    for _ in range(ROUNDS):
        centre = surface[peaks.pattern].T
        places, by_edges = (np.stack([part.q_y, part.q_x]) - centre for part in (peaks, edges))
        spots = follow(peaks, places, by_edges, radius)
        found = centres_of_spots(spots, peaks.scan_shape, radius, fit, None if own else (start - surface, known))
        if found is None:
            break
        surface, covariance = surface + found.correction, (1.0 if own else 1.0 + SAME) * found.covariance
    return surface, covariance


def _used(
    surface: np.ndarray, measured: np.ndarray, own: np.ndarray, covariance: np.ndarray, scan_shape: tuple[int, int],
    radius: float, how: tuple[str, str], use: str, moved: np.ndarray | None = None,
) -> Origin:  # fmt: skip
    """The centres that are used, their errors, and in words what is odd about them.

    `own` (n,) is the error of each measured centre (n, 2), `covariance` that of the surface's terms; `moved` (n,) are
    those of lines over which the beam stood elsewhere.
    """
    method, fit = how
    asked = "surface" if use == "auto" and fit == "constant" else use
    centres, used, own_error = with_residuals(surface, measured, own, asked, moved)
    residual = spread((measured - surface)[np.isfinite(measured).all(axis=1)])
    error, descan_error = (
        float(np.hypot(e, LEAST_ERROR * radius)) for e in standard_errors(covariance, scan_shape, fit)
    )
    if used != "surface":  # what was measured beside it corrects the surface, in the mean of the scan too
        error = min(error, float(np.sqrt(2.0)) * own_error) if np.isfinite(error) else error
    notes = []
    if moved is not None and moved.any():
        away = float(np.median(np.hypot(*(measured - surface)[moved].T)))
        notes.append(
            f"Over whole lines of the scan ({moved.sum()} positions) the beam stood {away:.1f} px from the {fit}: "
            f"their measured centres are {'used' if used != 'surface' else 'not used, as it is set'}."
        )
    elif use == "auto" and used == "both":
        notes.append(
            f"The centres of the patterns scatter by {residual:.2f} px about the {fit}, and are measured to "
            f"{own_error:.2f} px: where one was measured it is used, the {fit} elsewhere."
        )
    if method == "friedel" and np.isnan(error):
        notes.append(
            "Friedel pairs of disks were seen in a small part of the scan only: how well the centres are known cannot "
            "be told."
        )
    elif used == "surface" and max(error, descan_error) > TELLING * radius:
        notes.append(
            f"The centres are known to {error:.2f} px only, and the descan to {descan_error:.2f} px: crystals pull "
            "what they are measured on, and few grains were seen."
        )
    found = _origin(centres, measured, scan_shape, method, fit, residual)
    return found._replace(use=used, error=error, descan_error=descan_error, note="\n".join(notes))


def _one_for_all(
    probe: Probe, guess: tuple[float, float], mean: np.ndarray | None, scan_shape: tuple[int, int]
) -> Origin:
    """The centre of the mean pattern: the probe's, or where that is hidden the point of its inversion symmetry."""
    if probe.hidden and mean is not None:
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
    return found._replace(origin=(found.origin + move).astype(np.float32))
