"""How likely a grain of NMF is right, and what is said against it."""

from __future__ import annotations

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.nmf_likelihood import Evidence, evidence, judged, likelihood, reasons
from napari_stemnmf.grains.recurrence import Disks, spots

SHAPE = (40, 40)
GOOD = {
    "area": 300, "interior": 0.8, "spots": 6, "outlined": 0.85, "common": 0.98, "host": -1, "cover": 0.0, "twin": -1,
    "likeness": 0.0, "stability": 1.0,
}  # fmt: skip


def found(*changes: dict[str, float]) -> Evidence:
    """Grains like a good one, but for what is changed."""
    rows = [{**GOOD, **change} for change in changes]
    return Evidence(**{name: np.array([row[name] for row in rows]) for name in GOOD})


def disc(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - y, columns - x) < radius


def disks_of(*grains: tuple[np.ndarray, list[tuple[float, float]]], able: bool = True) -> Disks:
    """Disks at the places (q_y, q_x) of each grain, where it is, missed here and there, and others anywhere."""
    random = np.random.default_rng(0)
    q, at = [], []
    for mask, places in grains:
        for place in places:
            here = np.flatnonzero(mask.ravel() & (random.random(mask.size) < 0.95))
            q.append(np.array(place) + random.normal(0, 0.2, (len(here), 2)))
            at.append(here)
    q.append(random.uniform(-30, 30, (3 * SHAPE[0] * SHAPE[1], 2)))
    at.append(random.integers(0, SHAPE[0] * SHAPE[1], 3 * SHAPE[0] * SHAPE[1]))
    every = np.concatenate(at)
    order = np.argsort(every, kind="stable")
    return Disks(np.concatenate(q)[order], every[order], np.ones(len(every)), 2.0, SHAPE, able)


def test_each_term_speaks_as_it_should() -> None:
    worse = ({"interior": 0.3}, {"outlined": 0.1}, {"common": 0.7}, {"stability": 0.1})
    p = likelihood(found({}, *worse))
    assert p[0] > 0.9
    assert (p[1:] < p[0]).all()
    assert likelihood(found({"area": 0, "interior": 0.0}))[0] == 0
    assert likelihood(found({"stability": np.nan}))[0] > 0.9


def test_reasons_name_what_is_wrong() -> None:
    wrong = found(
        {}, {"interior": 0.2, "area": 30}, {"interior": 0.2}, {"spots": 0, "outlined": 0.0}, {"outlined": 0.1},
        {"stability": 0.1}, {"likeness": 0.6, "twin": 0}, {"cover": 0.95, "host": 5}, {"common": 0.5},
    )  # fmt: skip
    said = reasons(wrong, np.array([0.97, *[0.4] * 8]), np.arange(7, 16))
    assert said[0] == ""
    words = (
        "few positions: 30", "ragged: 80% of it is border", "no Bragg disks", "not seen where it is",
        "no other start finds it", "has the outline of grain 7", "within grain 12", "50% of its patterns",
    )  # fmt: skip
    for text, word in zip(said[1:], words, strict=True):
        assert word in text


def test_the_disks_of_a_grain_show_its_outline_and_those_of_a_part_of_two_do_not() -> None:
    left, right = disc(18, 12, 8), disc(20, 27, 8)
    disks = disks_of((left, [(10, 3), (-10, -3), (4, 12)]), (right, [(8, -9), (-8, 9)]))
    assert len(spots(left, disks)) == 3
    assert (spots(left, disks) > 0.8).all()
    assert (spots(right, disks) > 0.8).all()
    assert (spots(left, disks)[:, 0] < 1).all()
    half = left.copy()
    half[:, 12:] = False
    assert spots(half, disks)[:, 1].max() < 0.65
    both = spots(left | right, disks)
    assert both.max(initial=0) < 0.65
    assert len(spots(disc(35, 35, 4), disks)) == 0
    assert len(spots(np.zeros(SHAPE, bool), disks)) == 0


def test_a_grain_that_is_there_is_likely_and_one_drawn_over_two_is_not() -> None:
    left, right = disc(18, 12, 8), disc(20, 27, 8)
    disks = disks_of((left, [(10, 3), (-10, -3), (4, 12)]), (right, [(8, -9), (-8, 9), (2, 11)]))
    speck = np.zeros(SHAPE, bool)
    speck[33:38, 3:8] = True
    grains = Grains.from_masks(np.array([left, right, speck]))
    known = judged(grains, disks, np.array([1.0, 1.0, 0.0]))
    assert (known.confidence[:2] > 0.8).all()
    assert known.confidence[2] < 0.3
    assert known.reasons[2] == "no Bragg disks that its patterns share"
    np.testing.assert_array_equal(known.masks, grains.masks)
    twice = evidence(Grains.from_masks(np.array([left, disc(18, 12, 7)])), disks, np.full(2, np.nan))
    assert twice.twin.tolist() == twice.host.tolist() == [1, 0]
    assert twice.cover[1] == 1.0
    assert twice.likeness[0] == twice.likeness[1] > 0.7


def test_where_no_disks_could_be_found_nothing_is_known() -> None:
    grains = Grains.from_masks(disc(18, 12, 8))
    assert np.isnan(judged(grains, disks_of(able=False), np.ones(1)).confidence).all()
    assert len(judged(grains.subset([]), disks_of(), np.ones(0))) == 0


@pytest.fixture(scope="module")
def analysis() -> stem.Analysis:
    sample = stem.sample(scan_shape=(24, 24), detector_shape=(64, 64), seed=3)
    recipe = stem.Recipe.preset("nmf", ["aa"]).replaced({"aa.clustering.seeds": 2, "aa.refinement.min_size": 6})
    return stem.analyse(sample.dataset, recipe)


def test_a_run_gives_grains_and_table_their_confidence(analysis: stem.Analysis) -> None:
    grains, table = analysis.grains["aa"], analysis.tables["aa"]
    assert len(grains) > 0
    assert ((grains.confidence >= 0) & (grains.confidence <= 1)).all()
    np.testing.assert_allclose(table["confidence"], grains.confidence, rtol=1e-6)
    assert table["reason"].tolist() == list(grains.reasons)
    assert table["stability"].notna().all()
    for p, why in zip(grains.confidence, grains.reasons, strict=True):
        assert bool(why) == (p < 0.9)


def test_confidence_does_not_depend_on_the_number_of_workers(analysis: stem.Analysis) -> None:
    sample = stem.sample(scan_shape=(24, 24), detector_shape=(64, 64), seed=3)
    other = stem.analyse(sample.dataset, analysis.recipe, until="refine", workers=3)
    np.testing.assert_array_equal(other.grains["aa"].confidence, analysis.grains["aa"].confidence)
