"""`benchmarks/accuracy.py` on scans of a few positions: what it simulates, lays side by side, and counts."""

from __future__ import annotations

import importlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def accuracy(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("accuracy")


@pytest.fixture
def oracles(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("oracles")


def test_films_lie_side_by_side_in_a_mosaic_with_the_grains_of_all(accuracy, tmp_path):
    kind = accuracy.FilmKind("ag1", 2e5, 64, 16, 2.0)
    parts = [accuracy.simulated(tmp_path / f"{seed}.h5", kind, seed) for seed in (1, 2, 3, 4)]
    whole = accuracy.mosaic(parts, tmp_path / "mosaic.h5")
    with h5py.File(whole) as file, h5py.File(parts[1]) as right, h5py.File(parts[2]) as below:
        data, labels = file["data"][:], file["labels"][:]
        assert data.shape == (32, 32, 64, 64)
        assert np.array_equal(data[:16, 16:], right["data"][:])
        assert np.array_equal(data[16:, :16], below["data"][:])
        mine = labels[:, :16, 16:].any(axis=(1, 2))
        assert np.array_equal(labels[mine][:, :16, 16:], right["labels"][:])
    assert [accuracy.across(n) for n in (1, 2, 4, 6, 9)] == [1, 2, 2, 3, 3]


def test_a_film_of_a_seed_is_the_one_that_is_simulated_by_command(accuracy, tmp_path):
    from napari_stemnmf.study.simulate import simulate

    ours = accuracy.simulated(tmp_path / "ours.h5", accuracy.FilmKind("ag2", 1e4, 64, 16, 2.0), 5)
    theirs = simulate("ag2", tmp_path / "theirs.h5", seed=5, scan=16, detector=64, dose=1e4, workers=1)
    with h5py.File(ours) as a, h5py.File(theirs) as b:
        for name in ("data", "labels", "thickness"):
            assert np.array_equal(a[name][:], b[name][:])
        assert {key: b["data"].attrs[key] for key in ("Q_pixel_size_invA", "probe_radius_px")} == {
            key: a["data"].attrs[key] for key in ("Q_pixel_size_invA", "probe_radius_px")
        }


def test_a_run_and_its_oracles_give_a_row_each(accuracy, tmp_path, monkeypatch):
    for name in ("true dictionary AA", "true dictionary BD"):  # of half a minute
        monkeypatch.delitem(accuracy.ORACLES, name)
    film = accuracy.simulated(tmp_path / "film.h5", accuracy.FilmKind("ag1", 2e5, 126, 32, 2.0), 1)
    runs, analysis = accuracy.measured(film, "film", "kind", stem.Recipe.preset("default"), "default")
    assert [run.recipe for run in runs] == ["default VDF"]
    assert runs[0].scores.n_found == len(runs[0].right) == len(runs[0].confidence)
    row = accuracy.oracles(film, "film", runs[0], analysis)
    assert len(row) == 4
    assert float(row[2].split(" / ")[1]) > 0.8  # perfect maps
    assert "| film | default VDF |" in accuracy.of_runs(runs)
    assert "| kind | default VDF | 1 |" in accuracy.of_kinds(runs)


def test_each_change_is_a_run_of_its_own(accuracy):
    made = dict(accuracy.recipes(["default"], [], 4, ["vdf.clustering.alike=0.65", "vdf.refinement.blur=1"]))
    assert len(made) == 3
    assert [r.vdf.clustering.alike for r in made.values()] == [0.85, 0.65, 0.85]


def test_calibration_counts_the_wrong_ones_where_confidence_is_least(accuracy):
    p = np.linspace(0.05, 0.95, 10)
    error, median, fifth = accuracy.calibration(p, p > 0.3)
    assert error == pytest.approx((0.05 + 0.15 + 0.25 + sum(1 - p[3:])) / 10)
    assert (median, fifth) == (1.0, pytest.approx(2 / 3))
    assert np.isnan(accuracy.calibration(np.array([np.nan]), np.array([True]))).all()


def test_non_negative_least_squares_finds_the_shares_of_known_rows(oracles):
    generator = np.random.default_rng(0)
    rows, true = generator.random((4, 30)), generator.random((50, 4)) * (generator.random((50, 4)) > 0.5)
    found = oracles.shares(true @ rows, rows).T
    assert found == pytest.approx(true, abs=1e-2)


def test_perfect_maps_are_cut_where_they_fit_best(oracles):
    labels = np.zeros((1, 40, 40), bool)
    labels[0, 10:30, 10:30] = True
    truth = oracles.Truth(labels, 50.0 * labels, 2.0)
    found = oracles.perfect_maps(truth, None, None)
    assert (found & labels).sum() / (found | labels).sum() > 0.95
    assert len(oracles.typical(truth)) == 2
