"""One read feeds all kernels; the result does not depend on how the work was spread."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import Future

import dask.array as da
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import Cancelled, DataError, ReadError
from napari_stemnmf.streaming import engine
from napari_stemnmf.streaming.engine import BlockResult, run_pass


class Statistics:
    """A kernel that uses all three ways to answer."""

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        values = block.astype(np.float64)
        return BlockResult(
            per_pattern={"sum": values.sum((1, 2)), "position": positions},
            total={"mean": values.sum(0) / 3.0},
            maximum={"top": values.max(0)},
        )


class Shapes:
    """A kernel that remembers what blocks it was given."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        self.blocks.append(block)
        return BlockResult()


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, (7, 9, 6, 5)).astype(np.uint16)


def chunked(data: np.ndarray, rows: int, columns: int) -> Dataset:
    return Dataset.from_array(da.from_array(data, chunks=(rows, columns, -1, -1)))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BLOCK_BYTES", 1)  # no chunks are joined


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("chunks", [(1, 1), (2, 4), (7, 9)])
def test_pass_gives_what_numpy_gives_on_the_whole_array(
    data: np.ndarray, workers: int, chunks: tuple[int, int]
) -> None:
    (result,) = run_pass(chunked(data, *chunks), [Statistics()], workers=workers)
    np.testing.assert_array_equal(result.per_pattern["position"], np.arange(63))
    np.testing.assert_array_equal(result.per_pattern["sum"].reshape(7, 9), data.sum((2, 3)))
    np.testing.assert_allclose(result.total["mean"], data.sum((0, 1)) / 3.0, rtol=1e-12)
    np.testing.assert_array_equal(result.maximum["top"], data.max((0, 1)))


@pytest.mark.usefixtures("small_blocks")
def test_totals_are_the_same_to_the_last_bit_for_any_number_of_workers() -> None:
    values = np.random.default_rng(1).lognormal(0, 8, (12, 5, 4, 4))  # sums of these depend on their order

    class Late(Statistics):
        def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
            time.sleep(0.002 * (positions[0] % 3))  # blocks end in another order than they start
            return super().__call__(block, positions)

    totals = [run_pass(chunked(values, 1, 2), [Late()], workers=w)[0].total["mean"] for w in (1, 2, 4)]
    np.testing.assert_array_equal(totals[0], totals[1])
    np.testing.assert_array_equal(totals[0], totals[2])


def test_one_read_serves_all_kernels(data: np.ndarray) -> None:
    reads: list[int] = []

    def read(block: np.ndarray) -> np.ndarray:
        reads.append(len(block))
        return block

    lazy = da.from_array(data, chunks=(1, 9, -1, -1)).map_blocks(read, dtype=data.dtype, meta=data[:0, :0])
    results = run_pass(Dataset.from_array(lazy), [Statistics(), Shapes(), Statistics()], workers=2)
    assert len(results) == 3
    assert sum(reads) == 7


@pytest.mark.usefixtures("small_blocks")
def test_only_a_few_blocks_are_in_flight() -> None:
    """Blocks are not loaded ahead of the one that everybody waits for."""
    loaded: list[int] = []
    release = threading.Event()

    def read(block_info: dict | None = None) -> np.ndarray:
        loaded.append(block_info[None]["chunk-location"][0])  # type: ignore[index]
        return np.ones((1, 1, 2, 2), np.uint8)

    class Slow:
        def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
            if positions[0] == 0:
                release.wait(10)
            return BlockResult()

    lazy = da.map_blocks(read, chunks=((1,) * 30, (1,), (2,), (2,)), dtype=np.uint8, meta=np.empty((0,) * 4, np.uint8))
    worker = threading.Thread(target=run_pass, args=(Dataset.from_array(lazy), [Slow()]), kwargs={"workers": 2})
    worker.start()
    time.sleep(0.5)
    ahead = len(loaded)
    release.set()
    worker.join(30)
    assert ahead == 4  # workers + 2
    assert sorted(loaded) == list(range(30))


@pytest.mark.usefixtures("small_blocks")
def test_progress_counts_patterns_up_to_all(data: np.ndarray) -> None:
    seen: list[tuple[str, float, float]] = []
    control = Control(lambda p: seen.append((p.stage, p.done, p.total)), stage="survey")
    run_pass(chunked(data, 2, 9), [Statistics()], workers=2, control=control)
    assert seen == [("survey", done, 63) for done in (0, 18, 36, 54, 63)]


@pytest.mark.usefixtures("small_blocks")
def test_cancel_stops_between_blocks() -> None:
    reads: list[int] = []
    control = Control(lambda p: control.cancel() if p.done >= 3 else None)

    def read(block: np.ndarray) -> np.ndarray:
        reads.append(1)
        time.sleep(0.01)
        return block

    lazy = da.zeros((100, 1, 2, 2), chunks=(1, 1, 2, 2)).map_blocks(read, dtype=float, meta=np.empty((0,) * 4))
    start = time.perf_counter()
    with pytest.raises(Cancelled):
        run_pass(Dataset.from_array(lazy), [Statistics()], workers=2, control=control)
    assert time.perf_counter() - start < 5
    assert len(reads) < 20


