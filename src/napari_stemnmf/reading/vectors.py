"""Numbers, words and coordinates as HDF5 files keep them in attributes and vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_stemnmf.units import Scaling


def number(value: Any) -> float | None:
    """A finite number from an attribute or scalar that may be an array of one, or None."""
    numbers = number_list(value)
    return numbers[0] if len(numbers) == 1 else None


def number_list(value: Any) -> list[float]:
    """The numbers of an attribute, or none."""
    try:
        values = np.asarray(value, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        return []
    return [float(v) for v in values] if values.size and np.isfinite(values).all() else []


def text(value: Any) -> str:
    """A string from an attribute or scalar of bytes, text, or an array of one."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else ""


def scaling_of(vector: Any, name: str, size: int) -> Scaling | None:
    """Scale and offset of an axis of a size from its coordinates: all, the first two, or the edges of all steps."""
    if vector is None or not hasattr(vector, "shape") or vector.ndim != 1:
        return None
    name = text(vector.attrs.get("name")) or name
    unit = text(vector.attrs.get("units")) or text(vector.attrs.get("unit"))
    if vector.dtype.kind not in "iuf" or len(vector) < 2 or len(vector) not in (2, size, size + 1):
        return Scaling(None, unit, 0.0, name)
    first, last = float(vector[0]), float(vector[-1])
    step = (last - first) / (len(vector) - 1)
    return Scaling(step, unit, first + 0.5 * step if len(vector) == size + 1 and size != 1 else first, name)
