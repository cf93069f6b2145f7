"""A scan in the shape that was asked for; where patterns of it are missing, to read them is an error."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.errors import ReadError, ScanShapeError
from napari_stemnmf.gaps import told_missing
from napari_stemnmf.reading.blocks import Blocks
from napari_stemnmf.scan_shape import patterns_of_scan, wrong_scan_shape


def in_shape(
    blocks: Blocks, gaps: np.ndarray | None, name: str, scan_shape: tuple[int, int] | None, drop: str | int
) -> tuple[list[Any], np.ndarray | None, dict[str, Any]]:
    """A scan as Dask arrays in a shape, what is missing of it, and what the metadata says of patterns left out.

    Two arrays where something is missing: one that raises in its place, and one with zeros there; None as to what is
    missing where nothing is.
    """
    missing = gaps if gaps is not None and gaps.any() else None
    arrays = [blocks.to_dask()] if missing is None else [WithGaps(blocks, missing).to_dask(), blocks.to_dask()]
    if scan_shape is None or scan_shape == blocks.shape[:2]:
        return arrays, missing, {}
    taken, told = _taken(blocks.shape[:2], name, scan_shape, drop)
    if missing is not None:
        missing = missing.ravel()[taken.start : taken.stop].reshape(scan_shape)
    return [_reshaped(each, taken, scan_shape) for each in arrays], missing, told


@dataclass(frozen=True)
class WithGaps(Blocks):
    """A scan of which some patterns are missing: to read one of those is an error.

    Attributes
    ----------
    blocks : Blocks
        The scan, with a fill value there.
    missing : ndarray of bool
        (scan_y, scan_x).
    """

    blocks: Blocks
    missing: np.ndarray

    @property
    def path(self) -> Path:  # type: ignore[override]
        """The file, for messages."""
        return self.blocks.path

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Sizes of (scan_y, scan_x, q_y, q_x)."""
        return self.blocks.shape

    @property
    def dtype(self) -> np.dtype:  # type: ignore[override]
        """Type of the counts."""
        return self.blocks.dtype

    @property
    def chunk(self) -> tuple[int, int]:  # type: ignore[override]
        """Rows and columns of the scan that the file stores together."""
        return self.blocks.chunk

    def read(self, rows: range, columns: range) -> np.ndarray:
        """Patterns at some probe positions, where none is missing."""
        if self.missing[np.ix_(rows, columns)].any():
            raise ReadError(
                f"Of {self.path.name}, {told_missing(self.missing)}. Copy the file once more, or set "
                'preprocess.missing to "leave out", to go on without them, or to "zeros", if the file leaves these out.'
            )
        return self.blocks.read(rows, columns)


def _taken(
    shape: tuple[int, ...], name: str, scan_shape: tuple[int, int], drop: str | int
) -> tuple[range, dict[str, Any]]:
    """Which patterns of a scan make one of another shape, and what the metadata says of those that are left out.

    Patterns are left out of a recording that the file gives as one line, and whole rows of any scan.
    """
    rows, columns = shape
    if math.prod(scan_shape) > rows * columns:
        raise wrong_scan_shape(name, scan_shape, rows * columns)
    if 1 not in (rows, columns) and scan_shape[1] != columns and math.prod(scan_shape) != rows * columns:
        raise ScanShapeError(
            f"{name} is a scan of {rows} x {columns} positions, whose rows a scan shape of {scan_shape[0]} x "
            f"{scan_shape[1]} would tear apart; leave the scan shape out."
        )
    return patterns_of_scan(name, rows * columns, scan_shape, drop)


def _reshaped(data: Any, taken: range, scan_shape: tuple[int, int]) -> Any:
    """Some patterns of a scan (scan_y, scan_x, q_y, q_x) in another shape."""
    flat = data.reshape(-1, *data.shape[2:])[taken.start : taken.stop]
    return flat.reshape(*scan_shape, *data.shape[2:]).rechunk({2: -1, 3: -1})
