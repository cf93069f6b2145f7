"""Seams of a scan, where the specimen jumps: between the fields of a mosaic, or where the stage slipped.

Beside a seam nothing is blurred over it: what lies on the one side is another place than what lies on the other. So it
is an edge of the scan as good as the outer one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, vstack

CLEAR = 8.0
"""Signal-to-noise ratio of a dark field at a place that is looked at."""
ALIKE = 0.5
"""Of the usual likeness of neighbouring lines; less is a seam."""
LIT = 0.5
"""Share of the two lines beside a seam where there is light: a grain that begins in the dark is none."""
AT_A_TIME = 65536
"""Places whose dark fields are looked at together."""


@dataclass(frozen=True)
class Borders:
    """Where the pieces of a scan between its seams begin and end.

    Attributes
    ----------
    rows, columns : tuple of int
        First row (column) of each piece, and at last the number of all.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @classmethod
    def of(cls, scan_shape: tuple[int, int]) -> Borders:
        """Of a scan without seams."""
        return cls((0, scan_shape[0]), (0, scan_shape[1]))

    def __str__(self) -> str:
        places = [
            f"{name} {', '.join(f'{b - 1} and {b}' for b in borders[1:-1])}"
            for name, borders in (("rows", self.rows), ("columns", self.columns))
            if len(borders) > 2
        ]
        return f"The scan jumps between {' and between '.join(places)}." if places else ""


def borders(fields: csr_array, sigma: np.ndarray, scan_shape: tuple[int, int]) -> Borders:
    """The seams of a scan.

    The likeness of two neighbouring lines is that of their dark fields: the sum of ``sqrt(I(x) I(x + 1))`` over all
    fields and places, over the mean light of the two. Where there is no seam it is near to 1 in a blurred scan, and in
    a sharp one it is what the edges of grains leave.

    Parameters
    ----------
    fields : csr_array
        (n, tracks) dark fields, counts.
    sigma : ndarray
        Their standard errors, along what is stored of them.
    scan_shape : tuple of int
    """
    steps = scan_shape[1], 1  # from a place to the next one
    light, common = np.zeros(math.prod(scan_shape)), np.zeros((2, math.prod(scan_shape)))
    before = csr_array((0, fields.shape[1]), dtype=fields.dtype)
    for first in range(0, len(light), AT_A_TIME):
        last = min(first + AT_A_TIME, len(light))
        places = fields[first:last]
        own = slice(int(fields.indptr[first]), int(fields.indptr[last]))
        places.data = np.where(places.data > CLEAR * sigma[own], places.data, 0)
        light[first:last] = np.asarray(places.sum(axis=1)).ravel()
        root = csr_array(vstack([before, places.sqrt()], format="csr"))
        for along, step in zip(common, steps, strict=True):
            start = before.shape[0] + max(0, step - first)  # the first row that is new and has one before
            if start < root.shape[0]:
                both = root[start - step : root.shape[0] - step] * root[start:]
                along[last - both.shape[0] : last] = np.asarray(both.sum(axis=1)).ravel()
        before = root[-scan_shape[1] :]
    return Borders(*(_starts(light, common[axis], scan_shape, axis) for axis in (0, 1)))


def _starts(light: np.ndarray, common: np.ndarray, scan_shape: tuple[int, int], axis: int) -> tuple[int, ...]:
    """Where pieces begin and end along an axis of the scan; `common` (n,) is what each place shares with the last."""
    length = scan_shape[axis]
    if length < 3:
        return 0, length
    step = scan_shape[1] if axis == 0 else 1
    common, mean = common.reshape(scan_shape), np.zeros(scan_shape)
    mean.ravel()[step:] = (light[:-step] + light[step:]) / 2
    both, either = (values.sum(axis=1 - axis)[1:] for values in (common, mean))
    likeness = both / np.maximum(either, 1e-30)
    lit = (light.reshape(scan_shape) > 0).mean(axis=1 - axis)
    bright = np.minimum(lit[1:], lit[:-1]) >= LIT
    if not bright.any():
        return 0, length
    seam = bright & (likeness < ALIKE * np.median(likeness[bright]))
    return 0, *(int(s) for s in np.flatnonzero(seam) + 1), length
