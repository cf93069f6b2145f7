"""Scores against truth, by examples computed by hand."""

from fractions import Fraction

import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.scoring import score
from napari_stemnmf.reading.masks import as_masks

NAN = float("nan")


def block(rows: tuple[int, int], columns: tuple[int, int], shape: tuple[int, int] = (10, 10)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def rectangles(*corners: tuple[int, int, int, int], shape: tuple[int, int] = (5, 8)) -> np.ndarray:
    """A stack of masks, each given by first and last row, first and last column."""
    return np.stack([block((a, b + 1), (c, d + 1), shape) for a, b, c, d in corners])


def test_scores_agree_to_the_last_digit_with_an_example_computed_by_hand():
    # A scan of 5 x 8 = 40 positions. Truth (overlap: X), and what was found with its weights:
    #
    #   T0, T1   T2, T3       F0 (weights)   F1, F2   F3          F4
    #   00XX11.. ........     .1133...       ........ ........    44444...   rows 0 and 1
    #   00XX11.. ........     .1133...       ........ ........    44444...
    #   ........ 2222....     ........       1112.... ........    ........   rows 2 and 3
    #   ........ 2222..33     ........       1112.... ........    ........
    #   ........ ........     ........       ........ ...33333    ........   row 4
    #
    # F0 is T1 shifted, F1 and F2 are T2 split, F3 is nothing true, F4 is T0 merged with most of T1; T3 is missed.
    truth = rectangles((0, 1, 0, 3), (0, 1, 2, 5), (2, 3, 0, 3), (3, 3, 6, 7))  # 8, 8, 8, 2 positions
    found = rectangles((0, 1, 1, 4), (2, 3, 0, 2), (2, 3, 3, 3), (4, 4, 3, 7), (0, 1, 0, 4))  # 8, 6, 2, 5, 10
    weights = np.ones(found.shape)
    weights[0, :, 3:] = 3.0
    scores = score(found, truth, weights)

    # Any grain. True: 12 + 8 + 2 = 22, found: 10 + 8 + 5 = 23. Both: 10 + 8 = 18; found only: F3, 5; true only:
    # column 5 of T1 and T3, 4; neither: 40 - 18 - 5 - 4 = 13.
    area = {
        "precision_A": Fraction(18, 18 + 5), "TPR_A": Fraction(18, 18 + 4), "FNR_A": Fraction(4, 18 + 4),
        "TNR_A": Fraction(13, 13 + 5), "FPR_A": Fraction(5, 13 + 5),
    }  # fmt: skip

    # Best matches. F0 holds 2 (1 + 1 + 3) = 10 in T0 and 2 (1 + 3 + 3) = 14 in T1; F4 holds 8 in T0 and 6 in T1.
    #        match  TP  FN  FP  TN  union
    #   F0   T1      6   2   2  30  10
    #   F1   T2      6   2   0  32   8
    #   F2   T2      2   6   0  32   8
    #   F3   none    -   -   5  35   -   TPR 0, FNR 1, all of the scan negative
    #   F4   T0      8   0   2  30  10
    assert scores.best_match.tolist() == [1, 2, 2, -1, 0]
    assert scores.best_iou.tolist() == [6 / 10, 6 / 8, 2 / 8, 0, 8 / 10]
    assert scores.missed.tolist() == [3]
    grain = {
        "TPR_G": [Fraction(6, 8), Fraction(6, 8), Fraction(2, 8), Fraction(0), Fraction(8, 8)],
        "FNR_G": [Fraction(2, 8), Fraction(2, 8), Fraction(6, 8), Fraction(1), Fraction(0, 8)],
        "FPR_G": [Fraction(2, 32), Fraction(0, 32), Fraction(0, 32), Fraction(5, 40), Fraction(2, 32)],
        "TNR_G": [Fraction(30, 32), Fraction(32, 32), Fraction(32, 32), Fraction(35, 40), Fraction(30, 32)],
    }
    for name, fractions in grain.items():
        assert scores.distributions[name].tolist() == [float(fraction) for fraction in fractions]

    # One to one. IoU of F0 with T0 and T1: 6/10 both; of F4: 8/10 and 6/12. F4-T0 and F0-T1 is 1.4, the other way
    # round 1.1; T2 goes to F1 (6/8), not to F2 (2/8); T3 to none.
    assert scores.pairs.tolist() == [[4, 0], [0, 1], [1, 2]]
    assert scores.pair_iou.tolist() == [8 / 10, 6 / 10, 6 / 8]
    # Recall of the partners. One deep: 4 of T0, 4 of T1, 8 of T2, 2 of T3 are claimed, 4 + 2 + 6 + 0 are met. Two
    # deep (X): 4 positions with 2 claims each, all of them met.
    one_to_one = {
        "mean_iou": (Fraction(8, 10) + Fraction(6, 10) + Fraction(6, 8) + 0) / 4, "f1_iou50": Fraction(2 * 3, 5 + 4),
        "recall_depth_1": Fraction(12, 18), "recall_depth_2": Fraction(8, 8),
    }  # fmt: skip
    # The means: TPR 11/4 / 5 = 11/20, FNR 9/20, FPR (1/16 + 1/8 + 1/16) / 5 = 1/20, TNR 19/20.
    means = {
        "TPR_G": Fraction(11, 20), "FNR_G": Fraction(9, 20), "FPR_G": Fraction(1, 20), "TNR_G": Fraction(19, 20),
    }  # fmt: skip
    counts = {"n_true": 4, "n_found": 5, "n_true_hit": 3}
    values = scores.as_dict()
    assert np.isnan(values.pop("recall_depth_3"))
    assert values == {name: float(value) for name, value in (area | means | counts | one_to_one).items()}


LEFT, RIGHT = block((0, 4), (0, 5)), block((5, 9), (0, 5))  # 20 positions each, of 100
TRUTH = np.stack([LEFT, RIGHT])
UPPER, LOWER = block((0, 6), (0, 5)), block((4, 10), (0, 5))  # 30 positions each, 10 of them shared
NOTHING = np.zeros((0, 10, 10), bool)
NAMES = (
    "precision_A", "TPR_A", "TNR_A", "FPR_A", "FNR_A", "TPR_G", "TNR_G", "FPR_G", "FNR_G",
    "n_true", "n_found", "n_true_hit", "mean_iou", "f1_iou50", "recall_depth_1", "recall_depth_2", "recall_depth_3",
)  # fmt: skip


def dense(*masks: np.ndarray) -> np.ndarray:
    """The masks of a label image, in which a later grain hides an earlier one."""
    image = np.zeros(masks[0].shape, int)
    for label, mask in enumerate(masks, 1):
        image[mask] = label
    return as_masks(image)


CASES = {
    "perfect, in another order": (TRUTH[::-1], TRUTH, (1, 1, 1, 0, 0, 1, 1, 0, 0, 2, 2, 2, 1, 1, 1, NAN, NAN)),
    "perfect, overlapping": (
        [UPPER, LOWER], [UPPER, LOWER], (1, 1, 1, 0, 0, 1, 1, 0, 0, 2, 2, 2, 1, 1, 1, 1, NAN),
    ),
    "nothing found": (NOTHING, TRUTH, (NAN, 0, 1, 0, 1, NAN, NAN, NAN, NAN, 2, 0, 0, 0, 0, 0, NAN, NAN)),
    "nothing true": (TRUTH, NOTHING, (0, NAN, 0.6, 0.4, NAN, 0, 0.8, 0.2, 1, 0, 2, 0, NAN, 0, NAN, NAN, NAN)),
    "nothing at all": (NOTHING, NOTHING, (NAN, NAN, 1, 0, NAN, NAN, NAN, NAN, NAN, 0, 0, 0, NAN, NAN, NAN, NAN, NAN)),
    # rows 1..4 of the columns 1..5: 20 positions, of which 3 x 4 = 12 lie in LEFT
    "shifted": (
        [block((1, 5), (1, 6))], TRUTH,
        (12 / 20, 12 / 40, 52 / 60, 8 / 60, 28 / 40, 12 / 20, 72 / 80, 8 / 80, 8 / 20, 2, 1, 1, 12 / 28 / 2, 0,
         12 / 40, NAN, NAN),
    ),
    # LEFT in parts of 15 and 5: one of them is its partner
    "split": (
        [block((0, 3), (0, 5)), block((3, 4), (0, 5)), RIGHT], TRUTH,
        (1, 1, 1, 0, 0, (15 / 20 + 5 / 20 + 1) / 3, 1, 0, (5 / 20 + 15 / 20) / 3, 2, 3, 2, (0.75 + 1) / 2, 4 / 5,
         35 / 40, NAN, NAN),
    ),
    # TPR_G is perfect, though half of the grains is missed
    "merged": (
        [LEFT | RIGHT], TRUTH, (1, 1, 1, 0, 0, 1, 60 / 80, 20 / 80, 0, 2, 1, 1, 0.5 / 2, 0, 20 / 40, NAN, NAN),
    ),
    # LOWER without the 10 positions that it shares; 20 claims lie on them
    "a label image against overlapping truth": (
        dense(LOWER, UPPER), [UPPER, LOWER],
        (1, 1, 1, 0, 0, (1 + 20 / 30) / 2, 1, 0, 10 / 30 / 2, 2, 2, 2, (1 + 20 / 30) / 2, 1, 1, 10 / 20, NAN),
    ),
    "overlapping grains against a true label image": (
        [LOWER, UPPER], dense(LOWER, UPPER),
        (1, 1, 1, 0, 0, 1, (1 + 70 / 80) / 2, 10 / 80 / 2, 0, 2, 2, 2, (1 + 20 / 30) / 2, 1, 1, NAN, NAN),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_metric_where_it_is_known(case: str):
    found, truth, values = CASES[case]
    scores = score(np.array(found), np.array(truth)).as_dict()
    assert tuple(scores) == NAMES
    assert list(scores.values()) == pytest.approx(values, abs=1e-15, nan_ok=True)


def expect(scores, **values):
    found = scores.as_dict()
    for name, value in values.items():
        assert found[name] == pytest.approx(value, abs=1e-15, nan_ok=True), name


def test_of_a_shifted_grain_the_match_and_its_overlap_are_known():
    scores = score(block((1, 5), (1, 6))[None], TRUTH)
    assert scores.pairs.tolist() == [[0, 0]]
    assert scores.pair_iou.tolist() == scores.best_iou.tolist() == [12 / 28]
    assert scores.missed.tolist() == [1]


def test_a_true_grain_that_is_found_in_two_parts_counts_once_one_to_one():
    scores = score(np.stack([block((0, 3), (0, 5)), block((3, 4), (0, 5)), RIGHT]), TRUTH)
    assert scores.best_match.tolist() == [0, 0, 1]
    assert scores.best_iou.tolist() == [0.75, 0.25, 1.0]
    assert scores.pairs.tolist() == [[0, 0], [2, 1]]
    assert scores.distributions["TPR_G"].tolist() == [0.75, 0.25, 1.0]


def test_iou_of_exactly_one_half_is_not_a_hit():
    expect(score(block((0, 4), (0, 5))[None], block((0, 8), (0, 5))[None]), mean_iou=0.5, f1_iou50=0.0)


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


def test_masks_without_positions_are_left_out_and_rows_keep_their_numbers():
    empty = np.zeros((1, 10, 10), bool)
    scores = score(np.concatenate([empty, TRUTH]), np.concatenate([empty, empty, TRUTH]))
    expect(scores, n_true=2, n_found=2, mean_iou=1, TPR_G=1)
    assert scores.found.tolist() == [1, 2]
    assert scores.true.tolist() == [2, 3]
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


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_are_refused(weight):
    with pytest.raises(DataError, match="negative or not finite"):
        score(TRUTH, TRUTH, np.where(TRUTH, weight, 1.0))


def test_scores_are_plain_numbers():
    import json

    values = score(TRUTH, TRUTH).as_dict()
    assert json.loads(json.dumps(values))["n_true"] == 2
