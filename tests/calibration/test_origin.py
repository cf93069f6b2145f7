"""The centre of every pattern, from the central disk or from Friedel pairs behind a beam stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.calibration.friedel import friedel_centres
from napari_stemnmf.calibration.origin import find_origin
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.preprocessing.symmetry import inversion_center, symmetry
from napari_stemnmf.stage_settings import CenterSettings, OriginSettings
from napari_stemnmf.study.distorted import Distorted, distorted

DESCAN = ((7.0, -3.0), (-4.0, 7.0))
"""Ten pixels from corner to corner."""


def rms(origin: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(((origin - truth) ** 2).sum(axis=-1).mean()))


@pytest.fixture(scope="module")
def open_scan() -> Distorted:
    return distorted((12, 12), descan=DESCAN)


@pytest.fixture(scope="module")
def stopped() -> Distorted:
    return distorted((12, 12), descan=DESCAN, beam_stop=True)


def pairs(scan: tuple[int, int], per_pattern: int, centre: np.ndarray, seed: int = 0) -> Peaks:
    """Patterns of Friedel pairs about a centre (n, 2) or (2,), at places of their own."""
    chance = np.random.default_rng(seed)
    n = scan[0] * scan[1]
    g = chance.uniform(-55, 55, (n, per_pattern, 2))
    both = np.concatenate([g, -g], axis=1) + np.broadcast_to(centre, (n, 2))[:, None]
    q_y, q_x = both.reshape(-1, 2).T.astype(np.float32)
    ones = np.ones(len(q_y), np.float32)
    central = np.full((n, 2), np.nan, np.float32)
    return Peaks(np.arange(n + 1) * 2 * per_pattern, q_y, q_x, ones, ones, central, scan, (126, 126))


def plain_probe(q_y: float = 62.0, q_x: float = 62.0, hidden: bool = True) -> Probe:
    return Probe(np.zeros((3, 3), np.float32), 2.67, q_y, q_x, None, hidden, "synthetic", (126, 126))


FLAT = np.ones((126, 126), np.float32)


def test_central_disks_give_the_centres(open_scan: Distorted, disks: Callable, probe: Callable) -> None:
    peaks = disks(open_scan)
    peaks.central[::7] = np.nan
    peaks.central[3::11] += 6.0
    found = find_origin(peaks, probe(open_scan), FLAT, (12, 12))
    assert (found.method, found.fit) == ("central", "plane")
    assert rms(found.origin, open_scan.center) < 0.1
    assert 0.02 < found.residual < 0.1
    missing = np.isnan(found.measured).any(axis=-1).ravel()
    assert missing[::7].all()
    assert missing[3::11].all()
    assert found.origin.dtype == found.measured.dtype == np.float32


@pytest.mark.parametrize("dose", [1e4, 1e5, 1e6])
def test_friedel_pairs_give_the_centres_behind_a_beam_stop(dose: float, disks: Callable, probe: Callable) -> None:
    scan = distorted((16, 16), dose=dose, descan=DESCAN, beam_stop=True, seed=1)
    found = find_origin(disks(scan), probe(scan), FLAT, (16, 16))
    assert (found.method, found.fit) == ("friedel", "plane")
    assert rms(found.origin, scan.center) < 0.1
    assert found.residual < 0.2


@pytest.mark.parametrize("detector", [252, 432])
def test_friedel_pairs_on_larger_detectors_need_no_other_parameter(
    detector: int, disks: Callable, probe: Callable
) -> None:
    scan = distorted((8, 8), detector, dose=1e5, descan=DESCAN, beam_stop=True, seed=2)
    flat = np.ones((detector, detector), np.float32)
    found = find_origin(disks(scan), probe(scan, (6.0, -5.0)), flat, (8, 8))
    assert found.method == "friedel"
    assert rms(found.origin, scan.center) < 0.1


def test_friedel_pairs_stand_many_false_disks(stopped: Distorted, disks: Callable, probe: Callable) -> None:
    found = find_origin(disks(stopped, false=1.0, noise=0.3), probe(stopped), FLAT, (12, 12))
    assert found.method == "friedel"
    assert rms(found.origin, stopped.center) < 0.1


def test_a_bent_surface_is_a_parabola_and_shows_as_residual_of_a_plane(disks: Callable, probe: Callable) -> None:
    scan = distorted((16, 16), descan=DESCAN, curvature=2.0, beam_stop=True)
    peaks, where = disks(scan), probe(scan)
    bent = find_origin(peaks, where, FLAT, (16, 16), OriginSettings(fit="parabola"))
    flat = find_origin(peaks, where, FLAT, (16, 16), OriginSettings(fit="plane"))
    assert rms(bent.origin, scan.center) < 0.1
    assert rms(flat.origin, scan.center) < 1.5
    assert flat.residual > 5 * bent.residual


def test_pairs_are_looked_for_where_the_central_disk_is_rarely_seen(
    open_scan: Distorted, disks: Callable, probe: Callable
) -> None:
    peaks = disks(open_scan)
    peaks.central[8:] = np.nan
    found = find_origin(peaks, probe(open_scan), FLAT, (12, 12))
    assert found.method == "friedel"
    assert rms(found.origin, open_scan.center) < 0.1


@pytest.mark.parametrize(("number", "masked"), [(70, False), (70, True), (120, True)])
def test_pairs_are_taken_where_what_seems_the_central_disk_is_now_here_now_there(
    number: int, masked: bool, stopped: Distorted, disks: Callable, probe: Callable
) -> None:
    """As behind a beam stop that nobody knows of; where a mask may hide the beam it may be seen often."""
    peaks = disks(stopped)
    chance = np.random.default_rng(0)
    some = chance.permutation(144)[:number]
    peaks.central[some] = 62.0 + 25.0 * chance.normal(size=(number, 2))
    seeming = replace(probe(stopped), hidden=False, q_y=88.0, q_x=76.0)
    found = find_origin(peaks, seeming if masked else replace(seeming, mask=None, q_y=62.0, q_x=62.0), FLAT, (12, 12))
    assert found.method == "friedel"
    assert rms(found.origin, stopped.center) < 0.1
    assert ("in 49% of the patterns only" in found.note) == (number == 70)
    assert ("hidden by what is masked" in found.note) == (number == 70 and masked)


@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(-5, 5), st.integers(2, 15))
def test_exact_pairs_give_the_exact_centre(seed: int, move_y: float, move_x: float, per_pattern: int) -> None:
    centre = np.array([62.0 + move_y, 62.0 + move_x])
    found = friedel_centres(pairs((5, 6), per_pattern, centre, seed), (62.0, 62.0), 2.67, "plane")
    assert found is not None
    assert rms(found[0], np.broadcast_to(centre, (30, 2))) < 0.05


def test_one_lattice_everywhere_has_its_centre_at_the_disk_not_between() -> None:
    chance = np.random.default_rng(0)
    index = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    index = index[np.abs(index).sum(axis=1) > 0]
    q = 61.0 + index @ np.array([[14.0, 3.0], [-3.0, 14.0]])
    height = np.exp(-0.3 * (index**2).sum(axis=1))
    order = np.argsort(-height)
    q, height = q[order], height[order]
    q_y, q_x = (np.tile(q, (16, 1)) + chance.normal(0, 0.05, (16 * len(q), 2))).T.astype(np.float32)
    heights = np.tile(height, 16).astype(np.float32)
    central = np.full((16, 2), np.nan, np.float32)
    peaks = Peaks(np.arange(17) * len(q), q_y, q_x, heights, heights, central, (4, 4), (126, 126))
    found = friedel_centres(peaks, (64.0, 58.5), 2.67, "plane")
    assert found is not None
    assert rms(found[0], np.full((16, 2), 61.0)) < 0.1


def test_a_scan_of_one_pattern_or_one_row_has_centres() -> None:
    for shape in ((1, 1), (1, 9), (9, 1)):
        found = find_origin(pairs(shape, 12, np.array([60.0, 63.0])), plain_probe(), FLAT, shape)
        assert found.method == "friedel"
        np.testing.assert_allclose(found.origin, np.broadcast_to([60.0, 63.0], (*shape, 2)), atol=0.1)


@pytest.mark.parametrize("per_pattern", [0, 1])
def test_without_disks_or_with_one_there_is_one_centre_for_all(per_pattern: int) -> None:
    peaks = pairs((4, 5), 1, np.array([60.0, 63.0]))
    count = 20 * per_pattern
    few = replace(
        peaks, offsets=np.arange(21) * per_pattern, q_y=peaks.q_y[:count], q_x=peaks.q_x[:count],
        height=peaks.height[:count], snr=peaks.snr[:count],
    )  # fmt: skip
    for hidden in (False, True):
        found = find_origin(few, plain_probe(61.0, 62.5, hidden), np.zeros((126, 126)), (4, 5))
        assert (found.method, found.fit) == ("mean", "constant")
        np.testing.assert_array_equal(found.origin, np.broadcast_to(np.float32([61.0, 62.5]), (4, 5, 2)))
        assert np.isnan(found.measured).all()
        assert np.isnan(found.residual)


def test_a_centre_that_is_set_is_the_mean_of_the_surface(
    open_scan: Distorted, disks: Callable, probe: Callable
) -> None:
    peaks, where = disks(open_scan), probe(open_scan)
    free = find_origin(peaks, where, FLAT, (12, 12))
    held = find_origin(peaks, where, FLAT, (12, 12), center=CenterSettings(q_x=60.0))
    assert held.origin[..., 1].mean() == pytest.approx(60.0, abs=1e-3)
    np.testing.assert_array_equal(held.origin[..., 0], free.origin[..., 0])
    np.testing.assert_allclose(np.diff(held.origin[..., 1]), np.diff(free.origin[..., 1]), atol=1e-4)


def test_methods_that_are_asked_for_are_taken(open_scan: Distorted, disks: Callable, probe: Callable) -> None:
    peaks, where = disks(open_scan), probe(open_scan)
    for method in ("central", "friedel", "mean"):
        assert find_origin(peaks, where, FLAT, (12, 12), OriginSettings(method=method)).method == method
    assert find_origin(None, where, FLAT, (12, 12)).method == "mean"
    constant = find_origin(peaks, where, FLAT, (12, 12), OriginSettings(fit="constant"))
    assert constant.fit == "constant"
    assert np.ptp(constant.origin[..., 0]) == 0.0


def test_halo_behind_a_beam_stop_has_the_centre_of_its_symmetry() -> None:
    y, x = np.indices((126, 130))
    r = np.hypot(y - 60.3, x - 66.8)
    halo = 200 * np.exp(-r / 15) + 40 * np.exp(-(((r - 30) / 6) ** 2))
    mask = ~((np.abs(y - 58) < 8) & (x < 80))
    seen = np.random.default_rng(0).poisson(np.where(mask, halo, 0.5)).astype(np.float32)
    centre = inversion_center(seen, mask, (64.0, 64.0), 16.0)
    assert centre == pytest.approx((60.3, 66.8), abs=0.25)
    hidden = Probe(np.zeros((3, 3)), 2.67, 64.0, 64.0, mask, True, "synthetic", (126, 130))
    found = find_origin(None, hidden, seen, (2, 3))
    np.testing.assert_allclose(found.origin, np.broadcast_to([60.3, 66.8], (2, 3, 2)), atol=0.25)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_patterns_without_contrast_have_no_centre_of_symmetry(value: float) -> None:
    assert inversion_center(np.full((40, 40), value), None, (20.0, 20.0), 10.0) is None


def test_finding_the_centre_changes_nothing_in_place(stopped: Distorted, disks: Callable, probe: Callable) -> None:
    peaks, where = disks(stopped), probe(stopped)
    before = peaks.q_y.copy(), peaks.q_x.copy(), peaks.central.copy()
    first = find_origin(peaks, where, FLAT, (12, 12))
    second = find_origin(peaks, where, FLAT, (12, 12))
    np.testing.assert_array_equal(first.origin, second.origin)
    for now, then in zip((peaks.q_y, peaks.q_x, peaks.central), before, strict=True):
        np.testing.assert_array_equal(now, then)


def few_grains(move: float, count: int = 36) -> tuple[Peaks, np.ndarray, np.ndarray, np.ndarray]:
    """Disks of one lattice, its halves alike in number about its centre and about half a lattice vector, and the mean.

    The mean pattern, with a halo about the centre moved by `move` lattice vectors, and a mask of the beam stop; last
    the centre.
    """
    chance = np.random.default_rng(0)
    centre, vector = np.array([62.0, 63.0]), np.array([20.0, 7.0])
    across = np.array([-6.0, 17.0])
    index = np.stack(np.meshgrid(np.arange(-2, 4), np.arange(-2, 3), indexing="ij"), axis=-1).reshape(-1, 2)
    index = index[np.abs(index - [0.5, 0.0]).sum(axis=1) > 0.6]  # both disks that may be the direct beam are hidden
    q = centre + index @ np.stack([vector, across])
    q_y, q_x = (np.tile(q, (count, 1)) + chance.normal(0, 0.05, (count * len(q), 2))).T.astype(np.float32)
    ones = np.ones(len(q_y), np.float32)
    central = np.full((count, 2), np.nan, np.float32)
    peaks = Peaks(np.arange(count + 1) * len(q), q_y, q_x, ones, ones, central, (6, count // 6), (126, 126))
    y, x = np.indices((126, 126))
    middle = centre + move * vector
    mean = 2.0 + 300.0 * np.exp(-np.hypot(y - middle[0], x - middle[1]) / 15.0)
    for row, column in q:
        mean += 40.0 * (np.hypot(y - row, x - column) < 2.67)
    mask = ~((np.abs(x - 66) < 9) & (y < 88))
    return peaks, np.where(mask, mean, 0.0), mask, centre + move * vector


@pytest.mark.parametrize("move", [0.0, 0.5])
def test_where_pairs_leave_half_a_lattice_vector_the_mean_patterns_symmetry_tells(move: float) -> None:
    peaks, mean, mask, centre = few_grains(move)
    found = find_origin(peaks, replace(plain_probe(66.0, 66.0), mask=mask), mean, (6, 6))
    assert found.method == "friedel"
    assert rms(found.origin, np.broadcast_to(centre, (6, 6, 2))) < 0.3
    assert "few grains do not tell" not in found.note


def test_midpoints_of_several_grains_are_about_the_beam_and_more_of_one_grain_are_not() -> None:
    """A large grain has four pairs about half a lattice vector and one about the centre, three small ones have two."""
    chance = np.random.default_rng(5)
    centre, half = np.array([62.0, 63.0]), np.array([11.0, 4.0])
    disks = []
    for row, column in np.ndindex(12, 12):
        grain = 0 if row < 6 else 1 + column // 4
        own = np.random.default_rng(grain).uniform(18, 50, (5, 1)) * np.stack(
            [np.cos(a := np.arange(5) + grain / 3), np.sin(a)], 1
        )
        wrong, right = (own[:4], own[4:]) if grain == 0 else (own[:0], own[:2])
        middle = centre + half
        disks.append(np.concatenate([middle + wrong, middle - wrong, centre + right, centre - right]))
    number = [len(part) for part in disks]
    at = np.concatenate(disks) + chance.normal(0, 0.03, (sum(number), 2))
    q_y, q_x = at.T.astype(np.float32)
    ones, central = np.ones(len(at), np.float32), np.full((144, 2), np.nan, np.float32)
    peaks = Peaks(np.concatenate([[0], np.cumsum(number)]), q_y, q_x, ones, ones, central, (12, 12), (126, 126))
    found = find_origin(peaks, plain_probe(), FLAT, (12, 12))
    assert rms(found.origin, np.broadcast_to(centre, (12, 12, 2))) < 0.2
    assert "few grains do not tell where it is" not in found.note


def test_where_nothing_tells_that_is_said_and_in_the_error() -> None:
    peaks, _, _, _ = few_grains(0.0)
    found = find_origin(peaks, plain_probe(67.0, 64.5), FLAT, (6, 6))
    assert "The direct beam is hidden and few grains do not tell where it is" in found.note
    assert "set center.q_y and center.q_x" in found.note
    assert found.error > 10.0
    told = find_origin(peaks, plain_probe(67.0, 64.5), FLAT, (6, 6), center=CenterSettings(q_y=62.0, q_x=63.0))
    assert "few grains do not tell" not in told.note
    assert rms(told.origin, np.broadcast_to([62.0, 63.0], (6, 6, 2))) < 0.1
    assert not told.error > 1.0


def test_two_places_near_each_other_where_midpoints_gather_are_told_apart() -> None:
    """Six pixels apart they are one at the widest scale; the tilted plane between them holds midpoints of both."""
    chance = np.random.default_rng(3)
    centre, wrong = np.array([31.7, 31.2]), np.array([33.6, 25.2])
    g = np.array([[-18.0, -12.2], [-21.7, 0.4], [3.7, -12.5], [25.3, -12.9], [7.4, -25.1]])
    paired = np.concatenate([centre + g, centre - g, [2 * wrong - (centre + g[0]), 2 * wrong - (centre + g[1])]])
    height = np.concatenate([[7900.0, 6700.0, 6600.0, 3300.0, 330.0], [370.0, 330.0, 770.0, 100.0, 70.0], [370.0] * 2])
    paired, height = paired[order := np.argsort(-height)], height[order]
    scan, inside = (12, 12), np.hypot(*(np.indices((12, 12)) - 5.5)).ravel() < 5.0
    number = np.where(inside, len(paired), 0)
    at = np.tile(paired, (int(inside.sum()), 1)) + chance.normal(0, 0.03, (int(number.sum()), 2))
    q_y, q_x = at.T.astype(np.float32)
    heights = np.tile(height, int(inside.sum())).astype(np.float32)
    central = np.full((144, 2), np.nan, np.float32)
    peaks = Peaks(np.concatenate([[0], np.cumsum(number)]), q_y, q_x, heights, heights, central, scan, (64, 64))
    y, x = np.indices((64, 64))
    away = np.hypot(y - centre[0], x - centre[1])
    mean, mask = 30.0 * np.exp(-away / 12.0), away > 3.0
    hidden = Probe(np.zeros((3, 3), np.float32), 1.65, *centre, mask, True, "synthetic", (64, 64))
    found = find_origin(peaks, hidden, mean * mask, scan)
    assert rms(found.origin, np.broadcast_to(centre, (*scan, 2))) < 0.1
    assert found.descan_error < 0.5


def test_the_middle_of_a_saturated_disk_is_known_less_well(
    open_scan: Distorted, disks: Callable, probe: Callable
) -> None:
    peaks = disks(open_scan)
    sure, less = (
        find_origin(peaks, probe(open_scan), FLAT, (12, 12), saturated=saturated).error for saturated in (False, True)
    )
    assert 0.02 < np.sqrt(less**2 - sure**2) < 0.2


def test_a_pattern_without_contrast_or_overlap_tells_no_symmetry() -> None:
    middle = np.array([60.0, 61.0])
    assert symmetry(FLAT, None, middle, 2.0) == 0.0
    assert symmetry(np.zeros((126, 126)), None, middle, 2.0) == 0.0
    assert symmetry(np.random.default_rng(0).uniform(1, 9, (126, 126)), None, np.array([500.0, -80.0]), 2.0) == 0.0


@pytest.mark.parametrize("step", [1, 3])
def test_a_halo_is_most_symmetric_about_its_middle(step: int) -> None:
    y, x = np.indices((126, 126))
    halo = 200.0 * np.exp(-np.hypot(y - 60.0, x - 66.0) / 15.0)
    mask = np.hypot(y - 60.0, x - 66.0) > 10
    assert symmetry(halo, mask, np.array([60.0, 66.0]), 1.5, step) > 0.99
    assert symmetry(halo, mask, np.array([72.0, 66.0]), 1.5, step) < 0.9


def test_pairs_in_a_small_part_of_the_scan_leave_the_error_open_and_say_so() -> None:
    peaks = pairs((20, 20), 12, np.array([60.0, 63.0]))
    few = np.diff(peaks.offsets) * (np.indices((20, 20)) < 4).all(axis=0).ravel()  # a corner
    seen = np.repeat(few > 0, np.diff(peaks.offsets))
    few_peaks = replace(
        peaks, offsets=np.concatenate([[0], np.cumsum(few)]), q_y=peaks.q_y[seen], q_x=peaks.q_x[seen],
        height=peaks.height[seen], snr=peaks.snr[seen],
    )  # fmt: skip
    found = find_origin(few_peaks, plain_probe(), FLAT, (20, 20))
    assert np.isnan(found.error)
    assert "small part of the scan only" in found.note
