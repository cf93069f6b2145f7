"""What people report of measured scans: numbers that are no counts, and scans in another order."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.dead_pixels import FRINGE, unlike_edges
from napari_stemnmf.preprocessing.oddities import oddities
from napari_stemnmf.preprocessing.preparation import cropped
from napari_stemnmf.preprocessing.survey import Survey, take_survey
from napari_stemnmf.preprocessing.wrapped import wrapped
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.stage_settings import PreprocessSettings

SIDE = 48


def disk(y: float, x: float, radius: float = 2.5) -> np.ndarray:
    rows, columns = np.indices((SIDE, SIDE))
    return np.clip(radius + 0.5 - np.hypot(rows - y, columns - x), 0.0, 1.0)


def scan(shape: tuple[int, int] = (8, 10), seed: int = 0) -> np.ndarray:
    """Vacuum, and a grain of round outline, as counts."""
    y, x = np.indices(shape)
    grain = np.hypot(y - shape[0] * 0.6, x - shape[1] * 0.3) < 0.35 * min(shape)
    spots = sum(disk(24 + a, 24 + b) for a, b in ((13, 0), (-13, 0), (0, 13), (0, -13)))
    expected = 300 * (disk(24, 24) + 0.01 + 0.3 * spots * grain[..., None, None])
    return np.random.default_rng(seed).poisson(expected).astype(np.uint16)


def survey(data: np.ndarray, **settings: object) -> Survey:
    return take_survey(Dataset.from_array(data), PreprocessSettings(**settings), workers=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["u2", "u4", "u8"])
def test_counts_that_wrapped_below_zero_are_what_they_were(kind: str) -> None:
    """An unsigned difference: -1 became 65535, at pixels that change from pattern to pattern (pyxem#94)."""
    less = scan().astype(np.int64) - np.random.default_rng(1).integers(0, 6, (8, 10, SIDE, SIDE))
    right, found = survey(less.astype(np.int32)), survey(less.astype(kind))
    assert found.wrapped
    assert not right.wrapped
    np.testing.assert_array_equal(found.mean, right.mean)
    assert found.negative == right.negative == (less < 0).sum()
    recipe = Recipe.preset("default")
    found, right = (
        stem.analyse(Dataset.from_array(less.astype(each)), recipe, until="disks", workers=1) for each in (kind, "i4")
    )
    np.testing.assert_array_equal(found.peaks.q_y, right.peaks.q_y)
    assert sum("below zero had wrapped" in sentence for sentence in found.warnings) == 1
    assert any("wrapped" in sentence for sentence in oddities(Dataset.from_array(less.astype(kind))))


def test_the_largest_numbers_alone_are_no_wrapped_counts() -> None:
    data = scan()
    saturated = np.minimum(data.astype(np.int64) * 400, 65535).astype(np.uint16)
    moved = np.stack([np.roll(pattern, i % 9, axis=0) for i, pattern in enumerate(saturated.reshape(-1, SIDE, SIDE))])
    dead = data.copy()
    dead[..., 3:9, 3:40] = 65535
    binary = (255 * (data > 3)).astype(np.uint8)
    for patterns in (data, saturated, moved, dead, binary):
        assert not wrapped(patterns.reshape(-1, SIDE, SIDE))


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_rows_that_hold_no_counts_are_left_out(turn: int) -> None:
    """The header of a frame, read as real numbers (py4DSTEM#720)."""
    data = np.zeros((8, 10, SIDE + 2, SIDE), np.float32)
    data[..., :SIDE, :] = scan()
    clean = survey(data)
    header = np.random.default_rng(3).integers(0, 0x7E800000, (8, 10, 2, 20)).astype(np.uint32).view(np.float32)
    data[..., SIDE:, :20] = header
    found = survey(np.rot90(data, turn, (2, 3)))
    assert found.dead == {FRINGE: 2 * SIDE}
    np.testing.assert_array_equal(np.rot90(found.mean, -turn), clean.mean)
    assert not found.odd.any()
    assert any("at the detector's edge" in sentence for sentence in oddities(Dataset.from_array(data)))


def test_disks_that_the_edge_cuts_are_counts() -> None:
    cut = 500 * (disk(-1, 20) + disk(24, 48.5) + disk(47, 30, 6) + disk(24, 24)) * (np.indices((SIDE, SIDE))[0] != 1)
    assert not unlike_edges(np.stack([cut, cut])).any()


@pytest.mark.parametrize("chunks", [(8, 10), (3, 10), (1, 4), (2, 3)])
def test_every_second_row_is_turned(chunks: tuple[int, int]) -> None:
    data = scan()
    other = data.copy()
    other[1::2] = other[1::2, ::-1]
    winding = Dataset.from_array(da.from_array(other, chunks=(*chunks, -1, -1)))
    made = cropped(winding, PreprocessSettings(scan_order="winding"))
    np.testing.assert_array_equal(made.data.compute(), data)
    np.testing.assert_array_equal(made.data[3, 2:5].compute(), data[3, 2:5])
    part = cropped(winding, PreprocessSettings(scan_order="winding", scan_y=(3, 7), scan_x=(2, 5)))
    np.testing.assert_array_equal(part.data.compute(), data[3:7, 2:5])


def test_a_winding_scan_is_told() -> None:
    """RosettaSciIO's TVIPS reader has `winding_scan_axis`; a scan in another file needs the same."""
    data = scan((16, 18))
    other = data.copy()
    other[1::2] = other[1::2, ::-1]
    found, plain = survey(other), survey(data)
    assert any("scan_order to winding" in sentence for sentence in found.notes("rows", None))
    assert any("winding" in sentence for sentence in oddities(Dataset.from_array(other)))
    assert not plain.notes("rows", None)
    turned = survey(other, scan_order="winding")
    np.testing.assert_array_equal(turned.pattern_sum, plain.pattern_sum)
    assert not turned.notes("winding", None)


def test_a_mask_the_other_way_round_is_told() -> None:
    """pyxem#727: half of the packages call True what is left out."""
    window = disk(23.5, 23.5, 22) > 0.5
    data = Dataset.from_array(scan() * window)
    take_survey(data, PreprocessSettings(), keep=window, workers=1)
    with pytest.raises(DataError, match=r"keeps 3\d% of the pixels and 0.0% of the counts.*inverted"):
        take_survey(data, PreprocessSettings(), keep=~window, workers=1)
