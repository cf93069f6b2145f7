"""Patterns with known disks, and measured scans, for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.disks.template import soft_disk, synthetic_kernel


@dataclass(frozen=True)
class Lattice:
    """Patterns (1, n, size, size) with disks, expected counts without noise, and where the disks are (n, k, 2)."""

    expected: np.ndarray
    truth: np.ndarray
    radius: float

    @property
    def counts(self) -> np.ndarray:
        """Poisson counts, uint16; always the same."""
        return np.random.default_rng(0).poisson(self.expected).astype(np.uint16)

    @property
    def size(self) -> int:
        """Rows and columns of a pattern."""
        return self.expected.shape[-1]

    def dataset(self) -> Dataset:
        """The counts as a scan."""
        return Dataset.from_array(self.counts)

    def probe(self, mask: np.ndarray | None = None, hidden: bool = False) -> Probe:
        """The probe that is known from how the patterns were made."""
        middle = (self.size - 1) / 2
        kernel = synthetic_kernel(self.radius)
        return Probe(kernel, self.radius, middle, middle, mask, hidden, "synthetic", (self.size, self.size))


def make_lattice(size: int = 126, patterns: int = 4, dose: float = 1e5, height: float = 0.1, seed: int = 0) -> Lattice:
    """A central disk and twenty weaker ones on a square lattice, turned by another angle in each pattern.

    As one camera binned differently: lengths follow `size`. `height` is that of a disk over the central one's.
    """
    rng = np.random.default_rng(seed)
    radius, step = 2.67 * size / 126, 20.0 * size / 126
    order = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2, indexing="ij"), -1).reshape(-1, 2)
    order = order[np.abs(order).sum(1) < 4]
    y, x = np.indices((size, size))
    expected = np.empty((1, patterns, size, size))
    truth = np.empty((patterns, len(order), 2))
    for p in range(patterns):
        angle = rng.uniform(0, np.pi / 2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        truth[p] = step * order @ turn + (size - 1) / 2 + rng.uniform(-1, 1, 2)
        image = 0.02 * np.exp(-np.hypot(y - size / 2, x - size / 2) / (size / 6))
        for (q_y, q_x), (i, j) in zip(truth[p], order, strict=True):
            image = image + soft_disk(np.hypot(y - q_y, x - q_x), radius) * (1.0 if i == j == 0 else height)
        expected[0, p] = dose * image / image.sum()
    return Lattice(expected, truth, radius)


def match_disks(peaks: Peaks, truth: np.ndarray, reach: float) -> tuple[float, float, float]:
    """Recall, precision and position RMS (px along one axis) of found disks against the true ones (n, k, 2)."""
    hits, errors = 0, []
    for p, wanted in enumerate(truth):
        rows = peaks.of(p)
        found = np.stack([peaks.q_y[rows], peaks.q_x[rows]], axis=1)
        for place in wanted:
            off = found - place
            near = np.hypot(*off.T)
            if len(near) and near.min() < reach:
                hits += 1
                errors.append(off[near.argmin()])
    rms = float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan")
    return hits / truth[..., 0].size, hits / max(len(peaks), 1), rms


@pytest.fixture(scope="session")
def lattice() -> Callable[..., Lattice]:
    """Makes patterns with disks on a lattice; see `make_lattice`."""
    return make_lattice


@pytest.fixture(scope="session")
def match() -> Callable[..., tuple[float, float, float]]:
    """Compares found with true disks; see `match_disks`."""
    return match_disks


@pytest.fixture(scope="session")
def small() -> Lattice:
    """Four patterns of 126 x 126 pixels."""
    return make_lattice()
