"""How parts of a file become blocks of a Dask array."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_stemnmf as stem
from napari_stemnmf.dataset import BLOCK_BYTES
from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading.blocks import LARGEST_BLOCK_BYTES, RawFrames, ScanOfFrames, aligned_chunks, reading


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, np.ndarray]:
    data = np.random.default_rng(0).integers(0, 1000, (20, 30, 16, 16)).astype("u2")
    np.save(tmp_path / "a.npy", data)
    return tmp_path / "a.npy", data


def test_one_pattern_is_one_read_of_one_pattern(saved, monkeypatch: pytest.MonkeyPatch):
    path, data = saved
    asked: list[range] = []
    read = RawFrames.read_frames
    monkeypatch.setattr(RawFrames, "read_frames", lambda self, frames: asked.append(frames) or read(self, frames))
    dataset = stem.open(path)
    np.testing.assert_array_equal(dataset.pattern(3, 4), data[3, 4])
    assert asked == [range(94, 95)]
    asked.clear()
    np.testing.assert_array_equal(dataset.data[::10, ::15].compute(), data[::10, ::15])
    assert sum(len(frames) for frames in asked) == 4


def test_lists_and_masks_of_positions_can_be_read(saved):
    path, data = saved
    lazy = stem.open(path).data
    np.testing.assert_array_equal(lazy[[3, 17, 3]].compute(), data[[3, 17, 3]])
    np.testing.assert_array_equal(lazy[:, [5, 2]].compute(), data[:, [5, 2]])
    np.testing.assert_array_equal(lazy[2, [5, 2], 3:, 1].compute(), data[2, [5, 2], 3:, 1])
    np.testing.assert_array_equal(lazy[:, :, [1, 3]].compute(), data[:, :, [1, 3]])
    assert lazy[5:5].compute().shape == (0, 30, 16, 16)
    assert lazy[5:5, 3:9].compute().shape == (0, 6, 16, 16)
    assert lazy[:, 4:4].compute().shape == (20, 0, 16, 16)
    inside = np.arange(20) % 3 == 0
    np.testing.assert_array_equal(lazy[inside].compute(), data[inside])
    np.testing.assert_array_equal(lazy.reshape(600, 16, 16)[7:50:5].compute(), data.reshape(600, 16, 16)[7:50:5])


def test_threads_read_the_same_blocks(saved):
    path, data = saved
    lazy = stem.open(path).data.rechunk((3, 7, 16, 16))
    blocks = [lazy.blocks[i, j] for i in range(lazy.numblocks[0]) for j in range(lazy.numblocks[1])]
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda block: int(block.sum().compute(scheduler="synchronous")), blocks * 3))
    assert sum(sums) == 3 * int(data.sum())


def test_a_file_that_was_written_anew_is_another_array(saved):
    path, data = saved
    before = stem.open(path).data.name
    assert stem.open(path).data.name == before
    np.save(path, data[:10])
    assert stem.open(path).data.name != before


@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300), st.integers(2, 600), st.integers(2, 600)),
    chunk=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    itemsize=st.sampled_from([1, 2, 4, 8]),
)
def test_blocks_are_whole_patterns_of_bounded_size(shape, chunk, itemsize):
    blocks = aligned_chunks(shape, itemsize, chunk)
    size = np.prod(blocks, dtype=float) * itemsize
    assert blocks[2:] == shape[2:]
    assert all(1 <= block <= n for block, n in zip(blocks, shape, strict=True))
    assert size <= max(LARGEST_BLOCK_BYTES, shape[2] * shape[3] * itemsize)
    stored = min(chunk[0], shape[0]) * min(chunk[1], shape[1]) * shape[2] * shape[3] * itemsize
    if stored <= BLOCK_BYTES:  # whole chunks of the file, and no more than asked for
        assert size <= BLOCK_BYTES
        for block, n, c in zip(blocks, shape, chunk, strict=False):
            assert block == n or block % min(c, n) == 0


def test_records_with_headers_between_patterns(tmp_path: Path):
    data = np.random.default_rng(0).integers(0, 99, (12, 5, 7)).astype("<u4")
    with (tmp_path / "raw").open("wb") as file:
        file.write(b"head")
        for pattern in data:
            file.write(pattern.tobytes() + b"footer")
    frames = RawFrames(tmp_path / "raw", 4, 12, (5, 7), np.dtype("<u4"), record=5 * 7 * 4 + 6)
    np.testing.assert_array_equal(ScanOfFrames(frames, (3, 4))[:], data.reshape(3, 4, 5, 7))
    np.testing.assert_array_equal(ScanOfFrames(frames, (3, 4))[1, ::2], data.reshape(3, 4, 5, 7)[1, ::2])


def test_an_error_of_our_own_is_not_called_damage(tmp_path):
    path = tmp_path / "scan.npy"
    with pytest.raises(TypeError, match="a bug"), reading(path):
        raise TypeError("a bug")
    with pytest.raises(AttributeError), reading(path):
        path.no_such_thing  # noqa: B018
    for error in (OSError("disk"), ValueError("header"), EOFError(), zlib.error("block")):
        with pytest.raises(ReadError, match="damaged or truncated"), reading(path):
            raise error
    with h5py.File(tmp_path / "a.h5", "w") as file, pytest.raises(ReadError, match="damaged"), reading(path):
        file["not there"]
