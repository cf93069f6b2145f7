"""What is kept of each pattern when it is read, to judge later whether it is one of the specimen.

It is taken on a grid of small tiles, so that neither hot pixels nor Bragg disks matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

TILES = 8
"""Tiles along each axis of the detector, of up to TILE x TILE pixels."""
TILE = 8
LINES = 64
"""Rows of the detector, at least, that the centre of mass is taken from."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What is kept of each pattern to judge it by; all (n,).

    Attributes
    ----------
    total : ndarray of float64
        Sum of the counts.
    level, spread : ndarray of float32
        Median of the tiles' means and their interquartile range, counts a pixel.
    invalid, full : ndarray of float32
        Share of the looked-at pixels that are not finite, and that have the largest value of a whole-number type.
    above, of_rows, of_columns : ndarray of float64
        Sum of what is above the level in the rows that are looked at, and the same times row and times column.
    side : int
        Of a tile, px.
    """

    total: np.ndarray
    level: np.ndarray
    spread: np.ndarray
    invalid: np.ndarray
    full: np.ndarray
    above: np.ndarray
    of_rows: np.ndarray
    of_columns: np.ndarray
    side: int

    @classmethod
    def of(cls, table: np.ndarray, total: np.ndarray, detector_shape: tuple[int, int]) -> Looks:
        """From what `look` gives for each pattern (n, 7), and the sums (n,)."""
        level, spread, invalid, full = table[:, :4].T.astype(np.float32)
        return cls(total, level, spread, invalid, full, table[:, 4], table[:, 5], table[:, 6], _side(detector_shape))

    @property
    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column (n,) float32 of the centre of mass of what is above the level; NaN where nothing is."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = [np.where(self.above > 0.0, of / self.above, np.nan) for of in (self.of_rows, self.of_columns)]
        return found[0].astype(np.float32), found[1].astype(np.float32)

    def filled(self, missing: np.ndarray | None) -> Looks:
        """The same with the looks of the nearest pattern for those that are missing (scan_y, scan_x)."""
        if missing is None or missing.all():
            return self
        from scipy import ndimage

        rows, columns = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
        nearest = (rows * missing.shape[1] + columns).ravel()
        parts = ("total", "level", "spread", "invalid", "full", "above", "of_rows", "of_columns")
        return replace(self, **{name: getattr(self, name)[nearest] for name in parts})

    def without(self, pixels: np.ndarray, typical: np.ndarray) -> Looks:
        """The same without what some pixels (q_y, q_x) add, each of which has its `typical` value in a pattern.

        Patterns with less than that stay as they are. Tiles are so many that their median hardly feels such pixels.
        """
        y, x = np.nonzero(pixels & (np.abs(typical) <= np.finfo(np.float32).max) & (typical > 0))
        value = typical[y, x].astype(np.float64)
        of = np.isin(y, _lines(pixels.shape[0]))
        above, rows, columns = self.above.copy(), self.of_rows.copy(), self.of_columns.copy()
        for each in np.unique(value[of]):  # hardly any two numbers
            here, height = of & (value == each), np.maximum(each - self.level.astype(np.float64), 0.0)
            above -= height * here.sum()
            rows -= height * y[here].sum()
            columns -= height * x[here].sum()
        total = self.total - value.sum()
        total[np.abs(total) <= 1e-9 * value.sum()] = 0.0  # rounding
        total = np.where(total < 0.0, self.total, total)
        return replace(self, total=total, above=above, of_rows=rows, of_columns=columns)


def look(block: np.ndarray) -> np.ndarray:
    """(p, 7) float64, what `Looks` keeps of patterns (p, q_y, q_x) beside their sums."""
    from napari_stemnmf.streaming.summing import look_at

    rows, columns = block.shape[1:]
    side = _side((rows, columns))
    y, x = (_starts(size, side) for size in (rows, columns))
    largest = float(np.iinfo(block.dtype).max) if block.dtype.kind in "iu" else np.inf
    return look_at(block, y, x, side, largest, _lines(rows))  # type: ignore[no-any-return]


def _lines(rows: int) -> np.ndarray:
    """The rows of a detector that the centre of mass is taken from."""
    return np.arange(0, rows, max(1, rows // LINES))


def _side(detector_shape: tuple[int, int]) -> int:
    return max(1, min(TILE, *(size // TILES for size in detector_shape)))


def _starts(size: int, side: int) -> np.ndarray:
    """First pixels of tiles spread evenly over a detector's axis."""
    return np.unique(((np.arange(TILES) + 0.5) * size / TILES - side / 2).round().astype(np.int64).clip(0, size - side))
