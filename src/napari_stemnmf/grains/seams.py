"""Seams of a scan, where the specimen jumps: between the fields of a mosaic, or where the stage slipped.

Beside a seam nothing is blurred over it: what lies on the one side is another place than what lies on the other. So it
is an edge of the scan as good as the outer one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

CLEAR = 8.0
"""Signal-to-noise ratio of a dark field at a place that is looked at."""
ALIKE = 0.5
"""Of the usual likeness of neighbouring lines; less is a seam."""
LIT = 0.5
"""Share of the two lines beside a seam where there is light: a grain that begins in the dark is none."""


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


def borders(fields: csr_array, sigma: csr_array, scan_shape: tuple[int, int]) -> Borders:
    """The seams of a scan.

    The likeness of two neighbouring lines is that of their dark fields: the sum of ``sqrt(I(x) I(x + 1))`` over all
    fields and places, over the mean light of the two. Where there is no seam it is near to 1 in a blurred scan, and in
    a sharp one it is what the edges of grains leave.

    Parameters
    ----------
    fields, sigma : csr_array
        (tracks, n) dark fields and their standard errors, counts, with the same stored places.
    scan_shape : tuple of int
    """
    places = csr_array(fields.T)
    places.data = np.where(places.data > CLEAR * csr_array(sigma.T).data, places.data, 0)
    return Borders(_starts(places, scan_shape, 0), _starts(places, scan_shape, 1))


def _starts(places: csr_array, scan_shape: tuple[int, int], axis: int) -> tuple[int, ...]:
    """Where pieces begin and end along an axis of the scan."""
    length = scan_shape[axis]
    if length < 3:
        return 0, length
    step = scan_shape[1] if axis == 0 else 1  # from a place to the next one
    light = np.asarray(places.sum(axis=1)).ravel()
    root = places.sqrt()
    common, mean = np.zeros((2, *scan_shape))
    common.ravel()[step:] = np.asarray((root[:-step] * root[step:]).sum(axis=1)).ravel()
    mean.ravel()[step:] = (light[:-step] + light[step:]) / 2
    both, either = (values.sum(axis=1 - axis)[1:] for values in (common, mean))
    likeness = both / np.maximum(either, 1e-30)
    lit = (light.reshape(scan_shape) > 0).mean(axis=1 - axis)
    bright = np.minimum(lit[1:], lit[:-1]) >= LIT
    if not bright.any():
        return 0, length
    seam = bright & (likeness < ALIKE * np.median(likeness[bright]))
    return 0, *(int(s) for s in np.flatnonzero(seam) + 1), length
