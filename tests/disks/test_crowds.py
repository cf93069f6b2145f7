"""Disks that touch one another, are cut by the detector's edge, or have few counts: their radius, and nothing false."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.detection import Peaks, find_disks
from napari_stemnmf.disks.probe import Probe, find_probe
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.stage_settings import DiskSettings, PreprocessSettings

FINE = 8  # parts of a pixel along each axis that a disk is summed over


def lattice(
    size: int, radius: float, spacing: float, electrons: float, patterns: int = 3, seed: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts (1, n, size, size) of disks all over the detector, those (k, 3), and which pixels are not near the beam.

    The lattice is turned by another angle in each pattern, and the edge of the detector cuts some disks.
    """
    rng = np.random.default_rng(seed)
    reach, n = int(np.ceil(radius + 2)), int(np.ceil(size / spacing)) + 1
    order = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 2, indexing="ij"), -1).reshape(-1, 2)
    part = (np.arange((2 * reach + 1) * FINE) + 0.5) / FINE - 0.5 - reach
    middle = (size - 1) / 2 + rng.uniform(-1, 1, 2)
    counts, truth = np.empty((1, patterns, size, size), np.uint32), []
    for p in range(patterns):
        angle = rng.uniform(0, np.pi / 2)
        at = spacing * order @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]] + middle
        height = 0.5 * np.exp(-spacing / (0.3 * size) * np.hypot(*order.T)) * rng.uniform(0.3, 1.0, len(order))
        height[(order == 0).all(1)] = 1.0
        there = (np.minimum(at, size - 1 - at) > -radius).all(1)
        wide = np.zeros((size + 4 * reach, size + 4 * reach))
        for place, strength in zip(at[there], height[there], strict=True):
            i, j = np.rint(place).astype(int)
            y, x = place - (i, j)
            inside = (part[:, None] - y) ** 2 + (part[None] - x) ** 2 <= radius**2
            stamp = inside.reshape(2 * reach + 1, FINE, 2 * reach + 1, FINE).mean((1, 3))
            wide[i + reach : i + 3 * reach + 1, j + reach : j + 3 * reach + 1] += strength * stamp
        image = wide[2 * reach : -2 * reach, 2 * reach : -2 * reach]
        counts[0, p] = rng.poisson(0.9 * electrons * image / image.sum() + 0.1 * electrons / size**2)
        truth += [(p, *place) for place in at[there]]
    y, x = np.indices((size, size))
    return counts, np.array(truth), np.hypot(y - middle[0], x - middle[1]) > 1.6 * radius + 1.0


def probe_of(counts: np.ndarray, mask: np.ndarray | None = None) -> Probe:
    data = Dataset.from_array(counts)
    return find_probe(data, take_survey(data, PreprocessSettings(hot_pixels="off"), workers=1), mask)


def found_in(counts: np.ndarray, mask: np.ndarray | None = None) -> Peaks:
    return find_disks(Dataset.from_array(counts), probe_of(counts, mask), DiskSettings(max_peaks=10000), workers=1)


def compare(peaks: Peaks, truth: np.ndarray, size: int, radius: float) -> tuple[float, int]:
    """The share of the disks found that nothing cuts, and the number of false ones."""
    apart, near = np.array([10.0 * size, 1.0, 1.0]), max(0.5 * radius, 1.0)
    found = np.stack([peaks.pattern, peaks.q_y, peaks.q_x], axis=1)
    whole = (np.minimum(truth[:, 1:], size - 1 - truth[:, 1:]) > radius + 0.6).all(1)
    hit = cKDTree(found * apart).query(truth[whole] * apart)[0] < near
    distance, which = cKDTree(truth * apart).query(found * apart)
    return float(hit.mean()), int((distance > np.where(whole[which], near, max(radius, near))).sum())


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    ("size", "radius", "spacing"), [(32, 2.5, 5.5), (64, 2.5, 5.5), (128, 5.0, 11.0), (128, 10.0, 22.0)]
)
@pytest.mark.parametrize("electrons", [1e5, 1e6])
def test_radius_where_disks_all_but_touch(
    size: int, radius: float, spacing: float, electrons: float, hidden: bool
) -> None:
    counts, _, mask = lattice(size, radius, spacing, electrons)
    assert probe_of(counts, mask if hidden else None).radius == pytest.approx(radius, rel=0.12)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    ("size", "radius", "spacing"), [(32, 0.4, 3.0), (32, 0.4, 3.2), (64, 0.4, 3.0), (64, 1.0, 3.0)]
)
def test_spots_of_a_pixel_three_pixels_apart(size: int, radius: float, spacing: float, hidden: bool) -> None:
    counts, truth, mask = lattice(size, radius, spacing, 1e6)
    mask = mask if hidden else np.ones_like(mask)
    assert 0.3 < probe_of(counts, mask).radius < 1.2
    recall, false = compare(found_in(counts, mask), truth, size, radius)
    assert recall > (0.75 if hidden else 0.8)
    assert false == 0


@pytest.mark.parametrize("electrons", [1e3, 3e3])
def test_radius_of_a_beam_of_less_than_an_electron_a_pixel(electrons: float) -> None:
    counts, _, _ = lattice(128, 10.0, 40.0, electrons, patterns=9)
    assert probe_of(counts).radius == pytest.approx(10.0, rel=0.1)


@pytest.mark.parametrize("unit", [20, 0.013])
def test_radius_in_a_crowd_whatever_the_unit(unit: float) -> None:
    counts, _, mask = lattice(128, 5.0, 11.0, 1e6)
    assert probe_of((unit * counts).astype(np.float32), mask).radius == pytest.approx(5.0, rel=0.12)


@pytest.mark.parametrize(("size", "radius", "spacing"), [(32, 2.5, 7.0), (32, 2.5, 10.0), (128, 5.0, 40.0)])
@pytest.mark.parametrize("electrons", [1e5, 1e7])
def test_nothing_false_lies_beside_disks_that_the_edge_cuts(
    size: int, radius: float, spacing: float, electrons: float
) -> None:
    counts, truth, _ = lattice(size, radius, spacing, electrons, patterns=6)
    peaks = found_in(counts)
    recall, false = compare(peaks, truth, size, radius)
    assert recall > 0.97
    assert false <= 0.05 * len(peaks.q_y)
