"""Disks that fill the detector: all are found however many electrons there are; their noise is that of their counts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.detection import Peaks, find_disks
from napari_stemnmf.disks.probe import find_probe
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.stage_settings import DiskSettings, PreprocessSettings

FINE = 8  # parts of a pixel along each axis that a disk is summed over


def disk(radius: float, dy: float, dx: float, reach: int) -> np.ndarray:
    """Share of each of (2 reach + 1)^2 pixels that lies in a disk (dy, dx) px off the middle one."""
    at = (np.arange((2 * reach + 1) * FINE) + 0.5) / FINE - 0.5 - reach
    inside = (at[:, None] - dy) ** 2 + (at[None] - dx) ** 2 <= radius * radius
    return np.asarray(inside.reshape(2 * reach + 1, FINE, 2 * reach + 1, FINE).mean((1, 3)))


def crystal(
    size: int, radius: float, spacing: float, electrons: float, patterns: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Counts (1, n, size, size), and disks (k, 4): pattern, q_y, q_x, counts over their root; spacing in px.

    A square lattice over the whole detector, turned by another angle in each pattern, the direct beam brightest; a
    fifth of all electrons is background.
    """
    rng = np.random.default_rng(seed)
    reach, n = int(np.ceil(radius + 2)), int(np.ceil(size / spacing)) + 1
    order = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 2, indexing="ij"), -1).reshape(-1, 2)
    y, x = np.indices((size, size)) - (size - 1) / 2
    halo = np.exp(-np.hypot(y, x) / (0.35 * size))
    counts, truth = np.empty((1, patterns, size, size), np.uint32), []
    for p in range(patterns):
        angle = rng.uniform(0, np.pi / 2)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        at = spacing * order @ turn + (size - 1) / 2 + rng.uniform(-1, 1, 2)
        whole = (np.minimum(at, size - 1 - at) > radius + 0.6).all(1)  # those cut by the edge are left out
        height = 0.5 * np.exp(-spacing / (0.3 * size) * np.hypot(*order.T)) * rng.uniform(0.3, 1.0, len(order))
        height[(order == 0).all(1)] = 1.0
        image, alone = np.zeros((size, size)), []
        for (q_y, q_x), strength in zip(at[whole], height[whole], strict=True):
            i, j = round(q_y), round(q_x)
            stamp = strength * disk(radius, q_y - i, q_x - j, reach)
            top, left = max(reach - i, 0), max(reach - j, 0)
            cut = np.s_[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
            image[cut] += stamp[top : top + size - i + reach, left : left + size - j + reach][
                : image[cut].shape[0], : image[cut].shape[1]
            ]
            alone.append(stamp.sum())
        scale = 0.8 * electrons / image.sum()
        expected = scale * image + 0.2 * electrons * halo / halo.sum()
        counts[0, p] = np.random.default_rng([seed, p]).poisson(expected)
        truth += [(p, *place, np.sqrt(scale * own)) for place, own in zip(at[whole], alone, strict=True)]
    return counts, np.array(truth)


def compare(peaks: Peaks, truth: np.ndarray, radius: float) -> tuple[np.ndarray, float, np.ndarray]:
    """Rows of the table that are the true disks (-1 where missed), share of false ones, error (px) of those found."""
    rows, errors, true = np.full(len(truth), -1), np.full((len(truth), 2), np.nan), 0
    for p in range(int(truth[-1, 0]) + 1):
        here, wanted = peaks.of(p), np.flatnonzero(truth[:, 0] == p)
        found = np.stack([peaks.q_y[here], peaks.q_x[here]], axis=1)
        if not len(found):
            continue
        off = found[None] - truth[wanted, None, 1:3]
        gap = np.hypot(off[..., 0], off[..., 1])
        hit = gap.min(1) < max(0.5 * radius, 1.0)
        rows[wanted[hit]] = here.start + gap.argmin(1)[hit]
        errors[wanted[hit]] = off[np.arange(len(wanted)), gap.argmin(1)][hit]
        true += int((gap.min(0) < max(0.5 * radius, 1.0)).sum())
    return rows, 1.0 - true / max(len(peaks), 1), errors


def found_in(counts: np.ndarray) -> Peaks:
    data = Dataset.from_array(counts)
    probe = find_probe(data, take_survey(data, PreprocessSettings(hot_pixels="off"), workers=1))
    return find_disks(data, probe, DiskSettings(max_peaks=1000), workers=1)


@pytest.mark.parametrize(
    ("size", "radius", "spacing"),
    [
        (64, 1.0, 4.0),
        (64, 1.0, 8.0),
        (64, 2.5, 2.8),
        (64, 2.5, 4.0),
        (128, 5.0, 2.2),
        (128, 5.0, 4.0),
        (128, 10.0, 2.8),
    ],
)
def test_more_electrons_never_mean_fewer_disks(size: int, radius: float, spacing: float) -> None:
    strong = np.zeros(0)
    for electrons in (1e4, 1e5, 1e6, 1e7):
        counts, truth = crystal(size, radius, spacing * radius, electrons)
        rows, false, _ = compare(found_in(counts), truth, radius)
        wanted = truth[:, 3] > (12.0 if spacing > 2.5 else 20.0)  # beside the noise of the background
        assert (rows[wanted] >= 0).mean() > 0.95
        assert false < 0.03
        middle = np.hypot(*(truth[:, 1:3] - (size - 1) / 2).T) < 2.0
        assert (rows[middle] >= 0).all()
        assert (rows >= 0).sum() >= 0.98 * strong.sum()
        strong = rows >= 0


def test_signal_to_noise_is_that_of_the_counts_where_disks_fill_the_detector() -> None:
    for electrons in (1e5, 1e6):
        counts, truth = crystal(128, 5.0, 20.0, electrons)
        peaks = found_in(counts)
        rows, *_ = compare(peaks, truth, 5.0)
        ratio = peaks.snr[rows[rows >= 0]] / truth[rows >= 0, 3]
        assert 0.6 < np.median(ratio) < 1.1  # the background under the disk and around it is noise too


def test_positions_among_many_disks_are_good_to_a_twentieth_of_a_pixel() -> None:
    counts, truth = crystal(128, 5.0, 20.0, 1e6)
    *_, errors = compare(found_in(counts), truth, 5.0)
    assert np.sqrt(np.nanmean(errors**2)) < 0.05


@pytest.mark.parametrize("height", [60.0, 150.0])
def test_a_diffuse_ring_is_no_row_of_disks(height: float) -> None:
    away = np.hypot(*(np.indices((96, 96)) - 47.5))
    expected = 690.0 * (away < 3.0) + height * np.exp(-(((away - 25.0) / 5.0) ** 2)) + 2.0
    peaks = found_in(np.random.default_rng(1).poisson(expected, (1, 8, 96, 96)).astype(np.uint16))
    assert (peaks.counts >= 1).all()
    assert len(peaks) <= 8 + 2
