"""NMF in overlapping windows of a scan: where they lie, how their components are joined, what becomes of seeds."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.sparse import csr_array

from napari_stemnmf.clustering.ensemble import Ensemble, cluster, model_of
from napari_stemnmf.clustering.windows import Window, found_side, grain_diameter, layout, windows_of
from napari_stemnmf.control import Control, Progress
from napari_stemnmf.errors import Cancelled, DataError
from napari_stemnmf.files import storage
from napari_stemnmf.representation_settings import ClusteringSettings, ScalingSettings


class Table(NamedTuple):
    """What clustering needs of a representation."""

    values: Any
    scan_shape: tuple[int, int]


WHOLE = ScalingSettings(method="global")
SIDE = 24
SETTINGS = ClusteringSettings(
    seeds=3, components=10, max_iterations=60, windows="auto", window_size=SIDE, merge_threshold=0.5
)


def discs(scan: int = 56, columns: int = 60, noise: float = 0.02, seed: int = 3) -> tuple[Table, np.ndarray]:
    """A scan of many grains of 14 positions, and where each is: (scan², columns) and (g, scan, scan)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:scan, :scan]
    values, masks = noise * random.random((scan * scan, columns)), []
    for top in range(7, scan, 14):
        for left in range(7, scan, 14):
            masks.append(np.hypot(y - top, x - left) < 6.5)
            pattern = np.zeros(columns)
            pattern[random.choice(columns, 5, replace=False)] = 0.5 + random.random(5)
            values += masks[-1].reshape(-1, 1) * pattern
    return Table(values.astype(np.float32), (scan, scan)), np.array(masks)


@pytest.fixture(scope="module")
def scan() -> tuple[Table, np.ndarray]:
    return discs()


@pytest.fixture(scope="module")
def ensemble(scan) -> Ensemble:
    return cluster(scan[0], WHOLE, SETTINGS, workers=2)


