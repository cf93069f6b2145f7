"""One label plane a grain, made when it is looked at: a scan of 200 grains would hold 50 MB that nobody sees.

Quacks like an array as far as napari and NumPy ask; it becomes one when somebody paints on it. No napari, no Qt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_stemnmf.grains.refinement import Grains


class Planes:
    """The ids of grains inside their masks, (g, scan_y, scan_x) int32.

    Attributes
    ----------
    grains : Grains
        What it was made from.
    """

    dtype = np.dtype(np.int32)
    ndim = 3

    def __init__(self, grains: Grains) -> None:
        self.grains = grains
        self._painted: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Grains, rows and columns."""
        return self.grains.masks.shape

    @property
    def size(self) -> int:
        """Values in all."""
        return int(np.prod(self.shape))

    @property
    def is_painted(self) -> bool:
        """Whether somebody has written to it."""
        return self._painted is not None

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        whole = self.grains.stack if self._painted is None else self._painted
        return whole if dtype is None else whole.astype(dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        plane = key[0] if isinstance(key, tuple) and len(key) else key
        if self._painted is None and isinstance(plane, int | np.integer):
            return np.asarray(self.grains.masks[key] * np.int32(self.grains.ids[plane]))
        return np.asarray(np.asarray(self)[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._painted is None:
            self._painted = np.array(self)
        self._painted[key] = value
