"""Disks that overlap, and what must not be taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_stemnmf.disks.detection import detect, find_disks
from napari_stemnmf.disks.probe import Probe, find_probe
from napari_stemnmf.disks.template import FALLOFF_STEP, binned, falloff_of, soft_disk, synthetic_kernel
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.stage_settings import DiskSettings, PreprocessSettings
from napari_stemnmf.study.distorted import distorted

AS_IT_IS = PreprocessSettings(hot_pixels="off")

PLACE = np.array([60.3, 55.2])


def probe_for(radius: float, size: int = 126) -> Probe:
    """A probe with nothing but a radius."""
    return Probe(synthetic_kernel(radius), radius, -50.0, -50.0, None, False, "synthetic", (size, size))


def pattern_of(disks: list[tuple[float, float, float]], radius: float, level: float = 2.0) -> np.ndarray:
    """Expected counts (126, 126) of disks (q_y, q_x, height)."""
    y, x = np.indices((126, 126))
    return np.asarray(level + sum(h * soft_disk(np.hypot(y - a, x - b), radius) for a, b, h in disks))


@pytest.mark.parametrize("radius", [2.67, 5.3, 9.15])
@pytest.mark.parametrize("apart", [1.2, 1.5, 1.8, 2.0])
@pytest.mark.parametrize("ratio", [1.0, 2.0, 3.5])
def test_two_disks_that_overlap_are_both_found(radius: float, apart: float, ratio: float) -> None:
    apart = max(apart * radius, 3.5)  # px: nearer ones are one where the probe is that small
    for angle in (0.0, 0.5, 2.1):
        other = PLACE + apart * np.array([np.sin(angle), np.cos(angle)])
        expected = pattern_of([(*PLACE, 400.0), (*other, 400.0 / ratio)], radius)
        q_y, q_x, height, _ = detect(np.random.default_rng(0).poisson(expected), probe_for(radius))
        assert len(q_y) == 2
        for place, wanted in ((PLACE, 400.0), (other, 400.0 / ratio)):
            gap = np.hypot(q_y - place[0], q_x - place[1])
            assert gap.min() < 0.15 * radius
            assert height[gap.argmin()] == pytest.approx(wanted, rel=0.2)


@pytest.mark.parametrize("apart", [1.8, 2.2])
def test_a_weak_disk_beside_a_bright_one_is_found_where_it_is(apart: float) -> None:
    other = PLACE + np.array([0.0, apart * 5.3])
    expected = pattern_of([(*PLACE, 4000.0), (*other, 400.0)], 5.3)
    for subpixel in ("parabola", "upsampled"):
        q_y, q_x, height, _ = detect(
            np.random.default_rng(0).poisson(expected), probe_for(5.3), DiskSettings(subpixel=subpixel)
        )
        np.testing.assert_allclose([q_y[1], q_x[1]], other, atol=0.5)
        assert height[1] == pytest.approx(400.0, rel=0.15)
        assert len(q_y) == 2


def test_spacing_that_is_set_holds_for_overlapping_disks_too() -> None:
    expected = pattern_of([(*PLACE, 400.0), (PLACE[0], PLACE[1] + 1.5 * 5.3, 300.0)], 5.3)
    counts = np.random.default_rng(0).poisson(expected)
    assert len(detect(counts, probe_for(5.3))[0]) == 2
    assert len(detect(counts, probe_for(5.3), DiskSettings(spacing=9.0))[0]) == 1
    assert len(detect(counts, probe_for(5.3), DiskSettings(max_peaks=1))[0]) == 1


@pytest.mark.parametrize("radius", [2.67, 5.3])
def test_a_disk_that_is_not_quite_the_probe_stays_one(radius: float) -> None:
    y, x = np.indices((126, 126))
    dy, dx = y - PLACE[0], x - PLACE[1]
    plain = soft_disk(np.hypot(dy, dx), radius)
    others = {
        "tail": plain + 0.3 * np.exp(-np.hypot(dy, dx) / radius),
        "blurred": gaussian_filter(plain, 0.3 * radius),
        "larger": soft_disk(np.hypot(dy, dx), 1.15 * radius),
        "smaller": soft_disk(np.hypot(dy, dx), 0.85 * radius),
        "elliptical": soft_disk(np.hypot(1.08 * dy, dx / 1.08), radius),
        "uneven": plain * (1.0 + 0.5 * np.clip(dx / radius, -1.0, 1.0)),
        "on a halo": plain + np.exp(-((dy + 4 * radius) ** 2 + dx**2) / (4 * radius) ** 2),
    }
    for name, shape in others.items():
        counts = np.random.default_rng(0).poisson(2000.0 * shape + 5.0)
        q_y, q_x, *_ = detect(counts, probe_for(radius))
        beside = np.hypot(q_y - PLACE[0], q_x - PLACE[1]) < 3.2 * radius
        assert beside.sum() == 1, name


@pytest.mark.parametrize(("detector", "dose", "least"), [(126, 1e6, 0.96), (252, 1e6, 0.98), (432, 1e5, 0.99)])
def test_of_all_disks_overlapping_ones_included_few_are_missed(detector: int, dose: float, least: float) -> None:
    made = distorted((6, 6), detector, dose=dose, hot_pixels=0, seed=2)
    peaks = find_disks(made.dataset, find_probe(made.dataset, take_survey(made.dataset, AS_IT_IS)))
    r, wanted, hits, good = made.probe_radius, 0, 0, 0
    for p in range(36):
        rows, truths = peaks.of(p), slice(made.offsets[p], made.offsets[p + 1])
        true = np.stack([made.q_y[truths], made.q_x[truths]], axis=1)
        found = np.stack([peaks.q_y[rows], peaks.q_x[rows]], axis=1)
        gap = np.linalg.norm(true[:, None] - found, axis=2)
        strong = (np.minimum(true, detector - 1 - true) > r).all(1) & (made.snr[truths] >= 5.0)
        wanted += strong.sum()
        hits += (gap.min(1)[strong] < r / 2).sum()
        good += (gap.min(0) < r / 2).sum()
    assert hits >= least * wanted
    assert good >= 0.98 * len(peaks)


@pytest.mark.parametrize(("radius", "size"), [(2.67, 1), (5.3, 2), (9.15, 3)])
def test_falloff_is_what_a_disk_adds_to_the_correlation(radius: float, size: int) -> None:
    kernel = synthetic_kernel(radius)
    coarse = binned(kernel, size)
    falloff = falloff_of(kernel, coarse, size)
    reach = coarse.shape[0] // 2
    y, x = np.indices((size * (2 * reach + 1),) * 2) - (size * (2 * reach + 1) - 1) / 2
    for off in np.linspace(0.0, 3 * radius, 20):
        disk = soft_disk(np.hypot(y - 0.6 * off, x + 0.8 * off), radius)
        means = disk.reshape(2 * reach + 1, size, 2 * reach + 1, size).mean((1, 3))
        wanted = (means * coarse).sum()
        assert np.interp(off, FALLOFF_STEP * np.arange(len(falloff)), falloff, right=0.0) == pytest.approx(
            wanted, abs=0.03
        )
