"""A twisted nanowire as a body: two strands wound about one axis, each made of many crystals.

The sizes are those of the wires of Bruefach, Ophus & Scott (2022), "Pd@AuAg Twisted Nanowires": 5 to 10 nm across, a
core of pieces of about 2 nm, a thicker shell of larger crystals that lie along the strand. Lengths in Å; lab
axes x along scan_x, y along scan_y and along the wire, z along the beam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from napari_stemnmf.simulation.diffraction import random_rotations
from napari_stemnmf.study.films import ScanGrid

RADIUS = 23.0
"""Of a strand, and how far its middle lies from the common axis."""
ROUGHNESS = 2.0
"""How far the radius of a strand goes up and down."""
PITCH = 360.0
"""Length along the axis in which a strand winds once about it."""
CORE = 9.0
"""Radius of a strand's fine-grained core."""
CORE_PIECES = (14.0, 26.0)
"""Shortest and longest piece of the core, along the strand."""
SHELL_PIECES = (50.0, 170.0)
"""Shortest and longest crystal of the shell, along the strand."""
SECTORS = 2
"""Crystals of the shell side by side around a core."""
ELONGATION = 4.0
"""How much farther a crystal of the shell grows along the strand than across."""
TEXTURED = 0.5
"""Share of the shell's crystals with a <110> direction along the strand, as far as SPREAD allows."""
SPREAD = 6.0
"""Standard deviation of that direction about each axis, degrees."""
EDGE = 10.0
"""What the wire keeps away from the long edges of the scan, where there is room."""
STEP = 1.0
"""Along the beam and along a strand."""


@dataclass(frozen=True, eq=False)
class Wire:
    """The crystals of a wire."""

    thickness: np.ndarray  # (g, scan_y, scan_x) float32: of each crystal along z at the probe positions, Å
    orientations: np.ndarray  # (g, 3, 3): rotations R with v_lab = R @ v_crystal
    centers: np.ndarray  # (g, 3): x, y, z of the centroids of what is on the scan, Å
    strands: np.ndarray  # (g,) int: 0 or 1
    core: np.ndarray  # (g,) bool: whether a crystal is a piece of a core


@dataclass(frozen=True, eq=False)
class _Strand:
    """A strand's middle line, sampled each STEP, and its crystals as seeds of Voronoi cells."""

    line: np.ndarray  # (n, 3) x, y, z
    tangent: np.ndarray  # (n, 3)
    length: np.ndarray  # (n,) along the line
    radius: np.ndarray  # (n,)
    shell: np.ndarray  # (s, 3) seeds: length / ELONGATION, and two coordinates across
    core: np.ndarray  # (c,) seeds: length


def twisted_wire(scan: ScanGrid, generator: np.random.Generator, margin: int = 0) -> Wire:
    """A wire that runs through the scan from its first row to its last; the same generator gives the same wire.

    Parameters
    ----------
    scan : ScanGrid
        Where the probe stands.
    generator : numpy.random.Generator
        What all chance comes from.
    margin : int
        Probe positions around the scan that the thickness is wanted on as well.
    """
    wide = scan.grown(margin)
    strands = _strands(scan, wide, generator)
    z = np.arange(-2 * RADIUS - ROUGHNESS, 2 * RADIUS + ROUGHNESS, STEP) + STEP / 2
    points = np.stack(np.meshgrid(wide.x, wide.y, z, indexing="xy"), axis=-1).reshape(-1, 3)
    owner, near = np.full(len(points), -1), np.ones(len(points))
    rotations: list[np.ndarray] = []
    strand_of: list[int] = []
    core_of: list[bool] = []
    for number, strand in enumerate(strands):
        inside, depth, crystal = _crystals_at(strand, points)
        closer = depth < near[inside]  # where the strands touch, a point is of that in which it lies deeper
        owner[inside[closer]] = crystal[closer] + len(core_of)
        near[inside[closer]] = depth[closer]
        rotations.append(_orientations(strand, generator))
        core_of += [False] * len(strand.shell) + [True] * len(strand.core)
        strand_of += [number] * len(rotations[-1])
    taken = owner >= 0
    there, index = np.unique(owner[taken], return_inverse=True)
    columns = wide.shape[0] * wide.shape[1]
    column = np.arange(len(points)) // (len(points) // columns)
    filled = np.bincount(index * columns + column[taken], minlength=len(there) * columns).reshape(-1, *wide.shape)
    middle = np.stack([np.bincount(index, points[taken, axis]) for axis in range(3)], axis=1)
    centers, thickness = middle / filled.sum(axis=(1, 2))[:, None], (filled * STEP).astype(np.float32)
    strand, core = np.array(strand_of)[there], np.array(core_of)[there]
    return Wire(thickness, np.concatenate(rotations)[there], centers, strand, core)


