"""Counts that are no numbers of electrons: read noise, gain of each pixel, roots and logarithms, strips, flicker."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.noise import gain_between
from napari_stemnmf.pipeline import analyse
from napari_stemnmf.recipe import Recipe

SIDE, MIDDLE, RADIUS, SPACING = 96, 47.5, 3.0, 22.0
Y, X = np.indices((SIDE, SIDE))
VACUUM = np.s_[:, 4:6]
"""Columns of the scan between two crystals."""


def disk(y: float, x: float) -> np.ndarray:
    return np.clip(RADIUS + 0.5 - np.hypot(Y - y, X - x), 0.0, 1.0)


def expected() -> np.ndarray:
    """(6, 10, q_y, q_x) counts: a grain of a square lattice on either side of vacuum, on a faint halo."""
    halo = np.exp(-np.hypot(Y - MIDDLE, X - MIDDLE) / (0.35 * SIDE))
    out = np.zeros((6, 10, SIDE, SIDE)) + disk(MIDDLE, MIDDLE) + 0.02 * halo
    for columns, angle in ((slice(0, 4), 0.09), (slice(6, 10), 0.58)):
        for h, k in np.ndindex(5, 5):
            a, b = SPACING * (h - 2), SPACING * (k - 2)
            y, x = MIDDLE + a * np.cos(angle) + b * np.sin(angle), MIDDLE + b * np.cos(angle) - a * np.sin(angle)
            if (h, k) != (2, 2):
                out[:, columns] += 0.35 * np.exp(-(np.hypot(h - 2, k - 2) - 1) / 1.6) * disk(y, x)
    return 700.0 * out


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(expected())


def found_in(data: np.ndarray) -> Analysis:
    return analyse(Dataset.from_array(data), Recipe.preset("default"), until="calibrate", workers=1)


@pytest.fixture(scope="module")
def plain(counts: np.ndarray) -> Analysis:
    """What is found in the electrons themselves."""
    return found_in(counts.astype(np.uint16))


def beyond_the_beam(found: Analysis) -> float:
    """Disks of a pattern of vacuum that are not the direct beam."""
    return float(found.peaks.counts.reshape(6, 10)[VACUUM].mean()) - 1.0


def read_noise(counts: np.ndarray) -> np.ndarray:
    return counts + np.random.default_rng(2).normal(0.0, 5.0, counts.shape)


def uneven_pixels(counts: np.ndarray) -> np.ndarray:
    return counts * (1.0 + 0.1 * np.random.default_rng(2).standard_normal((SIDE, SIDE))).clip(0.0)


def to_one(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum(axis=(2, 3), keepdims=True)


@pytest.mark.parametrize(
    ("change", "dtype"),
    [
        (read_noise, np.float32),
        (lambda counts: np.rint(read_noise(counts)), np.int16),
        (uneven_pixels, np.float32),
        (np.sqrt, np.float32),
        (np.log1p, np.float32),
        (to_one, np.float32),
        (lambda counts: 1e-12 * counts, np.float32),
    ],
    ids=["read noise", "whole read noise", "uneven pixels", "root", "logarithm", "sums of 1", "tiny"],
)
def test_as_many_disks_are_found_as_in_the_electrons(
    change: Callable[[np.ndarray], np.ndarray], dtype: type, counts: np.ndarray, plain: Analysis
) -> None:
    found = found_in(change(counts).astype(dtype))
    assert found.probe.radius == pytest.approx(RADIUS, abs=0.4)
    assert 0.9 * len(plain.peaks) < len(found.peaks) < 1.15 * len(plain.peaks)
    assert beyond_the_beam(found) < 1.0  # of a logarithm, where noise is least where it is bright; else 0.02


@pytest.mark.parametrize("current", ["falls", "of each row"])
def test_a_beam_that_flickers_shows_the_same_disks(current: str, plain: Analysis) -> None:
    steps = np.linspace(1.0, 0.4, 60).reshape(6, 10) if current == "falls" else np.full((6, 10), 1.0)
    if current == "of each row":
        steps = np.repeat(np.random.default_rng(3).uniform(0.5, 1.5, 6), 10).reshape(6, 10)
    found = found_in(np.random.default_rng(1).poisson(expected() * steps[..., None, None]).astype(np.uint16))
    assert len(found.peaks) == pytest.approx(len(plain.peaks), rel=0.1)
    assert not found.survey.odd.any()


@pytest.mark.parametrize("filling", [0.0, np.nan])
def test_patterns_that_were_moved_and_filled_have_their_centre(filling: float, counts: np.ndarray) -> None:
    """Pixels that hold no number in most patterns are left out, in the corners alone; the others count."""
    shifts = np.random.default_rng(1).integers(-5, 6, (6, 10, 2))
    moved = np.full(counts.shape, filling, np.float32)
    for at in np.ndindex(6, 10):  # what another program does to a beam that lies shifted
        y, x = shifts[at]
        to = np.s_[max(y, 0) : SIDE + min(y, 0), max(x, 0) : SIDE + min(x, 0)]
        moved[at][to] = counts[at][to]
    found = found_in(moved)
    np.testing.assert_allclose((found.probe.q_y, found.probe.q_x), MIDDLE, atol=0.1)
    assert found.calibration.origin_residual < 0.1
    kept = np.ones((SIDE, SIDE), bool) if found.probe.mask is None else found.probe.mask
    assert kept[9:-9].all()
    assert kept[:, 9:-9].all()
    assert kept.all() == (filling == 0.0)


def test_the_gain_is_that_of_what_differs_between_neighbours(counts: np.ndarray) -> None:
    pairs = [counts[y, x : x + 2] for y in range(6) for x in (0, 2, 6, 8)]
    assert gain_between(pairs, None) == 1.0
    assert gain_between([3.0 * pair for pair in pairs], None) == pytest.approx(3.0, rel=0.1)
    assert gain_between([counts[y, [0, 9]] for y in range(6)], None) == 0.0  # two crystals
    assert gain_between([pair[:1] for pair in pairs], None) == 0.0
