"""A camera with the faults of measured scans (descan, an ellipse, a beam stop, hot pixels), and what it expects to see.

`nanowire` and `distorted` draw their patterns with it, one scan row after another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.film import Film, diffuse_scattering

SOFTNESS = 0.15
"""Half the width of a disk's edge, in radii."""
TRANSMISSION = 0.005
"""Of a beam stop, by default."""
TABLE_STEP = 0.25
"""Sampling of the diffuse profiles, px."""
SUBPIXELS = 4
"""A pixel on a disk's edge is sampled at so many places along each axis."""

Scattering = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]
"""As `film.diffuse_scattering`: what support, and an ångström of metal, scatter into a pixel at q (1/Å) of a size."""


@dataclass(frozen=True)
class Camera:
    """A square detector."""

    detector: int  # rows and columns
    q_step: float  # 1/Å a pixel
    radius: float  # of a disk, px, at half height


@dataclass(frozen=True, eq=False)
class Patterns:
    """Expected counts of all patterns, without stop and hot pixels, to be drawn row by row."""

    scan_shape: tuple[int, int]  # rows and columns; n patterns
    camera: Camera
    center: np.ndarray  # (n, 2): (q_y, q_x) of each pattern, px
    stretch: np.ndarray  # (2, 2): from what is round to what the camera records, (q_y, q_x)
    diffuse: np.ndarray  # (n, 2): electrons that meet the support, and the metal in Å
    profiles: np.ndarray  # (2, r): what those scatter into a pixel, at multiples of `TABLE_STEP` px
    first: np.ndarray  # (n + 1,) int64: pattern i has the disks first[i] to first[i + 1], the direct beam first
    disk_y: np.ndarray  # (disks,), px
    disk_x: np.ndarray  # (disks,), px
    height: np.ndarray  # (disks,), counts a pixel

    def row(self, row: int) -> np.ndarray:
        """The patterns of one scan row, (scan_x, q_y, q_x)."""
        columns, side = self.scan_shape[1], self.camera.detector
        out = np.empty((columns, side, side))
        here = slice(row * columns, (row + 1) * columns)
        first = self.first[here.start : here.stop + 1]
        disks = (self.disk_y, self.disk_x, self.height)
        radius, inverse = self.camera.radius, np.linalg.inv(self.stretch)
        profiles = self.diffuse[here] @ self.profiles
        _render(out, self.center[here], inverse, profiles, TABLE_STEP, first, *disks, radius, SOFTNESS * radius)
        return out

    def mean(self) -> np.ndarray:
        """(q_y, q_x) mean over the scan."""
        return np.asarray(sum(self.row(i).mean(axis=0) for i in range(self.scan_shape[0])) / self.scan_shape[0])

    def background(self) -> np.ndarray:
        """Expected diffuse counts a pixel under each disk."""
        pattern = np.repeat(np.arange(len(self.center)), np.diff(self.first))
        y, x = self.disk_y - self.center[pattern, 0], self.disk_x - self.center[pattern, 1]
        place = np.hypot(*(np.linalg.inv(self.stretch) @ [y, x])) / TABLE_STEP
        below = np.minimum(place.astype(np.int64), self.profiles.shape[1] - 1)
        return np.asarray((self.diffuse[pattern] * self.profiles[:, below].T).sum(axis=1))


