"""Lattices, reflections, structure factors, rotations."""

import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.crystals import (
    CROMER_MANN,
    Crystal,
    fcc,
    random_rotations,
    reflections,
    scattering_factor,
)


@pytest.mark.parametrize("element", CROMER_MANN)
def test_xray_factors_sum_to_the_number_of_electrons(element):
    number, fit = CROMER_MANN[element]
    assert sum(fit[0:8:2]) + fit[8] == pytest.approx(number, abs=0.05)


def test_reflections_of_fcc_have_indices_all_even_or_all_odd():
    found = reflections(fcc("Ag", 4.0), 1.3)
    assert set(map(tuple, np.abs(np.diff(found.hkl % 2, axis=1)))) == {(0, 0)}
    squares = (found.hkl**2).sum(axis=1)
    counts = {int(n): int((squares == n).sum()) for n in np.unique(squares)}
    assert counts == {3: 8, 4: 6, 8: 12, 11: 24, 12: 8, 16: 6, 19: 24, 20: 24, 24: 24, 27: 32}


def test_reflections_come_by_length_in_a_fixed_order():
    found, again = reflections(fcc(), 1.2), reflections(fcc(), 1.2)
    length = np.linalg.norm(found.g, axis=1)
    assert (np.diff(length) > -1e-9).all()
    assert length.max() <= 1.2
    np.testing.assert_array_equal(found.hkl, again.hkl)


def test_structure_factor_of_fcc_is_four_atoms_in_phase():
    crystal = fcc("Al", 4.05, debye_waller=0.8)
    found = reflections(crystal, 0.8)
    q = np.linalg.norm(found.g, axis=1)
    np.testing.assert_allclose(found.structure_factor, 4 * scattering_factor("Al", q) * np.exp(-0.8 * q**2 / 4))


def test_reciprocal_lattice_is_the_inverse_of_a_skew_one():
    crystal = Crystal(np.array([[3.0, 0, 0], [1.0, 4.0, 0], [0.5, 0.7, 5.0]]), np.zeros((1, 3)), ("Cu",))
    np.testing.assert_allclose(crystal.lattice @ crystal.reciprocal.T, np.eye(3), atol=1e-12)
    assert crystal.volume == pytest.approx(60)
    found = reflections(crystal, 0.5)
    np.testing.assert_allclose(found.g @ crystal.lattice.T, found.hkl, atol=1e-12)
    everything = np.array([[h, k, m] for h in range(-6, 7) for k in range(-6, 7) for m in range(-6, 7)])
    length = np.linalg.norm(everything @ crystal.reciprocal, axis=1)
    assert len(found.hkl) == ((length > 0) & (length <= 0.5)).sum()


def test_electrons_scatter_less_at_higher_angles_and_more_from_heavier_atoms():
    q = np.linspace(0.3, 2, 30)
    factors = {element: scattering_factor(element, q) for element in ("C", "Al", "Ag", "Au")}
    assert all((np.diff(f) < 0).all() for f in factors.values())
    assert (factors["C"] < factors["Al"]).all()
    assert (factors["Ag"] < factors["Au"]).all()


def test_an_unknown_element_is_refused():
    with pytest.raises(DataError, match="Xx"):
        reflections(fcc("Xx"), 1.0)


def test_rotations_are_proper_and_in_no_favoured_direction():
    rotations = random_rotations(4000, np.random.default_rng(0))
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4000, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    assert np.abs(rotations.mean(axis=0)).max() < 0.04
    np.testing.assert_allclose((rotations**2).mean(axis=0), 1 / 3, atol=0.02)
