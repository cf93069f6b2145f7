"""Colours, outlines, stripes, hatching and strokes of grains, without a viewer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.layers.grain_colours import PALETTE, colours, places_in_palette, recoloured
from napari_stemnmf.plugin.layers.grain_marks import Box, changed, marks, raster
from napari_stemnmf.plugin.layers.grain_outlines import number_places, outlines
from napari_stemnmf.plugin.layers.grain_planes import Planes
from napari_stemnmf.plugin.layers.strokes import edits_on_flat, edits_on_stack
from napari_stemnmf.streaming.virtual_detectors import inside_polygon

SHAPE = (48, 60)


def crowd(count: int = 40, seed: int = 3) -> Grains:
    """Disks that touch and overlap."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    parts = []
    for _ in range(count):
        away = np.hypot(y - chance.uniform(0, SHAPE[0]), x - chance.uniform(0, SHAPE[1])) / chance.uniform(3, 7)
        at = np.flatnonzero(away < 1)
        parts.append((at, (1.1 - away.ravel()[at]).astype(np.float32)))
    parts = [part for part in parts if len(part[0])]
    return Grains.of(parts, SHAPE, ids=np.arange(3, 3 + len(parts)))


def beside(grains: Grains) -> list[tuple[int, int]]:
    """Pairs that overlap or touch, plainly."""
    padded = np.pad(grains.masks, ((0, 0), (1, 1), (1, 1)))
    grown = np.zeros_like(padded)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            grown |= np.roll(padded, (dy, dx), (1, 2))
    rows = [(i, j) for i in range(len(grains)) for j in range(i) if (grown[i] & padded[j]).any()]
    return [(int(grains.ids[i]), int(grains.ids[j])) for i, j in rows]


def test_neighbours_differ_and_what_nobody_edits_keeps_its_colour() -> None:
    grains = crowd(28)
    places = places_in_palette(grains)
    pairs = beside(grains)
    assert len(pairs) > 30
    assert not [pair for pair in pairs if places[pair[0]] == places[pair[1]]]
    one, other = next((a, b) for a in places for b in places if a < b and places[a] == places[b])
    masks = grains.masks.copy()
    masks[grains.row_of(other)] |= masks[grains.row_of(one)]  # painted up to one of its own colour
    after = Grains.from_masks(masks, ids=grains.ids)
    again = recoloured(after, places, [other])
    assert again[other] != again[one]
    assert {i: p for i, p in again.items() if i != other} == {i: p for i, p in places.items() if i != other}
    assert not [pair for pair in beside(after) if other in pair and again[pair[0]] == again[pair[1]]]


def test_colours_tell_verdict_confidence_and_size() -> None:
    grains = Grains.from_masks([[[1, 1, 1, 1]], [[0, 1, 0, 0]], [[0, 0, 1, 0]]], ids=[1, 2, 4])
    features = pd.DataFrame({"grain_id": [0, 1, 2, 0, 4], "verdict": ["", "accepted", "rejected", "gone", ""]})
    shown = colours(grains, features, {1: 0, 2: 1, 4: 2}, "verdict")
    assert shown[1, 1] > shown[1, 0]
    assert shown[2, 0] > shown[2, 1]
    assert np.ptp(shown[4, :3]) < 0.2
    assert not shown[[0, 3]].any()  # the background, and one that is gone
    grey = colours(grains, features, {}, "confidence")
    assert np.ptp(grey[[1, 2, 4], :3]) == 0  # nothing is known
    features["confidence"] = [np.nan, 1.0, 0.1, np.nan, np.nan]
    known = colours(grains, features, {}, "confidence")
    assert known[1, :3].sum() > known[2, :3].sum()
    sizes = colours(grains, features, {}, "size")
    assert np.array_equal(sizes[2], sizes[4])
    assert not np.array_equal(sizes[1], sizes[2])
    named = colours(grains, features, {1: 0, 2: 1, 4: 2})
    assert [round(255 * v) for v in named[1, :3]] == [int(PALETTE[0][i : i + 2], 16) for i in (1, 3, 5)]


