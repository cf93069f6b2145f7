"""Spots of one crystal are told by their sums."""

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.deflation import Spots, explained
from napari_stemnmf.clustering.lattice import beside, between, independent, made_of, made_of_both

RADIUS = 2.5
LATTICE = np.array([[20.0, 3.0], [-5.0, 24.0]])


def test_sums_and_differences_are_on_the_lattice() -> None:
    """Also what faces a spot, half of it and twice; what lies elsewhere is not, nor is the direct beam."""
    a, b = LATTICE
    on = np.array([a + b, a - b, -a, a / 2, 2 * b])
    assert made_of(on, LATTICE, RADIUS).all()
    assert not made_of(np.array([[11.0, -9.0], [0.3, 0.3]]), LATTICE, RADIUS).any()


def test_the_lattice_may_be_sheared() -> None:
    """Sums hold on a detector that is stretched."""
    shear = np.array([[1.1, 0.05], [0.0, 0.93]])
    assert made_of((LATTICE.sum(axis=0) @ shear)[None], LATTICE @ shear, RADIUS).all()


def test_spots_that_face_one_another_count_once() -> None:
    """Across the direct beam."""
    assert independent(LATTICE, RADIUS) == 2
    assert independent(np.concatenate([LATTICE, -LATTICE[:1]]), RADIUS) == 2


def test_two_grains_make_a_spot_that_is_faint_enough() -> None:
    """The product of two beams: what is much brighter was not made so."""
    other = np.array([[3.0, -17.0]])
    beams = (LATTICE, np.array([0.1, 0.1])), (other, np.array([0.1]))
    q = np.array([LATTICE[0] + other[0]] * 2)
    assert made_of_both(q, np.array([0.02, 0.5]), *beams, RADIUS).tolist() == [True, False]


def test_streaks_are_beside_a_spot() -> None:
    """Within a probe radius or so."""
    q = LATTICE[:1] + np.array([[0.0, 1.2 * RADIUS], [0.0, 2.5 * RADIUS]])
    assert beside(q, LATTICE, RADIUS).tolist() == [True, False]


def test_disks_that_overlap_are_seen_between_them() -> None:
    a, b = np.array([[20.0, 0.0], [0.0, 30.0]]), np.array([[20.0, 3.0], [12.0, 30.0]])
    q = np.array([[20.0, 1.2], [20.0, 4.5], [21.5, 1.5], [6.0, 30.0]])
    np.testing.assert_array_equal(between(q, a, b, 2.0), [True, False, False, False])


def test_what_two_grains_of_touching_disks_make_is_no_third_one() -> None:
    """Where two grains overlap on the scan and their disks on the detector, one disk is seen between each two."""
    first, second, both = np.zeros((3, 12, 12), np.float32)
    first[1:8, 1:8], second[4:11, 4:11], both[4:8, 4:8] = 1, 1, 1
    masks = csr_array(np.stack([first, second, both]).reshape(3, -1))
    lattice = np.array([[y, x] for y in (-16.0, 0.0, 16.0) for x in (-17.0, 0.0, 17.0) if y or x])
    other = lattice + np.array([1.8, 1.0])
    peak = np.linspace(1, 2, 8)
    third = np.array([[9.0, 4.0], [-9.0, -4.0], [5.0, 21.0], [-5.0, -21.0], [13.0, 9.0]])
    for q, expected in ((0.5 * (lattice + other)[:5], True), (third, False)):
        spots = [Spots(lattice, peak), Spots(other, peak), Spots(q, 5 * peak[:5])]
        found = explained(masks, masks, spots, 2.0)
        assert found.tolist() == [False, False, expected]
