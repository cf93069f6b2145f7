"""The scan of an analysis is found again, or not."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.reading.finding import find_scan


@dataclass
class Record:
    source: str
    shape: tuple[int, ...]
    fingerprint: str


def record_of(path):
    dataset = stem.open(path, scan_shape=(3, 4))
    return Record(dataset.source, dataset.shape, dataset.fingerprint())


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "there" / "stack.npy"
    path.parent.mkdir()
    np.save(path, np.random.default_rng(0).poisson(3.0, (12, 8, 8)).astype(np.uint16))
    return path


def test_a_scan_is_found_at_its_old_place_with_its_scan_shape(scan):
    assert find_scan(record_of(scan)).shape == (3, 4, 8, 8)


def test_a_scan_that_moved_with_its_analysis_is_found_beside_it(scan, tmp_path):
    record = record_of(scan)
    moved = tmp_path / "stack.npy"
    shutil.copy2(scan, moved)
    scan.unlink()
    assert find_scan(record) is None
    assert find_scan(record, tmp_path).source == str(moved)


def test_a_scan_that_has_changed_is_not_the_scan(scan):
    record = record_of(scan)
    np.save(scan, np.ones((12, 8, 8), np.uint16))
    assert find_scan(record) is None


def test_what_is_no_scan_any_more_is_not_found(scan):
    record = record_of(scan)
    scan.write_bytes(b"no scan")
    assert find_scan(record) is None


def test_an_analysis_of_an_array_has_no_file(tmp_path):
    dataset = stem.Dataset.from_array(np.ones((3, 4, 8, 8)))
    assert find_scan(Record(dataset.source, dataset.shape, dataset.fingerprint()), tmp_path) is None
