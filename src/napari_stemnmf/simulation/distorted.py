"""A scan with everything that is wrong with measured ones, and its truth: what calibration is tested against.

The patterns of a silver film (`film`) are drawn onto a detector of any size with descan, an ellipse, hot pixels and a
beam stop, and electrons are counted. One camera binned differently: probe radius and pixel size follow the detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.film import Film, halos, silver_film
from napari_stemnmf.simulation.rendering import render

SCAN_STEP = 20.0
"""Å: coarse, so that a small scan holds many grains."""
BLUR = 0.5
"""Standard deviation of probe and source together, in scan positions."""
TRUE_SIZE = 4
"""Grains on fewer probe positions are left out of the film."""
REFERENCE = 126
"""Detector of which probe radius and pixel size are given, px."""
PROBE_RADIUS = 2.67
"""px at REFERENCE"""
Q_STEP = 0.02
"""1/Å a pixel at REFERENCE"""
SOFTNESS = 0.15
"""Half the width of a disk's edge, in radii."""
TRANSMISSION = 0.005
"""Of the beam stop."""
LEAST_SNR = 0.05
"""Disks that stand out less, per pixel, are drawn but not listed."""
TABLE_STEP = 0.25
"""Sampling of the diffuse profiles, px."""


@dataclass(frozen=True, eq=False)
class Distorted:
    """A distorted scan and its truth.

    Attributes
    ----------
    dataset : Dataset
        uint16 counts, with all distortions that were asked for.
    plain : Dataset
        The same film and dose with other noise: one centre (the mean of `center`), round, no hot pixels, no stop.
    center : ndarray, (scan_y, scan_x, 2)
        Centre (q_y, q_x) of each pattern, px.
    descan : ndarray, (2, 2)
        Shift over the whole scan, px: rows q_y, q_x, columns scan_y, scan_x; as `Calibration.descan`.
    ellipse_ratio, ellipse_angle : float
        a / b, and the direction of a in degrees (0 to 180) from q_x towards q_y.
    hot_pixels : ndarray of int32, (h, 2)
        Rows and columns.
    mask : ndarray of bool or None, (q_y, q_x)
        True = keep: all but the shadow of the beam stop. None without one.
    probe_radius : float
        px, at half height.
    q_step : float
        1/nm a pixel.
    offsets : ndarray of int64, (n + 1,)
        The disks of pattern i are the rows ``offsets[i]`` to ``offsets[i + 1]`` of what follows, the highest first.
    q_y, q_x : ndarray, (disks,)
        Where they are, px. Disks whose centre is off the detector are left out, those in the shadow are not.
    height : ndarray, (disks,)
        Expected counts a pixel above the surroundings; in the shadow, as if there were none.
    snr : ndarray, (disks,)
        Height over the noise of one pixel, ``sqrt(height + background)``; those below `LEAST_SNR` are left out.
    """

    dataset: Dataset
    plain: Dataset
    center: np.ndarray
    descan: np.ndarray
    ellipse_ratio: float
    ellipse_angle: float
    hot_pixels: np.ndarray
    mask: np.ndarray | None
    probe_radius: float
    q_step: float
    offsets: np.ndarray
    q_y: np.ndarray
    q_x: np.ndarray
    height: np.ndarray
    snr: np.ndarray


