"""Multislice of the films: beside a film that was simulated elsewhere, beside kinematic diffraction, beside itself."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import h5py
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.simulation.diffraction import fcc, random_rotations
from napari_stemnmf.study.films import ScanGrid, Specimen, kinematic_film, silver_specimen
from napari_stemnmf.study.multislice import CUTOFF, Window, blurred_rows, multislice_rows

needs_abtem = pytest.mark.skipif(find_spec("abtem") is None, reason="abTEM is not installed (extra: simulation)")
DETECTOR = 126


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    """Two grains, 40 Å thick, 120 Å from each other; there is nothing at (y, x) = (250, 250)."""
    return Specimen(
        crystal=fcc("Ag", 4.0853, 0.7),
        cell=np.array([300.0, 300.0, 40.0]),
        periodic=False,
        centers=np.array([[40.0, 100.0, 20.0], [160.0, 100.0, 20.0]]),
        orientations=random_rotations(2, np.random.default_rng(8)),
        facets=(50.0, 58.0, 57.0),
    )


def pattern_at(specimen: Specimen, y: float, x: float, detector: int = DETECTOR, **options) -> np.ndarray:
    """What a point source gives at one position, Å."""
    (row,) = multislice_rows(specimen, ScanGrid((1, 1), 1.0, (y - 0.5, x - 0.5)), detector, blur=0.0, **options)
    return row[0]


@pytest.mark.parametrize(
    ("detector", "binning", "extent", "points", "center"),
    [(252, 1, 100.0, 400, 126.0), (126, 2, 100.0, 400, 62.75), (64, 4, 256 / 2.52, 432, 31.625)],
)
def test_a_window_fits_its_detector(detector, binning, extent, points, center):
    window = Window.of(detector)
    assert (window.binning, window.points, window.center) == (binning, points, center)
    assert window.extent == pytest.approx(extent)
    assert window.pixel <= 0.25 + 1e-9


@pytest.mark.parametrize("shape", [(20, 13), (3, 30), (9, 1), (1, 1)])
def test_rows_are_blurred_as_the_whole_scan_mirrored_at_its_edges(shape):
    scan = np.random.default_rng(0).random((*shape, 4, 5), dtype=np.float32)
    rows = list(blurred_rows(iter(scan), shape, 2.0))
    assert all(row.dtype == np.float32 for row in rows)
    whole = gaussian_filter(scan, (2.0, 2.0, 0, 0), mode="mirror", truncate=4.0)
    np.testing.assert_allclose(np.stack(rows), whole, atol=1e-6)


def test_no_more_rows_are_taken_than_the_blur_reaches():
    taken = []
    scan = np.ones((40, 3, 2, 2), np.float32)
    rows = blurred_rows((taken.append(i) or row for i, row in enumerate(scan)), (40, 3), 2.0)
    next(rows)
    assert len(taken) == 9  # itself and four standard deviations
    next(rows)
    assert len(taken) == 10


def test_a_point_source_blurs_nothing():
    scan = np.random.default_rng(0).random((4, 3, 2, 2), dtype=np.float32)
    np.testing.assert_array_equal(np.stack(list(blurred_rows(iter(scan), (4, 3), 0.0))), scan)


def test_without_abtem_the_error_says_what_to_install(specimen, monkeypatch):
    monkeypatch.setitem(sys.modules, "abtem", None)  # as if it were not installed
    with pytest.raises(DataError, match=r"abTEM.*napari-stemnmf\[simulation\]"):
        multislice_rows(specimen, ScanGrid((4, 4)), DETECTOR)


@needs_abtem
def test_numbers_out_of_bounds_are_refused_at_once(specimen):
    with pytest.raises(DataError, match=r"0\.5 to 10 Å"):
        multislice_rows(specimen, ScanGrid((4, 4)), DETECTOR, slice_thickness=20.0)
    with pytest.raises(DataError, match="cut-off"):
        multislice_rows(specimen, ScanGrid((4, 4)), DETECTOR, cutoff=0.1)
    with pytest.raises(DataError, match="16 x 16"):
        multislice_rows(specimen, ScanGrid((1, 1)), 8)


@needs_abtem
def test_in_vacuum_all_electrons_stay_in_one_disk(specimen):
    pattern = pattern_at(specimen, 250.0, 250.0)
    assert pattern.sum() == pytest.approx(1.0, abs=1e-4)
    q = np.arange(DETECTOR) - Window.of(DETECTOR).center
    assert pattern[np.hypot(q[:, None], q) < 2.667 + 1].sum() == pytest.approx(1.0, abs=1e-3)
    assert abs((pattern.sum(axis=0) * q).sum()) < 0.01
    assert abs((pattern.sum(axis=1) * q).sum()) < 0.01


@needs_abtem
def test_thin_grains_diffract_where_and_about_as_kinematics_say(specimen):
    scan = ScanGrid((1, 2), step=120.0, origin=(40.0, -20.0))  # over the middle of each grain
    (patterns,) = multislice_rows(specimen, scan, DETECTOR, blur=0.0)
    kinematic = kinematic_film(specimen, scan, DETECTOR, blur=1e-3).row(0)
    q = np.arange(DETECTOR) - 62.75
    outside = np.hypot(q[:, None], q) > 6
    expected = [gaussian_filter(p, 1.0)[outside] for p in kinematic]
    for n, pattern in enumerate(patterns):
        agreement = [np.corrcoef(gaussian_filter(pattern, 1.0)[outside], e)[0, 1] for e in expected]
        assert agreement[n] > 0.8
        assert agreement[1 - n] < 0.3


@needs_abtem
def test_rows_are_the_patterns_of_their_positions_whatever_the_number_of_threads(specimen):
    scan = ScanGrid((3, 4), step=7.3, origin=(88.0, 21.0))
    reports = []
    control = Control(lambda progress: reports.append(progress.fraction))
    rows = list(multislice_rows(specimen, scan, DETECTOR, blur=0.0, control=control, workers=1))
    assert [row.shape for row in rows] == [(4, DETECTOR, DETECTOR)] * 3
    assert all(row.dtype == np.float32 for row in rows)
    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    again = list(multislice_rows(specimen, scan, DETECTOR, blur=0.0, workers=3))
    np.testing.assert_array_equal(np.stack(rows), np.stack(again))
    np.testing.assert_allclose(rows[2][1], pattern_at(specimen, scan.y[2], scan.x[1]), atol=1e-5)
    blurred = list(multislice_rows(specimen, scan, DETECTOR, blur=0.7, workers=3))
    whole = gaussian_filter(np.stack(rows), (0.7, 0.7, 0, 0), mode="mirror", truncate=4.0)
    np.testing.assert_allclose(np.stack(blurred), whole, atol=1e-6)


@needs_abtem
def test_binned_detectors_see_the_same_electrons(specimen):
    fine, coarse = (pattern_at(specimen, 100.0, 45.0, d) for d in (252, 126))
    np.testing.assert_allclose(fine.reshape(126, 2, 126, 2).sum(axis=(1, 3)), coarse, atol=1e-6)


@needs_abtem
def test_thicker_slices_change_little(specimen):
    q = np.arange(DETECTOR) - 62.75
    outside = np.hypot(q[:, None], q) > 6
    thick, thin = (pattern_at(specimen, 100.0, 45.0, slice_thickness=t)[outside] for t in (4.0, 2.0))
    assert np.linalg.norm(thick - thin) < 0.05 * np.linalg.norm(thin)


@needs_abtem
def test_work_stops_when_it_is_cancelled(specimen):
    control = Control()
    rows = multislice_rows(specimen, ScanGrid((20, 5)), DETECTOR, blur=0.0, control=control)
    next(rows)
    control.cancel()
    with pytest.raises(Cancelled):
        list(rows)


@pytest.mark.slow
@needs_abtem
@pytest.mark.parametrize(
    ("name", "y", "x", "cutoff"), [("ag1", 15, 15, CUTOFF), ("ag3", 40, 60, CUTOFF), ("ag3", 80, 43, 2 / 3)]
)
def test_expected_patterns_agree_with_the_shared_films(name, y, x, cutoff, shared):
    """The last is where a grain is thick: the film was made with the usual cut-off, which tells there."""
    with h5py.File(shared / "films" / f"{name}_small.h5") as file:
        counts = file["data"][x, y].T.astype(np.float64)  # its axes run x, y
        dose = file["data"].attrs["dose_e_per_pattern"]
    offsets = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.exp(-((offsets / 2.0) ** 2).sum(axis=1) / 2)
    scan = ScanGrid((11, 11), origin=((y - 5) * 5.0, (x - 5) * 5.0))
    patterns = np.concatenate(list(multislice_rows(silver_specimen(name), scan, DETECTOR, blur=0.0, cutoff=cutoff)))
    expected = np.tensordot(weights / weights.sum(), patterns, 1) * dose
    q = np.arange(DETECTOR) - 62.75
    outside = np.hypot(q[:, None], q) > 6
    seen, known = counts[outside], expected[outside]
    noise = np.sqrt(1 - seen.mean() / seen.var())  # the counts' own variance is their mean
    assert np.corrcoef(seen, known)[0, 1] / noise > 0.99
    assert known.sum() == pytest.approx(seen.sum(), rel=0.15)
