"""Tracks become groups, by footprint and by lattice."""

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering import grouping
from napari_stemnmf.clustering.grouping import Groups, group
from napari_stemnmf.clustering.lattice import independent
from napari_stemnmf.features.features import Features

SCAN, RADIUS, BEAM = (40, 50), 2.5, 1e5
A, B = np.array([20.0, 3.0]), np.array([-5.0, 24.0])
"""Two spots of a crystal, px."""
C, D = np.array([13.0, 13.5]), np.array([-22.0, 9.0])
"""Two of another."""


def blob(y: float, x: float, size: float) -> np.ndarray:
    """A round grain, thick in the middle: (scan_y, scan_x), 1 at most."""
    rows, columns = np.mgrid[: SCAN[0], : SCAN[1]]
    return np.sqrt(np.maximum(1 - ((rows - y) ** 2 + (columns - x) ** 2) / size**2, 0))


def features_of(maps: list[np.ndarray], q: list[np.ndarray], peak: float = 2000.0) -> Features:
    """Features of tracks with such dark fields, with noise of counts."""
    rng = np.random.default_rng(1)
    ideal = np.stack([peak * m.ravel() ** 2 for m in maps])
    near = np.stack([m.ravel() > 0 for m in maps])
    ground = 100.0
    values = np.where(near, rng.poisson(ideal + ground) - ground, 0.0)
    row, column = np.nonzero(near.T)
    matrix = csr_array((values.T[row, column].astype(np.float32), (row, column)), shape=(near.shape[1], len(maps)))
    y, x = np.array(q).T
    zeros = np.zeros(len(q))
    columns = {"q_y": y, "q_x": x, "radius": np.hypot(y, x), "azimuth": zeros, "scatter": zeros}
    detected = (ideal.T[row, column] > 0.1 * peak) & near.T[row, column]
    sigma = np.sqrt(ideal.T[row, column] + ground).astype(np.float32)
    details = {"sigma": sigma, "detected": detected, "beam": BEAM, "probe_radius": RADIUS}
    return Features("vdf", matrix, columns, (), SCAN, details)


def of(groups: Groups) -> list[int]:
    return groups.group.tolist()


def test_tracks_of_one_footprint_are_one_group() -> None:
    """Two grains side by side."""
    one, two = blob(15, 15, 9), blob(20, 35, 9)
    found = group(features_of([one, two, one, two], [A, C, B, D]))
    assert found.k == 2
    assert of(found)[0] == of(found)[2] != of(found)[1] == of(found)[3]


def test_a_smaller_crystal_inside_a_larger_one_is_a_grain() -> None:
    """Its spots are on no lattice of the larger one's."""
    large, small = blob(20, 25, 16), blob(22, 28, 7)
    found = group(features_of([large, large, small, small], [A, B, C, D]))
    assert found.k == 2
    spots = np.array([A, B, C, D])
    assert [independent(spots[found.group == g], RADIUS) for g in range(2)] == [2, 2]


def test_a_part_of_a_grain_with_spots_of_its_lattice_is_none() -> None:
    """Spots that are sums of the grain's, where it is thick."""
    large, core = blob(20, 25, 16), blob(22, 28, 7)
    found = group(features_of([large, large, 0.5 * core, 0.5 * core], [A, B, A + B, A - B]))
    assert found.k == 1
    assert (found.fate[2:] == grouping.EXPLAINED).all()


def test_what_two_grains_make_where_they_overlap_is_none() -> None:
    """Beams of one that the other diffracts once more."""
    one, two = blob(20, 19, 13), blob(20, 31, 13)
    both = blob(20, 25, 6)
    maps = [one, one, two, two, 0.4 * both, 0.4 * both]
    found = group(features_of(maps, [A, B, C, D, A + C, B + D], 20000.0))
    assert found.k == 2


def test_a_spot_that_two_grains_share_does_not_unite_them() -> None:
    """A track over both, and the one that faces it."""
    one, two = blob(20, 16, 10), blob(20, 34, 10)
    shared = np.array([2.0, -17.0])
    maps = [one, one, two, two, np.maximum(one, two), np.maximum(one, two)]
    found = group(features_of(maps, [A, B, C, D, shared, -shared]))
    assert found.k == 2


def test_a_part_gives_the_same_as_the_whole() -> None:
    """What is far away does not matter."""
    one, two, far = blob(15, 15, 9), blob(17, 18, 9), blob(30, 40, 8)
    maps, q = [one, two, one, two, far, far], [A, C, B, D, A, B]
    whole, part = group(features_of(maps, q)), group(features_of(maps[:4], q[:4]))
    assert of(whole)[:4] == of(part)


def test_what_is_lost_in_noise_is_in_no_group() -> None:
    """No track that is bright enough: no grain."""
    found = group(features_of([blob(15, 15, 9)] * 2, [A, B], 5.0))
    assert found.k == 0
    assert (found.fate == grouping.FAINT).all() or (found.fate == grouping.SMALL).all()


def test_dark_fields_that_go_with_thickness_in_their_own_ways_are_one_grain() -> None:
    """One rises to the middle, one saturates: no cut at one level makes them alike."""
    grain = blob(20, 25, 13)
    steep, flat = grain**1.5, np.minimum(2 * grain, 1)
    found = group(features_of([steep, steep, flat, flat], [A, B, C, D]))
    assert found.k == 1
    assert of(found) == [0, 0, 0, 0]


def test_two_grains_nearly_one_above_the_other_are_two() -> None:
    """Two thirds of what they cover is common."""
    one, two = blob(20, 24, 13), blob(20, 28, 13)
    found = group(features_of([one, one, two, two], [A, B, C, D]))
    assert found.k == 2


def test_a_group_that_meets_the_lattice_of_another_by_one_spot_is_a_grain() -> None:
    """Chance lets one spot lie on a sum of two others now and then."""
    large, small = blob(20, 25, 16), blob(22, 28, 7)
    found = group(features_of([large, large, small, 0.8 * small], [A, B, A + B, C]))
    assert found.k == 2
