"""Threads: how many, in what order their results come, and BLAS at one thread inside each of them."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from napari_stemnmf.errors import RecipeError
from napari_stemnmf.settings import MOST_THREADS as MOST
from napari_stemnmf.texts import brief

A = TypeVar("A")
B = TypeVar("B")


def checked(workers: int | None) -> int | None:
    """A number of threads that was asked for; a RecipeError if it is none from 1 to `MOST`."""
    if workers is None or (hasattr(workers, "__index__") and workers is not True and 1 <= workers <= MOST):
        return workers
    raise RecipeError(f"workers={brief(workers)} is no number of threads from 1 to {MOST}.")


def default_workers() -> int:
    """Number of threads to use: the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return max(1, os.cpu_count() or 1)


def in_order(
    work: Callable[[A], B], items: Iterable[A], workers: int, ahead: int | None = None
) -> Generator[B, None, None]:
    """``map(work, items)`` by threads; at most `ahead` items (default: `workers`) are in work or not yet taken."""
    pending: deque[Future[B]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) >= (ahead or workers):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS at one thread while any thread of the process is inside, since the workers already run in parallel.

    Sums then do not depend on the number of threads. The first to enter sets the limit, the last to leave lifts it.
    """
    _blas_limit.enter()
    try:
        yield
    finally:
        _blas_limit.leave()


class _BlasLimit:
    """Counts those who want BLAS at one thread, and sets the limit while there are any.

    A thread of its own sets the limit and lifts it again, because threadpoolctl obeys only the thread that has set it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._thread = threading.Thread()
        self._end = threading.Event()

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                limited, self._end = threading.Event(), threading.Event()
                arguments = (limited, self._end)
                self._thread = threading.Thread(target=_limit_blas, args=arguments, name="stemnmf-blas", daemon=True)
                self._thread.start()
                limited.wait()
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._end.set()
                self._thread.join()


def _limit_blas(limited: threading.Event, end: threading.Event) -> None:
    """Hold BLAS at one thread from when `limited` is set until `end` is set."""
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(limits=1, user_api="blas"):
            limited.set()
            end.wait()
    finally:
        limited.set()


_blas_limit = _BlasLimit()  # one object, because BLAS itself has one number of threads for the whole process
