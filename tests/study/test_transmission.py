"""Projected potentials: atoms scatter alike wherever they lie between grid points."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.study.transmission import SPREAD, fast_length, projected


@pytest.mark.parametrize("shape", [(40, 64), (50, 36)])
def test_spread_atoms_have_the_spectrum_of_points(shape):
    places = np.random.default_rng(0).random((30, 2)) * shape
    f_y, f_x = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
    narrow = np.exp(2 * np.pi**2 * (SPREAD / 2) ** 2 * (f_y[:, None] ** 2 + f_x**2))  # of points: no other factor
    potential = projected(places.astype(np.float32), narrow.astype(np.float32), shape)
    assert potential.shape == shape
    spectrum = np.fft.fft2(potential)
    f_x = np.fft.fftfreq(shape[1])
    exact = np.exp(-2j * np.pi * np.outer(f_y, places[:, 0])) @ np.exp(-2j * np.pi * np.outer(places[:, 1], f_x))
    inside = (np.abs(f_y[:, None]) < 0.49) & (np.abs(f_x) < 0.49)
    assert np.abs(spectrum - exact)[inside].max() < 1e-2 * np.abs(exact)[inside].mean()


def test_grids_are_even_and_made_of_small_factors():
    for length in (1.0, 37.3, 399.2, 401.0, 2397.0):
        points = fast_length(length)
        assert points >= length
        assert points % 2 == 0
        for factor in (2, 3, 5):
            while points % factor == 0:
                points //= factor
        assert points == 1
