"""Kinematic diffraction of crystals of any orientation and thickness: reflections, beams, disks on a detector.

Fast electrons of wavelength lambda along +z through a crystal of thickness t excite the reflection g, off the Ewald
sphere by s, with the intensity (pi t / xi_g)^2 sinc^2(s t): structure factor in the extinction distance xi_g, shape
factor in the sinc (Williams & Carter, Transmission Electron Microscopy, chs. 13 and 16). Good while t is well under
xi_g. Electron scattering factors come from the Cromer-Mann fits of the X-ray ones (International Tables for
Crystallography C, 6.1.1.4) by the Mott-Bethe formula; good for reflections, sin(theta)/lambda from about 0.1 to 2 1/Å,
not for the forward direction. Lab axes: x along scan_x and q_x, y along scan_y and q_y, z along the beam. Lengths in Å,
reciprocal lengths in 1/Å without 2 pi.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.errors import DataError

REST_ENERGY = 510998.95
"""Of the electron, eV."""
HC = 12398.41984
"""h c, eV Å."""
MOTT_BETHE = 0.023933754
"""m e^2 / (8 pi eps0 h^2) in 1/Å: f_e(s) = MOTT_BETHE (Z - f_x(s)) / s^2."""

# Atomic number; a1, b1, a2, b2, a3, b3, a4, b4, c.
CROMER_MANN: dict[str, tuple[int, tuple[float, ...]]] = {
    "C": (6, (2.31, 20.8439, 1.02, 10.2075, 1.5886, 0.5687, 0.865, 51.6512, 0.2156)),
    "Al": (13, (6.4202, 3.0387, 1.9002, 0.7426, 1.5936, 31.5472, 1.9646, 85.0886, 1.1151)),
    "Cu": (29, (13.338, 3.5828, 7.1676, 0.247, 5.6158, 11.3966, 1.6735, 64.8126, 1.191)),
    "Ag": (47, (19.2808, 0.6446, 16.6885, 7.4726, 4.8045, 24.6605, 1.0463, 99.8156, 5.179)),
    "Au": (79, (16.8819, 0.4611, 18.5913, 8.6216, 25.5582, 1.4826, 5.86, 36.3956, 12.0658)),
}


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal structure."""

    lattice: np.ndarray  # (3, 3): lattice vectors as rows, Å
    positions: np.ndarray  # (atoms, 3): fractional coordinates
    elements: tuple[str, ...]  # element of each atom
    debye_waller: float = 0.0  # isotropic B, Å²

    @property
    def reciprocal(self) -> np.ndarray:
        """Reciprocal lattice vectors as rows, (3, 3), 1/Å."""
        return np.linalg.inv(self.lattice).T

    @property
    def volume(self) -> float:
        """Volume of the unit cell, Å³."""
        return float(abs(np.linalg.det(self.lattice)))


@dataclass(frozen=True, eq=False)
class Reflections:
    """The allowed reflections of a crystal, by length and then by index."""

    hkl: np.ndarray  # (r, 3) int: Miller indices
    g: np.ndarray  # (r, 3): reciprocal vectors in the crystal's frame, 1/Å
    structure_factor: np.ndarray  # (r,) complex: of the unit cell, for electrons at rest, with Debye-Waller factor, Å
    volume: float  # of the unit cell, Å³


@dataclass(frozen=True, eq=False)
class Beams:
    """The diffracted beams of one crystal in one orientation."""

    hkl: np.ndarray  # (r, 3) int: Miller indices
    q: np.ndarray  # (r, 2): where they hit the detector, (q_y, q_x) from the direct beam, 1/Å
    excitation: np.ndarray  # (r,): excitation error s, 1/Å; positive inside the Ewald sphere
    extinction: np.ndarray  # (r,): extinction distance, Å

    def intensity(self, thickness: np.ndarray | float) -> np.ndarray:
        """Share of the incident beam in each diffracted one, (..., r), for thicknesses (...) in Å."""
        t = np.asarray(thickness, dtype=np.float64)[..., None]
        return (np.pi * t / self.extinction) ** 2 * np.sinc(self.excitation * t) ** 2


def fcc(element: str = "Ag", lattice_constant: float = 4.0853, debye_waller: float = 0.7) -> Crystal:
    """A face-centred cubic metal; by default silver. Lengths in Å, B in Å²."""
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return Crystal(np.eye(3) * lattice_constant, corners, (element,) * 4, debye_waller)


def random_rotations(count: int, generator: np.random.Generator) -> np.ndarray:
    """Uniformly distributed rotations R, (count, 3, 3), with v_lab = R @ v_crystal."""
    from scipy.spatial.transform import Rotation

    quaternions = generator.standard_normal((count, 4))  # a Gaussian has no direction, so its unit vectors are uniform
    return Rotation.from_quat(quaternions).as_matrix()


def scattering_factor(element: str, q: np.ndarray) -> np.ndarray:
    """Electron scattering factor at rest, Å, at the reciprocal length q = 2 sin(theta)/lambda > 0 in 1/Å.

    Raises
    ------
    DataError
        If the element is not in the table.
    """
    if element not in CROMER_MANN:
        raise DataError(f"No scattering factor of '{element}' is known; the table has {', '.join(CROMER_MANN)}.")
    number, fit = CROMER_MANN[element]
    s_squared = np.asarray(q, dtype=np.float64) ** 2 / 4
    xray = fit[8] + sum(a * np.exp(-b * s_squared) for a, b in zip(fit[0:8:2], fit[1:8:2], strict=True))
    return np.asarray(MOTT_BETHE * (number - xray) / s_squared)


