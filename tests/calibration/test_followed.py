"""Spots followed over the scan, and the partners across the beam."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.followed import Followed, follow, grains_of, partners
from napari_stemnmf.disks.detection import Peaks

RADIUS, SIDE = 2.67, 30
MIDDLE = 14.0, 15.0
PLACES = np.array([[20.0, 8.0], [-20.0, -8.0], [5.0, -33.0], [-5.0, 33.0]])
RINGS = np.hypot(*PLACES[::2].T)


def lens(strength: float = 0.03, scatter: float = 0.0, seed: int = 0) -> Peaks:
    """One round grain with two Friedel pairs, whose disks it moves by `strength` px a step from its middle."""
    chance = np.random.default_rng(seed)
    rows, columns = np.indices((SIDE, SIDE))
    where = np.flatnonzero(np.hypot(rows - MIDDLE[0], columns - MIDDLE[1]) < 6.0)
    away = np.stack(np.divmod(where, SIDE), axis=1) - np.array(MIDDLE)
    places = PLACES - strength * away[:, None] + scatter * chance.normal(size=(len(where), 4, 2))
    y, x = (places + 63.0).reshape(-1, 2).T.astype(np.float32)
    height = np.full(len(y), 50.0, np.float32)
    counts = np.zeros(SIDE**2, np.int64)
    counts[where] = 4
    central = np.full((SIDE**2, 2), 63.0, np.float32)
    return Peaks(np.concatenate([[0], np.cumsum(counts)]), y, x, height, height, central, (SIDE, SIDE), (126, 126))


def followed(peaks: Peaks) -> Followed:
    places = np.stack([peaks.q_y, peaks.q_x]).astype(np.float64) - 63.0
    return follow(peaks, places, places, RADIUS)


def test_a_spot_has_a_place_a_slope_and_hardly_any_scatter_about_them() -> None:
    spots = followed(lens())
    assert len(spots.place) == 4
    np.testing.assert_allclose(spots.slope, np.tile(-0.03 * np.eye(2), (4, 1, 1)), atol=1e-4)
    np.testing.assert_allclose(spots.position, np.tile(MIDDLE, (4, 1)), atol=1e-6)
    assert spots.scatter.max() < 1e-4
    assert set(grains_of(spots)) == {0}


def test_the_error_of_a_slope_is_that_of_repeated_trials() -> None:
    found = [followed(lens(scatter=0.1, seed=seed)) for seed in range(30)]
    slopes = np.array([spots.slope[0, 0, 0] for spots in found])
    assert slopes.mean() == pytest.approx(-0.03, abs=0.003)
    assert slopes.std() == pytest.approx(np.mean([spots.slope_error[0] for spots in found]), rel=0.5)


def test_half_the_difference_of_partners_is_free_of_what_moves_both() -> None:
    spots = followed(lens(strength=0.08))
    one, other = partners(spots, 0.5 * RADIUS)
    assert len(one) == 2
    for first, second in zip(one, other, strict=True):
        half, scatter, number = spots.half_difference(first, second)
        assert np.abs(np.hypot(*half) - RINGS).min() < 1e-4
        assert scatter < 1e-4
        assert number == spots.number[first]


def test_what_is_far_off_the_others_does_not_count() -> None:
    peaks = lens()
    peaks.q_y[4::40] += 0.9
    spots = followed(peaks)
    assert np.abs(np.hypot(*spots.place.T)[:, None] - RINGS).min(axis=1).max() < 0.05
