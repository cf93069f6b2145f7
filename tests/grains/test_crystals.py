"""Crystals that cover much of a scan, and regions that hold none."""

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.grains.crystals import large_crystals
from napari_stemnmf.grains.recurrence import Disks, holds_crystal, recurrence
from napari_stemnmf.simulation.sample import sample
from napari_stemnmf.simulation.simple import KINDS, simple_scan


def disks_of(made) -> Disks:
    found = stem.analyse(made.dataset, until="calibrate", workers=1)
    return Disks.of(found.peaks, found.calibration)


def iou(mask: np.ndarray, other: np.ndarray) -> float:
    return float((mask & other).sum() / (mask | other).sum())


@pytest.mark.parametrize("dose", [1e4, 1e6])
@pytest.mark.parametrize("kind", KINDS)
def test_crystals_are_as_many_and_where_they_are(kind, dose):
    made = simple_scan(kind, seed=21, dose=dose)
    found = large_crystals(disks_of(made), 25)
    assert len(found) == KINDS[kind]
    assert len(found.counts) == len(found.weights) == KINDS[kind]
    for mask in made.masks:
        assert max(iou(mask, other) for other in found.masks) > 0.8
    assert not found.weights[~found.masks].any()


def made_disks(spots, share=1.0, shape=(20, 20), seed=0) -> Disks:
    """Disks at given places, each with the mask of the positions that hold it; positions jitter by 0.2 px."""
    random = np.random.default_rng(seed)
    q, at = [], []
    for place, mask in spots:
        there = np.flatnonzero(mask & (random.random(shape) < share))
        q.append(np.array(place) + random.normal(0, 0.2, (len(there), 2)))
        at.append(there)
    order = np.argsort(np.concatenate(at), kind="stable")
    at = np.concatenate(at)[order]
    return Disks(np.concatenate(q)[order], at, np.ones(len(at), np.float32), 2.0, shape)


def part(rows=slice(None), columns=slice(None), shape=(20, 20)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_a_reflection_that_two_crystals_share_does_not_join_them():
    left, right = part(columns=slice(0, 10)), part(columns=slice(10, 20))
    spots = [
        ((10, 0), left),
        ((-10, 0), left),
        ((20, 1), left),
        ((7, 12), right),
        ((-7, -12), right),
        ((14, 24), right),
    ]
    found = large_crystals(made_disks([*spots, ((0, 15), left | right)]), 25)
    assert sorted(iou(mask, found.masks[0]) for mask in (left, right))[1] > 0.9
    assert len(found) == 2


def test_reflections_that_come_and_go_with_thickness_belong_to_one_crystal():
    fringes = part(rows=slice(0, 12)), part(rows=slice(6, 20)), part()
    spots = [((10, 0), fringes[0]), ((-10, 0), fringes[1]), ((0, 10), fringes[2]), ((10, 10), fringes[1])]
    found = large_crystals(made_disks(spots), 25)
    assert len(found) == 1
    assert found.masks.all()


def test_a_small_crystal_is_not_a_large_one_nor_are_scattered_disks():
    small = part(slice(3, 9), slice(3, 9))
    assert len(large_crystals(made_disks([((10, 0), small), ((-10, 0), small)]), 25)) == 0
    random = np.random.default_rng(1)
    q = random.uniform(-30, 30, (4000, 2))
    scattered = Disks(q, np.sort(random.integers(0, 400, 4000)), np.ones(4000, np.float32), 2.0, (20, 20))
    assert len(large_crystals(scattered, 25)) == 0
    assert not holds_crystal(part(slice(2, 12), slice(2, 12)), scattered)


def test_a_scan_without_disks_has_no_crystal():
    none = Disks(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, np.float32), 2.0, (20, 20))
    assert len(large_crystals(none, 25)) == 0
    assert not none.recurring
    assert recurrence(part(slice(2, 9)), none)[0] == 0.0


def test_one_line_and_two_by_two_positions_hold_a_crystal_too():
    for shape in ((1, 120), (120, 1), (2, 2)):
        everywhere = np.ones(shape, bool)
        spots = [((10, 0), everywhere), ((-10, 0), everywhere), ((0, 10), everywhere)]
        assert large_crystals(made_disks(spots, shape=shape), 25).masks.all(), shape


def test_no_crystal_is_where_patterns_are_left_out():
    everywhere, flyback = part(), part(columns=slice(18, 20))
    found = large_crystals(made_disks([((10, 0), everywhere), ((-10, 0), everywhere)]), 25, flyback)
    np.testing.assert_array_equal(found.masks[0], ~flyback)
    assert found.shares == (1.0,)
    assert "fills the whole scan" in found.note


@pytest.mark.parametrize("share", [0.35, 1.0])
def test_a_region_holds_a_crystal_where_its_patterns_share_a_disk(share):
    grain = part(slice(4, 14), slice(4, 14))
    disks = made_disks([((10, 0), grain), ((3, 17), part(slice(15, 20)))], share)
    assert holds_crystal(grain, disks) or share < 1
    assert not holds_crystal(part(slice(0, 3)), disks)


def test_every_true_grain_of_the_sample_holds_a_crystal():
    made = sample((24, 28), (64, 64), seed=5, dose=3e3)
    disks = disks_of(made)
    assert all(holds_crystal(mask, disks) for mask in made.masks)
