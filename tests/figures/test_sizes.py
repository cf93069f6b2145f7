"""Image, maps and sizes of the grains of a scan; box plots with every value as a point and the mean with its number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.maps import scan_image
from napari_stemnmf.figures.sizes import distributions, number, sizes
from napari_stemnmf.figures.style import in_style, new_figure, save

ALL = {"rv": 4, "aa": 9, "bd": 6}
WHY = "The detector has no room for the radial variance between the central disk and its edge; bin less."


def words(figure):
    return {" ".join(t.get_text().split()) for t in figure.findobj(match=lambda a: hasattr(a, "get_text"))}


def test_a_measured_run_is_drawn_with_all_panels(drawn_sample, readable, uncluttered, tmp_path):
    analysis, _ = drawn_sample
    figure = sizes(analysis)
    readable(figure, 175)
    uncluttered(figure)
    assert {*"abcdefg", "RV", "AA", "BD"} <= words(figure)
    assert {"area (nm²)", "maximum diameter (nm)", "weighted dissimilarity"} <= words(figure)
    mean = analysis.tables["aa"]["area_nm2"].mean()
    assert any(t.startswith("AA mean") and float(t.split()[-1]) == pytest.approx(mean, rel=0.01) for t in words(figure))
    assert all(path.stat().st_size > 20_000 for path in save(figure, tmp_path / "figure5"))


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((30, 30), None),
        ((110, 25), None),
        ((25, 110), 0.5),
        ((30, 50), None),
        ((50, 30), 0.5),
        ((150, 20), 0.5),
    ],
)
def test_scans_of_any_shape_are_arranged_on_a_page(by_hand, uncluttered, shape, step):
    figure = sizes(by_hand(shape, ALL, step=step))
    uncluttered(figure)
    assert figure.get_figheight() * 25.4 < 235
    unit = "px" if step is None else "nm"
    assert f"maximum diameter ({unit})" in words(figure)
    assert {"4 grains", "9 grains", "6 grains"} <= words(figure)


def test_representations_without_grains_or_without_success_keep_their_place(by_hand, uncluttered):
    figure = sizes(by_hand((30, 30), {"aa": 0, "bd": 1}, failed={"rv": WHY}))
    uncluttered(figure)
    assert {WHY, "no grains", "1 grain", "AA none", "RV", *"abcdefg"} <= words(figure)


def test_one_representation_and_many_grains(by_hand, uncluttered):
    figure = sizes(by_hand((60, 40), {"aa": 120}))
    uncluttered(figure)
    assert {"120 grains", *"abcde"} <= words(figure)
    assert "f" not in words(figure)


def test_a_table_that_lacks_a_column_leaves_its_panel_out(by_hand, uncluttered):
    analysis = by_hand((30, 30), {"aa": 4})
    bare = replace(analysis, tables={"aa": analysis.tables["aa"].drop(columns="dissimilarity")})
    figure = sizes(bare)
    uncluttered(figure)
    assert "weighted dissimilarity" not in words(figure)
    uncluttered(sizes(replace(analysis, tables={})))


def test_nothing_to_draw_is_said_in_a_sentence(by_hand):
    with pytest.raises(AnalysisError, match="holds no grains to draw; run it to the end"):
        sizes(by_hand((20, 20), {}, failed={"rv": WHY}))
    analysis = by_hand((20, 20), {"aa": 2})
    with pytest.raises(AnalysisError, match="no image of the scan"):
        sizes(replace(analysis, features={}))


def test_the_image_comes_from_the_rings_where_there_are_any(drawn_sample):
    analysis, _ = drawn_sample
    image = scan_image(analysis)
    assert image.title.startswith("dark field")
    np.testing.assert_allclose(image.values.ravel(), analysis.features["aa"].values.mean(axis=1))
    assert scan_image(analysis, "bd").values.shape == image.values.shape
    assert scan_image(replace(analysis, features={})).title == "mean of each pattern"


@in_style
def drawn(groups, **options):
    figure = new_figure("column", 50)
    ax = figure.subplots()
    distributions(ax, groups, ["#0072B2"] * len(groups), "area (nm²)", **options)
    return figure, ax


def points(ax):
    return [np.asarray(c.get_offsets()) for c in ax.collections]


def test_every_value_is_a_point_of_its_height_within_its_box():
    values = np.random.default_rng(0).normal(50, 4, 200)
    figure, ax = drawn({"RV": values[:20], "AA": values})
    figure.draw_without_rendering()
    first, second = points(ax)
    np.testing.assert_array_equal(first[:, 1], values[:20])
    np.testing.assert_array_equal(second[:, 1], values)
    assert np.abs(second[:, 0] - 1).max() < 0.31
    assert ax.get_ylabel() == "area (nm²)"


def test_the_mean_is_marked_and_printed():
    _, ax = drawn({"RV": np.array([1.0, 2.0, 6.0]), "BD": np.array([100.0, 102.5])})
    assert [t.get_text() for t in ax.get_xticklabels()] == ["RV\nmean 3.00", "BD\nmean 101.2"]
    marks = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "D"]
    assert marks == [3.0, 101.25]


def test_empty_groups_single_values_and_nan_are_drawn():
    figure, ax = drawn({"RV": np.array([]), "AA": np.array([3.0]), "BD": np.array([np.nan, 2.0])})
    figure.draw_without_rendering()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["RV\nnone", "AA\nmean 3.00", "BD\nmean 2.00"]
    assert [len(p) for p in points(ax)] == [1, 1]
    figure, ax = drawn({"RV": np.array([np.nan])})
    figure.draw_without_rendering()


def test_long_names_of_many_groups_are_wrapped_beside_each_other(uncluttered):
    figure, _ = drawn({f"a film with a long name {i}": np.arange(4.0) for i in range(6)}, width_mm=60)
    uncluttered(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (0.0014, "0.0014"), (4.567, "4.57"), (87.94, "87.9"), (955.5, "955.5"), (12345.6, "12346"),
     (3e7, "3e+07"), (-0.5, "-0.50")],
)  # fmt: skip
def test_numbers_have_about_three_digits(value, text):
    assert number(value) == text