@dataclass(frozen=True, eq=False)
class _Scene:
    """Expected counts of all patterns, to be drawn row by row."""

    scan_shape: tuple[int, int]
    detector: int
    center: np.ndarray  # (n, 2)
    stretch: np.ndarray  # (2, 2): from what is round to what is seen, (q_y, q_x)
    halos: np.ndarray  # (n, r)
    first: np.ndarray  # (n + 1,)
    disk_y: np.ndarray
    disk_x: np.ndarray
    height: np.ndarray
    radius: float

    def row(self, row: int) -> np.ndarray:
        """The patterns of one scan row, (scan_x, q_y, q_x)."""
        columns = self.scan_shape[1]
        out = np.empty((columns, self.detector, self.detector))
        here = slice(row * columns, (row + 1) * columns)
        first = self.first[here.start : here.stop + 1]
        disks = (self.disk_y, self.disk_x, self.height)
        inverse = np.linalg.inv(self.stretch)
        soft = SOFTNESS * self.radius
        render(out, self.center[here], inverse, self.halos[here], TABLE_STEP, first, *disks, self.radius, soft)
        return out

    def mean(self) -> np.ndarray:
        """(q_y, q_x) mean over the scan."""
        return np.asarray(sum(self.row(i).mean(axis=0) for i in range(self.scan_shape[0])) / self.scan_shape[0])

    def background(self) -> np.ndarray:
        """Expected diffuse counts a pixel under each disk."""
        pattern = np.repeat(np.arange(len(self.center)), np.diff(self.first))
        y, x = self.disk_y - self.center[pattern, 0], self.disk_x - self.center[pattern, 1]
        place = np.hypot(*(np.linalg.inv(self.stretch) @ [y, x])) / TABLE_STEP
        below = np.minimum(place.astype(np.int64), self.halos.shape[1] - 1)
        return np.asarray(self.halos[pattern, below])


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
    middle = (detector - 1) / 2 + place_chance.uniform(-2, 2, 2) * detector / REFERENCE
    center = middle + _wander(scan_shape, matrix, curvature)
    scene = _scene(silver, scan_shape, detector, dose, center, _stretch(ellipse_ratio, ellipse_angle))
    plain = _scene(silver, scan_shape, detector, dose, np.broadcast_to(middle, center.shape), np.eye(2))

    transmission = _stop(scene, stop_chance) if beam_stop else np.ones((detector, detector))
    mean = scene.mean() * transmission
    hot = _hot_places(scene, hot_pixels, hot_chance)
    excess = np.zeros_like(mean)
    excess[hot[:, 0], hot[:, 1]] = np.broadcast_to(hot_sigma, hot_pixels) * np.sqrt(mean[hot[:, 0], hot[:, 1]])
    snr = scene.height / np.sqrt(scene.height + scene.background())
    return Distorted(
        _counted(scene, transmission, excess, noise_chance, "distorted silver grains", seed, dose),
        _counted(plain, np.ones_like(mean), np.zeros_like(mean), plain_chance, "silver grains", seed, dose),
        center,
        matrix,
        float(ellipse_ratio),
        float(ellipse_angle) % 180.0,
        hot,
        transmission > (1 + TRANSMISSION) / 2 if beam_stop else None,
        scene.radius,
        10 * Q_STEP * REFERENCE / detector,
        *_listed(scene, snr),
    )


def _wander(scan_shape: tuple[int, int], descan: np.ndarray, curvature: float) -> np.ndarray:
    """(scan_y, scan_x, 2) shift of each pattern, px; zero on average."""
    u = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, n) for n in scan_shape], indexing="ij"), axis=-1)
    bent = curvature * 4 * u**2
    return np.asarray(u @ descan.T + bent - bent.mean(axis=(0, 1)))


def _stretch(ratio: float, angle: float) -> np.ndarray:
    """The symmetric matrix in (q_y, q_x) that stretches along the ellipse's a, and shrinks across, by sqrt(ratio)."""
    a = np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    along = np.outer(a, a)
    return np.asarray(along * np.sqrt(ratio) + (np.eye(2) - along) / np.sqrt(ratio))


def _scene(
    film: Film, scan_shape: tuple[int, int], detector: int, dose: float, center: np.ndarray, stretch: np.ndarray
) -> _Scene:
    """Where the disks of all patterns lie and how high they and the diffuse part are."""
    scale = detector / REFERENCE
    q_step, radius = Q_STEP / scale, PROBE_RADIUS * scale
    across = np.arange(detector) - (detector - 1) / 2
    support, thermal = (part.sum() for part in halos(np.hypot(across[:, None], across) * q_step, q_step))
    shares = film.shares(float(support), float(thermal))
    radii = np.arange(0, 2 * detector, TABLE_STEP) * q_step
    common = shares[:, :3].toarray()
    direct = np.zeros((1, 2))
    q = np.concatenate([direct, *[b.q for b in film.beams]]) / q_step @ stretch.T
    spots = shares[:, np.r_[0, 3 : shares.shape[1]]].tocsr()
    spots.eliminate_zeros()
    flat = center.reshape(-1, 2)
    pattern = np.repeat(np.arange(len(flat)), np.diff(spots.indptr))
    places = flat[pattern] + q[spots.indices]
    # A soft edge moves no area across the radius but for its variance, which a smoothstep of half width s gives as s²/5
    area = np.pi * radius**2 * (1 + SOFTNESS**2 / 5)
    return _Scene(
        scan_shape,
        detector,
        np.ascontiguousarray(flat),
        stretch,
        dose * common[:, 1:] @ np.stack(halos(radii, q_step)),
        spots.indptr.astype(np.int64),
        np.ascontiguousarray(places[:, 0]),
        np.ascontiguousarray(places[:, 1]),
        dose * spots.data / area,
        radius,
    )


