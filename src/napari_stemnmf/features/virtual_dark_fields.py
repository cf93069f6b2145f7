"""VDF, virtual dark fields of tracked spots: for each track of a Bragg spot, its intensity where its grain may be.

The matrix (positions, tracks) is sparse: a dark field is taken where its track is and a few positions around it, so it
grows with the scan and not with its square. After virtual dark-field segmentation (Bergh et al., J. Microsc. 279
(2020) 158), with spots that are followed through the scan in place of masks that are drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.compiled import njit
from napari_stemnmf.dataset import Dataset, index_type
from napari_stemnmf.disks.clarity import third_brightest
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.tracks import Tracks, follow
from napari_stemnmf.features.dark_fields import Apertures, DarkFields, apertures, standard_errors
from napari_stemnmf.features.features import Features
from napari_stemnmf.preprocessing.pooling import advised, weights
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.representation_settings import VirtualDarkFieldSettings
from napari_stemnmf.streaming.engine import BlockResult, PassResult


def pooling_of(dataset: Dataset, peaks: Peaks, calibration: Calibration) -> float:
    """How far to pool a scan so that its spots can be followed: sigma in positions, 0 for not at all."""
    centre, radius = (calibration.geometry.q_y, calibration.geometry.q_x), calibration.geometry.probe_radius
    return advised(dataset, third_brightest(peaks, centre, radius), centre, radius)


class VirtualDarkFields:
    """The `Kernel` of all dark fields of a scan, ragged by pattern, and what its results are put together with.

    Where patterns are `pooled` (the scan, and sigma in positions) it reads those, as its ``dataset``. `gain` is the
    scan's (`Probe.gain`), 0 where it is not known: then each pattern is asked.
    """

    def __init__(
        self,
        peaks: Peaks,
        calibration: Calibration,
        survey: Survey,
        settings: VirtualDarkFieldSettings | None = None,
        gain: float = 0.0,
        pooled: tuple[Dataset, float] | None = None,
    ) -> None:
        geometry, self.gain = calibration.geometry, gain
        self.dataset: Dataset | None
        self.dataset, self.pooling = (None, 0.0) if pooled is None else pooled
        self.tracks: Tracks = follow(peaks, calibration.origin, geometry.probe_radius, settings)
        self.where: Apertures = apertures(self.tracks, calibration)
        self.geometry = geometry
        brighter = float(weights(self.pooling).sum()) ** 2 if self.pooling else 1.0
        self.beam = float(np.asarray(survey.mean, np.float64).sum()) * brighter
        self._measure = DarkFields(self.where, geometry.probe_radius, geometry.mask, gain)

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """The dark fields at the positions of one block."""
        return self._measure(block, positions)

    def features(self, found: PassResult) -> Features:
        """The `Features` from what the kernel found over the whole scan.

        ``vdf``: values (n, tracks) csr_array, in the unit of the data, below zero where there is noise alone. Columns:
        ``q_y``, ``q_x`` [px] of the track from the direct beam, on the detector; its ``radius`` [px] and ``azimuth``
        [deg] with the ellipse undone; the ``scatter`` of its place [px]. Details: along the values that are stored,
        ``sigma`` [as the values] and whether a disk was ``detected``; ``beam``, sum of a mean pattern (as pooled);
        ``probe_radius`` [px]; ``pooling`` [positions], sigma by which patterns were pooled.
        """
        tracks, where = self.tracks, self.where
        n = int(np.prod(tracks.scan_shape))
        offsets = where.offsets.astype(index_type(len(where.track)))
        values = csr_array((found.ragged["intensity"], where.track, offsets), shape=(n, len(tracks)))
        y, x, scatter = tracks.means()
        radius, azimuth = self.geometry.to_polar(y + self.geometry.q_y, x + self.geometry.q_x)
        columns = {"q_y": y, "q_x": x, "radius": radius, "azimuth": azimuth, "scatter": scatter}
        detected = np.zeros(len(where.track), bool)
        _mark(where.offsets, where.track, tracks.offsets, tracks.position, detected)
        details: dict[str, Any] = {
            "sigma": standard_errors(found.ragged, self.gain),
            "detected": detected,
            "beam": self.beam,
            "probe_radius": self.geometry.probe_radius,
            "pooling": float(self.pooling),
        }
        return Features("vdf", values, columns, (), tracks.scan_shape, details)


@njit(cache=True, nogil=True)
def _mark(offsets, track, of_tracks, position, detected):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Mark the aperture of each disk of each track; `track` ascends within a position."""
    for t in range(len(of_tracks) - 1):
        for k in range(of_tracks[t], of_tracks[t + 1]):
            first, last = offsets[position[k]], offsets[position[k] + 1]
            detected[first + np.searchsorted(track[first:last], t)] = True
