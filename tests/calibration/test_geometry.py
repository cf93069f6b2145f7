"""Polar coordinates of detector pixels."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError


def test_azimuth_runs_from_q_x_towards_q_y() -> None:
    round_one = Geometry((20, 20), 10.0, 8.0, 1.0)
    radius, azimuth = round_one.to_polar(np.array([10.0, 13.0, 10.0, 7.0]), np.array([11.0, 8.0, 5.0, 8.0]))
    np.testing.assert_allclose(radius, 3.0)
    np.testing.assert_allclose(azimuth, [0, 90, 180, 270])


@given(
    st.floats(1.0, 1.5),
    st.floats(-180, 180),
    st.floats(0.1, 50),
    st.floats(0, 359.9),
    st.floats(10, 90),
    st.floats(5, 9),
)
def test_from_polar_inverts_to_polar(
    ratio: float, angle: float, radius: float, azimuth: float, q_y: float, q_x: float
) -> None:
    g = Geometry((100, 100), q_y, q_x, 2.0, ratio, angle)
    r, a = g.to_polar(*g.from_polar(np.array([radius]), np.array([azimuth])))
    assert r[0] == pytest.approx(radius, rel=1e-9)
    assert (a[0] - azimuth + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


def test_ellipse_becomes_the_circle_of_the_same_area() -> None:
    a, b, direction = 12.0, 10.0, 30.0
    g = Geometry((64, 64), 32.0, 31.0, 2.0, a / b, direction)
    t = np.linspace(0, 2 * np.pi, 50)
    along, across = a * np.cos(t), b * np.sin(t)
    c, s = np.cos(np.radians(direction)), np.sin(np.radians(direction))
    radius, azimuth = g.to_polar(32.0 + s * along + c * across, 31.0 + c * along - s * across)
    np.testing.assert_allclose(radius, np.sqrt(a * b))
    assert azimuth[0] == pytest.approx(direction)


def test_geometries_are_equal_and_hash_alike_when_their_content_is() -> None:
    mask = np.ones((8, 9), bool)
    mask[2] = False
    a, b = (Geometry((8, 9), 4, 4, 1, mask=mask.copy()) for _ in range(2))
    assert a == b
    assert hash(a) == hash(b)
    assert a == pickle.loads(pickle.dumps(a))
    other = mask.copy()
    other[0, 0] = False
    assert a != Geometry((8, 9), 4, 4, 1, mask=other)
    assert a != Geometry((8, 9), 4, 4.5, 1, mask=mask)
    assert a != Geometry((8, 9), 4, 4, 1)


def test_later_changes_of_the_mask_do_not_reach_the_geometry() -> None:
    mask = np.ones((8, 9), bool)
    g = Geometry((8, 9), 4, 4, 1, mask=mask)
    mask[:] = False
    assert g.mask is not None
    assert g.mask.all()
    with pytest.raises(ValueError, match="read-only"):
        g.mask[0] = False


def test_mask_of_another_shape_and_ratio_below_one_are_refused() -> None:
    with pytest.raises(DataError, match=r"mask is of shape \(3, 3\)"):
        Geometry((8, 9), 4, 4, 1, mask=np.ones((3, 3), bool))
    with pytest.raises(DataError, match="at least 1"):
        Geometry((8, 9), 4, 4, 1, ellipse_ratio=0.9)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 130.0])
def test_an_ellipse_on_top_of_another_undoes_both(angle):
    known = Geometry((64, 64), 31.5, 31.5, 2.0, 1.5, 90.0)
    both = known.with_ellipse(1.04, angle)
    azimuth = np.linspace(0.0, 360.0, 60)
    y, x = replace(known, ellipse_ratio=1.04, ellipse_angle=angle).from_polar(np.full(60, 10.0), azimuth)
    y, x = known.from_polar(np.hypot(y - 31.5, x - 31.5), np.degrees(np.arctan2(y - 31.5, x - 31.5)))
    np.testing.assert_allclose(both.to_polar(y, x)[0], 10.0, rtol=1e-9)


def test_an_ellipse_on_a_circle_is_itself():
    both = Geometry((64, 64), 31.5, 31.5, 2.0).with_ellipse(1.04, 130.0)
    assert (both.ellipse_ratio, both.ellipse_angle) == (pytest.approx(1.04), pytest.approx(130.0))
