"""The embedded sample: a polycrystalline silver film with overlapping grains and known truth, made in seconds.

Facetted fcc grains of random orientation float in a film thicker than they are, so that they overlap along the beam.
Each diffracts kinematically and patterns of overlapping grains add up; the film lies on amorphous carbon, probe and
source blur the scan, and electrons are counted. The geometry follows the simulated films of Bruefach, Ophus & Scott
(2022); unlike theirs it leaves out multiple scattering, beyond keeping the number of electrons.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, sparse

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation import crystals, kinematic, shapes

ENERGY = 300e3
"""eV"""
SCAN_STEP = 5.0
"""Å"""
Q_MAX = 1.2
"""1/Å, from the direct beam to the detector's edge"""
PROBE_RADIUS = 2.5 / 40
"""Semi-convergence angle over wavelength, 1/Å: 1.23 mrad."""
FILM_DEPTH = 150.0
"""Å"""
FACETS = (35.0, 41.0, 40.0)
"""Distances of {001}, {011} and {111} of the largest grains, Å."""
SIZES = (0.6, 1.05)
"""Smallest and largest grain, in units of FACETS."""
GRAINS_PER_POSITION = 1 / 120
"""Density of grain centres."""
BLUR = 1.0
"""Standard deviation of probe and source together, in scan positions."""
SUPPORT = 5.0
"""Atoms of amorphous carbon per Å²: about 5 nm."""
TRUE_THICKNESS = 10.0
"""A grain is where it is thicker than this, Å."""
TRUE_SIZE = 25
"""Grains on fewer probe positions are left out of the film."""
MIN_DISKS = 3
"""Orientations with fewer disks of at least 1 % of the beam, at 50 Å, are drawn again: such a grain is hardly seen."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A simulated scan and its truth.

    Attributes
    ----------
    dataset : Dataset
        uint16 counts (scan_y, scan_x, q_y, q_x), calibrated in nm and 1/nm.
    masks : ndarray of bool, (g, scan_y, scan_x)
        Where each grain is thicker than 10 Å, without blur; masks overlap.
    thickness : ndarray of float32, (g, scan_y, scan_x)
        Of each grain along the beam, Å.
    orientations : ndarray, (g, 3, 3)
        Rotations R with v_lab = R @ v_crystal; lab x along scan_x, y along scan_y, z along the beam.
    center : tuple of float
        Direct beam (q_y, q_x), px.
    probe_radius : float
        Radius of a disk, px.
    """

    dataset: Dataset
    masks: np.ndarray
    thickness: np.ndarray
    orientations: np.ndarray
    center: tuple[float, float]
    probe_radius: float

    def save(self, path: str | Path) -> None:
        """Write scan and truth to one HDF5 file: `data` (its calibration as attributes), `labels`, `thickness`, ...

        ``stemnmf run PATH`` finds the data, ``stemnmf score ... --truth PATH::labels`` the truth.
        """
        import h5py

        path = Path(path)
        part = path.with_name(f".{path.name}.part")  # so that a run that is stopped here leaves no half file
        try:
            with h5py.File(part, "w") as file:
                self._write(file)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def _write(self, file: Any) -> None:
        packed = {"compression": "gzip", "compression_opts": 1}
        file.attrs["name"] = self.dataset.name
        rows, columns = min(8, self.dataset.shape[0]), min(8, self.dataset.shape[1])
        chunks = (rows, columns, *self.dataset.detector_shape)
        data = file.create_dataset("data", self.dataset.shape, self.dataset.dtype, chunks=chunks, **packed)
        for first in range(0, self.dataset.shape[0], rows):
            data[first : first + rows] = self.dataset.data[first : first + rows].compute(scheduler="synchronous")
        data.attrs.update(self.dataset.metadata)
        data.attrs["Q_pixel_size_invA"] = self.dataset.axes[2].scale / 10
        data.attrs["R_pixel_size_A"] = self.dataset.axes[0].scale * 10
        data.attrs["center_px"] = self.center
        data.attrs["probe_radius_px"] = self.probe_radius
        truth = {
            "labels": (
                self.masks,
                f"thickness > {TRUE_THICKNESS} A (grain, scan_y, scan_x), unblurred; grains overlap",
            ),
            "thickness": (self.thickness, "of each grain along the beam, A"),
            "orientations": (
                self.orientations,
                "v_lab = R @ v_crystal; lab x along scan_x, y along scan_y, z the beam",
            ),
        }
        for name, (values, definition) in truth.items():
            file.create_dataset(name, data=values, **packed).attrs["definition"] = definition


