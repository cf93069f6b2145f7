"""Stability of grains across seeds: 1 where all seeds find them, less where they do not, and cheap to ask again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from napari_stemnmf.clustering import ensemble
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled
from napari_stemnmf.grains.refinement import Grains, refine
from napari_stemnmf.grains.confidence import mean_best_iou, seed_grains, stability
from napari_stemnmf.recipe import ClusteringSettings, RefinementSettings, ScalingSettings

SCALING, SEPARATION = ScalingSettings(), RefinementSettings(min_size=3)


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
    found = refine(model.maps, SEPARATION)
    drawn = np.zeros((1, 16, 16), bool)
    drawn[0, 0, :] = True
    whole = Grains.from_masks(np.concatenate([found.masks, drawn]))
    stable = stability(whole, model, features, SCALING, SEPARATION)
    assert stable.shape == (len(found) + 1,)
    assert stable[:-1].max() > 0.9
    assert stable[-1] < 0.1
    assert ((stable >= 0) & (stable <= 1)).all()
    others = seed_grains(model, features, SCALING, SEPARATION, workers=3)
    assert len(others) == 3
    again = mean_best_iou(csr_array(whole.masks.reshape(len(whole), -1), dtype=np.int64), others)
    np.testing.assert_array_equal(stable, again)


def test_the_seeds_are_worked_at_once_and_a_cancel_is_heeded(model, features):
    fresh, found = replace(model), refine(model.maps, SEPARATION)
    stopped, reports = Control(), []
    stopped.cancel()
    with pytest.raises(Cancelled):
        stability(found, fresh, features, SCALING, SEPARATION, control=stopped)
    first = stability(found, fresh, features, SCALING, SEPARATION, control=Control(reports.append))
    assert [(r.done, r.total) for r in reports] == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(stability(found, fresh, features, SCALING, SEPARATION, control=stopped), first)
    alone = replace(model, seeds=model.seeds[:1], seed=model.seeds[0].seed)
    assert np.isnan(stability(found, alone, features, SCALING, SEPARATION)).all()
