"""Overlapping windows of a scan: where they lie, and how large they are.

NMF of a whole scan has no more components than its scree shows, however many grains the scan holds. In a window are as
many as it can tell apart, so that a scan of any extent is worked on as a small one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, sparray

from napari_stemnmf.features.features import Features
from napari_stemnmf.representation_settings import ClusteringSettings

LEAST, MOST = 80, 100
"""Side of a window that is found, positions."""
GRAINS, COLUMNS_A_GRAIN = 14, 6
"""Grains side by side that a window holds at most, and columns that are there for each."""
OVERLAP, SPARE = 0.4, 1.25
"""Share of its side by which a window overlaps the next, and sides up to which a scan is not cut."""
HALF = 0.4
"""Diameters of a grain within which the likeness of patterns falls to half: that of a disc with itself."""
SAMPLED = 64
"""Rows, and columns, of the scan by which the size of grains is measured."""


class Window(NamedTuple):
    """A rectangle of the scan: its first row, the row after its last, and its columns likewise."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        return self.bottom - self.top, self.right - self.left

    def positions(self, columns: int) -> np.ndarray:
        """Flat positions, by rows, in a scan of so many columns."""
        return (np.arange(self.top, self.bottom)[:, None] * columns + np.arange(self.left, self.right)).ravel()

    def shared(self, other: Window) -> Window | None:
        """What it has in common with another one; None where that is nothing."""
        both = Window(
            max(self.top, other.top), min(self.bottom, other.bottom),
            max(self.left, other.left), min(self.right, other.right),
        )  # fmt: skip
        return both if min(both.shape) > 0 else None

    def around(self, other: Window) -> Window:
        """The smallest that holds both."""
        return Window(
            min(self.top, other.top), max(self.bottom, other.bottom),
            min(self.left, other.left), max(self.right, other.right),
        )  # fmt: skip

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Where it lies in one around it."""
        return (
            slice(self.top - outer.top, self.bottom - outer.top), slice(self.left - outer.left, self.right - outer.left)
        )  # fmt: skip


def layout(scan_shape: tuple[int, int], side: int) -> list[Window]:
    """The windows of a scan, by rows: of one size, evenly spaced, the fewest that overlap as they should.

    >>> layout((100, 40), 60)
    [Window(top=0, bottom=60, left=0, right=40), Window(top=40, bottom=100, left=0, right=40)]
    """
    rows, columns = (_along(n, side) for n in scan_shape)
    return [Window(top, bottom, left, right) for top, bottom in rows for left, right in columns]


def _along(extent: int, side: int) -> list[tuple[int, int]]:
    """First and one after the last position of the windows along one axis."""
    if extent <= SPARE * side:
        return [(0, extent)]
    overlap = round(OVERLAP * side)
    count = math.ceil((extent - overlap) / (side - overlap))
    first = np.round(np.linspace(0, extent - side, count)).astype(int).tolist()
    return [(at, at + side) for at in first]


def windows_of(features: Features, settings: ClusteringSettings) -> list[Window]:
    """The windows that a clustering works in: one, the scan, where they are off or it holds no more grains than one."""
    scan_shape = int(features.scan_shape[0]), int(features.scan_shape[1])
    if settings.windows == "off":
        return [Window(0, scan_shape[0], 0, scan_shape[1])]
    return layout(scan_shape, settings.window_size or found_side(features))


def found_side(features: Features) -> int:
    """Side of windows that hold as many grains as their columns tell apart, positions.

    Grains are taken to lie side by side; how large they are shows in how far patterns are alike.
    """
    expected = min(GRAINS, features.values.shape[1] / COLUMNS_A_GRAIN)
    diameter = grain_diameter(features.values, features.scan_shape)
    return round(min(max(diameter * math.sqrt(expected), LEAST), MOST))


def grain_diameter(values: np.ndarray | sparray, scan_shape: tuple[int, int]) -> float:
    """Diameter of the grains of a scan, positions: by the distance at which patterns are half as alike as neighbours.

    `inf` where they are as alike over more than a window may hold, as in one large grain.
    """
    grid = np.arange(math.prod(scan_shape)).reshape(scan_shape)
    reaches = []
    for lines in (grid, grid.T):
        chosen = np.unique(np.linspace(0, len(lines) - 1, SAMPLED).astype(int))
        reaches.append(_half_reach(values, lines[chosen]))
    return min(reaches) / HALF


def _half_reach(values: np.ndarray | sparray, lines: np.ndarray) -> float:
    """Distance along lines (l, n) of positions at which the covariance of patterns is half that of neighbours."""
    there = values[lines.ravel()]
    if isinstance(there, sparray):
        there = csr_array(there, dtype=np.float64)
    else:
        there = np.nan_to_num(there, nan=0.0, posinf=0.0, neginf=0.0)
    mean = np.asarray(there.mean(axis=0, dtype=np.float64)).ravel()
    level, before = float(mean @ mean), math.inf
    place = np.arange(lines.size).reshape(lines.shape)
    first = 0.0
    for step in range(1, min(lines.shape[1], math.ceil(HALF * MOST) + 1)):
        one, other = there[place[:, :-step].ravel()], there[place[:, step:].ravel()]
        product = (
            one.multiply(other).sum()
            if isinstance(one, sparray)
            else np.einsum("ij,ij->i", one, other).sum(dtype=np.float64)
        )
        now = float(product) / one.shape[0] - level
        first = first or now
        if not now > first / 2:
            return step - 1 + (before - first / 2) / (before - now) if step > 1 and before > now else float(step)
        before = now
    return math.inf
