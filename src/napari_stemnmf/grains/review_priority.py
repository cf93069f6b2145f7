"""Which grains to look at first: those whose numbers say that something may be wrong with them. Leans on pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_stemnmf.errors import DataError

CRITERIA = ("overall", "dissimilarity", "stability", "overlap")
"""What grains can be ranked by."""


def rank(table: pd.DataFrame, by: str = "overall") -> tuple[np.ndarray, np.ndarray]:
    """Grains in the order of doubt.

    Parameters
    ----------
    table : DataFrame
        One row a grain, as `measurement.measure` gives it; columns that are missing count as unknown.
    by : {"overall", "dissimilarity", "stability", "overlap"}
        Dissimilarity of its patterns, from 0 for the least of all grains to 1 for the largest; 1 - stability across
        the seeds; the share of its positions that other grains hold too; or the mean of those that are known.

    Returns
    -------
    ids : ndarray of int64, (g,)
        Most doubtful first; of equals, the one that comes first in the table; grains of which nothing is known last.
    scores : ndarray, (g,)
        Doubt from 0 to 1, in the same order; NaN where nothing is known.

    Raises
    ------
    DataError
        If there is no such criterion.
    """
    if by not in CRITERIA:
        raise DataError(f"Grains cannot be ranked by '{by}'; choose from {', '.join(CRITERIA)}.")
    scores = {
        "dissimilarity": _relative(_column(table, "dissimilarity")),
        "stability": 1 - _column(table, "stability"),
        "overlap": _column(table, "overlap_fraction"),
    }
    score = _mean(np.stack(list(scores.values()))) if by == "overall" else scores[by]
    order = np.argsort(-score, kind="stable")  # NaN comes last
    return table["grain_id"].to_numpy(np.int64)[order], score[order]


def _column(table: pd.DataFrame, name: str) -> np.ndarray:
    return table[name].to_numpy(np.float64) if name in table else np.full(len(table), np.nan)


def _relative(values: np.ndarray) -> np.ndarray:
    """Values from 0 for the smallest to 1 for the largest; 0 where all are equal."""
    known = values[np.isfinite(values)]
    spread = np.ptp(known) if len(known) else 0.0
    return (values - known.min()) / spread if spread > 0 else np.where(np.isfinite(values), 0.0, np.nan)


def _mean(scores: np.ndarray) -> np.ndarray:
    """The mean of each column's known values."""
    known = np.isfinite(scores)
    count = known.sum(axis=0)
    total = np.where(known, scores, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
