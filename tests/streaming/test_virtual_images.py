"""Images under virtual detectors and patterns of regions, beside plain NumPy."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.streaming import virtual_images as virtual_images_module
from napari_stemnmf.streaming.live_scan import LiveScan, reduction
from napari_stemnmf.streaming.virtual_detectors import Annulus, Disk, Point, Rectangle, Sector
from napari_stemnmf.streaming.virtual_images import (
    centres_of_mass,
    coarse_to_fine,
    quick_image,
    region_patterns,
    virtual_images,
)

DETECTORS = (
    Disk(10.2, 12.9, 4.0),
    Annulus(10.2, 12.9, 5.0, 9.5),
    Sector(10.2, 12.9, 3.0, 9.0, 300.0, 80.0),
    Rectangle(8.0, 13.0, 5.0, 7.0),
    Point(11.0, 12.0),
)
Y, X = np.indices((21, 25))


def scan(dtype: Any, seed: int = 0) -> tuple[Dataset, np.ndarray]:
    """A scan in odd chunks, and its counts as all sums take them: invalid values are 0."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(40.0, (7, 9, 21, 25)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values[0, 1, 10, 12], values[2, 3, 9, 12], values[2, 3, 10, 13] = np.nan, np.inf, -5.0
    elif np.dtype(dtype).kind == "i":
        values[2, 3, 10, 13] = -5
    counts = np.maximum(np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0), 0.0)
    data = da.from_array(values, chunks=((3, 4), (5, 4), (21,), (25,)))
    return Dataset.from_array(data, scan_step=1.0, q_step=0.1), counts


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, np.float32, np.float64])
def test_several_detectors_are_summed_in_one_pass(dtype: Any) -> None:
    dataset, counts = scan(dtype)
    images = virtual_images(dataset, DETECTORS, workers=2)
    expected = [(counts * d.mask((21, 25))).sum(axis=(2, 3)) for d in DETECTORS]
    np.testing.assert_allclose(images, expected, rtol=1e-6)
    mask = DETECTORS[0].mask((21, 25))
    found = centres_of_mass(dataset, DETECTORS[0])
    total = (counts * mask).sum(axis=(2, 3))
    np.testing.assert_allclose(found.q_y, (counts * mask * Y).sum(axis=(2, 3)) / total, rtol=1e-6)
    np.testing.assert_allclose(found.q_x, (counts * mask * X).sum(axis=(2, 3)) / total, rtol=1e-6)