def film_patterns(
    film: Film,
    camera: Camera,
    center: np.ndarray,
    stretch: np.ndarray,
    *,
    dose: float,
    scattering: Scattering = diffuse_scattering,
    least: float = 0.0,
) -> Patterns:
    """Where the disks of all patterns are, and how high they and the diffuse part are.

    Parameters
    ----------
    film : Film
        What the beam goes through.
    camera : Camera
        What sees the patterns.
    center : ndarray, (scan_y, scan_x, 2)
        Where the direct beam hits the camera, px.
    stretch : ndarray, (2, 2)
        As `stretching` gives it.
    dose : float
        Electrons a pattern; 1 for shares of them.
    scattering : callable
        The diffuse scattering.
    least : float
        Disks with at most this share of the beam are left out.
    """
    across = np.arange(camera.detector) - (camera.detector - 1) / 2
    support, thermal = (p.sum() for p in scattering(np.hypot(across[:, None], across) * camera.q_step, camera.q_step))
    shares = film.shares(float(support), float(thermal))
    radii = np.arange(0, 2 * camera.detector, TABLE_STEP) * camera.q_step
    common = shares[:, :3].toarray()
    direct = np.zeros((1, 2))
    q = np.concatenate([direct, *[b.q for b in film.beams]]) / camera.q_step @ stretch.T
    spots = shares[:, np.r_[0, 3 : shares.shape[1]]].tocsr()
    spots.data[spots.data <= least] = 0.0
    spots.eliminate_zeros()
    flat = center.reshape(-1, 2)
    pattern = np.repeat(np.arange(len(flat)), np.diff(spots.indptr))
    places = flat[pattern] + q[spots.indices]
    # A soft edge moves no area across the radius but for its variance, which a smoothstep of half width s gives as s²/5
    area = np.pi * camera.radius**2 * (1 + SOFTNESS**2 / 5)
    return Patterns(
        (center.shape[0], center.shape[1]),
        camera,
        np.ascontiguousarray(flat),
        stretch,
        dose * common[:, 1:],
        np.stack(scattering(radii, camera.q_step)),
        spots.indptr.astype(np.int64),
        np.ascontiguousarray(places[:, 0]),
        np.ascontiguousarray(places[:, 1]),
        dose * spots.data / area,
    )


def beam_shift(scan_shape: tuple[int, int], descan: np.ndarray, curvature: float = 0.0) -> np.ndarray:
    """(scan_y, scan_x, 2) shift of each pattern, px; zero on average.

    `descan` (2, 2) is the shift over the whole scan: rows q_y, q_x, columns scan_y, scan_x. `curvature` bends it:
    at the first and last row along q_y, at the first and last column along q_x, against the middle.
    """
    u = np.stack(np.meshgrid(*[np.linspace(-0.5, 0.5, n) for n in scan_shape], indexing="ij"), axis=-1)
    bent = curvature * 4 * u**2
    return np.asarray(u @ descan.T + bent - bent.mean(axis=(0, 1)))


def stretching(ratio: float, angle: float) -> np.ndarray:
    """The symmetric matrix in (q_y, q_x) that stretches along the ellipse's a, and shrinks across, by sqrt(ratio).

    `angle` of a is in degrees from q_x towards q_y.
    """
    a = np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    along = np.outer(a, a)
    return np.asarray(along * np.sqrt(ratio) + (np.eye(2) - along) / np.sqrt(ratio))


def stop_shadow(
    camera: Camera, center: np.ndarray, generator: np.random.Generator, transmission: float = TRANSMISSION
) -> np.ndarray:
    """Transmission (q_y, q_x) of a bar with a round tip, from some edge to just past wherever the direct beam goes.

    `center` (n, 2) is where that is; the bar itself lets `transmission` through.
    """
    tip = (center.min(axis=0) + center.max(axis=0)) / 2
    farthest = np.linalg.norm(center - tip, axis=1).max()
    half_width = farthest + camera.radius * (1 + SOFTNESS) + 0.03 * camera.detector
    angle = np.radians(90 * generator.integers(4) + generator.uniform(-15, 15))
    along = np.array([np.sin(angle), np.cos(angle)])
    places = np.moveaxis(np.indices((camera.detector, camera.detector)), 0, -1) - tip
    run = np.maximum(places @ along, 0.0)  # from the tip towards the edge
    distance = np.linalg.norm(places - run[..., None] * along, axis=-1) - half_width
    return np.asarray(transmission + (1 - transmission) * np.clip(distance + 0.5, 0.0, 1.0))


def stop_mask(transmission: np.ndarray) -> np.ndarray:
    """The mask of what a beam stop does not shade, True = keep."""
    return transmission > (1 + transmission.min()) / 2


