"""The scree and the number of components that it suggests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from napari_stemnmf.clustering import scree as module
from napari_stemnmf.clustering.scree import knee, scree
from napari_stemnmf.errors import DataError


def low_rank(rank: int, noise: float, rows: int = 900, columns: int = 70, seed: int = 0) -> np.ndarray:
    """A matrix of some rank, and noise."""
    random = np.random.default_rng(seed)
    clean = random.random((rows, rank)) @ random.random((rank, columns))
    return (clean + noise * random.standard_normal((rows, columns))).astype(np.float32)


def test_variances_agree_with_scikit_learns_pca() -> None:
    V = low_rank(6, 0.1)
    pca = PCA().fit(V.astype(np.float64))
    result = scree(V, 20)
    np.testing.assert_allclose(result.variance, pca.explained_variance_[:20] * (len(V) - 1) / len(V), rtol=1e-6)
    np.testing.assert_allclose(result.ratio, pca.explained_variance_ratio_[:20], rtol=1e-6)


def test_a_wide_matrix_gives_the_same_leading_variances(monkeypatch: pytest.MonkeyPatch) -> None:
    V = low_rank(6, 0.1, columns=300)
    exact = scree(V, 20)
    monkeypatch.setattr(module, "_DENSE", 10)
    randomised = scree(V, 20)
    np.testing.assert_allclose(randomised.variance[:6], exact.variance[:6], rtol=1e-4)
    np.testing.assert_allclose(randomised.total, exact.total, rtol=1e-6)
    assert randomised.suggested == exact.suggested
    np.testing.assert_array_equal(scree(V, 20).variance, randomised.variance)


@pytest.mark.parametrize("rank", [2, 5, 12])
@pytest.mark.parametrize("noise", [1e-4, 0.05])
def test_the_suggestion_is_the_number_of_components_above_the_noise(rank: int, noise: float) -> None:
    assert scree(low_rank(rank, noise)).suggested == rank


@given(st.floats(1e-6, 1e6), st.integers(1, 20))
def test_the_suggestion_does_not_depend_on_the_scale(factor: float, n: int) -> None:
    variance = np.sort(np.random.default_rng(n).gamma(0.3, 1.0, 30))[::-1]
    assert knee(variance) == knee(variance * factor)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_the_suggestion_is_always_a_possible_number(values: list[float]) -> None:
    variance = np.sort(np.array(values))[::-1]
    assert 1 <= knee(variance) <= len(variance)


def test_fewer_rows_or_columns_than_asked_for() -> None:
    assert len(scree(np.random.default_rng(0).random((4, 30))).variance) == 4
    assert len(scree(np.random.default_rng(0).random((30, 2))).variance) == 2
    assert scree(np.ones((5, 5))).suggested == 1


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((0, 3)), np.full((3, 3), np.nan)])
def test_what_is_no_finite_matrix_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError):
        scree(bad)