def best_iou(maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of each true mask the highest IoU with a map cut at half of its highest value."""
    found = maps > maps.max(axis=(1, 2), keepdims=True) / 2
    shared = np.einsum("gyx,kyx->gk", truth.astype(float), found.astype(float))
    either = truth.sum(axis=(1, 2))[:, None] + found.sum(axis=(1, 2)) - shared
    return (shared / either).max(axis=1)


def test_windows_cover_the_scan_have_one_size_and_overlap() -> None:
    for shape in ((100, 100), (57, 200), (1, 300), (64, 63)):
        windows, seen = layout(shape, 40), np.zeros(shape, int)
        for window in windows:
            assert window.shape == (min(40, shape[0]), min(40, shape[1]))
            seen[window.top : window.bottom, window.left : window.right] += 1
        assert seen.min() == 1
        for a, b in pairwise(windows):
            if a.top == b.top:
                assert a.shared(b).shape[1] >= 16


def test_a_scan_that_a_window_holds_is_clustered_as_without_windows_to_the_bit(table) -> None:
    plain = ClusteringSettings(seeds=2, components=12, max_iterations=40)
    one = cluster(table, None, plain)
    other = cluster(table, None, ClusteringSettings(**{**vars(plain), "windows": "auto", "window_size": 24}))
    np.testing.assert_array_equal(one.W, other.W)
    np.testing.assert_array_equal(one.H, other.H)
    assert other.windows.shape == other.boxes.shape == (0, 4)


def test_the_size_of_grains_and_windows_follows_from_the_likeness_of_patterns() -> None:
    small, _ = discs()
    y, x = np.mgrid[:112, :112]
    doubled = small.values.reshape(56, 56, -1)[y // 2, x // 2].reshape(112 * 112, -1)
    diameter = grain_diameter(small.values, (56, 56))
    assert 9 < diameter < 18
    assert grain_diameter(doubled, (112, 112)) == pytest.approx(2 * diameter, rel=0.25)
    assert grain_diameter(csr_array(small.values), (56, 56)) == pytest.approx(diameter, rel=1e-4)
    few, many = (found_side(Table(small.values[:, :n], (56, 56))) for n in (24, 60))
    assert few <= many
    y, x = np.mgrid[:120, :120]
    slow = Table(np.stack([y, x, 130.0 - y, 130.0 - x], axis=2).reshape(-1, 4).astype(np.float32), (120, 120))
    assert grain_diameter(slow.values, slow.scan_shape) > 64
    assert grain_diameter(np.ones((9, 3), np.float32), (1, 9)) > 0
    assert found_side(Table(np.ones((400, 3), np.float32), (20, 20))) >= 64
    assert windows_of(small, ClusteringSettings()) == [Window(0, 56, 0, 56)]


def test_windows_find_grains_that_nmf_of_the_whole_scan_has_no_components_for(scan, ensemble: Ensemble) -> None:
    table, truth = scan
    whole = cluster(table, WHOLE, ClusteringSettings(seeds=3, components=10, max_iterations=60, merge_threshold=0.5))
    found, before = (np.count_nonzero(best_iou(model.maps, truth) > 0.5) for model in (ensemble, whole))
    assert len(truth) == 16
    assert before <= 10
    assert found >= 15


def test_a_grain_that_several_windows_see_is_one_component(scan, ensemble: Ensemble) -> None:
    table, truth = scan
    cut = ensemble.maps > ensemble.maps.max(axis=(1, 2), keepdims=True) / 2
    for mask in truth:
        shared = (cut & mask).sum(axis=(1, 2)) / np.maximum((cut | mask).sum(axis=(1, 2)), 1)
        assert np.count_nonzero(shared > 0.5) <= 1
    assert len(layout(table.scan_shape, SIDE)) == len(ensemble.windows) == 16
    assert ensemble.k < sum(ensemble.seeds[0].windows)


def test_maps_lie_in_their_boxes_and_rows_have_unit_length(ensemble: Ensemble) -> None:
    maps = ensemble.maps
    assert maps.shape == (ensemble.k, 56, 56)
    assert ensemble.boxes.shape == (ensemble.k, 4)
    for whole, crop in zip(maps, ensemble.crops, strict=True):
        np.testing.assert_array_equal(whole[crop.within], crop.values)
        assert np.count_nonzero(whole) == np.count_nonzero(crop.values)
    np.testing.assert_allclose(np.linalg.norm(ensemble.H, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_result_does_not_depend_on_the_number_of_workers(scan, ensemble: Ensemble, workers: int) -> None:
    other = cluster(scan[0], WHOLE, SETTINGS, workers=workers)
    np.testing.assert_array_equal(other.W.toarray(), ensemble.W.toarray())
    np.testing.assert_array_equal(other.H, ensemble.H)
    np.testing.assert_array_equal(other.boxes, ensemble.boxes)
    assert [r.error for r in other.seeds] == [r.error for r in ensemble.seeds]


def test_a_sparse_matrix_gives_the_same_grains(scan) -> None:
    table, truth = scan
    values = np.where(table.values > 0.2, table.values, 0)
    sparse = cluster(Table(csr_array(values), table.scan_shape), WHOLE, SETTINGS)
    assert isinstance(sparse.H, csr_array)
    assert np.count_nonzero(best_iou(sparse.maps, truth) > 0.5) >= 15


def test_another_seed_is_taken_and_the_first_taken_back(scan, ensemble: Ensemble) -> None:
    table, _ = scan
    other = next(record for record in ensemble.seeds if record.seed != ensemble.seed)
    chosen = model_of(ensemble, other.seed, table, WHOLE)
    assert (chosen.seed, chosen.error) == (other.seed, other.error)
    back = model_of(chosen, ensemble.seed, table, WHOLE, workers=2)
    np.testing.assert_array_equal(back.W.toarray(), ensemble.W.toarray())
    with pytest.raises(DataError, match="no model of seed 99"):
        model_of(ensemble, 99, table, WHOLE)
    with pytest.raises(DataError, match="not those"):
        model_of(ensemble, 1, Table(table.values[:, :-1], table.scan_shape), WHOLE)


def test_progress_counts_windows_and_tells_of_each_seed_what_it_has_found(scan) -> None:
    reports: list[Progress] = []
    model = cluster(scan[0], WHOLE, SETTINGS, control=Control(reports.append, stage="Cluster"), workers=2)
    assert reports[-1].fraction == 1.0
    done = [report.done for report in reports]
    assert done == sorted(done)
    assert any("window 1 of 16" in report.message for report in reports)
    news = [report.detail for report in reports if report.detail is not None]
    assert len(news) == 16 * 3
    ends = {each.seed: each for each in news if each.status}
    assert {r.seed: r.k for r in model.seeds} == {seed: each.k for seed, each in ends.items()}
    for record in model.seeds:
        assert record.error == pytest.approx(ends[record.seed].error)
        assert record.k == record.windows.sum() == record.H.shape[0]


def test_a_cancel_keeps_whole_seeds_only(scan) -> None:
    def stop_after(ends: int) -> Control:
        seen = []

        def on_progress(progress: Progress) -> None:
            seen.extend([progress] if progress.detail is not None else [])
            if len(seen) >= ends:
                control.cancel()

        control = Control(on_progress)
        return control

    model = cluster(scan[0], WHOLE, SETTINGS, control=stop_after(20), workers=1)
    assert [record.status for record in model.seeds] == ["done", "cancelled", "cancelled"]
    assert [record.k > 0 for record in model.seeds] == [True, False, False]
    with pytest.raises(Cancelled):
        cluster(scan[0], WHOLE, SETTINGS, control=stop_after(10), workers=1)


def test_patterns_that_are_left_out_and_windows_without_any_take_no_part(scan) -> None:
    table, truth = scan
    values = table.values.reshape(56, 56, -1).copy()
    values[:30, :30] = np.nan
    model = cluster(Table(values.reshape(56 * 56, -1), (56, 56)), WHOLE, SETTINGS)
    assert not model.maps[:, :30, :30].any()
    assert (best_iou(model.maps, truth[10:]) > 0.5).sum() >= 5


def test_a_model_of_windows_is_stored(ensemble: Ensemble, tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "model.h5", "w") as file:
        storage.write(file, "model", ensemble)
    with h5py.File(tmp_path / "model.h5") as file:
        again = storage.read(file, "model", Ensemble)
    np.testing.assert_array_equal(again.maps, ensemble.maps)
    np.testing.assert_array_equal(again.boxes, ensemble.boxes)
    np.testing.assert_array_equal(again.seeds[1].windows, ensemble.seeds[1].windows)
    np.testing.assert_array_equal(again.seeds[1].H, ensemble.seeds[1].H)
