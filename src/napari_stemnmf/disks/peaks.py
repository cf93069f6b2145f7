"""The disks of all patterns of a scan, in one compact table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemnmf.errors import DataError


@dataclass(frozen=True, eq=False)
class Peaks:
    """Bragg disks by probe position: those of pattern i are the rows ``offsets[i]`` to ``offsets[i + 1]``.

    Within a pattern the highest comes first. Raw positions: neither descan nor ellipse is taken out.

    Attributes
    ----------
    offsets : ndarray of int64
        (n + 1,) with n probe positions, row-major over the scan.
    q_y, q_x : ndarray of float32
        (peaks,) position on the detector, px.
    height : ndarray of float32
        (peaks,) height of the disk above its surroundings, counts a pixel.
    snr : ndarray of float32
        (peaks,) height over its standard error.
    central : ndarray of float32
        (n, 2) centre of the central disk (q_y, q_x) of each pattern, px; NaN where none was found.
    scan_shape : tuple of int
        (scan_y, scan_x).
    detector_shape : tuple of int
        (q_y, q_x) pixels.
    saturated : int
        Patterns whose brightest pixels all have one value, so that their disks may be cut off.
    """

    offsets: np.ndarray
    q_y: np.ndarray
    q_x: np.ndarray
    height: np.ndarray
    snr: np.ndarray
    central: np.ndarray
    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    saturated: int = 0

    def __post_init__(self) -> None:
        n = int(np.prod(self.scan_shape))
        if len(self.offsets) != n + 1 or self.central.shape != (n, 2) or self.offsets[-1] != len(self.q_y):
            raise DataError(f"A table of {len(self.q_y)} disks does not fit a scan of {self.scan_shape}.")

    def __len__(self) -> int:
        return len(self.q_y)

    @property
    def counts(self) -> np.ndarray:
        """(n,) number of disks in each pattern."""
        return np.diff(self.offsets)

    @property
    def pattern(self) -> np.ndarray:
        """(peaks,) flat probe position of each disk."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    def of(self, position: int) -> slice:
        """The rows of one probe position, given flat."""
        return slice(int(self.offsets[position]), int(self.offsets[position + 1]))
