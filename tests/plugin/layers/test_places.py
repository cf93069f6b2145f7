"""Shapes and labels become masks of the detector, however their layer is scaled."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels, Shapes

from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import DataError
from napari_stemnmf.plugin.layers.places import masked_by
from napari_stemnmf.streaming.virtual_detectors import inside_polygon

AXES = (Axis("q_y", 40, 0.1, "1/nm", -2.0), Axis("q_x", 50, 0.1, "1/nm", -2.5))
"""Of a detector of 40 x 50 pixels whose calibration puts 0 into the middle."""
ON_DETECTOR = {"scale": (0.1, 0.1), "translate": (-2.0, -2.5)}
SQUARE = np.array([[9.5, 9.5], [9.5, 19.5], [29.5, 19.5], [29.5, 9.5]])


def test_pixels_whose_centre_lies_in_a_rectangle_are_masked() -> None:
    mask = masked_by(Shapes([SQUARE], shape_type="rectangle", **ON_DETECTOR), AXES)
    expected = np.ones((40, 50), bool)
    expected[10:30, 10:20] = False
    assert np.array_equal(mask, expected)


def test_a_binned_and_cropped_mean_pattern_is_no_other_place() -> None:
    binned = Shapes([(SQUARE - 4.5) / 2], shape_type="polygon", scale=(0.2, 0.2), translate=(-1.55, -2.05))
    assert np.array_equal(
        masked_by(binned, AXES), masked_by(Shapes([SQUARE], shape_type="polygon", **ON_DETECTOR), AXES)
    )


def test_an_ellipse_masks_its_area() -> None:
    corners = np.array([[10.0, 10.0], [10.0, 40.0], [30.0, 40.0], [30.0, 10.0]])
    mask = masked_by(Shapes([corners], shape_type="ellipse", **ON_DETECTOR), AXES)
    assert (~mask).sum() == pytest.approx(np.pi * 10 * 15, rel=0.04)
    assert not mask[20, 25]
    assert mask[11, 11]


def test_several_shapes_add_up_and_lines_do_not_count() -> None:
    layer = Shapes([SQUARE, SQUARE + np.array([0, 20])], shape_type="polygon", **ON_DETECTOR)
    layer.add(np.array([[0.0, 0.0], [39.0, 49.0]]), shape_type="line")
    assert (~masked_by(layer, AXES)).sum() == 400


def test_shapes_on_a_4d_layer_lie_on_its_detector() -> None:
    four = np.concatenate([np.full((4, 2), 3.0), SQUARE], axis=1)
    layer = Shapes([four], shape_type="polygon", scale=(2, 2, 0.1, 0.1), translate=(0, 0, -2.0, -2.5))
    assert (~masked_by(layer, AXES)).sum() == 200


def test_painted_labels_are_masked() -> None:
    painted = np.zeros((40, 50), int)
    painted[5:8, 6:9] = 3
    assert np.array_equal(masked_by(Labels(painted, **ON_DETECTOR), AXES), painted == 0)


def test_labels_on_binned_pixels_mask_all_their_pixels() -> None:
    painted = np.zeros((20, 25), int)
    painted[3, 4] = 1
    mask = masked_by(Labels(painted, scale=(0.2, 0.2), translate=(-1.95, -2.45)), AXES)
    expected = np.ones((40, 50), bool)
    expected[6:8, 8:10] = False
    assert np.array_equal(mask, expected)


def test_the_shown_plane_of_a_labels_stack_counts() -> None:
    painted = np.zeros((3, 40, 50), int)
    painted[2, 5:8, 6:9] = 1
    layer = Labels(painted, scale=(1, 0.1, 0.1), translate=(0, -2.0, -2.5))
    assert (~masked_by(layer, AXES, (2.0, 0.0, 0.0))).sum() == 9
    with pytest.raises(DataError, match="covers no pixel"):
        masked_by(layer, AXES, (0.0, 0.0, 0.0))


def test_a_drawing_beside_the_detector_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="draw a rectangle"):
        masked_by(Shapes([SQUARE + 100], shape_type="rectangle", **ON_DETECTOR), AXES)
    with pytest.raises(DataError, match="covers no pixel"):
        masked_by(Shapes(ndim=2), AXES)


def test_a_polygon_that_crosses_itself_counts_by_the_even_odd_rule() -> None:
    bow = np.array([[0.0, 0.0], [10.0, 10.0], [10.0, 0.0], [0.0, 10.0]])
    inside = inside_polygon(bow, np.array([2.0, 5.5, 8.0]), np.array([1.0, 5.0]))
    assert inside.tolist() == [[False, True], [False, True], [False, True]]
