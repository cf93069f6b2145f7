"""Hot pixels: all are found, no disk is touched, repair takes good neighbours only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.preprocessing.hot_pixels import find_hot_pixels, good_neighbours, repair
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.reading.opening import open as open_scan
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.study.distorted import distorted

SIGMA = PreprocessSettings()
COUNTS = PreprocessSettings(hot_pixels="counts", hot_threshold=0.55)


def disks(shape=(64, 64), radius=2.67, seed=0) -> np.ndarray:
    """A noisy mean pattern of sharp disks on a sloping ground, with what noise the mean of 100 patterns has."""
    generator = np.random.default_rng(seed)
    y, x = np.indices(shape)
    pattern = 5 + 20 * np.exp(-np.hypot(y - shape[0] / 2, x - shape[1] / 2) / 15)
    for place in generator.uniform(5, np.array(shape) - 5, (12, 2)):
        pattern += generator.uniform(5, 500) * np.clip(radius + 0.5 - np.hypot(y - place[0], x - place[1]), 0, 1)
    return generator.poisson(pattern * 100) / 100


def places(found) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in found}


@pytest.mark.parametrize(
    ("detector", "dose"), [(126, 1e4), (126, 1e5), (126, 1e6), (252, 1e4), (252, 1e6), (432, 1e4), (432, 1e6)]
)
def test_every_hot_pixel_of_ten_sigma_is_found_and_no_disk_touched(detector, dose):
    scan = distorted((8, 8), detector, dose=dose, hot_sigma=10.0, hot_pixels=20)
    assert places(take_survey(scan.dataset, SIGMA).hot_pixels) == places(scan.hot_pixels)


@pytest.mark.parametrize("dose", [1e4, 1e6])
def test_a_scan_without_hot_pixels_keeps_them_all(dose):
    scan = distorted((8, 8), 126, dose=dose, hot_pixels=0)
    assert len(take_survey(scan.plain, SIGMA).hot_pixels) == 0
    assert len(take_survey(scan.dataset, SIGMA).hot_pixels) == 0


@pytest.mark.parametrize("patterns", [1, 2, 4])
@pytest.mark.parametrize("dose", [1e4, 1e6])
def test_a_few_noisy_patterns_have_no_hot_pixels_but_the_hottest(patterns, dose):
    data = distorted((4, 4), 126, dose=dose, hot_pixels=3, hot_sigma=(1000.0,) * 3)
    stack = data.dataset.data.reshape(16, 126, 126)[:patterns].compute(scheduler="synchronous")
    found = find_hot_pixels(stack.mean(axis=0), SIGMA, patterns=stack, count=patterns)
    assert places(found) == places(data.hot_pixels)


def test_hot_pixels_side_by_side_are_found():
    pattern = disks(radius=5.0)
    hot = {(10, 10), (10, 11), (30, 31), (31, 32), (32, 32), (50, 60), (0, 0), (0, 1), (63, 30)}
    for y, x in hot:
        pattern[y, x] += 4000
    assert places(find_hot_pixels(pattern, SIGMA, count=100)) == hot


@pytest.mark.parametrize("radius", [1.0, 1.5, 2.67, 6.0])
@pytest.mark.parametrize("seed", range(4))
def test_no_pixel_of_a_sharp_disk_is_hot(radius, seed):
    assert len(find_hot_pixels(disks(radius=radius, seed=seed), SIGMA, count=100)) == 0


def test_the_papers_criterion_is_counts_above_the_second_highest_of_21_pixels():
    pattern = np.zeros((20, 20))
    pattern[5, 5], pattern[5, 7], pattern[15, 15], pattern[17, 17] = 1.0, 0.5, 0.6, 0.6
    assert places(find_hot_pixels(pattern, COUNTS)) == {
        (15, 15),
        (17, 17),
    }  # 5, 7 lies in the 21 pixels; corners do not
    assert places(find_hot_pixels(pattern, PreprocessSettings(hot_pixels="counts", hot_threshold=0.45))) == {
        (5, 5),
        (15, 15),
        (17, 17),
    }


def test_nothing_is_hot_when_the_search_is_off():
    pattern = np.zeros((9, 9))
    pattern[4, 4] = 1e6
    assert find_hot_pixels(pattern, PreprocessSettings(hot_pixels="off")).shape == (0, 2)


@pytest.mark.parametrize(
    "pattern", [np.zeros((8, 8)), np.full((8, 8), 65535.0), np.full((8, 8), np.nan), np.ones((1, 1))]
)
def test_patterns_with_nothing_in_them_have_no_hot_pixels(pattern):
    stack = np.stack([pattern] * 3)
    assert len(find_hot_pixels(pattern, SIGMA, patterns=stack, count=3)) == 0
    assert len(find_hot_pixels(pattern, COUNTS)) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_repair_takes_the_median_of_good_neighbours_in_the_same_type(dtype):
    block = np.arange(2 * 5 * 6, dtype=dtype).reshape(2, 5, 6)
    block[:, 2, 2], block[:, 2, 3] = 100, 110
    before = block.copy()
    fixed = repair(block, np.array([[2, 2], [2, 3]], np.int32))
    np.testing.assert_array_equal(block, before)  # a trap: the caller's array stays as it is
    assert fixed.dtype == dtype
    good = [before[0, y, x] for y in (1, 2, 3) for x in (1, 2, 3) if (y, x) not in {(2, 2), (2, 3)}]
    assert fixed[0, 2, 2] == pytest.approx(np.median(good), abs=0.5)  # and no value already replaced is among them
    changed = np.argwhere(fixed != before)
    assert {(y, x) for _, y, x in changed} == {(2, 2), (2, 3)}


def test_repair_at_an_edge_does_not_wrap():
    block = np.zeros((1, 6, 6), np.uint16)
    block[0, -1], block[0, :, -1] = 1000, 1000
    block[0, 0, 0] = 5000
    assert repair(block, np.array([[0, 0]]))[0, 0, 0] == 0


def test_repair_looks_further_where_no_neighbour_is_good():
    hot = np.argwhere(np.ones((3, 3), bool)) + 1
    block = np.full((1, 7, 7), 7.0)
    block[0, 1:4, 1:4] = 1e6
    np.testing.assert_array_equal(repair(block, hot), np.full((1, 7, 7), 7.0))


def test_repair_passes_over_values_that_are_no_numbers():
    block = np.full((1, 5, 5), 3.0, np.float32)
    block[0, 1, 1:4], block[0, 2, 2] = np.nan, 900
    assert repair(block, np.array([[2, 2]]))[0, 2, 2] == 3.0
    assert repair(np.full((1, 5, 5), np.nan), np.array([[2, 2]]))[0, 2, 2] == 0.0


def test_nothing_to_repair_costs_nothing():
    block = np.zeros((1, 5, 5))
    assert repair(block, np.empty((0, 2), int)) is block


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 8)), min_size=1, max_size=40, unique=True))
def test_good_neighbours_are_never_hot_and_always_there(places):
    hot = np.array(places)
    first, good = good_neighbours(hot, (8, 9))
    assert (np.diff(first) > 0).all()
    assert not set(good) & set(hot @ [9, 1])


@pytest.mark.parametrize("film", ["ag1_small.h5", "ag2_small.h5", "ag3_small.h5"])
def test_no_pixel_of_the_films_is_hot(shared, film):
    dataset = open_scan(shared / "films" / film)
    part = PreprocessSettings(scan_y=(30, 50), scan_x=(30, 60))
    assert len(take_survey(dataset, part).hot_pixels) == 0


def test_no_tiny_spot_of_the_semireal_scan_is_hot(shared):
    dataset = open_scan(shared / "readers" / "written_by_rsciio" / "semireal_12x16x56x56.hspy")
    assert len(take_survey(dataset, SIGMA).hot_pixels) == 0


@pytest.mark.parametrize("rows", [64, 128])
def test_the_hot_pixel_that_a_merlin_file_is_named_for_is_found(shared, rows):
    pytest.importorskip("rsciio")
    (path,) = (shared / "readers" / "quantumdetector").glob(f"*sig256x{rows}_nav4x2_hot_pixel_52x_39y.mib")
    assert (rows - 1 - 39, 52) in places(take_survey(open_scan(path), SIGMA).hot_pixels)
