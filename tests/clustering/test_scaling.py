"""Scaling of feature columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import MinMaxScaler

from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.errors import DataError
from napari_stemnmf.representation_settings import ScalingSettings

GLOBAL = ScalingSettings(method="global")


def test_minmax_agrees_with_scikit_learn() -> None:
    values = np.random.default_rng(0).normal(50, 20, (60, 7)).astype(np.float32)
    np.testing.assert_allclose(scale(values).values, MinMaxScaler().fit_transform(values), atol=1e-6)


@given(arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 6)), elements=st.floats(-1e6, 1e6, width=32)))
def test_every_kept_column_runs_from_0_to_1(values: np.ndarray) -> None:
    try:
        scaled = scale(values)
    except DataError:
        spread = np.ptp(values, axis=0)
        assert (spread <= 1e-5 * np.abs(values).max(axis=0)).all()
        return
    np.testing.assert_allclose(scaled.values.min(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(scaled.values.max(axis=0), 1.0, atol=1e-6)
    assert scaled.values.dtype == np.float32


def test_scaling_can_be_undone_with_offset_and_factor() -> None:
    values = np.random.default_rng(1).gamma(2.0, 30.0, (40, 5))
    scaled = scale(values)
    np.testing.assert_allclose(scaled.values / scaled.factor + scaled.offset, values, rtol=1e-5, atol=1e-3)


def test_constant_columns_are_dropped_and_named() -> None:
    values = np.random.default_rng(0).random((30, 4))
    values[:, 1] = 7.0
    values[:, 3] = 0.0
    scaled = scale(values)
    assert scaled.dropped == (1, 3)
    assert scaled.kept.tolist() == [True, False, True, False]
    assert scaled.values.shape == (30, 2)
    assert np.isfinite(scaled.values).all()


def test_a_column_that_varies_by_rounding_only_is_constant() -> None:
    values = np.random.default_rng(0).random((30, 2)).astype(np.float32)
    values[:, 1] = np.float32(1000.0)
    values[::2, 1] = np.nextafter(np.float32(1000.0), np.float32(2000.0))
    assert scale(values).dropped == (1,)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("settings", [ScalingSettings(), GLOBAL])
def test_columns_with_values_that_are_not_finite_are_dropped(bad: float, settings: ScalingSettings) -> None:
    values = np.random.default_rng(0).random((30, 3))
    values[4, 2] = bad
    scaled = scale(values, settings)
    assert scaled.dropped == (2,)
    assert np.isfinite(scaled.values).all()


def test_global_scale_keeps_the_ratio_of_columns() -> None:
    values = np.random.default_rng(0).random((30, 3)) * [1.0, 10.0, 100.0]
    scaled = scale(values, GLOBAL)
    np.testing.assert_allclose(scaled.values, values / values.max(), rtol=1e-6)
    assert len(set(scaled.factor)) == 1


def test_global_scale_of_negative_values_is_not_negative() -> None:
    values = np.random.default_rng(0).normal(0.0, 1.0, (30, 3))
    scaled = scale(values, GLOBAL).values
    assert scaled.min() == 0.0
    assert scaled.max() == 1.0


def test_no_varying_column_is_a_clear_error() -> None:
    with pytest.raises(DataError, match="None of the 4 feature columns varies"):
        scale(np.ones((10, 4)))


@pytest.mark.parametrize("shape", [(5,), (0, 3), (3, 0), (2, 2, 2)])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="matrix"):
        scale(np.zeros(shape))


def test_the_argument_is_not_changed() -> None:
    values = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    before = values.copy()
    scale(values)
    scale(values, GLOBAL)
    np.testing.assert_array_equal(values, before)