def sample(
    scan_shape: tuple[int, int] = (48, 48),
    detector_shape: tuple[int, int] = (96, 96),
    seed: int = 0,
    dose: float = 20e3,
) -> Sample:
    """Simulate the sample; the same arguments give the same sample.

    Parameters
    ----------
    scan_shape, detector_shape : tuple of int
        Rows and columns. The scan step is 5 Å; the shorter side of the detector spans 2.4 1/Å.
    seed : int
        Of grains and noise.
    dose : float
        Electrons a pattern.

    Raises
    ------
    DataError
        If a shape is too small to hold a grain or a pattern, or the dose is not positive.
    """
    if min(scan_shape) < 8 or min(detector_shape) < 32:
        raise DataError(
            f"A sample needs at least 8 x 8 probe positions and 32 x 32 detector pixels, not {tuple(scan_shape)} and "
            f"{tuple(detector_shape)}."
        )
    if not 0 < dose <= 1e6:
        raise DataError(f"The dose of a sample must lie between 0 and 1e6 electrons a pattern, not {dose}.")
    film_seed, noise_seed = np.random.SeedSequence(seed).spawn(2)
    q_step = 2 * Q_MAX / min(detector_shape)
    center = ((detector_shape[0] - 1) / 2 + 0.2, (detector_shape[1] - 1) / 2 - 0.3)  # no detector is ever centred
    reflections = crystals.reflections(crystals.fcc("Ag"), Q_MAX * np.sqrt(2) + 0.2)
    margin = int(np.ceil(4 * BLUR))
    depth, orientations, beams = _film(scan_shape, margin, reflections, np.random.default_rng(film_seed))
    shares, basis = _shares(depth, beams, margin, detector_shape, center, q_step)
    counts = _count(shares, basis, dose, (*scan_shape, *detector_shape), np.random.default_rng(noise_seed))
    inner = np.stack([t[margin:-margin, margin:-margin] for t in depth])
    dataset = Dataset.from_array(
        counts,
        scan_step=SCAN_STEP / 10,
        q_step=q_step * 10,
        name="silver grains (sample)",
        metadata={
            "beam_energy_eV": ENERGY,
            "dose_e_per_pattern": float(dose),
            "seed": int(seed),
            "simulated": "kinematic",
        },
    )
    return Sample(
        dataset,
        inner > TRUE_THICKNESS,
        inner.astype(np.float32),
        np.stack(orientations),
        center,
        float(PROBE_RADIUS / q_step),
    )


def _film(
    scan_shape: tuple[int, int], margin: int, reflections: crystals.Reflections, generator: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray], list[kinematic.Beams]]:
    """Of each grain: its thickness on the scan and a margin around it, its orientation, its beams."""
    extent = np.array([scan_shape[1], scan_shape[0]]) * SCAN_STEP
    wanted = max(1, round(scan_shape[0] * scan_shape[1] * GRAINS_PER_POSITION))
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
    y = (np.arange(-margin, scan_shape[0] + margin) + 0.5)[:, None] * SCAN_STEP
    x = (np.arange(-margin, scan_shape[1] + margin) + 0.5) * SCAN_STEP
    depth, orientations, beams = [], [], []
    for index, (center, size) in enumerate(zip(centers, sizes, strict=True)):
        rotation, diffracted = _orientation(reflections, generator)
        normals, offsets = shapes.cubic_facets(tuple(size * d for d in FACETS))
        cut_normals, cut_offsets = shapes.halfway_planes(center, np.delete(centers, index, axis=0))
        normals = np.vstack([normals @ rotation.T, cut_normals])
        offsets = np.append(offsets, cut_offsets)
        thickness = shapes.thickness(normals, offsets, y - center[1], x - center[0])
        seen = thickness[margin:-margin, margin:-margin] > TRUE_THICKNESS
        if seen.sum() >= TRUE_SIZE:
            depth.append(thickness)
            orientations.append(rotation)
            beams.append(diffracted)
    return depth, orientations, beams


