"""A scan with everything that is wrong with measured ones, and its truth: tests and benchmarks of calibration use it.

The patterns of a silver film (`film`) are drawn onto a detector of any size with descan, an ellipse, hot pixels and a
beam stop (`camera`), and electrons are counted. One camera binned differently: probe radius and pixel size follow the
detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.film import silver_film
from napari_stemnmf.study.camera import (
    Camera,
    Patterns,
    beam_shift,
    film_patterns,
    hot_places,
    stop_mask,
    stop_shadow,
    stretching,
)
from napari_stemnmf.study.films import Q_SPAN

SCAN_STEP = 20.0
"""Å: coarse, so that a small scan holds many grains."""
BLUR = 0.5
"""Standard deviation of probe and source together, in scan positions."""
TRUE_SIZE = 4
"""Grains on fewer probe positions are left out of the film."""
REFERENCE = 126
"""Detector of which probe radius and pixel size are given, px."""
PROBE_RADIUS = 2.67
"""px at REFERENCE."""
Q_STEP = Q_SPAN / REFERENCE
"""1/Å a pixel at REFERENCE."""
LEAST_SNR = 0.05
"""Disks that stand out less, per pixel, are drawn but not listed."""


@dataclass(frozen=True, eq=False)
class Distorted:
    """A distorted scan and its truth."""

    dataset: Dataset  # uint16 counts, with all distortions
    plain: Dataset  # same film and dose, other noise: centred on the mean of `center`, round, nothing hot or hidden
    center: np.ndarray  # (scan_y, scan_x, 2): centre (q_y, q_x) of each pattern, px
    descan: np.ndarray  # (2, 2): shift over the whole scan, px: rows q_y, q_x, columns scan_y, scan_x
    ellipse_ratio: float  # a / b
    ellipse_angle: float  # direction of a in degrees, 0 to 180, from q_x towards q_y
    hot_pixels: np.ndarray  # (h, 2) int32: rows and columns
    mask: np.ndarray | None  # (q_y, q_x), True = keep: all but the shadow of the beam stop; None without one
    probe_radius: float  # px, at half height
    q_step: float  # 1/nm a pixel
    offsets: np.ndarray  # (n + 1,) int64: pattern i has the disks offsets[i] to offsets[i + 1], the highest first
    q_y: np.ndarray  # (disks,), px; those whose centre is off the detector are left out, those in the shadow are not
    q_x: np.ndarray  # (disks,), px
    height: np.ndarray  # (disks,), expected counts a pixel above the surroundings; in the shadow, as if there were none
    snr: np.ndarray  # (disks,), height / sqrt(height + background) of one pixel; those below LEAST_SNR are left out


def distorted(
    scan_shape: tuple[int, int] = (16, 16),
    detector: int = 126,
    *,
    dose: float = 1e5,
    ellipse_ratio: float = 1.02,
    ellipse_angle: float = 30.0,
    descan: Sequence[Sequence[float]] | np.ndarray = ((4.0, -2.0), (1.5, 6.0)),
    curvature: float = 0.0,
    hot_pixels: int = 12,
    hot_sigma: float | Sequence[float] = 10.0,
    beam_stop: bool = False,
    seed: int = 0,
) -> Distorted:
    """Simulate a distorted scan; the same arguments give the same one.

    Parameters
    ----------
    scan_shape : tuple of int
        Rows and columns; 20 Å a step.
    detector : int
        Rows and columns of the detector, which spans 2.52 1/Å whatever their number.
    dose : float
        Electrons a pattern.
    ellipse_ratio, ellipse_angle : float
        a / b, and the direction of a in degrees from q_x towards q_y.
    descan : array of float, (2, 2)
        Shift of the pattern over the whole scan, px: rows q_y, q_x, columns scan_y, scan_x.
    curvature : float
        Shift along q_y at the first and last scan row, and along q_x at the first and last scan column, against the
        middle, px.
    hot_pixels : int
        Number of hot pixels, none of them on the central disk or beside another.
    hot_sigma : float or sequence of float
        Counts that a hot pixel has too much in every pattern, in units of the noise of one pattern there; one for all
        or one for each.
    beam_stop : bool
        A bar from an edge that hides the central disk.
    seed : int
        Of film, noise, hot pixels and beam stop; the film does not depend on the other arguments.

    Raises
    ------
    DataError
        If the shapes are too small, the dose is not positive, the ellipse's ratio is below 1, or the hot pixels do not
        fit.
    """
    scan_shape = (int(scan_shape[0]), int(scan_shape[1]))
    if min(scan_shape) < 4 or detector < 64:
        raise DataError(
            f"A distorted scan needs at least 4 x 4 positions and 64 x 64 pixels, not {scan_shape} and {detector}."
        )
    if not 0 < dose <= 1e6:
        raise DataError(f"The dose of a distorted scan must lie between 0 and 1e6 electrons a pattern, not {dose}.")
    if ellipse_ratio < 1.0:
        raise DataError(f"The ellipse ratio a/b is {ellipse_ratio:g}; it must be at least 1.")
    matrix = np.array(descan, np.float64)
    chance = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(6)]
    film_chance, place_chance, hot_chance, stop_chance, noise_chance, plain_chance = chance
    silver = silver_film(scan_shape, film_chance, scan_step=SCAN_STEP, blur=BLUR, true_size=TRUE_SIZE)
    camera = Camera(detector, Q_STEP * REFERENCE / detector, PROBE_RADIUS * detector / REFERENCE)
    middle = (detector - 1) / 2 + place_chance.uniform(-2, 2, 2) * detector / REFERENCE
    center = middle + beam_shift(scan_shape, matrix, curvature)
    patterns = film_patterns(silver, camera, center, stretching(ellipse_ratio, ellipse_angle), dose=dose)
    plain = film_patterns(silver, camera, np.broadcast_to(middle, center.shape), np.eye(2), dose=dose)
    transmission = stop_shadow(camera, patterns.center, stop_chance) if beam_stop else np.ones((detector, detector))
    mean = patterns.mean() * transmission
    hot = hot_places(camera, patterns.center, hot_pixels, hot_chance)
    excess = np.zeros_like(mean)
    excess[hot[:, 0], hot[:, 1]] = np.broadcast_to(hot_sigma, hot_pixels) * np.sqrt(mean[hot[:, 0], hot[:, 1]])
    snr = patterns.height / np.sqrt(patterns.height + patterns.background())
    metadata = {"dose_e_per_pattern": float(dose), "seed": int(seed), "simulated": "kinematic"}
    return Distorted(
        _counted(patterns, transmission, excess, noise_chance, "distorted silver grains", metadata),
        _counted(plain, 1.0, 0.0, plain_chance, "silver grains", metadata),
        center,
        matrix,
        float(ellipse_ratio),
        float(ellipse_angle) % 180.0,
        hot,
        stop_mask(transmission) if beam_stop else None,
        camera.radius,
        10 * camera.q_step,
        *_listed(patterns, snr),
    )


def _counted(
    patterns: Patterns,
    transmission: np.ndarray | float,
    excess: np.ndarray | float,
    generator: np.random.Generator,
    name: str,
    metadata: dict[str, Any],
) -> Dataset:
    """The scan with electrons counted; one scan row at a time."""
    side, q_step = patterns.camera.detector, 10 * patterns.camera.q_step
    counts = np.empty((*patterns.scan_shape, side, side), np.uint16)
    for row in range(patterns.scan_shape[0]):
        expected = patterns.row(row) * transmission + excess
        counts[row] = np.minimum(generator.poisson(expected), np.iinfo(np.uint16).max)
    return Dataset.from_array(counts, scan_step=SCAN_STEP / 10, q_step=q_step, name=name, metadata=metadata)


def _listed(patterns: Patterns, snr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The table of disks: offsets, q_y, q_x, height, snr; of each pattern the highest first."""
    y, x = patterns.disk_y, patterns.disk_x
    inside = (np.minimum(y, x) >= -0.5) & (np.maximum(y, x) <= patterns.camera.detector - 0.5) & (snr >= LEAST_SNR)
    pattern = np.repeat(np.arange(len(patterns.center)), np.diff(patterns.first))
    order = np.lexsort((-patterns.height, pattern))
    order = order[inside[order]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pattern[inside], minlength=len(patterns.center)))])
    return offsets.astype(np.int64), y[order], x[order], patterns.height[order], snr[order]
