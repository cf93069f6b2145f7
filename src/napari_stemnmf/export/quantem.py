"""Hand-off to quantem: a `Vector` of calibrated disks, as its own `save` writes it, for its orientation matching.

Cells are (rows, columns) of a scan, N x 1 for grains; qx runs down the rows, as quantem has it, and is our q_y.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.export import vectors
from napari_stemnmf.export.formats import Source
from napari_stemnmf.files.writing import result_file

FIELDS = {"qx": "A^-1", "qy": "A^-1", "intensity": "counts"}
"""Columns of the vectors, and their units."""


def write_grains(source: Source, feature: str, path: Path) -> None:
    """Write the disks of the grains; an error where they are not known, or the file cannot be written."""
    found = vectors.of_grains(source, feature)
    about = {"grain_id": source.shown.grains[feature].ids.tolist(), "representation": feature}
    _write(found, (len(found), 1), f"grains of {feature.upper()}", about, path)


def write_scan(source: Source, _: str, path: Path) -> None:
    """Write the disks of every position; an error where they are not known, or the file cannot be written."""
    peaks, _calibration = vectors.found_disks(source.analysis)
    step_y, step_x = source.analysis.axes[:2]
    about = {"scan_sampling": [step_y.scale, step_x.scale], "scan_units": step_x.unit}
    _write(vectors.of_scan(source.analysis), peaks.scan_shape, source.analysis.input.name, about, path)


def _write(found: vectors.Vectors, shape: tuple[int, int], name: str, about: dict[str, Any], path: Path) -> None:
    import zarr
    from zarr.storage import ZipStore

    rows = np.stack([found.q_y / 10, found.q_x / 10, found.intensity], axis=1).astype(np.float32)
    starts = found.offsets.astype(np.int64)
    with result_file(path) as part:
        store = ZipStore(part, mode="w")
        try:
            root = zarr.create_group(
                store, zarr_format=3, attributes={
                    "_autoserialize": {
                        "version": 1, "class_module": "quantem.core.datastructures.vector", "class_name": "Vector",
                    },
                    "_selection_indices": None,
                    "_selected_fields": None,
                    "_autoserialize_skip_names": [],
                    "_autoserialize_skip_types": [],
                },
            )  # fmt: skip
            _tuple(root, "_selection_shape", shape)
            state = root.create_group("_state", attributes={"_container_type": "dict", "name": name})
            _tuple(state, "shape", shape)
            state.create_group("metadata", attributes={"_container_type": "dict", **about})
            _list(state, "fields", FIELDS)
            _list(state, "units", FIELDS.values())
            for key, values in (("data", rows), ("cell_starts", starts[:-1]), ("cell_lengths", np.diff(starts))):
                state.create_array(key, data=values)
        finally:
            store.close()


def _tuple(parent: Any, name: str, values: tuple[int, ...]) -> None:
    """A tuple of whole numbers."""
    group = parent.create_group(name, attributes={"_container_type": "tuple", "_sequence_encoding": "ndarray"})
    group.create_array("values", data=np.array(values, np.int64))


def _list(parent: Any, name: str, texts: Iterable[str]) -> None:
    """A list of texts."""
    parent.create_group(name, attributes={"_container_type": "list"} | {str(i): t for i, t in enumerate(texts)})