def _orientation(
    reflections: crystals.Reflections, generator: np.random.Generator
) -> tuple[np.ndarray, kinematic.Beams]:
    for _ in range(1000):
        rotation = crystals.random_rotations(1, generator)[0]
        beams = kinematic.diffracted_beams(reflections, rotation, ENERGY)
        inside = np.linalg.norm(beams.q, axis=1) < Q_MAX
        if (beams.intensity(50.0)[inside] >= 0.01).sum() >= MIN_DISKS:
            break
    return rotation, beams


def _shares(
    depth: list[np.ndarray],
    beams: list[kinematic.Beams],
    margin: int,
    detector_shape: tuple[int, int],
    center: tuple[float, float],
    q_step: float,
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Share of the dose that goes into each basis pattern at each position, (n, b), and the basis patterns (b, pixels).

    The basis: direct beam, halo of the support, halo of a thickness of silver, then the disks of each grain's beams.
    """
    rows, columns = np.ogrid[: detector_shape[0], : detector_shape[1]]
    q = np.hypot(rows - center[0], columns - center[1]) * q_step
    support = SUPPORT * kinematic.diffuse("C", q, ENERGY, q_step)
    thermal = kinematic.diffuse("Ag", q, ENERGY, q_step, debye_waller=0.7) * 4 / crystals.fcc("Ag").volume
    radius = PROBE_RADIUS / q_step
    spots = [kinematic.disks(b.q, detector_shape, center, q_step, radius) for b in beams]
    direct = kinematic.disks(np.zeros((1, 2)), detector_shape, center, q_step, radius)
    basis = sparse.vstack(
        [direct, sparse.csr_array(np.stack([support.ravel(), thermal.ravel()])), *spots], format="csr"
    )

    total = np.sum(depth, axis=0)
    diffracted = np.zeros(total.shape)
    boxes = [_box(t > 0, margin) for t in depth]
    for t, b, box in zip(depth, beams, boxes, strict=True):
        diffracted[box] += b.intensity(t[box]).sum(axis=-1)
    diffused = support.sum() + total * thermal.sum()
    # Kinematic intensities may exceed the beam: Poisson's law for scattering events keeps the number of electrons.
    diffuse_left = -np.expm1(-diffused) / diffused
    disks_left = np.exp(-diffused) * np.where(
        diffracted > 0, -np.expm1(-diffracted) / np.maximum(diffracted, 1e-12), 1.0
    )
    common = np.stack([np.exp(-diffracted - diffused), diffuse_left, diffuse_left * total], axis=-1)

    shape, inner = total.shape, (slice(margin, -margin), slice(margin, -margin))
    index = np.full(shape, -1)
    index[inner] = np.arange(index[inner].size).reshape(index[inner].shape)
    blocks = [sparse.csr_array(_blurred(common)[inner].reshape(-1, 3))]
    for t, b, box in zip(depth, beams, boxes, strict=True):
        values = _blurred(b.intensity(t[box]) * disks_left[box][..., None])
        here = index[box] >= 0
        rows, columns = np.broadcast_arrays(index[box][here][:, None], np.arange(values.shape[-1]))
        entries = (values[here].ravel(), (rows.ravel(), columns.ravel()))
        blocks.append(sparse.csr_array(entries, shape=(blocks[0].shape[0], values.shape[-1])))
    return sparse.hstack(blocks, format="csr"), basis


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The rectangle around a mask, grown by a margin."""
    return tuple(  # type: ignore[return-value]
        slice(max(0, int(where[0]) - margin), int(where[-1]) + margin + 1)
        for where in (np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0)))
    )


def _blurred(maps: np.ndarray) -> np.ndarray:
    """Maps (y, x, m) blurred by probe and source."""
    for axis in (0, 1):
        maps = ndimage.gaussian_filter1d(maps, BLUR, axis=axis, mode="nearest", truncate=4.0)
    return maps


def _count(
    shares: sparse.csr_array,
    basis: sparse.csr_array,
    dose: float,
    shape: tuple[int, int, int, int],
    generator: np.random.Generator,
) -> np.ndarray:
    """Electrons counted, uint16 `shape`; one scan row at a time, so that the noise-free patterns never all exist."""
    counts = np.empty(shape, np.uint16)
    for row in range(shape[0]):
        patterns = (shares[row * shape[1] : (row + 1) * shape[1]] @ basis).toarray()
        counted = np.minimum(generator.poisson(patterns * dose), np.iinfo(np.uint16).max)
        counts[row] = counted.reshape(shape[1:])
    return counts