def test_a_moved_disk_is_found_where_it_moved() -> None:
    values = np.zeros((2, 2, 21, 25), np.uint16)
    for k, (q_y, q_x) in enumerate(((10, 12), (12, 12), (10, 14), (8, 10))):
        values[k // 2, k % 2] = 100 * (np.hypot(Y - q_y, X - q_x) < 3)
    dataset = Dataset.from_array(values)
    found = centres_of_mass(dataset, Disk(10.0, 12.0, 9.0))
    y, x = found.shift(np.array([10.0, 12.0]), scale=(0.1, 0.1))
    np.testing.assert_allclose(y, [[0.0, 0.2], [0.0, -0.2]], atol=1e-6)
    np.testing.assert_allclose(x, [[0.0, 0.0], [0.2, -0.2]], atol=1e-6)
    y, x = found.shift()
    assert (abs(y.mean()), abs(x.mean())) == pytest.approx((0, 0), abs=1e-6)
    empty = centres_of_mass(Dataset.from_array(np.zeros((2, 2, 21, 25), np.uint16)), Disk(10.0, 12.0, 9.0))
    assert np.isnan(empty.q_y).all()
    assert (empty.shift()[0] != 0).all()


def test_a_region_reads_no_chunk_that_it_does_not_need() -> None:
    reads: list[tuple[int, int]] = []
    values = np.random.default_rng(1).poisson(9.0, (6, 6, 21, 25)).astype(np.uint16)

    def read(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:
            reads.append(block_info[0]["chunk-location"][:2])
        return block

    data = da.from_array(values, chunks=(2, 2, 21, 25)).map_blocks(read, dtype=np.uint16)
    dataset = Dataset.from_array(data)
    region = np.zeros((6, 6), bool)
    region[1, 1:3] = region[2, 2] = True
    mean, maximum = region_patterns(dataset, region)
    np.testing.assert_allclose(mean, values[region].mean(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(maximum, values[region].max(axis=0))
    assert set(reads) <= {(0, 0), (0, 1), (1, 0), (1, 1)}
    with pytest.raises(DataError, match="no probe position"):
        region_patterns(dataset, np.zeros((6, 6), bool))
    with pytest.raises(DataError, match="covers no pixel"):
        virtual_images(dataset, [Disk(200.0, 0.0, 3.0)])
    with pytest.raises(DataError, match="add one"):
        virtual_images(dataset, [])
    stopped = Control(cancel=threading.Event())
    stopped.cancel()
    with pytest.raises(Cancelled):
        virtual_images(dataset, DETECTORS, control=stopped)


def test_a_live_copy_of_a_small_scan_is_the_scan() -> None:
    dataset, _ = scan(np.uint16)
    live = LiveScan(dataset)
    assert not live.started
    live.start()
    assert live.join(20.0)
    assert live.exact
    assert live.fraction == 1.0
    for detector, expected in zip(DETECTORS, virtual_images(dataset, DETECTORS), strict=True):
        np.testing.assert_allclose(live.image(detector), expected, rtol=1e-4)
    found, expected = live.centres_of_mass(DETECTORS[0]), centres_of_mass(dataset, DETECTORS[0])
    np.testing.assert_allclose(found.q_y, expected.q_y, atol=1e-3)
    np.testing.assert_allclose(found.q_x, expected.q_x, atol=1e-3)


@pytest.mark.parametrize(
    ("scan_shape", "detector_shape"), [((512, 512), (256, 256)), ((100, 100), (252, 252)), ((3, 70000), (96, 33))]
)
def test_a_live_copy_stays_in_its_budget(scan_shape: tuple[int, int], detector_shape: tuple[int, int]) -> None:
    budget = 32 * 2**20
    bin_, step = reduction(scan_shape, detector_shape, budget)
    size = np.prod([-(-n // step) for n in scan_shape]) * np.prod([-(-n // bin_) + 0.5 for n in detector_shape])
    assert 4 * size < 1.1 * budget
    assert reduction((20, 20), (60, 60), budget) == (1, 1)


def test_a_live_copy_of_a_large_scan_is_of_use_before_it_is_complete() -> None:
    gate = threading.Event()
    seen: list[int] = []
    y = np.arange(64)[:, None, None, None]

    def block(block_info: Any = None) -> np.ndarray:
        (row, _), *_ = block_info[None]["array-location"]
        seen.append(row)
        if len(seen) > 6:
            gate.wait(20.0)
        return np.broadcast_to(y[row : row + 1] + 1, (1, 64, 128, 128)).astype(np.uint16)

    data = da.map_blocks(block, chunks=((1,) * 64, (64,), (128,), (128,)), dtype=np.uint16, meta=np.empty((0,) * 4))
    live = LiveScan(Dataset.from_array(data.astype(np.uint16)), memory=2**20, workers=1)
    assert live.reduction.step > 1
    live.start()
    while len(seen) <= 6:
        threading.Event().wait(0.01)
    assert live.started
    image = live.image(Disk(64.0, 64.0, 20.0)) / Disk(64.0, 64.0, 20.0).mask((128, 128)).sum()
    assert image.shape == (64, 64)
    assert set(np.unique(np.round(image, 2)).astype(int)) <= {row + 1 for row in seen}  # what was read, spread out
    live.stop()
    gate.set()
    assert live.join(20.0)
    assert not live.complete
    part = live.fraction
    live.start()
    assert live.join(20.0)
    assert live.complete
    assert live.fraction > part
    assert np.abs(live.image(Disk(64.0, 64.0, 20.0))[:, 0] / 1257 - np.arange(1, 65)).max() < live.reduction.step


def test_a_scan_that_cannot_be_read_is_said_by_its_live_copy() -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise OSError(errno.EIO, "disk is gone")

    data = da.zeros((4, 4, 8, 8), chunks=(2, 4, 8, 8), dtype=np.uint16).map_blocks(fail, dtype=np.uint16)
    live = LiveScan(Dataset.from_array(data, name="lost"))
    live.start()
    assert live.join(20.0)
    assert "lost cannot be read: disk is gone" in live.error


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
    monkeypatch.setattr(virtual_images_module, "QUICK_WHOLE_BYTES", 0)
    monkeypatch.setattr(virtual_images_module, "QUICK_PATTERNS", 9)
    data = np.arange(100, dtype=np.float32).reshape(10, 10)[..., None, None] * np.ones((2, 2), np.float32)
    image = quick_image(Dataset.from_array(da.from_array(data, chunks=(5, 10, -1, -1))), seconds=60)
    np.testing.assert_array_equal(image[::5, ::3], data[::5, ::3, 0, 0])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 7), (5, 3), (16, 16)])
def test_coarse_to_fine_visits_every_chunk_once(rows: int, columns: int) -> None:
    order = coarse_to_fine(rows, columns)
    assert sorted(order) == [(i, j) for i in range(rows) for j in range(columns)]


def test_quick_image_does_not_wait_for_numba() -> None:
    code = (
        "import sys, numpy as np; from napari_stemnmf.dataset import Dataset; "
        "from napari_stemnmf.streaming.virtual_images import quick_image; "
        "quick_image(Dataset.from_array(np.ones((2, 2, 4, 4)))); print('numba' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_quick_image_takes_invalid_values_as_zero() -> None:
    data = np.ones((1, 2, 2, 2))
    data[0, 1] = [[np.nan, np.inf], [-3, 5]]
    np.testing.assert_allclose(quick_image(Dataset.from_array(data)), [[1, 1.25]])
