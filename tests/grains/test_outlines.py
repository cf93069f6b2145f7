"""Outlines of grains are true whatever the blur of the scan and the size of the grain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from tracked_scan import disc, scan_of

from napari_stemnmf.grains.outlines import largest, outlines


def masks_of(truth: list[np.ndarray], blur: float, **settings: float) -> np.ndarray:
    features, groups = scan_of(truth, blur, **settings)
    values = features.values
    sigma = csr_array((features.details["sigma"], values.indices, values.indptr), shape=values.shape)
    drawn = outlines(groups, values.T.tocsr(), sigma.T.tocsr(), blur)
    assert drawn.maps.max() < 1.6
    return drawn.inside.toarray().reshape(-1, *groups.scan_shape) > 0


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0, 3.0])
def test_a_large_grain_keeps_its_outline(blur: float) -> None:
    truth = disc((60, 60), 30, 30, 12)
    assert iou(masks_of([truth], blur)[0], truth) > 0.88


def test_a_grain_of_sixteen_positions_is_not_the_size_of_the_blur() -> None:
    truth = np.zeros((40, 40), bool)
    truth[18:22, 18:22] = True
    found = masks_of([truth], 2.0)[0]
    assert 10 <= found.sum() <= 24
    assert iou(found, truth) > 0.5


def test_a_grain_at_the_edge_of_the_scan_reaches_it() -> None:
    truth = disc((40, 40), 0, 20, 9)
    found = masks_of([truth], 2.0)[0]
    assert found[0, 14:27].all()
    assert iou(found, truth) > 0.85


def test_grains_are_outlined_each_by_itself() -> None:
    truth = [disc((50, 50), 20, 20, 9), disc((50, 50), 24, 28, 8)]
    together = masks_of(truth, 2.0)
    assert [iou(m, t) > 0.85 for m, t in zip(together, truth, strict=True)] == [True, True]


def test_a_grain_is_outlined_alike_in_a_larger_scan() -> None:
    grain = disc((50, 50), 22, 25, 7)
    alone = masks_of([grain], 2.0)[0]
    whole = masks_of([np.pad(grain, ((0, 40), (0, 60)))], 2.0)[0]
    np.testing.assert_array_equal(whole[:50, :50], alone)
    assert whole.sum() == alone.sum()


def test_the_largest_region_is_kept_and_its_holes_are_filled() -> None:
    mask = np.zeros((12, 12), bool)
    mask[1:7, 1:7] = True
    mask[3, 3] = False
    mask[10, 10] = True
    assert largest(mask).sum() == 36


def test_a_spot_of_another_grain_at_the_same_place_of_the_detector_does_not_widen_an_outline() -> None:
    truth, beside = disc((50, 50), 25, 18, 7), disc((50, 50), 25, 31, 6)
    features, groups = scan_of([truth | beside, truth], 1.0, spots=5)
    groups = replace(groups, group=np.array([0, -1, -1, -1, -1, 0, 0, 0, 0, 0]), amplitude=groups.amplitude[:1])
    sigma = features.along("sigma")
    found = outlines(groups, csr_array(features.values.T), sigma, 1.0).inside.toarray().reshape(-1, 50, 50)[0] > 0
    assert iou(found, truth) > 0.8
