"""The ellipse of rings of disks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemnmf.calibration.ellipse import Ellipse, ellipse_of_disks
from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.study.distorted import Distorted, distorted

RINGS = (21.0, 24.5, 34.5, 41.0)
"""px; of silver on a detector of 126 px"""


def rings(
    ratio: float,
    angle: float,
    *,
    per_ring: int = 300,
    noise: float = 0.08,
    azimuths: np.ndarray | None = None,
    radii: tuple[float, ...] = RINGS,
    stray: int = 0,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Disks on distorted rings, about the centre."""
    chance = np.random.default_rng(seed)
    radius = np.repeat(radii, per_ring)
    azimuth = chance.uniform(0, 360, radius.size) if azimuths is None else chance.choice(azimuths, radius.size)
    y, x = Geometry((126, 126), 0.0, 0.0, 2.67, ratio, angle).from_polar(radius, azimuth)
    far = chance.uniform(-60, 60, (2, stray))
    y, x = np.concatenate([y, far[0]]), np.concatenate([x, far[1]])
    return y + chance.normal(0, noise, y.size), x + chance.normal(0, noise, x.size)


def fitted(points: tuple[np.ndarray, np.ndarray], **limits: float) -> Ellipse:
    found = ellipse_of_disks(*points, 2.67, **limits)
    assert found is not None
    return found


def turned(a: float, b: float) -> float:
    """Angle between two directions of an axis, degrees."""
    return abs((a - b + 90) % 180 - 90)


@given(st.floats(1.01, 1.06), st.floats(0.0, 179.9), st.integers(0, 1000))
@settings(max_examples=15)
def test_ellipses_are_found_with_the_geometry_s_signs(ratio: float, angle: float, seed: int) -> None:
    found = fitted(rings(ratio, angle, stray=100, seed=seed))
    assert found.ratio == pytest.approx(ratio, abs=0.002)
    assert turned(found.angle, angle) < 3.0
    assert 0.0 <= found.angle < 180.0
    assert found.significant
    assert min(abs(found.radius - r) for r in RINGS) < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_round_rings_are_no_ellipse(seed: int) -> None:
    found = fitted(rings(1.0, 0.0, seed=seed, stray=100))
    assert not found.significant
    assert found.ratio < 1.002


@pytest.mark.parametrize("dose", [1e4, 1e6])
@pytest.mark.parametrize("detector", [126, 252])
def test_film_of_two_percent_is_measured_within_the_bounds(dose: float, detector: int, disks: Callable) -> None:
    scan: Distorted = distorted((12, 12), detector, dose=dose, ellipse_ratio=1.02, ellipse_angle=110.0)
    peaks: Peaks = disks(scan)
    centre = scan.center.reshape(-1, 2)[peaks.pattern]
    found = ellipse_of_disks(peaks.q_y - centre[:, 0], peaks.q_x - centre[:, 1], scan.probe_radius)
    assert found is not None
    assert found.ratio == pytest.approx(1.02, abs=0.002)
    assert turned(found.angle, 110.0) < 2.0
    assert found.significant


def test_standard_error_is_that_of_repeated_trials() -> None:
    trials = [fitted(rings(1.02, 30.0, per_ring=60, seed=seed)) for seed in range(25)]
    scatter = np.std([t.ratio for t in trials])
    assert 0.5 * scatter < np.median([t.error for t in trials]) < 2.0 * scatter


@pytest.mark.parametrize("seed", range(8))
def test_few_grains_on_a_ring_are_not_mistaken_for_an_ellipse(seed: int) -> None:
    chance = np.random.default_rng(seed)
    azimuths = (chance.uniform(0, 180, 6)[:, None] + [0.0, 180.0]).ravel()
    y, x = rings(1.0, 0.0, azimuths=azimuths, per_ring=2000, seed=seed)
    phase = seed + 2.0 * np.rint(np.hypot(y, x))
    strained = 1.0 + 0.003 * np.sin(14.0 * np.arctan2(y, x) + phase)  # each disk of each grain by its own share
    found = ellipse_of_disks(y * strained, x * strained, 2.67)
    assert found is None or not found.significant or found.ratio < 1.004


def test_a_common_error_of_the_centres_is_no_ellipse() -> None:
    y, x = rings(1.02, 30.0)
    found = fitted((y + 0.4, x - 0.3))
    assert found.ratio == pytest.approx(1.02, abs=0.002)
    assert turned(found.angle, 30.0) < 2.0


def test_limits_choose_the_ring() -> None:
    assert fitted(rings(1.02, 30.0), r_min=30.0, r_max=37.0).radius == pytest.approx(34.5, abs=0.1)


@pytest.mark.parametrize("count", [0, 1, 7, 30])
def test_too_few_disks_give_none(count: int) -> None:
    chance = np.random.default_rng(0)
    assert ellipse_of_disks(*chance.uniform(-50, 50, (2, count)), 2.67) is None


def test_disks_that_lie_anywhere_give_no_ellipse() -> None:
    found = ellipse_of_disks(*np.random.default_rng(0).uniform(-60, 60, (2, 3000)), 2.67)
    assert found is None or not found.significant


def test_one_lattice_of_four_disks_cannot_tell() -> None:
    y, x = np.tile([[0.0, 20.0, 0.0, -20.0], [20.0, 0.0, -20.0, 0.0]], 200)
    noise = np.random.default_rng(0).normal(0, 0.05, (2, y.size))
    assert ellipse_of_disks(y + noise[0], x + noise[1], 2.67) is None
