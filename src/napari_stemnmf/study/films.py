"""The silver films of the paper: where their grains are, every atom of them, and what they diffract kinematically.

One hundred facetted fcc grains of random place and orientation in a cell of 1000 x 1000 x 300 Å that repeats in x and
y; the three films have the same centres and orientations and differ in the grains' size alone (Bruefach, Ophus & Scott
2022, "Ag Film 4D-STEM Simulation"). In the kinematic engine every electron is scattered once: each grain sends a share
of the beam into each of its reflections that depends on its thickness, excitation error and structure factor; patterns
of grains one above the other add up; probe and source blur the scan. No support, no thermal diffuse scattering. Good
while grains are well thinner than an extinction distance. The other engine is `multislice`. Lengths in Å; lab axes x
along scan_x, y along scan_y, z along the beam.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy import sparse

from napari_stemnmf.compiled import njit
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation import diffraction
from napari_stemnmf.simulation.film import (
    ENERGY,
    FACETS,
    GAP,
    SCAN_STEP,
    Film,
    cubic_facets,
    halfway_planes,
    thickness_along_beam,
)

SEMIANGLE = 1.05e-3
"""Semi-convergence angle, rad."""
Q_SPAN = 2.52
"""What the detector spans from edge to edge, 1/Å."""
SOURCE_BLUR = 2.0
"""Standard deviation of the source, in scan positions."""
FILM_FACETS = {"ag1": FACETS, "ag2": (52.0, 62.0, 60.0), "ag3": (70.0, 82.0, 80.0)}
"""Distances of {001}, {011} and {111} from the centre of a grain, Å: the paper's "diameters", read as radii."""
FILM_CELL = (1000.0, 1000.0, 300.0)
"""x, y, z, Å."""
FILM_GRAINS = 100
FILM_SEED = 90
"""The films' default seed: 31, 36 and 42 grains are in 100 x 100 positions, as in the paper."""
PROBE = 0.218 * diffraction.wavelength(ENERGY) / SEMIANGLE
"""Standard deviation of a Gaussian as wide at half height as the probe's Airy disk, Å."""
LEAST_SHARE = 1e-7
"""Beams with a smaller share of the electrons are not drawn: at 2e5 electrons, one in fifty patterns."""


@dataclass(frozen=True)
class ScanGrid:
    """Probe positions: (i, j) is at ``y = origin[0] + (i + .5) step``, ``x = origin[1] + (j + .5) step``."""

    shape: tuple[int, int]  # rows and columns
    step: float = SCAN_STEP  # Å
    origin: tuple[float, float] = (0.0, 0.0)  # (y, x) of the corner of the scan, Å

    @property
    def y(self) -> np.ndarray:
        """(rows,) Å"""
        return np.asarray(self.origin[0] + (np.arange(self.shape[0]) + 0.5) * self.step)

    @property
    def x(self) -> np.ndarray:
        """(columns,) Å"""
        return np.asarray(self.origin[1] + (np.arange(self.shape[1]) + 0.5) * self.step)

    def grown(self, margin: int) -> ScanGrid:
        """The same grid with `margin` more positions on every side."""
        rows, columns = self.shape
        y, x = (o - margin * self.step for o in self.origin)
        return ScanGrid((rows + 2 * margin, columns + 2 * margin), self.step, (y, x))


