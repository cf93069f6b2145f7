"""The scan that a recording of so many patterns is: its rows and columns, and what lies beyond it."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

from napari_stemnmf.errors import ScanShapeError
from napari_stemnmf.texts import shown

DROPS = ("last", "first")
"""Ends of a recording at which patterns beyond the scan are dropped, the default first."""


def patterns_of_scan(
    name: str, count: int, scan_shape: tuple[int, ...], drop: str | int = "last"
) -> tuple[range, dict[str, Any]]:
    """Which patterns of a recording are the scan, and what the dataset's metadata says of the others.

    Parameters
    ----------
    name : str
        Of the recording, for messages.
    count : int
        Its number of patterns.
    scan_shape : tuple of int
        Rows and columns of the scan.
    drop : str or int
        Which are left out where there are more patterns than positions: the ``last`` (the camera ran on), the
        ``first`` (it started too early), or that many of the first and then the last.

    Raises
    ------
    ScanShapeError
        If there are fewer patterns than positions, or `drop` is none of these.
    """
    extra = count - scan_shape[0] * scan_shape[1]
    number = int(drop) if isinstance(drop, Integral) and not isinstance(drop, bool) else None
    if not (number is not None or drop in DROPS) or (number is not None and number < 0):
        raise ScanShapeError(f'Patterns to drop are the "last", the "first", or a number of first ones, not {drop!r}.')
    first = max(extra, 0) if drop == "first" else number or 0
    if extra < first:
        raise wrong_scan_shape(name, scan_shape, count, first)
    if not extra:
        return range(count), {}
    ends = [f"the {what} {n}" for what, n in (("first", first), ("last", extra - first)) if n]
    other = ' (drop="first" would leave out the first)' if not first else ""
    note = (
        f"{shown(name)} holds {count} patterns, {extra} more than a scan of {scan_shape[0]} x {scan_shape[1]} has "
        f"positions: {' and '.join(ends)} {'was' if extra == 1 else 'were'} dropped{other}."
        + ("" if first else " A camera that runs on after the scan leaves such patterns.")
    )
    told: dict[str, Any] = {"notes": note}
    if first:
        told["skipped_patterns"] = first
    return range(first, count - extra + first), told


def wrong_scan_shape(name: str, scan_shape: tuple[int, ...], count: int, skipped: int = 0) -> ScanShapeError:
    """The error for a scan shape that needs more patterns than there are, or does not fit what there is."""
    rows, columns = scan_shape
    needed, left = rows * columns, count - skipped
    error = f"A scan shape of {rows} x {columns} needs {needed} patterns, but {name} has {count}"
    if skipped:
        error += f", {skipped} of which are to be dropped"
    if columns <= left < needed:
        error += f"; scan_shape=({left // columns}, {columns}) takes the whole rows that are there"
    elif left > 0:
        error += f"; such a number of patterns fits scan_shape=({likely_scan_shape(left)})"
    return ScanShapeError(f"{error}.")


def needs_scan_shape(name: str, count: int, frame: tuple[int, ...]) -> ScanShapeError:
    """The error for a stack of patterns of unknown scan shape."""
    return ScanShapeError(
        f"{name} is a stack of {count} patterns of {' x '.join(str(int(n)) for n in frame)}; "
        f"give its scan shape (rows, columns), as in scan_shape=({likely_scan_shape(count)}), to open it as a scan."
    )


def likely_scan_shape(count: int) -> str:
    """A scan shape that a number of patterns suggests: nearly square, or square with a few patterns beyond it."""
    side = math.isqrt(count) or 1
    rows = next(n for n in range(side, 0, -1) if count % n == 0)
    if count // rows > 1.25 * rows and count - side * side <= 0.05 * count:
        return f"{side}, {side}"
    return f"{rows}, {count // rows}"