def hot_places(camera: Camera, center: np.ndarray, number: int, generator: np.random.Generator) -> np.ndarray:
    """(h, 2) random pixels, off the central disk of every pattern (`center`, (n, 2)) and not side by side.

    Raises
    ------
    DataError
        If so many do not fit.
    """
    free = np.ones((camera.detector, camera.detector), bool)
    places = np.moveaxis(np.indices(free.shape), 0, -1)
    for middle in np.unique(np.round(center), axis=0):
        free &= np.linalg.norm(places - middle, axis=-1) > camera.radius * (1 + SOFTNESS) + 3
    chosen: list[tuple[int, int]] = []
    for flat in generator.permutation(np.flatnonzero(free)):
        if len(chosen) == number:
            break
        y, x = divmod(int(flat), camera.detector)
        if all(max(abs(y - i), abs(x - j)) > 2 for i, j in chosen):
            chosen.append((y, x))
    if len(chosen) < number:
        raise DataError(f"{number} hot pixels do not fit on a detector of {camera.detector} px; ask for fewer.")
    return np.array(chosen, np.int32).reshape(-1, 2)


@njit(cache=True, nogil=True)
def _render(
    out: np.ndarray,
    centers: np.ndarray,
    inverse: np.ndarray,
    profiles: np.ndarray,
    table_step: float,
    first: np.ndarray,
    disk_y: np.ndarray,
    disk_x: np.ndarray,
    height: np.ndarray,
    radius: float,
    soft: float,
) -> None:  # pragma: no cover - compiled
    """Write the expected counts of p patterns into `out` (p, q_y, q_x) float64; names as in `Patterns`.

    `inverse` undoes the stretch; `profiles` (p, r) is each pattern's diffuse part, counts a pixel, at multiples of
    `table_step` px; a disk has half of its height at `radius`, and an edge 2 `soft` wide (px).
    """
    rows, columns = out.shape[1:]
    last = profiles.shape[1] - 2
    reach = int(np.ceil(radius + soft)) + 1
    inner, outer = radius - soft - 0.75, radius + soft + 0.75  # beyond these a pixel is whole, or empty
    for p in range(len(out)):
        for i in range(rows):
            for j in range(columns):
                y, x = i - centers[p, 0], j - centers[p, 1]
                u, v = inverse[0, 0] * y + inverse[0, 1] * x, inverse[1, 0] * y + inverse[1, 1] * x
                place = np.sqrt(u * u + v * v) / table_step
                k = min(int(place), last)
                out[p, i, j] = profiles[p, k] + (place - k) * (profiles[p, k + 1] - profiles[p, k])
        for d in range(first[p], first[p + 1]):
            middle_y, middle_x = int(np.rint(disk_y[d])), int(np.rint(disk_x[d]))
            for i in range(max(0, middle_y - reach), min(rows, middle_y + reach + 1)):
                for j in range(max(0, middle_x - reach), min(columns, middle_x + reach + 1)):
                    y, x = i - disk_y[d], j - disk_x[d]
                    distance = np.sqrt(y * y + x * x)
                    if distance <= inner:
                        out[p, i, j] += height[d]
                    elif distance < outer:
                        out[p, i, j] += height[d] * _covered(y, x, radius, soft)


@njit(cache=True, nogil=True)
def _covered(y: float, x: float, radius: float, soft: float) -> float:  # pragma: no cover - compiled
    """Mean over a pixel of a disk's profile: 1 inside, falling smoothly to 0 over its edge."""
    total = 0.0
    for i in range(SUBPIXELS):
        for j in range(SUBPIXELS):
            v = y + (i + 0.5) / SUBPIXELS - 0.5
            u = x + (j + 0.5) / SUBPIXELS - 0.5
            t = min(max((radius + soft - np.sqrt(v * v + u * u)) / (2 * soft), 0.0), 1.0)
            total += t * t * (3.0 - 2.0 * t)
    return total / SUBPIXELS**2
