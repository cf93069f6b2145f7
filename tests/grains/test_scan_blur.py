"""The blur of a scan is read off the data, and undone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse import csr_array
from tracked_scan import disc, scan_of

from napari_stemnmf.grains.scan_blur import blurring, deblurred, scan_blur
from napari_stemnmf.grains.seams import Borders

GRAINS = [disc((60, 60), y, x, r) for y, x, r in ((15, 15, 8), (40, 18, 6), (20, 44, 9), (45, 45, 5), (30, 30, 4))]


def of(blur: float, **settings: float) -> float:
    features, groups = scan_of(GRAINS, blur, **settings)
    values = features.values
    sigma = csr_array((features.details["sigma"], values.indices, values.indptr), shape=values.shape)
    return scan_blur(values.T.tocsr(), sigma.T.tocsr(), Borders.of(groups.scan_shape))


@pytest.mark.parametrize("blur", [1.0, 1.5, 2.0, 3.0])
def test_the_blur_that_the_data_went_through_is_found(blur: float) -> None:
    assert of(blur) == pytest.approx(blur, rel=0.15)


def test_where_the_data_shows_none_there_is_none() -> None:
    assert of(0.0) == 0.0


def test_faint_dark_fields_tell_of_no_blur() -> None:
    assert of(2.0, counts=100) == 0.0


def test_a_blurring_matrix_keeps_a_flat_map_and_goes_on_beyond_the_scan() -> None:
    matrix = blurring(0, 20, (0, 20), 2.0)
    np.testing.assert_allclose(matrix @ np.ones(20), 1, atol=1e-4)
    image = np.random.default_rng(0).random(20)
    np.testing.assert_allclose(matrix @ image, ndimage.gaussian_filter1d(image, 2.0, mode="nearest"), atol=0.02)


def test_nothing_is_blurred_over_a_seam() -> None:
    matrix = blurring(10, 20, (0, 18, 40), 2.0)
    np.testing.assert_array_equal(matrix[:8, 8:], 0)
    np.testing.assert_array_equal(matrix[8:, :8], 0)
    np.testing.assert_array_equal(matrix[8:, 8:], blurring(0, 12, (0, 22), 2.0))


def test_deblurring_brings_a_point_back_together() -> None:
    point = np.zeros((21, 21))
    point[10, 10] = 1000.0
    along = blurring(5, 21, (0, 60), 2.0)
    image = along @ point @ along.T
    sharp = deblurred(image, np.full(image.shape, 1e-3), along, along, 100)
    assert sharp.max() > 4 * image.max()
    assert sharp.sum() == pytest.approx(point.sum(), rel=0.05)


def test_deblurring_does_not_sharpen_what_is_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (30, 30)) + 3
    along = blurring(5, 30, (0, 60), 2.0)
    sharp = deblurred(noise, np.full(noise.shape, 10.0), along, along, 100)
    assert sharp.max() <= 1.01 * noise.max()


def test_a_crystal_that_fills_the_scan_tells_of_no_blur() -> None:
    features, _ = scan_of([np.ones((24, 24), bool)], 0.0, counts=1e5)
    sigma = features.along("sigma")
    assert scan_blur(csr_array(features.values.T), sigma, Borders.of((24, 24))) == 0.0
