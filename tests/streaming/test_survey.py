"""The first look at a scan."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.streaming import survey as survey_module
from napari_stemnmf.streaming.survey import quick_image, survey


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i2", "u4", "i8", "f4", "f8"])
def test_survey_is_mean_maximum_and_sum_of_the_patterns(dtype: str) -> None:
    data = np.random.default_rng(0).poisson(40, (5, 6, 9, 8)).astype(dtype)
    found = survey(Dataset.from_array(da.from_array(data, chunks=(2, 6, -1, -1))))
    np.testing.assert_allclose(found.mean, data.mean((0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(found.maximum, data.max((0, 1)))
    np.testing.assert_array_equal(found.pattern_sum, data.sum((2, 3), dtype=np.float64))
    np.testing.assert_allclose(found.virtual_image, data.mean((2, 3)), rtol=1e-6)
    assert (found.mean.dtype, found.maximum.dtype, found.virtual_image.dtype) == (np.float32,) * 3
    assert (found.not_finite, found.negative) == (0, 0)


def test_uint16_counts_at_their_limit_do_not_overflow() -> None:
    data = np.full((3, 100, 16, 16), 65535, np.uint16)
    found = survey(Dataset.from_array(data))
    assert (found.mean == 65535).all()
    assert (found.pattern_sum == 65535 * 256).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_values_that_are_no_counts_are_taken_as_zero_and_counted(dtype: str) -> None:
    data = np.ones((2, 3, 4, 4), dtype)
    data[0, 0, 0] = [np.nan, np.inf, -np.inf, -5]
    found = survey(Dataset.from_array(data))
    assert (found.not_finite, found.negative) == (3, 1)
    np.testing.assert_allclose(found.mean[0], 5 / 6)
    assert found.pattern_sum[0, 0] == 12
    assert (found.maximum == 1).all()


def test_negative_whole_numbers_are_taken_as_zero_and_counted() -> None:
    data = np.full((2, 2, 3, 3), 4, np.int16)
    data[1, 1] = -7
    found = survey(Dataset.from_array(data))
    assert found.negative == 9
    assert found.pattern_sum[1, 1] == 0
    assert (found.mean == 3).all()


def test_survey_does_not_depend_on_workers(shared: Path) -> None:
    with h5py.File(shared / "films" / "ag1_small.h5") as file:
        data = da.from_array(file["data"], chunks=(10, 50, -1, -1), lock=True)[:20]
        one, three = (survey(Dataset.from_array(data), workers=n) for n in (1, 3))
    np.testing.assert_array_equal(one.mean, three.mean)
    np.testing.assert_array_equal(one.pattern_sum, three.pattern_sum)


def test_quick_image_of_a_small_scan_is_its_virtual_image() -> None:
    data = np.random.default_rng(0).poisson(9, (11, 13, 6, 6)).astype(np.uint16)
    dataset = Dataset.from_array(da.from_array(data, chunks=(4, 4, -1, -1)))
    image = quick_image(dataset, seconds=60)
    np.testing.assert_allclose(image, data.mean((2, 3)), rtol=1e-6)
    assert image.dtype == np.float32


def test_quick_image_of_a_huge_lazy_scan_takes_two_seconds_and_shows_its_shape() -> None:
    def generate(block_info: dict | None = None) -> np.ndarray:
        (y0, y1), (x0, x1) = block_info[None]["array-location"][:2]  # type: ignore[index]
        column = np.broadcast_to(np.arange(x0, x1, dtype=np.uint16), (y1 - y0, x1 - x0))
        return np.broadcast_to(column[..., None, None], (y1 - y0, x1 - x0, 256, 256)).copy()

    chunks = ((1,) * 512, (128,) * 4, (256,), (256,))
    data = da.map_blocks(generate, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 4, np.uint16))
    dataset = Dataset.from_array(data)
    assert dataset.nbytes > 34e9
    quick_image(Dataset.from_array(data[:2, :2]))  # compiled
    start = time.perf_counter()
    image = quick_image(dataset)
    assert time.perf_counter() - start < 2
    assert image.shape == (512, 512)
    assert np.isfinite(image).all()
    assert np.abs(image.mean(0) - np.arange(512)).mean() < 100


def test_quick_image_reads_at_least_one_chunk_and_fills_the_rest() -> None:
    data = np.arange(16, dtype=np.float32).reshape(4, 4)[..., None, None] * np.ones((2, 2), np.float32)
    dataset = Dataset.from_array(da.from_array(data, chunks=(2, 2, -1, -1)))
    image = quick_image(dataset, seconds=0)
    assert np.isfinite(image).all()
    assert len(np.unique(image)) == 4


def test_quick_image_of_a_large_scan_samples_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "QUICK_WHOLE_BYTES", 0)
    monkeypatch.setattr(survey_module, "QUICK_PATTERNS", 9)
    data = np.arange(100, dtype=np.float32).reshape(10, 10)[..., None, None] * np.ones((2, 2), np.float32)
    image = quick_image(Dataset.from_array(da.from_array(data, chunks=(5, 10, -1, -1))), seconds=60)
    np.testing.assert_array_equal(image[::5, ::3], data[::5, ::3, 0, 0])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 7), (5, 3), (16, 16)])
def testcoarse_to_fine_visits_every_chunk_once(rows: int, columns: int) -> None:
    order = survey_module.coarse_to_fine(rows, columns)
    assert sorted(order) == [(i, j) for i in range(rows) for j in range(columns)]


def test_quick_image_does_not_wait_for_numba() -> None:
    code = (
        "import sys, numpy as np; from napari_stemnmf.dataset import Dataset; "
        "from napari_stemnmf.streaming.survey import quick_image; "
        "quick_image(Dataset.from_array(np.ones((2, 2, 4, 4)))); print('numba' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_quick_image_takes_odd_values_as_zero() -> None:
    data = np.ones((1, 2, 2, 2))
    data[0, 1] = [[np.nan, np.inf], [-3, 5]]
    np.testing.assert_allclose(quick_image(Dataset.from_array(data)), [[1, 1.25]])
