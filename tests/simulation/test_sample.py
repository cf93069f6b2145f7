"""The embedded sample: a scan with known truth."""

import h5py
import numpy as np
import pytest

from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.sample import Q_MAX, sample


@pytest.fixture(scope="module")
def silver():
    return sample()


def counts(made) -> np.ndarray:
    return made.dataset.data.compute(scheduler="synchronous")


def test_sample_is_a_calibrated_scan_of_whole_patterns(silver):
    assert silver.dataset.shape == (48, 48, 96, 96)
    assert silver.dataset.dtype == np.uint16
    assert [(a.unit, a.assumed) for a in silver.dataset.axes] == [("nm", False)] * 2 + [("1/nm", False)] * 2
    assert silver.dataset.axes[0].scale == pytest.approx(0.5)
    assert silver.dataset.axes[2].scale == pytest.approx(2 * Q_MAX / 96 * 10)
    assert silver.dataset.data.numblocks[2:] == (1, 1)


def test_same_arguments_give_the_same_sample_and_another_seed_another():
    first, again = sample((10, 12), (40, 48), seed=3), sample((10, 12), (40, 48), seed=3)
    np.testing.assert_array_equal(counts(first), counts(again))
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(counts(first), counts(sample((10, 12), (40, 48), seed=4)))


def test_dose_changes_the_noise_and_not_the_film():
    low, high = sample((10, 10), (40, 40), dose=1e3), sample((10, 10), (40, 40), dose=1e5)
    np.testing.assert_array_equal(low.masks, high.masks)
    assert counts(high).sum() / counts(low).sum() == pytest.approx(100, rel=0.01)


def test_grains_overlap_and_leave_some_of_the_support_bare(silver):
    depth = silver.masks.sum(axis=0)
    assert len(silver.masks) >= 12
    assert 0.5 < (depth > 0).mean() < 0.9
    assert (depth > 1).mean() > 0.1
    assert silver.masks.sum(axis=(1, 2)).min() >= 25


def test_true_masks_are_where_a_grain_is_thicker_than_ten_angstrom(silver):
    np.testing.assert_array_equal(silver.masks, silver.thickness > 10)
    assert silver.thickness.max() < 2 * 41 * 1.05 * 1.1


def test_patterns_hold_no_more_electrons_than_were_sent(silver):
    electrons = counts(silver).sum(axis=(2, 3))
    assert electrons.max() < 20e3 + 6 * np.sqrt(20e3)
    assert electrons.mean() > 0.9 * 20e3


def test_direct_beam_lies_at_the_centre_with_the_radius_that_is_given(silver):
    mean = counts(silver).mean(axis=(0, 1))
    y, x = np.indices(mean.shape)
    distance = np.hypot(y - silver.center[0], x - silver.center[1])
    disk = np.where(distance < 2 * silver.probe_radius, mean, 0)
    assert (disk * y).sum() / disk.sum() == pytest.approx(silver.center[0], abs=0.03)
    assert (disk * x).sum() / disk.sum() == pytest.approx(silver.center[1], abs=0.03)
    assert (mean > mean.max() / 2).sum() == pytest.approx(np.pi * silver.probe_radius**2, rel=0.25)


def test_strong_disks_lie_on_the_rings_of_silver(silver):
    strongest = counts(silver).max(axis=(0, 1))
    y, x = np.indices(strongest.shape)
    q = np.hypot(y - silver.center[0], x - silver.center[1]) * silver.dataset.axes[2].scale / 10
    spots = q[(strongest > 60) & (q > 0.1)]
    rings = np.sqrt([3, 4, 8, 11, 12, 16, 19, 20, 24]) / 4.0853
    assert np.abs(spots[:, None] - rings).min(axis=1).max() < silver.probe_radius * 0.025 + 0.03


def test_a_grain_scatters_where_it_is_and_nowhere_else(silver):
    bare = ~silver.masks.any(axis=0) & (silver.thickness.sum(axis=0) == 0)
    y, x = np.indices(silver.dataset.detector_shape)
    dark = np.hypot(y - silver.center[0], x - silver.center[1]) > 2 * silver.probe_radius
    scattered = (counts(silver) * dark).sum(axis=(2, 3))
    inside = silver.masks.any(axis=0)
    assert scattered[inside].mean() > 3 * scattered[bare].mean()


@pytest.mark.parametrize("seed", range(6))
def test_the_smallest_scan_holds_a_grain(seed):
    made = sample((8, 8), (32, 32), seed=seed)
    assert len(made.masks) >= 1
    assert made.masks.shape[1:] == (8, 8)


@pytest.mark.parametrize(
    "arguments", [{"scan_shape": (4, 40)}, {"detector_shape": (96, 16)}, {"dose": 0}, {"dose": 1e9}]
)
def test_impossible_samples_are_refused(arguments):
    with pytest.raises(DataError):
        sample(**arguments)


def test_saved_sample_holds_scan_calibration_and_truth(tmp_path):
    made = sample((10, 12), (40, 48))
    made.save(tmp_path / "sample.h5")
    with h5py.File(tmp_path / "sample.h5") as file:
        np.testing.assert_array_equal(file["data"][()], counts(made))
        np.testing.assert_array_equal(file["labels"][()], made.masks)
        assert file["data"].attrs["R_pixel_size_A"] == pytest.approx(5.0)
        assert file["data"].attrs["Q_pixel_size_invA"] == pytest.approx(made.dataset.axes[2].scale / 10)
    assert [p.name for p in tmp_path.iterdir()] == ["sample.h5"]


def test_saved_sample_opens_as_the_same_calibrated_scan(tmp_path):
    from napari_stemnmf.reading.masks import load_masks
    from napari_stemnmf.reading.opening import open as open_scan

    made = sample((10, 12), (40, 48))
    made.save(tmp_path / "sample.h5")
    opened = open_scan(tmp_path / "sample.h5")
    np.testing.assert_array_equal(opened.data.compute(scheduler="synchronous"), counts(made))
    for found, expected in zip(opened.axes, made.dataset.axes, strict=True):
        assert (found.scale, found.unit, found.assumed) == (pytest.approx(expected.scale), expected.unit, False)
    np.testing.assert_array_equal(load_masks(f"{tmp_path / 'sample.h5'}::labels"), made.masks)


def test_saving_again_replaces_the_file_and_a_failure_leaves_the_old_one(tmp_path, monkeypatch):
    made = sample((8, 8), (32, 32))
    made.save(tmp_path / "sample.h5")
    before = (tmp_path / "sample.h5").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        made.save(tmp_path / "sample.h5")
    assert (tmp_path / "sample.h5").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["sample.h5"]
