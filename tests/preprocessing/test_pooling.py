"""Patterns that are added to their neighbours."""

import numpy as np
import pytest

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.clarity import third_brightest
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.preprocessing.pooling import advised, blurred, pooled

CENTRE, RADIUS = (12.0, 12.0), 2.0


def scan(shape: tuple[int, int] = (40, 37), mean: float = 3.0) -> np.ndarray:
    """Patterns of noise: counts (scan_y, scan_x, q_y, q_x)."""
    return np.random.default_rng(3).poisson(mean, (*shape, 6, 7)).astype(np.uint16)


def peaks_of(snr: float) -> Peaks:
    """Three disks in each of ten patterns, beside the direct beam."""
    ones = np.ones(30, np.float32)
    nowhere = np.full((10, 2), np.nan, np.float32)
    q = (20 * ones, 3 * ones, ones, snr * ones)
    return Peaks(np.arange(0, 31, 3), *q, central=nowhere, scan_shape=(2, 5), detector_shape=(24, 24), saturated=0)


def film(sharp: bool) -> Dataset:
    """A scan of bright and dark regions, whose spots are as wide as half of it or change from position to position."""
    rng = np.random.default_rng(4)
    length = 1 if sharp else 12
    on = rng.random((6, 36 // length, 36 // length)) > 0.5
    on = np.repeat(np.repeat(on, length, axis=1), length, axis=2)
    ideal = np.full((36, 36, 24, 24), 0.5)
    for spot, where in enumerate(on):
        ideal[where, 2 + 3 * spot : 5 + 3 * spot, 18:22] += 2.0
    return Dataset.from_array(rng.poisson(ideal).astype(np.uint16))


def test_noise_stays_that_of_counts() -> None:
    """The variance is to the mean as it was."""
    whole = pooled(Dataset.from_array(scan()), 1.0).data.compute()
    inner = whole[4:-4, 4:-4]
    assert inner.mean() == pytest.approx(3 * 4 * np.pi, rel=0.02)
    assert inner.var() == pytest.approx(inner.mean(), rel=0.1)


def test_a_part_gives_the_same_as_the_whole() -> None:
    """But for its border."""
    data = scan()
    whole = pooled(Dataset.from_array(data), 1.0).data.compute()
    part = pooled(Dataset.from_array(data[5:30, 8:33]), 1.0).data.compute()
    np.testing.assert_allclose(part[3:-3, 3:-3], whole[8:27, 11:30], rtol=1e-5)


def test_chunks_do_not_matter() -> None:
    """Lazily, of any chunks, and scans that are narrower than what is pooled."""
    import dask.array as da

    data = scan((23, 4))
    one = pooled(Dataset.from_array(data), 1.3).data.compute()
    two = pooled(Dataset.from_array(da.from_array(data, chunks=(5, 2, -1, -1))), 1.3).data.compute()
    assert one.shape == data.shape
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_bright_disks_are_left_alone() -> None:
    """No pooling where the third brightest disk is clear."""
    assert third_brightest(peaks_of(40.0), CENTRE, RADIUS) == 40
    assert advised(film(sharp=False), 40.0, CENTRE, RADIUS) == 0


def test_faint_disks_are_pooled_as_far_as_neighbours_are_alike() -> None:
    """Grains of many positions, and a scan that is sharper than its step."""
    assert advised(film(sharp=False), 8.0, CENTRE, RADIUS) >= 0.5
    assert advised(film(sharp=True), 8.0, CENTRE, RADIUS) == 0


def test_what_is_even_loses_nothing() -> None:
    """A signal that is the same everywhere."""
    assert blurred(1.0, np.ones((14, 14))) == pytest.approx(0)


def test_an_odd_pattern_is_added_to_none() -> None:
    data = scan().astype(np.float32)
    odd = np.zeros(data.shape[:2], bool)
    odd[7, 9] = True
    whole = pooled(Dataset.from_array(data), 1.0).data.compute()
    data[7, 9] = np.nan
    without = pooled(Dataset.from_array(data), 1.0, odd).data.compute()
    assert np.isfinite(without).all()
    away = ~odd
    away[3:12, 5:14] = False
    np.testing.assert_allclose(without[away], whole[away], rtol=1e-5)
    np.testing.assert_allclose(without[5:10, 7:12].mean(), whole[5:10, 7:12].mean(), rtol=0.1)
