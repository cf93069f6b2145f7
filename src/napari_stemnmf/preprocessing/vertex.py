"""Where a maximum lies between pixels. Imports Numba."""

from __future__ import annotations

from typing import Any

from napari_stemnmf.compiled import njit


@njit(nogil=True, cache=True)
def vertex(low: Any, middle: Any, high: Any) -> Any:  # pragma: no cover - compiled
    """Where the parabola through values one step apart has its maximum, in steps, within half a step of the middle."""
    bend = low - 2.0 * middle + high
    if bend >= 0.0:
        return 0.0
    return min(max(0.5 * (low - high) / bend, -0.5), 0.5)
