"""How many threads work, in what order, and that they do not multiply: parallel over blocks, never inside them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def default_workers() -> int:
    """Number of threads to use: the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def in_order(
    work: Callable[[A], B], items: Iterable[A], workers: int, ahead: int | None = None
) -> Generator[B, None, None]:
    """``map(work, items)`` by threads: `ahead` items (or `workers`) are worked at, or done and not yet taken."""
    flying: deque[Future[B]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                flying.append(pool.submit(work, item))
                if len(flying) >= (ahead or workers):
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS at one thread for as long as anyone, in any thread, is inside: the workers are the parallelism.

    The first to enter sets the limit, the last to leave lifts it. Sums then do not depend on the number of threads.
    """
    with _Limit.lock:
        if _Limit.users == 0:
            _Limit.holder = _Holder()
        _Limit.users += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.users -= 1
            if _Limit.users == 0 and _Limit.holder is not None:
                _Limit.holder.lift()
                _Limit.holder = None


class _Holder:
    """A thread that sets the limit and lifts it again: threadpoolctl heeds only the thread that has set it."""

    def __init__(self) -> None:
        self._set, self._lift = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, name="stemnmf-blas-limit", daemon=True)
        self._thread.start()
        self._set.wait()

    def _hold(self) -> None:
        from threadpoolctl import threadpool_limits

        try:
            with threadpool_limits(limits=1, user_api="blas"):
                self._set.set()
                self._lift.wait()
        finally:
            self._set.set()

    def lift(self) -> None:
        """Give BLAS its threads back."""
        self._lift.set()
        self._thread.join()


class _Limit:
    """How many want BLAS at one thread; one count for the whole process, as the limit is."""

    lock = threading.Lock()
    users = 0
    holder: _Holder | None = None
