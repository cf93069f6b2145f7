"""The embedded sample: a polycrystalline silver film with overlapping grains and known truth, made in seconds.

The grains of `film` overlap along the beam. Each diffracts kinematically and patterns of overlapping grains add up;
the film lies on amorphous carbon, probe and source blur the scan, and electrons are counted. The geometry follows the
simulated films of Bruefach, Ophus & Scott (2022); unlike theirs it leaves out multiple scattering, beyond keeping the
number of electrons.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.files.writing import atomic_write
from napari_stemnmf.simulation.diffraction import Beams, disks
from napari_stemnmf.simulation.film import ENERGY, Q_MAX, SCAN_STEP, TRUE_THICKNESS, diffuse_scattering, silver_film

NAME = "silver grains (sample)"
"""Name of the sample's dataset."""
PROBE_RADIUS = 2.5 / 40
"""Semi-convergence angle over wavelength, 1/Å: 1.23 mrad."""


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

        packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}
        rows, columns = min(8, self.dataset.shape[0]), min(8, self.dataset.shape[1])
        labels = f"thickness > {TRUE_THICKNESS} A (grain, scan_y, scan_x), unblurred; grains overlap"
        orientations = "v_lab = R @ v_crystal; lab x along scan_x, y along scan_y, z the beam"
        with atomic_write(path) as part, h5py.File(part, "w") as file:
            file.attrs["name"] = self.dataset.name
            chunks = (rows, columns, *self.dataset.detector_shape)
            data = file.create_dataset("data", self.dataset.shape, self.dataset.dtype, chunks=chunks, **packed)
            for first in range(0, self.dataset.shape[0], rows):
                data[first : first + rows] = self.dataset.data[first : first + rows].compute(scheduler="synchronous")
            data.attrs.update(self.dataset.metadata)
            data.attrs["Q_pixel_size_invA"] = self.dataset.axes[2].scale / 10
            data.attrs["R_pixel_size_A"] = self.dataset.axes[0].scale * 10
            data.attrs["center_px"] = self.center
            data.attrs["probe_radius_px"] = self.probe_radius
            for name, values, definition in (
                ("labels", self.masks, labels),
                ("thickness", self.thickness, "of each grain along the beam, A"),
                ("orientations", self.orientations, orientations),
            ):
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
    film = silver_film(scan_shape, np.random.default_rng(film_seed))
    basis, support, thermal = _basis(film.beams, detector_shape, center, q_step)
    shares = film.shares(support, thermal)
    counts = _count(shares, basis, dose, (*scan_shape, *detector_shape), np.random.default_rng(noise_seed))
    inner = np.stack([t[film.margin : -film.margin, film.margin : -film.margin] for t in film.depth])
    metadata = {
        "beam_energy_eV": ENERGY,
        "dose_e_per_pattern": float(dose),
        "seed": int(seed),
        "simulated": "kinematic",
    }
    dataset = Dataset.from_array(counts, scan_step=SCAN_STEP / 10, q_step=q_step * 10, name=NAME, metadata=metadata)
    return Sample(
        dataset,
        inner > TRUE_THICKNESS,
        inner.astype(np.float32),
        np.stack(film.orientations),
        center,
        float(PROBE_RADIUS / q_step),
    )


def _basis(
    beams: list[Beams], detector_shape: tuple[int, int], center: tuple[float, float], q_step: float
) -> tuple[sparse.csr_array, float, float]:
    """The patterns (b, pixels) whose weighted sum each pattern is, in the order of `Film.shares`; diffuse sums."""
    rows, columns = np.ogrid[: detector_shape[0], : detector_shape[1]]
    support, thermal = diffuse_scattering(np.hypot(rows - center[0], columns - center[1]) * q_step, q_step)
    radius = PROBE_RADIUS / q_step
    spots = [disks(b.q, detector_shape, center, q_step, radius) for b in beams]
    direct = disks(np.zeros((1, 2)), detector_shape, center, q_step, radius)
    basis = sparse.vstack(
        [direct, sparse.csr_array(np.stack([support.ravel(), thermal.ravel()])), *spots], format="csr"
    )
    return basis, float(support.sum()), float(thermal.sum())


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
