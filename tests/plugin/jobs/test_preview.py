"""The thread of a preview: always the latest request, never the window's thread, and no stale result."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.plugin.jobs.preview import Preview


@pytest.mark.parametrize(("every", "shown"), [(False, [4]), (True, [1, 4])])
def test_requests_that_a_newer_one_overtook_are_skipped(qtbot: Any, every: bool, shown: list[int]) -> None:
    go, begun = threading.Event(), threading.Event()
    asked: list[int] = []
    results: list[int] = []

    def work(request: int) -> int:
        asked.append(request)
        begun.set()
        go.wait(5)
        return request

    preview = Preview(work, every=every)
    preview.ready.connect(results.append)
    preview.ask(1)
    begun.wait(5)
    for request in (2, 3, 4):
        preview.ask(request)
    go.set()
    qtbot.waitUntil(lambda: results == shown, timeout=5_000)
    assert asked == [1, 4]
    assert not preview.busy


def test_results_arrive_in_the_thread_of_the_window(qtbot: Any) -> None:
    threads: list[Any] = []
    preview = Preview(lambda request: threading.current_thread())
    preview.ready.connect(lambda worker: threads.extend([worker, threading.current_thread()]))
    preview.ask(1)
    qtbot.waitUntil(lambda: len(threads) == 2, timeout=5_000)
    assert threads[0] is not threads[1]
    assert threads[1] is threading.main_thread()


def test_a_failure_is_told_and_does_not_end_the_previews(qtbot: Any) -> None:
    def work(request: int) -> float:
        if request < 0:
            raise DataError("There is no ring.")
        return 1 / request

    results: list[float] = []
    errors: list[str] = []
    preview = Preview(work)
    preview.ready.connect(results.append)
    preview.failed.connect(errors.append)
    for request, count in ((-1, 1), (0, 2)):
        preview.ask(request)
        qtbot.waitUntil(lambda count=count: len(errors) == count, timeout=5_000)
    assert errors[0] == "There is no ring."
    assert "ZeroDivisionError" in errors[1]
    preview.ask(1)
    qtbot.waitUntil(lambda: results == [1.0], timeout=5_000)


@pytest.mark.parametrize("how", ["drop", "close"])
def test_nothing_arrives_of_what_was_dropped(qtbot: Any, how: str) -> None:
    go = threading.Event()
    results: list[bool] = []
    preview = Preview(lambda request: go.wait(5))
    preview.ready.connect(results.append)
    preview.ask(1)
    getattr(preview, how)()
    go.set()
    qtbot.waitUntil(lambda: not preview.busy, timeout=5_000)
    qtbot.wait(50)
    assert results == []
    preview.ask(2)
    if how == "drop":
        qtbot.waitUntil(lambda: results == [True], timeout=5_000)
    else:
        qtbot.wait(50)
        assert results == []
