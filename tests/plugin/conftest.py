"""A real napari viewer with the plugin registered, and small scans to open in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.study.distorted import Distorted, distorted

MANIFEST = Path(stem.__file__).parent / "napari.yaml"
QUICK = {
    "features": ("aa", "rv", "bd"),
    "*.clustering.seeds": 2,
    "*.clustering.components": 12,
    "*.refinement.min_size": 6,
}
"""Settings with which NMF clusters a small scan in a second."""


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated scan of 20 x 24 patterns, as an HDF5 file."""
    path = tmp_path_factory.mktemp("scans") / "film.h5"
    stem.sample((20, 24), (64, 64), seed=2).save(path)
    return path


@pytest.fixture(scope="session")
def other_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another scan, of another shape."""
    path = tmp_path_factory.mktemp("scans") / "wire.h5"
    stem.sample((16, 18), (64, 64), seed=5).save(path)
    return path


@pytest.fixture(scope="session")
def analysis(scan_file: Path) -> stem.Analysis:
    """Both representations of the first scan, analysed without napari."""
    return stem.analyse(stem.open(scan_file), stem.Recipe.preset("nmf").replaced(QUICK))


@pytest.fixture(scope="session")
def tracked(scan_file: Path) -> stem.Analysis:
    """The first scan, analysed as by default: grains from tracked spots."""
    return stem.analyse(stem.open(scan_file), stem.Recipe.preset("default"))


@pytest.fixture(scope="session")
def distorted_scan() -> Distorted:
    """Patterns with descan, an ellipse and hot pixels, and the truth about them."""
    return distorted((8, 8), 126, seed=1)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], qtbot: Any, plugin_settings: None) -> Iterator[Any]:
    """A viewer that saves nothing by itself; when the test is over, no job may be left running."""
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    if "napari-stemnmf" not in manager:
        manager.register(PluginManifest.from_file(MANIFEST))
    if "napari" not in manager:  # the features table is a widget of napari's own plugin
        manager.register(PluginManifest.from_distribution("napari"))
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-stemnmf").saving.autosave = False
    shown = make_napari_viewer()
    yield shown
    from qtpy.QtCore import QThreadPool

    from napari_stemnmf.plugin.session import sessions_of

    for session in sessions_of(shown.layers):
        if session.running is not None:
            session.running.abandon()
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=20_000)


@pytest.fixture
def autosave(viewer: Any) -> None:
    """Analyses are saved by themselves, as they are for a user who has set nothing."""
    from napari.settings import get_plugin_settings

    get_plugin_settings("napari-stemnmf").saving.autosave = True


@pytest.fixture
def notifications() -> Iterator[list[str]]:
    """Messages of napari notifications from the start of the test, errors and warnings alike."""
    from napari.utils.notifications import notification_manager

    messages: list[str] = []

    def keep(notification: Any) -> None:
        messages.append(str(notification.message))

    notification_manager.notification_ready.connect(keep)
    yield messages
    notification_manager.notification_ready.disconnect(keep)


@pytest.fixture
def step(viewer: Any, qtbot: Any) -> Callable[..., Any]:
    """Opens the dock of a step from the plugin's menu entry, with quick settings for the chosen scan."""

    def open_step(name: str) -> Any:
        _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", name)
        if widget.session is not None:
            widget.session.set_recipe(widget.session.recipe.replaced(QUICK))
        return widget

    return open_step


@pytest.fixture
def click(qtbot: Any) -> Callable[..., None]:
    """Clicks a step's Run button and waits for its end."""

    def run(widget: Any, wait: bool = True) -> None:
        assert widget.run.enabled, widget.status.value
        session = widget.session
        widget.run.native.click()
        if wait:
            qtbot.waitUntil(lambda: session.running is None, timeout=60_000)

    return run


@pytest.fixture
def layer(viewer: Any) -> Callable[[str], Any]:
    """Finds the only layer whose name ends so."""

    def find(ending: str) -> Any:
        (found,) = [each for each in viewer.layers if each.name.endswith(ending)]
        return found

    return find


@pytest.fixture
def slow_scan() -> stem.Dataset:
    """A scan whose every block takes a while to read, in many blocks."""
    import time

    import dask.array as da

    def block(block_info: Any = None) -> np.ndarray:
        time.sleep(0.05)
        return np.full((1, 8, 512, 512), 3, np.uint16)

    chunks = ((1,) * 200, (8,), (512,), (512,))
    data = da.map_blocks(block, chunks=chunks, dtype=np.uint16, meta=np.empty((0,) * 4, np.uint16))
    return stem.Dataset.from_array(data, scan_step=1.0, q_step=0.1, name="slow")