def _stop(scene: _Scene, generator: np.random.Generator) -> np.ndarray:
    """Transmission (q_y, q_x) of a bar with a round tip, from some edge to just past wherever the direct beam goes."""
    tip = (scene.center.min(axis=0) + scene.center.max(axis=0)) / 2
    wander = np.linalg.norm(scene.center - tip, axis=1).max()
    half_width = wander + scene.radius * (1 + SOFTNESS) + 0.03 * scene.detector
    angle = np.radians(90 * generator.integers(4) + generator.uniform(-15, 15))
    along = np.array([np.sin(angle), np.cos(angle)])
    places = np.moveaxis(np.indices((scene.detector, scene.detector)), 0, -1) - tip
    run = np.maximum(places @ along, 0.0)  # from the tip towards the edge
    distance = np.linalg.norm(places - run[..., None] * along, axis=-1) - half_width
    return np.asarray(TRANSMISSION + (1 - TRANSMISSION) * np.clip(distance + 0.5, 0.0, 1.0))


def _hot_places(scene: _Scene, number: int, generator: np.random.Generator) -> np.ndarray:
    """(h, 2) random pixels, off the central disk of every pattern and not side by side."""
    free = np.ones((scene.detector, scene.detector), bool)
    places = np.moveaxis(np.indices(free.shape), 0, -1)
    for center in np.unique(np.round(scene.center), axis=0):
        free &= np.linalg.norm(places - center, axis=-1) > scene.radius * (1 + SOFTNESS) + 3
    chosen: list[tuple[int, int]] = []
    for flat in generator.permutation(np.flatnonzero(free)):
        if len(chosen) == number:
            break
        y, x = divmod(int(flat), scene.detector)
        if all(max(abs(y - i), abs(x - j)) > 2 for i, j in chosen):
            chosen.append((y, x))
    if len(chosen) < number:
        raise DataError(f"{number} hot pixels do not fit on a detector of {scene.detector} px; ask for fewer.")
    return np.array(chosen, np.int32).reshape(-1, 2)


def _counted(
    scene: _Scene,
    transmission: np.ndarray,
    excess: np.ndarray,
    generator: np.random.Generator,
    name: str,
    seed: int,
    dose: float,
) -> Dataset:
    """The scan with electrons counted; one scan row at a time."""
    counts = np.empty((*scene.scan_shape, scene.detector, scene.detector), np.uint16)
    for row in range(scene.scan_shape[0]):
        expected = scene.row(row) * transmission + excess
        counts[row] = np.minimum(generator.poisson(expected), np.iinfo(np.uint16).max)
    q_step = 10 * Q_STEP * REFERENCE / scene.detector
    metadata = {"dose_e_per_pattern": float(dose), "seed": int(seed), "simulated": "kinematic"}
    return Dataset.from_array(counts, scan_step=SCAN_STEP / 10, q_step=q_step, name=name, metadata=metadata)


def _listed(scene: _Scene, snr: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The table of disks: offsets, q_y, q_x, height, snr; of each pattern the highest first."""
    y, x = scene.disk_y, scene.disk_x
    inside = (np.minimum(y, x) >= -0.5) & (np.maximum(y, x) <= scene.detector - 0.5) & (snr >= LEAST_SNR)
    pattern = np.repeat(np.arange(len(scene.center)), np.diff(scene.first))
    order = np.lexsort((-scene.height, pattern))
    order = order[inside[order]]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pattern[inside], minlength=len(scene.center)))])
    return offsets.astype(np.int64), y[order], x[order], scene.height[order], snr[order]
