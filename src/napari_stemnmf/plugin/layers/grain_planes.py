"""Grains as an array with a plane each, in which planes are made when they are shown. No viewer, no Qt."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.layers.sparse_planes import SparsePlanes


class Planes(SparsePlanes):
    """The ids of grains inside their masks, (g, scan_y, scan_x) int32, each plane made when it is shown.

    A scan of 200 grains would hold 50 MB that nobody sees. NumPy and napari take it for an array; only planes that
    somebody paints on become one.

    Attributes
    ----------
    grains : Grains
        What it was made from.
    """

    def __init__(self, grains: Grains) -> None:
        super().__init__(grains.inside, grains.scan_shape)
        self.dtype = np.dtype(np.int32)
        self.grains = grains
        self._painted: dict[int, np.ndarray] = {}

    def become(self, grains: Grains) -> bool:
        """Be the planes of other grains, if these are as many; whether that is so."""
        same = len(grains) == len(self.grains) and grains.scan_shape == self.grains.scan_shape
        if same:
            super().__init__(grains.inside, grains.scan_shape)
            self.dtype, self.grains, self._painted = np.dtype(np.int32), grains, {}
        return same

    @property
    def painted(self) -> dict[int, np.ndarray]:
        """The planes that somebody has painted on."""
        return dict(self._painted)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self.grains.stack
        for index, plane in self._painted.items():
            whole[index] = plane
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        first, *rest = key if isinstance(key, tuple) and len(key) else (key,)
        if isinstance(first, int | np.integer):
            return np.asarray(self._plane(int(first))[tuple(rest)])
        if not _points(first, rest):
            return np.asarray(np.asarray(self)[key])
        values = np.empty(first.shape, self.dtype)
        for index in np.unique(first):
            its = first == index
            values[its] = self._plane(int(index))[tuple(at[its] for at in rest)]
        return values

    def __setitem__(self, key: Any, value: Any) -> None:
        first, *rest = key if isinstance(key, tuple) and len(key) else (key,)
        if isinstance(first, int | np.integer):
            self._paint(int(first))[tuple(rest) or ...] = value
        elif _points(first, rest):
            values = np.broadcast_to(value, first.shape)
            for index in np.unique(first):
                its = first == index
                self._paint(int(index))[tuple(at[its] for at in rest)] = values[its]
        else:
            whole = np.asarray(self)
            whole[key] = value
            self._painted = dict(enumerate(whole))

    def _plane(self, index: int) -> np.ndarray:
        index = range(len(self))[index]
        if index in self._painted:
            return self._painted[index]
        return np.asarray(self.grains.mask(index) * np.int32(self.grains.ids[index]))

    def _paint(self, index: int) -> np.ndarray:
        """A plane that may be written to."""
        index = range(len(self))[index]
        return self._painted.setdefault(index, self._plane(index))


def _points(first: Any, rest: list[Any]) -> bool:
    """Whether an index is a list of points, (planes, rows, columns), as napari's brush and its undo give it."""
    return (
        len(rest) == 2
        and all(isinstance(at, np.ndarray) and at.dtype.kind in "iu" for at in (first, *rest))
        and (first.shape == rest[0].shape == rest[1].shape)
    )
