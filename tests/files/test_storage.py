"""Results on disk: what is written comes back, and a file is whole or not there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from napari_stemnmf.files import storage


@dataclass(frozen=True)
class Row:
    number: int
    share: float
    word: str


@dataclass(frozen=True)
class Inner:
    values: np.ndarray
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    count: int
    flag: bool
    missing: float | None
    shape: tuple[int, ...]
    names: tuple[str, ...]
    mask: np.ndarray
    inner: Inner
    several: tuple[Inner, ...]
    by_name: dict[str, Inner] = field(default_factory=dict)
    loose: dict[str, Any] = field(default_factory=dict)
    table: pd.DataFrame | None = None


@pytest.fixture
def outer():
    inner = Inner(np.arange(6, dtype=np.float32).reshape(2, 3), (Row(1, 0.5, "a"), Row(2, 0.25, "β")))
    table = pd.DataFrame({"area_nm2": [1.5, 2.5], "note": ["x", "ü"], "edge": [True, False]})
    mask = np.zeros((80, 80), bool)
    mask[3, 4] = True
    return Outer(
        "scan", 3, True, None, (2, 3), ("aa", "rv"), mask, inner, (inner, Inner(np.zeros(0))), {"aa": inner},
        {"kV": 300.0, "who": "me", "array": np.arange(3)}, table,
    )  # fmt: skip


def test_nested_results_come_back_as_they_were(tmp_path, outer):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        storage.write(file, "outer", outer)
    with h5py.File(tmp_path / "a.h5") as file:
        back = storage.read(file, "outer", Outer)
    for name in ("name", "count", "flag", "missing", "shape", "names"):
        assert getattr(back, name) == getattr(outer, name)
        assert type(getattr(back, name)) is type(getattr(outer, name))
    assert back.mask.dtype == bool
    np.testing.assert_array_equal(back.mask, outer.mask)
    np.testing.assert_array_equal(back.inner.values, outer.inner.values)
    assert back.inner.rows == outer.inner.rows
    assert back.several[1].rows == ()
    np.testing.assert_array_equal(back.by_name["aa"].values, outer.inner.values)
    assert back.loose["kV"] == 300.0
    assert back.loose["who"] == "me"
    pd.testing.assert_frame_equal(back.table, outer.table)


def test_columns_of_a_table_keep_their_order(tmp_path):
    table = pd.DataFrame({"zeta": [1], "alpha": [2], "mid": [3]})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        storage.write(file, "t", table)
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(storage.read(file, "t", pd.DataFrame)) == ["zeta", "alpha", "mid"]


def test_empty_table_keeps_its_columns(tmp_path):
    table = pd.DataFrame({"area_px": np.zeros(0, int)})
    with h5py.File(tmp_path / "a.h5", "w") as file:
        storage.write(file, "t", table)
    with h5py.File(tmp_path / "a.h5") as file:
        pd.testing.assert_frame_equal(storage.read(file, "t", pd.DataFrame), table)


def test_interrupted_write_leaves_the_former_file_and_no_scraps(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("before")

    def fail_half_way():
        with storage.atomic_write(target) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_completed_write_replaces_the_file_with_ordinary_rights(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    target = tmp_path / "a.txt"
    with storage.atomic_write(target) as part:
        part.write_text("whole")
    assert target.read_text() == "whole"
    assert target.stat().st_mode == plain.stat().st_mode


@dataclass(frozen=True)
class Table:
    values: np.ndarray | csr_array
    also: np.ndarray | csr_array


@pytest.mark.parametrize("shape", [(60, 700), (3, 5)])
def test_a_sparse_array_comes_back_and_h5py_alone_can_read_it(tmp_path, shape):
    dense = np.zeros(shape, np.float32)
    dense[1, 2::3] = np.arange(dense[1, 2::3].size) + 1
    with h5py.File(tmp_path / "a.h5", "w") as file:
        storage.write(file, "table", Table(csr_array(dense), dense))
    with h5py.File(tmp_path / "a.h5") as file:
        back = storage.read(file, "table", Table)
        group = file["table/values"]
        by_hand = np.zeros(group.attrs["shape"], np.float32)
        rows = np.repeat(np.arange(shape[0]), np.diff(group["indptr"]))
        by_hand[rows, group["indices"][()]] = group["data"]
    assert isinstance(back.values, csr_array)
    assert back.values.dtype == np.float32
    np.testing.assert_array_equal(back.values.toarray(), dense)
    np.testing.assert_array_equal(back.also, dense)
    np.testing.assert_array_equal(by_hand, dense)


def test_a_sparse_array_without_values_comes_back(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        storage.write(file, "table", csr_array((4, 6), dtype=np.float32))
    with h5py.File(tmp_path / "a.h5") as file:
        back = storage.read(file, "table", csr_array)
    assert back.shape == (4, 6)
    assert back.nnz == 0


@dataclass(frozen=True)
class Words:
    words: tuple[str, ...]
    numbers: tuple[float, ...]


@pytest.mark.parametrize("count", [0, 3, 20_000])
def test_many_words_come_back(tmp_path, count):
    """HDF5 has room for 4,000 in an attribute, so an analysis of more grains could not be saved."""
    words = Words(tuple(f"few spots: {i}" for i in range(count)), tuple(i / 2 for i in range(count)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        storage.write(file, "words", words)
    with h5py.File(tmp_path / "a.h5") as file:
        assert storage.read(file, "words", Words) == words
