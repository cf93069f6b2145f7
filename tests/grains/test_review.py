"""Verdicts, classes and comments of grains, through edits, undo and redo; and that a file keeps them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.files import storage
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.review import Review


@pytest.fixture
def review():
    masks = np.zeros((3, 6, 9), bool)
    masks[0, :4, :4] = masks[1, 2:, 2:6] = masks[2, :, 7:] = True
    return Review(Grains.from_masks(masks))


def said(review, grain):
    return tuple(review.verdicts().loc[grain])


def test_words_are_kept_by_grain_and_change_no_mask(review):
    done = review.with_edit(Edit("accept", (1, 2))).with_edit(Edit("class", (2,), "fcc"))
    done = done.with_edit(Edit("comment", (3,), "cut off, ö")).with_edit(Edit("reject", (3,)))
    assert list(done.verdicts().columns) == ["verdict", "class", "comment"]
    assert [said(done, i) for i in (1, 2, 3)] == [
        ("accepted", "", ""), ("accepted", "fcc", ""), ("rejected", "", "cut off, ö"),
    ]  # fmt: skip
    assert done.grains is review.base
    assert done.digest == ""
    assert said(done.with_edit(Edit("undecide", (1,))), 1) == ("", "", "")
    assert done.with_edit(Edit("accept", (1,))) is done  # it is accepted already: nothing to undo
    with pytest.raises(DataError, match="no grain 7"):
        done.with_edit(Edit("accept", (7,)))


def test_merged_and_split_grains_are_undecided_and_keep_the_class_that_their_parts_share(review):
    done = review.with_edit(Edit("accept", (1, 2, 3))).with_edit(Edit("class", (1, 2), "fcc"))
    done = done.with_edit(Edit("comment", (1,), "left")).with_edit(Edit("comment", (2,), "right"))
    merged = done.with_edit(Edit("merge", (1, 2)))
    assert said(merged, 1) == ("", "fcc", "left; right")
    assert said(merged, 3) == ("accepted", "", "")
    assert said(merged.with_edit(Edit("merge", (1, 3))), 1) == ("", "", "left; right")
    split = done.with_edit(Edit("split line", (1,), points=[(1.5, -1), (1.5, 5)]))
    assert [said(split, i) for i in (1, 4)] == [("", "fcc", "left"), ("", "fcc", "")]
    assert said(split.with_edit(Edit("erase", (3,), points=[(0, 8)])), 3) == ("accepted", "", "")
    assert split.with_edit(Edit("delete", (4,))).verdicts().index.tolist() == [1, 2, 3]


def test_a_new_edit_ends_what_could_be_redone(review):
    done = review.with_edit(Edit("merge", (1, 2))).with_edit(Edit("accept", (3,)))
    back = done.undo().undo()
    assert [edit.kind for edit in back.undone] == ["accept", "merge"]
    assert back.redo().digest == done.digest != back.digest
    assert back.with_edit(Edit("delete", (3,))).undone == ()
    with pytest.raises(DataError, match="nothing to undo"):
        back.undo()
    with pytest.raises(DataError, match="nothing to redo"):
        done.redo()


def test_a_file_keeps_a_review(review, tmp_path):
    done = review.with_edit(Edit("split region", (3,), points=[(0, 7), (0, 8)])).with_edit(Edit("class", (4,), "hcp"))
    done = done.with_edit(Edit("comment", (1,), "")).with_edit(Edit("accept", (1,))).undo()
    for empty_too in (done, review):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            storage.write(file, "review", empty_too)
        with h5py.File(tmp_path / "a.h5") as file:
            back = storage.read(file, "review", Review)
        assert back.verdicts().equals(empty_too.verdicts())
        np.testing.assert_array_equal(back.grains.masks, empty_too.grains.masks)
        assert (back.digest, len(back.undone)) == (empty_too.digest, len(empty_too.undone))
        if empty_too.undone:
            assert back.redo().verdicts().loc[1, "verdict"] == "accepted"
