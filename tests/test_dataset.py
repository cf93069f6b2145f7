"""A scan that is read only where it is needed."""

from __future__ import annotations

import pickle
from typing import Any

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_stemnmf as stem
from napari_stemnmf.dataset import BLOCK_BYTES, whole_pattern_chunks
from napari_stemnmf.errors import DataError, ScanShapeError
from napari_stemnmf.scan_shape import likely_scan_shape


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(5, (6, 7, 8, 9)).astype(np.uint16)


def test_array_is_wrapped_with_calibrated_axes(counts):
    dataset = stem.Dataset.from_array(counts, scan_step=0.5, q_step=0.1)
    assert dataset.shape == (6, 7, 8, 9)
    assert dataset.n_patterns == 42
    assert [(a.name, a.scale, a.unit, a.assumed) for a in dataset.axes] == [
        ("scan_y", 0.5, "nm", False),
        ("scan_x", 0.5, "nm", False),
        ("q_y", 0.1, "1/nm", False),
        ("q_x", 0.1, "1/nm", False),
    ]
    np.testing.assert_array_equal(dataset.data.compute(), counts)
    np.testing.assert_array_equal(dataset.pattern(2, 3), counts[2, 3])


def test_steps_that_are_not_given_are_said_to_be_assumed(counts):
    dataset = stem.Dataset.from_array(counts)
    assert all(a.assumed and a.unit == "px" and a.scale == 1.0 for a in dataset.axes)


def test_array_is_neither_copied_nor_read_when_it_is_wrapped():
    class Untouchable(np.ndarray):
        def __getitem__(self, where):
            raise AssertionError("was read")

    stem.Dataset.from_array(np.zeros((4, 4, 8, 8)).view(Untouchable))
    counts = np.zeros((4, 4, 8, 8), np.uint16)
    dataset = stem.Dataset.from_array(counts)
    counts[1, 2] = 7
    assert dataset.pattern(1, 2).min() == 7


def test_dask_array_with_a_cut_detector_is_joined_to_whole_patterns():
    data = da.zeros((4, 4, 16, 16), chunks=(2, 2, 8, 8))
    assert stem.Dataset.from_array(data).data.numblocks == (2, 2, 1, 1)


def test_stack_needs_a_scan_shape_that_fits(counts):
    stack = counts.reshape(42, 8, 9)
    with pytest.raises(ScanShapeError, match="42 patterns"):
        stem.Dataset.from_array(stack)
    with pytest.raises(ScanShapeError, match=r"needs 48 .* has 42; scan_shape=\(5, 8\) takes the whole rows"):
        stem.Dataset.from_array(stack, scan_shape=(6, 8))
    np.testing.assert_array_equal(stem.Dataset.from_array(stack, scan_shape=(6, 7)).data.compute(), counts)


@pytest.mark.parametrize(
    ("drop", "first", "words"),
    [
        ("last", 0, "the last 2 were dropped (drop="),
        ("first", 2, "the first 2 were dropped."),
        (1, 1, "the first 1 and the last 1 were dropped."),
        (0, 0, "the last 2 were dropped"),
    ],
)
def test_patterns_beyond_the_scan_are_dropped_at_the_end_that_is_named(counts, drop, first, words):
    stack = counts.reshape(42, 8, 9)
    dataset = stem.Dataset.from_array(stack, scan_shape=(5, 8), drop=drop)
    np.testing.assert_array_equal(dataset.data.compute(), stack[first : first + 40].reshape(5, 8, 8, 9))
    assert "array holds 42 patterns, 2 more than a scan of 5 x 8 has positions" in dataset.metadata["notes"]
    assert words in dataset.metadata["notes"]
    assert dataset.metadata.get("skipped_patterns", 0) == first


@pytest.mark.parametrize("drop", ["middle", 1.5, -1, True, 3])
def test_what_cannot_be_dropped_is_refused(counts, drop):
    with pytest.raises(ScanShapeError):
        stem.Dataset.from_array(counts.reshape(42, 8, 9), scan_shape=(5, 8), drop=drop)


@pytest.mark.parametrize(
    ("count", "shape"), [(405, "20, 20"), (400, "20, 20"), (192, "12, 16"), (401, "20, 20"), (30, "5, 6"), (7, "1, 7")]
)
def test_the_scan_shape_that_is_proposed_is_a_likely_one(count, shape):
    assert likely_scan_shape(count) == shape


def test_image_is_refused():
    with pytest.raises(DataError, match="four axes"):
        stem.Dataset.from_array(np.zeros((5, 5)))


def test_fingerprint_follows_the_data(counts):
    mark = stem.Dataset.from_array(counts).fingerprint()
    assert stem.Dataset.from_array(counts.copy()).fingerprint() == mark
    assert stem.Dataset.from_array(counts + 1).fingerprint() != mark
    assert stem.Dataset.from_array(counts.astype(np.int32)).fingerprint() != mark


def test_dataset_can_be_sent_to_another_process(counts):
    dataset = pickle.loads(pickle.dumps(stem.Dataset.from_array(counts)))
    np.testing.assert_array_equal(dataset.data.compute(), counts)


@given(st.tuples(*[st.integers(1, 300)] * 4), st.sampled_from([1, 2, 4, 8]))
def test_chunks_hold_whole_patterns_and_about_a_block(shape, itemsize):
    chunks = whole_pattern_chunks(shape, itemsize)
    assert chunks[2:] == shape[2:]
    assert all(1 <= c <= n for c, n in zip(chunks, shape, strict=True))
    assert chunks[0] == 1 or chunks[1] == shape[1]
    if chunks[0] * chunks[1] > 1:
        assert np.prod(chunks) * itemsize <= BLOCK_BYTES


def test_steps_may_differ_along_y_and_x(counts):
    dataset = stem.Dataset.from_array(counts, scan_step=2.0, q_step=(0.2, 0.3))
    assert [(axis.scale, axis.unit) for axis in dataset.axes] == [(2.0, "nm")] * 2 + [(0.2, "1/nm"), (0.3, "1/nm")]


@pytest.mark.parametrize("dtype", [">u2", ">f4", "f2", np.longdouble, bool])
def test_arrays_of_any_byte_order_and_precision_become_native(dtype: Any) -> None:
    values = (np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5) % 7).astype(dtype)
    found = stem.Dataset.from_array(values)
    assert found.dtype.isnative
    assert found.dtype.itemsize in (1, 2, 4, 8)
    np.testing.assert_array_equal(np.asarray(found.data), values.astype(float))
