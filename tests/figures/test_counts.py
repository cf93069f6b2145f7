"""Maps of the number of grains at each position."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.films import grains_per_pattern

PAGE = 175.0


def test_every_map_counts_grains_on_one_scale(by_hand, readable):
    one = by_hand((20, 20), {"rv": 3, "aa": 12})
    other = by_hand((30, 9), {"aa": 4, "bd": 6}, failed={"rv": "No radius has half of its azimuths on valid pixels."})
    truth = np.ones((5, 20, 20), bool)
    figure = grains_per_pattern({"film": one, "wire": other}, {"film": truth})
    readable(figure, PAGE)
    maps = {ax.get_title(): ax.images for ax in figure.axes if ax.get_title()}
    assert list(maps) == [f"{film}: {what}" for film in ("film", "wire") for what in ("truth", "RV", "AA", "BD")]
    assert (maps["film: truth"][0].get_array() == 5).all()
    np.testing.assert_array_equal(maps["film: AA"][0].get_array(), one.grains["aa"].overlap)
    most = max(5, one.grains["aa"].overlap.max(), other.grains["bd"].overlap.max())
    drawn = [maps[name][0] for name in ("film: truth", "film: RV", "film: AA", "wire: AA", "wire: BD")]
    assert {image.get_clim() for image in drawn} == {(-0.5, most + 0.5)}
    said = {ax.get_title(): " ".join(t.get_text() for t in ax.texts) for ax in figure.axes}
    assert said["wire: truth"] == "not given"
    assert said["film: BD"] == "not run"
    assert "No radius" in said["wire: RV"].replace("\n", " ")


def test_single_grains_are_pale_even_where_none_overlap(by_hand, readable):
    figure = grains_per_pattern({"film": by_hand((16, 16), {"aa": 1})})
    readable(figure, PAGE)
    assert sum(figure.axes[0].images[0].cmap(1)[:3]) > 1.5


def test_grains_of_another_scan_are_refused(by_hand):
    with pytest.raises(AnalysisError, match="20 x 20"):
        grains_per_pattern({"film": by_hand((20, 20), {"aa": 2})}, {"film": np.ones((2, 10, 10), bool)})
    with pytest.raises(AnalysisError, match="no grains"):
        grains_per_pattern({"film": by_hand((20, 20), {})})
