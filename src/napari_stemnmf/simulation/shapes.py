"""Shapes of crystallites in a film: facetted grains that stop where they meet, and their thickness along the beam.

A grain is the set of points inside all of its planes n . r <= d, seen from its centre: the facets of an equilibrium
(Wulff) shape, turned with the lattice, and the planes halfway to its neighbours (Bruefach, Ophus & Scott 2022, "Ag Film
4D-STEM Simulation"). Lengths in Å; lab axes x along scan_x, y along scan_y, z along the beam.
"""

from __future__ import annotations

from itertools import product

import numpy as np


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


def thickness(normals: np.ndarray, offsets: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
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