@pytest.mark.parametrize("seed", range(4))
def test_outlines_go_around_all_positions_of_a_grain_and_no_other(seed: int) -> None:
    mask = np.random.default_rng(seed).random((9, 11)) < 0.55  # holes, and corners that touch
    grains = Grains.from_masks([mask])
    inside = np.zeros(mask.shape, int)
    for line in outlines(grains, 1):
        assert np.array_equal(line[0], line[-1])
        inside += inside_polygon(line, np.arange(9.0), np.arange(11.0))
    assert np.array_equal(inside % 2 == 1, mask)  # the line around a hole is inside another
    length = sum(np.abs(np.diff(line, axis=0)).sum() for line in outlines(grains, 1))
    padded = np.pad(mask, 1).astype(int)
    assert length == sum(np.abs(np.diff(padded, axis=axis)).sum() for axis in (0, 1))
    assert outlines(grains, 2) == []


def test_numbers_stand_inside_their_grains() -> None:
    grains = crowd()
    for row, (y, x) in enumerate(number_places(grains)):
        assert grains.masks[row][int(y), int(x)]


def test_stripes_are_of_every_grain_of_an_overlap_and_rejected_ones_are_hatched() -> None:
    grains = crowd()
    finer = raster(SHAPE).finer
    drawn = marks(grains, [], ink=99)
    overlap, labels = grains.overlap, grains.labels
    blocks = drawn.reshape(SHAPE[0], finer, SHAPE[1], finer).swapaxes(1, 2)
    assert not blocks[overlap < 2].any()
    assert (blocks[overlap > 1] > 0).any()
    for y, x in np.argwhere(overlap > 1):
        there = set(grains.ids[grains.at(int(y), int(x))].tolist())
        assert set(np.unique(blocks[y, x]).tolist()) - {0} <= there - {int(labels[y, x])}
    third = int(grains.ids[2])
    hatched = marks(grains, [third], ink=99) == 99
    within = np.kron(grains.mask(2), np.ones((finer, finer), bool))
    assert hatched[within].any()
    assert not hatched[~within].any()
    box = Box(5, 20, 11, 30)
    part = marks(grains, [third], 99, box)
    whole = marks(grains, [third], 99)
    assert np.array_equal(part, whole[5 * finer : 20 * finer, 11 * finer : 30 * finer])


def test_what_has_changed_is_found() -> None:
    before = crowd()
    masks = before.masks.copy()
    masks[4, 10, 10:14] = True
    after = Grains.from_masks(masks, before.weights, ids=before.ids).subset(np.arange(len(before)) != 7)
    ids, box = changed(before, after)
    assert set(ids) == {int(before.ids[4]), int(before.ids[7])}
    y, x = np.nonzero(masks[4] | before.masks[4] | before.masks[7])
    assert box == (y.min(), y.max() + 1, x.min(), x.max() + 1)
    assert changed(before, before) == ([], Box(0, 0, 0, 0))


def test_strokes_of_napari_s_tools_become_edits() -> None:
    masks = np.zeros((2, 4, 6), bool)
    masks[0, :2, :3], masks[1, 2:, :3] = True, True
    grains = Grains.from_masks(masks, ids=[2, 5])
    painted = grains.labels
    painted[1, 1:5], painted[3] = 5, 0
    painted[0, 5] = 9
    edits = [(e.kind, e.grains, sorted(map(tuple, e.points.tolist()))) for e in edits_on_flat(grains, painted)]
    assert edits == [
        ("add", (5,), [(1, 1), (1, 2), (1, 3), (1, 4)]),
        ("new", (), [(0, 5)]),
        ("erase", (2,), [(1, 1), (1, 2)]),
        ("erase", (5,), [(3, 0), (3, 1), (3, 2)]),
    ]
    gone = grains.labels
    gone[gone == 2] = 0
    assert [(e.kind, e.grains) for e in edits_on_flat(grains, gone)] == [("delete", (2,))]
    planes = Planes(grains)
    planes[1, 0, 0:2], planes[1, 2, 0] = 5, 0
    stack = [(e.kind, e.grains, e.points.tolist()) for e in edits_on_stack(grains, planes)]
    assert stack == [("add", (5,), [[0, 0], [0, 1]]), ("erase", (5,), [[2, 0]])]
