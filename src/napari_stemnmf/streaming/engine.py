"""One read of a scan feeds every kernel that needs its patterns.

A kernel gives something for each pattern, sums, and maxima. The engine has the scan loaded block by block where a pool
works on them (threads, or the workers of a dask cluster; `streaming.pools`), hands each block to all kernels, and puts
their answers together in the order of the blocks, so that the numbers do not depend on the number of threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from napari_stemnmf.control import Control, Pace
from napari_stemnmf.dataset import BLOCK_BYTES, Dataset, working_dtype
from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.streaming.pools import Executor, in_turn, pool_of
from napari_stemnmf.threads import one_blas_thread

SPLIT_BYTES = 8 * BLOCK_BYTES  # a chunk above this is read in parts, so that a few threads do not fill the memory

Arrays = dict[str, np.ndarray]


@dataclass
class BlockResult:
    """What a kernel found in one block of p patterns."""

    per_pattern: Arrays = field(default_factory=dict)  # (p, ...) each; put together to (n, ...) over the scan
    total: Arrays = field(default_factory=dict)  # summed over the blocks in float64
    maximum: Arrays = field(default_factory=dict)  # combined by the element-wise maximum
    ragged: Arrays = field(default_factory=dict)  # (sum of `counts`, ...) each, one pattern after the other
    counts: np.ndarray | None = None  # (p,) rows of each pattern in `ragged`


@dataclass
class PassResult(BlockResult):
    """What a kernel found in the whole scan.

    `ragged` is in the order of the scan: those of pattern i are the rows ``offsets[i]`` to ``offsets[i + 1]``.
    """

    offsets: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64))
    _pieces: list[tuple[np.ndarray, np.ndarray, Arrays]] = field(default_factory=list, repr=False)

    def join(self, n: int) -> None:
        """Put the ragged rows of all blocks into the order of the scan; what was copied is let go at once."""
        if not self._pieces:
            return
        counts = np.zeros(n, np.int64)
        for positions, sizes, _ in self._pieces:
            counts[positions] = sizes
        self.offsets = np.concatenate([[0], np.cumsum(counts)])
        for name in list(self._pieces[0][2]):
            first = self._pieces[0][2][name]
            out = np.empty((int(self.offsets[-1]), *first.shape[1:]), first.dtype)
            for positions, sizes, values in self._pieces:
                within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
                out[np.repeat(self.offsets[positions], sizes) + within] = values.pop(name)
            self.ragged[name] = out
        self._pieces.clear()


class Kernel(Protocol):
    """What is computed from each block in the one read; called from several threads at once."""

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """Process one block, without changing it.

        It holds raw counts (p, q_y, q_x), in C order and native byte order, of the patterns at flat `positions` (p,).
        """
        ...


@dataclass(frozen=True)
class Block:
    """A rectangle of probe positions that is read in one go: rows `y0:y1`, columns `x0:x1`."""

    y0: int
    y1: int
    x0: int
    x1: int

    def __str__(self) -> str:
        return f"probe positions of rows {self.y0} to {self.y1 - 1}, columns {self.x0} to {self.x1 - 1}"

    @property
    def size(self) -> int:
        """Number of probe positions."""
        return (self.y1 - self.y0) * (self.x1 - self.x0)

    def positions(self, columns: int) -> np.ndarray:
        """(p,) flat indices in a scan of so many columns."""
        return (np.arange(self.y0, self.y1)[:, None] * columns + np.arange(self.x0, self.x1)).ravel()


def blocks(dataset: Dataset) -> list[Block]:
    """The rectangles that a pass reads, in scan order; they depend on the data alone.

    A block is one chunk of the data; small chunks are read together up to about `BLOCK_BYTES`, along the scan rows
    first, and a chunk above `SPLIT_BYTES` in parts.
    """
    pattern_bytes = max(1, int(np.prod(dataset.detector_shape)) * dataset.dtype.itemsize)
    row_chunks, column_chunks = dataset.data.chunks[:2]
    aim, most = max(1, BLOCK_BYTES // pattern_bytes), max(1, SPLIT_BYTES // pattern_bytes)
    tallest = max(row_chunks, default=1)
    columns = _cuts(column_chunks, max(1, aim // tallest), max(1, most // tallest))
    widest = max((b - a for a, b in columns), default=1)
    rows = _cuts(row_chunks, max(1, aim // widest), max(1, most // widest))
    return [Block(y0, y1, x0, x1) for y0, y1 in rows for x0, x1 in columns]


def run_pass(
    dataset: Dataset,
    kernels: Sequence[Kernel],
    *,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
    only: np.ndarray | None = None,
    merged: Callable[[list[PassResult], np.ndarray], None] | None = None,
) -> list[PassResult]:
    """Read the scan once and give every block to all kernels.

    Parameters
    ----------
    dataset : Dataset
        The scan.
    kernels : sequence of Kernel
        What to compute.
    workers : int, optional
        Threads that read and compute; all cores if not given. At most `pools.AHEAD` blocks more are in flight.
    control : Control, optional
        Progress is reported in patterns, after each block; a request to stop takes effect between blocks.
    executor : Executor, optional
        Runs the blocks in place of threads of this process; what it gets can be pickled if the kernels can. Of a pool,
        twice as many blocks as it works on at once are in flight.
    only : ndarray of bool, (n,), optional
        Positions that the kernels need: a block without any is not read. Kernels still get whole blocks.
    merged : callable, optional
        Called after each block, in their order, with what was found so far and the block's positions: who takes out
        what is complete keeps the memory small.

    Returns
    -------
    list of PassResult
        One per kernel, the same whatever the number of workers.

    Raises
    ------
    Cancelled
        If the user asked to stop.
    ReadError
        If a block cannot be read; the message names its probe positions.
    DataError
        If the data holds no patterns or no numbers.
    """
    control = Control() if control is None else control
    if dataset.n_patterns == 0 or 0 in dataset.detector_shape:
        raise DataError(f"{dataset.name} of shape {dataset.shape} holds no pattern.")
    if dataset.dtype.kind not in "buif":
        raise DataError(f"{dataset.name} holds values of type {dataset.dtype}; counts must be whole or real numbers.")
    columns = dataset.scan_shape[1]
    todo = [block for block in blocks(dataset) if only is None or only[block.positions(columns)].any()]
    pace = Pace()
    results = [PassResult() for _ in kernels]
    n = dataset.n_patterns
    done = 0
    pool = pool_of(executor, workers)
    stop = control if pool.here else None  # a control cannot travel to another process
    asked: deque[np.ndarray] = deque()

    def tasks() -> Iterator[tuple[Any, ...]]:
        for block in todo:
            control.check()
            part = dataset.data[block.y0 : block.y1, block.x0 : block.x1]
            asked.append(block.positions(columns))
            part = part if pool.here else _alone(part)
            yield _process, part, asked[-1], shared, f"The {block} of {dataset.name}", stop

    try:
        with one_blas_thread():
            control.report(0, n)
            shared = pool.shared(tuple(kernels))
            for number, answers in enumerate(in_turn(pool, tasks(), control), 1):
                positions = asked.popleft()
                for result, answer in zip(results, answers, strict=True):
                    _merge(result, answer, positions, n)
                if merged is not None:
                    merged(results, positions)
                done += len(positions)
                rate = pace.rate(done)
                speed = f", {rate:.0f} patterns a second" if rate else ""
                control.report(done, n, f"block {number} of {len(todo)}{speed}")
            if done < n:
                control.report(n, n)
            for result in results:
                result.join(n)
            return results
    finally:
        pool.close()


def _process(
    part: Any, positions: np.ndarray, kernels: tuple[Kernel, ...], what: str, control: Control | None
) -> list[BlockResult]:
    """Load one block and give it to all kernels; runs in a worker."""
    control = Control() if control is None else control
    control.check()
    try:
        block = load(part)
    except MemoryError:
        raise
    except Exception as error:  # whatever a format's library raises
        reason = str(error).rstrip(".") or type(error).__name__
        raise ReadError(f"{what} cannot be read: {reason}.") from error
    if block.shape != part.shape:
        raise ReadError(f"{what} should be of shape {part.shape} but came as {block.shape}; is the file complete?")
    control.check()
    block = as_counts(block).reshape(len(positions), *part.shape[2:])
    with one_blas_thread():
        return [kernel(block, positions) for kernel in kernels]


def _alone(part: Any) -> Any:
    """A part of a Dask array without what belongs to others, to be sent."""
    import dask

    return dask.optimize(part)[0]


def load(part: Any) -> np.ndarray:
    """The values of a Dask array, computed in this thread; not to be changed, as they may be the source's own."""
    import dask
    from dask.core import flatten

    keys = list(flatten(part.__dask_keys__()))
    if len(keys) > 1:
        return np.asarray(part.compute(scheduler="synchronous"))
    graph = part.__dask_optimize__(part.__dask_graph__(), keys)  # `compute` would copy the only chunk
    return np.asarray(dask.get(graph, keys[0]))


