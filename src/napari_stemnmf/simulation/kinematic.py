"""Kinematic diffraction patterns of crystals of any orientation and thickness.

Fast electrons of wavelength lambda along +z through a crystal of thickness t excite the reflection g, off the Ewald
sphere by s, with the intensity (pi t / xi_g)^2 sinc^2(s t): structure factor in the extinction distance xi_g, shape
factor in the sinc (Williams & Carter, Transmission Electron Microscopy, chs. 13 and 16). Good while t is well under
xi_g. Lab axes: x along scan_x and q_x, y along scan_y and q_y, z along the beam. Lengths in Å, reciprocal lengths in
1/Å.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.simulation.crystals import Reflections, scattering_factor

REST_ENERGY = 510998.95
"""of the electron, eV"""
HC = 12398.41984
"""h c, eV Å"""


@dataclass(frozen=True, eq=False)
class Beams:
    """The diffracted beams of one crystal in one orientation.

    Attributes
    ----------
    hkl : ndarray of int, (r, 3)
        Miller indices.
    q : ndarray, (r, 2)
        Where they hit the detector: (q_y, q_x) from the direct beam, 1/Å.
    excitation : ndarray, (r,)
        Excitation error s, 1/Å; positive inside the Ewald sphere.
    extinction : ndarray, (r,)
        Extinction distance, Å.
    """

    hkl: np.ndarray
    q: np.ndarray
    excitation: np.ndarray
    extinction: np.ndarray

    def intensity(self, thickness: np.ndarray | float) -> np.ndarray:
        """Share of the incident beam in each diffracted one, (..., r), for thicknesses (...) in Å."""
        t = np.asarray(thickness, dtype=np.float64)[..., None]
        return (np.pi * t / self.extinction) ** 2 * np.sinc(self.excitation * t) ** 2


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
    return Beams(
        reflections.hkl[near],
        g[near][:, [1, 0]],
        excitation[near],
        extinction_distance(reflections, energy)[near],
    )


def disks(
    q: np.ndarray, shape: tuple[int, int], center: tuple[float, float], q_step: float, radius: float
) -> csr_array:
    """Disks of radius `radius` (px) about reciprocal points, as sparse rows (r, q_y * q_x) that each sum to 1.

    A pixel's value is the share of it that the disk covers, to first order: a soft edge one pixel wide. Disks that
    reach over the detector's edge lose what lies outside.

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
