"""What is scored, without a viewer."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.scoring import distributions, pairs
from napari_stemnmf.plugin.docks.score.model import Row, Scored, score_all

TRUTH = np.zeros((2, 6, 8), bool)
TRUTH[0, :3], TRUTH[1, 2:5] = True, True
FOUND = Grains.from_masks(TRUTH[:1], np.full((1, 6, 8), 0.5))


def scored(**layers: np.ndarray) -> Scored:
    return score_all("truth", lambda: TRUTH, {"aa": FOUND}, {role.replace("_", "/"): d for role, d in layers.items()})


def names(result: Scored) -> list[str]:
    return [subject.name for subject in result.subjects]


def test_layers_as_they_were_made_are_not_scored_again() -> None:
    assert names(scored(grains_aa=FOUND.labels, stack_aa=FOUND.stack)) == ["AA"]


def test_painted_layers_keep_the_numbers_of_their_labels() -> None:
    labels = FOUND.labels.copy()
    labels[5] = 4
    stack = FOUND.stack.copy()
    stack[0, 5] = 1
    result = scored(grains_aa=labels, stack_aa=stack)
    assert names(result) == ["AA", "AA painted labels", "AA painted stack"]
    assert [row.found for row in result.rows(1)] == [0, 3, -1]
    assert result.scores[2].n_found == 1
    assert list(result.by_name("film")) == [("film", name) for name in names(result)]


def test_grains_are_called_by_their_ids() -> None:
    found = Grains.from_masks(TRUTH, ids=[3, 8])
    result = score_all("truth", lambda: TRUTH[::-1], {"aa": found}, {"stack/aa": np.ones((2, 6, 8), int)})
    assert distributions(result.by_name("film"))["grain"].tolist() == [3, 8, 3, 8]
    assert pairs(result.by_name("film"))[["found", "true"]].to_numpy().tolist()[:2] == [[8, 1], [3, 2]]


def test_a_layer_of_other_data_is_left_alone_and_an_odd_label_refused() -> None:
    assert names(scored(grains_aa=np.ones((3, 3), int), stack_aa=np.ones((9, 6, 8), int))) == ["AA"]
    with pytest.raises(DataError, match="has the label 2000000000"):
        scored(grains_aa=np.full((6, 8), 2_000_000_000))


def test_rows_are_found_grains_and_then_what_was_missed() -> None:
    result = scored()
    assert result.rows(0)[0] == Row(0, 0, 1.0, 0.0, 1.0)
    missed = result.rows(0)[1]
    assert (missed.found, missed.true) == (-1, 1)
    assert np.array_equal(result.match(0, missed), np.where(TRUTH[1], 3, 0))
    assert (result.index("AA"), result.index("BD")) == (0, -1)


def test_scores_are_of_the_very_grains_that_they_were_made_from() -> None:
    result = scored()
    assert result.is_of({"aa": FOUND})
    assert not result.is_of({"aa": Grains.from_masks(TRUTH)})
    assert not result.is_of({"aa": FOUND, "rv": FOUND})


def test_it_can_be_cancelled() -> None:
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        score_all("truth", lambda: TRUTH, {"aa": FOUND}, {}, control)
