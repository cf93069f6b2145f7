"""RV: the variance over azimuth at each radius."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.radial_variance import RadialVariance, choose_radii
from napari_stemnmf.representation_settings import RadialVarianceSettings

Reference = Callable[..., np.ndarray]


def variance(block: np.ndarray, kernel: RadialVariance) -> np.ndarray:
    return kernel(block, np.arange(len(block))).per_pattern["values"]


@pytest.mark.parametrize("ellipse", [(1.0, 0.0), (1.08, 25.0)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("step", [1.0, 4.0])
def test_values_agree_with_the_plain_reference(
    patterns: np.ndarray,
    beam_stop: np.ndarray,
    plain_radial_variance: Reference,
    ellipse: tuple[float, float],
    masked: bool,
    step: float,
) -> None:
    g = Geometry((45, 52), 22.3, 25.8, 2.0, *ellipse, mask=beam_stop if masked else None)
    kernel = RadialVariance(g, RadialVarianceSettings(angle_step=step, r_min=4, r_max=20, columns=30))
    values = variance(patterns, kernel)
    for k in (0, 15, 16, 18):
        wanted = plain_radial_variance(patterns[k], g, kernel.columns["radius"], step)
        np.testing.assert_allclose(values[k], wanted, rtol=1e-5)


@pytest.mark.parametrize("level", [1000, 65000])
def test_variance_of_uint16_counts_is_not_negative_and_right(level: int, plain_radial_variance: Reference) -> None:
    rng = np.random.default_rng(0)
    block = (level + rng.integers(-3, 4, (5, 40, 40))).astype(np.uint16)
    kernel = RadialVariance(Geometry((40, 40), 19.5, 19.5, 1.0))
    values = variance(block, kernel)
    assert (values > 0).all()
    wanted = plain_radial_variance(block[3], kernel.centers.geometries[0], kernel.columns["radius"])
    np.testing.assert_allclose(values[3], wanted, rtol=0.005)  # float32 holds 65000 to 0.004 counts


@pytest.mark.parametrize("level", [0, 7, 1000, 65535])
def test_constant_pattern_has_no_variance(level: int) -> None:
    values = variance(np.full((2, 40, 44), level, np.uint16), RadialVariance(Geometry((40, 44), 19.2, 20.7, 1.0)))
    np.testing.assert_allclose(values, 0, atol=1e-3)


def test_variance_is_along_azimuth_not_over_the_scan() -> None:
    y, x = np.indices((50, 50)) - 24.5
    rings = 100 * np.exp(-0.5 * (np.hypot(y, x) - 15) ** 2)  # varies with radius only
    sectors = 100.0 * (x > 0)
    kernel = RadialVariance(Geometry((50, 50), 24.5, 24.5, 2.0), RadialVarianceSettings(r_min=10, r_max=20))
    of_rings, of_sectors = variance(np.stack([rings, sectors]), kernel)
    assert of_rings.max() < 0.05 * of_sectors.min()
    np.testing.assert_allclose(of_sectors, 2500, rtol=0.05)


def test_masked_and_missing_samples_are_left_out(beam_stop: np.ndarray) -> None:
    pattern = np.full((45, 52), 9, np.uint16)
    pattern[~beam_stop] = 60000
    g = Geometry((45, 52), 22.3, 25.8, 2.0, mask=beam_stop)
    kernel = RadialVariance(g, RadialVarianceSettings(r_min=5, r_max=23))
    np.testing.assert_allclose(variance(pattern[None], kernel), 0, atol=1e-6)


def test_radii_with_under_half_of_their_azimuths_are_dropped_and_named() -> None:
    g = Geometry((60, 60), 29.5, 29.5, 2.0)
    kernel = RadialVariance(g, RadialVarianceSettings(r_min=10, r_max=40))
    radius = kernel.columns["radius"]
    assert radius[-1] == pytest.approx(29.5 / np.cos(np.pi / 8), abs=1)  # where a circle leaves half of a square
    assert kernel.dropped[-1] == "radius 40 px"
    assert len(radius) + len(kernel.dropped) == 31


@pytest.mark.parametrize(("size", "center", "probe", "wanted"), [(126, 62.75, 2.667, 55), (252, 125.5, 5.33, 113)])
def test_default_radii_run_from_past_the_disk_to_the_edge(size: int, center: float, probe: float, wanted: int) -> None:
    g = Geometry((size, size), center, center, probe)
    radii = choose_radii(g, RadialVarianceSettings())
    assert len(radii) == wanted
    assert probe < radii[0] < 0.07 * size
    assert radii[-1] <= min(g.edge_distances())
    assert RadialVariance(g).dropped == ()


def test_number_of_columns_and_radii_can_be_set() -> None:
    g = Geometry((126, 126), 62.75, 62.75, 2.7)
    radii = choose_radii(g, RadialVarianceSettings(r_min=5, r_max=60, columns=80))
    assert (len(radii), radii[0], radii[-1]) == (80, 5, 60)


def test_square_root_is_taken_before_sampling(patterns: np.ndarray, plain_radial_variance: Reference) -> None:
    g = Geometry((45, 52), 22.3, 25.8, 2.0)
    kernel = RadialVariance(g, RadialVarianceSettings(intensity="sqrt"))
    wanted = plain_radial_variance(np.sqrt(patterns[18]), g, kernel.columns["radius"])
    np.testing.assert_allclose(variance(patterns, kernel)[18], wanted, rtol=1e-5)


def test_values_that_are_no_counts_do_not_spread(patterns: np.ndarray) -> None:
    odd, zero = patterns.astype(np.float32), patterns.astype(np.float32)
    for k, value in enumerate((np.nan, np.inf, -np.inf, -3.0)):
        odd[3, 10 + k, 30], zero[3, 10 + k, 30] = value, 0.0
    kernel = RadialVariance(Geometry((45, 52), 22.3, 25.8, 2.0))
    np.testing.assert_array_equal(variance(odd, kernel), variance(zero, kernel))


def test_centre_on_a_pixel_may_sample_the_outermost_row() -> None:
    """Rounding of sin(180 deg) does not make a sample off the detector."""
    g = Geometry((41, 41), 20.0, 20.0, 1.0)
    kernel = RadialVariance(g, RadialVarianceSettings(r_min=19, r_max=20))
    assert kernel.table(g).share[-1] == 1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (RadialVarianceSettings(r_min=30), "no radius between"),
        (RadialVarianceSettings(r_max=1e6), "detector pixels"),
        (RadialVarianceSettings(r_min=60, r_max=70), "No radius has half"),
    ],
)
def test_impossible_radii_are_refused(settings: RadialVarianceSettings, message: str) -> None:
    with pytest.raises(DataError, match=message):
        RadialVariance(Geometry((45, 52), 22.3, 25.8, 2.0), settings)
