"""The iterative NMF of one seed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.clustering import iterative_nmf
from napari_stemnmf.clustering.hals import nmf
from napari_stemnmf.clustering.iterative_nmf import IterativeNMF, SeedProgress, correlation, random_start
from napari_stemnmf.clustering.matrix import model_error
from napari_stemnmf.clustering.scree import coarse_rows
from napari_stemnmf.control import Control
from napari_stemnmf.representation_settings import ClusteringSettings


def iterate(V: np.ndarray, coarse: np.ndarray | None = None, seed: int = 0, start: int = 14, **settings: object):
    """One seed run to its end, and its record."""
    said: list[SeedProgress] = []
    job = IterativeNMF(V, coarse, start, ClusteringSettings(**settings), seed, said.append, Control())
    return job, job.run(), said


@pytest.mark.parametrize("threshold", [0.15, 0.3, 0.45])
@pytest.mark.parametrize("refit", ["off", "separate"])
def test_no_pair_of_the_final_maps_is_alike(matrix: np.ndarray, threshold: float, refit: str) -> None:
    job, record, _ = iterate(matrix, merge_threshold=threshold, refit=refit)
    assert record.status == "done"
    r = correlation(job.W)[np.triu_indices(record.k, 1)]
    assert r.max(initial=-1) < threshold + 0.01  # W is solved once more at the end, for the final H


def test_the_error_is_that_of_the_final_model_on_v(matrix: np.ndarray) -> None:
    """Traps: the error of a cycle kept as the model's; errors of different matrices."""
    job, record, _ = iterate(matrix)
    assert record.error == pytest.approx(model_error(matrix, job.W, record.H), abs=1e-7)
    residual = np.linalg.norm(matrix - job.W @ record.H) / np.linalg.norm(matrix)
    assert record.error == pytest.approx(residual, rel=1e-4)
    assert record.error != record.cycles[0].error