def reflections(crystal: Crystal, q_max: float) -> Reflections:
    """All reflections with 0 < |g| <= `q_max` (1/Å) whose structure factor does not vanish."""
    bound = np.floor(q_max * np.linalg.norm(crystal.lattice, axis=1)).astype(int)  # |h| = |g . a| <= |g| |a|
    ranges = [np.arange(-n, n + 1) for n in bound]
    hkl = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    g = hkl @ crystal.reciprocal
    length = np.linalg.norm(g, axis=1)
    near = (length > 0) & (length <= q_max)
    hkl, g, length = hkl[near], g[near], length[near]
    phases = np.exp(-2j * np.pi * hkl @ crystal.positions.T)
    factors = np.stack([scattering_factor(e, length) for e in crystal.elements], axis=1)
    F = (phases * factors).sum(axis=1) * np.exp(-crystal.debye_waller * length**2 / 4)
    allowed = np.abs(F) > 1e-6 * np.abs(factors).sum(axis=1)
    hkl, g, length, F = hkl[allowed], g[allowed], length[allowed], F[allowed]
    order = np.lexsort((hkl[:, 2], hkl[:, 1], hkl[:, 0], np.round(length, 9)))
    return Reflections(hkl[order], g[order], F[order], crystal.volume)


def wavelength(energy: float) -> float:
    """Relativistic wavelength in Å of electrons of an energy in eV."""
    return float(HC / np.sqrt(energy * (energy + 2 * REST_ENERGY)))


def mass_factor(energy: float) -> float:
    """Relativistic mass over rest mass, at an energy in eV."""
    return 1.0 + energy / REST_ENERGY


def excitation_error(g: np.ndarray, wave: float) -> np.ndarray:
    """Distance s of reciprocal points (..., 3) to the Ewald sphere along the diffracted beam, 1/Å; positive inside.

    `wave` is the wavelength in Å; the beam runs along +z.
    """
    g = np.asarray(g, dtype=np.float64)
    diffracted = g + np.array([0.0, 0.0, 1.0 / wave])
    return 1.0 / wave - np.linalg.norm(diffracted, axis=-1)


def extinction_distance(reflections: Reflections, energy: float) -> np.ndarray:
    """xi_g = pi V / (lambda gamma |F_g|) in Å, (r,), for electrons of an energy in eV."""
    return (
        np.pi * reflections.volume / (wavelength(energy) * mass_factor(energy) * np.abs(reflections.structure_factor))
    )


def diffracted_beams(
    reflections: Reflections, rotation: np.ndarray, energy: float, excitation_max: float = 0.05
) -> Beams:
    """The beams of a crystal rotated by R (3, 3), v_lab = R @ v_crystal, at an energy in eV.

    Reflections with an excitation error above `excitation_max` (1/Å) are left out: for a thickness t, those past 1/t
    are side lobes.
    """
    g = reflections.g @ np.asarray(rotation).T
    excitation = excitation_error(g, wavelength(energy))
    near = np.abs(excitation) <= excitation_max
    extinction = extinction_distance(reflections, energy)[near]
    return Beams(reflections.hkl[near], g[near][:, [1, 0]], excitation[near], extinction)


def disks(
    q: np.ndarray, shape: tuple[int, int], center: tuple[float, float], q_step: float, radius: float
) -> csr_array:
    """Disks of radius `radius` (px) about reciprocal points, as sparse rows (r, q_y * q_x) that each sum to 1.

    A pixel's value is the share of it that the disk covers, to first order: a soft edge one pixel wide. Disks that
    reach over the detector's edge lose what is outside.

    Parameters
    ----------
    q : ndarray, (r, 2)
        (q_y, q_x), 1/Å.
    shape : tuple of int
        Detector rows and columns.
    center : tuple of float
        Direct beam (q_y, q_x), px.
    q_step : float
        1/Å a pixel.
    radius : float
        px.
    """
    positions = np.asarray(q, dtype=np.float64).reshape(-1, 2) / q_step + np.asarray(center)
    reach = int(np.ceil(radius + 1))
    offsets = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    pixels = np.round(positions).astype(np.int64)[:, None, :] + offsets  # (r, window, 2)
    distance = np.linalg.norm(pixels - positions[:, None, :], axis=-1)
    values = np.clip(radius + 0.5 - distance, 0.0, 1.0)
    values /= values.sum(axis=1, keepdims=True)
    inside = ((pixels >= 0) & (pixels < np.asarray(shape))).all(axis=-1) & (values > 0)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], inside.shape)[inside]
    columns = pixels[..., 0][inside] * shape[1] + pixels[..., 1][inside]
    return csr_array((values[inside], (rows, columns)), shape=(len(positions), shape[0] * shape[1]))


def diffuse(
    element: str, q: np.ndarray, energy: float, q_step: float, debye_waller: float | None = None, q_core: float = 0.1
) -> np.ndarray:
    """Share of the beam that one atom per Å² scatters into each pixel, incoherently, at reciprocal lengths q.

    Without a Debye-Waller factor the atoms are taken as independent (an amorphous support); with one (B, Å²), it is the
    thermal diffuse part, (1 - exp(-B q^2 / 2)) of that. Below `q_core` (1/Å) the profile is held constant: the fits do
    not reach there.
    """
    q = np.maximum(np.asarray(q, dtype=np.float64), q_core)
    share = (mass_factor(energy) * wavelength(energy) * q_step * scattering_factor(element, q)) ** 2
    return share if debye_waller is None else share * (1 - np.exp(-debye_waller * q**2 / 2))
