"""Bring feature columns to a common scale, so that NMF weighs them as the recipe says.

A sparse matrix stays sparse. Source: Bruefach et al. 2022, eq. 2 (min-max scaling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array, sparray

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.representation_settings import ScalingSettings

_ROUNDING = 8 * float(np.finfo(np.float32).eps)  # a column that varies less than so, relatively, is constant
_BLOCK = 65536  # rows whose ranges are taken at a time


@dataclass(frozen=True, eq=False)
class Scaled:
    """A feature matrix that NMF can take.

    Attributes
    ----------
    values : (n, m') float32, an array or a csr_array
        Kept columns, each in 0 to 1: ``(raw - offset) * factor``. Sparse if the raw matrix is.
    kept : (m,) bool
        Which columns of the raw matrix were kept.
    offset, factor : (m',) float64
        What was taken from each kept column, and what it was then multiplied by.
    missing : (n,) bool
        Rows of NaN of the raw matrix: patterns that were left out. Here they are rows of zeros, of which NMF makes
        weights of zero, and which do not change its components.
    """

    values: np.ndarray | csr_array
    kept: np.ndarray
    offset: np.ndarray
    factor: np.ndarray
    missing: np.ndarray

    @property
    def dropped(self) -> tuple[int, ...]:
        """Indices of the raw columns that were left out: constant, or with values that are not finite."""
        return tuple(int(i) for i in np.flatnonzero(~self.kept))


def scale(
    values: np.ndarray | sparray, settings: ScalingSettings | None = None, *, control: Control | None = None
) -> Scaled:
    """Scale a feature matrix to 0..1 and leave out the columns that carry nothing.

    Parameters
    ----------
    values : (n, m) array or sparse array
        Raw features, one row per probe position. Not changed. Where a sparse one has zeros they stay zeros, which is
        what scaling makes of the minimum.
    settings : ScalingSettings
        ``minmax`` scales each column by itself (eq. 2 of the paper, as scikit-learn's ``MinMaxScaler``);
        ``global`` gives all columns one scale, so that strong columns stay strong.
    control : Control, optional
        Checked for a cancel before each column.

    Returns
    -------
    Scaled
        Constant columns and columns with NaN or infinite values are dropped, never divided by zero. Rows that are all
        NaN count for nothing.

    Raises
    ------
    DataError
        If the matrix is not two-dimensional, no column is left, or a sparse one has negative values.
    """
    return Scale.of(values, settings).apply(values, control=control)


@dataclass(frozen=True, eq=False)
class Scale:
    """How the columns of a feature matrix are scaled, so that a part of its rows can be scaled as the whole.

    Attributes
    ----------
    kept, offset, factor
        As in `Scaled`.
    """

    kept: np.ndarray
    offset: np.ndarray
    factor: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray | sparray, settings: ScalingSettings | None = None) -> Scale:
        """That of a matrix; parameters and errors as those of `scale`."""
        settings = ScalingSettings() if settings is None else settings
        columns = csc_array(values) if isinstance(values, sparray) else np.asarray(values)
        if columns.ndim != 2 or 0 in columns.shape:
            raise DataError(
                f"Scaling needs a matrix (probe positions, columns); this one has the shape {columns.shape}."
            )
        low, high, kept = _ranges(columns, _missing(columns))
        if not kept.any():
            raise DataError(
                f"None of the {columns.shape[1]} feature columns varies over the scan (constant or not finite); "
                "there is nothing to cluster. Check the detector region and the rings."
            )
        low, high = low[kept], high[kept]
        if settings.method == "global":
            low, high = np.full_like(low, min(0.0, low.min())), np.full_like(high, high.max())
        return cls(kept, low, 1.0 / (high - low))

    def apply(self, values: np.ndarray | sparray, *, control: Control | None = None) -> Scaled:
        """Rows (n, m) of the matrix, or all of them, scaled."""
        columns = csc_array(values) if isinstance(values, sparray) else np.asarray(values)
        missing, low, factor = _missing(columns), self.offset, self.factor
        if isinstance(columns, sparray):
            return Scaled(_scaled_sparse(columns[:, self.kept], low, factor), self.kept, low, factor, missing)
        scaled = np.empty((columns.shape[0], int(self.kept.sum())), np.float32, order="F")
        for column, source in enumerate(np.flatnonzero(self.kept)):
            if control is not None:
                control.check()
            scaled[:, column] = (columns[:, source] - low[column]) * factor[column]
        np.clip(scaled, 0.0, 1.0, out=scaled)  # only rounding lies outside
        scaled[missing] = 0.0
        return Scaled(scaled, self.kept, low, factor, missing)


def varying(values: np.ndarray | sparray) -> np.ndarray:
    """(m,) bool: which columns of raw features are finite and differ between positions by more than rounding."""
    columns = csc_array(values) if isinstance(values, sparray) else np.asarray(values)
    return _ranges(columns, _missing(columns))[2]


def _missing(columns: np.ndarray | csc_array) -> np.ndarray:
    """(n,) bool: rows of NaN, of patterns that were left out."""
    missing = np.zeros(columns.shape[0], bool)
    if not isinstance(columns, sparray):
        missing[np.isnan(columns[:, 0])] = np.isnan(columns[np.isnan(columns[:, 0])]).all(axis=1)
    return missing


def _ranges(columns: np.ndarray | csc_array, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimum and maximum of each column, 0 where they are not finite, and which columns carry something."""
    if isinstance(columns, sparray):
        low, high = _sparse_ranges(columns)
    else:
        low, high = np.full(columns.shape[1], np.inf), np.full(columns.shape[1], -np.inf)
        for start in range(0, len(columns), _BLOCK):
            rows = slice(start, start + _BLOCK)
            there = columns[rows][~missing[rows]]
            low = np.minimum(low, there.min(axis=0, initial=np.inf))
            high = np.maximum(high, there.max(axis=0, initial=-np.inf))
    low, high = low.astype(np.float64), high.astype(np.float64)
    finite = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(finite, low, 0.0), np.where(finite, high, 0.0)
    return low, high, finite & (high - low > _ROUNDING * np.maximum(np.abs(low), np.abs(high)))


def _sparse_ranges(columns: csc_array) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum of each column, zeros that are not stored too; NaN where a column has one."""
    columns.sum_duplicates()
    stored = np.diff(columns.indptr)
    low, high = np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
    filled = np.flatnonzero(stored)
    if filled.size:
        starts = columns.indptr[filled]
        low[filled] = np.minimum.reduceat(columns.data, starts)
        high[filled] = np.maximum.reduceat(columns.data, starts)
    if (low[np.isfinite(low)] < 0).any():
        raise DataError("A sparse feature matrix must not have negative values: its zeros would have to be lifted.")
    low[(stored < columns.shape[0]) & np.isfinite(low)] = 0.0
    return low, high


def _scaled_sparse(columns: csc_array, low: np.ndarray, factor: np.ndarray) -> csr_array:
    """What is stored, shifted and scaled by column. Only a column without a zero has a `low` other than 0."""
    column = np.repeat(np.arange(columns.shape[1]), np.diff(columns.indptr))
    scaled = np.clip((columns.data - low[column]) * factor[column], 0.0, 1.0).astype(np.float32)
    return csc_array((scaled, columns.indices, columns.indptr), shape=columns.shape).tocsr()
