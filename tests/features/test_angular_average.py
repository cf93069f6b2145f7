"""AA: rings and their sectors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.disks.central_disk import find_center
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.angular_average import AngularAverage, find_rings
from napari_stemnmf.preprocessing.camera_offset import above_offset
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.representation_settings import AngularAverageSettings

RINGS = (3.0, 7.5, 12.0, 19.0)
Reference = Callable[..., tuple[np.ndarray, np.ndarray]]


def geometry_of(mean: np.ndarray) -> Geometry:
    """Centre and probe radius as the mean pattern shows them."""
    center = find_center(mean)
    return Geometry(mean.shape, center.q_y, center.q_x, center.probe_radius)


def average(block: np.ndarray, kernel: AngularAverage) -> np.ndarray:
    return kernel(block, np.arange(len(block))).per_pattern["values"]


def survey_of(data: np.ndarray) -> Survey:
    return Survey(data.mean((0, 1)), data.max((0, 1)).astype(np.float32), data.sum((2, 3)))


def shells(size: float, radii: tuple[float, ...], scale: float = 1.0, probe: float = 2.5) -> np.ndarray:
    """A pattern of soft rings at some radii around a bright disk."""
    n = int(size * scale)
    y, x = np.indices((n, n)) - (n - 1) / 2
    r = np.hypot(y, x) / scale
    image = 1000.0 / (1 + np.exp((r - probe) / 0.3)) + 2.0 + 20 * np.exp(-r / 6)
    for k, radius in enumerate(radii):
        image += 200.0 / (k + 1) * np.exp(-0.5 * ((r - radius) / 2.0) ** 2)
    return image


@pytest.mark.parametrize("ellipse", [(1.0, 0.0), (1.08, 25.0)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("step", [5.0, 15.0])
def test_values_agree_with_the_plain_reference(
    patterns: np.ndarray,
    beam_stop: np.ndarray,
    plain_angular_average: Reference,
    ellipse: tuple[float, float],
    masked: bool,
    step: float,
) -> None:
    g = Geometry((45, 52), 22.3, 25.8, 2.0, *ellipse, mask=beam_stop if masked else None)
    kernel = AngularAverage(g, RINGS, AngularAverageSettings(angle_step=step))
    values = average(patterns, kernel)
    for pattern, value in zip(patterns[[0, 15, 16, 18]], values[[0, 15, 16, 18]], strict=True):
        wanted, share = plain_angular_average(pattern, g, RINGS, step)
        np.testing.assert_allclose(value, wanted[share >= 0.5], rtol=2e-6)
    assert len(kernel.dropped) == int((share < 0.5).sum())


def test_pixel_within_one_sector_counts_whole(plain_angular_average: Reference) -> None:
    """With wide sectors the mean is the plain mean over pixels, but for those on a boundary."""
    g = Geometry((41, 41), 20.0, 20.0, 1.0)
    y, x = np.indices((41, 41)) - 20
    values = average(np.hypot(y, x)[None], AngularAverage(g, (5.0, 15.0), AngularAverageSettings(angle_step=180)))
    inside = (np.hypot(y, x) >= 5) & (np.hypot(y, x) < 15)
    np.testing.assert_allclose(values[0], np.hypot(y, x)[inside].mean(), rtol=0.02)


def test_all_ones_pattern_is_one_in_every_column_beside_a_beam_stop(beam_stop: np.ndarray) -> None:
    g = Geometry((45, 52), 22.3, 25.8, 2.0, mask=beam_stop)
    kernel = AngularAverage(g, RINGS)
    values = average(np.ones((3, 45, 52), np.uint16), kernel)
    np.testing.assert_allclose(values, 1.0, rtol=1e-6)
    assert kernel.dropped
    assert values.shape[1] + len(kernel.dropped) == 3 * 72


def test_counts_under_the_mask_do_not_matter(patterns: np.ndarray, beam_stop: np.ndarray) -> None:
    g = Geometry((45, 52), 22.3, 25.8, 2.0, mask=beam_stop)
    other = patterns.copy()
    other[:, ~beam_stop] = 60000
    kernel = AngularAverage(g, RINGS)
    np.testing.assert_array_equal(average(patterns, kernel), average(other, kernel))


def test_columns_with_under_half_of_their_area_valid_are_dropped_and_named() -> None:
    mask = np.ones((60, 60), bool)
    mask[30:, :] = False  # all that lies towards +q_y
    kernel = AngularAverage(Geometry((60, 60), 29.5, 29.5, 2.0, mask=mask), (10.0, 20.0))
    np.testing.assert_array_equal(kernel.columns["azimuth"], np.arange(182.5, 360, 5))
    assert len(kernel.dropped) == 36
    assert kernel.dropped[0] == "ring 1, 2.5 deg"


def test_area_past_the_detector_is_not_valid() -> None:
    kernel = AngularAverage(Geometry((60, 60), 5.0, 30.0, 2.0), (8.0, 16.0))
    up = (kernel.columns["azimuth"] > 240) & (kernel.columns["azimuth"] < 300)
    assert not up.any()
    assert any(name == "ring 1, 272.5 deg" for name in kernel.dropped)


def test_columns_say_ring_radii_and_azimuth_from_q_x_towards_q_y() -> None:
    g = Geometry((60, 60), 30.0, 30.0, 2.0)
    kernel = AngularAverage(g, (5.0, 10.0, 20.0))
    spot = np.zeros((1, 60, 60))
    spot[0, 44:47, 29:32] = 1.0  # 15 px along +q_y
    brightest = int(np.argmax(average(spot, kernel)[0]))
    assert kernel.columns["ring"][brightest] == 2
    assert (kernel.columns["r_in"][brightest], kernel.columns["r_out"][brightest]) == (10.0, 20.0)
    assert kernel.columns["azimuth"][brightest] in (87.5, 92.5)
    assert all(len(values) == 144 for values in kernel.columns.values())


def test_small_sectors_near_the_beam_have_values_too() -> None:
    g = Geometry((30, 30), 14.6, 14.3, 1.0)
    kernel = AngularAverage(g, (3.0, 5.0))
    values = average(np.full((1, 30, 30), 7, np.uint8), kernel)
    assert kernel.dropped == ()
    np.testing.assert_allclose(values, 7, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "i8", "f4", "f8", ">u2"])
def test_every_type_of_counts_gives_the_same(patterns: np.ndarray, dtype: str) -> None:
    kernel = AngularAverage(Geometry((45, 52), 22.3, 25.8, 2.0), RINGS)
    small = np.minimum(patterns, 200)
    np.testing.assert_array_equal(average(small.astype(dtype), kernel), average(small, kernel))


def test_values_that_are_no_counts_are_taken_as_zero(patterns: np.ndarray) -> None:
    geometry = Geometry((45, 52), 22.3, 25.8, 2.0)
    for intensity in ("linear", "sqrt"):
        kernel = AngularAverage(geometry, RINGS, AngularAverageSettings(intensity=intensity))
        odd, zero = patterns.astype(np.float64), patterns.astype(np.float64)
        for k, value in enumerate((np.nan, np.inf, -np.inf, -3.0, 1e300)):
            odd[:, 10 + k, 30], zero[:, 10 + k, 30] = value, 0.0
        np.testing.assert_array_equal(average(odd, kernel), average(zero, kernel))


def test_square_root_is_taken_before_averaging(patterns: np.ndarray, plain_angular_average: Reference) -> None:
    g = Geometry((45, 52), 22.3, 25.8, 2.0)
    values = average(patterns, AngularAverage(g, RINGS, AngularAverageSettings(intensity="sqrt")))
    wanted, _ = plain_angular_average(np.sqrt(patterns[17]), g, RINGS)
    np.testing.assert_allclose(values[17], wanted, rtol=2e-6)


def test_pattern_has_the_same_values_in_whatever_company(patterns: np.ndarray) -> None:
    kernel = AngularAverage(Geometry((45, 52), 22.3, 25.8, 2.0), RINGS)
    together = average(patterns, kernel)
    np.testing.assert_array_equal(np.concatenate([average(p[None], kernel) for p in patterns]), together)


def test_block_is_not_changed_and_a_second_call_gives_the_same(patterns: np.ndarray) -> None:
    block = patterns.astype(np.float32)
    before = block.copy()
    kernel = AngularAverage(Geometry((45, 52), 22.3, 25.8, 2.0), RINGS, AngularAverageSettings(intensity="sqrt"))
    first = average(block, kernel)
    np.testing.assert_array_equal(average(block, kernel), first)
    np.testing.assert_array_equal(block, before)


def test_patterns_of_another_shape_are_refused() -> None:
    kernel = AngularAverage(Geometry((45, 52), 22.3, 25.8, 2.0), RINGS)
    with pytest.raises(DataError, match="geometry is for"):
        average(np.ones((2, 40, 52)), kernel)


@pytest.mark.parametrize(
    ("rings", "message"),
    [((5.0,), "two ascending"), ((5.0, 3.0), "ascending"), ((90.0, 99.0), "No sector"), ((5.0, 1e6), "pixels")],
)
def test_impossible_rings_are_refused(rings: tuple[float, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        AngularAverage(Geometry((45, 52), 22.3, 25.8, 2.0), rings)


@pytest.mark.parametrize("film", ["ag1", "ag2", "ag3"])
def test_four_rings_are_found_on_the_films(shared: Path, film: str) -> None:
    with h5py.File(shared / "films" / f"{film}_small.h5") as file:
        data = file["data"][:]
    found = survey_of(data)
    rings = np.array(find_rings(found.maximum, geometry_of(found.mean)))
    np.testing.assert_allclose(2 * rings, [29, 60, 75, 92, 116], atol=2)  # pixels of 0.02 1/A in units of 0.01 1/A


@pytest.mark.parametrize(
    ("name", "spots"),
    [
        ("SPED_Ag_semireal_64x208x56x56", [8.5]),  # the brightest ring of each
        ("Cu_realmap_simDP_59x111x64x64", [14.5, 22.0]),
    ],
)
def test_rings_of_measured_patterns_hold_their_spots(
    shared: Path, measured: Callable[[Path], np.ndarray], name: str, spots: list[float]
) -> None:
    found = survey_of(measured(shared / "semireal" / f"{name}.hspy"))
    rings = find_rings(found.maximum, geometry_of(found.mean))
    assert 3 <= len(rings) <= 6
    for spot in spots:
        assert any(a + 1 < spot < b - 0.5 for a, b in pairwise(rings))


def test_rings_of_diffuse_steel_patterns(shared: Path, measured: Callable[[Path], np.ndarray]) -> None:
    found = survey_of(measured(shared / "real" / "steel_NBED_subset_2x2x256x256.hspy"))
    assert len(find_rings(found.maximum, geometry_of(found.mean))) >= 3


def test_amorphous_pattern_has_no_rings_and_the_error_says_what_to_set(
    shared: Path, measured: Callable[[Path], np.ndarray]
) -> None:
    pattern = measured(shared / "real" / "single_patterns" / "pyxemdemos_Amorphous_512x512_meanDP.hspy")
    found = survey_of(pattern.reshape(1, 1, 512, 512))
    with pytest.raises(DataError, match=r"No diffraction ring.*aa\.featurize\.rings"):
        find_rings(found.maximum, geometry_of(found.mean))


@pytest.mark.parametrize("pattern", [np.zeros((40, 40)), np.ones((40, 40)), shells(60, ())])
def test_patterns_without_structure_have_no_rings(pattern: np.ndarray) -> None:
    center = (len(pattern) - 1) / 2
    with pytest.raises(DataError, match="No diffraction ring"):
        find_rings(pattern, Geometry(pattern.shape, center, center, 2.5))


@pytest.mark.parametrize("scale", [1.5, 2.0, 4.0])
def test_rings_scale_with_the_detector(scale: float) -> None:
    radii = (14.0, 23.0, 35.0)
    small, large = shells(101, radii), shells(101, radii, scale)
    one = find_rings(small, Geometry(small.shape, 50, 50, 2.5))
    center = (len(large) - 1) / 2
    two = find_rings(large, Geometry(large.shape, center, center, 2.5 * scale))
    assert len(one) == 3
    np.testing.assert_allclose(np.array(two) / scale, one, atol=0.4)


def test_rings_do_not_depend_on_the_scale_of_the_counts_or_a_beam_stop() -> None:
    pattern = shells(101, (14.0, 23.0, 35.0))
    g = Geometry(pattern.shape, 50, 50, 2.5)
    mask = np.ones(pattern.shape, bool)
    mask[:55, 47:54] = False
    dark = np.where(mask, pattern, 0.0)
    rings = find_rings(pattern, g)
    np.testing.assert_allclose(find_rings(pattern * 1e-5, g), rings, atol=0.01)
    masked = find_rings(dark, Geometry(pattern.shape, 50, 50, 2.5, mask=mask))
    np.testing.assert_allclose(masked, rings, atol=0.3)


def test_rings_of_patterns_of_one_bit_and_on_an_offset() -> None:
    """The maximum of patterns of 0 and 1 is 1 everywhere; where counts stand on a number, minima are no less deep."""
    y, x = np.indices((96, 96)) - 47.5
    r = np.hypot(y, x)
    mean = 0.01 + 0.9 * (r < 4) + sum(0.1 * np.exp(-(((r - ring) / 2) ** 2)) for ring in (15.0, 28.0, 40.0))
    geometry = Geometry((96, 96), 47.5, 47.5, 4.0)
    rings = find_rings(mean, geometry)
    assert len(rings) >= 3
    assert find_rings(np.ones((96, 96)), geometry, mean) == rings
    raised = above_offset(1000.0 + 100.0 * mean, geometry.mask)
    np.testing.assert_allclose(find_rings(raised, geometry), rings, atol=1.0)
