"""The probe: the template of which every Bragg disk is a copy, and where it is not to be looked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Probe:
    """What disk detection needs to know of a scan.

    Attributes
    ----------
    kernel : ndarray of float32
        (2 h + 1, 2 h + 1) zero-sum template, scaled so that a disk of height 1 correlates to 1 with it.
    radius : float
        Radius of the disk, px.
    q_y, q_x : float
        Mean centre of the patterns, px; a first guess where the central disk is hidden.
    mask : ndarray of bool or None
        (q_y, q_x), True = keep; None keeps all.
    hidden : bool
        Whether the mask hides the central disk.
    source : str
        Where the template comes from: ``central``, ``vacuum`` or ``synthetic``.
    detector_shape : tuple of int
        (q_y, q_x) pixels.
    """

    kernel: np.ndarray
    radius: float
    q_y: float
    q_x: float
    mask: np.ndarray | None
    hidden: bool
    source: str
    detector_shape: tuple[int, int]
