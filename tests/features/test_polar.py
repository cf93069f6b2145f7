"""The look-up tables, and the plan that applies them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.features.polar import radial_profile, samples, sectors, unrolled
from napari_stemnmf.features.projection import Plan, project


@settings(max_examples=25)
@given(st.floats(5, 25), st.floats(5, 35), st.floats(0, 8), st.floats(0.5, 12), st.sampled_from([5.0, 30.0, 180.0]))
def test_weights_of_every_sector_add_up_to_one(q_y: float, q_x: float, inner: float, width: float, step: float) -> None:
    table = sectors(Geometry((31, 41), q_y, q_x, 1.0), (inner, inner + width), step)
    sums = np.add.reduceat(np.append(table.weight[:, 0], 0.0), table.start[:-1])[np.diff(table.start) > 0]
    np.testing.assert_allclose(sums, 1.0, rtol=1e-5)
    assert ((table.share >= 0) & (table.share <= 1)).all()
    assert ((table.index >= 0) & (table.index < 31 * 41)).all()


@settings(max_examples=25)
@given(st.floats(5, 25), st.floats(5, 35), st.lists(st.floats(0.1, 60), min_size=1, max_size=5, unique=True))
def test_bilinear_weights_of_every_sample_add_up_to_one(q_y: float, q_x: float, radii: list[float]) -> None:
    table = samples(Geometry((31, 41), q_y, q_x, 1.0), tuple(radii), 1.0)
    np.testing.assert_allclose(table.weight.sum(1), 1.0, rtol=1e-5)
    assert ((table.index >= 0) & (table.index < 31 * 41)).all()
    assert ((table.share >= 0) & (table.share <= 1)).all()


def test_tables_are_built_once_for_equal_geometries() -> None:
    mask = np.ones((20, 20), bool)
    a, b = (Geometry((20, 20), 9.5, 9.5, 1.0, mask=mask.copy()) for _ in range(2))
    assert sectors(a, (3.0, 6.0), 5.0) is sectors(b, (3.0, 6.0), 5.0)
    assert samples(a, (3.0, 6.0), 1.0) is samples(b, (3.0, 6.0), 1.0)


def test_radial_profile_is_the_masked_mean_at_each_radius() -> None:
    y, x = np.indices((50, 60))
    image = np.hypot(y - 24.0, x - 30.0)
    mask = np.ones((50, 60), bool)
    mask[:, :28] = False
    image[~mask] = 1e9
    profile = radial_profile(image, Geometry((50, 60), 24.0, 30.0, 1.0, mask=mask), (5.0, 10.0, 20.0, 60.0))
    np.testing.assert_allclose(profile[:3], [5, 10, 20], rtol=0.01)
    assert np.isnan(profile[3])


def test_unrolled_image_has_rings_as_rows_and_leaves_out_what_is_masked() -> None:
    y, x = np.indices((50, 60))
    mask = np.ones((50, 60), bool)
    mask[:20, 30:] = False
    geometry = Geometry((50, 60), 24.0, 30.0, 1.0, ellipse_ratio=1.1, ellipse_angle=30.0, mask=mask)
    radius = geometry.to_polar(y, x)[0]
    image = unrolled(np.where(mask, radius, 1e9), geometry, (5.0, 15.0, 60.0), 5.0)
    assert image.shape == (3, 72)
    np.testing.assert_allclose(
        image[:2][np.isfinite(image[:2])] / np.repeat([5, 15], np.isfinite(image[:2]).sum(1)), 1, rtol=0.01
    )
    assert np.isnan(image[1, 60])
    assert np.isfinite(image[1, :36]).all()
    assert np.isnan(image[2]).any()
    table = samples(geometry, (5.0, 15.0, 60.0), 5.0)
    np.testing.assert_array_equal(np.isfinite(image).sum(1), np.diff(table.start))


@pytest.mark.parametrize("both", [True, False])
def test_plan_gives_the_same_for_tables_together_and_alone(patterns: np.ndarray, both: bool) -> None:
    g = Geometry((45, 52), 22.3, 25.8, 2.0)
    aa, rv = sectors(g, (4.0, 9.0, 15.0), 5.0), samples(g, (5.0, 6.0, 7.5), 1.0)
    means, variances = project(patterns, Plan.of((45, 52), aa, rv))
    if both:
        np.testing.assert_array_equal(project(patterns, Plan.of((45, 52), aa, None))[0], means)
        np.testing.assert_array_equal(project(patterns, Plan.of((45, 52), None, rv))[1], variances)
    else:
        empty = project(patterns, Plan.of((45, 52), None, None))
        assert [e.shape for e in empty] == [(19, 0), (19, 0)]


def test_read_only_and_strided_blocks_are_taken(patterns: np.ndarray) -> None:
    plan = Plan.of((45, 52), sectors(Geometry((45, 52), 22.3, 25.8, 2.0), (4.0, 9.0), 5.0), None)
    wanted = project(patterns[::2].copy(), plan)[0]
    frozen = patterns.copy()
    frozen.setflags(write=False)
    np.testing.assert_array_equal(project(frozen[::2], plan)[0], wanted)
    np.testing.assert_array_equal(project(frozen, plan)[0][::2], wanted)
