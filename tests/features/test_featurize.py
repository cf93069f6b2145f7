"""All features of a scan in one read."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.central_disk import find_center
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.features.angular_average import AngularAverage, centered_maximum
from napari_stemnmf.features.features import Features
from napari_stemnmf.features.featurize import AngularAverageAndRadialVariance, featurize
from napari_stemnmf.features.polar import Centers
from napari_stemnmf.features.radial_variance import RadialVariance
from napari_stemnmf.preprocessing.survey import Survey, take_survey
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.study.distorted import Distorted, distorted

AS_IT_IS = PreprocessSettings(hot_pixels="off")

RINGS = (6.0, 12.0, 20.0)


def constant(geometry: Geometry, scan_shape: tuple[int, int]) -> Calibration:
    """A calibration with the same centre for every pattern."""
    origin = np.full((*scan_shape, 2), (geometry.q_y, geometry.q_x), np.float32)
    return Calibration(geometry, origin, np.full_like(origin, np.nan))


def geometry_of(mean: np.ndarray) -> Geometry:
    """Centre and probe radius as the mean pattern shows them."""
    center = find_center(mean)
    return Geometry(mean.shape, center.q_y, center.q_x, center.probe_radius)


@pytest.fixture
def reads() -> list[int]:
    return []


@pytest.fixture
def scan(patterns: np.ndarray, reads: list[int]) -> Dataset:
    def read(block: np.ndarray) -> np.ndarray:
        reads.append(block.shape[0] * block.shape[1])
        return block

    data = np.concatenate([patterns, patterns[::-1]])[:36].reshape(6, 6, 45, 52)
    lazy = da.from_array(data, chunks=(2, 6, -1, -1)).map_blocks(read, dtype=data.dtype, meta=data[:0, :0])
    return Dataset.from_array(lazy)


@pytest.fixture
def look(scan: Dataset) -> Survey:
    return take_survey(scan, AS_IT_IS)


@pytest.fixture
def around() -> Calibration:
    return constant(Geometry((45, 52), 22.3, 25.8, 2.0), (6, 6))


@pytest.fixture
def wandering(around: Calibration) -> Calibration:
    """A centre of its own for each pattern."""
    away = np.random.default_rng(2).uniform(-3, 3, (6, 6, 2))
    return replace(around, origin=(around.origin + away).astype(np.float32))


def table(disks: Sequence[Sequence[float]], scan: tuple[int, int], detector: tuple[int, int] = (45, 52)) -> Peaks:
    """Disks (position, q_y, q_x, height), in order of the positions."""
    position, q_y, q_x, height = np.array(disks, np.float32).reshape(-1, 4).T
    n = scan[0] * scan[1]
    offsets = np.searchsorted(position, np.arange(n + 1))
    return Peaks(offsets, q_y, q_x, height, height, np.full((n, 2), np.nan, np.float32), scan, detector)


def truth(made: Distorted) -> Calibration:
    """What a perfect calibration finds."""
    shape, centre = made.dataset.detector_shape, made.center.mean((0, 1))
    around = Geometry(shape, *centre, made.probe_radius, made.ellipse_ratio, made.ellipse_angle, mask=made.mask)
    return Calibration(around, made.center.astype(np.float32), made.center.astype(np.float32))


def seen_through(made: Distorted) -> np.ndarray | None:
    """The pixels of the undistorted scan that are valid in every pattern of the distorted one."""
    return Centers.of(truth(made).geometry, made.center).geometries[0].mask


def in_common(one: Features, other: Features) -> tuple[np.ndarray, np.ndarray]:
    """The values of the columns that both have."""
    keys = [np.round(np.stack(list(f.columns.values()), axis=1), 6).tolist() for f in (one, other)]
    both = [k for k in keys[0] if k in keys[1]]
    return one.values[:, [keys[0].index(k) for k in both]], other.values[:, [keys[1].index(k) for k in both]]


def with_rings(**changes: object) -> Recipe:
    return Recipe().replaced({"aa.featurize.rings": RINGS, **changes})


def test_one_read_gives_both_features(scan: Dataset, look: Survey, around: Calibration, reads: list[int]) -> None:
    reads.clear()
    features = featurize(scan, look, around, with_rings()).features
    assert sum(reads) == 36
    assert list(features) == ["aa", "rv"]
    for name, feature in features.items():
        assert feature.name == name
        assert feature.values.shape == (36, len(next(iter(feature.columns.values()))))
        assert feature.values.dtype == np.float32
        assert feature.scan_shape == (6, 6)
    assert features["aa"].details["rings"] == RINGS
    assert set(features["rv"].columns) == {"radius"}


@pytest.mark.parametrize("rv_intensity", ["linear", "sqrt"])
def test_features_are_the_same_alone_and_together(
    scan: Dataset, look: Survey, around: Calibration, rv_intensity: str
) -> None:
    recipe = with_rings(**{"rv.featurize.intensity": rv_intensity})
    both = featurize(scan, look, around, recipe).features
    for name in ("aa", "rv"):
        alone = featurize(scan, look, around, recipe, names=[name]).features
        assert list(alone) == [name]
        np.testing.assert_array_equal(alone[name].values, both[name].values)


@pytest.mark.parametrize("workers", [1, 3])
def test_values_do_not_depend_on_threads_or_chunks(
    scan: Dataset, look: Survey, around: Calibration, workers: int
) -> None:
    wanted = featurize(scan, look, around, with_rings(), workers=2).features
    other = Dataset.from_array(scan.data.rechunk((1, 5, -1, -1)))
    got = featurize(other, look, around, with_rings(), workers=workers).features
    for name in wanted:
        np.testing.assert_array_equal(got[name].values, wanted[name].values)


def test_rings_are_found_on_the_maximum_pattern_where_they_are_not_set(shared: Path) -> None:
    with h5py.File(shared / "films" / "ag1_small.h5") as file:
        data = file["data"][::4, ::4]
    dataset = Dataset.from_array(data)
    found = take_survey(dataset, AS_IT_IS)
    features = featurize(dataset, found, constant(geometry_of(found.mean), dataset.scan_shape), Recipe()).features
    assert len(features["aa"].details["rings"]) == 5
    assert features["aa"].values.shape == (625, 288)
    assert features["rv"].values.shape == (625, 55)
    assert features["aa"].dropped == features["rv"].dropped == ()


def test_dropped_columns_are_named(scan: Dataset, look: Survey, beam_stop: np.ndarray) -> None:
    masked = Geometry((45, 52), 22.3, 25.8, 2.0, mask=beam_stop)
    features = featurize(scan, look, constant(masked, (6, 6)), with_rings()).features
    aa = features["aa"]
    assert aa.dropped
    assert len(aa.dropped) + aa.values.shape[1] == 144
    assert np.isfinite(aa.values).all()


def test_geometry_of_another_detector_is_refused(scan: Dataset, look: Survey) -> None:
    with pytest.raises(DataError, match="geometry is for"):
        featurize(scan, look, constant(Geometry((30, 30), 15, 15, 2.0), (6, 6)), with_rings())


def test_scan_of_another_shape_is_refused(scan: Dataset, look: Survey, around: Calibration) -> None:
    other = constant(around.geometry, (3, 12))
    with pytest.raises(DataError, match="calibration is of a scan"):
        featurize(scan, look, other, with_rings())
    with pytest.raises(DataError, match="disks are of a scan"):
        featurize(scan, look, around, with_rings(), peaks=table([], (3, 12)))


def test_feature_that_the_data_does_not_allow_does_not_stop_the_others(
    scan: Dataset, look: Survey, around: Calibration
) -> None:
    found = featurize(scan, look, around, with_rings(), names=["bd", "rv", "aa"])
    assert list(found.features) == ["rv", "aa"]
    assert list(found.failed) == ["bd"]
    assert "run disk detection" in found.failed["bd"]
    flat = replace(look, maximum=np.ones_like(look.maximum), mean=np.ones_like(look.mean))
    found = featurize(scan, flat, around, Recipe())
    assert list(found.features) == ["rv"]
    assert "No diffraction ring" in found.failed["aa"]


def test_error_says_why_no_feature_can_be_had(scan: Dataset, look: Survey, around: Calibration) -> None:
    flat = replace(look, maximum=np.ones_like(look.maximum), mean=np.ones_like(look.mean))
    with pytest.raises(DataError, match="No diffraction ring"):
        featurize(scan, flat, around, Recipe(), names=["aa"])
    with pytest.raises(DataError, match=r"No diffraction ring.*run disk detection"):
        featurize(scan, flat, around, Recipe(), names=["aa", "bd"])


def test_bragg_disks_come_from_the_table_without_a_read(
    scan: Dataset, look: Survey, around: Calibration, reads: list[int]
) -> None:
    peaks = table([(k, 35.0, 30.0 + k % 3, 10.0 + k) for k in range(36)], (6, 6))
    reads.clear()
    alone = featurize(scan, look, around, Recipe(), names=["bd"], peaks=peaks)
    assert reads == []
    assert alone.features["bd"].values.shape[0] == 36
    every = featurize(scan, look, around, with_rings(), names=["rv", "bd", "aa"], peaks=peaks)
    assert list(every.features) == ["rv", "bd", "aa"]
    assert sum(reads) == 36
    np.testing.assert_array_equal(every.features["bd"].values.toarray(), alone.features["bd"].values.toarray())


@pytest.mark.parametrize("workers", [1, 3])
def test_values_with_descan_do_not_depend_on_threads_or_chunks(
    scan: Dataset, look: Survey, wandering: Calibration, workers: int
) -> None:
    wanted = featurize(scan, look, wandering, with_rings(), workers=2).features
    other = Dataset.from_array(scan.data.rechunk((3, 5, -1, -1)))
    got = featurize(other, look, wandering, with_rings(), workers=workers).features
    for name in ("aa", "rv"):
        alone = featurize(scan, look, wandering, with_rings(), names=[name]).features
        np.testing.assert_array_equal(got[name].values, wanted[name].values)
        np.testing.assert_array_equal(alone[name].values, wanted[name].values)


@pytest.mark.parametrize(
    ("dose", "stop", "least"), [(1e4, False, (0.99, 0.99)), (1e6, False, (0.998, 0.998)), (1e5, True, (0.98, 0.98))]
)
def test_features_of_a_distorted_scan_are_those_of_the_undistorted_one(
    dose: float, stop: bool, least: tuple[float, float]
) -> None:
    made = distorted((8, 8), 126, dose=dose, ellipse_ratio=1.05, descan=((7, -3), (2, 7)), hot_pixels=0, beam_stop=stop)
    recipe = Recipe().replaced({"aa.featurize.rings": (16, 30, 37.5, 46, 58)})
    seen = featurize(made.dataset, take_survey(made.dataset, AS_IT_IS), truth(made), recipe).features
    centre = Geometry((126, 126), *made.center.mean((0, 1)), made.probe_radius, mask=seen_through(made))
    plain = featurize(made.plain, take_survey(made.plain, AS_IT_IS), constant(centre, (8, 8)), recipe).features
    for name, bound in zip(("aa", "rv"), least, strict=True):
        ours, theirs = in_common(seen[name], plain[name])
        assert ours.shape[1] > 0.6 * plain[name].values.shape[1]
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] >= bound


@pytest.mark.parametrize("stop", [False, True])
def test_rings_of_a_scan_with_descan_are_seen_on_its_centred_disks(stop: bool) -> None:
    made = distorted((10, 10), 126, descan=((7, -3), (2, 7)), hot_pixels=0, beam_stop=stop)
    rows = np.repeat(np.arange(100), np.diff(made.offsets))
    strong = made.snr > 1
    disks = np.stack([rows, made.q_y, made.q_x, made.height], axis=1)[strong]
    peaks = table(disks, (10, 10), (126, 126))
    recipe = Recipe(features=("aa",))
    seen = featurize(made.dataset, take_survey(made.dataset, AS_IT_IS), truth(made), recipe, peaks=peaks).features["aa"]
    look = take_survey(made.plain, AS_IT_IS)
    plain = featurize(made.plain, look, constant(geometry_of(look.mean), (10, 10)), recipe).features["aa"]
    ours, theirs = np.array(seen.details["rings"]), plain.details["rings"]
    assert len(theirs) <= len(ours) <= len(theirs) + 1  # without the noise of the maximum, a faint one may stand out
    distance = np.abs(ours[:, None] - theirs).min(axis=0)
    assert distance[0] <= 4  # between the central disk and the first ring there is nothing, over 8 px
    assert distance[1:].max() <= 1.5


def test_disks_make_the_maximum_only_where_descan_blurs_it(look: Survey, around: Calibration) -> None:
    peaks = table([(0, 30.0, 30.0, 1e6)], (6, 6))
    small = replace(around, origin=around.origin + np.float32(0.4))
    for calibration, disks in ((around, peaks), (small, peaks), (small, None), (around, table([], (6, 6)))):
        assert centered_maximum(look, calibration, disks) is look.maximum
    wide = replace(around, origin=around.origin + np.float32([3.0, -2.0]))
    made = centered_maximum(look, wide, peaks)
    assert np.unravel_index(np.argmax(made - look.mean), made.shape) in [(25, 32), (26, 31), (26, 32), (26, 33)]
    assert made[27, 32] == pytest.approx(1e6 + look.mean[27, 32])
    assert made[30, 28] < 1e6


def test_describe_reports_progress_and_can_be_cancelled(scan: Dataset, look: Survey, around: Calibration) -> None:
    done: list[float] = []
    featurize(scan, look, around, with_rings(), control=Control(lambda p: done.append(p.fraction)))
    assert done[-1] == 1.0
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        featurize(scan, look, around, with_rings(), control=control)


def test_kernels_can_be_pickled(patterns: np.ndarray, around: Calibration) -> None:
    geometry = around.geometry
    kernel = AngularAverageAndRadialVariance(AngularAverage(geometry, RINGS), RadialVariance(geometry))
    positions = np.arange(len(patterns))
    here = kernel(patterns, positions).per_pattern
    there = pickle.loads(pickle.dumps(kernel))(patterns, positions).per_pattern
    np.testing.assert_array_equal(here["aa"], there["aa"])
    np.testing.assert_array_equal(here["rv"], there["rv"])
