"""Merge components whose maps are alike: one cycle's worth of step 3 and 4 of the iterative NMF.

Leans on nothing but NumPy. W is (n, k): column i reshaped to the scan is a component map. H is (k, m).
"""

from __future__ import annotations

import numpy as np


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
