"""Spots of one crystal are told by their sums."""

import numpy as np

from napari_stemnmf.clustering.lattice import beside, independent, made_of, made_of_both

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
