"""Simple scans: their truth, and what their patterns hold."""

import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.simple import KINDS, simple_scan


def counts(made) -> np.ndarray:
    return made.dataset.data.compute(scheduler="synchronous")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_as_many_masks_as_grains_and_repeats(kind):
    first, again, other = (simple_scan(kind, (6, 7), (40, 40), seed=s) for s in (3, 3, 4))
    assert first.dataset.shape == (6, 7, 40, 40)
    assert len(first.masks) == KINDS[kind]
    np.testing.assert_array_equal(counts(first), counts(again))
    assert not np.array_equal(counts(first), counts(other))


def test_two_crystals_share_the_scan_and_a_hole_is_in_the_middle():
    two, hole = simple_scan("bicrystal").masks, simple_scan("hole").masks[0]
    assert (two.sum(axis=0) == 1).all()
    assert not hole[9, 10]
    assert hole[0].all()


def test_patterns_hold_no_more_electrons_than_were_sent():
    for kind in ("wedge", "vacuum", "amorphous"):
        electrons = counts(simple_scan(kind, (5, 5), dose=1e4)).sum(axis=(2, 3))
        assert 0.8e4 < electrons.mean() < 1.01e4, kind


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(DataError, match="no simple scan 'pasta'"):
        simple_scan("pasta")
