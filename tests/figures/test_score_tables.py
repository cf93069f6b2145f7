"""Scores, typeset."""

from __future__ import annotations

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import DataError
from napari_stemnmf.figures.tables import best, score_tables
from napari_stemnmf.grains.scoring import score_table

PAGE = 175.0


@pytest.fixture
def table(drawn_sample):
    analysis, sample = drawn_sample
    scores = {
        (film, feature): stem.score(analysis.grains[feature], sample.masks)
        for film in ("Ag1", "a film with a long name")
        for feature in ("rv", "aa", "bd")
    }
    return score_table(scores)


def test_every_number_is_written_once_for_each_row(table, readable):
    figure = score_tables(table)
    readable(figure, PAGE)
    area, grain, pairs = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    for row in table.itertuples():
        assert f"{100 * row.precision_A:.1f}" in area
        assert f"{100 * row.TPR_G:.1f}" in grain
        assert str(row.n_found) in grain
        assert f"{100 * row.mean_iou:.1f}" in pairs


def test_the_best_of_each_film_is_bold(table):
    table.loc[:, "precision_A"] = [0.5, 0.7, 0.6, 0.9, 0.9, 0.1]
    table.loc[:, "FNR_A"] = [0.5, 0.7, 0.6, np.nan, 0.2, 0.1]
    table.loc[:, "TPR_A"] = [0.5, 0.5, 0.5, 0.1, 0.2, 0.3]
    assert best(table, "precision_A") == {1, 3, 4}
    assert best(table, "FNR_A") == {0, 5}
    assert best(table, "TPR_A") == {5}
    assert best(table, "n_found") == set()
    bold = [t.get_text() for t in score_tables(table).axes[0].texts if t.get_fontweight() == "bold"]
    assert bold.count("90.0") == 2
    assert "70.0" in bold
    assert "10.0" in bold
    assert "–" not in bold


def test_incomplete_tables_are_refused(table):
    with pytest.raises(DataError, match="mean_iou"):
        score_tables(table.drop(columns="mean_iou"))
    with pytest.raises(DataError, match="empty"):
        score_tables(table[:0])
