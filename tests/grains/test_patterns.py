"""Patterns of grains and their dissimilarity, in two reads of the data."""

import threading

import dask.array as da
import numpy as np
import pytest

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.patterns import grain_patterns
from napari_stemnmf.grains.review import Review
from napari_stemnmf.streaming import engine


def scan(shape=(6, 5, 9, 8), dtype=np.uint16, seed=0, high=1000) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def wrap(array: np.ndarray, chunks: tuple[int, int] = (2, 3)) -> Dataset:
    return Dataset.from_array(da.from_array(array, chunks=(*chunks, *array.shape[2:])))


def some_grains(scan_shape=(6, 5), count=4, seed=1) -> Grains:
    generator = np.random.default_rng(seed)
    masks = generator.random((count, *scan_shape)) > 0.6
    return Grains.from_masks(masks, generator.uniform(0.1, 3, masks.shape))


def edited_by(grains: Grains, *edits: Edit) -> Grains:
    review = Review(grains)
    for edit in edits:
        review = review.with_edit(edit)
    return review.grains


def scaled(pattern: np.ndarray, keep=...) -> np.ndarray:
    kept = pattern[keep].astype(np.float64)
    return (kept - kept.min()) / np.ptp(kept) if np.ptp(kept) else np.zeros(kept.shape)


def plain(array: np.ndarray, grains: Grains, keep=...):
    """Mean, single-grain pattern and dissimilarity of each grain, straight from method.md."""
    means, singles, distances = [], [], []
    for mask, weights in zip(grains.masks, grains.weights.astype(np.float64), strict=True):
        own = mask & (grains.overlap == 1)
        mean = (weights[mask][:, None, None] * array[mask]).sum(0) / weights[mask].sum()
        means.append(mean)
        singles.append(
            (weights[own][:, None, None] * array[own]).sum(0) / weights[own].sum() if own.any() else mean * np.nan
        )
        apart = [np.abs(scaled(p, keep) - scaled(mean, keep)).sum() for p in array[mask]]
        distances.append((weights[mask] * apart).sum() / weights[mask].sum())
    return np.array(means), np.array(singles), np.array(distances)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, ">u2", bool])
def test_patterns_and_dissimilarity_agree_with_a_plain_reading_of_the_definitions(dtype):
    array, grains = scan(dtype=dtype, high=200), some_grains()
    found = grain_patterns(wrap(array), {"aa": grains})["aa"]
    mean, single, distance = plain(array, grains)
    np.testing.assert_allclose(found.patterns, mean, rtol=1e-6)
    np.testing.assert_allclose(found.single, single, rtol=1e-6)
    np.testing.assert_allclose(found.dissimilarity, distance, rtol=1e-5)
    assert found.patterns.dtype == found.single.dtype == np.float32
    assert len(found) == 4


def test_detectors_of_more_pixels_than_a_tile_agree_with_the_plain_reading():
    array, grains = scan((3, 4, 61, 71)), some_grains((3, 4), 3)
    found = grain_patterns(wrap(array), {"aa": grains})["aa"]
    mean, _, distance = plain(array, grains)
    np.testing.assert_allclose(found.patterns, mean, rtol=1e-6)
    np.testing.assert_allclose(found.dissimilarity, distance, rtol=1e-5)


def test_two_patterns_give_the_dissimilarity_that_a_hand_computes():
    array = np.zeros((1, 2, 1, 4), np.uint16)
    array[0, 0], array[0, 1] = [0, 10, 0, 0], [0, 0, 20, 0]
    grains = Grains.from_masks(np.ones((1, 1, 2), bool), np.array([[[3.0, 1.0]]]))
    found = grain_patterns(wrap(array), {"aa": grains})["aa"]
    np.testing.assert_allclose(found.patterns[0, 0], [0, 7.5, 5, 0])  # scaled: 0, 1, 2/3, 0
    assert found.dissimilarity[0] == pytest.approx((3 * (2 / 3) + 1 * (1 + 1 / 3)) / 4)


def test_equal_patterns_have_no_dissimilarity_whatever_their_brightness():
    pattern = scan((1, 1, 9, 8))[0, 0].astype(np.float64)
    array = pattern * np.arange(1, 13).reshape(3, 4, 1, 1)
    found = grain_patterns(wrap(array), {"aa": Grains.from_masks(np.ones((1, 3, 4), bool))})["aa"]
    assert found.dissimilarity[0] == pytest.approx(0, abs=1e-4)


def test_differences_do_not_cancel_in_the_dissimilarity():
    array = np.zeros((1, 2, 2, 2), np.float32)
    array[0, 0, 0, 0] = array[0, 1, 1, 1] = 1
    found = grain_patterns(wrap(array), {"aa": Grains.from_masks(np.ones((1, 1, 2), bool))})["aa"]
    assert found.dissimilarity[0] == pytest.approx(1.0)


