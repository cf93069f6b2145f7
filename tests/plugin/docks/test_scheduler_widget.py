"""The dock of the dask scheduler tells who answers, or what is wrong, and never holds the viewer up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from napari_stemnmf.plugin.docks.scheduler.widget import HERE, SchedulerWidget
from napari_stemnmf.plugin.preferences import preferences

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")


@pytest.fixture
def cluster() -> Iterator[Any]:
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options, protocol="tcp://") as made:
        yield made


def asked(widget: SchedulerWidget, address: str, qtbot: Any) -> str:
    widget.address.value = address
    begun = time.monotonic()
    widget.test_button.native.click()
    assert time.monotonic() - begun < 1.0
    qtbot.waitUntil(lambda: widget.test_button.enabled, timeout=60_000)
    return str(widget.answer.value)


def test_who_answers_is_told(viewer: Any, cluster: Any, qtbot: Any) -> None:
    widget = SchedulerWidget(viewer)
    told = asked(widget, cluster.scheduler_address, qtbot)
    assert f"{cluster.scheduler_address} answers: 2 workers on 1 machine, 2 threads" in told
    assert f"distributed {distributed.__version__}" in told
    assert preferences().scheduler == cluster.scheduler_address


def test_what_is_wrong_is_one_sentence(viewer: Any, qtbot: Any) -> None:
    widget = SchedulerWidget(viewer)
    assert "There is no dask scheduler at tcp://127.0.0.1:1" in asked(widget, "tcp://127.0.0.1:1", qtbot)
    assert "There is no dask scheduler at nonsense" in asked(widget, "nonsense", qtbot)
    assert asked(widget, "", qtbot) == HERE
    assert preferences().scheduler == ""


def test_the_address_is_that_of_the_preferences(viewer: Any) -> None:
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-stemnmf").computing.scheduler = "tcp://host:8786"
    assert SchedulerWidget(viewer).address.value == "tcp://host:8786"


def test_without_an_address_it_says_who_computes(viewer: Any) -> None:
    widget = SchedulerWidget(viewer)
    assert widget.answer.value == HERE
