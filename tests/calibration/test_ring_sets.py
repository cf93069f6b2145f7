"""Where rings may lie: crowds of spots, and cubic lattices."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.ring_sets import ring_sets
from napari_stemnmf.calibration.spot_ellipse import ellipse_of_spots
from napari_stemnmf.calibration.spots import Spots

RADIUS = 2.67
LATTICES = {"face-centred": [3, 4, 8, 11, 12, 16], "body-centred": [2, 4, 6, 8, 10, 12, 14], "diamond": [3, 8, 11, 16]}


def spots_on(radii: np.ndarray, count: int, seed: int, ratio: float = 1.0) -> Spots:
    """Spots on rings that are stretched along the columns, each 0.05 px off."""
    chance = np.random.default_rng(seed)
    azimuth = chance.uniform(0, 2 * np.pi, count)
    r = chance.choice(radii, count) + chance.normal(0, 0.05, count)
    y, x = r * np.sin(azimuth) / np.sqrt(ratio), r * np.cos(azimuth) * np.sqrt(ratio)
    return Spots(y, x, np.full(count, 0.05), np.full(count, 0.1), np.arange(count) // 4)


@pytest.mark.parametrize("lattice", LATTICES)
def test_the_size_of_a_cubic_lattice_is_among_the_sets(lattice: str) -> None:
    radii = 12.0 * np.sqrt(LATTICES[lattice])
    spots = spots_on(radii, 60, 0)
    sets = ring_sets(np.hypot(spots.y, spots.x), spots, RADIUS, (10.0, 55.0))
    missed = [np.abs(radii[:, None] - rings.shape @ rings.size).min(axis=1).max() for rings in sets[1:]]
    assert min(missed) < 0.15


def test_few_spots_of_a_cubic_lattice_tell_an_ellipse_that_free_rings_do_not() -> None:
    misses = []
    for seed in range(8):
        found = ellipse_of_spots(spots_on(12.0 * np.sqrt(LATTICES["face-centred"]), 24, seed, 1.03), RADIUS, 10.0, 55.0)
        assert found is not None
        misses.append(abs(found.ratio - 1.03) / found.error)
    assert np.mean(np.array(misses) < 2.0) >= 0.85


def test_rings_of_no_cubic_lattice_stay_where_they_are() -> None:
    for seed in range(4):
        found = ellipse_of_spots(spots_on(np.array([18.0, 27.3, 33.1, 47.7]), 160, seed, 1.03), RADIUS, 10.0, 55.0)
        assert found is not None
        assert found.significant
        assert found.ratio == pytest.approx(1.03, abs=0.002)
