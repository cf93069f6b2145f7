"""Tables of disks as a search for disks would give them, for the tests of the calibration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.study.distorted import Distorted


def found_in(scan: Distorted, *, noise: float = 0.08, missed: float = 0.1, false: float = 0.1, seed: int = 0) -> Peaks:
    """The disks of a simulated scan as they would be found: displaced, some missed, some that are none."""
    chance = np.random.default_rng(seed)
    n, shape = len(scan.offsets) - 1, scan.dataset.detector_shape
    pattern = np.repeat(np.arange(n), np.diff(scan.offsets))
    seen = (scan.snr * scan.probe_radius > 5.0) & (chance.random(len(pattern)) > missed)
    if scan.mask is not None:
        clear = ndimage.distance_transform_edt(scan.mask)
        seen &= clear[tuple(np.clip(np.rint([scan.q_y, scan.q_x]).astype(int), 0, shape[0] - 1))] > scan.probe_radius
    where = np.stack([scan.q_y, scan.q_x], axis=1)[seen] + chance.normal(0, noise, (int(seen.sum()), 2))
    wrong = int(false * len(where))
    pattern = np.concatenate([pattern[seen], chance.integers(0, n, wrong)])
    where = np.concatenate([where, chance.uniform(0, shape[0] - 1, (wrong, 2))])
    height = np.concatenate([scan.height[seen], chance.choice(scan.height[seen], wrong)])
    central = scan.center.reshape(-1, 2) + chance.normal(0, 0.05, (n, 2))
    central[:] = np.nan if scan.mask is not None else central
    order = np.lexsort((-height, pattern))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pattern, minlength=n))])
    q_y, q_x = where[order].T.astype(np.float32)
    height = height[order].astype(np.float32)
    return Peaks(offsets, q_y, q_x, height, height, central.astype(np.float32), scan.dataset.scan_shape, shape)


def probe_of(scan: Distorted, miss: tuple[float, float] = (1.5, -1.0)) -> Probe:
    """A probe whose centre is somewhat off behind a beam stop."""
    hidden = scan.mask is not None
    q_y, q_x = scan.center.mean(axis=(0, 1)) + (np.array(miss) if hidden else 0.0)
    mask = ndimage.distance_transform_edt(scan.mask) > 2.0 if hidden else None
    kernel = np.zeros((3, 3), np.float32)
    return Probe(kernel, scan.probe_radius, q_y, q_x, mask, hidden, "synthetic", scan.dataset.detector_shape)


@pytest.fixture(scope="session")
def disks() -> Callable[..., Peaks]:
    """`found_in`."""
    return found_in


@pytest.fixture(scope="session")
def probe() -> Callable[..., Probe]:
    """`probe_of`."""
    return probe_of