def test_all_features_are_served_by_two_reads_and_uncovered_blocks_by_none(monkeypatch):
    array, reads = scan((6, 6, 4, 4)), []

    def read(block_info):
        (y0, y1), *_ = block_info[None]["array-location"]
        reads.append((y0, y1))
        return array[y0:y1]

    data = da.map_blocks(read, chunks=((2, 2, 2), (6,), (4,), (4,)), dtype=array.dtype, meta=array[:0])
    masks = np.zeros((2, 6, 6), bool)
    masks[0, 0:2, 0:3] = masks[1, 1, 2:5] = True
    grains = {"aa": Grains.from_masks(masks), "rv": Grains.from_masks(masks[:1])}
    monkeypatch.setattr(engine, "BLOCK_BYTES", 2 * 6 * 4 * 4 * 2)  # so that small chunks are not read together
    found = grain_patterns(Dataset.from_array(data), grains)
    assert reads == [(0, 2), (0, 2)]
    np.testing.assert_array_equal(found["aa"].patterns[0], found["rv"].patterns[0])
    np.testing.assert_allclose(found["rv"].single[0], found["rv"].patterns[0])


def test_patterns_that_are_known_are_taken_over_and_only_the_changed_grains_are_read(monkeypatch):
    array, reads = scan((8, 6, 4, 4), dtype=np.float32), []

    def read(block_info):
        (y0, y1), *_ = block_info[None]["array-location"]
        reads.append(y0)
        return array[y0:y1]

    data = da.map_blocks(read, chunks=((2, 2, 2, 2), (6,), (4,), (4,)), dtype=array.dtype, meta=array[:0])
    monkeypatch.setattr(engine, "BLOCK_BYTES", 2 * 6 * 4 * 4 * 4)
    dataset = Dataset.from_array(data)
    masks = np.zeros((3, 8, 6), bool)
    masks[0, :3, :4] = masks[1, 2:4, 2:] = masks[2, 5:, :3] = True
    grains = Grains.from_masks(masks, np.random.default_rng(0).uniform(1, 2, masks.shape))
    known = grain_patterns(dataset, {"aa": grains}, source="as it is")
    reads.clear()
    edits = [
        Edit("add", (3,), points=[(4, 5)]),
        Edit("split region", (3,), points=[(7, 0), (7, 1)]),
        Edit("new", points=[(6, 5)]),
    ]
    edited = edited_by(grains, *edits)
    again = grain_patterns(dataset, {"aa": edited}, known=known, source="as it is")
    assert reads == [4, 6, 4, 6]  # rows 0 to 3 hold grains 1 and 2 alone
    whole = grain_patterns(dataset, {"aa": edited}, source="as it is")
    for name in ("patterns", "single", "dissimilarity", "digests"):
        np.testing.assert_array_equal(getattr(again["aa"], name), getattr(whole["aa"], name))
    reads.clear()
    back = grain_patterns(dataset, {"aa": grains, "rv": grains}, known=again | {"rv": known["aa"]}, source="as it is")
    assert reads == [4, 6, 4, 6]
    np.testing.assert_array_equal(back["aa"].single, known["aa"].single)
    np.testing.assert_array_equal(back["rv"].patterns, known["aa"].patterns)
    reads.clear()
    apart = edited_by(grains, Edit("erase", (2,), points=[(2, 2), (2, 3)]))  # now grain 1 has these to itself
    shared = grain_patterns(dataset, {"aa": apart}, known=known, source="as it is")["aa"]
    assert reads == [0, 2, 0, 2]
    assert not np.array_equal(shared.single[0], known["aa"].single[0])
    reads.clear()
    grain_patterns(dataset, {"aa": grains}, known=known, source="other")
    assert len(reads) == 8


def test_a_grain_that_others_cover_wholly_has_no_single_grain_pattern():
    masks = np.zeros((2, 6, 5), bool)
    masks[0, 1:3, 1:3] = masks[1] = True
    found = grain_patterns(wrap(scan()), {"aa": Grains.from_masks(masks)})["aa"]
    assert np.isnan(found.single[0]).all()
    assert np.isfinite(found.single[1]).all()
    assert np.isfinite(found.patterns).all()


def test_the_grains_of_another_feature_do_not_take_positions_away():
    masks = np.ones((1, 6, 5), bool)
    found = grain_patterns(wrap(scan()), {"aa": Grains.from_masks(masks), "rv": Grains.from_masks(masks)})
    np.testing.assert_array_equal(found["aa"].single, found["aa"].patterns)


