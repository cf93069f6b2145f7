"""Sparse matrices from scaling to components, with the dense way as the oracle."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from napari_stemnmf.clustering import hals
from napari_stemnmf.clustering.ensemble import choose, cluster
from napari_stemnmf.clustering.hals import nmf, weights
from napari_stemnmf.clustering.iterative_nmf import random_start
from napari_stemnmf.clustering.matrix import SparseMatrix, check_matrix, model_error, squared_norm
from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.clustering.scree import scree
from napari_stemnmf.errors import DataError
from napari_stemnmf.representation_settings import ClusteringSettings, ScalingSettings

GLOBAL = ScalingSettings(method="global")


@dataclass(frozen=True)
class Table:
    values: np.ndarray | csr_array
    scan_shape: tuple[int, int]


def spots(scan: int = 24, grains: int = 5, columns: int = 300, noise: float = 0.002, seed: int = 0) -> np.ndarray:
    """Grains of a few spots each on a scan, as a dense matrix that is mostly zero."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:scan, :scan]
    values = np.zeros((scan * scan, columns))
    for grain in range(grains):
        turn = 2 * np.pi * grain / grains
        centre = scan * (0.5 + 0.32 * np.array([np.sin(turn), np.cos(turn)]))
        inside = (np.hypot(y - centre[0], x - centre[1]) < scan / 6).reshape(-1, 1)
        pattern = np.zeros(columns)
        pattern[random.choice(columns, 12, replace=False)] = random.random(12) + 0.3
        values += inside * pattern * random.uniform(0.8, 1.2, values.shape)
    values[random.random(values.shape) < noise] += 0.1
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def dense() -> np.ndarray:
    return spots()


