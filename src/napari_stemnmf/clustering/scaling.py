"""Bring feature columns to a common scale, so that NMF weighs them as the recipe says.

Leans on nothing but NumPy and the settings. Source: Bruefach et al. 2022, eq. 2 (min-max scaling).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.recipe import ScalingSettings

_ROUNDING = 8 * float(np.finfo(np.float32).eps)  # a column that varies less than so, relatively, is constant


@dataclass(frozen=True, eq=False)
class Scaled:
    """A feature matrix that NMF can take.

    Attributes
    ----------
    values : (n, m') float32
        Kept columns, each in 0 to 1: ``(raw - offset) * factor``.
    kept : (m,) bool
        Which columns of the raw matrix were kept.
    offset, factor : (m',) float64
        What was taken from each kept column, and what it was then multiplied by.
    """

    values: np.ndarray
    kept: np.ndarray
    offset: np.ndarray
    factor: np.ndarray

    @property
    def dropped(self) -> tuple[int, ...]:
        """Indices of the raw columns that were left out: constant, or with values that are not finite."""
        return tuple(int(i) for i in np.flatnonzero(~self.kept))


def scale(values: np.ndarray, settings: ScalingSettings | None = None) -> Scaled:
    """Scale a feature matrix to 0..1 and leave out the columns that carry nothing.

    Parameters
    ----------
    values : (n, m) array
        Raw features, one row per probe position. Not changed.
    settings : ScalingSettings
        ``minmax`` scales each column by itself (eq. 2 of the paper, as scikit-learn's ``MinMaxScaler``);
        ``global`` gives all columns one scale, so that strong columns stay strong.

    Returns
    -------
    Scaled
        Constant columns and columns with NaN or infinite values are dropped, never divided by zero.

    Raises
    ------
    DataError
        If the matrix is not two-dimensional or no column is left.
    """
    settings = ScalingSettings() if settings is None else settings
    values = np.asarray(values)
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(f"Scaling needs a matrix (probe positions, columns); this one has the shape {values.shape}.")
    low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    finite = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(finite, low, 0.0), np.where(finite, high, 0.0)
    kept = finite & (high - low > _ROUNDING * np.maximum(np.abs(low), np.abs(high)))
    if not kept.any():
        raise DataError(
            f"None of the {values.shape[1]} feature columns varies over the scan (constant or not finite); "
            "there is nothing to cluster. Check the detector region and the rings."
        )
    low, high = low[kept], high[kept]
    if settings.method == "global":
        low, high = np.full_like(low, min(0.0, low.min())), np.full_like(high, high.max())
    factor = 1.0 / (high - low)
    scaled = np.empty((values.shape[0], int(kept.sum())), np.float32, order="F")
    for column, source in enumerate(np.flatnonzero(kept)):
        scaled[:, column] = (values[:, source] - low[column]) * factor[column]
    np.clip(scaled, 0.0, 1.0, out=scaled)  # only rounding lies outside
    return Scaled(scaled, kept, low, factor)
