"""Grains of groups of tracked spots: masks, how sure they are, and why not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from tracked_scan import disc, scan_of

from napari_stemnmf.grains.tracked import outlined
from napari_stemnmf.representation_settings import OutlineSettings

SHAPE = (60, 60)
GRAINS = [disc(SHAPE, 15, 15, 8), disc(SHAPE, 40, 18, 6), disc(SHAPE, 22, 42, 9), disc(SHAPE, 45, 45, 7)]


def test_clear_grains_are_found_and_are_likely() -> None:
    features, groups = scan_of(GRAINS, 2.0)
    found = outlined(groups, features)
    assert len(found) == len(found.confidence) == len(found.reasons) == 4
    assert "blurred by 2." in found.note or "blurred by 1.9" in found.note
    assert (found.confidence > 0.9).all()
    assert found.component.tolist() == [0, 1, 2, 3]
    for mask, truth in zip(found.masks, GRAINS, strict=True):
        assert (mask & truth).sum() / (mask | truth).sum() > 0.85


def test_a_group_of_two_faint_spots_is_left_out_or_said_to_be_unsure() -> None:
    features, groups = scan_of(GRAINS, 2.0)
    few = groups.group.copy()
    few[np.flatnonzero(few == 1)[2:]] = -1
    peak = np.where(few == 1, 0.0004, groups.peak).astype(np.float32)
    unsure = replace(groups, group=few, peak=peak)
    assert len(outlined(unsure, features)) == 3
    every = outlined(unsure, features, OutlineSettings(min_confidence=0.0))
    assert every.confidence[1] < 0.5
    assert every.reasons[1].startswith("faint")


def test_no_groups_give_no_grains() -> None:
    features, groups = scan_of(GRAINS, 2.0)
    none = np.full(len(groups.group), -1)
    found = outlined(replace(groups, group=none, amplitude=csr_array((0, 3600), dtype=np.float32)), features)
    assert len(found) == 0
    assert found.masks.shape == (0, *SHAPE)
    assert found.note.startswith("No grains: ")


def test_a_grain_smaller_than_asked_for_is_left_out() -> None:
    features, groups = scan_of(GRAINS, 2.0)
    assert len(outlined(groups, features, OutlineSettings(min_size=130))) == 3
