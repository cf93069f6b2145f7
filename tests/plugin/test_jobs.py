"""Steps that run while layers, scans and windows come and go: nothing crashes, mixes, hangs or leaks a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QThreadPool

import napari_stemnmf as stem
from napari_stemnmf.control import Control
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.plugin.jobs import tasks as jobs
from napari_stemnmf.plugin.layers.display import find
from napari_stemnmf.plugin.layers.result_layers import scan_layers
from napari_stemnmf.plugin.session import SESSION_KEY, Session, session_of

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")
MANY = {"*.clustering.seeds": 1000, "*.clustering.components": 12}
"""Settings with which clustering takes minutes."""


def add(viewer: Any, dataset: stem.Dataset) -> Session:
    """Put a dataset into the viewer as the reader does."""
    session = Session(dataset)
    for data, meta, kind in scan_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    return session


@pytest.fixture
def no_thread_left(qtbot: Any) -> Callable[[], None]:
    """Call it at the end: all threads that were started since must end, soon."""
    before = set(threading.enumerate())

    def left() -> list[str]:
        now = [t for t in threading.enumerate() if t not in before and not isinstance(t, threading._DummyThread)]
        return [t.name for t in now]

    def check() -> None:
        begun = time.monotonic()
        while (left() or QThreadPool.globalInstance().activeThreadCount()) and time.monotonic() - begun < 20.0:
            qtbot.wait(20)
        assert left() == []
        assert QThreadPool.globalInstance().activeThreadCount() == 0

    return check


def runs(session: Session) -> bool:
    """Whether a step has begun to tell of its progress."""
    return session.running is not None and session.running.progress is not None


def test_two_scans_at_once_keep_apart_while_their_layers_are_removed(
    viewer: Any, step: Any, qtbot: Any, slow_scan: stem.Dataset, no_thread_left: Any
) -> None:
    other = replace(
        slow_scan, data=slow_scan.data[:100], axes=(replace(slow_scan.axes[0], size=100), *slow_scan.axes[1:])
    )
    first, second = add(viewer, slow_scan), add(viewer, other)
    featurize = step("Featurize")
    for session in (first, second):
        featurize.scan.value = session
        featurize.run.native.click()
    qtbot.waitUntil(lambda: runs(first) and runs(second), timeout=20_000)
    assert QThreadPool.globalInstance().activeThreadCount() == 2
    assert "left)" in first.running.line() or "(0:" in first.running.line()

    (image,) = (layer for layer in viewer.layers if session_of(layer) is first)
    mark = viewer.add_points([[1.0, 1.0]], metadata={SESSION_KEY: first})
    viewer.layers.remove(image)
    qtbot.wait(50)
    assert first.running is not None  # it still has a layer
    viewer.layers.remove(mark)
    qtbot.waitUntil(lambda: first.running is None, timeout=20_000)
    assert first.analysis is None
    assert second.running is not None

    begun = time.monotonic()
    second.running.cancel()
    qtbot.waitUntil(lambda: second.running is None, timeout=20_000)
    assert time.monotonic() - begun < 3.0
    assert second.analysis.survey is None
    assert {session_of(layer) for layer in viewer.layers} == {second}
    viewer.layers.clear()  # its first image may still be being sharpened
    no_thread_left()


def test_every_layer_may_go_while_seeds_run_and_edits_made_meanwhile_stay(
    viewer: Any, analysis: stem.Analysis, tmp_path: Path, step: Any, qtbot: Any, no_thread_left: Any
) -> None:
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    cluster = step("Cluster")
    session = cluster.session
    session.set_recipe(session.recipe.replaced(MANY))
    cluster.run.native.click()
    qtbot.waitUntil(
        lambda: runs(session) and any(told.status == "done" for told in session.running.news), timeout=60_000
    )
    qtbot.waitUntil(lambda: cluster.tabs.currentWidget() is cluster.seeds, timeout=20_000)
    qtbot.waitUntil(lambda: "of 1000 seeds done" in cluster.seeds.summary.text(), timeout=20_000)
    assert len(cluster.seeds.by_k.listDataItems()) >= 2

    session.edit("rv", Edit("delete", (int(analysis.grains["rv"].ids[0]),)))  # while AA is clustered
    mask = np.ones(analysis.input.shape[2:], bool)
    mask[0] = False
    session.set_mask(mask)
    session.running.cancel()
    qtbot.waitUntil(lambda: session.running is None, timeout=20_000)
    assert session.state("cluster", "aa") == "stale"  # the mask came after
    assert len(session.analysis.models["aa"].seeds) == 1000
    assert session.review("rv") is not None
    assert np.array_equal(session.analysis.mask, mask)
    assert len(session.result("refine", "rv")) == len(analysis.grains["rv"]) - 1

    session.set_mask(None)
    session.set_recipe(session.recipe.replaced({"aa.clustering.seeds": 999}))
    before = session.analysis
    cluster.run.native.click()
    qtbot.waitUntil(lambda: runs(session) and len(session.running.news) > 5, timeout=20_000)
    while len(viewer.layers):
        viewer.layers.remove(viewer.layers[0])
        qtbot.wait(10)
    qtbot.waitUntil(lambda: session.running is None, timeout=20_000)
    assert session.analysis is before
    assert cluster.session is None
    no_thread_left()


@pytest.mark.parametrize("how", ["viewer", "window"])
def test_closing_in_mid_run_neither_hangs_nor_leaves_a_thread(
    viewer: Any, step: Any, qtbot: Any, slow_scan: stem.Dataset, no_thread_left: Any, how: str
) -> None:
    session = add(viewer, slow_scan)
    cluster, refine, featurize = step("Cluster"), step("Refine"), step("Featurize")
    featurize.run.native.click()
    qtbot.waitUntil(lambda: runs(session), timeout=20_000)
    begun = time.monotonic()
    (viewer if how == "viewer" else viewer.window).close()
    assert time.monotonic() - begun < 5.0
    no_thread_left()
    assert session.analysis is None
    assert {cluster.step, refine.step} == {"cluster", "refine"}


def test_a_task_tells_how_long_it_has_run_and_how_long_it_will(
    viewer: Any, scan_file: Path, qtbot: Any, no_thread_left: Any
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    session = session_of(viewer.layers[0])
    go, told = threading.Event(), threading.Event()

    def work(control: Control) -> int:
        control.for_stage("First").report(9, 10, detail="one")
        control.for_stage("Second").report(1, 4, "a message", detail="two")
        told.set()
        go.wait(10)
        return 7

    taken: list[Any] = []
    task = jobs.Task(viewer, session, "Work", work, lambda *args: taken.append(args[2]))
    task.start()
    told.wait(5)
    assert task.line() == "Second: a message (0:00)"
    assert task.remaining is None
    task._stage_begun -= 10
    assert task.remaining == pytest.approx(30, rel=0.1)
    assert task.line().endswith(", ~0:30 left)")
    assert task.news == ["one", "two"]
    go.set()
    qtbot.waitUntil(lambda: session.running is None, timeout=20_000)
    assert taken == [7]
    assert find(viewer, session, "patterns") is not None
    assert [jobs.clock(s) for s in (7, 750, 3723)] == ["0:07", "12:30", "1:02:03"]
    no_thread_left()
