"""What features from a file must hold before anything computes with them: columns, and details by kind and bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.features.features import Features

COLUMNS = {
    "vdf": ("q_y", "q_x"),
    "aa": ("ring", "r_in", "r_out", "azimuth"),
    "rv": ("radius",),
    "bd": ("q_y", "q_x"),
}
"""What later stages ask of the columns of each representation."""
DETAILS = {
    "vdf": ("probe_radius", "beam", "sigma", "detected"),
    "aa": ("rings", "angle_step"),
    "rv": ("radii",),
    "bd": ("bin", "grid", "r_min"),
}
"""Which details later stages and figures ask for."""
_FAR = 1e5
"""Detector pixels that any length is shorter than."""
_BOUNDS = {
    "probe_radius": (0.0, _FAR),
    "beam": (0.0, 1e30),
    "bin": (1e-3, _FAR),
    "r_min": (0.0, _FAR),
    "angle_step": (1e-3, 360.0),
    "rings": (0.0, _FAR),
    "radii": (0.0, _FAR),
    "grid": (1, _FAR),
}
"""Lowest and highest value of details that are numbers, or lists of them."""
_SEVERAL = {"rings", "radii", "grid"}


def problems(features: Features) -> Iterator[str]:
    """What does not fit in features whose values fit their scan, a sentence's end each."""
    values, details = features.values, features.details
    for name, column in features.columns.items():
        if column.shape != (values.shape[1],):
            yield f"its column {name!r:.20} has {column.shape} entries, not {values.shape[1]}"
    for kind, asked, there in (("the column ", COLUMNS, features.columns), ("", DETAILS, details)):
        lacking = set(asked.get(features.name, ())) - set(there)
        if lacking:
            yield f"it lacks {kind}{sorted(lacking)[0]}"
    for name in ("sigma", "detected"):
        if isinstance(values, csr_array) and name in details and np.shape(details[name]) != values.data.shape:
            yield f"its {name} does not go along with its values"
    bounds = {**_BOUNDS, "pooling": (0.0, float(max(features.scan_shape)))}
    for name in bounds.keys() & details.keys():
        if not _within(details[name], *bounds[name], several=name in _SEVERAL):
            yield f"its {name} is {details[name]!r:.40}"
    if "grid" in details and _within(details["grid"], 1, _FAR, several=True):
        rows_columns = tuple(int(n) for n in details["grid"])
        if len(rows_columns) != 2 or rows_columns[0] * rows_columns[1] != values.shape[1]:
            yield f"its grid of {rows_columns} bins does not fit its {values.shape[1]} columns"


def _within(value: Any, low: float, high: float, *, several: bool) -> bool:
    """Whether a detail is a number, or a list of numbers, within bounds."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "iuf" or numbers.ndim != int(several):
        return False
    return bool(numbers.size) and bool((np.isfinite(numbers) & (numbers >= low) & (numbers <= high)).all())
