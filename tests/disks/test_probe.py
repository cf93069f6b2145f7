"""The probe: what a disk looks like, how large it is, and where the patterns' centre lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.probe import find_probe
from napari_stemnmf.disks.template import binned, soft_disk, synthetic_kernel
from napari_stemnmf.errors import DataError
from napari_stemnmf.pipeline import analyse
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.preprocessing.symmetry import inversion_center
from napari_stemnmf.stage_settings import CenterSettings, PreprocessSettings, ProbeSettings
from napari_stemnmf.study.distorted import distorted
from napari_stemnmf.study.nanowire import nanowire

AS_IT_IS = PreprocessSettings(hot_pixels="off")


@pytest.mark.parametrize("radius", [1.3, 2.67, 5.3, 9.1, 15.0])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_kernel_is_zero_sum_and_gives_the_height_of_a_disk(radius: float, size: int) -> None:
    kernel = binned(synthetic_kernel(radius), size)
    reach = kernel.shape[0] // 2
    y, x = np.indices(kernel.shape) - reach
    assert abs(kernel.sum()) < 1e-5
    assert abs((kernel * (3.0 * y - 2.0 * x)).sum()) < 1e-3
    if size == 1:
        assert (kernel * soft_disk(np.hypot(y, x), radius)).sum() == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("detector", [126, 252, 432])
@pytest.mark.parametrize("dose", [1e4, 1e6])
def test_central_disk_is_measured_although_the_beam_wanders(detector: int, dose: float) -> None:
    made = distorted((6, 6), detector, dose=dose, hot_pixels=0)
    probe = find_probe(made.dataset, take_survey(made.dataset, AS_IT_IS))
    assert probe.source == "central"
    assert not probe.hidden
    assert probe.radius == pytest.approx(made.probe_radius, rel=0.03)
    np.testing.assert_allclose([probe.q_y, probe.q_x], made.center.mean((0, 1)), atol=0.25)
    off = np.linalg.norm(made.center - [probe.q_y, probe.q_x], axis=-1)
    assert probe.descan > off.max()


@pytest.mark.parametrize("detector", [126, 252])
def test_behind_a_beam_stop_the_radius_is_that_of_the_bragg_disks(detector: int) -> None:
    made = distorted((8, 8), detector, dose=1e5, hot_pixels=0, beam_stop=True, seed=3)
    mask = binary_erosion(made.mask, iterations=2, border_value=1)
    probe = find_probe(made.dataset, take_survey(made.dataset, AS_IT_IS), mask)
    assert probe.hidden
    assert probe.source == "synthetic"
    assert probe.radius == pytest.approx(made.probe_radius, rel=0.05)
    np.testing.assert_allclose([probe.q_y, probe.q_x], made.center.mean((0, 1)), atol=1.5)


def test_a_mask_beside_the_central_disk_does_not_hide_it(small: Any) -> None:
    mask = np.ones((126, 126), bool)
    mask[:50, 50:60] = False
    probe = find_probe(small.dataset(), take_survey(small.dataset(), AS_IT_IS), mask)
    assert not probe.hidden
    np.testing.assert_allclose([probe.q_y, probe.q_x], small.truth[:, 10].mean(0), atol=0.2)


def test_what_is_set_is_kept(small: Any) -> None:
    data = small.dataset()
    center = CenterSettings(q_y=60.5, q_x=64.25, probe_radius=3.5)
    probe = find_probe(data, take_survey(data, AS_IT_IS), None, center)
    assert (probe.q_y, probe.q_x, probe.radius) == (60.5, 64.25, 3.5)
    hidden = find_probe(data, take_survey(data, AS_IT_IS), None, center, ProbeSettings(source="synthetic"))
    assert hidden.radius == 3.5
    np.testing.assert_array_equal(hidden.kernel, synthetic_kernel(3.5))


def test_vacuum_region(small: Any) -> None:
    vacuum = Dataset.from_array(np.concatenate([small.counts] * 2, axis=0))
    settings = ProbeSettings(source="vacuum", vacuum=(0, 1, 1, 3))
    probe = find_probe(vacuum, take_survey(vacuum, AS_IT_IS), None, None, settings)
    assert probe.source == "vacuum"
    assert probe.radius == pytest.approx(small.radius, rel=0.03)
    with pytest.raises(DataError, match="does not say which scan region"):
        find_probe(vacuum, take_survey(vacuum, AS_IT_IS), None, None, ProbeSettings(source="vacuum"))
    with pytest.raises(DataError, match="2 x 4 positions"):
        find_probe(
            vacuum, take_survey(vacuum, AS_IT_IS), None, None, ProbeSettings(source="vacuum", vacuum=(0, 3, 0, 1))
        )


def test_measured_kernel_finds_what_the_true_one_finds(small: Any, match: Callable[..., Any]) -> None:
    from napari_stemnmf.disks.detection import find_disks

    data = small.dataset()
    recall, precision, rms = match(
        find_disks(data, find_probe(data, take_survey(data, AS_IT_IS))), small.truth, small.radius
    )
    assert (recall, precision) == (1.0, 1.0)
    assert rms < 0.1


def test_one_radius_whatever_the_unit_and_the_dead_pixels(small: Any) -> None:
    patterns = small.counts.astype(np.float32)
    patterns[..., 5, 5] = np.nan
    patterns[..., 90, 20] = 1e9
    data = Dataset.from_array(patterns * np.float32(1e-7))
    plain = find_probe(small.dataset(), take_survey(small.dataset(), AS_IT_IS))
    assert find_probe(data, take_survey(data, AS_IT_IS)).radius == pytest.approx(plain.radius, rel=0.01)


def test_nothing_is_changed_in_place(small: Any) -> None:
    mask = np.ones((126, 126), bool)
    mask[0] = False
    data = small.dataset()
    found = take_survey(data, AS_IT_IS)
    mean, before = found.mean.copy(), mask.copy()
    probe = find_probe(data, found, mask)
    mask[:] = False
    np.testing.assert_array_equal(found.mean, mean)
    np.testing.assert_array_equal(probe.mask, before)
    assert not probe.kernel.flags.writeable


def test_what_cannot_be_measured_is_refused(small: Any) -> None:
    data = small.dataset()
    found = take_survey(data, AS_IT_IS)
    empty = Dataset.from_array(np.zeros((2, 2, 32, 32), np.uint8))
    with pytest.raises(DataError, match="no counts"):
        find_probe(empty, take_survey(empty, AS_IT_IS))
    with pytest.raises(DataError, match=r"mask is of shape \(3, 3\)"):
        find_probe(data, found, np.ones((3, 3), bool))
    with pytest.raises(DataError, match="leaves out the whole detector"):
        find_probe(data, found, np.zeros((126, 126), bool))
    mask = np.ones((126, 126), bool)
    mask[52:75, 52:75] = False
    with pytest.raises(DataError, match="hides the central disk"):
        find_probe(data, found, mask, None, ProbeSettings(source="central"))


def test_centre_of_inversion() -> None:
    y, x = np.indices((80, 70)).astype(float)
    image = 200 * np.exp(-np.hypot(y - 43.0, x - 31.5) / 12)
    for a, b in ((14.0, 9.0), (-7.0, 18.0)):
        for sign in (1, -1):
            image += 80 * soft_disk(np.hypot(y - 43.0 - sign * a, x - 31.5 - sign * b), 3.0)
    mask = np.hypot(y - 45, x - 31) > 9
    mask[:40, 28:36] = False
    np.testing.assert_allclose(inversion_center(image, mask), [43.0, 31.5], atol=0.51)


def test_disks_that_run_into_each_other_beside_the_stop_are_not_the_central_one() -> None:
    scan = nanowire(7, (44, 24), 144)
    expected = np.stack([scan.row(i) for i in range(scan.shape[0])]) * scan.dose
    patterns = np.random.default_rng(0).poisson(expected).astype(np.uint16)
    data = Dataset.from_array(patterns)
    truth = {name: values for name, (values, _) in scan.truth().items()}
    probe = analyse(data, until="survey").probe
    assert probe.hidden
    center = truth["distortions/center"].reshape(-1, 2).mean(axis=0)
    np.testing.assert_allclose((probe.q_y, probe.q_x), center, atol=1.0)