@pytest.fixture(scope="module")
def sparse_table(dense: np.ndarray) -> Table:
    return Table(csr_array(dense), (24, 24))


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 70), st.floats(0, 1), st.integers(0, 9))
def test_products_agree_with_dense_ones(n: int, m: int, k: int, filled: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    V = (random.random((n, m)) * (random.random((n, m)) < filled)).astype(np.float32)
    W, H = random.random((k, n), np.float32), random.random((k, m), np.float32)
    matrix = check_matrix(csr_array(V))
    assert isinstance(matrix, SparseMatrix)
    np.testing.assert_allclose(matrix.project(H), H @ V.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(matrix.gather(W), W @ V, rtol=1e-5, atol=1e-6)
    assert squared_norm(matrix) == pytest.approx(squared_norm(V))
    assert matrix.mean() == pytest.approx(V.mean(dtype=np.float64))


def test_long_sums_do_not_lose_digits() -> None:
    V = np.full((200_000, 1), 0.1, np.float32)
    exact = V.sum(dtype=np.float64)
    assert check_matrix(csr_array(V)).gather(np.ones((1, len(V)), np.float32))[0, 0] == pytest.approx(exact, rel=2e-6)


@pytest.mark.parametrize("noise", [0.5, 0.05, 0.0])
def test_the_error_is_that_of_the_model(dense: np.ndarray, noise: float) -> None:
    random = np.random.default_rng(0)
    W, H = random.random((len(dense), 4)).astype(np.float32), random.random((4, 300)).astype(np.float32)
    H[:, 100:] = 0
    V = (W @ H).astype(np.float32)
    V[:, :100] *= 1 + noise * random.random((len(V), 100)).astype(np.float32)
    V[:, 150] = noise
    assert model_error(csr_array(V), W, H) == pytest.approx(model_error(V, W, H), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("settings", [ScalingSettings(), GLOBAL])
def test_scaling_agrees_with_the_dense_way_and_stays_sparse(dense: np.ndarray, settings: ScalingSettings) -> None:
    values = dense.copy()
    values[:, 3] = 0.0  # empty
    values[:, 4] = 2.0  # constant
    values[:, 5] = np.linspace(1.0, 2.0, len(values))  # nowhere zero: it has an offset
    values[7, 6] = np.nan
    values[8, 7] = np.inf
    expected, found = scale(values, settings), scale(csr_array(values), settings)
    assert isinstance(found.values, csr_array)
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.kept, expected.kept)
    assert {3, 4, 6, 7} <= set(found.dropped)
    np.testing.assert_allclose(found.offset, expected.offset)
    np.testing.assert_allclose(found.factor, expected.factor, rtol=1e-6)
    np.testing.assert_allclose(found.values.toarray(), expected.values, atol=1e-6)


def test_scaling_refuses_what_it_cannot_keep_sparse() -> None:
    with pytest.raises(DataError, match="negative"):
        scale(csr_array(np.array([[0.0, -1.0], [2.0, 0.0]])))
    with pytest.raises(DataError, match="None of the 7 feature columns varies"):
        scale(csr_array((5, 7), dtype=np.float32))


@pytest.mark.parametrize("columns", [300, 2000])
def test_the_scree_agrees_with_the_dense_one(columns: int) -> None:
    values = spots(columns=columns, noise=0.0)
    expected, found = scree(values, n=8), scree(csr_array(values), n=8)
    np.testing.assert_allclose(found.variance, expected.variance, rtol=1e-3)
    assert found.total == pytest.approx(expected.total, rel=1e-6)
    assert found.suggested == expected.suggested


@pytest.mark.parametrize("k", [1, 5, 11])
def test_a_fit_reaches_the_error_of_the_dense_one(dense: np.ndarray, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hals, "_H_SWEEPS_SPARSE", hals._H_SWEEPS)  # the same path to the same of several minima
    start = random_start(dense, k, 0)
    expected, found = (nmf(V, *start, tolerance=0, max_iterations=100) for V in (dense, csr_array(dense)))
    assert found.error == pytest.approx(expected.error, rel=0.01)
    assert found.error == pytest.approx(model_error(dense, found.W, found.H), abs=2e-6)
    assert found.W.min() >= 0
    assert found.H.min() >= 0


def test_weights_are_those_of_the_dense_matrix(dense: np.ndarray) -> None:
    H = nmf(dense, *random_start(dense, 5, 0)).H
    expected = weights(dense, H)
    np.testing.assert_allclose(weights(csr_array(dense), H), expected, atol=1e-4 * expected.max())


def test_random_starts_do_not_depend_on_the_kind_of_matrix(dense: np.ndarray) -> None:
    for expected, found in zip(
        random_start(dense, 6, 2), random_start(check_matrix(csr_array(dense)), 6, 2), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_known_grains_are_found(dense: np.ndarray, sparse_table: Table) -> None:
    ensemble = cluster(sparse_table, GLOBAL, ClusteringSettings(components=15, seeds=2))
    assert ensemble.k == 5
    assert ensemble.kept.sum() == ensemble.H.shape[1]
    assert ensemble.error == pytest.approx(model_error(scale(dense, GLOBAL).values, ensemble.W, ensemble.H), abs=1e-5)


@pytest.mark.parametrize("coarse_fit", ["on", "off"])
def test_the_result_is_the_same_to_the_bit_whatever_the_number_of_workers(coarse_fit: str) -> None:
    table = Table(csr_array(spots(scan=64, grains=9)), (64, 64))
    settings = ClusteringSettings(components=20, seeds=3, coarse_fit=coarse_fit, max_iterations=40)
    one, three = (cluster(table, None, settings, workers=workers) for workers in (1, 3))
    np.testing.assert_array_equal(one.W, three.W)
    np.testing.assert_array_equal(one.H, three.H)
    assert [r.error for r in one.seeds] == [r.error for r in three.seeds]
    assert (one.seeds[0].cycles[0].rows < 64 * 64) == (coarse_fit == "on")


def test_another_seed_can_be_chosen(sparse_table: Table) -> None:
    settings = ClusteringSettings(components=8, seeds=2)
    ensemble = cluster(sparse_table, None, settings)
    other = 1 - ensemble.seed
    chosen = choose(ensemble, other, scale(sparse_table.values).values)
    assert chosen.seed == other
    assert chosen.error == pytest.approx(ensemble.seeds[other].error, rel=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_what_cannot_be_factored_is_refused(bad: float) -> None:
    with pytest.raises(DataError, match="finite, non-negative"):
        check_matrix(csr_array(np.array([[0.0, bad], [1.0, 0.0]], np.float32)))


def test_patterns_and_columns_without_a_value_do_no_harm(dense: np.ndarray) -> None:
    values = dense.copy()
    values[::3] = 0.0
    values[:, ::3] = 0.0
    fit = nmf(csr_array(values), *random_start(values, 4, 0), max_iterations=50)
    assert np.isfinite(fit.error)
    assert np.abs(fit.W[::3]).max() < 1e-3 * fit.W.max()
    empty = csr_array((5, 3), dtype=np.float32)
    assert nmf(empty, np.ones((5, 2)), np.zeros((2, 3))).error == 0.0


def test_the_argument_is_not_changed(sparse_table: Table) -> None:
    values = csr_array(sparse_table.values)
    copies = [part.copy() for part in (values.data, values.indices, values.indptr)]
    cluster(Table(values, (24, 24)), GLOBAL, ClusteringSettings(components=6, seeds=1))
    for now, before in zip((values.data, values.indices, values.indptr), copies, strict=True):
        np.testing.assert_array_equal(now, before)


def test_no_dense_matrix_is_ever_made() -> None:
    """Trap: 10,000 patterns of 7,056 bins are half a gigabyte in float64, and under one per cent of that sparse."""
    n, m, filled = 2500, 7056, 40
    random = np.random.default_rng(0)
    columns = np.sort(random.choice(60, (n, 1)) * 100 + random.integers(0, 100, (n, filled)), axis=1)
    values = csr_array(
        (random.random(n * filled, np.float32), columns.ravel(), np.arange(n + 1) * filled), shape=(n, m)
    )
    settings = ClusteringSettings(components=8, seeds=1, max_iterations=5)
    cluster(Table(values, (50, 50)), None, settings, workers=1)  # compiles
    tracemalloc.start()
    try:
        cluster(Table(values, (50, 50)), None, settings, workers=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < n * m * 4 / 2
