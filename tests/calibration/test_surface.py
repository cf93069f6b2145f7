"""Smooth surfaces over the scan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.calibration.surface import bearable, design, fit_surface, spread

SHAPE = (12, 9)


def plane(shape: tuple[int, int] = SHAPE, bend: float = 0.0) -> np.ndarray:
    """(n, 2) a plane of 10 px across the scan, bent or not."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    q_y = 60 + 3.5 * y[:, None] - 1.5 * x + bend * y[:, None] ** 2
    q_x = 62 - 2.0 * y[:, None] + 3.0 * x - bend * y[:, None] * x
    return np.stack([q_y, q_x], axis=-1).reshape(-1, 2)


@pytest.mark.parametrize(("fit", "bend"), [("plane", 0.0), ("parabola", 0.0), ("parabola", 2.0)])
def test_exact_points_are_kept(fit: str, bend: float) -> None:
    surface, inlier, used = fit_surface(plane(bend=bend), SHAPE, fit)
    np.testing.assert_allclose(surface, plane(bend=bend), atol=1e-6)
    assert inlier.all()
    assert used == fit


def test_a_constant_is_the_middle_of_what_was_measured() -> None:
    surface, _, used = fit_surface(plane(), SHAPE, "constant")
    np.testing.assert_allclose(surface, np.tile([60.0, 62.0], (108, 1)), atol=0.05)
    assert used == "constant"


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.3))
def test_outliers_do_not_pull_the_surface(seed: int, share: float) -> None:
    chance = np.random.default_rng(seed)
    truth = plane()
    measured = truth + chance.normal(0, 0.05, truth.shape)
    wrong = chance.random(len(truth)) < share
    measured[wrong] += chance.normal(8, 4, (int(wrong.sum()), 2))
    surface, inlier, _ = fit_surface(measured, SHAPE, "plane")
    assert np.sqrt(((surface - truth) ** 2).mean()) < 0.05
    assert inlier[~wrong].mean() > 0.9
    assert not inlier[wrong & (np.hypot(*(measured - truth).T) > 1.0)].any()


def test_positions_where_nothing_was_measured_lie_on_the_surface() -> None:
    measured = plane()
    measured[::3] = np.nan
    surface, inlier, used = fit_surface(measured, SHAPE, "plane")
    np.testing.assert_allclose(surface, plane(), atol=1e-6)
    assert not inlier[::3].any()
    assert used == "plane"


@pytest.mark.parametrize("fit", ["plane", "parabola"])
def test_few_or_crowded_measurements_bear_only_a_lower_order(fit: str) -> None:
    one = np.full((108, 2), np.nan)
    one[40] = 50.0, 51.0
    surface, _, used = fit_surface(one, SHAPE, fit)
    np.testing.assert_allclose(surface, np.tile([50.0, 51.0], (108, 1)))
    assert used == "constant"
    weight = np.zeros(SHAPE)
    weight[:3, :3] = 1.0
    assert bearable(weight.ravel(), SHAPE, fit) == "constant"
    assert bearable(np.zeros(108), SHAPE, fit) == "constant"


def test_nothing_measured_gives_no_surface() -> None:
    surface, inlier, used = fit_surface(np.full((108, 2), np.nan), SHAPE, "plane")
    assert np.isnan(surface).all()
    assert not inlier.any()
    assert used == "constant"
    assert np.isnan(spread(np.empty((0, 2))))


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (2, 30), (2, 2)])
@pytest.mark.parametrize("fit", ["constant", "plane", "parabola"])
def test_scans_of_a_single_row_column_or_pattern_are_fitted(shape: tuple[int, int], fit: str) -> None:
    assert np.linalg.matrix_rank(design(shape, fit)) == design(shape, fit).shape[1]
    truth = plane(shape)
    surface, _, _ = fit_surface(truth, shape, fit)
    assert np.isfinite(surface).all()
    if fit == "plane":
        np.testing.assert_allclose(surface, truth, atol=1e-6)


def test_spread_is_the_standard_deviation_of_gaussian_noise_along_one_axis() -> None:
    assert spread(np.random.default_rng(0).normal(0, 0.3, (20000, 2))) == pytest.approx(0.3, rel=0.02)


def test_fitting_changes_nothing_in_place() -> None:
    measured = plane()
    measured[5] = np.nan
    before = measured.copy()
    fit_surface(measured, SHAPE, "plane")
    np.testing.assert_array_equal(measured, before)
