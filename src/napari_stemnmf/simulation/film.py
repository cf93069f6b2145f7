"""The simulated film: overlapping silver grains on amorphous carbon, and how they share out the beam.

Facetted fcc grains of random orientation float in a film thicker than they are. A grain is the set of points inside
all of its planes n . r <= d, seen from its centre: the facets of an equilibrium (Wulff) shape, rotated with the
lattice, and the planes halfway to its neighbours (Bruefach, Ophus & Scott 2022, "Ag Film 4D-STEM Simulation"). Lengths
in Å; lab axes x along scan_x, y along scan_y, z along the beam.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage, sparse

from napari_stemnmf.simulation import diffraction

ENERGY = 300e3
"""eV"""
SCAN_STEP = 5.0
"""Å"""
Q_MAX = 1.2
"""1/Å, from the direct beam to the detector's edge."""
FILM_DEPTH = 150.0
"""Å"""
FACETS = (35.0, 41.0, 40.0)
"""Distances of {001}, {011} and {111} from the centre of the largest grains, Å."""
SIZES = (0.6, 1.05)
"""Smallest and largest grain, in units of FACETS."""
GAP = 2.0
"""Between grains that meet, Å."""
GRAINS_PER_POSITION = 1 / 120
"""Density of grain centres, at SCAN_STEP."""
BLUR = 1.0
"""Standard deviation of probe and source together, in scan positions."""
SUPPORT = 5.0
"""Atoms of amorphous carbon per Å²: about 5 nm."""
TRUE_THICKNESS = 10.0
"""A true grain is where it is thicker than this, Å."""
TRUE_SIZE = 25
"""Grains on fewer probe positions are left out of the film."""
MIN_DISKS = 3
"""Orientations with fewer disks of at least 1 % of the beam, at 50 Å, are drawn again: such a grain hardly shows."""


@dataclass(frozen=True, eq=False)
class Film:
    """The grains of a film, on the scan and a margin around it."""

    depth: list[np.ndarray]  # thickness of each grain along the beam, Å: (scan_y + 2 margin, scan_x + 2 margin)
    orientations: list[np.ndarray]  # (3, 3): rotations R with v_lab = R @ v_crystal
    beams: list[diffraction.Beams]  # what each grain diffracts into
    margin: int  # probe positions around the scan, which blur into it
    blur: float  # standard deviation of probe and source together, in scan positions

    def shares(self, support: float, thermal: float) -> sparse.csr_array:
        """Share of the dose in each part of each pattern, (n, 3 + all beams).

        The parts: direct beam, diffuse scattering of the support, that of an ångström of silver (both to be multiplied
        by `diffuse_scattering`), then the disks of each grain's beams. `support` and `thermal` are the sums of
        `diffuse_scattering` over the detector.
        """
        total = np.sum(self.depth, axis=0)
        diffracted = np.zeros(total.shape)
        boxes = [_box(t > 0, self.margin) for t in self.depth]
        for t, b, box in zip(self.depth, self.beams, boxes, strict=True):
            diffracted[box] += b.intensity(t[box]).sum(axis=-1)
        diffused = support + total * thermal
        # Kinematic intensities may exceed the beam: Poisson's law for scattering events keeps the number of electrons.
        diffuse_left = _single(diffused)
        disks_left = np.exp(-diffused) * _single(diffracted)
        common = np.stack([np.exp(-diffracted - diffused), diffuse_left, diffuse_left * total], axis=-1)

        shape, inner = total.shape, (slice(self.margin, -self.margin), slice(self.margin, -self.margin))
        index = np.full(shape, -1)
        index[inner] = np.arange(index[inner].size).reshape(index[inner].shape)
        blocks = [sparse.csr_array(self._blurred(common)[inner].reshape(-1, 3))]
        for t, b, box in zip(self.depth, self.beams, boxes, strict=True):
            values = self._blurred(b.intensity(t[box]) * disks_left[box][..., None])
            here = index[box] >= 0
            rows, columns = np.broadcast_arrays(index[box][here][:, None], np.arange(values.shape[-1]))
            entries = (values[here].ravel(), (rows.ravel(), columns.ravel()))
            blocks.append(sparse.csr_array(entries, shape=(blocks[0].shape[0], values.shape[-1])))
        return sparse.hstack(blocks, format="csr")

    def _blurred(self, maps: np.ndarray) -> np.ndarray:
        """Maps (y, x, m) blurred by probe and source."""
        for axis in (0, 1):
            maps = ndimage.gaussian_filter1d(maps, self.blur, axis=axis, mode="nearest", truncate=4.0)
        return maps


