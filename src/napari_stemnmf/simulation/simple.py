"""Scans whose grains anyone can count: one crystal, two that meet, half a crystal, a film without crystals, a vacuum.

Real scans are often so plain, and methods that look for contrast between grains find none in them. Silver diffracts
kinematically, as in `film`; amorphous carbon scatters diffusely, with the speckle of its few atoms under the probe.
Lengths in Å; lab axes x along scan_x, y along scan_y, z along the beam.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.diffraction import (
    Beams,
    diffracted_beams,
    diffuse,
    disks,
    fcc,
    random_rotations,
    reflections,
)
from napari_stemnmf.simulation.film import ENERGY, MIN_DISKS, Q_MAX, SUPPORT

KINDS = {
    "uniform": 1, "crystal": 1, "bent": 1, "wedge": 1, "bicrystal": 2, "half": 1, "large": 1, "hole": 1,
    "vacuum": 0, "amorphous": 0,
}  # fmt: skip
"""Every kind of scan, and how many grains it has.

uniform: a crystal of even thickness fills the scan; crystal: its thickness varies; bent: its orientation, by 1 degree;
wedge: its thickness rises from 5 to 20 nm; bicrystal: two crystals meet in the middle; half: a crystal on one half,
amorphous carbon under all; large: a round crystal on about half of the scan; hole: a crystal with a hole in it, of a
fifth of the scan; vacuum: the direct beam alone; amorphous: carbon with speckle.
"""

PROBE_RADIUS = 2.5 / 40  # 1/Å, as the sample's
BLUR, SPECKLE, SPECKLE_REACH = 0.7, 0.25, 0.7  # of edges, px; contrast of the speckle; over how far it is alike, px


class SimpleScan(NamedTuple):
    """A simple scan and its truth."""

    dataset: Dataset
    masks: np.ndarray
    """(g, scan_y, scan_x) bool: where each grain is."""


def simple_scan(
    kind: str,
    scan_shape: tuple[int, int] = (18, 20),
    detector_shape: tuple[int, int] = (64, 64),
    seed: int = 0,
    dose: float = 1e5,
) -> SimpleScan:
    """Simulate a scan of one of `KINDS`; the same arguments give the same scan.

    Parameters
    ----------
    kind : str
    scan_shape, detector_shape : tuple of int
        Rows and columns. The shorter side of the detector spans 2.4 1/Å.
    seed : int
        Of orientations, thickness, speckle and noise.
    dose : float
        Electrons a pattern.

    Raises
    ------
    DataError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise DataError(f"There is no simple scan '{kind}'; choose from {', '.join(KINDS)}.")
    generator = np.random.default_rng([seed, list(KINDS).index(kind)])
    depth, tilt = _crystals(kind, scan_shape, generator)
    q_step = 2 * Q_MAX / min(detector_shape)
    center = ((detector_shape[0] - 1) / 2 + 0.2, (detector_shape[1] - 1) / 2 - 0.3)
    patterns = np.zeros((*scan_shape, detector_shape[0] * detector_shape[1]))
    for thickness in depth:
        patterns += _diffracted(thickness, tilt, detector_shape, center, q_step, generator)
    if kind != "vacuum":
        rows, columns = np.ogrid[: detector_shape[0], : detector_shape[1]]
        q = np.hypot(rows - center[0], columns - center[1]) * q_step
        carbon = SUPPORT * diffuse("C", q, ENERGY, q_step).ravel()
        patterns += carbon * _speckle(scan_shape, detector_shape, PROBE_RADIUS / q_step, generator)
    direct = disks(np.zeros((1, 2)), detector_shape, center, q_step, PROBE_RADIUS / q_step).toarray()[0]
    scattered = patterns.sum(axis=-1, keepdims=True)  # kinematic intensities know no bound: Poisson's law for events
    single = np.where(scattered > 0, -np.expm1(-scattered) / np.maximum(scattered, 1e-12), 1.0)
    patterns = patterns * single + np.exp(-scattered) * direct
    counts = np.minimum(generator.poisson(patterns * dose), np.iinfo(np.uint16).max).astype(np.uint16)
    dataset = Dataset.from_array(
        counts.reshape(*scan_shape, *detector_shape), scan_step=0.5, q_step=q_step * 10, name=f"{kind} (simple scan)"
    )
    return SimpleScan(dataset, np.stack([d > 0 for d in depth]) if depth else np.zeros((0, *scan_shape), bool))


