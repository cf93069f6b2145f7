"""What the manifest promises."""

from __future__ import annotations

from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_stemnmf


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(Path(napari_stemnmf.__file__).parent / "napari.yaml")


def test_every_command_can_be_imported(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_every_command_is_named_after_the_plugin(manifest: PluginManifest) -> None:
    assert all(c.id.startswith("napari-stemnmf.") for c in manifest.contributions.commands)


def test_every_step_has_its_widget(manifest: PluginManifest) -> None:
    names = [widget.display_name for widget in manifest.contributions.widgets]
    steps = ["Explore", "Calibrate", "Featurize", "Cluster", "Refine", "Measure", "Review"]
    assert names == [
        "STEM-NMF",
        *steps,
        "Run recipe",
        "Score",
        "Compare",
        "Figures",
        "Export",
        "Import grains",
        "Batch",
        "Open scan",
        "Dask scheduler",
    ]


def test_every_entry_of_a_menu_opens_something(manifest: PluginManifest) -> None:
    commands = {widget.command for widget in manifest.contributions.widgets}
    items = [item for items in manifest.contributions.menus.values() for item in items]
    assert {item.command for item in items if hasattr(item, "command")} <= commands
    submenus = {each.id for each in manifest.contributions.submenus}
    assert {item.submenu for item in items if hasattr(item, "submenu")} == submenus <= set(manifest.contributions.menus)


def test_the_icon_is_there(manifest: PluginManifest) -> None:
    package, _, name = manifest.icon.partition(":")
    assert (files(package) / name).read_text(encoding="utf-8").startswith("<svg")


def test_preferences_are_read(manifest: PluginManifest) -> None:
    from napari_stemnmf.plugin.preferences import GROUPS, Preferences

    declared = {
        name: (group, setting.default)
        for group, settings in manifest.contributions.configurations.items()
        for name, setting in settings.properties.items()
    }
    assert declared == {name: (group, getattr(Preferences(), name)) for name, group in GROUPS.items()}


ENDINGS = "h5 hdf5 hspy emd nxs npy npz zarr zspy mib blo dm3 dm4 xml tvips mrc tif ser emi de5 stemnmf.h5"


@pytest.mark.parametrize("ending", ENDINGS.split(" "))
def test_the_reader_claims_every_format(manifest: PluginManifest, ending: str) -> None:
    (reader,) = manifest.contributions.readers
    assert reader.accepts_directories
    assert any(fnmatch(f"scan.{ending}", pattern) for pattern in reader.filename_patterns)
