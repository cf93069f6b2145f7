"""One representation of a scan, as all later stages take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Features:
    """One representation of a scan: a row per probe position, a column per feature.

    Attributes
    ----------
    name : str
        ``vdf``, ``aa``, ``rv`` or ``bd``.
    values : ndarray or csr_array of float32
        (n, m) unscaled values of the columns that were kept; sparse for VDF and BD. A pattern that was left out as odd
        has a row of NaN, in BD an empty row, and in VDF what its neighbours show.
    columns : dict of ndarray
        (m,) each, what the columns stand for: ``ring``, ``r_in``, ``r_out`` [px], ``azimuth`` [deg] for AA,
        ``radius`` [px] for RV; those of VDF and BD are told where they are made.
    dropped : tuple of str
        Columns that were left out, for lack of valid pixels.
    scan_shape : tuple of int
        (scan_y, scan_x); n is their product.
    details : dict
        What was found or used on the way: ``rings`` [px], ``intensity``, ...
    """

    name: str
    values: np.ndarray | csr_array
    columns: dict[str, np.ndarray]
    dropped: tuple[str, ...]
    scan_shape: tuple[int, int]
    details: dict[str, Any] = field(default_factory=dict)

    def by_column(self, *details: str) -> tuple[csr_array, ...]:
        """The matrix transposed, (m, n), and details that go along with its stored values in the same way, as float32.

        A detail that is True or False becomes a matrix with a one where it is True. All others share their indices.
        """
        values = csr_array(self.values)
        number = np.arange(values.nnz, dtype=values.indices.dtype)
        order = csr_array((number, values.indices, values.indptr), values.shape).T.tocsr()
        del number
        found = []
        for part in (values.data, *(self.details[name] for name in details)):
            there, indices, indptr = part[order.data], order.indices, order.indptr
            if part.dtype == bool:
                before = np.concatenate([[0], np.cumsum(there, dtype=np.int64)])
                indices, indptr = indices[there], before[indptr].astype(indptr.dtype)
                there = there[there]
            found.append(csr_array((there.astype(np.float32, copy=False), indices, indptr), order.shape))
        return tuple(found)

    def along(self, name: str) -> csr_array:
        """A detail that goes along with the stored values of a sparse matrix, as a matrix (m, n) of float32."""
        values = csr_array(self.values)
        detail = self.details[name].astype(np.float32)
        return csr_array((detail, values.indices, values.indptr), shape=values.shape).T.tocsr()
