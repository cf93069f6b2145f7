"""Facetted grains and their thickness along the beam."""

import numpy as np
import pytest

from napari_stemnmf.simulation.diffraction import random_rotations
from napari_stemnmf.simulation.film import cubic_facets, halfway_planes, thickness_along_beam


def grid(half=12.0, step=0.25):
    axis = np.arange(-half + step / 2, half, step)
    return axis[:, None], axis[None, :]


def test_a_cube_is_as_thick_as_its_facets_are_apart():
    normals, offsets = cubic_facets((5.0, 50.0, 50.0))
    depth = thickness_along_beam(normals, offsets, *grid())
    assert len(normals) == 26
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    np.testing.assert_allclose(depth[depth > 0], 10.0)
    assert (depth > 0).sum() * 0.25**2 == pytest.approx(100)


def test_an_octahedron_has_the_volume_of_one():
    normals, offsets = cubic_facets((50.0, 50.0, 5.0))
    volume = thickness_along_beam(normals, offsets, *grid()).sum() * 0.25**2
    assert volume == pytest.approx(4 * np.sqrt(3) * 5.0**3, rel=0.01)


def test_turning_a_grain_keeps_its_volume():
    normals, offsets = cubic_facets((5.0, 5.8, 5.7))
    upright = thickness_along_beam(normals, offsets, *grid()).sum()
    for rotation in random_rotations(4, np.random.default_rng(0)):
        assert thickness_along_beam(normals @ rotation.T, offsets, *grid()).sum() == pytest.approx(upright, rel=0.01)


def test_grains_stop_halfway_to_their_neighbours_and_leave_the_gap():
    normals, offsets = cubic_facets((5.0, 50.0, 50.0))
    cut_normals, cut_offsets = halfway_planes(np.zeros(3), np.array([[6.0, 0, 0], [0, 0, 8.0]]), gap=2.0)
    y, x = grid()
    depth = thickness_along_beam(np.vstack([normals, cut_normals]), np.append(offsets, cut_offsets), y, x)
    columns = x[0][(depth > 0).any(axis=0)]
    assert columns.max() == pytest.approx(2.0, abs=0.25)
    assert columns.min() == pytest.approx(-5.0, abs=0.25)
    np.testing.assert_allclose(depth[depth > 0], 8.0)  # from -5 to 3 along the beam


def test_planes_that_leave_no_room_give_no_thickness():
    normals = np.array([[0, 0, 1.0], [0, 0, -1.0], [1.0, 0, 0]])
    assert (thickness_along_beam(normals, np.array([1.0, -2.0, 5.0]), *grid()) == 0).all()
