"""Lattices, reflections and rotations of crystals; the Ewald sphere, intensities and disks of their diffraction."""

import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.diffraction import (
    CROMER_MANN,
    Crystal,
    diffracted_beams,
    diffuse,
    disks,
    excitation_error,
    extinction_distance,
    fcc,
    random_rotations,
    reflections,
    scattering_factor,
    wavelength,
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


@pytest.mark.parametrize(("energy", "expected"), [(100e3, 0.037014), (200e3, 0.025079), (300e3, 0.019687)])
def test_wavelength_is_relativistic(energy, expected):
    assert wavelength(energy) == pytest.approx(expected, abs=1e-6)


def test_reciprocal_points_on_the_ewald_sphere_have_no_excitation_error():
    wave = wavelength(300e3)
    angle = np.radians(np.linspace(0, 3, 7))
    on_sphere = np.stack([np.sin(angle), 0 * angle, np.cos(angle) - 1], axis=1) / wave
    np.testing.assert_allclose(excitation_error(on_sphere, wave), 0, atol=1e-12)


def test_excitation_error_of_a_zone_axis_point_is_half_lambda_g_squared_outside():
    g = np.array([[0.5, 0, 0], [0, 1.0, 0]])
    expected = -wavelength(300e3) * np.array([0.25, 1.0]) / 2
    np.testing.assert_allclose(excitation_error(g, wavelength(300e3)), expected, rtol=1e-3)


def test_extinction_distances_of_aluminium_are_those_in_the_books():
    # Hirsch et al., Electron Microscopy of Thin Crystals, 100 kV: 556, 673, 1057, 1300 Å for 111, 200, 220, 311
    found = reflections(fcc("Al", 4.05, debye_waller=0.0), 0.85)
    distance = extinction_distance(found, 100e3)
    squares = (found.hkl**2).sum(axis=1)
    for square, expected in {3: 556, 4: 673, 8: 1057, 11: 1300}.items():
        assert distance[squares == square] == pytest.approx(expected, rel=0.015)


def test_a_crystal_on_its_zone_axis_shows_that_zones_reflections_and_no_others():
    beams = diffracted_beams(reflections(fcc(), 0.75), np.eye(3), 300e3, excitation_max=0.02)
    assert set(beams.hkl[:, 2]) == {0}
    np.testing.assert_allclose(beams.q, beams.hkl[:, [1, 0]] / 4.0853)


def test_turning_a_crystal_about_the_beam_turns_its_pattern():
    found = reflections(fcc(), 1.0)
    tilt = random_rotations(1, np.random.default_rng(3))[0]
    quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])  # x to y
    first, second = (diffracted_beams(found, r, 300e3) for r in (tilt, quarter @ tilt))
    np.testing.assert_array_equal(first.hkl, second.hkl)
    np.testing.assert_allclose(second.q[:, 0], first.q[:, 1], atol=1e-12)
    np.testing.assert_allclose(second.q[:, 1], -first.q[:, 0], atol=1e-12)
    np.testing.assert_allclose(first.excitation, second.excitation, atol=1e-12)


def test_intensity_grows_with_the_square_of_thickness_and_vanishes_at_one_over_s():
    beams = diffracted_beams(reflections(fcc(), 1.0), np.eye(3), 300e3)
    thin = beams.intensity(np.array([0.0, 1.0, 2.0]))
    assert thin.shape == (3, len(beams.hkl))
    np.testing.assert_allclose(thin[0], 0)
    np.testing.assert_allclose(thin[2], 4 * thin[1], rtol=0.02)
    strong = np.abs(beams.excitation).argmax()
    assert beams.intensity(1 / np.abs(beams.excitation[strong]))[strong] == pytest.approx(0, abs=1e-20)


def test_a_disk_sums_to_one_at_its_place_with_its_radius():
    disk = disks(np.array([[0.2, -0.1]]), (64, 80), (31.3, 40.6), 0.02, 3.0).toarray().reshape(64, 80)
    assert disk.sum() == pytest.approx(1)
    y, x = np.indices(disk.shape)
    assert (disk * y).sum() == pytest.approx(31.3 + 10, abs=0.05)
    assert (disk * x).sum() == pytest.approx(40.6 - 5, abs=0.05)
    assert 1 / disk.max() == pytest.approx(np.pi * 9, rel=0.05)


def test_a_disk_over_the_edge_loses_what_lies_outside():
    found = disks(np.array([[0.0, 0.0], [5.0, 0.0]]), (20, 20), (0.0, 10.0), 0.02, 3.0)
    share = found.toarray().sum(axis=1)
    assert share[0] == pytest.approx(0.5, abs=0.15)
    assert share[1] == 0


def test_no_beams_give_no_disks():
    assert disks(np.empty((0, 2)), (20, 30), (10, 10), 0.02, 3.0).shape == (0, 600)


def test_thermal_diffuse_scattering_is_less_than_all_and_rises_from_the_centre():
    q = np.linspace(0.0, 1.2, 40)
    everything, thermal = diffuse("Ag", q, 300e3, 0.02), diffuse("Ag", q, 300e3, 0.02, debye_waller=0.7)
    assert (thermal < everything).all()
    assert (np.diff(everything) <= 0).all()
    assert np.isfinite(everything).all()
    np.testing.assert_allclose(thermal / everything, 1 - np.exp(-0.7 * np.maximum(q, 0.1) ** 2 / 2))


def test_kinematic_intensities_agree_with_multislice_where_a_film_is_thin(shared):
    import h5py
    from scipy import ndimage

    found = reflections(fcc("Ag", 4.0853, 0.7), 1.1)
    expected, measured = [], []
    with h5py.File(shared / "films" / "ag1_small.h5") as film:
        masks, thickness, rotations = film["labels"][()], film["thickness"][()].astype(float), film["orientations"][()]
        y, x = np.indices(film["data"].shape[2:])
        for mask, depth, rotation in zip(masks, thickness, rotations, strict=True):
            alone = ndimage.binary_erosion(mask & (masks.sum(axis=0) == 1), iterations=3)
            if not alone.any():
                continue
            depth = ndimage.gaussian_filter(depth, 2)  # the film's source blur
            i, j = np.unravel_index(np.where(alone, depth, 0).argmax(), depth.shape)
            pattern = film["data"][i, j] / film["data"].attrs["dose_e_per_pattern"]
            beams = diffracted_beams(found, rotation, 300e3)
            expected += list(beams.intensity(depth[i, j]))
            for row, column in beams.q[:, ::-1] / 0.02 + 62.75:  # the film's first axes are x
                measured.append(pattern[np.hypot(y - row, x - column) < 3.5].sum())
    assert len(expected) > 100
    assert np.corrcoef(expected, measured)[0, 1] > 0.98
    assert sum(measured) == pytest.approx(sum(expected), rel=0.2)
