"""The iterative NMF from many random starts, and the choice among them.

Seeds run side by side (`seeds`), BLAS with one thread in each, so that the result does not depend on the number of
threads. Source: Bruefach et al. 2022, "Iterative NMF". In a large scan they may run in windows of it (`windows`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array, sparray

from napari_stemnmf.clustering.crops import Crop
from napari_stemnmf.clustering.hals import weights
from napari_stemnmf.clustering.iterative_nmf import SeedRecord
from napari_stemnmf.clustering.joining import crops_of
from napari_stemnmf.clustering.matrix import check_matrix, model_error
from napari_stemnmf.clustering.scaling import Scale, scale, varying
from napari_stemnmf.clustering.scree import Scree, coarse_rows, scree, starting_components
from napari_stemnmf.clustering.seeds import Seeds
from napari_stemnmf.clustering.windowed import Windows
from napari_stemnmf.clustering.windows import Window, windows_of
from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.features import Features
from napari_stemnmf.representation_settings import ClusteringSettings, ScalingSettings
from napari_stemnmf.streaming.pools import Executor, pool_of
from napari_stemnmf.threads import default_workers, one_blas_thread


def _no_window() -> np.ndarray:
    return np.zeros((0, 4), np.int64)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """All seeds of one representation, and the model of the chosen one.

    Attributes
    ----------
    W : (n, k) float32
        Weights; column i reshaped to the scan is component map i. A csr_array where NMF ran in windows.
    H : (k, m') float32
        Components over the kept columns of the scaled features, rows of unit length. A csr_array where NMF ran in
        windows on a sparse matrix.
    error : float
        ‖V − WH‖_F / ‖V‖_F; where NMF ran in windows, over all of them before their components are joined.
    seed : int
        The chosen seed: that of the smallest error, until another is chosen.
    scan_shape : (rows, columns)
    kept : (m,) bool
        Columns of the features that V holds.
    scree : Scree
        Where NMF ran in windows, the mean of theirs.
    seeds : tuple of SeedRecord
        One for every seed, in order.
    windows : (windows, 4) int64
        Where NMF ran in windows, these: first row, row after the last, first column, column after the last.
    boxes : (k, 4) int64
        Where NMF ran in windows, the part of the scan that they show of each component, in the same way.
    cache : dict
        What later stages compute from this model and keep as long as it lives (`grains.confidence`); not stored.
    """

    W: np.ndarray | csr_array
    H: np.ndarray | csr_array
    error: float
    seed: int
    scan_shape: tuple[int, int]
    kept: np.ndarray
    scree: Scree
    seeds: tuple[SeedRecord, ...] = field(default_factory=tuple)
    windows: np.ndarray = field(default_factory=_no_window, metadata={"since": "0.5"})
    boxes: np.ndarray = field(default_factory=_no_window, metadata={"since": "0.5"})
    cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __str__(self) -> str:
        windows = f"{len(self.windows)} windows, " if len(self.windows) else ""
        return f"{self.k} components ({windows}seed {self.seed} of {len(self.seeds)}, error {self.error:.4f})"

    @property
    def k(self) -> int:
        """Number of components of the chosen model."""
        return int(self.H.shape[0])

    @property
    def maps(self) -> np.ndarray:
        """Component maps, (k, scan_y, scan_x) float32."""
        W = self.W.toarray() if isinstance(self.W, sparray) else self.W
        return np.ascontiguousarray(W.T).reshape(self.k, *self.scan_shape)

    @property
    def crops(self) -> list[Crop]:
        """The part of each component map that NMF saw: all of it, or that in the windows of the component."""
        return crops_of(self.W, self.boxes, self.scan_shape)


def cluster(
    features: Features,
    scaling: ScalingSettings | None = None,
    clustering: ClusteringSettings | None = None,
    *,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Ensemble:
    """Cluster a representation by iterative NMF from several random starts; keep the model of the smallest error.

    Parameters
    ----------
    features : object with ``values`` (n, m) and ``scan_shape``
    scaling : ScalingSettings
    clustering : ClusteringSettings
    workers : int, optional
        Seeds, or windows, that run side by side; as many as there are processors if not given. Does not change the
        result.
    control : Control
        Progress is reported for every cycle, with a `SeedProgress`; in windows with one at the end of each. A cancel is
        noticed within one iteration.
    executor : Executor, optional
        Runs seeds, or windows, in place of threads of this process. Of a seed there, its end is reported alone.

    Returns
    -------
    Ensemble
        If cancelled after at least one seed was finished: of the finished seeds, the others recorded as cancelled.
        Where no column varies over the scan, as in a scan of one position: one component of even weight.

    Raises
    ------
    DataError
        If the matrix does not fit the scan's shape, or no column is finite.
    Cancelled
        If cancelled before any seed was finished.
    """
    settings = ClusteringSettings() if clustering is None else clustering
    control = Control(stage="clusters") if control is None else control
    rows, columns = (int(n) for n in features.scan_shape)
    n = features.values.shape[0]
    if rows * columns != n:
        raise DataError(f"A scan of {rows} x {columns} does not fit {n} rows of features.")
    if not varying(features.values).any():
        return _even(features, settings.first_seed)
    windows = windows_of(features, settings)
    if len(windows) > 1:
        return _in_windows(features, windows, scaling, settings, workers or default_workers(), control, executor)
    scaled = scale(features.values, scaling, control=control)
    with one_blas_thread():
        V = check_matrix(scaled.values)
        curve = scree(scaled.values[~scaled.missing] if scaled.missing.any() else scaled.values, control=control)
        start = starting_components(settings, curve.suggested)
        coarse = coarse_rows((rows, columns), start) if settings.coarse_fit == "on" else None
        V_coarse = None if coarse is None else check_matrix(scaled.values[coarse])
        seeds = Seeds(settings, control)
        records = seeds.run(V, V_coarse, start, pool_of(executor, workers))
    if seeds.W is None:
        control.check()
        raise DataError("No seed gave a model with a component left.")
    best = next(record for record in records if record.seed == seeds.best[1])
    return Ensemble(seeds.W, best.H, best.error, best.seed, (rows, columns), scaled.kept, curve, records)


def _in_windows(
    features: Features,
    windows: list[Window],
    scaling: ScalingSettings | None,
    settings: ClusteringSettings,
    workers: int,
    control: Control,
    executor: Executor | None,
) -> Ensemble:
    """The seeds in windows of the scan, and the model of the one of the smallest error."""
    scan_shape = int(features.scan_shape[0]), int(features.scan_shape[1])
    with one_blas_thread():
        scale = Scale.of(features.values, scaling)
        records, curve = Windows(features, windows, scale, control).run(settings, executor, workers)
        ended = [record for record in records if record.status != "cancelled"]
        if not ended:
            control.check()
        best = min((r for r in ended if r.k), key=lambda r: (r.error, r.seed), default=None)
        if best is None:
            raise DataError("No seed gave a model with a component left.")
        work = Windows(features, windows, scale, Control())  # what was done before a cancel is kept
        model = work.joined(best, workers, None if control.cancelled else executor)
    boxes = np.array(windows, np.int64)
    return Ensemble(
        model.W, model.H, best.error, best.seed, scan_shape, scale.kept, curve, tuple(records), boxes, model.boxes
    )


def scree_of_windows(
    features: Features, scaling: ScalingSettings, settings: ClusteringSettings, *, control: Control
) -> Scree | None:
    """The mean scree of the windows that a clustering will work in; None where that is the whole scan."""
    if not varying(features.values).any() or len(windows := windows_of(features, settings)) == 1:
        return None
    return Windows(features, windows, Scale.of(features.values, scaling), control).scree()


def model_of(
    ensemble: Ensemble,
    seed: int,
    features: Features,
    scaling: ScalingSettings,
    *,
    workers: int | None = None,
    control: Control | None = None,
) -> Ensemble:
    """The same ensemble with the model of another seed, from the features that it was made from.

    Parameters
    ----------
    ensemble : Ensemble
    seed : int
    features, scaling
        What the ensemble was made from.
    workers : int, optional
        Windows that are worked on side by side.
    control : Control, optional

    Raises
    ------
    DataError
        If there is no model of that seed, or the features do not fit.
    """
    if not len(ensemble.windows):
        return choose(ensemble, seed, scale(features.values, scaling, control=control).values, control=control)
    record = _record(ensemble, seed)
    with one_blas_thread():
        work = _windows(ensemble, features, scaling, control)
        model = work.joined(record, workers or default_workers())
    return replace(ensemble, W=model.W, H=model.H, error=record.error, seed=seed, boxes=model.boxes)


def seed_maps(
    ensemble: Ensemble, features: Features, scaling: ScalingSettings, *, control: Control | None = None
) -> Callable[[SeedRecord], list[Crop]]:
    """What gives the component maps of a seed, as `Ensemble.crops`, from the features that the seeds were fitted to."""
    if len(ensemble.windows):
        work = _windows(ensemble, features, scaling, control)

        def of_windows(record: SeedRecord) -> list[Crop]:
            model = work.joined(record, 1)
            return crops_of(model.W, model.boxes, ensemble.scan_shape)

        return of_windows
    V = check_matrix(scale(features.values, scaling).values)
    return lambda record: crops_of(weights(V, record.H, control=control), ensemble.boxes, ensemble.scan_shape)


def _windows(ensemble: Ensemble, features: Features, scaling: ScalingSettings, control: Control | None) -> Windows:
    """The windows of an ensemble; a DataError where the features do not fit."""
    how = Scale.of(features.values, scaling)
    n, columns = features.values.shape
    if (n, columns) != (ensemble.W.shape[0], len(ensemble.kept)) or how.kept.sum() != ensemble.H.shape[1]:
        raise DataError(f"Features of shape {(n, columns)} are not those that these seeds were fitted to.")
    return Windows(features, [Window(*box) for box in ensemble.windows.tolist()], how, control or Control())


def _even(features: Features, seed: int) -> Ensemble:
    """The one component of features that are the same at all positions."""
    row = features.values[[0], :].toarray()[0] if isinstance(features.values, sparray) else features.values[0]
    kept = np.isfinite(row)
    if not kept.any():
        raise DataError(f"None of the {len(row)} feature columns is finite; check the detector region and the rings.")
    values = np.maximum(row[kept].astype(np.float64), 0.0)
    length = float(np.linalg.norm(values))
    H = (values / length if length > 0 else np.full(len(values), len(values) ** -0.5))[None].astype(np.float32)
    n = features.values.shape[0]
    W = np.full((n, 1), length / values.max() if length > 0 else 0.0, np.float32)
    record = SeedRecord(seed, 1, 0.0, (), "done", H)
    shape = (int(features.scan_shape[0]), int(features.scan_shape[1]))
    return Ensemble(W, H, 0.0, seed, shape, kept, Scree(np.zeros(1), 1, 0.0), (record,))


def choose(ensemble: Ensemble, seed: int, V: np.ndarray | csr_array, *, control: Control | None = None) -> Ensemble:
    """The same ensemble with the model of another seed.

    Parameters
    ----------
    ensemble : Ensemble
    seed : int
    V : (n, m') float32
        The scaled features that the ensemble was made from: ``scale(features.values, settings).values``.
    control : Control, optional

    Raises
    ------
    DataError
        If there is no model of that seed, or V does not fit.
    """
    record = _record(ensemble, seed)
    if V.shape != (len(ensemble.W), record.H.shape[1]):
        raise DataError(f"A matrix of shape {V.shape} is not the one that these seeds were fitted to.")
    with one_blas_thread():
        matrix = check_matrix(V)
        W = weights(matrix, record.H, control=control)
        return replace(ensemble, W=W, H=record.H, error=model_error(matrix, W, record.H), seed=seed)


def _record(ensemble: Ensemble, seed: int) -> SeedRecord:
    record = next((r for r in ensemble.seeds if r.seed == seed and r.k > 0), None)
    if record is None:
        known = ", ".join(str(r.seed) for r in ensemble.seeds if r.k > 0)
        raise DataError(f"There is no model of seed {seed}; there are models of the seeds {known}.")
    return record
