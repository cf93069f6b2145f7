"""VDF, virtual dark fields of tracked spots: for each track of a Bragg spot, its intensity where its grain may be.

A dark field is local: it is taken at the positions of its track and a few around them, so that the matrix (positions,
tracks) is sparse and grows with the scan, not with its square. After virtual dark-field segmentation (Bergh et al.,
J. Microsc. 279 (2020) 158), with spots that are followed in place of masks that are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.compiled import njit
from napari_stemnmf.dataset import index_type
from napari_stemnmf.disks.noise import gain_of_most, gains, tiles_of
from napari_stemnmf.disks.tracks import Tracks
from napari_stemnmf.streaming.engine import BlockResult

CLOSED, AROUND = 2, 3
"""Positions by which the support of a track is closed, and then widened, for its dark field."""
DRIFTS = 0.25
"""Scatter of a track's place, in probe radii, from which it is fitted by a plane over the scan."""
SECTORS = 6
INNER, OUTER = 1.25, 2.0
"""Radii of the ring, in probe radii, whose sectors tell the background of a spot."""
MEDIAN = 1.57
"""Variance of a median over that of a mean, of normal noise: pi / 2."""


@dataclass(frozen=True, eq=False)
class Apertures:
    """Where dark fields are taken, by probe position.

    Attributes
    ----------
    offsets : ndarray of int64
        (n + 1,); the apertures of position i are the rows ``offsets[i]`` to ``offsets[i + 1]``.
    track : ndarray of int32
        (apertures,), ascending within a position.
    q_y, q_x : ndarray of float32
        (apertures,) on the detector, px.
    """

    offsets: np.ndarray
    track: np.ndarray
    q_y: np.ndarray
    q_x: np.ndarray


def apertures(tracks: Tracks, calibration: Calibration) -> Apertures:
    """An aperture at each position where the spot of a track is or may be."""
    rows, columns = tracks.scan_shape
    radius = calibration.geometry.probe_radius
    mean_y, mean_x, scatter = tracks.means()
    origin, count = calibration.origin.reshape(-1, 2), np.zeros(rows * columns + 1, np.int64)
    parts = []
    for t in range(len(tracks)):
        own = slice(tracks.offsets[t], tracks.offsets[t + 1])
        at = _around(tracks.position[own], rows, columns)
        drifts = scatter[t] > DRIFTS * radius
        place = _plane(tracks, own, at) if drifts else np.array([[mean_y[t], mean_x[t]]])
        count[at + 1] += 1
        parts.append((at.astype(index_type(len(origin))), (place + origin[at]).astype(np.float32)))
    offsets = np.cumsum(count)
    track = np.empty(offsets[-1], np.int32)
    q_y, q_x = np.empty((2, offsets[-1]), np.float32)
    free = offsets[:-1].copy()
    for t, (at, place) in enumerate(parts):
        track[free[at]], q_y[free[at]], q_x[free[at]] = t, place[:, 0], place[:, 1]
        free[at] += 1
    return Apertures(offsets, track, q_y, q_x)


