"""Which neighbour a grain resembles, and which grains are in doubt."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.refinement import Grains
from napari_stemnmf.grains.confidence import review_order
from napari_stemnmf.grains.confidence import compared_pixels, difference, most_similar


@pytest.fixture
def patterns():
    """Those of grains 0 and 2 are nearly the same, those of 1 and 3 as well."""
    generator = np.random.default_rng(0)
    first, second = generator.uniform(0, 100, (2, 9, 9))
    noise = generator.uniform(0, 3, (4, 9, 9))
    return (np.stack([first, second, 2 * first, second]) + noise).astype(np.float32)


def test_the_neighbour_of_the_most_alike_pattern_is_found(patterns):
    masks = np.zeros((4, 8, 12), bool)
    masks[0, :4, :4] = masks[1, 4:, 4:8] = masks[2, 3:6, 3:6] = masks[3, :, 11] = True  # 0 and 1 meet at a corner
    grains = Grains.from_masks(masks, ids=[2, 3, 5, 9])
    alike = most_similar(patterns, grains)
    assert alike.ids[[0, 2, 3]].tolist() == [5, 2, 3]
    assert alike.ids[1] in (2, 5)  # it touches both, and resembles neither
    assert alike.neighbour.tolist() == [True, True, True, False]  # grain 9 has none: the most alike of all
    assert alike.correlation[0] == pytest.approx(alike.correlation[2])
    assert alike.correlation[0] > 0.99
    assert alike.correlation[3] > 0.99 > abs(alike.correlation[1])
    alone = most_similar(patterns[:1], Grains.from_masks(masks[:1]))
    assert alone.ids.tolist() == [0]
    assert np.isnan(alone.correlation).all()
    with pytest.raises(DataError, match="measure the grains"):
        most_similar(patterns, Grains.from_masks(masks[:2]))


def test_the_direct_beam_is_not_compared(patterns):
    geometry = Geometry((9, 9), 4.0, 4.0, 1.0)
    keep = compared_pixels(geometry)
    assert not keep[3:6, 3:6].any()
    assert keep[4, 6]
    bright = patterns.copy()
    bright[:, 3:6, 3:6] += np.arange(4)[:, None, None] * 1e5
    grains = Grains.from_masks(np.ones((4, 2, 2), bool))
    np.testing.assert_array_equal(most_similar(bright, grains, keep).ids, most_similar(patterns, grains, keep).ids)
    assert most_similar(bright, grains, keep).ids.tolist() == [3, 4, 1, 2]


def test_the_difference_has_no_sum_and_no_sign_of_brightness(patterns):
    assert abs(difference(patterns[0], patterns[1]).sum(dtype=np.float64)) < 1e-2
    np.testing.assert_allclose(difference(patterns[0], 7 * patterns[0]), 0, atol=1e-4)
    odd = np.full((9, 9), np.nan, np.float32)
    np.testing.assert_array_equal(difference(patterns[0], odd), patterns[0])


def test_grains_are_ranked_by_what_is_known_of_them():
    table = pd.DataFrame(
        {
            "grain_id": [1, 2, 5, 6],
            "dissimilarity": [10.0, 30.0, 20.0, np.nan],
            "stability": [0.9, 0.5, 0.2, np.nan],
            "overlap_fraction": [0.4, 0.0, 0.4, 0.0],
        }
    )
    ids, scores = rank(table, "stability")
    assert ids.tolist() == [5, 2, 1, 6]
    np.testing.assert_allclose(scores, [0.8, 0.5, 0.1, np.nan])
    assert rank(table, "dissimilarity")[0].tolist() == [2, 5, 1, 6]
    assert rank(table, "overlap")[0].tolist() == [1, 5, 2, 6]  # of equals, the first
    ids, scores = rank(table)
    assert ids.tolist() == [5, 2, 1, 6]
    np.testing.assert_allclose(scores, [1.7 / 3, 1.5 / 3, 0.5 / 3, 0])
    assert np.isnan(rank(table[["grain_id"]])[1]).all()
    with pytest.raises(DataError, match="choose from overall"):
        rank(table, "beauty")
