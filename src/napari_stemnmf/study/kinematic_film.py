"""The kinematic engine: what a `Specimen` diffracts if every electron is scattered once, in seconds.

Each grain sends a share of the beam into each of its reflections that depends on its thickness, excitation error and
structure factor (`kinematic`); patterns of grains one above the other add up; probe and source blur the scan (`film`).
No support, no thermal diffuse scattering. Good while grains are well thinner than an extinction distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from napari_stemnmf.control import Control
from napari_stemnmf.simulation import crystals, kinematic
from napari_stemnmf.simulation.film import Film
from napari_stemnmf.simulation.rendering import mix
from napari_stemnmf.simulation.specimen import ENERGY, Q_SPAN, SEMIANGLE, SOURCE_BLUR, ScanGrid, Specimen
from napari_stemnmf.study.scan_file import rows_at_once
from napari_stemnmf.threads import default_workers, in_order

PROBE = 0.218 * kinematic.wavelength(ENERGY) / SEMIANGLE
"""Standard deviation of a Gaussian as wide at half height as the probe's Airy disk, Å."""
LEAST = 1e-7
"""Beams with a smaller share of the electrons are not drawn: at 2e5 electrons, one in fifty patterns."""


@dataclass(frozen=True, eq=False)
class KinematicFilm:
    """Expected patterns of a specimen that are drawn when they are asked for.

    Attributes
    ----------
    shape : tuple of int
        (scan_y, scan_x, q_y, q_x)
    center : tuple of float
        Direct beam (q_y, q_x), px.
    shares : csr_array, (n, beams)
        Of the incident electrons in each beam, the direct one first, with the source's blur.
    spots : csr_array, (beams, q_y * q_x)
        The disk of each beam; sums to 1.
    """

    shape: tuple[int, int, int, int]
    center: tuple[float, float]
    shares: sparse.csr_array
    spots: sparse.csr_array

    def row(self, row: int) -> np.ndarray:
        """One scan row, (scan_x, q_y, q_x) float32: shares of the incident electrons."""
        columns, side = self.shape[1:3]
        out = np.zeros((columns, side * side), np.float32)
        shares, spots = self.shares, self.spots
        first = shares.indptr[row * columns : (row + 1) * columns + 1]
        mix(out, first, shares.indices, shares.data, spots.indptr, spots.indices, spots.data)
        return out.reshape(columns, side, side)

    def rows(self, control: Control | None = None, workers: int | None = None) -> Iterator[np.ndarray]:
        """One scan row after another, the same whatever the number of threads.

        Raises
        ------
        Cancelled
            If the user asked to stop.
        """
        control = Control() if control is None else control
        workers = workers or default_workers()
        drawn = in_order(self.row, range(self.shape[0]), workers, rows_at_once(self.shape, workers))
        for index, patterns in enumerate(drawn):
            control.check()
            yield patterns
            control.report(index + 1, self.shape[0])


def direct_beam(detector: int) -> float:
    """Where the direct beam hits a detector along each axis, px: pixel 126 of 252, wherever that lies when binned."""
    return detector * 126.5 / 252 - 0.5


def kinematic_film(specimen: Specimen, scan: ScanGrid, detector: int, *, blur: float = SOURCE_BLUR) -> KinematicFilm:
    """What a specimen diffracts kinematically.

    Parameters
    ----------
    specimen : Specimen
        What the beam crosses.
    scan : ScanGrid
        Where the probe stands.
    detector : int
        Pixels along each axis; the detector spans 2.52 1/Å whatever their number.
    blur : float
        Standard deviation of the source, in scan positions.
    """
    film = diffracting(specimen, scan, blur)
    q_step = Q_SPAN / detector
    middle = direct_beam(detector)
    radius = SEMIANGLE / kinematic.wavelength(ENERGY) / q_step
    q = np.concatenate([np.zeros((1, 2)), *[beams.q for beams in film.beams]])
    spots = kinematic.disks(q, (detector, detector), (middle, middle), q_step, radius).astype(np.float32)
    everything = film.shares(0.0, 0.0)
    shares = everything[:, np.r_[0, 3 : everything.shape[1]]].astype(np.float32)
    shares.data[shares.data < LEAST] = 0.0
    shares.eliminate_zeros()
    return KinematicFilm((*scan.shape, detector, detector), (middle, middle), shares, spots)


def diffracting(specimen: Specimen, scan: ScanGrid, blur: float = SOURCE_BLUR) -> Film:
    """The grains that the probe or its source's tails meet, and their reflections; blurred by probe and source."""
    blur = float(np.hypot(blur, PROBE / scan.step))
    margin = int(np.ceil(4 * blur))
    thickness = specimen.thickness(scan.grown(margin)).astype(np.float64)
    met = np.flatnonzero(thickness.any(axis=(1, 2)))
    reflections = crystals.reflections(specimen.crystal, Q_SPAN / np.sqrt(2) + 0.1)
    beams = [kinematic.diffracted_beams(reflections, specimen.orientations[g], ENERGY) for g in met]
    return Film(list(thickness[met]), list(specimen.orientations[met]), beams, margin, blur)
