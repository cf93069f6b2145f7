"""Pixels that say nothing are found, told and left out; a masked pixel enters no number."""

from __future__ import annotations

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.preprocessing.dead_pixels import (
    CONSTANT,
    LARGEST,
    NO_NUMBER,
    SATURATED,
    SILENT,
    find_dead_pixels,
    sentences,
)
from napari_stemnmf.preprocessing.oddities import oddities
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.stage_settings import PreprocessSettings

AUTO = PreprocessSettings()
BLOCK, ROW, GAP = np.s_[10:12, 12:14], np.s_[7], np.s_[:, 30:32]


def scan(
    seed: int = 0, scan_shape: tuple[int, int] = (12, 12), counts: float = 2e4, ground: float = 0.02, top: int = 65535
) -> np.ndarray:
    """(rows, columns, 48, 48) uint16 counts up to `top`: a direct beam, two grains of disks, light between them."""
    y, x = np.indices((48, 48))

    def disk(at_y: float, at_x: float) -> np.ndarray:
        return np.clip(2.7 - np.hypot(y - at_y, x - at_x), 0, 1)

    film = disk(23.5, 23.5) + ground * np.exp(-np.hypot(y - 23.5, x - 23.5) / 17)
    grains = []
    for angle in (0.1, 0.6):
        spots = np.zeros((48, 48))
        for h, k in np.argwhere(np.ones((7, 7))) - 3:
            if h or k:
                at = 12 * np.array([h * np.cos(angle) + k * np.sin(angle), k * np.cos(angle) - h * np.sin(angle)])
                spots += 0.35 * np.exp(-(np.hypot(h, k) - 1) / 1.6) * disk(*(23.5 + at))
        grains.append(spots)
    rows, columns = np.indices(scan_shape)
    inside = [rows + columns < scan_shape[0] - 2, rows + columns > scan_shape[0] + 2]
    expected = film + sum(m[..., None, None] * g for m, g in zip(inside, grains, strict=True))
    drawn = np.random.default_rng(seed).poisson(expected * counts / expected.sum((2, 3)).mean())
    return np.minimum(drawn, top).astype(np.uint16)


def found(data: np.ndarray, keep: np.ndarray | None = None) -> dict[str, np.ndarray]:
    patterns = data.reshape(-1, *data.shape[2:])
    counts = np.nan_to_num(np.maximum(patterns.astype(np.float64), 0), posinf=0.0)
    return find_dead_pixels(patterns, counts.mean(0), counts.max(0), len(patterns), keep)


@pytest.mark.parametrize("where", [BLOCK, ROW, GAP, np.s_[:24, :24], np.s_[20, 20]], ids=str)
@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [
        (np.uint16, 2**16 - 1, LARGEST),
        (np.uint32, 2**32 - 1, LARGEST),
        (np.uint32, 2**16 - 1, LARGEST),
        (np.int32, 2**31 - 1, LARGEST),
        (np.int32, -1, CONSTANT),
        (np.int16, -999, CONSTANT),
        (np.uint16, 4095, CONSTANT),
        (np.float32, 2**32 - 1, LARGEST),
        (np.float64, 2**32 - 1, LARGEST),
        (np.float32, np.nan, NO_NUMBER),
        (np.float32, np.inf, NO_NUMBER),
        (np.uint16, 0, SILENT),
        (np.float32, 0, SILENT),
    ],
)
def test_pixels_that_say_nothing_are_found_and_no_other(where, dtype, value, kind):
    data = scan(ground=0.1).astype(dtype)
    data[(..., *(where if isinstance(where, tuple) else (where, slice(None))))] = value
    expected = np.zeros((48, 48), bool)
    expected[where] = True
    pixels = found(data)
    assert list(pixels) == [kind]
    np.testing.assert_array_equal(pixels[kind], expected)


@pytest.mark.parametrize("counts", [1e3, 1e4, 1e6])
@pytest.mark.parametrize("ground", [0.0, 0.002, 0.1])
@pytest.mark.parametrize("seed", range(2))
def test_no_pixel_of_a_sound_detector_is_dead(counts, ground, seed):
    assert found(scan(seed, counts=counts, ground=ground)) == {}


def test_data_without_noise_is_not_dead():
    data = np.broadcast_to(scan()[:1, :1], (12, 12, 48, 48)).copy()
    data[:6] += 1
    assert found(data) == {}
    assert found(np.full((4, 4, 8, 8), 65535, np.uint16)) == {}


def test_the_dark_around_a_beam_in_vacuum_is_not_dead():
    y, x = np.indices((48, 48))
    beam = np.clip(3.2 - np.hypot(y - 22.5, x - 25.5), 0, 1) * 400.0
    patterns = np.random.default_rng(0).poisson(beam, (30, 48, 48)).astype(np.uint16)
    assert find_dead_pixels(patterns, patterns.mean(axis=0), patterns.max(axis=0), len(patterns)) == {}
    full = np.minimum(patterns.astype(np.int64) * 300, 65535).astype(np.uint16)
    assert set(find_dead_pixels(full, full.mean(axis=0), full.max(axis=0), len(full))) == {SATURATED}


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("times", [2.0, 5.0])
def test_a_saturated_beam_is_told_and_kept(top, times):
    data = scan(counts=times * top * 75, top=top).astype(np.uint8 if top == 255 else np.uint16)
    pixels = found(data)
    assert list(pixels) == [SATURATED]
    y, x = np.indices((48, 48))
    assert (np.hypot(y - 23.5, x - 23.5)[pixels[SATURATED]] < 3.5).all()
    assert "saturated" in sentences({SATURATED: 12})[0]


