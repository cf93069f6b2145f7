"""The surface of the centres from spots of grains that are lenses."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.followed import follow
from napari_stemnmf.calibration.lenses import Lenses, centres_of_spots
from napari_stemnmf.calibration.surface import design, standard_errors
from napari_stemnmf.disks.detection import Peaks

RADIUS, SIDE = 2.67, 40
TRUTH = np.array([[0.2, -0.1], [0.35, 0.25], [-0.3, 0.4]])
"""Terms of the plane by which the centres are off, px: a column for each of q_y and q_x."""


def film(count: int, strength: float, pull: float = 0.0, seed: int = 0) -> Peaks:
    """Round grains, also beyond the scan, each with two Friedel pairs, moved evenly by `strength` px at the rim."""
    chance = np.random.default_rng(seed)
    rows, columns = np.indices((SIDE, SIDE))
    centre = (design((SIDE, SIDE), "plane") @ TRUTH) + 63.0
    found = []
    for _ in range(count):
        middle, size = chance.uniform(-2, SIDE + 2, 2), chance.uniform(6, 9)
        where = np.flatnonzero(np.hypot(rows - middle[0], columns - middle[1]) < size)
        away = np.stack(np.divmod(where, SIDE), axis=1) - middle
        own = chance.normal(0, pull, 2)
        for ring in (21.2, 34.6):
            azimuth = chance.uniform(0, np.pi)
            for sign in (1, -1):
                g = sign * ring * np.array([np.sin(azimuth), np.cos(azimuth)])
                place = centre[where] + g - strength / size * away + own + chance.normal(0, 0.1, (len(where), 2))
                found.append(np.column_stack([where, place]))
    table = np.concatenate(found)
    table = table[np.argsort(table[:, 0], kind="stable")]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(table[:, 0].astype(int), minlength=SIDE**2))])
    height = np.full(len(table), 50.0, np.float32)
    y, x = table[:, 1:].T.astype(np.float32)
    return Peaks(offsets, y, x, height, height, np.full((SIDE**2, 2), 63.0, np.float32), (SIDE, SIDE), (126, 126))


def fitted(peaks: Peaks, rounds: int = 2) -> tuple[np.ndarray, Lenses]:
    """The surface about 63, and the last fit."""
    surface, found = np.full((SIDE**2, 2), 63.0), None
    for _ in range(rounds):
        places = np.stack([peaks.q_y, peaks.q_x]).astype(np.float64) - surface[peaks.pattern].T
        found = centres_of_spots(follow(peaks, places, places, RADIUS), (SIDE, SIDE), RADIUS, "plane")
        assert found is not None
        surface = surface + found.correction
    assert found is not None
    return surface - 63.0, found


def off(surface: np.ndarray) -> float:
    return float(np.sqrt(((surface - design((SIDE, SIDE), "plane") @ TRUTH) ** 2).sum(axis=1).mean()))


@pytest.mark.parametrize("strength", [0.0, 0.3, -0.2])
def test_lenses_are_told_from_descan(strength: float) -> None:
    surface, found = fitted(film(14, strength, seed=3))
    assert off(surface) < 0.05
    assert found.strength == pytest.approx(strength, abs=0.08)


def test_stated_errors_are_true() -> None:
    misses = []
    for seed in range(12):
        surface, found = fitted(film(10, 0.3, 0.12, seed))
        misses.append(off(surface) / standard_errors(found.covariance, (SIDE, SIDE), "plane")[0])
    assert np.mean(np.array(misses) < 2.0) >= 0.9
    assert np.median(misses) > 0.2


def test_too_few_grains_tell_nothing() -> None:
    peaks = film(1, 0.3)
    places = np.stack([peaks.q_y, peaks.q_x]).astype(np.float64) - 63.0
    assert centres_of_spots(follow(peaks, places, places, RADIUS), (SIDE, SIDE), RADIUS, "plane") is None


def test_what_is_known_counts_by_its_error() -> None:
    peaks = film(12, 0.3, 0.2, seed=5)
    right = design((SIDE, SIDE), "plane") @ TRUTH
    places = np.stack([peaks.q_y, peaks.q_x]).astype(np.float64) - 63.0 - right[peaks.pattern].T
    spots = follow(peaks, places, places, RADIUS)
    sure = np.tile(1e-8 * np.eye(3), (2, 1, 1))
    held = centres_of_spots(spots, (SIDE, SIDE), RADIUS, "plane", (np.zeros((SIDE**2, 2)), sure))
    free = centres_of_spots(spots, (SIDE, SIDE), RADIUS, "plane")
    assert held is not None
    assert free is not None
    assert np.abs(held.correction).max() < 1e-3 < np.abs(free.correction).max()