def silver_film(
    scan_shape: tuple[int, int],
    generator: np.random.Generator,
    *,
    scan_step: float = SCAN_STEP,
    blur: float = BLUR,
    true_size: int = TRUE_SIZE,
) -> Film:
    """Grains of random place, size and orientation; the same generator gives the same film.

    Parameters
    ----------
    scan_shape : tuple of int
        Rows and columns.
    generator : numpy.random.Generator
        What all chance comes from.
    scan_step : float
        Å between probe positions.
    blur : float
        Standard deviation of probe and source together, in scan positions.
    true_size : int
        Grains thicker than `TRUE_THICKNESS` on fewer probe positions are left out.
    """
    margin = int(np.ceil(4 * blur))
    reflections = diffraction.reflections(diffraction.fcc("Ag"), Q_MAX * np.sqrt(2) + 0.2)
    extent = np.array([scan_shape[1], scan_shape[0]]) * scan_step
    centers, sizes = _places(extent, generator)
    y = (np.arange(-margin, scan_shape[0] + margin) + 0.5)[:, None] * scan_step
    x = (np.arange(-margin, scan_shape[1] + margin) + 0.5) * scan_step
    depth, orientations, beams = [], [], []
    for index, (center, size) in enumerate(zip(centers, sizes, strict=True)):
        rotation, diffracted = _orientation(reflections, generator)
        normals, offsets = cubic_facets(tuple(size * d for d in FACETS))
        cut_normals, cut_offsets = halfway_planes(center, np.delete(centers, index, axis=0), GAP)
        normals = np.vstack([normals @ rotation.T, cut_normals])
        offsets = np.append(offsets, cut_offsets)
        thickness = thickness_along_beam(normals, offsets, y - center[1], x - center[0])
        thick = thickness[margin:-margin, margin:-margin] > TRUE_THICKNESS
        if thick.sum() >= true_size:
            depth.append(thickness)
            orientations.append(rotation)
            beams.append(diffracted)
    return Film(depth, orientations, beams, margin, blur)


def diffuse_scattering(q: np.ndarray, q_step: float) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the beam that the support, and an ångström of silver, scatter diffusely into a pixel at q (1/Å)."""
    support = SUPPORT * diffraction.diffuse("C", q, ENERGY, q_step)
    silver = diffraction.fcc("Ag")
    thermal = diffraction.diffuse("Ag", q, ENERGY, q_step, silver.debye_waller) * 4 / silver.volume
    return support, thermal


def cubic_facets(distances: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The 26 facets of a cubic crystal with {001}, {011} and {111} planes at the given distances from its centre.

    Returns
    -------
    normals : ndarray, (26, 3)
        Unit vectors in the crystal's frame.
    offsets : ndarray, (26,)
        Distances along them, Å.
    """
    directions = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)], dtype=np.float64)
    kinds = np.abs(directions).sum(axis=1).astype(int)
    return directions / np.sqrt(kinds)[:, None], np.asarray(distances, dtype=np.float64)[kinds - 1]


def halfway_planes(center: np.ndarray, others: np.ndarray, gap: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Planes halfway from a centre (3,) to the centres of other grains (n, 3), each moved inward by half the gap."""
    between = np.asarray(others, dtype=np.float64).reshape(-1, 3) - center
    length = np.linalg.norm(between, axis=1)
    return between / length[:, None], length / 2 - gap / 2


def thickness_along_beam(normals: np.ndarray, offsets: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Length along z inside all planes, at lab positions (y, x) from the centre, Å; 0 outside.

    Parameters
    ----------
    normals : ndarray, (p, 3)
        Unit vectors (x, y, z) in the lab's frame.
    offsets : ndarray, (p,)
        Distances along them.
    y, x : ndarray
        Positions; broadcast against each other.
    """
    y, x = np.broadcast_arrays(y, x)
    lower, upper = np.full(x.shape, -np.inf), np.full(x.shape, np.inf)
    inside = np.ones(x.shape, dtype=bool)
    for (n_x, n_y, n_z), offset in zip(normals, offsets, strict=True):
        room = offset - n_x * x - n_y * y  # what is left for n_z z
        if abs(n_z) < 1e-12:
            inside &= room >= 0
        elif n_z > 0:
            upper = np.minimum(upper, room / n_z)
        else:
            lower = np.maximum(lower, room / n_z)
    return np.where(inside, np.maximum(upper - lower, 0.0), 0.0)


def _places(extent: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centres (g, 3) of grains that do not come too close, Å, and their sizes (g,) in units of FACETS."""
    wanted = max(1, round(extent.prod() / SCAN_STEP**2 * GRAINS_PER_POSITION))
    centers = np.empty((0, 3))
    sizes = np.empty(0)
    for _ in range(200 * wanted):
        size = generator.uniform(*SIZES)
        edge = 0.0 if len(centers) else 0.25  # the first lies well inside, so that the smallest scan has a grain
        center = generator.uniform(edge, 1 - edge, 3) * [*extent, FILM_DEPTH]
        distance = np.linalg.norm(centers - center, axis=1)
        if (distance > 0.85 * FACETS[0] * (size + sizes)).all():
            centers, sizes = np.vstack([centers, center]), np.append(sizes, size)
        if len(centers) == wanted:
            break
    return centers, sizes


def _orientation(
    reflections: diffraction.Reflections, generator: np.random.Generator
) -> tuple[np.ndarray, diffraction.Beams]:
    """A random orientation that shows some disks, and its beams."""
    for _ in range(1000):
        rotation = diffraction.random_rotations(1, generator)[0]
        beams = diffraction.diffracted_beams(reflections, rotation, ENERGY)
        inside = np.linalg.norm(beams.q, axis=1) < Q_MAX
        if (beams.intensity(50.0)[inside] >= 0.01).sum() >= MIN_DISKS:
            break
    return rotation, beams


def _single(events: np.ndarray) -> np.ndarray:
    """Share of the electrons that is scattered, over the mean number of scattering events (Poisson's law)."""
    return np.where(events > 0, -np.expm1(-events) / np.maximum(events, 1e-12), 1.0)


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rectangle around a mask, grown by a margin."""
    return tuple(  # type: ignore[return-value]
        slice(max(0, int(where[0]) - margin), int(where[-1]) + margin + 1)
        for where in (np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))
    )
