"""Which measured centres are trusted, and when they are used themselves."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.centres import fit_trusted, with_residuals
from napari_stemnmf.calibration.origin import find_origin
from napari_stemnmf.calibration.surface import covariances, design, fit_surface
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.stage_settings import OriginSettings

SCAN = (40, 44)
RADIUS = 2.67
FLAT = np.ones((64, 64), np.float32)


def rms(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(((found.reshape(-1, 2) - truth) ** 2).sum(axis=1).mean()))


def descanned(seed: int = 0) -> np.ndarray:
    """(n, 2) centres on a plane, px."""
    slopes = np.random.default_rng(seed).uniform(-3, 3, (2, 2))
    return np.array([31.0, 32.0]) + design(SCAN, "plane")[:, 1:] @ slopes


def pulled(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What ten grains do to the centres (n, 2), px, and the height of the central disk (n,)."""
    chance = np.random.default_rng(seed)
    y, x = np.indices(SCAN)
    pull, height = chance.normal(0, 0.02, (*SCAN, 2)), chance.normal(100, 2, SCAN)
    for _ in range(10):
        middle, size = chance.uniform(0, 40, 2), chance.uniform(4, 9)
        inside = np.hypot(y - middle[0], x - middle[1]) < size
        pull[inside] += chance.normal(0, 0.3, 2) + chance.normal(0, 0.15, (int(inside.sum()), 2))
        height[inside] *= chance.uniform(0.3, 0.8)
    return pull.reshape(-1, 2), height.ravel()


def table(central: np.ndarray, height: np.ndarray) -> Peaks:
    """One disk a pattern, the central one."""
    n = len(central)
    q_y, q_x = central.T.astype(np.float32)
    height = height.astype(np.float32)
    return Peaks(np.arange(n + 1), q_y, q_x, height, 10 * height, central.astype(np.float32), SCAN, (64, 64))


def probe() -> Probe:
    return Probe(np.zeros((3, 3), np.float32), RADIUS, 31.0, 32.0, None, False, "central", (64, 64))


@pytest.mark.parametrize("seed", range(6))
def test_centres_that_grains_pull_count_less_than_those_of_vacuum(seed: int) -> None:
    truth, (pull, height) = descanned(seed), pulled(seed)
    plain = fit_surface(truth + pull, SCAN, "plane")[0]
    trusted, _, fit, weight = fit_trusted(truth + pull, height, RADIUS, SCAN, "plane")
    assert fit == "plane"
    assert rms(trusted, truth) < 0.03
    assert rms(trusted, truth) < max(rms(plain, truth), 0.01)
    assert np.median(weight[height > 90]) > 10 * np.median(weight[height < 80])


def test_centres_that_nothing_pulls_all_count_alike() -> None:
    measured = descanned() + np.random.default_rng(1).normal(0, 0.02, (SCAN[0] * SCAN[1], 2))
    surface, inlier, _ = fit_surface(measured, SCAN, "plane")
    trusted, same, _, weight = fit_trusted(measured, np.linspace(1, 2, len(measured)), RADIUS, SCAN, "plane")
    np.testing.assert_array_equal(trusted, surface)
    np.testing.assert_array_equal(same, inlier)
    assert set(weight) <= {0.0, 1.0}


def test_stated_errors_are_true_where_neighbours_err_alike() -> None:
    ratios = []
    for seed in range(20):
        truth, (pull, height) = descanned(seed), pulled(seed)
        found = find_origin(table(truth + pull, height), probe(), FLAT, SCAN)
        ratios.append(rms(found.origin, truth) / found.error)
    assert np.mean(np.array(ratios) < 2.0) >= 0.9
    assert np.median(ratios) > 0.1


def test_blocks_that_are_too_few_give_no_error() -> None:
    residual, weight = np.zeros((4, 2)), np.ones(4)
    assert np.isnan(covariances(residual, weight, (2, 2), "plane")).all()


def test_a_beam_that_jitters_has_its_measured_centres_used_and_it_is_said() -> None:
    jitter = np.random.default_rng(2).normal(0, 1.5, (SCAN[0] * SCAN[1], 2))
    truth = descanned() + jitter
    central = truth + np.random.default_rng(3).normal(0, 0.03, truth.shape)
    central[::50] = np.nan
    peaks = table(central, np.full(len(truth), 100.0))
    found = find_origin(peaks, probe(), FLAT, SCAN)
    seen = np.isfinite(central).all(axis=1)
    assert found.use == "both"
    assert "scatter by 1.5" in found.note
    assert rms(found.origin.reshape(-1, 2)[seen], truth[seen]) < 0.15
    assert rms(found.origin.reshape(-1, 2)[~seen], descanned()[~seen]) < 0.2
    smooth = find_origin(peaks, probe(), FLAT, SCAN, OriginSettings(use="surface"))
    assert smooth.use == "surface"
    assert "jitter" not in smooth.note
    assert rms(smooth.origin, descanned()) < 0.2
    taken = find_origin(peaks, probe(), FLAT, SCAN, OriginSettings(use="measured"))
    np.testing.assert_allclose(taken.origin.reshape(-1, 2)[seen], central[seen], atol=1e-4)


def test_a_beam_that_jitters_along_one_axis_jitters() -> None:
    """A scatter that is taken over both axes at once does not see it."""
    jitter = np.random.default_rng(2).normal(0, 2.0, (SCAN[0] * SCAN[1], 2)) * [0, 1]
    found = find_origin(table(descanned() + jitter, np.full(len(jitter), 100.0)), probe(), FLAT, SCAN)
    assert found.use == "both"
    assert rms(found.origin, descanned() + jitter) < 0.2
    assert found.error < 1.0


@pytest.mark.parametrize("rows", [3, 20])
def test_a_beam_that_jumps_for_some_lines_is_followed_and_it_is_said(rows: int) -> None:
    truth = descanned().reshape(*SCAN, 2)
    truth[-rows:] += [4.0, -1.0]
    truth = truth.reshape(-1, 2)
    central = truth + np.random.default_rng(3).normal(0, 0.03, truth.shape)
    found = find_origin(table(central, np.full(len(truth), 100.0)), probe(), FLAT, SCAN)
    assert found.use == "both"
    assert rms(found.origin, truth) < 0.3
    assert "beam" in found.note or "scatter" in found.note


def test_a_bragg_disk_over_part_of_a_line_is_no_jump() -> None:
    """Where a grain's disk was taken for the direct beam, the surface stands."""
    truth = descanned().reshape(*SCAN, 2)
    central = truth.copy()
    central[3:9, : SCAN[1] // 2] += [12.0, 3.0]
    found = find_origin(table(central.reshape(-1, 2), np.full(truth.size // 2, 100.0)), probe(), FLAT, SCAN)
    assert found.use == "surface"
    assert rms(found.origin, truth.reshape(-1, 2)) < 0.2


def test_what_grains_do_is_no_jitter() -> None:
    truth, (pull, height) = descanned(), pulled()
    found = find_origin(table(truth + pull, height), probe(), FLAT, SCAN)
    assert (found.use, found.note) == ("surface", "")


def test_residuals_within_their_error_are_left_out_of_both() -> None:
    surface = np.zeros((100, 2))
    measured = np.random.default_rng(0).normal(0, 0.1, (100, 2))
    centres, use, own = with_residuals(surface, measured, np.full(100, 0.2), "both")
    assert (use, own) == ("both", 0.2)
    np.testing.assert_array_equal(centres, surface)
