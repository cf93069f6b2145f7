"""Scores against truth, by hand computed examples."""

import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.scoring import score
from napari_stemnmf.grains.separation import Grains

NAN = float("nan")


def block(rows: tuple[int, int], columns: tuple[int, int], shape: tuple[int, int] = (10, 10)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


LEFT, RIGHT = block((0, 4), (0, 5)), block((5, 9), (0, 5))  # 20 positions each, of 100
TRUTH = np.stack([LEFT, RIGHT])


def expect(scores, **values):
    found = scores.as_dict()
    for name, value in values.items():
        assert found[name] == pytest.approx(value, abs=1e-15, nan_ok=True), name


def test_grains_that_are_the_truth_score_one():
    expect(
        score(TRUTH[::-1], TRUTH),
        precision_A=1, TPR_A=1, TNR_A=1, FPR_A=0, FNR_A=0, TPR_G=1, TNR_G=1, FPR_G=0, FNR_G=0,
        n_true=2, n_found=2, n_true_hit=2, mean_iou=1, f1_iou50=1,
        recall_depth_1=1, recall_depth_2=NAN, recall_depth_3=NAN,
    )  # fmt: skip


def test_a_shifted_grain_is_scored_by_hand():
    # found: rows 1..4 of the columns 1..5: 20 positions, of which 3 x 4 = 12 lie in LEFT
    scores = score(block((1, 5), (1, 6))[None], TRUTH)
    expect(
        scores,
        precision_A=12 / 20, TPR_A=12 / 40, TNR_A=52 / 60, FPR_A=8 / 60, FNR_A=28 / 40,
        TPR_G=12 / 20, TNR_G=72 / 80, FPR_G=8 / 80, FNR_G=8 / 20,
        n_true=2, n_found=1, n_true_hit=1, mean_iou=12 / 28 / 2, f1_iou50=0.0, recall_depth_1=12 / 40,
    )  # fmt: skip
    assert scores.pairs.tolist() == [[0, 0]]
    assert scores.pair_iou.tolist() == [12 / 28]


def test_a_true_grain_that_is_found_in_two_parts_counts_once_one_to_one():
    parts = np.stack([block((0, 3), (0, 5)), block((3, 4), (0, 5)), RIGHT])
    scores = score(parts, TRUTH)
    expect(
        scores,
        precision_A=1, TPR_A=1, TPR_G=(15 / 20 + 5 / 20 + 1) / 3, FPR_G=0, n_found=3, n_true_hit=2,
        mean_iou=(0.75 + 1) / 2, f1_iou50=2 * 2 / 5, recall_depth_1=35 / 40,
    )  # fmt: skip
    assert scores.best_match.tolist() == [0, 0, 1]
    assert scores.pairs.tolist() == [[0, 0], [2, 1]]
    assert scores.distributions["TPR_G"].tolist() == [0.75, 0.25, 1.0]


def test_two_true_grains_found_as_one_are_half_missed_though_TPR_G_is_perfect():
    scores = score((LEFT | RIGHT)[None], TRUTH)
    expect(
        scores,
        precision_A=1, TPR_A=1, TPR_G=1, TNR_G=60 / 80, FPR_G=20 / 80, n_true_hit=1, mean_iou=0.5 / 2, f1_iou50=0.0,
    )  # fmt: skip


def test_iou_of_exactly_one_half_is_not_a_hit():
    expect(score(block((0, 4), (0, 5))[None], block((0, 8), (0, 5))[None]), mean_iou=0.5, f1_iou50=0.0)


def test_overlapping_truth_is_scored_grain_by_grain():
    upper, lower = block((0, 6), (0, 5)), block((4, 10), (0, 5))  # 30 each, 10 shared
    expect(
        score(np.stack([upper, block((6, 10), (0, 5))]), np.stack([upper, lower])),
        precision_A=1, TPR_A=1, TNR_A=1, FPR_A=0, TPR_G=(1 + 20 / 30) / 2, TNR_G=1, n_true_hit=2,
        mean_iou=(1 + 20 / 30) / 2, f1_iou50=1, recall_depth_1=1, recall_depth_2=10 / 20,
    )  # fmt: skip


def test_depths_of_three_and_more_are_taken_together():
    truth = np.stack([LEFT] * 3 + [block((0, 1), (0, 1))])
    scores = score(truth[:1], truth)
    assert scores.recall_by_depth[3] == pytest.approx(20 / (60 + 1))
    assert np.isnan(scores.recall_by_depth[1])


def test_best_match_follows_the_weights_and_not_the_area():
    found = block((2, 8), (0, 5))  # 10 positions in LEFT, 15 in RIGHT
    weights = np.where(LEFT, 3.0, 1.0)[None]
    assert score(found[None], TRUTH).best_match.tolist() == [1]
    assert score(found[None], TRUTH, weights).best_match.tolist() == [0]
    assert score(Grains.from_masks(found, weights), TRUTH).best_match.tolist() == [0]


def test_weights_outside_a_mask_do_not_count():
    weights = np.where(RIGHT, 100.0, 1.0)[None]
    assert score(LEFT[None], TRUTH, weights).best_match.tolist() == [0]


def test_of_equally_heavy_matches_the_one_with_the_higher_overlap_is_best():
    small = block((0, 2), (0, 2))
    truth = np.stack([block((0, 10), (0, 10)), block((0, 3), (0, 3))])
    assert score(small[None], truth, np.full((1, 10, 10), 0.1)).best_match.tolist() == [1]


def test_a_grain_that_touches_no_true_grain_matches_none_and_lowers_the_mean():
    scores = score(np.stack([LEFT, block((0, 2), (8, 10))]), TRUTH)
    assert scores.best_match.tolist() == [0, -1]
    assert scores.distributions["TPR_G"].tolist() == [1, 0]
    assert scores.distributions["FPR_G"].tolist() == [0, 4 / 100]
    expect(scores, TPR_G=0.5, FNR_G=0.5, n_true_hit=1, precision_A=20 / 24, f1_iou50=0.5)


def test_nothing_found_gives_no_rates_of_grains_and_no_overlap():
    expect(
        score(np.zeros((0, 10, 10), bool), TRUTH),
        precision_A=NAN, TPR_A=0, TNR_A=1, FPR_A=0, FNR_A=1, TPR_G=NAN, TNR_G=NAN, FPR_G=NAN, FNR_G=NAN,
        n_true=2, n_found=0, n_true_hit=0, mean_iou=0, f1_iou50=0, recall_depth_1=0,
    )  # fmt: skip


def test_empty_truth_gives_no_rates_of_truth():
    expect(
        score(TRUTH, np.zeros((0, 10, 10), bool)),
        precision_A=0, TPR_A=NAN, TNR_A=0.6, FPR_A=0.4, FNR_A=NAN, TPR_G=0, FNR_G=1, FPR_G=0.2,
        n_true=0, n_found=2, n_true_hit=0, mean_iou=NAN, f1_iou50=0,
    )  # fmt: skip


def test_nothing_found_where_nothing_is_gives_no_f1():
    nothing = np.zeros((0, 10, 10), bool)
    expect(score(nothing, nothing), precision_A=NAN, TNR_A=1, f1_iou50=NAN, mean_iou=NAN, n_true=0, n_found=0)


def test_masks_without_positions_are_left_out_and_rows_keep_their_numbers():
    empty = np.zeros((1, 10, 10), bool)
    scores = score(np.concatenate([empty, TRUTH]), np.concatenate([empty, empty, TRUTH]))
    expect(scores, n_true=2, n_found=2, mean_iou=1, TPR_G=1)
    assert scores.found.tolist() == [1, 2]
    assert scores.best_match.tolist() == [2, 3]
    assert scores.pairs.tolist() == [[1, 2], [2, 3]]


def test_a_true_grain_over_the_whole_scan_leaves_no_negatives():
    whole = np.ones((1, 10, 10), bool)
    expect(score(whole, whole), TPR_G=1, FPR_G=NAN, TNR_G=NAN, FPR_A=NAN, precision_A=1)


def test_no_score_warns(recwarn):
    nothing = np.zeros((0, 10, 10), bool)
    for found in (nothing, TRUTH):
        for truth in (nothing, TRUTH):
            score(found, truth)
    assert not recwarn.list


def test_order_of_grains_and_truth_does_not_change_the_scores():
    generator = np.random.default_rng(5)
    found, truth = generator.random((6, 12, 13)) > 0.7, generator.random((4, 12, 13)) > 0.6
    weights = generator.random(found.shape)
    order = generator.permutation(6)
    first = score(found, truth, weights).as_dict()
    assert score(found[order], truth[::-1], weights[order]).as_dict() == pytest.approx(first)


def test_scores_agree_with_a_plain_reading_of_the_definitions():
    generator = np.random.default_rng(7)
    found, truth = generator.random((5, 11, 9)) > 0.6, generator.random((7, 11, 9)) > 0.7
    weights = generator.random(found.shape)
    rates, hit = [], set()
    for mask, weight in zip(found, weights, strict=True):
        inside = [weight[mask & t].sum() for t in truth]
        best = int(np.argmax(inside))
        hit.add(best)
        t = truth[best]
        rates.append([(mask & t).sum() / t.sum(), (~mask & ~t).sum() / (~t).sum(), (mask & ~t).sum() / (~t).sum()])
    TPR, TNR, FPR = np.mean(rates, axis=0)
    any_found, any_true = found.any(0), truth.any(0)
    expect(
        score(found, truth, weights),
        TPR_G=TPR, TNR_G=TNR, FPR_G=FPR, FNR_G=1 - TPR, n_true_hit=len(hit),
        precision_A=(any_found & any_true).sum() / any_found.sum(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "truth"),
    [(TRUTH, np.zeros((2, 9, 10), bool)), (TRUTH[0], TRUTH), (TRUTH, TRUTH[0]), (TRUTH, np.zeros(3, bool))],
)
def test_grains_and_truth_of_different_scans_are_refused(found, truth):
    with pytest.raises(DataError):
        score(found, truth)


def test_scores_are_plain_numbers():
    import json

    values = score(TRUTH, TRUTH).as_dict()
    assert json.loads(json.dumps(values))["n_true"] == 2
