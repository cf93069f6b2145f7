"""Box plots with every value as a point and the mean with its number."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.figures.sizes import distributions, number
from napari_stemnmf.figures.style import in_style, new_figure


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
