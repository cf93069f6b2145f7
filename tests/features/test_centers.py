"""AA and RV about each pattern's own centre."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.angular_average import AngularAverage
from napari_stemnmf.features.featurize import AngularAverageAndRadialVariance
from napari_stemnmf.features.polar import Centers, parts_of_a_pixel, samples, sectors
from napari_stemnmf.features.radial_variance import RadialVariance
from napari_stemnmf.representation_settings import RadialVarianceSettings

RINGS = (4.0, 9.0, 15.0)
RADII = RadialVarianceSettings(r_min=4, r_max=15)
ELLIPSE = (1.06, 25.0)
Reference = Callable[..., tuple[np.ndarray, np.ndarray]]


def means(block: np.ndarray, kernel: AngularAverage) -> np.ndarray:
    return kernel(block, np.arange(len(block))).per_pattern["values"]


def variances(block: np.ndarray, kernel: RadialVariance) -> np.ndarray:
    return kernel(block, np.arange(len(block))).per_pattern["values"]


@pytest.fixture
def geometry() -> Geometry:
    return Geometry((45, 52), 22.3, 25.8, 2.0, *ELLIPSE)


@pytest.fixture
def origin(geometry: Geometry) -> np.ndarray:
    """Centres of 19 patterns, quarters of a pixel apart."""
    steps = np.random.default_rng(5).integers(-11, 12, (19, 2))
    return np.array([geometry.q_y, geometry.q_x]) + steps / 4


@pytest.mark.parametrize(("probe_radius", "parts"), [(0.5, 4), (2.67, 4), (5.3, 2), (9.1, 2), (12.0, 1)])
def test_centres_are_rounded_by_little_of_a_disk(probe_radius: float, parts: int) -> None:
    assert parts_of_a_pixel(probe_radius) == parts
    g = Geometry((60, 70), 29.2, 34.9, probe_radius)
    wanted = np.array([g.q_y, g.q_x]) + np.random.default_rng(0).uniform(-5, 5, (8, 9, 2))
    centers = Centers.of(g, wanted)
    assert centers.choice is not None
    assert centers.shift is not None
    assert len(centers.geometries) <= parts**2
    down = (centers.shift + 35) // 70  # shifts along q_x are smaller than half of the columns
    right = centers.shift - 70 * down
    middle = np.array([(h.q_y, h.q_x) for h in centers.geometries])[centers.choice]
    got = middle + np.stack([down, right], axis=1)
    assert np.abs(got - wanted.reshape(-1, 2)).max() <= max(0.05 * probe_radius, 0.125) + 1e-9


def test_centres_less_than_a_step_apart_are_the_mean_centre_itself(geometry: Geometry) -> None:
    origin = np.float32([geometry.q_y, geometry.q_x]) + np.random.default_rng(0).uniform(-0.1, 0.1, (4, 5, 2))
    for one in (None, origin):
        centers = Centers.of(geometry, one)
        assert centers.geometries == (geometry,)
        assert centers.choice is None


@pytest.mark.parametrize("bad", [np.nan, 1e6])
def test_centres_off_the_detector_are_refused(geometry: Geometry, bad: float) -> None:
    origin = np.full((2, 2, 2), 22.0)
    origin[1, 0, 1] = bad
    with pytest.raises(DataError, match="pattern 2 lies off"):
        Centers.of(geometry, origin)


def test_pixels_count_that_are_valid_under_every_shift() -> None:
    mask = np.ones((20, 24), bool)
    mask[9, 9] = False
    g = Geometry((20, 24), 10.0, 12.0, 12.0, mask=mask)
    (only,) = Centers.of(g, np.array([[10.0, 12.0], [12.0, 9.0]])).geometries
    wanted = mask.copy()
    wanted[7, 12] = False  # where the second pattern's masked pixel lies from its centre
    wanted[18:], wanted[:, :3] = False, False  # and what is off its edges
    np.testing.assert_array_equal(only.mask, wanted)


def test_patterns_that_only_moved_by_whole_pixels_have_the_same_features() -> None:
    rng = np.random.default_rng(1)
    large = rng.poisson(rng.lognormal(3, 1.5, (70, 70))).astype(np.uint16)
    corners = rng.integers(0, 11, (21, 2))
    block = np.stack([large[y : y + 60, x : x + 60] for y, x in corners])
    origin = 34.6 - corners
    g = Geometry((60, 60), *origin.mean(0).round() + 0.1, 2.0, *ELLIPSE)
    origin = origin + 0.5  # a quarter or so off the steps, the same for all
    for values in (
        means(block, AngularAverage(g, RINGS, None, origin)),
        variances(block, RadialVariance(g, RADII, origin)),
    ):
        np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))
        assert values.std(axis=1).min() > 0


@pytest.mark.parametrize("masked", [False, True])
def test_values_agree_with_the_plain_reference_about_each_centre(
    patterns: np.ndarray,
    beam_stop: np.ndarray,
    geometry: Geometry,
    origin: np.ndarray,
    plain_angular_average: Reference,
    plain_radial_variance: Callable[..., np.ndarray],
    masked: bool,
) -> None:
    mask = beam_stop if masked else None
    g = Geometry((45, 52), geometry.q_y, geometry.q_x, 2.0, *ELLIPSE, mask=mask)
    aa, rv = AngularAverage(g, RINGS, None, origin), RadialVariance(g, RADII, origin)
    averages, spreads = means(patterns, aa), variances(patterns, rv)
    names = [f"ring {ring}, {2.5 + 5 * k:g} deg" for ring in (1, 2) for k in range(72)]
    kept = [name not in aa.dropped for name in names]
    centers = aa.centers
    assert centers.choice is not None
    assert centers.shift is not None
    for k in (0, 7, 15, 16, 18):
        whole = centers.geometries[centers.choice[k]]
        down = round((centers.shift[k] + 26) // 52)
        right = int(centers.shift[k] - 52 * down)
        assert whole.mask is not None
        valid = np.pad(whole.mask, 20)[20 - down : 65 - down, 20 - right : 72 - right]  # moved with the pattern
        here = Geometry((45, 52), *origin[k], 2.0, *ELLIPSE, mask=valid)
        wanted, _ = plain_angular_average(patterns[k], here, RINGS)
        np.testing.assert_allclose(averages[k], wanted[kept], rtol=3e-6)
        wanted = plain_radial_variance(patterns[k], here, rv.columns["radius"])
        np.testing.assert_allclose(spreads[k], wanted, rtol=1e-5)


def test_all_ones_pattern_stays_one_beside_a_beam_stop_when_the_centre_wanders(
    geometry: Geometry, origin: np.ndarray, beam_stop: np.ndarray
) -> None:
    g = Geometry((45, 52), geometry.q_y, geometry.q_x, 2.0, mask=beam_stop)
    block = np.where(beam_stop, 1, 60000).astype(np.uint16)[None].repeat(19, 0)  # what is masked must not be seen
    aa, rv = AngularAverage(g, RINGS, None, origin), RadialVariance(g, RADII, origin)
    np.testing.assert_allclose(means(block, aa), 1.0, rtol=1e-6)
    np.testing.assert_allclose(variances(block, rv), 0.0, atol=1e-6)
    assert aa.dropped
    assert len(aa.dropped) > len(AngularAverage(g, RINGS).dropped)


def test_variance_of_uint16_counts_is_not_negative_when_the_centre_wanders(
    geometry: Geometry, origin: np.ndarray
) -> None:
    block = (1000 + np.random.default_rng(0).integers(-3, 4, (19, 45, 52))).astype(np.uint16)
    values = variances(block, RadialVariance(geometry, RADII, origin))
    assert (values > 0).all()
    assert (values < 9).all()


@pytest.mark.parametrize("intensity", ["linear", "sqrt"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_pattern_has_the_same_values_in_whatever_company_and_order(
    patterns: np.ndarray, geometry: Geometry, origin: np.ndarray, intensity: str, dtype: str
) -> None:
    block = np.minimum(patterns, 200).astype(dtype)
    block = np.concatenate([block] * 4)
    where = np.concatenate([origin] * 4)
    settings = RadialVarianceSettings(r_min=4, r_max=15, intensity=intensity)
    kernel = RadialVariance(geometry, settings, where)
    wanted = variances(block, kernel)
    order = np.random.default_rng(0).permutation(len(block))
    np.testing.assert_array_equal(kernel(block[order], order).per_pattern["values"], wanted[order])
    for k in (0, 30, 75):
        np.testing.assert_array_equal(kernel(block[k : k + 1], np.array([k])).per_pattern["values"], wanted[k : k + 1])


def test_nothing_that_is_passed_in_is_changed(patterns: np.ndarray, geometry: Geometry, origin: np.ndarray) -> None:
    block, where = patterns.astype(np.float32), origin.astype(np.float32)
    block[3, 10, 10] = np.nan
    before = block.copy(), where.copy()
    kernel = AngularAverage(geometry, RINGS, None, where)
    first = means(block, kernel)
    np.testing.assert_array_equal(means(block, kernel), first)
    np.testing.assert_array_equal(block, before[0])
    np.testing.assert_array_equal(where, before[1])
    assert np.isfinite(first).all()


def test_tables_of_all_fractions_are_built_once(geometry: Geometry, origin: np.ndarray) -> None:
    AngularAverage(geometry, RINGS, None, origin)
    RadialVariance(geometry, RADII, origin)
    built = sectors.cache_info().misses, samples.cache_info().misses
    AngularAverage(geometry, RINGS, None, origin.copy())
    RadialVariance(geometry, RADII, origin.copy())
    assert (sectors.cache_info().misses, samples.cache_info().misses) == built


def test_features_about_other_centres_do_not_share_a_copy(geometry: Geometry, origin: np.ndarray) -> None:
    aa = AngularAverage(geometry, RINGS, None, origin)
    AngularAverageAndRadialVariance(aa, RadialVariance(geometry, RADII, origin.copy()))
    for other in (None, origin[::-1]):
        with pytest.raises(DataError, match="same centres"):
            AngularAverageAndRadialVariance(aa, RadialVariance(geometry, RADII, other))
