"""The iterative NMF from one random start: fit, merge components whose maps are alike, refit on V, until none are.

W is (n, k): column i reshaped to the scan is a component map. H is (k, m). Source: Bruefach et al. 2022, "Iterative
NMF".

The first cycles, in which components fall away by the dozen, are coarse fits: they run on every other row and column
of the scan and stop sooner. From half the starting components on, every fit sees the whole scan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.hals import Fit, nmf, weights
from napari_stemnmf.clustering.matrix import Matrix, model_error
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled
from napari_stemnmf.representation_settings import ClusteringSettings

_COARSE_END = 0.5  # share of the starting components at which coarse fits end
_COARSE_LOOSE, _FINAL_TIGHT = 3.0, 1e-4  # factors on the tolerance
_REFIT_MARGIN = 1.002  # a new start is followed to its minimum only if it comes so near to the model's error at first


class SeedProgress(NamedTuple):
    """The state of a seed after one of its fits, or in windows after one of these, or, with a `status`, at its end."""

    seed: int
    cycle: int
    """Fits so far, of which this is the last; or windows."""
    k: int
    error: float
    """Of the fit, over the rows that it was fitted to; at the end that of the model."""
    status: str = ""
    """As in `SeedRecord`; empty while the seed is running."""
    step: str = "cycle"
    """What is counted: cycles, or windows."""

    def __str__(self) -> str:
        state = f" {self.status}" if self.status else f", {self.step} {self.cycle}"
        return f"seed {self.seed}{state}, k {self.k}, error {self.error:.4f}"


@dataclass(frozen=True)
class Cycle:
    """One fit of one seed.

    Attributes
    ----------
    k : int
        Components that it ended with.
    error : float
        ‖V − WH‖_F / ‖V‖_F over the rows that it was fitted to.
    iterations : int
    rows : int
        Rows of V that it was fitted to: all, or those of the coarse fit.
    """

    k: int
    error: float
    iterations: int
    rows: int


@dataclass(frozen=True, eq=False)
class SeedRecord:
    """What became of one random start.

    Attributes
    ----------
    seed : int
    k : int
        Components of its last model; 0 if it never had one.
    error : float
        ‖V − WH‖_F / ‖V‖_F of its final model on V. NaN if it never had a model of the whole V.
    cycles : tuple of Cycle
        Every fit, in order.
    status : str
        ``done``; ``stopped`` before its end for a `reason`; ``cancelled`` by the user.
    H : (k, m) float32
        Its components, rows of unit length: all that is needed to choose this seed later. Where NMF ran in windows,
        those of all windows before they are joined, of sparse features as a csr_array.
    reason : str
        Why it did not come to its end; empty if it did.
    windows : (windows,) int64
        Where NMF ran in windows, the number of components of each.
    """

    seed: int
    k: int
    error: float
    cycles: tuple[Cycle, ...]
    status: str
    H: np.ndarray | csr_array
    reason: str = ""
    windows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), metadata={"since": "0.5"})


def random_start(V: Matrix, k: int, seed: int, draw: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A random non-negative start: W (n, k) and H (k, m) float32, scaled so that WH is about as large as V.

    Half-normal numbers, as scikit-learn's ``init="random"``. A start from a singular value decomposition would make
    every seed nearly the same model. Another `draw` of the same seed is independent of the first.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(draw,)))
    size = np.float32(np.sqrt(V.mean(dtype=np.float64) / k))
    H = np.abs(generator.standard_normal((k, V.shape[1]), np.float32)) * size
    W = np.abs(generator.standard_normal((k, V.shape[0]), np.float32)).T * size
    return W, H


class IterativeNMF:
    """The iterative NMF of one seed.

    Parameters
    ----------
    V : (n, m) float32
        Scaled features, as `check_matrix` returns them.
    V_coarse : (n', m) float32 or None
        The rows of V that the coarse fits of the first cycles see; None for no coarse fits.
    start : int
        Components to start from.
    settings : ClusteringSettings
    seed : int
    report : callable
        Called with a `SeedProgress` after every fit.
    control : Control
        Checked for a cancel before every block of rows of every iteration.
    """

    def __init__(
        self,
        V: Matrix,
        V_coarse: Matrix | None,
        start: int,
        settings: ClusteringSettings,
        seed: int,
        report: Callable[[SeedProgress], None],
        control: Control,
    ) -> None:
        self.V, self.V_coarse, self.start = V, V_coarse, start
        self.settings, self.seed, self.report, self.control = settings, seed, report, control
        self.W = np.zeros((len(V), 0), np.float32)
        self.H = np.zeros((0, V.shape[1]), np.float32)
        self.error = float("nan")
        self.cycles: list[Cycle] = []

    def run(self) -> SeedRecord:
        """All cycles to the end; `W` is then the final model's. A cancel is recorded, with the model reached so far."""
        status, reason = "done", ""
        try:
            loose, tight = self.settings.tolerance, self.settings.tolerance * _FINAL_TIGHT
            W, H, ended = self._cycles(self.V, *self._first_start(), loose)
            if ended:
                W, H, ended = self._cycles(self.V, W, H, tight)
            if not ended:
                status, reason = "stopped", f"components were still merging after {len(self.cycles)} cycles"
            self._refit(loose, tight)
            self._final_weights()
        except Cancelled:
            status, reason = "cancelled", "cancelled by the user"
        return SeedRecord(self.seed, len(self.H), self.error, tuple(self.cycles), status, self.H, reason)

    def _first_start(self) -> tuple[np.ndarray, np.ndarray]:
        """The start over the whole scan: random, or what the coarse fits lead to."""
        if self.V_coarse is None:
            return random_start(self.V, self.start, self.seed)
        start = random_start(self.V_coarse, self.start, self.seed)
        loose = self.settings.tolerance * _COARSE_LOOSE
        _, H, _ = self._cycles(self.V_coarse, *start, loose, enough=int(self.start * _COARSE_END))
        return weights(self.V, H, control=self.control), H

    def _cycles(
        self, V: Matrix, W: np.ndarray, H: np.ndarray, tolerance: float, enough: int = 0
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """Fit and merge until no pair is alike or `enough` components are left.

        Returns where the next fit starts from, and False if the cycles ran out before.
        """
        while True:
            fit = nmf(V, W, H, tolerance=tolerance, max_iterations=self.settings.max_iterations, control=self.control)
            self._accept(fit)
            W, H, merged = merge(self.W, self.H, self.settings.merge_threshold)
            if not merged:
                return W, H, True
            if len(self.cycles) >= self.settings.max_cycles:
                return W, H, False
            if len(H) <= enough:
                return W, H, True

    def _accept(self, fit: Fit) -> None:
        """Make a fit the model, and report it. The error is the model's only if it was fitted to the whole V."""
        rows = len(fit.W)
        self.W, self.H = normalise(fit.W, fit.H)
        if rows == len(self.V):
            self.error = fit.error
        self.cycles.append(Cycle(len(self.H), fit.error, fit.iterations, rows))
        self.report(SeedProgress(self.seed, len(self.cycles), len(self.H), fit.error))

    def _refit(self, loose: float, tight: float) -> None:
        """Fit as many components from a new random start: kept where its error on V is the smaller."""
        if self.settings.refit == "off" or len(self.H) < 2:
            return
        start = random_start(self.V, len(self.H), self.seed, draw=1)
        most = self.settings.max_iterations
        fit = nmf(self.V, *start, tolerance=loose, max_iterations=most, control=self.control)
        if not self._eligible(fit, _REFIT_MARGIN):
            return
        fit = nmf(self.V, fit.W, fit.H, tolerance=tight, max_iterations=most, control=self.control)
        if self._eligible(fit, 1.0):
            self._accept(fit)

    def _eligible(self, fit: Fit, margin: float) -> bool:
        """Whether a fit's error is below `margin` times the model's, with no two maps alike unless `refit` is free."""
        if fit.error >= self.error * margin:
            return False
        W, _ = normalise(fit.W, fit.H)
        r = correlation(W)[np.triu_indices(W.shape[1], 1)].max(initial=-1.0)
        return self.settings.refit == "free" or bool(r < self.settings.merge_threshold)

    def _final_weights(self) -> None:
        """The best W for the final H, so that H alone gives the model back (`ensemble.choose`), and its error on V."""
        self.W, self.H = normalise(weights(self.V, self.H, control=self.control), self.H)
        self.error = model_error(self.V, self.W, self.H)


def normalise(W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the rows of H unit length, their scale to W, and leave out dead components.

    Parameters
    ----------
    W : (n, k) array, non-negative
    H : (k, m) array, non-negative

    Returns
    -------
    W, H : (n, k'), (k', m) float32
        With ``W @ H`` unchanged. A component is dead if its map or its row of H is zero or not finite.
    """
    length = np.sqrt(np.einsum("ij,ij->i", H, H, dtype=np.float64))
    total = W.sum(axis=0, dtype=np.float64)
    alive = np.isfinite(length) & np.isfinite(total) & (length > 0) & (total > 0)
    length = length[alive]
    return (
        (W.T[alive] * length[:, None]).astype(np.float32).T,
        (H[alive] / length[:, None]).astype(np.float32),
    )


def correlation(W: np.ndarray) -> np.ndarray:
    """Pearson's r between the columns of W, as (k, k) float64; 0 where a column is constant, 1 on the diagonal."""
    maps = W.T - W.mean(axis=0, dtype=np.float64).astype(W.dtype)[:, None]
    covariance = (maps @ maps.T).astype(np.float64)
    deviation = np.sqrt(np.diag(covariance))
    inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    r = np.clip(covariance * inverse[:, None] * inverse[None, :], -1.0, 1.0)
    r = (r + r.T) / 2
    np.fill_diagonal(r, 1.0)
    return r


def pairs_to_merge(r: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, with ``r >= threshold``: best first, each component in one pair at most.

    Equal correlations are taken in order of their indices, so that the choice is always the same.
    """
    first, second = np.triu_indices(len(r), 1)
    order = np.argsort(-r[first, second], kind="stable")
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True):
        if r[i, j] < threshold:
            break
        if i not in taken and j not in taken:
            taken.update((i, j))
            pairs.append((i, j))
    return pairs


def merge(W: np.ndarray, H: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, int]:
    """One cycle of merging: pairs of maps with Pearson's r at or above `threshold` become one component.

    W adds up; H becomes the W-weighted mean of the pair. Each component takes part in one merge at most, so a
    group of alike components needs several cycles, with a refit on V between them.

    Parameters
    ----------
    W : (n, k) array
        Weights; with rows of H of unit length (`normalise`) the sum of a column is the weight of a component.
    H : (k, m) array
    threshold : float
        Smallest correlation that merges.

    Returns
    -------
    W, H : (n, k'), (k', m)
        New arrays, in the order of the first of each pair. The arguments are not changed.
    n_merged : int
        Number of pairs that were merged: k - k'.
    """
    pairs = pairs_to_merge(correlation(W), threshold)
    maps, rows = W.T.copy(), H.copy()
    weight = W.sum(axis=0, dtype=np.float64)
    keep = np.ones(len(rows), bool)
    for i, j in pairs:
        share = weight[i] / (weight[i] + weight[j]) if weight[i] + weight[j] > 0 else 0.5
        rows[i] = share * H[i] + (1.0 - share) * H[j]
        maps[i] = W[:, i] + W[:, j]
        keep[j] = False
    return maps[keep].T, rows[keep], len(pairs)
