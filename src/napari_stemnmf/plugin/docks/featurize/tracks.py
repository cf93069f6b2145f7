"""What Featurize would follow through a scan for VDF, before it runs: spots of tracks and disks of none. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.plugin.patterns import scan_patterns as overlays

if TYPE_CHECKING:
    from napari_stemnmf.calibration.geometry import Calibration, Geometry
    from napari_stemnmf.disks.detection import Peaks
    from napari_stemnmf.disks.tracks import Tracks
    from napari_stemnmf.representation_settings import VirtualDarkFieldSettings

WITHOUT_DISKS = "The tracks show once Calibrate all has found the disks of every pattern."


def spots_of(tracks: Tracks, where: Geometry, calibration: Calibration) -> np.ndarray:
    """(n, 2) circles around the mean spot of every track, on a picture with that centre and ellipse."""
    y, x, _ = tracks.means()
    measured = calibration.geometry
    radius, azimuth = measured.to_polar(y + measured.q_y, x + measured.q_x)
    y, x = where.from_polar(radius, azimuth)
    return overlays.circles(y, x, measured.probe_radius)


def disks_at(
    tracks: Tracks, peaks: Peaks, calibration: Calibration, position: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Circles around the disks of one pattern: those of tracks, and those of none, which lie beside them."""
    row, column = (min(place, size - 1) for place, size in zip(position, peaks.scan_shape, strict=True))
    radius, at = calibration.geometry.probe_radius, row * peaks.scan_shape[1] + column
    own = tracks.position == at
    followed = np.stack([tracks.q_y[own], tracks.q_x[own]], axis=1) + calibration.origin[row, column]
    here = peaks.pattern == at
    disks = np.stack([peaks.q_y[here], peaks.q_x[here]], axis=1)
    apart = np.abs(disks[:, None] - followed[None]).max(axis=2) > 0.01 * radius
    beside = disks[apart.all(axis=1)]
    return (
        overlays.circles(followed[:, 0], followed[:, 1], radius),
        overlays.circles(beside[:, 0], beside[:, 1], radius),
    )


def heights(tracks: Tracks, peaks: Peaks, calibration: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radius [px], and over it the heights of the disks of tracks and of all disks, added up."""
    far = int(np.ceil(np.hypot(*calibration.geometry.detector_shape) / 2))
    centre = calibration.origin.reshape(-1, 2)[peaks.pattern]
    every = np.hypot(peaks.q_y - centre[:, 0], peaks.q_x - centre[:, 1])
    followed, edges = np.hypot(tracks.q_y, tracks.q_x), np.arange(far + 1)
    taken, total = (
        np.histogram(radius, edges, weights=height)[0]
        for radius, height in ((followed, tracks.height), (every, peaks.height))
    )
    return edges[:-1] + 0.5, taken, total


def before_pooling(peaks: Peaks, calibration: Calibration, settings: VirtualDarkFieldSettings) -> str:
    """What to add where a run may pool patterns before it follows spots, which no preview shows; else nothing."""
    from napari_stemnmf.disks.clarity import third_brightest
    from napari_stemnmf.preprocessing.pooling import is_faint

    where = calibration.geometry
    may = is_faint(third_brightest(peaks, (where.q_y, where.q_x), where.probe_radius)) or bool(settings.pooling)
    return "; a run may pool neighbouring patterns and follow more" if may and settings.pooling != 0 else ""


def in_words(tracks: Tracks, peaks: Peaks) -> str:
    """How many tracks there are, how long, and how many of the disks are in them."""
    if not len(tracks):
        return f"No spot is followed: none of {len(peaks)} disks has its like beside it."
    length = int(np.median(np.diff(tracks.offsets)))
    share = len(tracks.position) / max(1, len(peaks))
    found = f"{len(tracks)} tracks of spots, half of them over {length} positions or more"
    return f"{found}; {share:.0%} of {len(peaks)} disks in them"