@pytest.mark.parametrize("radius", [1.6, 3.0])
def test_a_saturated_beam_with_a_sharp_edge_is_the_middle_of_all_other_light(radius):
    """Beside it no pixel is bright; a dead block elsewhere is dead all the same."""
    data = scan(counts=2e4).astype(np.uint32)
    y, x = np.indices((48, 48))
    beam = np.hypot(y - 23.5, x - 23.5) < radius + 0.2
    around = np.hypot(y - 23.5, x - 23.5) < 4.0
    data[..., around] = np.random.default_rng(1).poisson(3.0, (12, 12, int(around.sum())))
    data[..., beam] = 2**32 - 1
    data[(..., *BLOCK)] = 2**32 - 1
    pixels = found(data)
    np.testing.assert_array_equal(pixels[SATURATED], beam)
    np.testing.assert_array_equal(np.argwhere(pixels[LARGEST]), np.argwhere(np.ones((2, 2))) + np.array([10, 12]))


def test_one_blank_pattern_does_not_hide_a_dead_block():
    data = scan()
    data[(..., *BLOCK)] = 4095
    data[3, 4] = 0
    assert found(data)[CONSTANT].sum() == 4


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.float32])
def test_the_survey_is_that_of_the_mask_that_says_so(dtype):
    sound, keep = scan().astype(dtype), np.ones((48, 48), bool)
    keep[BLOCK] = keep[ROW] = keep[GAP] = False
    dead = sound.copy()
    dead[..., ~keep] = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 2**32
    plain, told = (take_survey(stem.Dataset.from_array(data), AUTO, keep=keep) for data in (sound, dead))
    by_itself = take_survey(stem.Dataset.from_array(dead), AUTO)
    np.testing.assert_array_equal(by_itself.keep, keep)
    for other in (told, by_itself):
        for name in ("mean", "maximum", "pattern_sum", "hot_pixels"):
            np.testing.assert_array_equal(getattr(other, name), getattr(plain, name), err_msg=name)
    assert by_itself.dead == {LARGEST: int((~keep).sum())}
    assert f"{int((~keep).sum()):,} detector pixels" in sentences(by_itself.dead)[0]


def test_up_to_three_side_by_side_are_repaired():
    data = scan()
    data[..., 40, 5:8] = 65535
    survey = take_survey(stem.Dataset.from_array(data), AUTO)
    assert survey.hot_pixels.tolist() == [[40, 5], [40, 6], [40, 7]]
    assert survey.keep is None
    assert survey.mean.max() < 5000


def test_the_search_can_be_switched_off():
    data = scan()
    data[(..., *BLOCK)] = 65535
    off = take_survey(stem.Dataset.from_array(data), PreprocessSettings(dead_pixels="off"))
    assert off.keep is None
    assert off.dead == {}


def test_info_tells_of_dead_pixels():
    data = scan()
    data[(..., *GAP)] = 65535
    said = " ".join(oddities(stem.Dataset.from_array(data)))
    assert "96 detector pixels (4.2 % of the detector) read the largest number" in said


def results(data: np.ndarray, keep: np.ndarray) -> stem.Analysis:
    recipe = stem.Recipe.preset("nmf").replaced(
        {"features": ["aa", "rv", "bd"], "*.clustering.seeds": 2, "*.refinement.min_size": 8}
    )
    return stem.analyse(stem.Dataset.from_array(data), recipe, mask=keep, workers=1)


def same(one, other) -> None:
    import dataclasses

    import pandas as pd
    from scipy.sparse import issparse

    if dataclasses.is_dataclass(one):
        for f in dataclasses.fields(one):
            same(getattr(one, f.name), getattr(other, f.name))
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    elif issparse(one):
        same(one.toarray(), other.toarray())
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            same(one[name], other[name])
    elif isinstance(one, (tuple, list)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        np.testing.assert_array_equal(one, other)


def test_what_masked_pixels_hold_changes_no_result_to_the_bit():
    keep = np.ones((48, 48), bool)
    keep[BLOCK] = keep[ROW] = keep[GAP] = keep[40, 9] = False
    keep[22:25, :20] = False
    plain = scan().astype(np.float32)
    first = results(plain, keep)
    assert any(len(grains) for grains in first.grains.values())
    generator = np.random.default_rng(1)
    for fill in (0.0, 65535.0, np.nan, "random"):
        data = plain.copy()
        data[..., ~keep] = generator.normal(0, 1e6, (*data.shape[:2], (~keep).sum())) if fill == "random" else fill
        again = results(data, keep)
        for name in ("survey", "probe", "peaks", "calibration", "features", "models", "grains", "patterns"):
            a, b = getattr(first, name), getattr(again, name)
            if name == "models":
                a, b = ({k: (m.W, m.H) for k, m in part.items()} for part in (a, b))
            if name == "patterns":
                a, b = ({k: (m.patterns, m.dissimilarity) for k, m in part.items()} for part in (a, b))
            same(a, b)
        for name, table in first.tables.items():
            same(table, again.tables[name])
        assert first.warnings == again.warnings
