"""Threads do not multiply."""

from __future__ import annotations

import threading

import numpy as np
from threadpoolctl import threadpool_info

from napari_stemnmf.threads import default_workers, one_blas_thread


def blas_threads():
    np.ones((8, 8)) @ np.ones((8, 8))
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_default_workers_is_at_least_one():
    assert default_workers() >= 1


def test_blas_stays_at_one_thread_until_the_last_has_left():
    before = blas_threads()
    inside, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with one_blas_thread():
        thread.start()
        inside.wait(10)
    assert set(blas_threads()) == {1}
    leave.set()
    thread.join()
    assert blas_threads() == before
