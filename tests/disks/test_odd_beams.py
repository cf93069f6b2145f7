"""The probe's radius and centre where the direct beam is odd: on a halo, hollow, cut, uneven, double, away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.central_disk import find_center
from napari_stemnmf.disks.probe import doubtful
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.angular_average import rings_of
from napari_stemnmf.pipeline import analyse
from napari_stemnmf.recipe import Recipe

SIDE, MIDDLE, RADIUS, SPACING = 96, 47.5, 4.0, 22.0
Y, X = np.indices((SIDE, SIDE))
AWAY = np.hypot(Y - MIDDLE, X - MIDDLE)


def disk(y: float, x: float, radius: float = RADIUS) -> np.ndarray:
    return np.clip(radius + 0.5 - np.hypot(Y - y, X - x), 0.0, 1.0)


def expected(
    draw: Callable[[float, float], np.ndarray] = disk, middle: float = MIDDLE, counts: float = 700.0
) -> np.ndarray:
    """(6, 6, q_y, q_x): two grains of a square lattice, left and right, and a column of vacuum between them."""
    out = np.zeros((6, 6, SIDE, SIDE)) + draw(middle, MIDDLE) + 0.01
    for columns, angle in ((slice(0, 2), 0.09), (slice(3, 6), 0.58)):
        for h, k in np.ndindex(9, 9):
            a, b = SPACING * (h - 4), SPACING * (k - 4)
            y, x = middle + a * np.cos(angle) + b * np.sin(angle), MIDDLE + b * np.cos(angle) - a * np.sin(angle)
            if (h, k) != (4, 4) and 5 < y < SIDE - 6 and 5 < x < SIDE - 6:
                out[:, columns] += 0.35 * np.exp(-(np.hypot(h - 4, k - 4) - 1) / 1.6) * draw(y, x)
    return counts * out


def counted(mean: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).poisson(mean).astype(np.uint16)


def analysed(data: np.ndarray, mask: np.ndarray | None = None, **settings: float) -> Analysis:
    recipe = Recipe.preset("default").replaced({name.replace("__", "."): v for name, v in settings.items()})
    return analyse(Dataset.from_array(data), recipe, mask=mask, until="disks", workers=1)


@pytest.fixture(scope="module")
def disks() -> int:
    """How many are found where nothing is odd."""
    return len(analysed(counted(expected())).peaks)


@pytest.mark.parametrize(
    ("height", "halo"),
    [(2000, np.exp(-AWAY / 10)), (6000, np.exp(-AWAY / 20)), (2000, np.exp(-0.5 * (AWAY / 12) ** 2)), (9000, 1.0)],
)
def test_what_the_disk_stands_on_makes_it_no_larger(height: float, halo: np.ndarray, disks: int) -> None:
    found = analysed(counted(expected() + height * halo))
    assert found.probe.radius == pytest.approx(RADIUS, abs=0.2)
    np.testing.assert_allclose((found.probe.q_y, found.probe.q_x), MIDDLE, atol=0.05)
    assert height > 6000 or len(found.peaks) > 0.8 * disks


def test_offset_of_a_camera_is_told(disks: int) -> None:
    noise = np.random.default_rng(1).normal(1000.0, 3.0, (6, 6, SIDE, SIDE))
    found = analysed(np.rint(counted(expected()) + noise).astype(np.uint16))
    assert found.probe.radius == pytest.approx(RADIUS, abs=0.1)
    assert len(found.peaks) > 0.9 * disks
    assert found.survey.offset == pytest.approx(1007.0, abs=5.0)
    assert any("offset of about 100" in warning for warning in found.warnings)
    clean = analysed(counted(expected()))
    assert (clean.survey.offset, clean.probe.notes) == (0.0, "")
    rings = (rings_of(a.survey, Geometry((SIDE, SIDE), MIDDLE, MIDDLE, RADIUS)) for a in (found, clean))
    np.testing.assert_allclose(*(np.array(bounds)[:3] for bounds in rings), atol=2.0)


@pytest.mark.parametrize(("outer", "hole"), [(6.0, 3.5), (6.0, 2.0), (8.0, 5.0)])
def test_disks_with_a_hole(outer: float, hole: float) -> None:
    plain = analysed(counted(expected(lambda y, x: disk(y, x, outer))))
    hollow = analysed(counted(expected(lambda y, x: disk(y, x, outer) - disk(y, x, hole))))
    assert hollow.probe.radius == pytest.approx(outer, rel=0.04)
    assert len(hollow.peaks) > 0.8 * len(plain.peaks)
    assert "rings" in hollow.probe.notes


@pytest.mark.parametrize("radius", [4.0, 6.0])
@pytest.mark.parametrize("given", [False, True])
def test_cross_of_a_quad_detector_through_the_direct_beam(radius: float, given: bool) -> None:
    data, keep = counted(expected(lambda y, x: disk(y, x, radius))), np.ones((SIDE, SIDE), bool)
    keep[47:49], keep[:, 47:49] = False, False
    found = analysed(data * keep, keep if given else None, beam_stop__margin=0.0)
    assert found.probe.radius == pytest.approx(radius, rel=0.05)
    np.testing.assert_allclose((found.probe.q_y, found.probe.q_x), MIDDLE, atol=0.1)
    assert len(found.peaks) > 0.6 * len(analysed(data).peaks)


@pytest.mark.parametrize("cut", [np.s_[51:54], np.s_[:46, 40:56], np.s_[:, 50:]])
def test_centre_of_a_cut_disk_is_that_of_its_edge(cut: tuple) -> None:
    keep = np.ones((SIDE, SIDE), bool)
    keep[cut] = False
    found = find_center(counted(700.0 * disk(47.2, 47.8, 6.0) + 5.0) * keep, mask=keep)
    np.testing.assert_allclose((found.q_y, found.q_x), (47.2, 47.8), atol=0.2)
    assert found.probe_radius == pytest.approx(6.0, rel=0.05)


@pytest.mark.parametrize("radius", [3.0, 5.0, 9.0])
def test_dark_half_of_the_direct_beam_does_not_pull_its_centre(radius: float) -> None:
    filling = np.where(X > MIDDLE, 600.0, 210.0)
    found = find_center(counted(filling * disk(MIDDLE, MIDDLE, radius) + 3.0))
    np.testing.assert_allclose((found.q_y, found.q_x), MIDDLE, atol=0.15)
    assert found.probe_radius == pytest.approx(radius, rel=0.06)


def test_direct_beam_off_the_detector() -> None:
    data = counted(expected(middle=-8.0))
    found = analysed(data, center__q_y=-8.0, center__q_x=MIDDLE)
    assert (found.probe.q_y, found.probe.q_x, found.probe.hidden) == (-8.0, MIDDLE, True)
    assert found.probe.radius == pytest.approx(RADIUS, abs=0.1)
    assert "off the detector" in found.probe.notes
    assert len(found.peaks) > 100
    calibration = analyse(Dataset.from_array(data), found.recipe, until="calibrate", workers=1).calibration
    np.testing.assert_allclose(calibration.origin[..., 0], -8.0, atol=1e-3)
    data[:, 2:] = counted(0.01 * np.ones((6, 4, SIDE, SIDE)))  # one grain in vacuum
    told = analyse(Dataset.from_array(data), until="calibrate", workers=1).warnings
    assert any("may be off the detector" in warning for warning in told)


def test_two_direct_beams_are_told() -> None:
    mean = expected()
    assert "not round" in analysed(counted(mean + 0.6 * np.roll(mean, 5, axis=3))).probe.notes


def test_probe_that_is_too_large_ends_the_run_and_a_large_one_is_doubted() -> None:
    with pytest.raises(DataError, match=r"radius 3\d.* px, more than a quarter of the detector.*center\.probe_radius"):
        analysed(counted(500.0 * disk(MIDDLE, MIDDLE, 33.0) + np.zeros((2, 2, 1, 1))))
    assert "much for 96 x 96 pixels" in doubtful(12.0, (SIDE, SIDE))
    assert doubtful(9.0, (SIDE, SIDE)) == ""


def one_crystal(bright: float) -> np.ndarray:
    """(5, 5, q_y, q_x): a crystal off its zone axis on carbon, one spot of which is `bright` times the direct beam."""
    mean = 0.02 * np.exp(-AWAY / 20) + 0.3 * disk(MIDDLE, MIDDLE)
    spots = ((17, 8, 0.3 * bright), (34, 16, 0.05), (-10, 21, 0.08), (7, 29, 0.03), (-27, 13, 0.06))
    for y, x, height in spots:
        mean = mean + height * disk(MIDDLE + y, MIDDLE + x) + 0.1 * height * disk(MIDDLE - y, MIDDLE - x)
    return np.broadcast_to(mean, (5, 5, SIDE, SIDE))


@pytest.mark.parametrize("bright", [0.7, 1.5, 5.0])
def test_the_direct_beam_is_what_the_pattern_is_symmetric_about_and_not_the_brightest_disk(bright: float) -> None:
    found = analysed(counted(3000.0 * one_crystal(bright)))
    np.testing.assert_allclose([found.probe.q_y, found.probe.q_x], MIDDLE, atol=0.2)
    assert np.isfinite(found.peaks.central).all()
    assert ("brighter than the direct beam" in found.probe.notes) == (bright > 1.0)


def test_the_direct_beam_in_vacuum_is_found_in_every_pattern() -> None:
    found = analysed(counted(np.broadcast_to(3000.0 * disk(40.2, 44.1, 2.0), (5, 5, SIDE, SIDE))))
    np.testing.assert_allclose(np.asarray(found.peaks.central), np.tile([40.2, 44.1], (25, 1)), atol=0.2)
