"""What is missing of a scan: chunks, files or parts of a recording that were never written or did not arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import dask.array as da


@dataclass(frozen=True, eq=False)
class Gaps:
    """Which patterns of a scan are missing.

    Attributes
    ----------
    missing : ndarray of bool
        (scan_y, scan_x), True where a pattern is not there, or not all of it.
    data : dask.array.Array
        The scan with the fill value of its file, zeros, there. `Dataset.data` raises a ReadError in their place.
    """

    missing: np.ndarray
    data: da.Array

    def like(self, data: da.Array, missing: np.ndarray) -> Gaps | None:
        """What is missing of a part of the scan; None where nothing of that is."""
        return Gaps(missing, data) if missing.any() else None


def told_missing(missing: np.ndarray) -> str:
    """How much is missing, in words: "12 of 400 patterns (3 %) are missing, the first at row 2, column 5"."""
    count, (row, column) = int(missing.sum()), (int(n) for n in np.argwhere(missing)[0])
    share = 100.0 * count / missing.size
    return (
        f"{count} of {missing.size} patterns ({share:.2g} %) {'is' if count == 1 else 'are'} missing, the first at row "
        f"{row}, column {column}: never written, or lost on the way"
    )