def _strands(scan: ScanGrid, wide: ScanGrid, generator: np.random.Generator) -> list[_Strand]:
    """Both strands; their common axis leans and bends as far as the scan has room for it."""
    y = np.arange(wide.y[0] - SHELL_PIECES[1], wide.y[-1] + SHELL_PIECES[1], STEP)
    across = scan.x[-1] - scan.x[0]
    room = max(across / 2 - 2 * RADIUS - ROUGHNESS - EDGE, 0.0)
    lean = generator.choice([-1.0, 1.0]) * 0.6 * room * np.linspace(-1, 1, len(y))
    axis = (scan.x[0] + scan.x[-1]) / 2 + lean + 0.35 * room * _wave(y, 400.0, generator)
    phase = 2 * np.pi * (y / PITCH + generator.uniform()) + 0.4 * _wave(y, 300.0, generator)
    made = []
    for turn in (phase, phase + np.pi):
        line = np.stack([axis + RADIUS * np.cos(turn), y, RADIUS * np.sin(turn)], axis=1)
        slope = np.gradient(line, STEP, axis=0)
        run = np.linalg.norm(slope, axis=1)
        length = np.cumsum(run) * STEP
        radius = RADIUS + ROUGHNESS * _wave(y, 60.0, generator)
        shell = [_shell(length[-1], 2 * np.pi * k / SECTORS, generator) for k in range(SECTORS)]
        core = _cuts(length[-1], CORE_PIECES, generator)
        made.append(_Strand(line, slope / run[:, None], length, radius, np.concatenate(shell), core))
    return made


def _wave(along: np.ndarray, shortest: float, generator: np.random.Generator) -> np.ndarray:
    """A smooth random line within -1 and 1, its waves `shortest` and up to four times as long."""
    lengths, phases = shortest * 4 ** generator.uniform(size=6), generator.uniform(size=6)
    return np.asarray(np.sin(2 * np.pi * (along[:, None] / lengths + phases)).mean(axis=1))


def _cuts(length: float, pieces: tuple[float, float], generator: np.random.Generator) -> np.ndarray:
    """Middles of pieces of random length that follow each other from 0 to past `length`."""
    ends = np.cumsum(generator.uniform(*pieces, size=int(length / pieces[0]) + 2)) - generator.uniform(0, pieces[1])
    return np.asarray((ends[1:] + ends[:-1]) / 2)[: np.searchsorted(ends, length) + 1]


def _shell(length: float, angle: float, generator: np.random.Generator) -> np.ndarray:
    """Seeds of the crystals of one sector of the shell, at some angle about the core."""
    along = _cuts(length, SHELL_PIECES, generator)
    angles = angle + generator.uniform(-0.4, 0.4, len(along))
    out = (CORE + RADIUS) / 2
    return np.stack([along / ELONGATION, out * np.cos(angles), out * np.sin(angles)], axis=1)


def _crystals_at(strand: _Strand, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which points lie in the strand, how far from its middle (1 at its surface), and in which crystal of it."""
    distance, index = KDTree(strand.line).query(points, distance_upper_bound=RADIUS + ROUGHNESS)
    inside = np.flatnonzero(distance < np.append(strand.radius, 0.0)[index])
    distance, index = distance[inside], index[inside]
    offset = points[inside] - strand.line[index]
    sideways = np.cross(strand.tangent[index], [0.0, 0.0, 1.0])
    sideways /= np.linalg.norm(sideways, axis=1, keepdims=True)
    upward = np.cross(sideways, strand.tangent[index])
    place = [strand.length[index] / ELONGATION, (offset * sideways).sum(axis=1), (offset * upward).sum(axis=1)]
    shell = KDTree(strand.shell).query(np.stack(place, axis=1))[1]
    core = KDTree(strand.core[:, None]).query(strand.length[index][:, None])[1]
    crystal = np.where(distance < CORE, len(strand.shell) + core, shell)
    return inside, distance / strand.radius[index], crystal


def _orientations(strand: _Strand, generator: np.random.Generator) -> np.ndarray:
    """(g, 3, 3), shell before core: random ones, and some of the shell with <110> along the strand."""
    rotations = random_rotations(len(strand.shell) + len(strand.core), generator)
    textured = np.flatnonzero(generator.uniform(size=len(strand.shell)) < TEXTURED)
    at = np.searchsorted(strand.length, strand.shell[textured, 0] * ELONGATION).clip(0, len(strand.length) - 1)
    for crystal, tangent in zip(textured, strand.tangent[at], strict=True):
        about = generator.uniform(0, 2 * np.pi)
        tilt = Rotation.from_rotvec(np.radians(SPREAD) * generator.standard_normal(3))
        along = _frame(tangent) @ Rotation.from_rotvec([about, 0, 0]).as_matrix() @ _frame(np.array([1.0, 1.0, 0.0])).T
        rotations[crystal] = tilt.as_matrix() @ along
    return rotations


def _frame(first: np.ndarray) -> np.ndarray:
    """A right-handed orthonormal frame as columns, the first of them along `first`, which is not along z."""
    first = first / np.linalg.norm(first)
    second = np.cross([0.0, 0.0, 1.0], first)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)], axis=1)
