"""Finding Bragg disks in patterns."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.detection import DiskDetection, detect, find_disks, plan
from napari_stemnmf.disks.probe import Probe, find_probe
from napari_stemnmf.disks.template import synthetic_kernel
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.stage_settings import DiskSettings, PreprocessSettings
from napari_stemnmf.study.distorted import distorted

AS_IT_IS = PreprocessSettings(hot_pixels="off")

Lattice = Any
"""What the fixtures `lattice` and `small` give; see conftest."""


@pytest.mark.parametrize("size", [126, 252, 432])
@pytest.mark.parametrize("dose", [1e5, 1e6])
def test_default_disk_filters_suit_every_detector(
    size: int, dose: float, lattice: Callable[..., Lattice], match: Callable[..., tuple[float, float, float]]
) -> None:
    made = lattice(size, patterns=2, dose=dose)
    peaks = find_disks(made.dataset(), made.probe())
    recall, precision, rms = match(peaks, made.truth, made.radius)
    assert (recall, precision) == (1.0, 1.0)
    assert (peaks.counts == 21).all()
    assert rms < 0.1


@pytest.mark.parametrize("size", [126, 252])
def test_upsampled_positions_are_good_to_a_twentieth_of_a_pixel(
    size: int, lattice: Callable[..., Lattice], match: Callable[..., tuple[float, float, float]]
) -> None:
    made = lattice(size, dose=1e6)
    peaks = find_disks(made.dataset(), made.probe(), DiskSettings(subpixel="upsampled"))
    recall, _, rms = match(peaks, made.truth, made.radius)
    assert recall == 1.0
    assert rms < 0.05


@pytest.mark.parametrize("detector", [126, 252, 432])
@pytest.mark.parametrize("dose", [1e4, 1e6])
def test_disks_and_centres_of_a_distorted_film(detector: int, dose: float) -> None:
    made = distorted((6, 6), detector, dose=dose, hot_pixels=0, seed=1)
    probe = find_probe(made.dataset, take_survey(made.dataset, AS_IT_IS))
    peaks = find_disks(made.dataset, probe)
    r = made.probe_radius
    wanted = hits = good = 0
    errors = []
    for p in range(36):
        rows, truths = peaks.of(p), slice(made.offsets[p], made.offsets[p + 1])
        true = np.stack([made.q_y[truths], made.q_x[truths]], axis=1)
        found = np.stack([peaks.q_y[rows], peaks.q_x[rows]], axis=1)
        gap = np.linalg.norm(true[:, None] - found, axis=2)
        between = np.linalg.norm(true[:, None] - true, axis=2) + 1e9 * np.eye(len(true))
        inside = (np.minimum(true, detector - 1 - true) > r).all(1) & (made.snr[truths] >= 5.0)
        resolved = inside & (between.min(1, initial=1e9) > 2 * r)  # a diameter apart
        wanted += resolved.sum()
        hits += (gap.min(1)[resolved] < r).sum()
        good += (gap.min(0) < r).sum()
        errors.append((found[gap.argmin(1)] - true)[resolved & (between.min(1, initial=1e9) > 3 * r)])
    assert hits >= 0.98 * wanted
    assert good >= 0.98 * len(peaks)
    assert np.sqrt(np.square(np.concatenate(errors)).mean()) < 0.1
    assert np.sqrt(np.square(peaks.central - made.center.reshape(-1, 2)).mean()) < 0.1


@pytest.mark.parametrize("apart", [2.0, 2.5, 3.0])
def test_neighbours_from_one_diameter_on_are_both_found(apart: float, lattice: Callable[..., Lattice]) -> None:
    made = lattice(252, patterns=1, dose=1e6)
    y, x = np.indices((252, 252))
    at = np.array([[60.3, 100.2], [60.3, 100.2 + apart * made.radius]])
    image = sum(400 / (1 + np.exp(4 * (np.minimum(np.hypot(y - a, x - b) - made.radius, 9)))) for a, b in at) + 1.0
    q_y, q_x, *_ = detect(np.random.default_rng(0).poisson(image), made.probe())
    assert len(q_y) == 2
    np.testing.assert_allclose(np.sort(q_x), at[:, 1], atol=0.3)


def test_height_is_that_above_the_surroundings(small: Lattice) -> None:
    _, _, height, _ = detect(small.expected[0, 0] + 50.0, small.probe())
    wanted = small.expected[0, 0].max() - small.expected[0, 0, 63, 5]
    assert height[0] == pytest.approx(wanted, rel=0.05)
    assert height[1:] == pytest.approx(0.1 * wanted, rel=0.1)


def test_heights_come_in_descending_order(small: Lattice) -> None:
    peaks = find_disks(small.dataset(), small.probe())
    for p in range(4):
        assert (np.diff(peaks.height[peaks.of(p)]) <= 0).all()


@pytest.mark.parametrize("scale", [1e-6, 0.37, 1e7])
def test_arbitrary_units_give_the_same_disks(small: Lattice, scale: float) -> None:
    pattern = small.counts[0, 0].astype(np.float32)
    plain, scaled = detect(pattern, small.probe()), detect(pattern * np.float32(scale), small.probe())
    np.testing.assert_allclose(scaled[0], plain[0], atol=1e-3)
    np.testing.assert_allclose(scaled[2], plain[2] * scale, rtol=1e-3)
    np.testing.assert_allclose(scaled[3], plain[3], rtol=1e-2)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "i4", "f4", "f8", ">u2"])
def test_any_type_of_counts_gives_the_same_disks(small: Lattice, dtype: str) -> None:
    counts = np.minimum(small.counts[0, 0], 120)
    wanted, got = detect(counts, small.probe()), detect(counts.astype(dtype), small.probe())
    for a, b in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_uint16_counts_are_not_squared_in_their_own_type(small: Lattice) -> None:
    bright = np.minimum(small.expected[0, 0] * 50, 65535)
    a, b = (
        detect(bright.astype(np.uint16), small.probe()),
        detect(bright.astype(np.uint16).astype(float), small.probe()),
    )
    np.testing.assert_array_equal(a[3], b[3])


@pytest.mark.parametrize("level", [0.0, 0.03, 1.0, 30.0, 1e4])
def test_noise_alone_gives_next_to_no_disk(level: float, small: Lattice) -> None:
    noise = np.random.default_rng(1).poisson(level, (1, 20, 126, 126)).astype(np.uint16)
    assert len(find_disks(Dataset.from_array(noise), small.probe())) <= 1


def test_normal_noise_about_zero_gives_next_to_no_disk(small: Lattice) -> None:
    noise = np.random.default_rng(1).normal(0, 3.0, (1, 20, 126, 126)).astype(np.float32)
    assert len(find_disks(Dataset.from_array(noise), small.probe())) <= 2


def test_blurred_noise_gives_next_to_no_disk(small: Lattice) -> None:
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(1).poisson(50.0, (1, 20, 126, 126)).astype(np.float32)
    blurred = gaussian_filter(noise, (0, 0, 1.2, 1.2))
    assert len(find_disks(Dataset.from_array(blurred), small.probe())) <= 5


def test_an_amorphous_halo_is_no_disk(small: Lattice) -> None:
    r = np.hypot(*(np.indices((126, 126)) - 62.5))
    halo = 2e3 * np.exp(-(((r - 35) / 12) ** 2)) + 100
    noise = np.random.default_rng(1).poisson(halo, (1, 10, 126, 126)).astype(np.uint16)
    assert len(find_disks(Dataset.from_array(noise), small.probe())) <= 2


def test_patterns_without_with_one_saturated_empty_and_not_a_number(small: Lattice) -> None:
    y, x = np.indices((126, 126))
    one = 300.0 * (np.hypot(y - 60, x - 64) < small.radius)
    patterns = np.stack([np.zeros((126, 126)), np.full((126, 126), np.nan), one, np.minimum(100 * one, 4095), one, one])
    patterns[3] += np.random.default_rng(0).poisson(1.0, (126, 126))
    patterns[3] = np.minimum(patterns[3], 4095)
    patterns[4, 58:62, 62:66] = np.inf
    patterns[5] = 65535
    peaks = find_disks(Dataset.from_array(patterns[None].astype(np.float32)), small.probe())
    assert list(peaks.counts[:4]) == [0, 0, 1, 1]
    assert peaks.counts[5] == 0
    assert np.isfinite(np.stack([peaks.q_y, peaks.q_x, peaks.height, peaks.snr])).all()
    assert np.isnan(peaks.central[[0, 1, 5]]).all()
    np.testing.assert_allclose(peaks.central[2], [60, 64], atol=0.05)
    assert peaks.saturated >= 2


def test_pixels_behind_a_beam_stop_do_not_look_saturated() -> None:
    made = distorted((12, 12), 126, beam_stop=True, seed=3)
    mask = distance_transform_edt(made.mask) > 2
    data = made.dataset
    look = take_survey(data, AS_IT_IS)
    peaks = find_disks(data, find_probe(data, look, mask))
    assert peaks.saturated == 0


def test_a_pixel_that_was_hit_once_is_no_disk(small: Lattice) -> None:
    pattern = np.random.default_rng(0).poisson(2.0, (126, 126))
    pattern[40, 40] = 5000
    assert len(detect(pattern, small.probe())[0]) == 0


def test_filters(small: Lattice) -> None:
    pattern, probe = small.counts[0, 0], small.probe()
    _, _, height, snr = detect(pattern, probe)

    def count(**changes: Any) -> int:
        return len(detect(pattern, probe, DiskSettings(**changes))[0])

    assert count(max_peaks=5) == 5
    assert count(min_snr=snr.max() * 1.1) == 0
    assert count(min_absolute=height[3]) == 4
    assert count(min_relative=0.5, relative_to=0) == 1
    assert count(min_relative=0.5, relative_to=1) == 21
    assert count(spacing=25.0) < 21
    assert count(edge=50.0) < 8


def test_disks_stay_clear_of_edge_and_masked_pixels(small: Lattice) -> None:
    mask = np.ones((126, 126), bool)
    mask[:70, 55:72] = False
    pattern = small.counts[0, 0].copy()
    q_y, q_x, *_ = detect(pattern, small.probe(mask, hidden=True))
    assert 5 < len(q_y) < 21
    clear = np.hypot(np.maximum(q_y - 69, 0), np.maximum(np.maximum(55 - q_x, q_x - 71), 0))
    assert (clear >= small.radius - 1).all()
    pattern[~mask] = 60000  # what is masked has no say
    again = detect(pattern, small.probe(mask, hidden=True))
    np.testing.assert_array_equal(again[0], q_y)


def test_a_mask_makes_no_false_disks(small: Lattice) -> None:
    mask = np.ones((126, 126), bool)
    mask[50:75, :75] = False
    noise = np.random.default_rng(0).poisson(20.0, (1, 10, 126, 126)).astype(np.uint16)
    noise[..., ~mask] = 0
    assert len(find_disks(Dataset.from_array(noise), small.probe(mask, hidden=True))) <= 1


def test_hidden_central_disk_has_no_centre(small: Lattice) -> None:
    assert np.isnan(find_disks(small.dataset(), small.probe(hidden=True)).central).all()


def test_central_disk_next_to_bragg_disks_and_hot_pixels(lattice: Callable[..., Lattice]) -> None:
    made = lattice(126, patterns=8, dose=1e4, height=0.3)
    counts = made.counts
    counts[..., 40, 40] = 3000
    central = find_disks(Dataset.from_array(counts), made.probe()).central
    middle = made.truth[:, 10]
    assert np.sqrt(np.square(central - middle).mean()) < 0.1


def test_same_result_for_any_workers_and_blocks(small: Lattice) -> None:
    counts = np.concatenate([small.counts] * 6, axis=1).reshape(4, 6, 126, 126)
    wanted = find_disks(Dataset.from_array(counts), small.probe(), workers=1)
    for chunks, workers in (((1, 1), 3), ((4, 5), 2)):
        cut = Dataset.from_array(da.from_array(counts, chunks=(*chunks, 126, 126)))
        got = find_disks(cut, small.probe(), workers=workers)
        for name in ("offsets", "q_y", "q_x", "height", "snr", "central"):
            np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))


def test_preview_finds_what_the_pass_finds(small: Lattice) -> None:
    peaks = find_disks(small.dataset(), small.probe())
    found = detect(small.counts[0, 2], small.probe())
    for name, values in zip(("q_y", "q_x", "height", "snr"), found, strict=True):
        np.testing.assert_array_equal(values, getattr(peaks, name)[peaks.of(2)])


@pytest.mark.parametrize("size", [252, 432])
def test_preview_is_quick(size: int, lattice: Callable[..., Lattice]) -> None:
    made = lattice(size, patterns=1)
    probe = made.probe()
    detect(made.counts[0, 0], probe)
    start = time.process_time()
    detect(made.counts[0, 0], probe)
    assert time.process_time() - start < 0.05


def test_arguments_are_not_changed_and_two_calls_agree(small: Lattice) -> None:
    pattern = small.counts[0, 0].astype(np.float32)
    pattern[3, 3] = np.nan
    mask = np.ones((126, 126), bool)
    mask[:20, :20] = False
    probe, before = small.probe(mask), pattern.copy()
    kernel = probe.kernel.copy()
    first, second = detect(pattern, probe), detect(pattern, probe)
    np.testing.assert_array_equal(pattern, before)
    np.testing.assert_array_equal(probe.kernel, kernel)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_setup_is_kept_by_geometry(small: Lattice) -> None:
    probe = small.probe()
    assert plan(probe, 3.0) is plan(probe, 3.0)


def test_kernel_can_travel_to_another_process(small: Lattice) -> None:
    kernel = DiskDetection(small.probe())
    block = small.counts[0]
    wanted = kernel(block, np.arange(4)).ragged["q_y"]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kernel))(block, np.arange(4)).ragged["q_y"], wanted)


def test_table_is_as_large_as_what_was_found(small: Lattice) -> None:
    quiet = np.zeros((1, 1000, 126, 126), np.uint8)
    peaks = find_disks(Dataset.from_array(quiet), small.probe(), DiskSettings(max_peaks=10000))
    assert len(peaks) == 0
    assert peaks.q_y.nbytes == 0
    assert peaks.q_y.dtype == np.float32


def test_another_detector_is_refused(small: Lattice) -> None:
    with pytest.raises(DataError, match=r"probe is for \(126, 126\)"):
        detect(np.zeros((64, 64)), small.probe())
    with pytest.raises(DataError, match=r"probe is for \(126, 126\)"):
        find_disks(Dataset.from_array(np.zeros((1, 1, 64, 64), np.uint8)), small.probe())


@pytest.mark.parametrize("film", ["ag1", "ag3"])
def test_disks_of_the_films_lie_on_the_rings_of_silver(shared: Path, film: str) -> None:
    import napari_stemnmf as stem

    data = stem.open(shared / "films" / f"{film}_small.h5")
    part = Dataset.from_array(data.data[:10, :60])
    probe: Probe = find_probe(part, take_survey(part, AS_IT_IS))
    peaks = find_disks(part, probe)
    radius = np.hypot(peaks.q_y - probe.q_y, peaks.q_x - probe.q_x)
    bragg = np.asarray(radius > 10)
    rings = np.array([42.4, 49.0, 69.2, 81.2, 84.8]) / 2  # 111, 200, 220, 311, 222 of silver
    on_ring = np.any(np.abs(radius[bragg, None] - rings) < 1.5, axis=1)
    near = np.asarray(radius[bragg] < 45)
    assert bragg.sum() > 500
    assert on_ring[near].mean() > 0.8  # disks diffracted twice, by grains above each other, lie between them


def test_disks_of_measured_steel(shared: Path, measured: Callable[[Path], np.ndarray]) -> None:
    patterns = measured(shared / "real" / "steel_NBED_subset_2x2x256x256.hspy")
    data = Dataset.from_array(patterns)
    peaks = find_disks(data, find_probe(data, take_survey(data, AS_IT_IS)))
    assert (peaks.counts >= 12).all()
    assert (peaks.counts <= 30).all()  # a blurring detector: its noise is not taken for disks


@pytest.mark.parametrize("shape", [(8, 8), (17, 33), (40, 7)])
@pytest.mark.parametrize("subpixel", ["parabola", "upsampled"])
def test_every_maximum_of_any_pattern_stays_on_the_detector(shape: tuple[int, int], subpixel: str) -> None:
    rng = np.random.default_rng(0)
    settings = DiskSettings(subpixel=subpixel, min_snr=0.0, spacing=0.0, edge=0.0, max_peaks=10000)
    for radius in (0.6, 2.5, 8.0):
        probe = Probe(synthetic_kernel(radius), radius, 4.0, 4.0, rng.random(shape) > 0.1, False, "synthetic", shape)
        for pattern in (rng.random(shape) * 1e30, rng.poisson(0.1, shape), np.ones(shape, np.uint8)):
            q_y, q_x, height, _ = detect(pattern, probe, settings)
            assert ((q_y >= -0.5) & (q_y <= shape[0] - 0.5) & (q_x >= -0.5) & (q_x <= shape[1] - 0.5)).all()
            assert (height > 0).all()
