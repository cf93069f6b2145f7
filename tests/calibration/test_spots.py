"""Spots of grains and the ellipse that they tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.calibration.spot_ellipse import ellipse_of_spots
from napari_stemnmf.calibration.spots import Spots, drift_of, spots_of
from napari_stemnmf.disks.detection import Peaks

RADIUS = 2.67
RINGS = (21.2, 24.5, 34.6, 40.6, 42.4)
CENTRE = 63.0


def grains(
    count: int, ratio: float = 1.0, angle: float = 0.0, *, pull: float = 0.4, scatter: float = 0.25, seed: int = 0
) -> Peaks:
    """Round grains in a scan of 48 x 48, each with six Friedel pairs; the beam is deflected at each position.

    Disks of a grain err alike where the deflection is concerned, and each by itself by `scatter` px.
    """
    chance, side = np.random.default_rng(seed), 48
    rows, columns = np.indices((side, side))
    found = []
    for _ in range(count):
        inside = np.hypot(rows - chance.uniform(4, 44), columns - chance.uniform(4, 44)) < chance.uniform(3, 8)
        where = np.flatnonzero(inside)
        azimuth = chance.uniform(0, 360, 6)
        g = np.stack(Geometry((126, 126), 0, 0, RADIUS, ratio, angle).from_polar(chance.choice(RINGS, 6), azimuth))
        deflection = chance.normal(0, pull, 2) + chance.normal(0, pull, (len(where), 2))
        for sign in (1, -1):
            for k in range(6):
                seen = chance.random(len(where)) < 0.8
                place = CENTRE + sign * g[:, k] + deflection[seen] + chance.normal(0, scatter, (int(seen.sum()), 2))
                height = np.full(int(seen.sum()), chance.uniform(5, 200))
                found.append(np.column_stack([where[seen], place, height]))
    rows_of = np.concatenate(found)
    rows_of = rows_of[np.lexsort((-rows_of[:, 3], rows_of[:, 0]))]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows_of[:, 0].astype(int), minlength=side**2))])
    q_y, q_x, height = rows_of[:, 1:].T.astype(np.float32)
    return Peaks(offsets, q_y, q_x, height, height, np.full((side**2, 2), CENTRE, np.float32), (side, side), (126, 126))


def spots_about(peaks: Peaks, miss: tuple[float, float] = (0.0, 0.0)) -> Spots:
    places = np.stack([peaks.q_y - CENTRE - miss[0], peaks.q_x - CENTRE - miss[1]])
    return spots_of(peaks, places, places, RADIUS)


def found_in(peaks: Peaks, miss: tuple[float, float] = (0.0, 0.0)):
    return ellipse_of_spots(spots_about(peaks, miss), RADIUS, 15.0, 50.0)


def turned(a: float, b: float) -> float:
    return abs((a - b + 90) % 180 - 90)


def test_disks_of_a_grain_are_one_spot_and_partners_are_one_pair() -> None:
    peaks = grains(1, pull=0.0, scatter=0.1, seed=5)
    spots = spots_about(peaks)
    radius = np.hypot(spots.y, spots.x)
    assert len(radius) == 6
    assert np.abs(radius[:, None] - RINGS).min(axis=1).max() < 0.05
    assert not (spots.stray > 0.5).any()


def test_pairs_do_not_depend_on_the_centre() -> None:
    peaks = grains(1, pull=0.0, scatter=0.1, seed=5)
    here, there = (spots_about(peaks, miss) for miss in ((0.0, 0.0), (0.3, -0.2)))
    np.testing.assert_allclose(np.sort(np.hypot(here.y, here.x)), np.sort(np.hypot(there.y, there.x)), atol=1e-6)


def test_no_disks_give_no_spots() -> None:
    none = np.zeros(0, np.float32)
    peaks = Peaks(np.zeros(10, np.int64), none, none, none, none, np.zeros((9, 2), np.float32), (3, 3), (126, 126))
    spots = spots_about(peaks)
    assert len(spots.y) == len(spots.stray) == 0
    assert ellipse_of_spots(spots, RADIUS, 10.0, 50.0) is None


@pytest.mark.parametrize(("ratio", "angle"), [(1.02, 30.0), (1.03, 120.0), (1.05, 75.0)])
def test_the_ellipse_of_a_film_whose_crystals_pull_the_beam(ratio: float, angle: float) -> None:
    found = found_in(grains(24, ratio, angle, seed=4), (0.3, 0.2))
    assert found is not None
    assert found.significant
    assert found.ratio == pytest.approx(ratio, abs=0.003)
    assert turned(found.angle, angle) < 2.5
    assert found.error < 0.003


def test_stated_errors_of_ratio_and_angle_are_true() -> None:
    ratios, angles = [], []
    for seed in range(16):
        found = found_in(grains(16, 1.03, 11.0 * seed, seed=seed))
        assert found is not None
        ratios.append(abs(found.ratio - 1.03) / found.error)
        angles.append(turned(found.angle, 11.0 * seed) / found.angle_error)
    assert np.mean(np.array([ratios, angles]) < 2.0) >= 0.9
    assert np.median(ratios) > 0.1


@pytest.mark.parametrize("seed", range(6))
def test_round_rings_are_no_ellipse(seed: int) -> None:
    found = found_in(grains(16, seed=seed))
    assert found is not None
    assert not found.significant


def test_few_spots_cannot_tell() -> None:
    found = found_in(grains(2, 1.03, 40.0))
    assert found is None or not found.significant


@pytest.mark.parametrize("seed", range(6))
def test_spots_that_line_up_by_chance_are_no_ellipse(seed: int) -> None:
    chance = np.random.default_rng(seed)
    y, x = chance.uniform(15, 50, 30) * [[1], [0]] + chance.normal(0, 20, (2, 30))
    spots = Spots(y, x, np.full(30, 0.05), np.full(30, 0.2), np.arange(30))
    found = ellipse_of_spots(spots, RADIUS, 15.0, 60.0)
    assert found is None or not found.significant


def test_spots_off_all_rings_do_not_pull() -> None:
    chance = np.random.default_rng(0)
    azimuth, radius = chance.uniform(0, 360, 200), chance.choice(RINGS, 200)
    y, x = Geometry((126, 126), 0, 0, RADIUS, 1.03, 60.0).from_polar(radius, azimuth)
    y, x = np.concatenate([y, chance.uniform(-45, 45, 80)]), np.concatenate([x, chance.uniform(-45, 45, 80)])
    spots = Spots(y, x, np.full(280, 0.1), np.full(280, 0.2), chance.integers(0, 64, 280))
    found = ellipse_of_spots(spots, RADIUS, 15.0, 50.0)
    assert found is not None
    assert found.ratio == pytest.approx(1.03, abs=0.002)


def test_the_drift_of_spots_is_that_of_the_centre() -> None:
    peaks = grains(24, pull=0.05, scatter=0.1, seed=3)
    descan = np.array([[3.0, -1.0], [2.0, 5.0]])  # over the scan: of q_y, q_x along scan_y; along scan_x
    place = np.stack(np.divmod(peaks.pattern, 48), axis=1) / 47.0 - 0.5
    q_y, q_x = (np.stack([peaks.q_y, peaks.q_x], axis=1) + place @ descan).T.astype(np.float32)
    drift = drift_of(replace(peaks, q_y=q_y, q_x=q_x), RADIUS).reshape(48, 48, 2)
    np.testing.assert_allclose(drift[-1, 0] - drift[0, 0], descan[0], atol=0.5)
    np.testing.assert_allclose(drift[0, -1] - drift[0, 0], descan[1], atol=0.5)
    np.testing.assert_allclose(drift.mean(axis=(0, 1)), 0.0, atol=1e-6)
