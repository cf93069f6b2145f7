"""Many seeds: the choice among them, repeatability, cancelling."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array
from threadpoolctl import threadpool_info

from napari_stemnmf.clustering.ensemble import Ensemble, choose, cluster
from napari_stemnmf.clustering.matrix import model_error
from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.control import Control, Progress
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.representation_settings import ClusteringSettings, ScalingSettings

SHORT = ClusteringSettings(seeds=4, components=12, max_iterations=60)


@pytest.fixture(scope="module")
def ensemble(table) -> Ensemble:
    """Four seeds on the small scan."""
    return cluster(table, None, SHORT, workers=2)


def test_the_smallest_error_is_chosen_and_every_seed_recorded(ensemble: Ensemble) -> None:
    assert [record.seed for record in ensemble.seeds] == [0, 1, 2, 3]
    best = min(ensemble.seeds, key=lambda record: record.error)
    assert (ensemble.seed, ensemble.error, ensemble.k) == (best.seed, best.error, best.k)
    for record in ensemble.seeds:
        assert record.status == "done"
        assert record.k == len(record.H) > 0
        assert 0 < record.error < 1
        assert record.cycles[0].k >= record.k


def test_maps_and_components_have_their_shapes(ensemble: Ensemble, table) -> None:
    k = ensemble.k
    assert ensemble.W.shape == (576, k)
    assert ensemble.H.shape == (k, int(ensemble.kept.sum()))
    assert ensemble.maps.shape == (k, 24, 24)
    np.testing.assert_array_equal(ensemble.maps[k - 1], ensemble.W[:, k - 1].reshape(24, 24))
    assert ensemble.W.dtype == ensemble.H.dtype == np.float32
    V = scale(table.values).values
    assert ensemble.error == pytest.approx(model_error(V, ensemble.W, ensemble.H), rel=1e-5)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_result_is_the_same_to_the_bit_whatever_the_number_of_workers(
    ensemble: Ensemble, table, workers: int
) -> None:
    other = cluster(table, None, SHORT, workers=workers)
    np.testing.assert_array_equal(other.W, ensemble.W)
    np.testing.assert_array_equal(other.H, ensemble.H)
    assert [r.error for r in other.seeds] == [r.error for r in ensemble.seeds]
    assert [r.cycles for r in other.seeds] == [r.cycles for r in ensemble.seeds]


def test_a_seed_gives_the_same_model_alone_and_among_others(ensemble: Ensemble, table) -> None:
    alone = cluster(table, None, ClusteringSettings(seeds=1, first_seed=2, components=12, max_iterations=60))
    np.testing.assert_array_equal(alone.H, ensemble.seeds[2].H)
    assert alone.seed == 2


def test_another_seed_can_be_chosen_and_taken_back(ensemble: Ensemble, table) -> None:
    V = scale(table.values).values
    other = next(record for record in ensemble.seeds if record.seed != ensemble.seed)
    chosen = choose(ensemble, other.seed, V)
    assert (chosen.seed, chosen.k) == (other.seed, other.k)
    assert chosen.error == pytest.approx(other.error, rel=1e-4)
    np.testing.assert_array_equal(chosen.H, other.H)
    back = choose(chosen, ensemble.seed, V)
    np.testing.assert_allclose(back.W, ensemble.W, atol=1e-3 * ensemble.W.max())
    assert chosen.seeds is ensemble.seeds


def test_choosing_what_is_not_there_is_a_clear_error(ensemble: Ensemble, table) -> None:
    V = scale(table.values).values
    with pytest.raises(DataError, match="no model of seed 99"):
        choose(ensemble, 99, V)
    with pytest.raises(DataError, match="not the one"):
        choose(ensemble, 1, V[:, :-1])


def test_components_start_from_the_scree_unless_they_are_set(table) -> None:
    whole = ScalingSettings(method="global")
    free = cluster(table, whole, ClusteringSettings(seeds=1, start_factor=3.0, max_iterations=5))
    assert 4 <= free.scree.suggested <= 6
    assert free.seeds[0].cycles[0].k == 3 * free.scree.suggested
    fixed = cluster(table, whole, ClusteringSettings(seeds=1, components=9, max_iterations=5))
    assert fixed.seeds[0].cycles[0].k == 9


def test_constant_columns_are_left_out_of_the_model(table) -> None:
    values = table.values.copy()
    values[:, 7] = 3.0
    ensemble = cluster(type(table)(values, table.scan_shape), ScalingSettings(method="global"), SHORT)
    assert not ensemble.kept[7]
    assert ensemble.H.shape[1] == values.shape[1] - 1


def test_progress_names_seed_cycle_k_and_error(table) -> None:
    reports: list[Progress] = []
    model = cluster(table, None, SHORT, control=Control(reports.append, stage="Cluster"), workers=2)
    assert reports[0].stage == "Cluster"
    assert any("cycle 1, k" in report.message for report in reports)
    ends = {report.detail.seed: report.detail for report in reports if report.detail.status}
    assert {record.seed: (record.k, record.error) for record in model.seeds} == {
        s: (n.k, n.error) for s, n in ends.items()
    }
    assert reports[-1].fraction == 1.0
    done = [report.done for report in reports]
    assert done == sorted(done)


def test_cancel_keeps_the_best_of_the_finished_seeds(table) -> None:
    finished = threading.Event()

    def watch(report: Progress) -> None:
        if report.done >= 2 and not finished.is_set():
            finished.set()
            control.cancel()

    control = Control(watch)
    settings = ClusteringSettings(seeds=200, components=12, max_iterations=60)
    ensemble = cluster(table, None, settings, workers=1, control=control)
    assert len(ensemble.seeds) == 200
    done = [record for record in ensemble.seeds if record.status == "done"]
    assert len(done) == 2
    assert ensemble.error == min(record.error for record in done)
    assert {record.status for record in ensemble.seeds} == {"done", "cancelled"}


def test_cancel_before_any_seed_has_finished_raises(table) -> None:
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        cluster(table, None, SHORT, control=control)


def test_cancel_stops_large_work_at_once(table) -> None:
    large = type(table)(np.random.default_rng(0).random((20_000, 100), np.float32), (200, 100))
    control = Control()
    asked: list[float] = []

    def stop() -> None:
        asked.append(time.monotonic())
        control.cancel()

    threading.Timer(0.7, stop).start()
    with pytest.raises(Cancelled):
        cluster(large, None, ClusteringSettings(seeds=4, components=80, tolerance=0), control=control)
    assert time.monotonic() - asked[0] < 5  # tens of milliseconds on a machine that is not busy


def test_a_failing_listener_stops_the_other_seeds(table) -> None:
    def broken(_: Progress) -> None:
        raise RuntimeError("no window")

    with pytest.raises(RuntimeError, match="no window"):
        cluster(table, None, ClusteringSettings(seeds=50, components=12), control=Control(broken), workers=1)


def test_blas_gets_its_threads_back(table) -> None:
    before = [pool["num_threads"] for pool in threadpool_info()]
    cluster(table, None, SHORT)
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_the_argument_is_not_changed(table) -> None:
    before = table.values.copy()
    cluster(table, None, ClusteringSettings(seeds=1, components=6))
    np.testing.assert_array_equal(table.values, before)


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        (np.full((16, 5), np.nan), (4, 4), "is finite"),
        (np.random.default_rng(0).random((16, 5)), (4, 5), "does not fit"),
    ],
)
def test_what_cannot_be_clustered_is_a_clear_error(values: np.ndarray, shape: tuple[int, int], message: str, table):
    with pytest.raises(DataError, match=message):
        cluster(type(table)(values, shape), None, SHORT)


def test_a_column_with_nan_does_not_spoil_the_others(table) -> None:
    values = table.values.copy()
    values[5, 0] = np.nan
    ensemble = cluster(type(table)(values, table.scan_shape), None, ClusteringSettings(seeds=1, components=8))
    assert not ensemble.kept[0]
    assert np.isfinite(ensemble.W).all()


@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (1, 7)])
def test_tiny_scans_give_a_model(shape: tuple[int, int], table) -> None:
    values = np.random.default_rng(0).random((shape[0] * shape[1], 6))
    ensemble = cluster(type(table)(values, shape), None, ClusteringSettings(seeds=2))
    assert ensemble.maps.shape == (ensemble.k, *shape)
    assert np.isfinite(ensemble.error)


def test_measured_silver_gives_five_components(shared: Path) -> None:
    stem = pytest.importorskip("napari_stemnmf")
    from napari_stemnmf import pipeline

    dataset = stem.open(shared / "semireal" / "SPED_Ag_semireal_64x208x56x56.hspy")
    recipe = stem.Recipe.preset("paper", features=["aa"])
    features = pipeline.run(pipeline.start(dataset, recipe), dataset, "featurize").features["aa"]
    ensemble = cluster(features, None, ClusteringSettings(seeds=2))
    assert 4 <= ensemble.scree.suggested <= 7
    assert ensemble.k >= 5


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_features_that_are_the_same_everywhere_are_one_even_component(value: float):
    for values in (np.full((16, 5), value, np.float32), csr_array(np.full((16, 5), value, np.float32))):
        model = cluster(SimpleNamespace(values=values, scan_shape=(4, 4)), workers=1)
        assert model.k == 1
        assert len(model.seeds) == 1
        assert model.kept.shape == (5,)
        assert np.ptp(model.maps) == 0
        np.testing.assert_allclose(np.linalg.norm(model.H), 1.0, rtol=1e-6)
