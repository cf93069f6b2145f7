"""Size, shape, place and overlap of grains, against hands and scikit-image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.measurement import feret_max, measure, perimeter
from napari_stemnmf.grains.patterns import GrainPatterns


def axes(shape, y=0.5, x=0.5, unit="nm", offset=0.0, assumed=False):
    return (
        Axis("scan_y", shape[0], y, unit, offset, assumed),
        Axis("scan_x", shape[1], x, unit, offset, assumed),
        Axis("q_y", 4),
        Axis("q_x", 4),
    )


def rectangle(rows, columns, shape=(20, 30)):
    mask = np.zeros(shape, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def one(mask, **kwargs):
    return measure(Grains.from_masks(mask), **kwargs).iloc[0]


def blob(seed, shape=(40, 50)):
    from scipy import ndimage

    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
    labels, _ = ndimage.label(noise > 0.02, structure=np.ones((3, 3)))
    return labels == 1 + np.bincount(labels.ravel())[1:].argmax()


def test_a_rectangle_measures_as_a_hand_does():
    row = one(rectangle((2, 5), (10, 14)), axes=axes((20, 30), offset=1.0))
    assert row.area_px == 12
    assert row.area_nm2 == pytest.approx(3.0)
    assert row.feret_max_px == pytest.approx(5.0)
    assert row.feret_max_nm == pytest.approx(2.5)
    assert (row.centroid_y_px, row.centroid_x_px) == (3.0, 11.5)
    assert (row.centroid_y_nm, row.centroid_x_nm) == (2.5, 6.75)
    assert row.solidity == pytest.approx(1.0)
    assert row.orientation_deg == pytest.approx(0.0)
    assert row.major_axis_px == pytest.approx(4 * 4 / np.sqrt(12))
    assert row.minor_axis_px == pytest.approx(4 * 3 / np.sqrt(12))
    assert row.eccentricity == pytest.approx(np.sqrt(1 - 9 / 16))
    assert row.equivalent_diameter_nm == pytest.approx(np.sqrt(4 * 3.0 / np.pi))
    assert not row.touches_border


def test_a_single_position_is_measured_without_warning(recwarn):
    row = one(rectangle((4, 5), (6, 7)), axes=axes((20, 30)))
    assert (row.area_px, row.eccentricity, row.solidity) == (1, 0, pytest.approx(1))
    assert row.feret_max_px == pytest.approx(np.sqrt(2))
    assert row.perimeter_px == pytest.approx(np.pi / 4 * (2 + np.sqrt(2)))
    assert np.isnan(row.orientation_deg)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("mask", "angle"),
    [
        (rectangle((3, 4), (2, 12)), 0.0),
        (rectangle((2, 12), (3, 4)), 90.0),
        (np.eye(12, dtype=bool), 45.0),
        (np.eye(12, dtype=bool)[::-1], -45.0),
    ],
)
def test_orientation_of_a_line_runs_from_x_towards_y(mask, angle, recwarn):
    row = one(mask)
    assert row.orientation_deg == pytest.approx(angle)
    assert row.eccentricity > 0.98
    assert not recwarn.list


def test_feret_of_a_line_is_its_length_over_pixel_corners():
    assert feret_max(rectangle((3, 4), (2, 12))) == pytest.approx(np.hypot(10, 1))
    assert feret_max(np.eye(5, dtype=bool)) == pytest.approx(5 * np.sqrt(2))


@pytest.mark.parametrize("seed", range(5))
def test_feret_is_the_largest_distance_of_any_two_pixel_corners(seed):
    mask = blob(seed, (20, 24))
    y, x = np.nonzero(mask)
    corners = np.concatenate([np.stack([y + i, x + j], 1) for i in (0, 1) for j in (0, 1)]) * (0.7, 1.3)
    apart = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    assert feret_max(mask, (0.7, 1.3)) == pytest.approx(apart.max())


@pytest.mark.parametrize("seed", range(6))
def test_shapes_agree_with_scikit_image(seed):
    from skimage.measure import perimeter_crofton, regionprops

    mask = blob(seed)
    row, props = one(mask), regionprops(mask.astype(np.uint8))[0]
    assert row.area_px == props.area
    # scikit-image takes pixels as points, here they are squares: the second moment is 1/12 px² larger
    assert row.major_axis_px**2 == pytest.approx(props.axis_major_length**2 + 16 / 12)
    assert row.minor_axis_px**2 == pytest.approx(props.axis_minor_length**2 + 16 / 12)
    assert row.eccentricity == pytest.approx(props.eccentricity, abs=0.01)
    assert (row.centroid_y_px, row.centroid_x_px) == pytest.approx(props.centroid)
    assert row.equivalent_diameter_px == pytest.approx(props.equivalent_diameter_area)
    assert row.perimeter_px == pytest.approx(perimeter_crofton(mask, directions=4))
    assert -1e-9 < row.feret_max_px - props.feret_diameter_max < 1.0
    assert row.solidity == pytest.approx(props.solidity, abs=0.03)
    turned = np.degrees(props.orientation)  # scikit-image counts from the rows' axis
    assert np.tan(np.radians(row.orientation_deg)) == pytest.approx(np.tan(np.radians(90 - turned)), rel=1e-6)


def test_a_disk_measures_as_a_disk():
    y, x = np.indices((101, 101)) - 50
    row = one(np.hypot(y, x) < 40.5)
    assert row.perimeter_px == pytest.approx(2 * np.pi * 40.5, rel=0.01)
    assert row.equivalent_diameter_px == pytest.approx(81, rel=0.01)
    assert row.feret_max_px == pytest.approx(81, rel=0.02)
    assert row.solidity == pytest.approx(1, abs=0.02)


def test_shapes_are_those_of_the_real_grain_where_steps_differ():
    y, x = np.indices((61, 121))
    ellipse = np.hypot((y - 30) * 2.0, x - 60) < 50  # a disk of 50 nm where a step is 2 nm along y and 1 nm along x
    row = one(ellipse, axes=axes((61, 121), 2.0, 1.0))
    assert row.eccentricity < 0.15
    assert row.perimeter_nm == pytest.approx(2 * np.pi * 50, rel=0.02)
    assert row.feret_max_nm == pytest.approx(100, rel=0.04)
    assert row.area_nm2 == pytest.approx(np.pi * 50**2, rel=0.01)
    assert row.major_axis_px == pytest.approx(100, rel=0.02)
    assert row.minor_axis_px == pytest.approx(50, rel=0.02)


@pytest.mark.parametrize(("unit", "step"), [("um", 5e-4), ("µm", 5e-4), ("A", 5.0), ("Å", 5.0), ("m", 5e-10)])
def test_other_units_of_length_become_nanometres(unit, step):
    row = one(rectangle((2, 5), (10, 14)), axes=axes((20, 30), step, step, unit))
    assert row.area_nm2 == pytest.approx(3.0)
    assert row.feret_max_nm == pytest.approx(2.5)


@pytest.mark.parametrize(
    "given", [None, axes((20, 30), unit="px"), axes((20, 30), unit="deg"), axes((20, 30), assumed=True)]
)
def test_without_a_calibrated_length_there_are_no_columns_in_nm(given):
    table = measure(Grains.from_masks(rectangle((2, 5), (10, 14))), given)
    assert not [c for c in table.columns if "nm" in c]
    assert "area_px" in table


def test_negative_scales_give_positive_lengths_and_true_places():
    row = one(rectangle((2, 5), (10, 14)), axes=axes((20, 30), -0.5, 0.5, offset=10.0))
    assert row.area_nm2 == pytest.approx(3.0)
    assert row.centroid_y_nm == pytest.approx(8.5)


@pytest.mark.parametrize("rows", [(0, 3), (17, 20)])
def test_a_grain_at_the_edge_of_the_scan_touches_the_border(rows):
    assert one(rectangle(rows, (5, 9))).touches_border
    assert one(rectangle(rows, (5, 9)).T).touches_border


def test_overlap_is_told_by_fraction_and_by_number_of_others():
    masks = np.stack(
        [rectangle((0, 4), (0, 5)), rectangle((2, 6), (0, 5)), rectangle((3, 4), (0, 1)), rectangle((9, 10), (9, 10))]
    )
    table = measure(Grains.from_masks(masks))
    assert table.overlap_fraction.tolist() == [0.5, 0.5, 1.0, 0.0]
    assert table.overlap_grains.tolist() == [2, 2, 2, 0]


def test_weights_are_summed_and_averaged_over_the_positions():
    mask = rectangle((0, 2), (0, 3))
    row = measure(Grains.from_masks(mask, np.full(mask.shape, 0.25))).iloc[0]
    assert (row.weight_sum, row.weight_mean) == (1.5, 0.25)


def test_rows_are_in_the_order_of_the_grains_with_their_ids_and_components():
    masks = np.stack([rectangle((0, 2), (0, 3)), rectangle((5, 9), (0, 3))])
    table = measure(Grains.from_masks(masks, component=[4, 2], ids=[7, 3]))
    assert table.grain_id.tolist() == [7, 3]
    assert table.component.tolist() == [4, 2]
    assert table.area_px.tolist() == [6, 12]


def test_patterns_add_their_dissimilarity():
    masks = np.stack([rectangle((0, 2), (0, 3)), rectangle((5, 9), (0, 3))])
    blank = np.zeros((2, 4, 4), np.float32)
    patterns = GrainPatterns(blank, blank, np.array([1.5, 2.5]))
    assert measure(Grains.from_masks(masks), None, patterns).dissimilarity.tolist() == [1.5, 2.5]
    assert "dissimilarity" not in measure(Grains.from_masks(masks))
    with pytest.raises(DataError, match="patterns"):
        measure(Grains.from_masks(masks[:1]), None, patterns)


def test_no_grains_give_an_empty_table_with_the_same_columns_and_types():
    mask = rectangle((2, 5), (10, 14))
    full, empty = (measure(Grains.from_masks(m), axes((20, 30))) for m in (mask, np.zeros((0, 20, 30), bool)))
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_a_grain_without_positions_has_no_area_and_no_shape(recwarn):
    row = one(np.zeros((20, 30), bool), axes=axes((20, 30)))
    assert (row.area_px, row.area_nm2) == (0, 0)
    assert np.isnan(row.feret_max_nm)
    assert np.isnan(row.solidity)
    assert np.isnan(row.overlap_fraction)
    assert not recwarn.list


def test_axes_of_another_scan_are_refused():
    with pytest.raises(DataError, match="20 x 30"):
        measure(Grains.from_masks(rectangle((2, 5), (10, 14))), axes((30, 20)))


@given(seed=st.integers(0, 10_000), y=st.integers(0, 7), x=st.integers(0, 7))
def test_moving_a_grain_changes_nothing_but_its_place(seed, y, x):
    small = np.random.default_rng(seed).random((6, 7)) > 0.5
    small[2, 3] = True
    here, there = np.zeros((2, 20, 20), bool)
    here[4:10, 4:11] = small
    there[4 + y : 10 + y, 4 + x : 11 + x] = small
    moving = ["centroid_y_px", "centroid_x_px"]
    first, second = one(here), one(there)
    np.testing.assert_allclose(
        second.drop(moving).astype(float), first.drop(moving).astype(float), rtol=1e-9, atol=1e-9
    )
    np.testing.assert_allclose((second[moving] - first[moving]).astype(float), [y, x], atol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_turning_a_grain_swaps_its_axes_and_keeps_its_size(seed):
    mask = np.random.default_rng(seed).random((8, 11)) > 0.5
    mask[3, 3] = True
    steps = (0.8, 1.7)
    assert feret_max(mask.T, steps[::-1]) == pytest.approx(feret_max(mask, steps))
    assert perimeter(mask.T, steps[::-1]) == pytest.approx(perimeter(mask, steps))
    first, second = one(mask, axes=axes((8, 11), 0.8, 1.7)), one(mask.T, axes=axes((11, 8), 1.7, 0.8))
    for name in ("area_nm2", "major_axis_nm", "minor_axis_nm", "eccentricity", "solidity"):
        assert second[name] == pytest.approx(first[name])


@pytest.mark.parametrize("along", [0, 1])
def test_a_grain_of_a_line_scan_is_measured_in_nm(along):
    shape = (1, 120) if along else (120, 1)
    mask = np.zeros(120, bool)
    mask[10:60] = True
    scan = [Axis(f"scan_{'yx'[i]}", shape[i], 2.0, "nm", assumed=i != along) for i in (0, 1)]
    row = one(mask.reshape(shape), axes=(*scan, Axis("q_y", 4), Axis("q_x", 4)))
    assert row.area_nm2 == pytest.approx(50 * 4.0)
    assert row.feret_max_nm == pytest.approx(np.hypot(100.0, 2.0))
    assert row[f"centroid_{'yx'[along]}_nm"] == pytest.approx(34.5 * 2.0)


def test_steps_that_differ_give_the_real_shape():
    mask = rectangle((2, 8), (10, 14))
    row = one(mask, axes=axes((20, 30), y=1.0, x=3.0))
    assert row.area_nm2 == pytest.approx(24 * 3.0)
    assert row.feret_max_nm == pytest.approx(np.hypot(6.0, 12.0))
    assert row.orientation_deg == pytest.approx(0.0)
    assert (row.centroid_y_nm, row.centroid_x_nm) == (4.5, 34.5)
