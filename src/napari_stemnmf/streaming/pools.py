"""What runs the blocks of a read: threads of this process, any executor of futures, or (`cluster`) a dask cluster.

All are used in the same way by the one engine. What is computed from a block does not depend on where it runs, and
answers are taken in the order of the blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Protocol, TypeAlias, runtime_checkable

from napari_stemnmf.control import Control
from napari_stemnmf.threads import default_workers

POLL_SECONDS = 0.05
"""How often one who waits for an answer checks whether to stop."""

AHEAD = 2
"""Tasks that are on their way beside one for each worker."""


class FutureExecutor(Protocol):
    """What is needed of ``concurrent.futures`` or of ``distributed.Client.get_executor()``."""

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future:
        """Start ``fn(*args)``."""
        ...


@runtime_checkable
class Pool(Protocol):
    """Where blocks are worked on."""

    @property
    def side_by_side(self) -> int:
        """How many blocks are worked on at once."""
        ...

    @property
    def here(self) -> bool:
        """Whether that is in this process, so that arguments need not be sent."""
        ...

    def shared(self, value: Any) -> Any:
        """What stands for a value in the arguments of many tasks, so that it is sent once."""
        ...

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        """Start ``fn(*args)``; what is returned is for `answer` and `drop`."""
        ...

    def answer(self, task: Any, control: Control) -> Any:
        """What came out of it, or an error that it raised; a Cancelled if the user asks to stop first."""
        ...

    def drop(self, task: Any) -> None:
        """Its answer is not wanted any more."""
        ...

    def close(self) -> None:
        """No more tasks will come."""
        ...


Executor: TypeAlias = FutureExecutor | Pool
"""What may be asked to run blocks in place of threads of this process."""


class Futures:
    """Blocks are run by an executor of futures, of which so many are worked on at once."""

    here = False

    def __init__(self, executor: FutureExecutor, workers: int | None = None) -> None:
        self._executor = executor
        self.side_by_side = default_workers() if workers is None else max(1, int(workers))

    def shared(self, value: Any) -> Any:
        return value

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Future:
        return self._executor.submit(fn, *args)

    def answer(self, task: Future, control: Control) -> Any:
        while not task.done():
            control.check()
            wait([task], timeout=POLL_SECONDS)
        control.check()
        return task.result()

    def drop(self, task: Future) -> None:
        task.cancel()

    def close(self) -> None:
        """The executor stays its owner's."""


class Threads(Futures):
    """Blocks are run by threads of this process; all cores if no number is given."""

    here = True

    def __init__(self, workers: int | None = None) -> None:
        workers = default_workers() if workers is None else max(1, int(workers))
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="stemnmf-pass")
        super().__init__(self._threads, workers)

    def close(self) -> None:
        """Wait for those that are still at work."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def in_turn(pool: Pool, tasks: Iterable[tuple[Any, ...]], control: Control) -> Generator[Any, None, None]:
    """The answers to tasks (function, arguments...), in their order, however many there are.

    No more are on their way, or not yet taken, than keep the pool busy: they are asked for as answers are taken.
    """
    flying: deque[Any] = deque()
    todo = iter(tasks)
    try:
        while True:
            most = pool.side_by_side * (1 if pool.here else 2) + AHEAD
            while len(flying) < most and (task := next(todo, None)) is not None:
                flying.append(pool.submit(*task))
            if not flying:
                return
            answer = pool.answer(flying[0], control)
            flying.popleft()
            yield answer
    finally:
        for task in flying:
            pool.drop(task)


def pool_of(executor: Executor | None, workers: int | None = None) -> Pool:
    """The pool that an executor is or stands for; threads of this process for None."""
    if executor is None:
        return Threads(workers)
    return executor if isinstance(executor, Pool) else Futures(executor, workers)
