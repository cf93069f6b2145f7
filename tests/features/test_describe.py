"""All features of a scan in one read."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest

from napari_stemnmf.calibration.calibration import Calibration
from napari_stemnmf.calibration.geometry import Geometry, geometry
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.features.angular_average import AngularAverage
from napari_stemnmf.features.describe import AngularAverageAndRadialVariance, describe
from napari_stemnmf.features.radial_variance import RadialVariance
from napari_stemnmf.passes.survey import Survey, survey
from napari_stemnmf.recipe import Recipe

RINGS = (6.0, 12.0, 20.0)


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
    return survey(scan)


@pytest.fixture
def around() -> Calibration:
    return Calibration.constant(Geometry((45, 52), 22.3, 25.8, 2.0), (6, 6))


def with_rings(**changes: object) -> Recipe:
    return Recipe().replaced({"aa.describe.rings": RINGS, **changes})


def test_one_read_gives_both_features(scan: Dataset, look: Survey, around: Calibration, reads: list[int]) -> None:
    reads.clear()
    features = describe(scan, look, around, with_rings()).features
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
    recipe = with_rings(**{"rv.describe.intensity": rv_intensity})
    both = describe(scan, look, around, recipe).features
    for name in ("aa", "rv"):
        alone = describe(scan, look, around, recipe, names=[name]).features
        assert list(alone) == [name]
        np.testing.assert_array_equal(alone[name].values, both[name].values)


@pytest.mark.parametrize("workers", [1, 3])
def test_values_do_not_depend_on_threads_or_chunks(
    scan: Dataset, look: Survey, around: Calibration, workers: int
) -> None:
    wanted = describe(scan, look, around, with_rings(), workers=2).features
    other = Dataset.from_array(scan.data.rechunk((1, 5, -1, -1)))
    got = describe(other, look, around, with_rings(), workers=workers).features
    for name in wanted:
        np.testing.assert_array_equal(got[name].values, wanted[name].values)


def test_rings_are_found_on_the_maximum_pattern_where_they_are_not_set(shared: Path) -> None:
    with h5py.File(shared / "films" / "ag1_small.h5") as file:
        data = file["data"][::4, ::4]
    dataset = Dataset.from_array(data)
    found = survey(dataset)
    features = describe(dataset, found, Calibration.constant(geometry(found), dataset.scan_shape), Recipe()).features
    assert len(features["aa"].details["rings"]) == 5
    assert features["aa"].values.shape == (625, 288)
    assert features["rv"].values.shape == (625, 55)
    assert features["aa"].dropped == features["rv"].dropped == ()


def test_dropped_columns_are_named(scan: Dataset, look: Survey, beam_stop: np.ndarray) -> None:
    masked = Geometry((45, 52), 22.3, 25.8, 2.0, mask=beam_stop)
    features = describe(scan, look, Calibration.constant(masked, (6, 6)), with_rings()).features
    aa = features["aa"]
    assert aa.dropped
    assert len(aa.dropped) + aa.values.shape[1] == 144
    assert np.isfinite(aa.values).all()


def test_geometry_of_another_detector_is_refused(scan: Dataset, look: Survey) -> None:
    with pytest.raises(DataError, match="geometry is for"):
        describe(scan, look, Calibration.constant(Geometry((30, 30), 15, 15, 2.0), (6, 6)), with_rings())


def test_describe_reports_progress_and_can_be_cancelled(scan: Dataset, look: Survey, around: Calibration) -> None:
    done: list[float] = []
    describe(scan, look, around, with_rings(), control=Control(lambda p: done.append(p.fraction)))
    assert done[-1] == 1.0
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        describe(scan, look, around, with_rings(), control=control)


def test_kernels_can_be_pickled(patterns: np.ndarray, around: Calibration) -> None:
    geometry = around.geometry
    kernel = AngularAverageAndRadialVariance(AngularAverage(geometry, RINGS), RadialVariance(geometry))
    positions = np.arange(len(patterns))
    here = kernel(patterns, positions).per_pattern
    there = pickle.loads(pickle.dumps(kernel))(patterns, positions).per_pattern
    np.testing.assert_array_equal(here["aa"], there["aa"])
    np.testing.assert_array_equal(here["rv"], there["rv"])
