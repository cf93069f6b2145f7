"""Maps of overlapping grains: what lies where, how many, in which colour."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from napari_stemnmf.dataset import Axis
from napari_stemnmf.figures.maps import (
    DEUTERANOPE,
    FULLER,
    GAMMA,
    GROUND,
    LINE_WIDTH,
    PALE,
    UNMATCHED,
    draw_grains,
    empty_map,
    matched_colours,
    neighbours_apart,
    outlines,
    round_length,
    striped,
)
from napari_stemnmf.figures.style import COLOURS, in_style, new_figure
from napari_stemnmf.grains.scoring import score

AXES = (Axis("scan_y", 20, 0.5, "nm"), Axis("scan_x", 40, 0.5, "nm"))


@pytest.fixture
def three():
    """Three bars of 20 x 40 positions: all meet in columns 16 to 23, two in columns 8 to 15."""
    masks = np.zeros((3, 20, 40), bool)
    masks[0, :, :24] = True
    masks[1, :, 8:32] = True
    masks[2, :, 16:36] = True
    return masks


@in_style
def drawn(masks, axes=AXES, **options):
    figure = new_figure("column", 60)
    ax = figure.subplots()
    draw_grains(ax, masks, axes, **options)
    return figure, ax


def fill_of(colour, depth):
    white = PALE * FULLER ** (depth - 1)
    return np.array(to_rgb(colour)) * (1 - white) + white


def test_each_position_shows_the_colours_of_all_its_grains_and_no_other(three):
    picture = striped(three, COLOURS[:3])
    step = picture.shape[1] / 40
    for columns, members in (((0, 8), [0]), ((8, 16), [0, 1]), ((16, 24), [0, 1, 2]), ((32, 36), [2])):
        part = picture[:, int((columns[0] + 1) * step) : int((columns[1] - 1) * step)].reshape(-1, 3)
        wanted = np.array([fill_of(COLOURS[i], len(members)) for i in members])
        distance = np.abs(part[:, None] - wanted).max(axis=-1)
        assert distance.min(axis=1).max() < 1e-6
        share = np.bincount(distance.argmin(axis=1), minlength=len(members)) / len(part)
        np.testing.assert_allclose(share, 1 / len(members), atol=0.06)
    empty = picture[:, int(37 * step) :].reshape(-1, 3)
    np.testing.assert_allclose(empty, np.broadcast_to(to_rgb(GROUND), empty.shape), atol=1e-6)


def test_stripes_are_as_wide_in_print_whatever_the_map(three):
    def stripe(width_mm):
        row = striped(three, COLOURS[:3], width_mm)[5]
        middle = row[int(len(row) * 0.42) : int(len(row) * 0.58)]
        changes = np.flatnonzero(np.diff(middle, axis=0).any(axis=1))
        return np.diff(changes).mean() / len(row) * width_mm

    assert stripe(40) == pytest.approx(stripe(80), rel=0.1)
    assert 0.4 < stripe(40) < 0.6


def test_fills_end_where_the_outlines_are():
    y, x = np.mgrid[:30, :30]
    mask = np.hypot(y - 14, x - 11) < 9
    picture = striped(mask[None], ["#000000"])
    inside = np.abs(picture - to_rgb(GROUND)).max(axis=-1) > 0.1
    (line,) = outlines(mask)
    area = 0.5 * abs(np.dot(line[:-1, 0], line[1:, 1]) - np.dot(line[1:, 0], line[:-1, 1]))
    assert inside.sum() / (picture.shape[0] / 30) ** 2 == pytest.approx(area, rel=0.01)


def test_a_grain_at_the_border_is_closed_along_it():
    mask = np.zeros((6, 6), bool)
    mask[:3, :3] = True
    (line,) = outlines(mask)
    assert (line[0] == line[-1]).all()
    assert line.min() == -0.5
    assert outlines(np.zeros((4, 4), bool)) == []


def test_every_grain_has_its_outline_in_the_units_of_the_scan(three):
    _, ax = drawn(three, colours=COLOURS[:3], scale="axes")
    (lines,) = ax.collections
    assert len(lines.get_segments()) == 3
    first = lines.get_segments()[0]
    assert first[:, 0].max() == pytest.approx(23.5 * 0.5)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.25, 19.75), (9.75, -0.25))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (nm)", "y (nm)")


def test_a_scale_bar_is_as_long_as_it_says_and_is_inside_the_figure(three, uncluttered):
    figure, ax = drawn(three)
    (bar,) = ax.lines
    assert np.ptp(bar.get_xdata()) == 5
    assert [t.get_text() for t in ax.texts] == ["5 nm"]
    uncluttered(figure)
    assert bar.get_window_extent().y0 > 0
    pixels = (Axis("scan_y", 20), Axis("scan_x", 40))
    _, ax = drawn(three, pixels)
    assert [t.get_text() for t in ax.texts] == ["10 px"]


@pytest.mark.parametrize(("most", "length"), [(0.3, 0.2), (1.0, 1.0), (4.9, 2.0), (5.0, 5.0), (66.0, 50.0)])
def test_lengths_are_round(most, length):
    assert round_length(most) == pytest.approx(length)


def test_a_map_without_grains_and_a_map_that_failed_are_drawn():
    figure, ax = drawn(np.zeros((0, 20, 40), bool))
    figure.draw_without_rendering()
    assert ax.get_xlim() == (-0.25, 19.75)
    figure = new_figure("column", 60)
    ax = figure.subplots()
    empty_map(ax, AXES, "No ring was found in the maximum pattern; give the rings.", 30)
    figure.draw_without_rendering()
    (text,) = ax.texts
    assert " ".join(text.get_text().split()) == "No ring was found in the maximum pattern; give the rings."
    assert text.get_window_extent().width <= ax.get_window_extent().width


def test_a_mask_without_a_position_is_passed_over(three):
    three[1] = False
    _, ax = drawn(three)
    assert len(ax.collections[0].get_segments()) == 2


def test_grains_that_meet_differ_in_colour():
    masks = np.zeros((14, 8, 60), bool)
    for i in range(14):
        masks[i, :, 4 * i : 4 * i + 7] = True
    colours = neighbours_apart(masks)
    assert set(colours) <= set(COLOURS)
    assert all(a != b for a, b in pairwise(colours))
    same_place = neighbours_apart(np.ones((10, 4, 4), bool))
    assert len(set(same_place)) == 10


def test_few_grains_that_meet_differ_to_eyes_without_green_cones_too():
    chosen = neighbours_apart(np.ones((4, 4, 4), bool))
    light = np.array([fill_of(colour, 1) for colour in chosen]) ** GAMMA
    seen = np.clip(light @ np.transpose(DEUTERANOPE), 0, 1) ** (1 / GAMMA)
    assert min(np.abs(a - b).max() for a, b in combinations(seen, 2)) > 0.1


def test_found_grains_take_the_colour_of_the_true_grain_that_they_match():
    truth = np.zeros((2, 8, 8), bool)
    truth[0, :4], truth[1, 4:] = True, True
    truth[:, :, 6:] = False
    found = np.zeros((4, 8, 8), bool)
    found[0, 5:, :4], found[1, :3], found[2, :, 7], found[3, :2, :2] = True, True, True, True
    colours = matched_colours(score(found, truth), 4, ["red", "blue"])
    assert colours == ["blue", "red", UNMATCHED, "red"]
    assert matched_colours(score(found, truth[:0]), 4, []) == [UNMATCHED] * 4


@pytest.mark.parametrize("shape", [(1, 120), (120, 1)])
def test_a_line_scan_is_drawn_wide_enough_to_be_seen(shape: tuple[int, int]):
    axes = (Axis("scan_y", shape[0], 2.0, "nm", assumed=False), Axis("scan_x", shape[1], 2.0, "nm", assumed=False))
    ax = new_figure("page", 60.0).subplots()
    draw_grains(ax, np.ones((1, *shape), bool), axes, scale="axes")
    assert ax.get_box_aspect() in (LINE_WIDTH, 1 / LINE_WIDTH)