def as_counts(values: np.ndarray) -> np.ndarray:
    """`values` in C order and in a native type that the kernels are compiled for; no copy where none is needed."""
    return np.ascontiguousarray(values, dtype=working_dtype(values.dtype))


def _merge(result: PassResult, answer: BlockResult, positions: np.ndarray, n: int) -> None:
    for name, values in answer.per_pattern.items():
        if name not in result.per_pattern:
            result.per_pattern[name] = np.zeros((n, *values.shape[1:]), values.dtype)
        result.per_pattern[name][positions] = values
    for name, values in answer.total.items():
        if name not in result.total:
            result.total[name] = np.zeros(np.shape(values), np.float64)
        result.total[name] += values
    for name, values in answer.maximum.items():
        known = result.maximum.get(name)
        result.maximum[name] = np.array(values) if known is None else np.maximum(known, values)
    if answer.counts is not None:
        result._pieces.append((positions, np.asarray(answer.counts, np.int64), answer.ragged))


def _cuts(sizes: Sequence[int], aim: int, most: int) -> list[tuple[int, int]]:
    """Join neighbouring chunks of these sizes up to `aim`, cut those above `most`: (start, stop) of each part."""
    cuts: list[tuple[int, int]] = []
    start = 0
    for size in sizes:
        stop = start + size
        if cuts and stop - cuts[-1][0] <= aim:
            cuts[-1] = (cuts[-1][0], stop)
        elif size > most:
            cuts += [(a, min(a + most, stop)) for a in range(start, stop, most)]
        elif size:
            cuts.append((start, stop))
        start = stop
    return cuts