def test_cancel_does_not_wait_for_the_block_that_others_wait_for() -> None:
    """A request to stop is heeded while a block is still computed, as soon as that block allows."""
    control = Control()
    started = threading.Event()

    class Slow:
        def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
            started.set()
            while not control.cancelled:
                time.sleep(0.01)
            return BlockResult()

    threading.Thread(target=lambda: (started.wait(10), control.cancel())).start()
    with pytest.raises(Cancelled):
        run_pass(chunked(np.ones((1, 1, 2, 2)), 1, 1), [Slow()], control=control)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("error", [OSError("bad block checksum"), ReadError("scan.h5 is truncated.")])
def test_block_that_cannot_be_read_is_named_by_its_probe_positions(data: np.ndarray, error: Exception) -> None:
    def read(block: np.ndarray, block_info: dict | None = None) -> np.ndarray:
        if block_info[0]["chunk-location"][:2] == (2, 1):  # type: ignore[index]
            raise error
        return block

    lazy = da.from_array(data, chunks=(2, 3, -1, -1)).map_blocks(read, dtype=data.dtype, meta=data[:0, :0])
    with pytest.raises(
        ReadError, match=r"rows 4 to 5, columns 3 to 5 of array cannot be read: (bad block|scan\.h5 is)"
    ):
        run_pass(Dataset.from_array(lazy), [Statistics()])


def test_block_of_another_shape_than_promised_is_refused(data: np.ndarray) -> None:
    short = da.from_array(data, chunks=(7, 9, -1, -1)).map_blocks(lambda b: b[:3], dtype=data.dtype, meta=data[:0, :0])
    with pytest.raises(ReadError, match="came as"):
        run_pass(Dataset.from_array(short), [Statistics()])


def test_error_of_a_kernel_comes_out_as_it_is(data: np.ndarray) -> None:
    class Broken:
        def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
            raise DataError("no ring")

    with pytest.raises(DataError, match="no ring"):
        run_pass(chunked(data, 2, 2), [Broken()])


def test_scan_without_patterns_or_numbers_is_refused() -> None:
    with pytest.raises(DataError, match="holds no pattern"):
        run_pass(Dataset.from_array(da.zeros((0, 3, 4, 4), chunks=(1, 1, 4, 4))), [])
    with pytest.raises(DataError, match="complex"):
        run_pass(Dataset.from_array(np.ones((1, 1, 2, 2), complex)), [])


@pytest.mark.parametrize(
    ("stored", "given"), [(">u2", "u2"), (">f4", "f4"), ("?", "u1"), ("f2", "f4"), ("u1", "u1"), ("<i8", "i8")]
)
def test_kernels_get_native_types_they_are_compiled_for(stored: str, given: str) -> None:
    shapes = Shapes()
    values = (np.arange(24).reshape(2, 3, 2, 2) % 2).astype(stored)
    run_pass(Dataset.from_array(da.from_array(values, chunks=-1)), [shapes])
    (block,) = shapes.blocks
    assert block.dtype == np.dtype(given)
    assert block.dtype.isnative
    assert block.flags.c_contiguous
    np.testing.assert_array_equal(block, values.reshape(6, 2, 2))


def test_small_chunks_are_read_together_and_huge_ones_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Dataset.from_array(da.zeros((8, 10, 4, 4), dtype=np.uint8, chunks=(2, 5, 4, 4)))  # chunks of 160 bytes
    monkeypatch.setattr(engine, "BLOCK_BYTES", 640)
    assert [str(b.size) for b in engine.blocks(scan)] == ["40", "40"]
    monkeypatch.setattr(engine, "BLOCK_BYTES", 16)
    monkeypatch.setattr(engine, "SPLIT_BYTES", 64)
    sizes = [b.size for b in engine.blocks(scan)]
    assert max(sizes) <= 4
    assert sum(sizes) == 80


@pytest.mark.parametrize("chunks", [(3, 4), (1, 1), (13, 1), (1, 17), ((5, 8), (2, 2, 13))])
def test_blocks_cover_the_scan_once(chunks: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = Dataset.from_array(da.zeros((13, 17, 2, 2), dtype=np.uint8, chunks=(*chunks, 2, 2)))
    monkeypatch.setattr(engine, "BLOCK_BYTES", 60)
    seen = np.concatenate([b.positions(17) for b in engine.blocks(scan)])
    np.testing.assert_array_equal(np.sort(seen), np.arange(13 * 17))


@pytest.mark.usefixtures("small_blocks")
def test_another_executor_can_run_the_blocks(data: np.ndarray) -> None:
    """The work and its answer can be pickled, so that it can go to another process or machine."""

    class Pickling:
        def submit(self, fn, /, *args):
            future: Future = Future()
            fn, args = pickle.loads(pickle.dumps((fn, args)))
            future.set_result(pickle.loads(pickle.dumps(fn(*args))))
            return future

    here = run_pass(chunked(data, 2, 4), [Statistics()])[0]
    there = run_pass(chunked(data, 2, 4), [Statistics()], executor=Pickling())[0]
    np.testing.assert_array_equal(here.total["mean"], there.total["mean"])
    np.testing.assert_array_equal(here.per_pattern["sum"], there.per_pattern["sum"])


def test_blas_has_one_thread_in_kernels_and_its_own_number_afterwards(data: np.ndarray) -> None:
    def threads() -> set[int]:
        return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}

    within: list[set[int]] = []

    class Look:
        def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
            within.append(threads())
            return BlockResult()

    before = threads()
    run_pass(chunked(data, 7, 9), [Look()])
    assert within == [{1}]
    assert threads() == before
