"""An analysis from anywhere: damage is told as such, and no number of it reaches compiled code unchecked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.analysis_checks import problems
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.analysis_file import is_analysis, is_sound


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An analysis of all four representations."""
    path = tmp_path_factory.mktemp("saved") / "a.stemnmf.h5"
    sample = stem.sample(scan_shape=(16, 16), detector_shape=(64, 64), seed=1)
    quick = {"features": ("vdf", "aa", "rv", "bd"), "*.clustering.seeds": 2, "*.clustering.components": 6}
    stem.analyse(sample.dataset, stem.Recipe().replaced(quick), path=path)
    return path


def test_saved_analysis_passes_all_rules(saved: Path) -> None:
    assert list(problems(stem.Analysis.load(saved))) == []


def set_value(name: str, index: object, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        values = file[name][()]
        values[index] = value
        attrs = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attrs)

    return change


def set_attribute(group: str, name: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[group].attrs[name]
        file[group].attrs[name] = value

    return change


def replace_by(name: str, values: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return change


def without(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(name)


CHANGES = {
    "column beyond": set_value("features/bd/values/indices", 0, 2**30),
    "column below zero": set_value("features/bd/values/indices", 3, -(10**8)),
    "row pointer beyond": set_value("features/bd/values/indptr", 4, 2**30),
    "row pointer back": set_value("features/bd/values/indptr", 4, -5),
    "rows of vdf": set_value("features/vdf/values/indices", -1, 10**6),
    "more rows": set_attribute("features/bd/values", "shape", np.array([10**9, 1849])),
    "wide": set_attribute("features/bd/values", "shape", np.array([256, 3])),
    "map of a group": set_value("models/vdf/amplitude/indices", 0, 2**28),
    "group of a track": set_value("models/vdf/group", 0, 10**6),
    "group below": set_value("models/vdf/group", 0, -7),
    "disks": set_value("peaks/offsets", 3, -(2**40)),
    "disks beyond": set_value("peaks/offsets", 3, 2**40),
    "first disk": set_value("peaks/offsets", 0, 1),
    "place of a disk": set_value("peaks/q_y", 0, 1e9),
    "place that is no number": set_value("peaks/q_x", 0, np.nan),
    "scan of disks": set_attribute("peaks", "scan_shape", np.array([2**30, 2**30])),
    "detector of disks": set_attribute("peaks", "detector_shape", np.array([0, 64])),
    "centre": set_value("calibration/origin", (0, 0, 0), np.inf),
    "ellipse": set_attribute("calibration/geometry", "ellipse_ratio", np.nan),
    "radius": set_attribute("probe", "radius", 1e12),
    "radius in words": set_attribute("probe", "radius", "large"),
    "template": replace_by("probe/kernel", np.zeros((4, 4), "f4")),
    "no template": without("probe/kernel"),
    "texts for numbers": replace_by("survey/mean", np.array([b"a", b"b"])),
    "another shape": replace_by("survey/mean", np.zeros((3, 3, 3), "f4")),
    "hot pixel": replace_by("survey/hot_pixels", np.array([[10**6, 3]], "i4")),
    "no geometry": without("calibration/geometry"),
    "array for a group": replace_by("calibration", np.zeros(3)),
    "group for an array": lambda file: (file.__delitem__("survey/mean"), file.create_group("survey/mean")),
    "component of a grain": set_value("grains/aa/component", 0, -99),
    "ids": set_value("grains/aa/ids", 0, -3),
    "columns": set_value("models/aa/kept", 0, False),
    "components": replace_by("models/aa/H", np.zeros((2, 2), "f4")),
    "table": without("tables/aa/grain_id"),
    "grains of a table": lambda file: file["tables/aa/grain_id"].write_direct(
        file["tables/aa/grain_id"][()] + np.int64(1000)
    ),
    "groups without features": without("features/vdf"),
    "pooling": set_attribute("features/vdf/details", "pooling", 1e30),
    "pooling that is no number": set_attribute("features/vdf/details", "pooling", np.nan),
    "radius of its probe": set_attribute("features/vdf/details", "probe_radius", "wide"),
    "rings": set_attribute("features/aa/details", "rings", 3.0),
    "step of angles": set_attribute("features/aa/details", "angle_step", 0.0),
    "bins": set_attribute("features/bd/details", "bin", -1.0),
    "grid of bins": set_attribute("features/bd/details", "grid", np.array([3, 2])),
    "column of angles": without("features/aa/columns/ring"),
    "representation": lambda file: file.move("features/aa", "features/xx"),
    "shape of the scan": set_attribute("input", "shape", np.array([16, 16])),
    "format": set_attribute("/", "format_version", "two"),
    "recipe": set_attribute("/", "recipe", "features = 3"),
    "link in a circle": lambda file: file.__setitem__("survey/round", file["/"]),
    "declared, not written": lambda file: (
        file.__delitem__("survey/mean"),
        file.create_dataset("survey/mean", (2**20, 2**20), "f4", chunks=(64, 64)),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_does_not_fit_is_told_when_it_is_loaded(saved: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.stemnmf.h5"
    shutil.copyfile(saved, path)
    with h5py.File(path, "r+") as file:
        CHANGES[change](file)
    assert is_sound(path)  # what another program wrote is not sealed: the rules must find it
    with pytest.raises(AnalysisError) as caught:
        stem.Analysis.load(path)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_every_changed_byte_of_a_saved_analysis_is_told(saved: Path, tmp_path: Path) -> None:
    whole, generator = saved.read_bytes(), np.random.default_rng(5)
    path = tmp_path / "a.stemnmf.h5"
    for at in generator.integers(0, len(whole) - 48, 40):
        data = bytearray(whole)
        data[at] ^= 1 << int(generator.integers(8))
        path.write_bytes(data)
        with pytest.raises(AnalysisError, match="not as it was saved"):
            stem.Analysis.load(path)


@pytest.mark.parametrize("rest", [1, 20, 48, 49, 5000])
def test_analysis_that_lost_its_end_is_told_or_whole(saved: Path, tmp_path: Path, rest: int) -> None:
    path = tmp_path / "a.stemnmf.h5"
    path.write_bytes(saved.read_bytes()[:-rest])
    if rest <= 48:  # only the seal
        assert stem.Analysis.load(path).grains.keys() == stem.Analysis.load(saved).grains.keys()
    else:
        with pytest.raises(AnalysisError):
            stem.Analysis.load(path)


def test_analysis_written_to_by_another_program_opens_without_its_seal(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.stemnmf.h5"
    shutil.copyfile(saved, path)
    with h5py.File(path, "r+") as file:
        file.attrs["remark"] = "mine"
    assert is_analysis(path)
    assert set(stem.Analysis.load(path).features) == {"vdf", "aa", "rv", "bd"}


def test_fields_that_say_they_are_an_analysis_in_arrays_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.stemnmf.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = np.array([b"napari-stemnmf analysis", b"x"])
    assert not is_analysis(path)
    with pytest.raises(AnalysisError):
        stem.Analysis.load(path)
