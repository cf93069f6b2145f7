"""Preferences are napari's, and each does something."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.plugin.preferences import Preferences, preferences


def test_without_napari_s_settings_the_defaults_hold(plugin_settings: None) -> None:
    assert preferences() == Preferences()


def test_memory_bounds_the_threads_that_read() -> None:
    data = da.zeros((8, 8, 1024, 1024), chunks=(1, 8, 1024, 1024), dtype=np.uint16)  # blocks of 16 MiB
    dataset = stem.Dataset.from_array(data)
    assert Preferences(threads=8, memory_gb=0.2).workers(dataset) == 8
    assert Preferences(threads=8, memory_gb=0.1).workers(dataset) == 3
    assert Preferences(threads=8, memory_gb=0.001).workers(dataset) == 1
    assert Preferences(threads=3).workers() == 3
    assert Preferences().workers() >= 1


def test_what_is_set_is_what_a_step_runs_with(
    viewer: Any, scan_file: Any, step: Any, click: Any, qtbot: Any, notifications: list[str]
) -> None:
    from napari.settings import get_plugin_settings

    settings = get_plugin_settings("napari-stemnmf")
    settings.computing.threads = 1
    settings.computing.memory_gb = 0.5
    assert preferences() == Preferences(threads=1, memory_gb=0.5, autosave=False)
    settings.computing.scheduler = "nowhere://host"
    viewer.open(scan_file, plugin="napari-stemnmf")
    featurize = step("Featurize")
    pytest.importorskip("distributed")
    click(featurize)
    assert any("no dask scheduler at nowhere://host" in message for message in notifications)
    settings.computing.scheduler = ""
    click(featurize)
    assert featurize.session.analysis.features.keys() == {"aa", "rv", "bd"}
