"""Tables of scores."""

import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.scoring import MEANINGS, Scores, confusion, distributions, pairs, score, score_table

TRUTH = np.zeros((3, 6, 6), bool)
TRUTH[0, :2], TRUTH[1, 1:4], TRUTH[2, 5, 5] = True, True, True  # 12, 18 and 1 positions
FALSE = np.zeros((6, 6), bool)
FALSE[5, :2] = True


@pytest.fixture
def scores() -> dict[tuple[str, str], Scores]:
    """The truth found again but for its last grain, nothing found, and one grain that is not true."""
    return {
        ("one", "aa"): score(TRUTH[1::-1], TRUTH),
        ("one", "rv"): score(TRUTH[:0], TRUTH),
        ("two", "aa"): score(np.stack([TRUTH[2] & False, FALSE]), TRUTH),
    }


def test_there_is_a_row_for_each_analysis_and_feature(scores):
    table = score_table(scores)
    assert list(zip(table["film"], table["feature"], strict=True)) == list(scores)
    assert list(table.columns) == ["film", "feature", *MEANINGS]
    for row, found in zip(table.to_dict("records"), scores.values(), strict=True):
        np.testing.assert_equal({name: row[name] for name in MEANINGS}, found.as_dict())


def test_every_plain_number_is_explained(scores):
    assert list(MEANINGS) == list(scores["one", "aa"].as_dict())


def test_there_is_a_row_for_each_found_grain_whose_mean_is_the_score(scores):
    table = distributions(scores)
    assert table[["film", "feature", "grain", "true_grain"]].to_numpy().tolist() == [
        ["one", "aa", 1, 2], ["one", "aa", 2, 1], ["two", "aa", 2, 0],
    ]  # fmt: skip
    assert table["IoU"].tolist() == [1, 1, 0]
    assert table["FPR_G"].tolist() == [0, 0, 2 / 36]
    means = table.groupby(["film", "feature"])["TPR_G"].mean()
    assert means["one", "aa"] == scores["one", "aa"].TPR_G
    assert means["two", "aa"] == scores["two", "aa"].TPR_G == 0


def test_there_is_a_row_for_each_one_to_one_pair(scores):
    assert pairs(scores).to_numpy().tolist() == [["one", "aa", 2, 1, 1.0], ["one", "aa", 1, 2, 1.0]]


def test_tables_of_nothing_have_their_columns(scores):
    nothing = {("one", "rv"): scores["one", "rv"]}
    for make in (score_table, distributions, pairs):
        assert list(make({}).columns) == list(make(scores).columns)
        assert list(make(nothing).columns) == list(make(scores).columns)
    assert len(distributions(nothing)) == len(pairs({})) == 0


def test_numbers_of_grains_stay_integers_beside_nothing_found(scores):
    assert distributions(scores)["grain"].dtype.kind == pairs(scores)["true"].dtype.kind == "i"


def test_confusion_tells_four_kinds_of_positions():
    found, true = np.array([[0, 0], [1, 1]], bool), np.array([[0, 1], [0, 1]], bool)
    told = confusion(found, true)
    assert told.tolist() == [[0, 3], [2, 1]]
    assert told.dtype == np.int8


def test_confusion_adds_up_to_the_rates_of_the_grain(scores):
    told = confusion(TRUTH[0], TRUTH[1])
    tp, fp, fn = (int((told == kind).sum()) for kind in (1, 2, 3))
    assert (tp, fp, fn) == (6, 6, 12)
    assert score(TRUTH[:1], TRUTH[1:2]).distributions["TPR_G"].tolist() == [tp / (tp + fn)]


def test_masks_of_different_scans_are_not_compared():
    with pytest.raises(DataError):
        confusion(TRUTH[0], TRUTH[0, 1:])
