"""The paper's scans as a user asks for them."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import cli
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.reading.masks import load_masks
from napari_stemnmf.study.films import ScanGrid, kinematic_film, silver_specimen

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "simulation.py"
SMALL = {"scan": (24, 30), "detector": 96}


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return stem.simulate("ag2", tmp_path_factory.mktemp("film") / "film.h5", **SMALL)


@pytest.fixture(scope="module")
def expected(tmp_path_factory) -> np.ndarray:
    path = stem.simulate("ag2", tmp_path_factory.mktemp("film") / "expected.h5", noise=False, **SMALL)
    with h5py.File(path) as file:
        assert "dose_e_per_pattern" not in file["data"].attrs
        return file["data"][()]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("simulation_benchmark", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def counts_of(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["data"][()]


def test_film_opens_calibrated_and_its_labels_are_a_truth(film):
    scan = stem.open(film)
    assert scan.shape == (24, 30, 96, 96)
    assert scan.dtype == np.uint16
    assert [(a.unit, a.assumed) for a in scan.axes] == [("nm", False)] * 2 + [("1/nm", False)] * 2
    assert scan.axes[0].scale == pytest.approx(0.5)
    assert scan.axes[3].scale == pytest.approx(25.2 / 96)
    masks = load_masks(f"{film}::labels")
    with h5py.File(film) as file:
        np.testing.assert_array_equal(masks, file["thickness"][()] > 10)
        assert len(file["orientations"]) == len(file["centers"]) == len(masks) > 2
        np.testing.assert_allclose(np.linalg.det(file["orientations"][()]), 1.0)


def test_expected_shares_do_not_exceed_the_beam(expected):
    assert expected.dtype == np.float32
    electrons = expected.sum(axis=(2, 3), dtype=np.float64)
    assert expected.min() >= 0
    assert electrons.max() <= 1 + 1e-5
    assert electrons.min() > 0.8  # little leaves the detector


def test_counts_are_what_is_expected_on_average(film, expected):
    counts = counts_of(film).astype(np.float64)
    share = counts.sum(axis=(0, 1)) / 2e5 / 720
    noise = np.sqrt(np.maximum(expected.sum(axis=(0, 1)), 1e-9) / 2e5) / 720**0.5 / 720**0.5
    assert np.abs((share - expected.mean(axis=(0, 1))) / noise)[expected.mean(axis=(0, 1)) > 1e-8].max() < 6


def test_direct_beam_lies_where_the_file_says(film, expected):
    with h5py.File(film) as file:
        center, radius = file["data"].attrs["center_px"], file["data"].attrs["probe_radius_px"]
    mean = expected.mean(axis=(0, 1))
    y, x = np.indices(mean.shape)
    disk = np.where(np.hypot(y - center[0], x - center[1]) < radius + 1.5, mean, 0)
    assert (disk * y).sum() / disk.sum() == pytest.approx(center[0], abs=0.05)
    assert (disk * x).sum() / disk.sum() == pytest.approx(center[1], abs=0.05)
    assert disk.sum() > 0.6 * mean.sum()


@pytest.mark.parametrize("detector", [126, 252])
def test_the_direct_beam_stays_where_binning_puts_it(detector):
    made = kinematic_film(silver_specimen("ag1"), ScanGrid((4, 4)), detector)
    assert made.center == pytest.approx(detector / 2 - (0.25 if detector == 126 else 0))


def test_coarser_detectors_see_the_same_electrons():
    fine, coarse = (kinematic_film(silver_specimen("ag1"), ScanGrid((4, 20)), n) for n in (252, 126))
    binned = fine.row(2).reshape(20, 126, 2, 126, 2).sum(axis=(2, 4))
    assert np.abs(binned - coarse.row(2)).sum() < 0.15 * binned.sum()  # disks have edges of one pixel each
    assert np.corrcoef(binned.ravel(), coarse.row(2).ravel())[0, 1] > 0.98


def test_a_part_of_the_scan_is_that_part_of_the_whole():
    specimen = silver_specimen("ag1")
    whole = kinematic_film(specimen, ScanGrid((30, 30)), 64)
    part = kinematic_film(specimen, ScanGrid((10, 12), origin=(50.0, 25.0)), 64)
    np.testing.assert_allclose(part.row(3), whole.row(13)[5:17], atol=3e-6)


def test_same_arguments_give_the_same_file_whatever_the_threads(film, tmp_path):
    again = stem.simulate("ag2", tmp_path / "again.h5", workers=1, **SMALL)
    assert again.read_bytes() == film.read_bytes()
    other = stem.simulate("ag2", tmp_path / "other.h5", seed=5, **SMALL)
    assert not np.array_equal(counts_of(other), counts_of(film))


def test_the_nanowire_comes_with_its_distortions(tmp_path):
    path = stem.simulate("nanowire", tmp_path / "wire.h5", scan=(24, 20), detector=96, seed=2)
    with h5py.File(path) as file:
        assert file["data"].shape == (24, 20, 96, 96)
        assert {"center", "descan", "ellipse_ratio", "ellipse_angle", "hot_pixels", "mask"} <= set(file["distortions"])
    assert stem.open(path).axes[2].unit == "1/nm"
    assert load_masks(f"{path}::labels").shape[1:] == (24, 20)


def test_files_that_were_not_simulated_are_not_replaced(tmp_path):
    path = tmp_path / "film.h5"
    path.write_text("mine")
    with pytest.raises(DataError, match="was not simulated"):
        stem.simulate("ag1", path, **SMALL)
    assert path.read_text() == "mine"
    stem.simulate("ag1", path, overwrite=True, **SMALL)
    stem.simulate("ag2", path, **SMALL)  # that one was simulated
    assert [p.name for p in tmp_path.iterdir()] == ["film.h5"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "ag9"},
        {"engine": "guess"},
        {"scan": (3, 100)},
        {"scan": (100, 201)},
        {"detector": 32},
        {"dose": 0.0},
        {"seed": -1},
        {"name": "nanowire", "engine": "multislice"},
    ],
)
def test_impossible_requests_are_refused(wrong, tmp_path):
    with pytest.raises(DataError):
        stem.simulate(**{"name": "ag1", "path": tmp_path / "film.h5", **wrong})
    assert not list(tmp_path.iterdir())


def test_multislice_without_abtem_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "abtem", None)  # as if it were not installed
    with pytest.raises(DataError, match=r"napari-stemnmf\[simulation\]"):
        stem.simulate("ag1", tmp_path / "film.h5", engine="multislice", **SMALL)
    assert not list(tmp_path.iterdir())


def test_cancelled_before_the_first_row_leaves_nothing(tmp_path):
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        stem.simulate("ag1", tmp_path / "film.h5", control=control, **SMALL)
    assert not list(tmp_path.iterdir())


def test_progress_ends_at_the_last_row(tmp_path):
    seen = []
    stem.simulate("ag1", tmp_path / "film.h5", control=Control(seen.append), **SMALL)
    assert seen[-1].fraction == 1.0
    assert [p.done for p in seen] == sorted(p.done for p in seen)


def test_command_says_what_it_wrote(tmp_path, capsys):
    path = tmp_path / "film.h5"
    assert cli.main(["simulate", "ag1", "--out", str(path), "--scan", "24", "--detector", "64", "--no-noise"]) == 0
    assert "24 x 24 patterns of 64 x 64 px" in capsys.readouterr().out
    assert counts_of(path).dtype == np.float32
    assert cli.main(["info", str(path)]) == 0
    assert "24 x 0.5 nm" in capsys.readouterr().out
    path.write_text("mine")
    assert cli.main(["simulate", "ag1", "--out", str(path), "--scan", "24", "--detector", "64"]) == 1
    assert "was not simulated" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child there")
def test_interrupted_command_leaves_nothing(tmp_path):
    command = [sys.executable, "-m", "napari_stemnmf.cli", "simulate", "ag3", "--out", str(tmp_path / "film.h5")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        while child.poll() is None and not list(tmp_path.iterdir()):
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130, said
    assert "was not written" in said
    assert not list(tmp_path.iterdir())


def test_predicted_disks_lie_on_those_that_multislice_shows(benchmark, shared):
    pair = benchmark.compared(shared / "films", "ag1", 40)
    distances = benchmark.disk_distances(pair)
    assert len(distances) > 1000
    assert np.median(distances) < 0.5


def test_dark_fields_of_thin_grains_are_those_of_multislice(benchmark, shared):
    fields = benchmark.dark_fields(benchmark.compared(shared / "films", "ag1", 60))
    thin = fields[fields[:, 0] < benchmark.THIN]
    assert len(thin) > 10
    assert thin[:, 1].min() > 0.8  # every one, around its grain
    assert thin[:, 2].min() > 0.8  # and over the whole scan


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ag1", "ag2", "ag3"])
def test_kinematic_films_agree_with_multislice_where_they_should(name, benchmark, shared):
    pair = benchmark.compared(shared / "films", name)
    distances, fields = benchmark.disk_distances(pair), benchmark.dark_fields(pair)
    assert np.median(distances) < 0.5
    thin = fields[fields[:, 0] < benchmark.THIN]
    assert len(thin) > 20
    assert np.median(thin[:, 1]) > 0.8
    assert (thin[:, 1] > 0.8).mean() > 0.9
