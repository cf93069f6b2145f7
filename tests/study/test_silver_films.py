"""The paper's films as bodies."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.diffraction import fcc
from napari_stemnmf.simulation.film import TRUE_THICKNESS
from napari_stemnmf.study.films import ScanGrid, Specimen, silver_specimen

FILMS = ("ag1", "ag2", "ag3")
WHOLE = ScanGrid((200, 200))


def volume_of_an_atom(specimen: Specimen) -> float:
    return specimen.crystal.lattice[0, 0] ** 3 / 4


def two_grains(distance: float, periodic: bool = False) -> Specimen:
    centers = np.array([[100.0, 100.0, 60.0], [100.0 + distance, 100.0, 60.0]])
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    cell = np.array([300.0, 200.0, 120.0])
    return Specimen(fcc("Ag", 4.0853, 0.7), cell, periodic, centers, np.stack([np.eye(3), turned]), (35, 41, 40))


def test_probe_positions_are_the_middles_of_steps():
    grid = ScanGrid((2, 3), step=5.0, origin=(10.0, 0.0))
    np.testing.assert_allclose(grid.y, [12.5, 17.5])
    np.testing.assert_allclose(grid.x, [2.5, 7.5, 12.5])
    np.testing.assert_allclose(grid.grown(2).y[2:-2], grid.y)
    np.testing.assert_allclose(grid.grown(2).x, np.arange(-7.5, 25, 5))


@pytest.mark.parametrize(("film", "grains"), list(zip(FILMS, (31, 36, 42), strict=True)))
def test_the_films_have_the_papers_numbers_of_grains(film, grains):
    thickness = silver_specimen(film).thickness(ScanGrid((100, 100)))
    assert (thickness > TRUE_THICKNESS).any(axis=(1, 2)).sum() == grains


def test_the_films_differ_in_the_size_of_their_grains_alone():
    small, large = silver_specimen("ag1", 7), silver_specimen("ag3", 7)
    np.testing.assert_array_equal(small.centers, large.centers)
    np.testing.assert_array_equal(small.orientations, large.orientations)
    assert (large.thickness(WHOLE) >= small.thickness(WHOLE) - 1e-3).all()
    assert not np.array_equal(small.centers, silver_specimen("ag1", 8).centers)
    with pytest.raises(DataError, match="ag4"):
        silver_specimen("ag4")


def test_atoms_fill_the_volume_that_the_thickness_adds_up_to():
    specimen = silver_specimen("ag1")
    atoms = specimen.atoms((0, 0, 0), specimen.cell)
    filled = specimen.thickness(WHOLE).sum(dtype=np.float64) * WHOLE.step**2
    assert len(atoms) * volume_of_an_atom(specimen) == pytest.approx(filled, rel=0.01)


def test_atoms_lie_where_the_film_is_thick():
    specimen = silver_specimen("ag1")
    atoms = specimen.atoms((0, 0, 0), (500, 500, 300))
    edges = np.arange(0, 501, 20.0)  # four positions a side: single columns of atoms no longer count
    number = np.histogram2d(atoms[:, 1], atoms[:, 0], bins=[edges, edges])[0]
    thickness = specimen.thickness(ScanGrid((100, 100))).sum(axis=0).reshape(25, 4, 25, 4).mean(axis=(1, 3))
    assert np.corrcoef(number.ravel(), thickness.ravel())[0, 1] > 0.999
    assert number[thickness == 0].sum() <= 0.001 * len(atoms)


def test_boxes_that_share_faces_share_no_atoms():
    specimen = silver_specimen("ag1")
    whole = specimen.atoms((100, 100, 0), (300, 300, 300))
    parts = [specimen.atoms((x, y, 0), (x + 100, y + 100, 300)) for x in (100, 200) for y in (100, 200)]
    together = np.concatenate(parts)
    assert len(together) == len(whole) > 1000
    np.testing.assert_allclose(np.sort(together.sum(axis=1)), np.sort(whole.sum(axis=1)))


def test_the_film_repeats():
    specimen = silver_specimen("ag1")
    here, there = specimen.atoms((0, 0, 0), (120, 80, 300)), specimen.atoms((2000, -1000, 0), (2120, -920, 300))
    assert len(here) == len(there) > 0
    distance, _ = cKDTree(here).query(there - [2000, -1000, 0])
    assert distance.max() < 1e-6
    shifted = ScanGrid((40, 40), origin=(1000.0, -1000.0))
    np.testing.assert_allclose(specimen.thickness(shifted), specimen.thickness(ScanGrid((40, 40))), atol=1e-3)


def test_grains_keep_a_gap_and_no_atom_leaves_the_film():
    specimen = silver_specimen("ag3")
    atoms = specimen.atoms((200, 200, 0), (400, 400, 300))
    assert atoms[:, 2].min() >= 0
    assert atoms[:, 2].max() <= 300
    nearest, _ = cKDTree(atoms).query(atoms, k=2)
    bond = specimen.crystal.lattice[0, 0] / np.sqrt(2)
    between = nearest[:, 1][nearest[:, 1] < bond - 1e-6]
    assert (between >= specimen.gap - 1e-9).all()
    assert len(between) > 10  # there are grains that meet


def test_two_grains_stop_a_gap_apart():
    specimen = two_grains(50.0)
    atoms = specimen.atoms((0, 0, 0), specimen.cell)
    left = atoms[:, 0] < 125
    assert atoms[left, 0].max() <= 124
    assert atoms[~left, 0].min() >= 126
    assert not specimen.thickness(ScanGrid((40, 20), 1.0, (80.0, 115.0)))[:, :, 9:11].any()


def test_a_grain_alone_has_the_size_of_its_facets():
    specimen = two_grains(150.0)
    thickness = specimen.thickness(ScanGrid((1, 1), 1.0, (99.5, 99.5)))
    np.testing.assert_allclose(thickness.ravel(), [70.0, 0.0])
    assert np.linalg.norm(specimen.atoms((0, 0, 0), specimen.cell) - specimen.centers[0], axis=1).min() < 1e-9


def test_without_periods_nothing_comes_in_from_the_other_side():
    assert two_grains(190.0, periodic=True).thickness(ScanGrid((40, 4)))[1].any()
    assert not two_grains(190.0, periodic=False).thickness(ScanGrid((40, 4)))[1].any()


@pytest.mark.parametrize("film", FILMS)
def test_the_default_films_are_the_shared_ones_as_thick_as_those(film, shared):
    specimen = silver_specimen(film)
    thickness = specimen.thickness(ScanGrid((100, 100))).transpose(0, 2, 1)  # theirs have x first
    with h5py.File(shared / "films" / f"{film}_small.h5") as file:
        np.testing.assert_allclose(specimen.centers, file["all_centers"][()])
        np.testing.assert_allclose(specimen.orientations, file["all_orientations"][()], atol=1e-12)
        true = np.flatnonzero((thickness > TRUE_THICKNESS).any(axis=(1, 2)))
        np.testing.assert_array_equal(true, file["grain_ids"][()])
        expected = file["thickness_geo"][()].astype(np.float64)
        labels = file["labels"][()]
    difference = thickness[true] - expected
    assert np.sqrt((difference**2).mean()) < 1.0  # Å; theirs counts atoms, which lie in columns
    found = thickness[true] > TRUE_THICKNESS
    overlap = (found & labels).sum(axis=(1, 2)) / (found | labels).sum(axis=(1, 2))
    assert np.median(overlap) > 0.9
