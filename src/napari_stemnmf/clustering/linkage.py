"""Average linkage of what overlaps: exact, and as cheap as the overlaps are few."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy.sparse import csr_array


def overlap_ratio(a: csr_array, b: csr_array) -> csr_array:
    """Intersection over union of each row of `a` with each of `b`, where they meet; both hold ones, (rows, n)."""
    shared = (a @ b.T).tocoo()
    of_a, of_b = a.sum(axis=1), b.sum(axis=1)
    ratio = shared.data / (of_a[shared.row] + of_b[shared.col] - shared.data)
    return csr_array((ratio, (shared.row, shared.col)), shape=shared.shape)


def closest_ratio(a: Sequence[csr_array], b: Sequence[csr_array]) -> csr_array:
    """The largest `overlap_ratio` of any of `a` with any of `b`, where they meet.

    Dark fields of one grain go with its thickness, each in its own way: some rise to the middle, some saturate. One cut
    at some level then looks like another at some other level. Those of two grains are unlike at any.
    """
    ratios = (overlap_ratio(one, other).tocsr() for one in a for other in b)
    return reduce(lambda x, y: x.maximum(y), ratios)


def alike(ratio: csr_array, cut: float) -> np.ndarray:
    """The cluster of each row, (rows,): average linkage of 1 - `ratio`, cut at 1 - `cut`.

    Clusters that are linked hold a pair that is, and those that share nothing are as far apart as can be: so each
    connected part of the graph of such pairs is linked by itself, with the same result as all at once.
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # late: who opens an analysis needs none of it
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial.distance import squareform

    close = csr_array((ratio.data >= cut, ratio.indices.copy(), ratio.indptr.copy()), shape=ratio.shape)
    close.eliminate_zeros()
    count, part = connected_components(close, directed=False)
    found = np.zeros(ratio.shape[0], np.int64)
    order = np.argsort(part, kind="stable")
    first = 0
    for own in np.split(order, np.cumsum(np.bincount(part, minlength=count))[:-1]):
        if len(own) > 1:
            apart = 1.0 - ratio[own][:, own].toarray()
            np.fill_diagonal(apart, 0.0)
            apart = squareform(np.maximum((apart + apart.T) / 2, 0.0), checks=False)
            found[own] = first + fcluster(linkage(apart, "average"), 1.0 - cut, "distance") - 1
        else:
            found[own] = first
        first = int(found[own].max(initial=first - 1)) + 1
    return found