def _crystals(kind: str, shape: tuple[int, int], generator: np.random.Generator) -> tuple[list[np.ndarray], float]:
    """Thickness (scan_y, scan_x) of each crystal along the beam, Å, and the tilt across the scan, degrees."""
    if kind in ("vacuum", "amorphous"):
        return [], 0.0
    y, x = ((np.arange(n) + 0.5) / n for n in shape)
    y, x = y[:, None], x[None, :]
    rough = ndimage.gaussian_filter(generator.standard_normal(shape), max(shape) / 8)
    rough = rough / rough.std() if rough.std() > 0 else rough
    thickness = np.full(shape, 100.0) if kind in ("uniform", "bent") else np.clip(100.0 + 25.0 * rough, 40.0, 180.0)
    if kind == "wedge":
        thickness = 50.0 + 150.0 * (x + 0 * y)
    radius = np.hypot(y - generator.uniform(0.45, 0.55), x - generator.uniform(0.45, 0.55))
    across = np.cos(angle := generator.uniform(0, np.pi)) * (x - 0.5) + np.sin(angle) * (y - 0.5) > 0
    inside = {"bicrystal": across, "half": across, "large": radius < 0.4, "hole": radius > 0.25}.get(kind)
    if inside is None:
        return [thickness], 1.0 if kind == "bent" else 0.0
    parts = [inside, ~inside] if kind == "bicrystal" else [inside]
    return [np.where(part, thickness, 0.0) for part in parts], 0.0


def _diffracted(
    thickness: np.ndarray,
    tilt: float,
    detector: tuple[int, int],
    center: tuple[float, float],
    q_step: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """What a crystal diffracts, as shares of the beam: (scan_y, scan_x, pixels); tilted by `tilt` degrees along x."""
    from scipy.spatial.transform import Rotation

    possible = reflections(fcc("Ag"), Q_MAX * np.sqrt(2) + 0.2)
    for rotation in random_rotations(1000, generator):
        beams = diffracted_beams(possible, rotation, ENERGY)
        inside = np.linalg.norm(beams.q, axis=1) < 0.95 * Q_MAX
        if (beams.intensity(100.0)[inside] >= 0.02).sum() >= MIN_DISKS:
            break
    out = np.zeros((*thickness.shape, detector[0] * detector[1]))
    for column in range(thickness.shape[1]):
        here: Beams = beams
        if tilt:
            turn = Rotation.from_euler("y", tilt * (column / thickness.shape[1] - 0.5), degrees=True).as_matrix()
            here = diffracted_beams(possible, turn @ rotation, ENERGY)
        spots = disks(here.q, detector, center, q_step, PROBE_RADIUS / q_step)
        out[:, column] = here.intensity(thickness[:, column]) @ spots
    return ndimage.gaussian_filter(out, (BLUR, BLUR, 0), mode="nearest") if len(np.unique(thickness > 0)) > 1 else out


def _speckle(
    scan: tuple[int, int], detector: tuple[int, int], radius: float, generator: np.random.Generator
) -> np.ndarray:
    """What the diffuse scattering of each pattern is multiplied by: (scan_y, scan_x, pixels), 1 on average."""
    noise = generator.standard_normal((*scan, *detector))
    noise = ndimage.gaussian_filter(noise, (SPECKLE_REACH, SPECKLE_REACH, 0.6 * radius, 0.6 * radius), mode="wrap")
    return np.maximum(1.0 + SPECKLE * noise / noise.std(), 0.0).reshape(*scan, -1)
