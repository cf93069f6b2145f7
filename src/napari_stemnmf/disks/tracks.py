"""Tracks: one Bragg spot of one grain, followed from probe position to probe position.

A grain shows the same spots wherever the probe is on it. Disks of neighbouring positions that lie at the same place of
the pattern are linked, the strongest first, into a track; where the grain is bent, the place drifts along. What is
linked is decided among neighbours alone, so that a part of a scan gives the same tracks as the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemnmf.compiled import njit
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.representation_settings import VirtualDarkFieldSettings

DIRECT_BEAM = 2.0
"""Probe radii within which disks belong to the direct beam: nearer than one diameter no other is resolved."""
FOLLOW = 0.2
"""How fast the expected place follows the disks that are linked."""
START = 1.5
"""How far above the least signal-to-noise ratio a disk is that a track starts from."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """The tracks of a scan, and the disks that they are made of.

    Attributes
    ----------
    offsets : ndarray of int64
        (tracks + 1,); the disks of track t are the rows ``offsets[t]`` to ``offsets[t + 1]`` of the others.
    position : ndarray of int64
        (disks,) flat probe position.
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
        track, weight = self.track, self.height.astype(np.float64)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.bincount(track, weight * values, len(self)) / np.bincount(track, weight, len(self))

        y, x = mean(self.q_y), mean(self.q_x)
        return y, x, np.sqrt(mean((self.q_y - y[track]) ** 2 + (self.q_x - x[track]) ** 2))


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
    centre = origin.reshape(-1, 2)[peaks.pattern].astype(np.float64)
    q_y, q_x = peaks.q_y - centre[:, 0], peaks.q_x - centre[:, 1]
    used = np.flatnonzero(
        (np.hypot(q_y, q_x) > DIRECT_BEAM * radius) & (peaks.snr >= settings.min_snr) & (peaks.height > 0)
    )
    position, q_y, q_x, snr = peaks.pattern[used], q_y[used], q_x[used], peaks.snr[used]
    starts = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=rows * columns))])
    order = np.argsort(-snr, kind="stable")
    track = _link(
        starts, position, q_y, q_x, snr, order, rows, columns, settings.tolerance * radius, START * settings.min_snr
    )
    sizes = np.bincount(track[track >= 0])
    long = np.flatnonzero(sizes >= settings.min_length)
    number = np.full(len(sizes) + 1, -1)  # the last: of no track
    number[long] = np.arange(len(long))
    track = number[track]
    sort = np.argsort(track, kind="stable")[np.count_nonzero(track < 0) :]
    offsets = np.concatenate([[0], np.cumsum(sizes[long])])
    y, x, height = (values[sort].astype(np.float32) for values in (q_y, q_x, peaks.height[used]))
    return Tracks(offsets, position[sort], y, x, height, peaks.scan_shape)


@njit(cache=True, nogil=True)
def _link(starts, position, q_y, q_x, snr, order, rows, columns, tolerance, least):  # type: ignore[no-untyped-def]  # pragma: no cover
    """The track of each disk (disks,), -1 for none: from each start, breadth first over the eight neighbours."""
    n = len(q_y)
    track = np.full(n, -1, np.int64)
    y, x = np.zeros(n), np.zeros(n)  # where the track expects the spot
    queue = np.zeros(n, np.int64)
    count = 0
    for start in order:
        if track[start] >= 0 or snr[start] < least:
            continue
        track[start] = count
        y[start], x[start] = q_y[start], q_x[start]
        queue[0] = start
        head, tail = 0, 1
        while head < tail:
            disk = queue[head]
            head += 1
            row, column = position[disk] // columns, position[disk] % columns
            for i in range(max(row - 1, 0), min(row + 2, rows)):
                for j in range(max(column - 1, 0), min(column + 2, columns)):
                    if i == row and j == column:
                        continue
                    nearest, least, taken = -1, tolerance**2, False
                    for other in range(starts[i * columns + j], starts[i * columns + j + 1]):
                        away = (q_y[other] - y[disk]) ** 2 + (q_x[other] - x[disk]) ** 2
                        if track[other] == count:
                            taken = taken or away < 4 * tolerance**2
                        elif track[other] < 0 and away < least:
                            nearest, least = other, away
                    if nearest >= 0 and not taken:
                        track[nearest] = count
                        y[nearest] = y[disk] + FOLLOW * (q_y[nearest] - y[disk])
                        x[nearest] = x[disk] + FOLLOW * (q_x[nearest] - x[disk])
                        queue[tail] = nearest
                        tail += 1
        count += 1
    return track