def test_values_that_are_not_finite_count_as_zero():
    array = scan(dtype=np.float32)
    odd = array.copy()
    odd[0, 0, 0, 0], odd[1, 2, 3, 4], odd[2, 2, 2, 2] = np.nan, np.inf, -np.inf
    array[0, 0, 0, 0] = array[1, 2, 3, 4] = array[2, 2, 2, 2] = 0
    everything = {"aa": Grains.from_masks(np.ones((1, 6, 5), bool))}
    found, expected = (grain_patterns(wrap(a), everything)["aa"] for a in (odd, array))
    np.testing.assert_array_equal(found.patterns, expected.patterns)
    np.testing.assert_array_equal(found.dissimilarity, expected.dissimilarity)


def test_masked_pixels_count_neither_for_the_scale_nor_for_the_dissimilarity():
    array, grains = scan(dtype=np.float32), some_grains()
    array[..., 0, 0] = 1e30
    keep = np.ones((9, 8), bool)
    keep[0, 0] = keep[4] = False
    found = grain_patterns(wrap(array), {"aa": grains}, mask=keep)["aa"]
    np.testing.assert_allclose(found.dissimilarity, plain(array, grains, keep)[2], rtol=1e-5)


def test_blank_patterns_give_no_warning_and_no_dissimilarity(recwarn):
    found = grain_patterns(wrap(np.zeros((6, 5, 9, 8), np.uint16)), {"aa": some_grains()})["aa"]
    assert (found.dissimilarity == 0).all()
    assert (found.patterns == 0).all()
    assert not recwarn.list


def test_a_grain_without_weights_is_averaged_with_equal_ones():
    array, mask = scan(), np.ones((1, 6, 5), bool)
    found = grain_patterns(wrap(array), {"aa": Grains.from_masks(mask, np.zeros(mask.shape))})["aa"]
    np.testing.assert_allclose(found.patterns[0], array.mean(axis=(0, 1)), rtol=1e-6)


def test_a_grain_without_positions_has_no_patterns(recwarn):
    masks = np.zeros((2, 6, 5), bool)
    masks[1, 0, 0] = True
    found = grain_patterns(wrap(scan()), {"aa": Grains.from_masks(masks)})["aa"]
    assert np.isnan(found.patterns[0]).all()
    assert np.isnan(found.dissimilarity[0])
    assert found.dissimilarity[1] == pytest.approx(0, abs=1e-4)
    assert not recwarn.list


@pytest.mark.parametrize("grains", [{}, {"aa": Grains.from_masks(np.zeros((0, 6, 5), bool))}])
def test_no_grains_need_no_read(grains):
    def refuse(*_, **__):
        raise RuntimeError("the data was read")

    data = da.map_blocks(refuse, chunks=((6,), (5,), (9,), (8,)), dtype=np.uint16, meta=np.empty((0,) * 4, np.uint16))
    found = grain_patterns(Dataset.from_array(data), grains)
    assert set(found) == set(grains)
    for patterns in found.values():
        assert patterns.patterns.shape == patterns.single.shape == (0, 9, 8)
        assert patterns.dissimilarity.shape == (0,)


def test_result_does_not_depend_on_the_number_of_workers():
    array, grains = scan((12, 10, 9, 8)), some_grains((12, 10), 6)
    one, many = (grain_patterns(wrap(array), {"aa": grains}, workers=w)["aa"] for w in (1, 4))
    for name in ("patterns", "single", "dissimilarity"):
        np.testing.assert_array_equal(getattr(one, name), getattr(many, name))


def test_progress_runs_from_start_to_end_over_both_reads():
    reports = []
    grain_patterns(wrap(scan()), {"aa": some_grains()}, control=Control(reports.append, stage="Measure"))
    fractions = [r.fraction for r in reports]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert fractions[-1] == 1
    assert {r.stage for r in reports} == {"Measure"}


def test_measuring_patterns_can_be_cancelled():
    stop = threading.Event()
    control = Control(lambda progress: stop.set() if progress.fraction >= 0.5 else None, stop)
    with pytest.raises(Cancelled):
        grain_patterns(wrap(scan()), {"aa": some_grains()}, control=control)


def test_data_and_grains_stay_as_they_were():
    array, grains = scan(), some_grains()
    before = array.copy(), grains.masks.copy(), grains.weights.copy()
    grain_patterns(wrap(array), {"aa": grains})
    for now, then in zip((array, grains.masks, grains.weights), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_grains_of_another_scan_and_masks_of_another_detector_are_refused():
    with pytest.raises(DataError, match="another scan"):
        grain_patterns(wrap(scan()), {"aa": some_grains((5, 6))})
    for mask in (np.ones((8, 9), bool), np.zeros((9, 8), bool)):
        with pytest.raises(DataError, match="mask"):
            grain_patterns(wrap(scan()), {"aa": some_grains()}, mask=mask)
