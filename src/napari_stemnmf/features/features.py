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

    def along(self, name: str) -> csr_array:
        """A detail that goes along with the stored values of a sparse matrix, as a matrix (m, n) of float32."""
        values = csr_array(self.values)
        detail = self.details[name].astype(np.float32)
        return csr_array((detail, values.indices.copy(), values.indptr.copy()), shape=values.shape).T.tocsr()
