"""Edits: what each does to the grains it names, that it touches no other, and that a list of them can be replayed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.editing import Edit, import_of
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.review import Review

SCAN = (12, 14)


def apply(grains, edits):
    """Grains after edits, in order."""
    review = Review(grains)
    for edit in edits:
        review = review.with_edit(edit)
    return review.grains


def box(top, left, bottom, right):
    mask = np.zeros(SCAN, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def grains():
    """Three grains, of which 1 and 2 overlap; ids with a gap, weights that differ everywhere."""
    masks = np.stack([box(1, 1, 7, 7), box(4, 4, 10, 10), box(0, 10, 3, 14)])
    weights = np.random.default_rng(0).uniform(0.5, 2, masks.shape)
    return Grains.from_masks(masks, weights, component=[0, 0, 1], ids=[1, 2, 5])


def of(grains, grain_id):
    row = grains.ids.tolist().index(grain_id)
    return grains.masks[row], grains.weights[row]


def assert_untouched(before, after, *ids):
    for grain_id in ids:
        for old, new in zip(of(before, grain_id), of(after, grain_id), strict=True):
            np.testing.assert_array_equal(old, new)


def test_merging_gives_the_union_under_the_first_id_and_touches_no_other(grains):
    found = apply(grains, [Edit("merge", (5, 1))])
    assert found.ids.tolist() == [2, 5]
    mask, weights = of(found, 5)
    np.testing.assert_array_equal(mask, grains.masks[0] | grains.masks[2])
    np.testing.assert_array_equal(weights, np.maximum(grains.weights[0], grains.weights[2]))
    assert found.component.tolist() == [0, -1]  # of two components: of none
    assert_untouched(grains, found, 2)


def test_a_region_becomes_a_new_grain(grains):
    region = np.argwhere(box(0, 0, 6, 12))
    found = apply(grains, [Edit("split region", (1,), points=region)])
    assert found.ids.tolist() == [1, 2, 5, 6]
    np.testing.assert_array_equal(of(found, 6)[0], box(1, 1, 6, 7))  # the larger part, and yet it is the new one
    np.testing.assert_array_equal(of(found, 1)[0], box(6, 1, 7, 7))
    np.testing.assert_array_equal(of(found, 6)[1] + of(found, 1)[1], grains.weights[0])
    assert_untouched(grains, found, 2, 5)


@pytest.mark.parametrize(
    "line",
    [
        [(2, -1), (2, 9)],  # from outside to outside, through the middles of positions
        [(2.6, 2), (2.6, 5)],  # ends inside: prolonged to the edge
        [(2.6, 4.2), (2.6, 4.2), (2.6, 5)],
        [(2.6, 0), (2.4, 3), (2.7, 5), (2.5, 8)],
    ],
)
def test_a_line_cuts_a_grain_and_the_larger_part_keeps_the_id(grains, line):
    found = apply(grains, [Edit("split line", (1,), points=line)])
    assert found.ids.tolist() == [1, 2, 5, 6]
    np.testing.assert_array_equal(of(found, 6)[0], box(1, 1, 3, 7))
    np.testing.assert_array_equal(of(found, 1)[0], box(3, 1, 7, 7))
    assert_untouched(grains, found, 2, 5)


def test_a_line_across_two_arms_makes_three_parts_and_leaves_what_it_does_not_touch():
    arms = box(1, 1, 3, 10) | box(3, 1, 8, 3) | box(3, 8, 8, 10)
    grain = Grains.from_masks(arms | box(10, 12, 12, 14))
    found = apply(grain, [Edit("split line", (1,), points=[(5.5, 0), (5.5, 11)])])
    assert found.ids.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(of(found, 1)[0], (arms & (np.arange(12)[:, None] < 6)) | box(10, 12, 12, 14))
    np.testing.assert_array_equal(of(found, 2)[0], box(6, 1, 8, 3))
    one_arm = apply(grain, [Edit("split line", (1,), points=[(5.5, 1.5), (5.5, 2)])])  # its end meets the edge there
    assert one_arm.ids.tolist() == [1, 2]
    there_and_back = [(5.5, 0), (5.5, 5), (4.5, 5), (4.5, 0)]  # what lies between is a chip
    found = apply(grain, [Edit("split line", (1,), points=there_and_back)])
    assert len(found) == 2
    assert of(found, 2)[0].sum() in (4, 6)


def test_a_line_makes_no_grain_of_a_chip():
    mask = box(2, 2, 8, 8)
    mask[5, 8] = True  # a lone position beyond the edge, which a line along the edge would cut off as well
    found = apply(
        Grains.from_masks(mask), [Edit("split line", (1,), points=[(0, 4.5), (4.4, 4.5), (4.4, 7.4), (9, 7.6)])]
    )
    assert len(found) == 2
    assert found.masks.sum(axis=0).max() == 1
    np.testing.assert_array_equal(found.masks.any(axis=0), mask)


def test_seeds_part_a_grain_at_its_neck():
    mask = box(2, 1, 9, 6) | box(5, 6, 6, 8) | box(2, 8, 9, 13)
    found = apply(Grains.from_masks(mask | box(11, 0, 12, 1)), [Edit("split seeds", (1,), points=[(4, 2), (7, 11)])])
    assert found.ids.tolist() == [1, 2]
    assert (of(found, 1)[0] & box(2, 1, 9, 6)).sum() + (of(found, 2)[0] & box(2, 8, 9, 13)).sum() == 70
    assert of(found, 1)[0][11, 0] or of(found, 2)[0][11, 0]  # a piece without a seed goes to the nearest part
    np.testing.assert_array_equal(found.masks.sum(axis=0), mask | box(11, 0, 12, 1))


def test_seeds_part_a_grain_where_its_weights_dip_and_else_half_way():
    mask, x = box(2, 1, 8, 13), np.arange(14.0)
    seeds = [(5, 2), (4, 11)]
    dip = 1.2 - 0.8 * np.exp(-((x - 4) ** 2))
    for profile, border, about in ((dip, 4, 1), (x / 4 + 5, 6, 1), (x, 6, 2), (np.zeros(14), 6, 0)):
        grain = Grains.from_masks(mask, np.broadcast_to(profile, SCAN))
        parts = apply(grain, [Edit("split seeds", (1,), points=seeds)]).masks
        left = parts[np.flatnonzero(parts[:, 5, 2])[0]]
        assert np.abs(left.sum(axis=1)[2:8] - border).max() <= about, profile


def test_deleting_painting_and_new_grains(grains):
    added, erased = np.argwhere(box(0, 0, 2, 3)), np.argwhere(box(6, 0, 12, 14))
    edits = [
        Edit("delete", (5,)),
        Edit("add", (1,), points=added),
        Edit("erase", (2,), points=erased),
        Edit("new", points=np.argwhere(box(11, 0, 12, 2))),
    ]
    found = apply(grains, edits)
    assert found.ids.tolist() == [1, 2, 6]
    mask, weights = of(found, 1)
    np.testing.assert_array_equal(mask, grains.masks[0] | box(0, 0, 2, 3))
    assert weights[0, 0] == np.float32(grains.weights[0][grains.masks[0]].mean(dtype=np.float64))
    np.testing.assert_array_equal(weights[grains.masks[0]], grains.weights[0][grains.masks[0]])
    np.testing.assert_array_equal(of(found, 2)[0], grains.masks[1] & (np.arange(12)[:, None] < 6))
    assert found.component[2] == -1


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (Edit("merge", (1, 9)), "no grain 9"),
        (Edit("merge", (1, 1)), "two grains or more"),
        (Edit("delete", ()), "one grain or more"),
        (Edit("split line", (1, 2), points=[(0, 0), (5, 5)]), "takes one grain"),
        (Edit("split line", (1,), points=[(3, 3)]), "needs two points"),
        (Edit("split line", (1,), points=[(11, 0), (11, 13)]), "does not cut"),
        (Edit("split region", (1,), points=[(11, 11)]), "does not meet"),
        (Edit("split region", (1,), points=np.argwhere(np.ones(SCAN))), "holds all"),
        (Edit("split seeds", (1,), points=[(2, 2)]), "two seeds"),
        (Edit("split seeds", (1,), points=[(2, 2), (2.2, 2)]), "different positions"),
        (Edit("split seeds", (1,), points=[(2, 2), (-1, 30)]), "row -1, column 30 lies outside"),
        (Edit("add", (1,), points=[(2, 2)]), "in grain 1 already"),
        (Edit("add", (1,), points=[(12, 2)]), "outside the scan"),
        (Edit("erase", (1,), points=[(11, 2)]), "None of the positions"),
        (Edit("erase", (1,), points=np.argwhere(np.ones(SCAN))), "delete it instead"),
        (Edit("new"), "needs a position"),
        (Edit("new", (1,), points=[(2, 2)]), "takes no grain"),
    ],
)
def test_an_edit_that_makes_no_sense_says_why(grains, edit, sentence):
    with pytest.raises(DataError, match=sentence):
        apply(grains, [edit])


def test_edits_are_checked_when_they_are_made():
    with pytest.raises(DataError, match="no edit 'melt'"):
        Edit("melt", (1,))
    with pytest.raises(DataError, match="finite pairs"):
        Edit("new", points=[(1, 2, 3)])


@st.composite
def histories(draw):
    """Grains and a number of edits that make sense one after the other, with words between them."""
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    count = draw(st.integers(1, 4))
    masks = generator.random((count, *SCAN)) > 0.4
    ids = np.sort(generator.choice(np.arange(1, 9), count, replace=False))
    review = Review(Grains.from_masks(masks, generator.uniform(0.1, 1, masks.shape), ids=ids))
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["merge", "split region", "split line", "split seeds", "delete", "add", "erase"]))
        there = review.grains.ids.tolist()
        chosen = tuple(generator.permutation(there)[: 2 if kind == "merge" else 1].tolist())
        points = generator.integers(0, SCAN, (draw(st.integers(2, 30)), 2))
        if kind == "split seeds" and chosen:
            points = generator.permutation(np.argwhere(of(review.grains, chosen[0])[0]))[:3]
        edits = [Edit(kind, chosen, points=points), Edit("accept", tuple(there[:1])), Edit("new", points=points)]
        for edit in edits[: draw(st.integers(1, 3))]:
            try:
                review = review.with_edit(edit)
            except DataError:
                continue
    return review


def same(a, b):
    return (
        np.array_equal(a.ids, b.ids)
        and np.array_equal(a.masks, b.masks)
        and np.array_equal(a.weights, b.weights)
        and np.array_equal(a.component, b.component)
    )


@given(histories())
@settings(max_examples=50)
def test_any_history_can_be_replayed_undone_and_redone(review):
    replayed = Review(review.base, review.edits)
    assert same(replayed.grains, review.grains)
    assert replayed.verdicts().equals(review.verdicts())
    back = review
    for _ in review.edits:
        back = back.undo()
    assert back.grains is review.base
    assert (back.verdicts() == "").all(axis=None)
    for _ in review.edits:
        back = back.redo()
    assert same(back.grains, review.grains)
    assert back.digest == review.digest
    assert back.verdicts().equals(review.verdicts())


@given(histories())
@settings(max_examples=50)
def test_each_edit_touches_what_it_names_and_no_id_is_used_twice(review):
    now, used = Review(review.base), set(review.base.ids.tolist())
    for edit in review.edits:
        before, now = now.grains, now.with_edit(edit)
        after = now.grains
        made = set(after.ids.tolist()) - set(before.ids.tolist())
        assert not made & used
        used |= made
        assert_untouched(before, after, *(set(before.ids.tolist()) - set(edit.grains)))
        if edit.kind.startswith("split"):
            parts = [of(after, i)[0] for i in (*edit.grains, *made)]
            assert np.sum(parts, axis=0).max() == 1
            np.testing.assert_array_equal(np.any(parts, axis=0), of(before, edit.grains[0])[0])
            assert all(part.any() for part in parts)
        if edit.kind == "merge":
            union = np.any([of(before, i)[0] for i in edit.grains], axis=0)
            np.testing.assert_array_equal(of(after, edit.grains[0])[0], union)
        assert after.masks.any(axis=(1, 2)).all()
        assert ((after.weights != 0) <= after.masks).all()


def test_an_import_takes_the_place_of_all_and_what_is_the_same_stays_what_it_is(grains):
    review = Review(grains).with_edit(Edit("comment", (1,), "mine"))
    first, other = int(grains.ids[0]), int(grains.ids[1])
    drawn = np.arange(4)
    edit = import_of({first: grains.part(0)[0], other: drawn, 40: drawn + 8}, grains.scan_shape[1])
    after = review.with_edit(edit)
    assert after.grains.ids.tolist() == [first, other, 40]
    assert np.array_equal(after.grains.part(0)[1], grains.part(0)[1])  # weights, too
    assert after.grains.component.tolist() == [grains.component[0], -1, -1]
    assert after.grains.part(1)[0].tolist() == drawn.tolist()
    assert after.verdicts().loc[1, "comment"] == "mine"
    parted = [review.with_edit(import_of({1: drawn[:n], 2: drawn[n:]}, grains.scan_shape[1])) for n in (1, 2)]
    assert parted[0].digest != parted[1].digest  # the same positions, another border
    assert same(after.undo().grains, grains)
    assert after.undo().redo().grains.ids.tolist() == [first, other, 40]
    assert after.with_edit(Edit("new", points=[(0, 0)])).grains.ids.tolist()[-1] == 41
    beside = review.with_edit(import_of({7: drawn}, grains.scan_shape[1], more=True))
    assert beside.grains.ids.tolist() == [*grains.ids.tolist(), int(grains.ids.max()) + 1]


@pytest.mark.parametrize("text", ["", "1", "1:2:3", "0:4", "1:2 1:2", "1:3", "1:4 2:0", "a:4"])
def test_an_import_that_makes_no_sense_says_so(grains, text):
    with pytest.raises(DataError, match="id and number of positions"):
        Review(grains).with_edit(Edit("import", (), text, [(0, 0), (0, 1), (0, 2), (0, 3)]))


def test_an_import_of_what_there_is_changes_nothing(grains):
    parts = {int(i): grains.part(row)[0] for row, i in enumerate(grains.ids)}
    with pytest.raises(DataError, match="nothing was changed"):
        Review(grains).with_edit(import_of(parts, grains.scan_shape[1]))
