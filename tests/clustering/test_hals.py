"""The NMF solver, with scikit-learn's coordinate descent as the oracle."""

from __future__ import annotations

import threading
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from napari_stemnmf.clustering import hals
from napari_stemnmf.clustering import matrix as matrix_module
from napari_stemnmf.clustering.hals import nmf, weights
from napari_stemnmf.clustering.iterative_nmf import random_start
from napari_stemnmf.clustering.matrix import model_error
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, DataError


def oracle(V: np.ndarray, W: np.ndarray, H: np.ndarray, iterations: int) -> float:
    """Error of scikit-learn's model from the same start."""
    model = NMF(len(H), init="custom", solver="cd", tol=0, max_iter=iterations)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = model.fit_transform(V, W=np.ascontiguousarray(W), H=H.copy())
    return model_error(V, fitted, model.components_)


@pytest.mark.parametrize("k", [2, 5, 11])
@pytest.mark.parametrize("seed", [0, 1])
def test_error_is_no_higher_than_scikit_learns_from_the_same_start(matrix: np.ndarray, k: int, seed: int) -> None:
    W, H = random_start(matrix, k, seed)
    ours = nmf(matrix, W, H, tolerance=0, max_iterations=200)
    assert ours.error <= oracle(matrix, W, H, 200) * 1.01
    assert nmf(matrix, W, H, tolerance=0, max_iterations=20).error <= oracle(matrix, W, H, 20) * 1.01


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_minimum_of_scikit_learn_is_a_minimum_here(matrix: np.ndarray) -> None:
    W, H = random_start(matrix, 5, 0)
    model = NMF(5, init="custom", solver="cd", tol=1e-5, max_iter=3000)
    fitted = model.fit_transform(matrix, W=np.ascontiguousarray(W), H=H.copy())
    again = nmf(matrix, fitted, model.components_, tolerance=0, max_iterations=20)
    assert again.error == pytest.approx(model_error(matrix, fitted, model.components_), rel=1e-3)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 9), st.integers(0, 9))
def test_factors_are_never_negative_and_the_error_is_that_of_the_model(n: int, m: int, k: int, seed: int) -> None:
    V = np.random.default_rng(seed).random((n, m), np.float32)
    fit = nmf(V, *random_start(V, k, seed), max_iterations=12)
    assert fit.W.shape == (n, k)
    assert fit.H.shape == (k, m)
    assert fit.W.min() >= 0
    assert fit.H.min() >= 0
    residual = V.astype(np.float64) - fit.W.astype(np.float64) @ fit.H
    assert fit.error == pytest.approx(np.linalg.norm(residual) / np.linalg.norm(V), abs=2e-6)


@given(st.integers(0, 9))
def test_a_fit_never_ends_worse_than_it_started(seed: int) -> None:
    V = np.random.default_rng(seed).random((200, 15), np.float32)
    W, H = random_start(V, 4, seed)
    start = model_error(V, W, H)
    for iterations in (1, 3, 10, 40):
        assert nmf(V, W, H, max_iterations=iterations, tolerance=0).error < start


def test_an_exact_product_is_recovered() -> None:
    """Trap of extrapolation: steps that go too far must not end a fit before its minimum."""
    for seed in range(5):
        random = np.random.default_rng(seed)
        V = (random.random((300, 3)) @ random.random((3, 20))).astype(np.float32)
        assert nmf(V, *random_start(V, 3, seed), tolerance=0, max_iterations=2000).error < 0.01


def test_the_cheap_error_is_the_error(matrix: np.ndarray) -> None:
    W, H = random_start(matrix, 6, 0)
    gram, product = W.T.astype(np.float64) @ W, W.T.astype(np.float64) @ matrix
    cheap = hals._error(matrix_module.squared_norm(matrix), gram, product, H)
    assert cheap == pytest.approx(model_error(matrix, W, H), rel=1e-6)


