"""Small scans with known grains, for the tests of clustering."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Table:
    """What clustering needs of a representation."""

    values: np.ndarray
    scan_shape: tuple[int, int]


def grain_table(scan: int = 24, grains: int = 5, columns: int = 40, noise: float = 0.02, seed: int = 0) -> Table:
    """Discs on a scan, some overlapping, each with a sparse pattern of its own."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:scan, :scan]
    values = noise * random.random((scan * scan, columns))
    for grain in range(grains):
        centre = scan * (0.2 + 0.6 * random.random(2))
        weight = 1 / (1 + np.exp(np.hypot(y - centre[0], x - centre[1]) - scan / 6))
        pattern = np.zeros(columns)
        pattern[grain :: grains + 1] = random.random(len(pattern[grain :: grains + 1])) + 0.3
        values += weight.reshape(-1, 1) * pattern
    return Table(values.astype(np.float32), (scan, scan))


@pytest.fixture(scope="session")
def table() -> Table:
    """One scan of 24 x 24 with five grains."""
    return grain_table()


@pytest.fixture(scope="session")
def matrix(table: Table) -> np.ndarray:
    """Its feature matrix as V: 576 x 40, 0 to 1."""
    return table.values / table.values.max()
