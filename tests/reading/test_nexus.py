"""The conventions of NeXus, old and new."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError

DATA = np.random.default_rng(0).poisson(5, (3, 4, 8, 8)).astype("u2")
VECTORS = {"y": (3, 0.5, "nm"), "x": (4, 0.25, "nm"), "ky": (8, 2.0, "1/nm"), "kx": (8, 3.0, "1/nm")}
STEPS = [(0.5, "nm"), (0.25, "nm"), (2.0, "1/nm"), (3.0, "1/nm")]


def group_of(file: h5py.File, path: str = "entry/data", **attributes: Any) -> h5py.Group:
    group = file.require_group(path)
    file[path.split("/")[0]].attrs["NX_class"] = "NXentry"
    group.attrs.update({"NX_class": "NXdata", **attributes})
    return group


def add_vectors(group: h5py.Group) -> None:
    for name, (size, step, unit) in VECTORS.items():
        group[name] = np.arange(size) * step
        group[name].attrs["units"] = unit


def steps(path: Path) -> list[tuple[float, str]]:
    dataset = stem.open(path)
    np.testing.assert_array_equal(dataset.data.compute(), DATA)
    return [(axis.scale, axis.unit) for axis in dataset.axes]


@pytest.mark.parametrize("axes", [["y", "x", ".", "."], ["y", "x", "", ""], ["y", "x"], ["y", "x", "gone", "gone"]])
def test_an_axis_without_a_vector_is_in_pixels(tmp_path: Path, axes: list[str]):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file, signal="data", axes=axes)
        group["data"] = DATA
        add_vectors(group)
    assert steps(tmp_path / "a.nxs") == [*STEPS[:2], (1.0, "px"), (1.0, "px")]


@pytest.mark.parametrize("axes", ["y:x:ky:kx", "[y,x,ky,kx]", "y,x,ky,kx"])
@pytest.mark.parametrize("signal", [1, "1"])
def test_the_older_attributes_of_the_dataset(tmp_path: Path, axes: str, signal: Any):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file)
        group["counts"] = DATA
        group["counts"].attrs.update(signal=signal, axes=axes)
        group["background"] = DATA + 1
        add_vectors(group)
    assert steps(tmp_path / "a.nxs") == STEPS


def test_indices_say_which_axis_a_vector_is_of(tmp_path: Path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file, signal="data", y_indices=0, x_indices=[1], ky_indices=2, kx_indices=3)
        group["data"] = DATA
        add_vectors(group)
    assert steps(tmp_path / "a.nxs") == STEPS


def test_vectors_that_tell_their_axis(tmp_path: Path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file)
        group["data"] = DATA
        add_vectors(group)
        for i, name in enumerate(VECTORS):
            group[name].attrs["axis"] = i + 1
    assert steps(tmp_path / "a.nxs") == STEPS


def test_vectors_of_edges_give_the_middles(tmp_path: Path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file, signal="data", axes=["y", ".", ".", "."])
        group["data"] = DATA
        group["y"] = np.arange(4) * 0.5
        group["y"].attrs["units"] = "nm"
    axis = stem.open(tmp_path / "a.nxs").axes[0]
    assert (axis.scale, axis.unit, axis.offset) == (0.5, "nm", 0.25)


@pytest.mark.parametrize("soft", [True, False])
def test_signal_and_axes_may_be_links_to_the_detector_s_group(tmp_path: Path, soft: bool):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        detector = file.create_group("entry/instrument/a_detector")  # before "data", and the first to be found
        detector["data"] = DATA
        add_vectors(detector)
        group = group_of(file, "entry/z_data", signal="data", axes=list(VECTORS))
        for name in ("data", *VECTORS):
            path = f"/entry/instrument/a_detector/{name}"
            group[name] = h5py.SoftLink(path) if soft else file[path]
    assert steps(tmp_path / "a.nxs") == STEPS


def test_a_signal_in_another_file_has_the_axes_of_the_master(tmp_path: Path):
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["d"] = DATA
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file, signal="data", axes=list(VECTORS))
        group["data"] = h5py.ExternalLink("raw.h5", "/d")
        add_vectors(group)
    assert steps(tmp_path / "a.nxs") == STEPS


@pytest.mark.parametrize("default", [{"": "entry", "entry": "second"}, {"entry": "second", "": "/entry"}])
def test_the_chain_of_defaults_leads_to_the_scan(tmp_path: Path, default: dict[str, str]):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        for i, name in enumerate(("first", "second")):
            group_of(file, f"entry/{name}", signal="data")["data"] = DATA + 1 - i
        for path, name in default.items():
            file[path or "/"].attrs["default"] = name
    assert stem.open(tmp_path / "a.nxs").metadata["dataset"] == "/entry/second/data"
    steps(tmp_path / "a.nxs")


def test_two_signals_without_a_default_are_not_guessed_between(tmp_path: Path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        for name in ("first", "second"):
            group_of(file, f"entry/{name}", signal="data")["data"] = DATA
    with pytest.raises(ReadError, match="several scans"):
        stem.open(tmp_path / "a.nxs")


def test_an_image_as_signal_and_the_scan_beside_it(tmp_path: Path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file, signal="sum", auxiliary_signals=["frames"], axes=["y", "x"])
        group["sum"], group["frames"] = DATA.sum((2, 3)), DATA
        add_vectors(group)
    np.testing.assert_array_equal(stem.open(tmp_path / "a.nxs").data.compute(), DATA)


def test_groups_that_hold_each_other_end(tmp_path: Path):
    with h5py.File(tmp_path / "a.nxs", "w") as file:
        group = group_of(file, signal="data")
        group["data"] = DATA
        group["up"] = file["entry"]
        file.attrs["default"] = "entry"
        file["entry"].attrs["default"] = "data/up"
    steps(tmp_path / "a.nxs")