def test_blocks_and_strips_do_not_change_the_result(matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    start = random_start(matrix, 5, 0)
    whole = nmf(matrix, *start, max_iterations=15)
    monkeypatch.setattr(matrix_module, "BLOCK", 101)
    blocks = nmf(matrix, *start, max_iterations=15)
    np.testing.assert_allclose(blocks.W @ blocks.H, whole.W @ whole.H, atol=1e-3)


def test_the_same_start_gives_the_same_bits(matrix: np.ndarray) -> None:
    first, second = (nmf(matrix, *random_start(matrix, 7, 3), max_iterations=30) for _ in range(2))
    np.testing.assert_array_equal(first.W, second.W)
    np.testing.assert_array_equal(first.H, second.H)


def test_arguments_are_not_changed(matrix: np.ndarray) -> None:
    W, H = random_start(matrix, 4, 0)
    copies = matrix.copy(), W.copy(), H.copy()
    nmf(matrix, W, H, max_iterations=5)
    weights(matrix, H)
    for now, before in zip((matrix, W, H), copies, strict=True):
        np.testing.assert_array_equal(now, before)


def test_tolerance_ends_a_fit_early_and_zero_iterations_need_none(matrix: np.ndarray) -> None:
    start = random_start(matrix, 5, 0)
    loose, tight = nmf(matrix, *start, tolerance=1e-2), nmf(matrix, *start, tolerance=1e-6, max_iterations=500)
    assert loose.iterations < tight.iterations <= 500
    assert tight.error <= loose.error


def test_weights_are_the_non_negative_least_squares(matrix: np.ndarray) -> None:
    H = nmf(matrix, *random_start(matrix, 5, 0)).H
    W = weights(matrix, H)
    exact = np.array([nnls(H.T.astype(np.float64), row.astype(np.float64))[0] for row in matrix[::37]])
    np.testing.assert_allclose(W[::37], exact, atol=1e-4 * exact.max())


def test_a_dead_component_stays_dead_and_does_no_harm(matrix: np.ndarray) -> None:
    W, H = random_start(matrix, 4, 0)
    W[:, 2] = 0
    H[2] = 0
    fit = nmf(matrix, W, H, max_iterations=30)
    assert np.isfinite(fit.W).all()
    assert np.isfinite(fit.H).all()
    W3, H3 = np.delete(W, 2, axis=1), np.delete(H, 2, axis=0)
    assert fit.error == pytest.approx(nmf(matrix, W3, H3, max_iterations=30).error, rel=1e-3)


def test_more_components_than_rows_or_columns() -> None:
    V = np.random.default_rng(0).random((6, 4), np.float32)
    fit = nmf(V, *random_start(V, 9, 0), max_iterations=300, tolerance=0)
    assert fit.error < 0.01


def test_a_matrix_of_zeros_and_a_model_without_components() -> None:
    zeros = np.zeros((5, 3), np.float32)
    assert nmf(zeros, np.ones((5, 2)), np.zeros((2, 3))).error == 0.0
    ones = np.ones((5, 3), np.float32)
    assert nmf(ones, np.zeros((5, 0)), np.zeros((0, 3))).error == 1.0
    assert weights(ones, np.zeros((0, 3))).shape == (5, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1])
def test_what_cannot_be_factored_is_refused(bad: float) -> None:
    V = np.ones((5, 3), np.float32)
    broken = V.copy()
    broken[2, 1] = bad
    with pytest.raises(DataError, match="finite, non-negative"):
        nmf(broken, np.ones((5, 2)), np.ones((2, 3)))
    start = np.ones((5, 2))
    start[0, 0] = bad
    with pytest.raises(DataError, match="W must start"):
        nmf(V, start, np.ones((2, 3)))


def test_a_start_of_the_wrong_shape_is_refused() -> None:
    V = np.ones((5, 3), np.float32)
    with pytest.raises(DataError, match="does not fit"):
        nmf(V, np.ones((4, 2)), np.ones((2, 3)))
    with pytest.raises(DataError, match="do not fit"):
        weights(V, np.ones((2, 4)))


def test_cancel_is_noticed_during_a_fit() -> None:
    V = np.random.default_rng(0).random((4000, 100), np.float32)
    control = Control()
    timer = threading.Timer(0.2, control.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        nmf(V, *random_start(V, 40, 0), tolerance=0, max_iterations=100_000, control=control)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("faint", [1e-12, 1e-19, 1e-22])
def test_component_of_vanishing_weights_does_not_run_away(faint):
    generator = np.random.default_rng(3)
    V = generator.random((200, 30), np.float32)
    W = generator.random((200, 6), np.float32)
    W[:, 2] *= np.float32(faint)
    H = generator.random((6, 30), np.float32)
    gram, product = (W.T @ W).astype(np.float64), (W.T @ V).astype(np.float64)
    found = hals._update_components(H, gram, product)
    np.testing.assert_array_equal(found[2], H[2])
    assert found.max() < 10
