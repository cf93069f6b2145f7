"""Which grain is meant, which comes next, and its numbers in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.docks.review import model as reviewing
from napari_stemnmf.plugin.docks.review import words
from napari_stemnmf.plugin.layers.grain_layers import grain_features

MASKS = np.zeros((3, 6, 8), bool)
MASKS[0, :4, :5], MASKS[1, 2:, 2:6], MASKS[2, 5, 7] = True, True, True
GRAINS = Grains.from_masks(MASKS, MASKS * np.array([1.0, 5.0, 1.0])[:, None, None], ids=[2, 3, 7])


def test_a_click_means_the_grain_that_is_seen_then_those_it_covers() -> None:
    there = reviewing.grains_at(GRAINS, 3, 3)
    assert there[0] == GRAINS.labels[3, 3]
    assert sorted(there) == [2, 3]
    assert reviewing.grains_at(GRAINS, 0, 7) == []
    first = reviewing.clicked(there, 0)
    second = reviewing.clicked(there, first)
    assert (first, second) == tuple(there)
    assert reviewing.clicked(there, second) == first
    assert reviewing.clicked(there, 7) == first
    assert reviewing.clicked([], 7) == 0


def test_order_goes_around_the_end_and_doubt_passes_over_what_is_decided() -> None:
    assert [reviewing.after([2, 3, 7], i) for i in (2, 7, 0)] == [3, 2, 2]
    assert [reviewing.after([2, 3, 7], i, -1) for i in (2, 7, 0)] == [7, 3, 7]
    assert reviewing.after([], 2) == 0
    assert reviewing.next_doubtful([7, 3, 2], {7, 2}, 7) == 2
    assert reviewing.next_doubtful([7, 3, 2], {7, 2}, 3) == 2
    assert reviewing.next_doubtful([7, 3, 2], set(), 3) == 0
    assert reviewing.toggled([3, 7], 3) == [7]
    assert reviewing.toggled([3], 7) == [3, 7]


def test_numbers_in_words() -> None:
    table = pd.DataFrame(
        {
            "grain_id": [2, 3, 7],
            "area_nm2": [5.0, 4.0, 0.25],
            "feret_max_nm": [3.2, 2.8, 0.7],
            "overlap_fraction": [0.3, 0.375, 0.0],
            "overlap_grains": [1, 1, 0],
            "dissimilarity": [3.0, 2.0, 1.0],
            "stability": [0.9, np.nan, 1.0],
        }
    )
    features = grain_features(GRAINS, table, stale=np.array([False, False, True]))
    assert words.numbers_in_words(features, 2, 20) == (
        "Grain 2. 20 positions (5 nm²), 3.2 nm across at most, 30% shared with 1 other."
    )
    assert words.more_in_words(features, 2, "group") == (
        "Its patterns differ by 3 (dissimilarity), more than in 50% of the grains. "
        "Other random starts find it with an overlap (IoU) of 0.90."
    )
    assert words.more_in_words(features, 0) == ""
    assert words.numbers_in_words(features, 7, 1, chosen=2) == (
        "Grain 7. 1 position. Changed since it was measured. 2 grains are selected."
    )
    assert words.numbers_in_words(features, 5, 0) == ""
    listed, order = reviewing.listed(GRAINS, features, "dissimilarity")
    assert listed["positions"].tolist() == [20, 16, 1]
    assert order == [2, 3, 7]


def test_a_stroke_comes_to_what_it_changed() -> None:
    now = MASKS[0].copy()
    now[0, :2], now[4, 0] = False, True
    edits = reviewing.stroke(2, MASKS[0], now)
    assert [(edit.kind, edit.grains, edit.points.tolist()) for edit in edits] == [
        ("add", (2,), [[4, 0]]),
        ("erase", (2,), [[0, 0], [0, 1]]),
    ]


def test_how_likely_a_grain_is_and_why_not_is_said_before_it_is_measured() -> None:
    judged = replace(GRAINS, confidence=np.array([0.97, 0.55, np.nan], np.float32), reasons=("", "only two spots", ""))
    features = grain_features(judged)
    assert words.numbers_in_words(features, 2, 20).startswith("Grain 2. Likely right: 97%. 20 positions")
    assert "Likely right: 55%: only two spots. " in words.numbers_in_words(features, 3, 16)
    assert "Likely" not in words.numbers_in_words(features, 7, 1)
    assert "Likely" not in words.numbers_in_words(grain_features(GRAINS), 3, 16)
    table, order = reviewing.listed(judged, features, "confidence")
    assert order == [3, 2, 7]
    assert table["confidence"].round(2).tolist()[:2] == [0.97, 0.55]
