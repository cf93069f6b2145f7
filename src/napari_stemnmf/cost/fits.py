"""What a clustering that has run tells of the next one: its fits, and the rows that they saw."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def covered(model: Any) -> int:
    """Rows that a seed was fitted to: those of all windows, or of the scan."""
    boxes = model.windows
    sides = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    return int(sides.sum()) if len(boxes) else math.prod(model.scan_shape)


def fits_of(model: Any) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Rows times iterations, and components, of every fit, (fits,); and the number of seeds that ended."""
    ended = [record.cycles for record in getattr(model, "seeds", ()) if record.status != "cancelled"]
    every = [cycle for cycles in ended for cycle in cycles]
    if not every:
        return None
    return np.array([fit.rows * fit.iterations for fit in every]), np.array([fit.k for fit in every]), len(ended)
