"""Confidence in grains: stability across the seeds, the most similar neighbour, and the order of a review."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.clustering import ensemble
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.grains.confidence import (
    compared_pixels,
    difference,
    mean_best_iou,
    most_similar,
    review_order,
    seed_grains,
    stability,
)
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.refinement import refine
from napari_stemnmf.representation_settings import ClusteringSettings, RefinementSettings, ScalingSettings

SCALING, REFINEMENT = ScalingSettings(), RefinementSettings(min_size=3)


class Matrix:
    """Three patches of different rows, one of them weak."""

    scan_shape = (16, 16)

    def __init__(self):
        generator = np.random.default_rng(0)
        maps = np.zeros((3, 16, 16))
        maps[0, 1:7, 1:7], maps[1, 8:15, 2:9], maps[2, 3:12, 10:15] = 5, 4, 3
        values = maps.reshape(3, -1).T @ generator.uniform(0, 1, (3, 24)) + 0.05 * generator.random((256, 24))
        self.values = values.astype(np.float32)


@pytest.fixture(scope="module")
def features():
    return Matrix()


@pytest.fixture(scope="module")
def model(features):
    return ensemble.cluster(features, SCALING, ClusteringSettings(components=8, seeds=4), workers=1)


def test_the_best_iou_is_found_in_each_set_and_averaged():
    grains = csr_array(np.array([[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]))
    others = [csr_array(np.array([[1, 1, 1, 0], [0, 1, 0, 0]])), csr_array((0, 4), dtype=np.int64)]
    np.testing.assert_allclose(mean_best_iou(grains, others[:1]), [2 / 3, 0, 0])
    np.testing.assert_allclose(mean_best_iou(grains, others), [1 / 3, 0, 0])
    assert np.isnan(mean_best_iou(grains, [])).all()
    assert mean_best_iou(others[1], others).shape == (0,)


def test_grains_that_all_seeds_find_are_stable_and_a_drawn_one_is_not(model, features):
    found = refine(model.maps, REFINEMENT)
    drawn = np.zeros((1, 16, 16), bool)
    drawn[0, 0, :] = True
    whole = Grains.from_masks(np.concatenate([found.masks, drawn]))
    stable = stability(whole, model, features, SCALING, REFINEMENT)
    assert stable.shape == (len(found) + 1,)
    assert stable[:-1].max() > 0.9
    assert stable[-1] < 0.1
    assert ((stable >= 0) & (stable <= 1)).all()
    others = seed_grains(model, features, SCALING, REFINEMENT, workers=3)
    assert len(others) == 3
    again = mean_best_iou(csr_array(whole.masks.reshape(len(whole), -1), dtype=np.int64), others)
    np.testing.assert_array_equal(stable, again)


def test_the_seeds_are_computed_once_and_a_cancel_is_obeyed(model, features):
    fresh, found = replace(model), refine(model.maps, REFINEMENT)
    stopped, reports = Control(), []
    stopped.cancel()
    with pytest.raises(Cancelled):
        stability(found, fresh, features, SCALING, REFINEMENT, control=stopped)
    first = stability(found, fresh, features, SCALING, REFINEMENT, control=Control(reports.append))
    assert [(r.done, r.total) for r in reports] == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(stability(found, fresh, features, SCALING, REFINEMENT, control=stopped), first)
    alone = replace(model, seeds=model.seeds[:1], seed=model.seeds[0].seed)
    assert np.isnan(stability(found, alone, features, SCALING, REFINEMENT)).all()


@pytest.fixture
def patterns():
    """Those of grains 0 and 2 are nearly the same, those of 1 and 3 as well."""
    generator = np.random.default_rng(0)
    first, second = generator.uniform(0, 100, (2, 9, 9))
    noise = generator.uniform(0, 3, (4, 9, 9))
    return (np.stack([first, second, 2 * first, second]) + noise).astype(np.float32)


def test_the_neighbour_of_the_most_similar_pattern_is_found(patterns):
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
    ids, scores = review_order(table, "stability")
    assert ids.tolist() == [5, 2, 1, 6]
    np.testing.assert_allclose(scores, [0.8, 0.5, 0.1, np.nan])
    assert review_order(table, "dissimilarity")[0].tolist() == [2, 5, 1, 6]
    assert review_order(table, "overlap")[0].tolist() == [1, 5, 2, 6]  # of equals, the first
    ids, scores = review_order(table)
    assert ids.tolist() == [5, 2, 1, 6]
    np.testing.assert_allclose(scores, [1.7 / 3, 1.5 / 3, 0.5 / 3, 0])
    assert np.isnan(review_order(table[["grain_id"]])[1]).all()
    with pytest.raises(DataError, match="choose from overall"):
        review_order(table, "beauty")
