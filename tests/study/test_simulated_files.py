"""Simulated scans as files."""

from __future__ import annotations

import threading

import h5py
import numpy as np
import pytest

from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.files.hdf5_chunks import can_unpack
from napari_stemnmf.reading.opening import open as open_scan
from napari_stemnmf.study.simulate import Simulated, counted, is_simulated, rows_at_once, write_scan

SHAPE = (5, 7, 320, 300)  # more than one chunk a row, and the last one reaches beyond the scan


def expected_shares(shape=SHAPE) -> np.ndarray:
    generator = np.random.default_rng(1)
    shares = generator.random(shape, np.float32) * (generator.random(shape) < 0.05)
    return (shares / shares.sum(axis=(2, 3), keepdims=True)).astype(np.float32)


def simulated(shares: np.ndarray, rows=None) -> Simulated:
    truth = {
        "labels": (np.ones((2, *shares.shape[:2]), bool), "masks"),
        "distortions/mask": (np.ones(shares.shape[2:], bool), "True = keep"),
    }
    calibration = {"Q_pixel_size_invA": 0.01, "R_pixel_size_A": 5.0, "center_px": (160.0, 150.0), "energy_eV": 3e5}
    return Simulated("a scan", shares.shape, rows or (lambda control, workers: iter(shares)), truth, calibration)


def written(path, shares, **options) -> np.ndarray:
    write_scan(path, simulated(shares), **options)
    with h5py.File(path) as file:
        return file["data"][()]


def test_without_noise_the_shares_are_written_as_they_are(tmp_path):
    shares = expected_shares()
    found = written(tmp_path / "a.h5", shares, dose=None)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, shares)


def test_counts_are_poisson_about_dose_times_share(tmp_path):
    shares = expected_shares()
    counts = written(tmp_path / "a.h5", shares, dose=1e5, seed=3).astype(np.float64)
    lit = shares > 0
    assert not counts[~lit].any()
    pull = (counts[lit] - 1e5 * shares[lit]) / np.sqrt(1e5 * shares[lit])
    strong = 1e5 * shares[lit] > 5
    assert abs(pull.mean()) < 5 / np.sqrt(len(pull))
    assert pull[strong].std() == pytest.approx(1.0, abs=0.02)


def test_what_does_not_fit_a_count_is_cut_off():
    assert counted(np.array([1.0, 0.0]), 1e6, np.random.default_rng(0)).tolist() == [65535, 0]


def test_seed_decides_and_threads_do_not(tmp_path):
    shares = expected_shares()
    first = written(tmp_path / "a.h5", shares, dose=1e3, seed=3, workers=1)
    np.testing.assert_array_equal(first, written(tmp_path / "b.h5", shares, dose=1e3, seed=3, workers=4))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    other = written(tmp_path / "c.h5", shares, dose=1e3, seed=4)
    assert not np.array_equal(first, other)


def test_noise_differs_from_chunk_to_chunk(tmp_path):
    counts = written(tmp_path / "a.h5", np.full((3, 20, 256, 256), 1 / 256**2, np.float32), dose=1e5).reshape(60, -1)
    assert np.abs(np.corrcoef(counts.astype(np.float64)) - np.eye(60)).max() < 0.03


def test_chunks_hold_whole_patterns_packed_as_the_reader_likes_them(tmp_path):
    write_scan(tmp_path / "a.h5", simulated(expected_shares()), dose=1e3)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["data"].chunks == (1, 5, 320, 300)
        assert can_unpack(file["data"])


def test_file_says_what_it_holds_and_opens_calibrated(tmp_path):
    write_scan(tmp_path / "a.h5", simulated(expected_shares()), dose=1e3, seed=9)
    with h5py.File(tmp_path / "a.h5") as file:
        attributes = dict(file["data"].attrs)
        assert attributes["dose_e_per_pattern"] == 1e3
        assert attributes["noise_seed"] == 9
        assert attributes["axes"] == "scan_y, scan_x, q_y, q_x"
        for name in ("data", "labels", "distortions/mask"):
            assert file[name].attrs["definition"]
    scan = open_scan(tmp_path / "a.h5")
    assert scan.shape == SHAPE
    assert [(a.unit, a.assumed) for a in scan.axes] == [("nm", False)] * 2 + [("1/nm", False)] * 2
    assert scan.axes[0].scale == pytest.approx(0.5)
    assert scan.axes[2].scale == pytest.approx(0.1)
    assert scan.axes[2].offset == pytest.approx(-16.0)
    assert scan.metadata["beam_energy_keV"] == 300.0


def test_stopped_leaves_nothing_and_keeps_what_was_there(tmp_path):
    shares, cancel = expected_shares(), threading.Event()

    def rows(control, workers):
        for i, row in enumerate(shares):
            yield row
            if i == 2:
                cancel.set()

    (tmp_path / "old.h5").write_bytes(b"before")
    for name in ("new.h5", "old.h5"):
        cancel.clear()
        with pytest.raises(Cancelled):
            write_scan(tmp_path / name, simulated(shares, rows), dose=1e3, control=Control(cancel=cancel))
    assert [p.name for p in tmp_path.iterdir()] == ["old.h5"]
    assert (tmp_path / "old.h5").read_bytes() == b"before"


def test_an_engine_that_fails_leaves_nothing(tmp_path):
    def rows(control, workers):
        yield expected_shares()[0]
        raise DataError("no atoms")

    with pytest.raises(DataError, match="no atoms"):
        write_scan(tmp_path / "a.h5", simulated(expected_shares(), rows), dose=1e3)
    with pytest.raises(DataError, match="cannot be written"):
        write_scan(tmp_path / "absent" / "a.h5", simulated(expected_shares()), dose=1e3)
    assert not list(tmp_path.iterdir())


def test_simulated_files_are_told_from_others(tmp_path):
    write_scan(tmp_path / "a.h5", simulated(expected_shares((2, 2, 8, 8))), dose=1e3)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["data"] = np.zeros(3)
    (tmp_path / "c.txt").write_text("text")
    assert [is_simulated(tmp_path / name) for name in ("a.h5", "b.h5", "c.txt", "d.h5")] == [True, False, False, False]


@pytest.mark.parametrize("shape", [(100, 100, 252, 252), (200, 200, 1024, 1024), (4, 4, 64, 64)])
def test_rows_under_way_stay_within_memory(shape):
    rows = rows_at_once(shape, 64)
    assert 1 <= rows <= 64
    assert rows == 1 or rows * shape[1] * shape[2] * shape[3] * 4 <= 2**28
