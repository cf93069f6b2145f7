"""Merging of components whose maps are alike, and the traps of published code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_stemnmf.clustering.iterative_nmf import correlation, merge, normalise, pairs_to_merge

sizes = st.tuples(st.integers(3, 30), st.integers(1, 9))
maps = sizes.flatmap(lambda s: arrays(np.float32, s, elements=st.floats(0, 10, width=16)))


@given(maps)
def test_correlation_agrees_with_numpy(W: np.ndarray) -> None:
    assume((W.std(axis=0) > 1e-2).all())
    expected = np.corrcoef(W.T.astype(np.float64)).reshape(W.shape[1], W.shape[1])
    np.testing.assert_allclose(correlation(W), expected, atol=1e-4)


def test_a_constant_map_correlates_with_nothing() -> None:
    W = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    W[:, 1] = 0.5
    r = correlation(W)
    assert r[1, 0] == r[1, 2] == 0.0
    assert np.isfinite(r).all()


@given(maps, st.floats(0.01, 1.0), st.integers(0, 99))
def test_merging_keeps_the_sum_of_the_maps_and_of_the_model(W: np.ndarray, threshold: float, seed: int) -> None:
    H = np.random.default_rng(seed).random((W.shape[1], 6)).astype(np.float32)
    merged_W, merged_H, n = merge(W, H, threshold)
    assert merged_W.shape[1] == len(merged_H) == W.shape[1] - n
    np.testing.assert_allclose(merged_W.sum(axis=1), W.sum(axis=1), rtol=1e-4, atol=1e-4)
    # H is the weighted mean: the model's sum over the scan stays
    np.testing.assert_allclose(merged_W.sum(axis=0) @ merged_H, W.sum(axis=0) @ H, rtol=1e-3, atol=1e-3)
    assert (merged_W >= 0).all()
    assert (merged_H >= 0).all()


@given(st.integers(2, 12), st.integers(0, 999), st.floats(-1, 1))
def test_pairs_are_best_first_disjoint_and_as_many_as_can_be(k: int, seed: int, threshold: float) -> None:
    r = np.random.default_rng(seed).uniform(-1, 1, (k, k))
    r = (r + r.T) / 2
    pairs = pairs_to_merge(r, threshold)
    taken = [i for pair in pairs for i in pair]
    assert len(taken) == len(set(taken))
    values = [r[i, j] for i, j in pairs]
    assert values == sorted(values, reverse=True)
    assert all(v >= threshold for v in values)
    left = [i for i in range(k) if i not in taken]
    assert all(r[i, j] < threshold for i in left for j in left if i < j)
    if pairs:
        assert values[0] == r[np.triu_indices(k, 1)].max()


def test_a_pair_exactly_at_the_threshold_merges() -> None:
    r = np.array([[1.0, 0.45], [0.45, 1.0]])
    assert pairs_to_merge(r, 0.45) == [(0, 1)]
    assert pairs_to_merge(r, np.nextafter(0.45, 1)) == []


def test_a_chain_of_alike_maps_merges_its_best_pair_only() -> None:
    r = np.array([[1.0, 0.7, 0.1], [0.7, 1.0, 0.8], [0.1, 0.8, 1.0]])
    assert pairs_to_merge(r, 0.5) == [(1, 2)]


def test_the_row_of_h_is_the_weighted_mean() -> None:
    W = np.array([[3.0, 1.0], [6.0, 2.0], [0.0, 0.0]], np.float32)
    H = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    merged_W, merged_H, n = merge(W, H, 0.9)
    assert n == 1
    np.testing.assert_allclose(merged_W, [[4.0], [8.0], [0.0]])
    np.testing.assert_allclose(merged_H, [[0.75, 0.25]])


def test_maps_that_are_not_alike_survive_a_merge_in_their_place() -> None:
    """Trap: a loop index that leaks deletes maps that were never merged."""
    random = np.random.default_rng(0)
    W = random.random((400, 7)).astype(np.float32)
    W[:, 5] = W[:, 1] * 2 + 0.01 * random.random(400)
    H = random.random((7, 4)).astype(np.float32)
    merged_W, merged_H, n = merge(W, H, 0.9)
    assert n == 1
    survivors = [0, 2, 3, 4, 6]
    np.testing.assert_array_equal(merged_W[:, [0, 2, 3, 4, 5]], W[:, survivors])
    np.testing.assert_array_equal(merged_H[[0, 2, 3, 4, 5]], H[survivors])
    np.testing.assert_allclose(merged_W[:, 1], W[:, 1] + W[:, 5], rtol=1e-6)


def test_arguments_are_not_changed() -> None:
    W = np.repeat(np.random.default_rng(0).random((10, 1)), 3, axis=1).astype(np.float32)
    H = np.ones((3, 2), np.float32)
    before = W.copy(), H.copy()
    merge(W, H, 0.1)
    normalise(W, H)
    np.testing.assert_array_equal(W, before[0])
    np.testing.assert_array_equal(H, before[1])


@given(maps, st.integers(0, 99))
def test_normalising_keeps_the_model_and_gives_unit_rows(W: np.ndarray, seed: int) -> None:
    H = np.random.default_rng(seed).random((W.shape[1], 5)).astype(np.float32) * 40
    normal_W, normal_H = normalise(W, H)
    np.testing.assert_allclose(normal_W @ normal_H, W @ H, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(normal_H, axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("dead", ["map", "row", "both", "nan"])
def test_dead_components_are_left_out(dead: str) -> None:
    random = np.random.default_rng(0)
    W, H = random.random((10, 3)).astype(np.float32), random.random((3, 4)).astype(np.float32)
    if dead in ("map", "both"):
        W[:, 1] = 0
    if dead in ("row", "both"):
        H[1] = 0
    if dead == "nan":
        H[1, 0] = np.nan
    normal_W, normal_H = normalise(W, H)
    assert normal_W.shape == (10, 2)
    assert normal_H.shape == (2, 4)


@pytest.mark.parametrize("k", [0, 1])
def test_nothing_to_merge_with_none_or_one_component(k: int) -> None:
    W, H, n = merge(np.ones((5, k), np.float32), np.ones((k, 3), np.float32), 0.01)
    assert (W.shape, H.shape, n) == ((5, k), (k, 3), 0)
