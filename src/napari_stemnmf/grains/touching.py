"""Pairs of found and true grains that touch: a few for each grain, however many there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array


class Touching(NamedTuple):
    """Found and true grains that touch, (p,) each, by found and then by true grain: a few for each, however many."""

    found: np.ndarray
    true: np.ndarray
    shared: np.ndarray
    """Positions in both."""
    iou: np.ndarray
    weight: np.ndarray
    """Summed weights of the found grain inside the true one."""
    shape: tuple[int, int]

    @classmethod
    def of(cls, found: csr_array, true: csr_array, weights: csr_array) -> Touching:
        """From masks (f, n) and (t, n), and the weights (f, n) of the found ones."""
        shared = csr_array(found @ true.T)
        shared.sort_indices()
        row, column = shared.tocoo().coords
        inside = np.asarray((weights @ true.T).tocsr()[row, column]).ravel() if len(row) else np.zeros(0)
        both = shared.data.astype(np.float64)
        union = np.asarray(found.sum(axis=1))[row] + np.asarray(true.sum(axis=1))[column] - both
        shape = int(shared.shape[0]), int(shared.shape[1])
        return cls(row.astype(np.int64), column.astype(np.int64), both, both / np.maximum(union, 1), inside, shape)

    def best_match(self) -> tuple[np.ndarray, np.ndarray]:
        """Column of the best match of each found grain, and its pair; -1 where none is touched."""
        largest = np.zeros(self.shape[0])
        np.maximum.at(largest, self.found, self.weight)
        equal = np.flatnonzero(self.weight >= largest[self.found] * (1 - 1e-12))  # the last digit of sums may differ
        order = equal[np.lexsort((self.true[equal], -self.iou[equal], self.found[equal]))]
        grain, first = np.unique(self.found[order], return_index=True)
        best, at = np.full((2, self.shape[0]), -1)
        best[grain], at[grain] = self.true[order[first]], order[first]
        return best, at

    def one_to_one(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows and columns of the one-to-one pairs of the largest sum of IoU, and their IoU."""
        from scipy.sparse.csgraph import min_weight_full_bipartite_matching  # late: napari starts without it

        if not len(self.found):
            return self.found, self.true, self.iou
        # each found grain may stay alone, too, which costs what a pair of IoU 0 would: then all have a partner
        alone = np.arange(self.shape[0])
        row, column = np.concatenate([self.found, alone]), np.concatenate([self.true, self.shape[1] + alone])
        gain = np.concatenate([1.0 + self.iou, np.ones(len(alone))])
        graph = csr_array((gain, (row, column)), shape=(self.shape[0], self.shape[1] + self.shape[0]))
        row, column = min_weight_full_bipartite_matching(graph, maximize=True)
        paired = column < self.shape[1]
        row, column = row[paired].astype(np.int64), column[paired].astype(np.int64)
        at = np.searchsorted(self.found * self.shape[1] + self.true, row * self.shape[1] + column)
        return row, column, self.iou[at]
