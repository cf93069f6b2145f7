"""The place of a disk's edge."""

import numpy as np
import pytest

from napari_stemnmf.disks.detection import DiskDetection, detect
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.disks.template import soft_disk, synthetic_kernel


def probe_of(radius: float, mask: np.ndarray | None = None) -> Probe:
    return Probe(synthetic_kernel(radius), radius, 32.0, 32.0, mask, False, "synthetic", (64, 64))


def unevenly_filled(radius: float, y: float, x: float) -> np.ndarray:
    """A disk (64, 64) of which one side is dark, and the middle brighter."""
    down, right = np.indices((64, 64)) - np.array([y, x])[:, None, None]
    filling = 200 + 120 * right / radius - 60 * down / radius + 80 * (1 - (right**2 + down**2) / radius**2)
    return (soft_disk(np.hypot(down, right), radius) * np.maximum(filling, 0.0) + 5.0).astype(np.float32)


def edge_of(pattern: np.ndarray, probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Place of the highest disk, and that of its edge."""
    found = DiskDetection(probe)(pattern[None], np.zeros(1, np.int64)).ragged
    return np.array([found["q_y"][0], found["q_x"][0]]), np.array([found["edge_y"][0], found["edge_x"][0]])


@pytest.mark.parametrize(("radius", "y", "x"), [(2.7, 30.3, 33.1), (4.0, 31.0, 32.5), (9.0, 32.2, 31.7)])
def test_the_edge_stays_where_the_filling_is_uneven(radius: float, y: float, x: float) -> None:
    place, edge = edge_of(unevenly_filled(radius, y, x), probe_of(radius))
    assert np.hypot(*(edge - (y, x))) < 0.04 * radius
    assert np.hypot(*(edge - (y, x))) < 0.5 * np.hypot(*(place - (y, x)))


def test_a_disk_beside_masked_pixels_has_no_clear_edge() -> None:
    mask = np.ones((64, 64), bool)
    mask[:, 36] = False
    place, edge = edge_of(unevenly_filled(2.7, 30.0, 31.8), probe_of(2.7, mask))
    assert np.isfinite(place).all()
    assert np.isnan(edge).all()


def test_spots_too_small_for_an_edge_have_none() -> None:
    pattern = unevenly_filled(1.2, 30.0, 31.8)
    assert len(detect(pattern, probe_of(1.2))[0])
    assert np.isnan(edge_of(pattern, probe_of(1.2))[1]).all()