def _around(position: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Flat positions of a track's support, closed and widened."""
    y, x = np.divmod(position, columns)
    pad = CLOSED + AROUND + 1
    top, left = y.min() - pad, x.min() - pad
    support = np.zeros((y.max() - top + pad + 1, x.max() - left + pad + 1), bool)
    support[y - top, x - left] = True
    support |= ndimage.binary_closing(support, iterations=CLOSED)
    y, x = np.nonzero(ndimage.binary_dilation(support, iterations=AROUND))
    y, x = y + top, x + left
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    return y[inside] * columns + x[inside]


def _plane(tracks: Tracks, own: slice, at: np.ndarray) -> np.ndarray:
    """(positions, 2) place of a drifting spot: a plane over its disks, held back as one more disk a step away would."""
    columns = tracks.scan_shape[1]
    y, x = np.divmod(tracks.position[own], columns)
    middle = y.mean(), x.mean()
    root = np.sqrt(tracks.height[own])
    design = np.stack([np.ones(len(y)), y - middle[0], x - middle[1]], axis=1) * root[:, None]
    held = design.T @ design + np.diag([0.0, 1.0, 1.0]) * root.sum()
    place = np.stack([tracks.q_y[own], tracks.q_x[own]], axis=1) * root[:, None]
    slopes = np.linalg.solve(held, design.T @ place)
    y, x = np.divmod(at, columns)
    return np.stack([np.ones(len(y)), y - middle[0], x - middle[1]], axis=1) @ slopes


class DarkFields:
    """The `Kernel` that measures the apertures of each pattern.

    Ragged: ``intensity``, the ``spread`` that its noise has for a gain of 1 (see `standard_errors`), and the ``gain``
    of the pattern: the variance of its values over their mean, 1 for counts, whatever they were multiplied by; not
    where the `gain` of all patterns is given.
    """

    def __init__(self, where: Apertures, radius: float, keep: np.ndarray | None = None, gain: float = 0.0) -> None:
        self.where = where
        self.radius = radius
        self.keep = keep
        self.gain = gain

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """Of one block (p, q_y, q_x)."""
        counts = np.diff(self.where.offsets)[positions]
        intensity, spread = np.empty(counts.sum(), np.float32), np.empty(counts.sum(), np.float32)
        keep = np.ones(block.shape[1:], bool) if self.keep is None else self.keep
        first = self.where.offsets[positions]
        _measure(block, keep, first, counts, self.where.q_y, self.where.q_x, self.radius, intensity, spread)
        ragged = {"intensity": intensity, "spread": spread}
        if not self.gain:
            ragged["gain"] = np.repeat(gains(block, tiles_of(keep)), counts)
        return BlockResult(ragged=ragged, counts=counts)


def standard_errors(ragged: dict[str, np.ndarray], gain: float = 0.0) -> np.ndarray:
    """(apertures,) standard error of each intensity, in its unit, of what `DarkFields` found in a scan.

    One gain is taken for all of the scan, as it is the detector's: that which is given, or what most patterns tell.
    Less than one electron is never known.
    """
    gain = gain or gain_of_most(ragged["gain"]) or 1.0
    return np.sqrt(gain * np.maximum(ragged["spread"], np.float32(gain))).astype(np.float32)


@njit(cache=True, nogil=True)
def _measure(block, keep, first, counts, q_y, q_x, radius, intensity, spread):  # type: ignore[no-untyped-def]  # pragma: no cover
    """A disk with soft edges, less the median of the means of the sectors around it; what is masked is left out."""
    rows, columns = block.shape[1:]
    reach = int(np.ceil(OUTER * radius)) + 1
    sums, numbers, means = np.zeros(SECTORS), np.zeros(SECTORS), np.zeros(SECTORS)
    out = 0
    for p in range(len(block)):
        for k in range(first[p], first[p] + counts[p]):
            y, x = q_y[k], q_x[k]
            top, left = int(np.round(y)), int(np.round(x))
            inside, share, variance, whole = 0.0, 0.0, 0.0, 0.0
            sums[:] = 0.0
            numbers[:] = 0.0
            for i in range(top - reach, top + reach + 1):
                for j in range(left - reach, left + reach + 1):
                    away = np.hypot(i - y, j - x)
                    part = min(radius + 0.5 - away, 1.0)
                    whole += max(part, 0.0)
                    if i < 0 or i >= rows or j < 0 or j >= columns or not keep[i, j]:
                        continue
                    value = float(block[p, i, j])
                    if part > 0:
                        inside += part * value
                        share += part
                        variance += part * part * value
                    elif INNER * radius <= away <= OUTER * radius:
                        s = min(int((np.arctan2(i - y, j - x) / (2 * np.pi) + 0.5) * SECTORS), SECTORS - 1)
                        sums[s] += value
                        numbers[s] += 1
            known, pixels = 0, 0.0
            for s in range(SECTORS):
                if numbers[s] >= 2:
                    means[known] = sums[s] / numbers[s]
                    pixels += numbers[s]
                    known += 1
            ground = 0.0
            if known > 0:
                middle = np.sort(means[:known])
                ground = 0.5 * (middle[(known - 1) // 2] + middle[known // 2])
            if share < 0.5 * whole:
                intensity[out], spread[out] = 0.0, np.inf
            else:
                scale = whole / share
                noise = max(variance, share * ground) + share * share * MEDIAN * ground / max(pixels, 1.0)
                intensity[out] = (inside - ground * share) * scale
                spread[out] = noise * scale * scale
            out += 1