@dataclass(frozen=True, eq=False)
class Specimen:
    """Facetted fcc grains in a cell that is cut off at its top and bottom, z = 0 and z = ``cell[2]``.

    An atom sits at the centre of each grain. A grain is what lies inside all of its planes: its facets, and the planes
    halfway to the centres of the others, their periodic images and its own, each moved in by half the gap.
    """

    crystal: diffraction.Crystal  # what the grains are made of, as `fcc` gives it
    cell: np.ndarray  # (3,): x, y, z, Å
    periodic: bool  # whether the cell repeats in x and y
    centers: np.ndarray  # (g, 3): x, y, z of each grain, Å
    orientations: np.ndarray  # (g, 3, 3): rotations R with v_lab = R @ v_crystal
    facets: tuple[float, float, float]  # distances of {001}, {011} and {111} from the centre, Å
    gap: float = GAP  # between grains that meet, Å

    @cached_property
    def reach(self) -> float:
        """From a grain's centre to the farthest corner of its facets, Å."""
        from scipy.spatial import HalfspaceIntersection

        normals, distances = cubic_facets(self.facets)
        corners = HalfspaceIntersection(np.column_stack([normals, -distances]), np.zeros(3)).intersections
        return float(np.linalg.norm(corners, axis=1).max())

    @cached_property
    def planes(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each grain, unit normals (p, 3) in the lab and distances (p,) from its centre, Å; the cell's too."""
        facets, distances = cubic_facets(self.facets)
        faces = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
        images = (self.centers + self._shifts()[:, None]).reshape(-1, 3)
        found = []
        for center, rotation in zip(self.centers, self.orientations, strict=True):
            away = np.linalg.norm(images - center, axis=1)
            near = images[(away > 0) & (away < 2 * self.reach + self.gap)]  # no other can cut anything off
            halfway, middle = halfway_planes(center, near, self.gap)
            ends = [self.cell[2] - center[2], center[2]]
            found.append((np.vstack([facets @ rotation.T, halfway, faces]), np.concatenate([distances, middle, ends])))
        return found

    def thickness(self, scan: ScanGrid) -> np.ndarray:
        """Of each grain along z at the probe positions, (g, scan_y, scan_x) float32, Å; periodic images count."""
        y, x = scan.y, scan.x
        out = np.zeros((len(self.centers), *scan.shape), np.float32)
        for index, image in self._images(np.array([x[0], y[0]]), np.array([x[-1], y[-1]])):
            near_y, near_x = (
                slice(*np.searchsorted(along, [at - self.reach, at + self.reach]))
                for along, at in ((y, image[1]), (x, image[0]))
            )
            beside = (y[near_y, None] - image[1], x[near_x] - image[0])
            out[index, near_y, near_x] += thickness_along_beam(*self.planes[index], *beside)
        return out

    def atoms(self, low: np.ndarray | tuple[float, ...], high: np.ndarray | tuple[float, ...]) -> np.ndarray:
        """Positions (n, 3) of all atoms in the box [low, high) of x, y, z, Å, periodic images included.

        Boxes that share faces share no atoms, and a box as large as the cell holds each atom once.
        """
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        found = [np.empty((0, 3))]
        for index, image in self._images(low[:2], high[:2]):
            box = np.maximum(low - image, -self.reach), np.minimum(high - image, self.reach)
            if (box[0] < box[1]).all():
                lattice = self._lattice(index, *box)
                for normal, distance in zip(*self.planes[index], strict=True):
                    lattice = lattice[lattice @ normal <= distance]
                atoms = lattice + image
                found.append(atoms[((atoms >= low) & (atoms < high)).all(axis=1)])
        return np.concatenate(found)

    def _lattice(self, index: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Lattice points of a grain in a box about its centre and some beyond, (n, 3), Å from the centre."""
        rotation, corners = self.orientations[index], np.array(list(product(*zip(low, high, strict=True))))
        edge = self.crystal.lattice[0, 0]  # of the cubic unit cell, Å
        in_cells = corners @ rotation / edge
        first, last = np.floor(in_cells.min(axis=0)).astype(int) - 1, np.ceil(in_cells.max(axis=0)).astype(int) + 1
        cells = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(first, last, strict=True)], indexing="ij"), -1)
        corners = cells.reshape(-1, 3) * edge @ rotation.T
        size = np.sqrt(3) * edge
        near = (corners > low - size) & (corners < high + size)
        corners = corners[near.all(axis=1) & (np.linalg.norm(corners, axis=1) < self.reach + size)]
        atoms = self.crystal.positions @ rotation.T * edge
        return np.asarray((corners[:, None] + atoms).reshape(-1, 3))

    def _shifts(self, cells: int = 1) -> np.ndarray:
        """Translations (s, 3) by up to so many cells in x and y; only none if the cell does not repeat."""
        steps = range(-cells, cells + 1) if self.periodic else (0,)
        return np.array([(i, j, 0) for i in steps for j in steps]) * self.cell

    def _images(self, low: np.ndarray, high: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Index and centre of each grain, or periodic image of one, that may reach into the box [low, high] of x, y."""
        cells = int(np.ceil(max(np.abs(low / self.cell[:2]).max(), np.abs(high / self.cell[:2]).max()))) + 1
        images = self.centers + self._shifts(cells)[:, None]
        near = ((images[..., :2] >= low - self.reach) & (images[..., :2] <= high + self.reach)).all(axis=-1)
        return [(int(index), images[shift, index]) for shift, index in np.argwhere(near)]


def silver_specimen(name: str, seed: int | None = None) -> Specimen:
    """One of the paper's films; with the same seed all three have the same centres and orientations.

    Parameters
    ----------
    name : {"ag1", "ag2", "ag3"}
        Small, middle and large grains.
    seed : int, optional
        Of centres and orientations.

    Raises
    ------
    DataError
        If there is no film of that name.
    """
    if name not in FILM_FACETS:
        raise DataError(f"There is no film '{name}'; the films are {', '.join(FILM_FACETS)}.")
    generator = np.random.default_rng(FILM_SEED if seed is None else seed)
    cell = np.array(FILM_CELL)
    centers = generator.random((FILM_GRAINS, 3)) * cell
    orientations = diffraction.random_rotations(FILM_GRAINS, generator)
    return Specimen(diffraction.fcc("Ag"), cell, True, centers, orientations, FILM_FACETS[name])


@dataclass(frozen=True, eq=False)
class KinematicFilm:
    """Expected patterns of a specimen, drawn row by row."""

    shape: tuple[int, int, int, int]  # (scan_y, scan_x, q_y, q_x)
    center: float  # of the direct beam along both axes, px
    shares: sparse.csr_array  # (n, beams): share of the electrons in each beam, the direct one first; blurred
    spots: sparse.csr_array  # (beams, q_y * q_x): the disk of each beam; sums to 1

    def row(self, row: int) -> np.ndarray:
        """One scan row, (scan_x, q_y, q_x) float32: shares of the incident electrons."""
        columns, side = self.shape[1:3]
        out = np.zeros((columns, side * side), np.float32)
        shares, spots = self.shares, self.spots
        first = shares.indptr[row * columns : (row + 1) * columns + 1]
        _add_beams(out, first, shares.indices, shares.data, spots.indptr, spots.indices, spots.data)
        return out.reshape(columns, side, side)


def kinematic_film(specimen: Specimen, scan: ScanGrid, detector: int, *, blur: float = SOURCE_BLUR) -> KinematicFilm:
    """What a specimen diffracts kinematically.

    Parameters
    ----------
    specimen : Specimen
        What the beam crosses.
    scan : ScanGrid
        Where the probe stands.
    detector : int
        Pixels along each axis; the detector spans 2.52 1/Å whatever their number. The direct beam hits pixel 126 of
        252, and the same place when they are binned.
    blur : float
        Standard deviation of the source, in scan positions.
    """
    film = diffracting(specimen, scan, blur)
    q_step = Q_SPAN / detector
    middle = detector * 126.5 / 252 - 0.5
    radius = SEMIANGLE / diffraction.wavelength(ENERGY) / q_step
    q = np.concatenate([np.zeros((1, 2)), *[beams.q for beams in film.beams]])
    spots = diffraction.disks(q, (detector, detector), (middle, middle), q_step, radius).astype(np.float32)
    everything = film.shares(0.0, 0.0)
    shares = everything[:, np.r_[0, 3 : everything.shape[1]]].astype(np.float32)
    shares.data[shares.data < LEAST_SHARE] = 0.0
    shares.eliminate_zeros()
    return KinematicFilm((*scan.shape, detector, detector), middle, shares, spots)


def diffracting(specimen: Specimen, scan: ScanGrid, blur: float = SOURCE_BLUR) -> Film:
    """The grains that the probe or its source's tails meet, and their reflections; blurred by probe and source."""
    blur = float(np.hypot(blur, PROBE / scan.step))
    margin = int(np.ceil(4 * blur))
    thickness = specimen.thickness(scan.grown(margin)).astype(np.float64)
    met = np.flatnonzero(thickness.any(axis=(1, 2)))
    reflections = diffraction.reflections(specimen.crystal, Q_SPAN / np.sqrt(2) + 0.1)
    beams = [diffraction.diffracted_beams(reflections, specimen.orientations[g], ENERGY) for g in met]
    return Film(list(thickness[met]), list(specimen.orientations[met]), beams, margin, blur)


@njit(cache=True, nogil=True)
def _add_beams(
    out: np.ndarray,
    first: np.ndarray,
    beam: np.ndarray,
    share: np.ndarray,
    spot_first: np.ndarray,
    pixel: np.ndarray,
    weight: np.ndarray,
) -> None:  # pragma: no cover - compiled
    """Add to p patterns (p, pixels) sparse rows of shares (`first`, `beam`, `share`) times sparse rows of spots."""
    for p in range(len(out)):
        for k in range(first[p], first[p + 1]):
            b = beam[k]
            for i in range(spot_first[b], spot_first[b + 1]):
                out[p, pixel[i]] += share[k] * weight[i]
