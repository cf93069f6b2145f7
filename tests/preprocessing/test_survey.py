"""The survey of a scan that needs no preparation."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.stage_settings import PreprocessSettings

AS_IT_IS = PreprocessSettings(hot_pixels="off")


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i2", "u4", "i8", "f4", "f8"])
def test_survey_is_mean_maximum_and_sum_of_the_patterns(dtype: str) -> None:
    data = np.random.default_rng(0).poisson(40, (5, 6, 9, 8)).astype(dtype)
    found = take_survey(Dataset.from_array(da.from_array(data, chunks=(2, 6, -1, -1))), AS_IT_IS)
    np.testing.assert_allclose(found.mean, data.mean((0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(found.maximum, data.max((0, 1)))
    np.testing.assert_array_equal(found.pattern_sum, data.sum((2, 3), dtype=np.float64))
    np.testing.assert_allclose(found.virtual_image, data.mean((2, 3)), rtol=1e-6)
    assert (found.mean.dtype, found.maximum.dtype, found.virtual_image.dtype) == (np.float32,) * 3
    assert (found.not_finite, found.negative) == (0, 0)


def test_uint16_counts_at_their_limit_do_not_overflow() -> None:
    data = np.full((3, 100, 16, 16), 65535, np.uint16)
    found = take_survey(Dataset.from_array(data), AS_IT_IS)
    assert (found.mean == 65535).all()
    assert (found.pattern_sum == 65535 * 256).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_values_that_are_no_counts_are_taken_as_zero_and_counted(dtype: str) -> None:
    data = np.ones((2, 3, 4, 4), dtype)
    data[0, 0, 0] = [np.nan, np.inf, -np.inf, -5]
    found = take_survey(Dataset.from_array(data), AS_IT_IS)
    assert (found.not_finite, found.negative) == (3, 1)
    np.testing.assert_allclose(found.mean[0], 5 / 6)
    assert found.pattern_sum[0, 0] == 12
    assert (found.maximum == 1).all()


def test_negative_whole_numbers_are_taken_as_zero_and_counted() -> None:
    data = np.full((2, 2, 3, 3), 4, np.int16)
    data[1, 1] = -7
    found = take_survey(Dataset.from_array(data), AS_IT_IS)
    assert found.negative == 9
    assert found.pattern_sum[1, 1] == 0
    assert (found.mean == 4).all()  # a pattern without a count is none


def test_survey_does_not_depend_on_workers(shared: Path) -> None:
    with h5py.File(shared / "films" / "ag1_small.h5") as file:
        data = da.from_array(file["data"], chunks=(10, 50, -1, -1), lock=True)[:20]
        one, three = (take_survey(Dataset.from_array(data), AS_IT_IS, workers=n) for n in (1, 3))
    np.testing.assert_array_equal(one.mean, three.mean)
    np.testing.assert_array_equal(one.pattern_sum, three.pattern_sum)