def test_every_fit_is_on_v_not_on_w(matrix: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap: refits on W, which lose H."""
    seen: list[tuple[int, ...]] = []

    def spy(V: np.ndarray, *args: object, **settings: object) -> object:
        seen.append(V.shape)
        return nmf(V, *args, **settings)

    monkeypatch.setattr(iterative_nmf, "nmf", spy)
    _, record, _ = iterate(matrix)
    assert len(seen) >= len(record.cycles) > 1
    assert set(seen) == {matrix.shape}


def test_rows_of_h_have_unit_length_and_k_falls_from_cycle_to_cycle(matrix: np.ndarray) -> None:
    job, record, _ = iterate(matrix, refit="off")
    np.testing.assert_allclose(np.linalg.norm(record.H, axis=1), 1.0, rtol=1e-5)
    ks = [cycle.k for cycle in record.cycles]
    assert ks == sorted(ks, reverse=True)
    assert record.k == ks[-1] == job.W.shape[1]
    assert ks[0] > ks[-1]


def test_known_grains_are_found(matrix: np.ndarray) -> None:
    _, record, _ = iterate(matrix)
    assert 3 <= record.k <= 8
    assert record.error < 0.3


def test_seeds_differ_and_a_seed_repeats(matrix: np.ndarray) -> None:
    """Trap: all seeds given the same number."""
    W0, H0 = random_start(matrix, 6, 0)
    for other in (random_start(matrix, 6, 1), random_start(matrix, 6, 0, draw=1)):
        assert np.abs(np.corrcoef(H0.ravel(), other[1].ravel())[0, 1]) < 0.3
        assert np.abs(np.corrcoef(W0.ravel(), other[0].ravel())[0, 1]) < 0.1
    again = random_start(matrix, 6, 0)
    np.testing.assert_array_equal(again[0], W0)
    assert W0.min() >= 0
    assert H0.min() >= 0
    assert 0.2 < (W0 @ H0).mean() / matrix.mean() < 5


def test_coarse_fits_see_a_part_of_the_scan_and_the_end_sees_all(matrix: np.ndarray) -> None:
    coarse = matrix.reshape(24, 24, -1)[::2, ::2].reshape(144, -1)
    job, record, _ = iterate(matrix, coarse, start=20)
    rows = [cycle.rows for cycle in record.cycles]
    assert rows[0] == 144
    assert rows[-1] == len(matrix) == len(job.W)
    assert rows == sorted(rows)
    assert record.error == pytest.approx(model_error(matrix, job.W, record.H), abs=1e-7)


def test_coarse_rows_are_every_other_row_and_column_of_the_scan() -> None:
    rows = coarse_rows((100, 80), 100)
    assert rows is not None
    assert rows[:3].tolist() == [0, 2, 4]
    assert rows[40] == 160
    assert len(rows) == 50 * 40
    assert coarse_rows((100, 80), 300) is None
    assert coarse_rows((20, 20), 5) is None


def test_a_refit_is_kept_only_where_it_lowers_the_error(matrix: np.ndarray) -> None:
    errors = {refit: iterate(matrix, refit=refit, seed=2)[1].error for refit in ("off", "separate", "free")}
    assert errors["free"] <= errors["off"] + 1e-4
    assert errors["separate"] <= errors["off"] + 1e-4


def test_running_out_of_cycles_is_recorded_with_the_reason(matrix: np.ndarray) -> None:
    _, record, _ = iterate(matrix, max_cycles=1, merge_threshold=0.1)
    assert record.status == "stopped"
    assert "1 cycles" in record.reason
    assert np.isfinite(record.error)
    assert record.k > 0


def test_every_cycle_is_reported(matrix: np.ndarray) -> None:
    _, record, said = iterate(matrix, seed=3, refit="off")
    first = record.cycles[0]
    assert said[0] == (3, 1, first.k, first.error, "", "cycle")
    assert str(said[0]) == f"seed 3, cycle 1, k {first.k}, error {first.error:.4f}"
    assert len(said) == len(record.cycles)


def test_a_cancelled_seed_keeps_the_model_and_the_error_that_belong_together(matrix: np.ndarray) -> None:
    control = Control()
    said: list[SeedProgress] = []

    def report(progress: SeedProgress) -> None:
        said.append(progress)
        if len(said) == 2:
            control.cancel()

    job = IterativeNMF(matrix, None, 14, ClusteringSettings(), 0, report, control)
    record = job.run()
    assert record.status == "cancelled"
    assert record.k == record.cycles[-1].k == len(record.H)
    assert record.error == record.cycles[-1].error
    assert record.error == pytest.approx(model_error(matrix, job.W, record.H), rel=1e-5)


def test_a_seed_cancelled_before_its_first_fit_has_no_model(matrix: np.ndarray) -> None:
    control = Control()
    control.cancel()
    record = IterativeNMF(matrix, None, 5, ClusteringSettings(), 0, lambda _: None, control).run()
    assert (record.status, record.k, record.cycles) == ("cancelled", 0, ())
    assert np.isnan(record.error)
    assert record.H.shape == (0, matrix.shape[1])


def test_one_starting_component_needs_no_merge() -> None:
    random = np.random.default_rng(0)
    V = np.outer(random.random(200), random.random(12)).astype(np.float32)
    _, record, _ = iterate(V, start=1)
    assert (record.k, record.status) == (1, "done")
    assert record.error < 1e-3


def test_copies_of_one_component_merge_into_it() -> None:
    random = np.random.default_rng(0)
    w, h = random.random((200, 1)), random.random((1, 12))
    V = (w @ h).astype(np.float32)
    job = IterativeNMF(V, None, 4, ClusteringSettings(refit="off"), 0, lambda _: None, Control())
    W, H, settled = job._cycles(V, np.repeat(w, 4, axis=1) / 4, np.repeat(h, 4, axis=0), 1e-4)
    assert settled
    assert W.shape[1] == len(H) == 1


def test_more_starting_components_than_the_matrix_has_rank() -> None:
    V = np.random.default_rng(0).random((30, 3), np.float32)
    _, record, _ = iterate(V, start=25)
    assert 1 <= record.k <= 25
    assert np.isfinite(record.error)
