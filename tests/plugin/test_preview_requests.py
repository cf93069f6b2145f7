"""The preview's thread: always the newest request, never the window's."""

from __future__ import annotations

import threading
from typing import Any

from napari_stemnmf.plugin.jobs.preview import Latest


def test_wishes_that_a_newer_one_overtook_are_skipped(qtbot: Any) -> None:
    go, begun = threading.Event(), threading.Event()
    asked: list[int] = []
    results: list[int] = []

    def work(request: int) -> int:
        asked.append(request)
        begun.set()
        go.wait(5)
        return request

    latest = Latest(work)
    latest.done.connect(results.append)
    latest.ask(1)
    begun.wait(5)
    for request in (2, 3, 4):
        latest.ask(request)
    go.set()
    qtbot.waitUntil(lambda: results == [1, 4], timeout=5_000)
    assert asked == [1, 4]
    assert not latest.busy


def test_results_arrive_in_the_window_s_thread(qtbot: Any) -> None:
    threads: list[Any] = []
    latest = Latest(lambda request: threading.current_thread())
    latest.done.connect(lambda worker: threads.extend([worker, threading.current_thread()]))
    latest.ask(1)
    qtbot.waitUntil(lambda: len(threads) == 2, timeout=5_000)
    assert threads[0] is not threads[1]
    assert threads[1] is threading.main_thread()


def test_a_failure_does_not_end_the_previews(qtbot: Any) -> None:
    results: list[int] = []
    latest = Latest(lambda request: 1 // request)
    latest.done.connect(results.append)
    latest.ask(0)
    qtbot.waitUntil(lambda: not latest.busy, timeout=5_000)
    latest.ask(1)
    qtbot.waitUntil(lambda: results == [1], timeout=5_000)


def test_nothing_arrives_after_it_was_closed(qtbot: Any) -> None:
    go = threading.Event()
    results: list[bool] = []
    latest = Latest(lambda request: go.wait(5))
    latest.done.connect(results.append)
    latest.ask(1)
    latest.close()
    go.set()
    qtbot.waitUntil(lambda: not latest.busy, timeout=5_000)
    latest.ask(2)
    qtbot.wait(50)
    assert results == []
