"""Layers and features of grains whose ids have gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.layers.grain_layers import GONE, grain_features, outline
from napari_stemnmf.plugin.layers.grain_planes import Planes

MASKS = np.zeros((3, 4, 6), bool)
MASKS[0, :2], MASKS[1, 1:3], MASKS[2, 3] = True, True, True
GRAINS = Grains.from_masks(MASKS, component=[0, 0, 1], ids=[2, 3, 6])
"""Of which 1, 4 and 5 are gone; 2 and 3 overlap."""


def test_the_row_of_a_label_is_its_number() -> None:
    features = grain_features(GRAINS)
    assert features.index.tolist() == list(range(7))
    assert "index" not in features  # napari's table numbers its rows itself
    assert features["grain_id"].tolist() == [0, 0, 2, 3, 0, 0, 6]
    assert features["verdict"].tolist() == ["", GONE, "", "", GONE, GONE, ""]
    assert features["component"].tolist() == [-1, -1, 0, 0, -1, -1, 1]
    assert features["area [px]"].tolist() == [0, 0, 12, 12, 0, 0, 6]


def test_numbers_of_changed_grains_are_not_shown() -> None:
    table = pd.DataFrame(
        {
            "grain_id": [1, 2, 3],  # as it was measured: 1 is gone, 6 came later
            "component": [0, 0, 0],
            "solidity": [1.0, 0.9, 0.8],
            "touches_border": [True, True, False],
        }
    )
    said = pd.DataFrame({"verdict": ["accepted", "", ""], "class": "", "comment": ["", "thin", ""]}, index=[2, 3, 6])
    features = grain_features(GRAINS, table, said, np.array([False, True, True]))
    assert features.loc[2, ["verdict", "stale", "solidity"]].tolist() == ["accepted", False, 0.9]
    assert features.loc[3, ["comment", "stale"]].tolist() == ["thin", True]
    assert np.isnan(features["solidity"][[0, 1, 3, 4, 5, 6]]).all()
    assert features["touches_border"].dtype == bool


def test_the_outline_is_of_the_whole_grain() -> None:
    assert np.array_equal(outline(GRAINS, 3), MASKS[1] * 3)
    assert not outline(GRAINS, 5).any()


def test_planes_are_the_stack_and_can_be_painted() -> None:
    planes = Planes(GRAINS)
    assert np.array_equal(planes, GRAINS.stack)
    assert np.array_equal(planes[1, 2:, :], GRAINS.stack[1, 2:])
    assert np.array_equal(planes[-1], GRAINS.stack[-1])
    planes[0, 3, 5] = 9
    assert (planes[0, 3, 5], planes[0, 0, 0]) == (9, 2)
    assert not GRAINS.masks[0, 3, 5]


def test_the_brush_and_its_undo_change_the_planes_that_are_painted_alone() -> None:
    """napari's brush gives a list of points of one plane, fill of several planes of many."""
    planes, dense = Planes(GRAINS), GRAINS.stack
    for points, value in (
        ((np.array([1, 1]), np.array([0, 3]), np.array([2, 4])), 7),
        ((np.array([0, 2, 2]), np.array([3, 0, 1]), np.array([0, 0, 5])), np.array([1, 2, 3])),
    ):
        assert np.array_equal(planes[points], dense[points])
        planes[points] = dense[points] = value
        assert np.array_equal(planes, dense)
        assert np.array_equal(planes[points], dense[points])
    planes[..., 0] = dense[..., 0] = 5
    assert np.array_equal(planes, dense)
    assert np.array_equal(Planes(GRAINS), GRAINS.stack)
