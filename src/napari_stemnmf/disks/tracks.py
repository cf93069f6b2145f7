"""Tracks: one Bragg spot of one grain, followed from probe position to probe position.

A grain shows the same spots wherever the probe is on it. Disks of neighbouring positions that lie at the same place of
the pattern are linked, the strongest first, into a track; where the grain is bent, the place drifts along. What is
linked is decided among neighbours alone, so that a part of a scan gives the same tracks as the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.dataset import index_type
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.representation_settings import VirtualDarkFieldSettings

DIRECT_BEAM = 2.0
"""Probe radii within which disks belong to the direct beam: nearer than one diameter no other is resolved."""
FOLLOW = 0.2
"""How fast the expected place follows the disks that are linked."""
START = 1.5
"""How far above the least signal-to-noise ratio a disk is that a track starts from."""
AT_A_TIME, TRACKS = 65536, 4096
"""Patterns, and tracks, whose disks are looked at together."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks of a scan, and the disks that they are made of.

    Attributes
    ----------
    offsets : ndarray of int64
        (tracks + 1,); the disks of track t are the rows ``offsets[t]`` to ``offsets[t + 1]`` of the others.
    position : ndarray of int32 or int64
        (disks,) flat probe position; int32 where all of the scan fit.
    q_y, q_x : ndarray of float32
        (disks,) displacement from the centre of its pattern, px.
    height : ndarray of float32
        (disks,) counts a pixel.
    scan_shape : tuple of int
    """

    offsets: np.ndarray
    position: np.ndarray
    q_y: np.ndarray
    q_x: np.ndarray
    height: np.ndarray
    scan_shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def track(self) -> np.ndarray:
        """(disks,) the track of each."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def means(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean q_y and q_x of each track, weighted by height, and the scatter about it: (tracks,) px each."""
        found = [self._means(first, min(first + TRACKS, len(self))) for first in range(0, len(self), TRACKS)]
        nothing = np.empty(0)
        y, x, scatter = (np.concatenate([nothing, *(part[i] for part in found)]) for i in range(3))
        return y, x, scatter

    def _means(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of tracks `first` to `last`."""
        own, count = slice(int(self.offsets[first]), int(self.offsets[last])), last - first
        track = np.repeat(np.arange(count), np.diff(self.offsets[first : last + 1]))
        weight, q_y, q_x = self.height[own].astype(np.float64), self.q_y[own], self.q_x[own]
        total = np.bincount(track, weight, count)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.bincount(track, weight * values, count) / total

        y, x = mean(q_y), mean(q_x)
        return y, x, np.sqrt(mean((q_y - y[track]) ** 2 + (q_x - x[track]) ** 2))


def follow(peaks: Peaks, origin: np.ndarray, radius: float, settings: VirtualDarkFieldSettings | None = None) -> Tracks:
    """The tracks of a scan.

    Parameters
    ----------
    peaks : Peaks
        The disks of every pattern.
    origin : ndarray, (scan_y, scan_x, 2)
        The centre of each pattern, px.
    radius : float
        Of the probe, px.
    settings : VirtualDarkFieldSettings
    """
    settings = VirtualDarkFieldSettings() if settings is None else settings
    rows, columns = peaks.scan_shape
    position, q_y, q_x, snr, height = _displaced(peaks, origin, DIRECT_BEAM * radius, settings.min_snr)
    starts = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=rows * columns))])
    order = np.argsort(-snr, kind="stable")
    reach, least = settings.tolerance * radius, START * settings.min_snr
    track = _link(starts, position, q_y, q_x, snr, order, rows, columns, reach, least)
    del order
    sizes = np.bincount(track[track >= 0])
    long = np.flatnonzero(sizes >= settings.min_length)
    number = np.full(len(sizes) + 1, -1, np.int32)  # the last: of no track
    number[long] = np.arange(len(long))
    track = number[track]
    sort = np.argsort(track, kind="stable")[np.count_nonzero(track < 0) :]
    offsets = np.concatenate([[0], np.cumsum(sizes[long])])
    y, x = (values[sort].astype(np.float32) for values in (q_y, q_x))
    return Tracks(offsets, position[sort], y, x, height[sort].astype(np.float32), peaks.scan_shape)


def _displaced(
    peaks: Peaks, origin: np.ndarray, nearest: float, min_snr: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the disks that may be of a track: position, displacement q_y and q_x from the centre, snr and height."""
    centre, offsets, found = origin.reshape(-1, 2), peaks.offsets, []
    index = index_type(len(centre))
    for first in range(0, len(centre), AT_A_TIME):
        last = min(first + AT_A_TIME, len(centre))
        own = slice(int(offsets[first]), int(offsets[last]))
        position = np.repeat(np.arange(first, last, dtype=index), np.diff(offsets[first : last + 1]))
        about, snr, height = centre[position].astype(np.float64), peaks.snr[own], peaks.height[own]
        y, x = peaks.q_y[own] - about[:, 0], peaks.q_x[own] - about[:, 1]
        used = (np.hypot(y, x) > nearest) & (snr >= min_snr) & (height > 0)
        found.append([part[used] for part in (position, y, x, snr, height)])
    position, y, x, snr, height = (np.concatenate([part.pop(0) for part in found]) for _ in range(5))
    return position, y, x, snr, height


@njit(cache=True, nogil=True)
def _link(starts, position, q_y, q_x, snr, order, rows, columns, tolerance, least):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The track of each disk (disks,), -1 for none: from each start, breadth first over the eight neighbours."""
    track = np.full(len(q_y), -1, np.int32)
    queue = np.zeros(1024, np.int64)  # disks of one track, and where it expects the spot at each; made longer as needed
    y, x = np.zeros(1024), np.zeros(1024)
    count = 0
    for start in order:
        if track[start] >= 0 or snr[start] < least:
            continue
        track[start] = count
        queue[0], y[0], x[0] = start, q_y[start], q_x[start]
        head, tail = 0, 1
        while head < tail:
            disk, at_y, at_x = queue[head], y[head], x[head]
            head += 1
            if tail + 8 > len(queue):
                queue = np.concatenate((queue, np.zeros_like(queue)))
                y, x = np.concatenate((y, np.zeros_like(y))), np.concatenate((x, np.zeros_like(x)))
            row, column = position[disk] // columns, position[disk] % columns
            for i in range(max(row - 1, 0), min(row + 2, rows)):
                for j in range(max(column - 1, 0), min(column + 2, columns)):
                    if i == row and j == column:
                        continue
                    nearest, closest, taken = -1, tolerance**2, False
                    for other in range(starts[i * columns + j], starts[i * columns + j + 1]):
                        away = (q_y[other] - at_y) ** 2 + (q_x[other] - at_x) ** 2
                        if track[other] == count:
                            taken = taken or away < 4 * tolerance**2
                        elif track[other] < 0 and away < closest:
                            nearest, closest = other, away
                    if nearest >= 0 and not taken:
                        track[nearest] = count
                        queue[tail] = nearest
                        y[tail] = at_y + FOLLOW * (q_y[nearest] - at_y)
                        x[tail] = at_x + FOLLOW * (q_x[nearest] - at_x)
                        tail += 1
        count += 1
    return track
