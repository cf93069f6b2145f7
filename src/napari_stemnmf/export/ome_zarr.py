"""Hand-off to OME-Zarr 0.5 (Zarr 3): the scan's image, and label layers in which no grains overlap, with the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.annotations import properties
from napari_stemnmf.export.formats import Source
from napari_stemnmf.files.writing import result_folder
from napari_stemnmf.grains.layers import label_layers

VERSION = "0.5"
"""Of OME-Zarr."""
UNITS = {"nm": "nanometer"}
"""Names of units in OME-Zarr; without a calibration there is none."""
MARKER = "zarr.json"


def write_grains(source: Source, feature: str, path: Path) -> list[Path]:
    """Write the image and the layers of labels; a store that is there is replaced, anything else is not.

    Raises
    ------
    AnalysisError
        If grains were edited since they were measured, or the store cannot be written.
    """
    import zarr
    from zarr.storage import LocalStore

    survey, axes = source.analysis.survey, source.analysis.axes[:2]
    if survey is None:
        raise AnalysisError("There is no image of the scan yet; run the step 'calibrate' first.")
    rows, images = properties(source, feature), label_layers(source.shown.grains[feature])
    names = [f"layer-{number}" for number in range(1, len(images) + 1)]
    with result_folder(path, lambda there: (there / MARKER).is_file()) as part:
        root = zarr.create_group(LocalStore(part), zarr_format=3, attributes=_image(source.analysis.input.name, axes))
        _plane(root, survey.virtual_image)
        labels = root.create_group("labels", attributes={"ome": {"version": VERSION, "labels": names}})
        for name, image in zip(names, images, strict=True):
            known = [{"label-value": i, **_some(rows.get(i, {}))} for i in np.unique(image[image > 0]).tolist()]
            about = _image(name, axes)
            about["ome"]["image-label"] = {"properties": known, "source": {"image": "../../"}}
            _plane(labels.create_group(name, attributes=about), image)
    return [path]


def _plane(group: Any, values: np.ndarray) -> None:
    """The only resolution of an image."""
    group.create_array("0", data=values, dimension_names=("y", "x"))


def _image(name: str, axes: Sequence[Axis]) -> dict[str, Any]:
    """The metadata of an image (y, x) of one resolution."""
    described = [
        {"name": short, "type": "space", **({"unit": UNITS[axis.unit]} if axis.unit in UNITS else {})}
        for short, axis in zip("yx", axes, strict=True)
    ]
    where = [
        {"type": "scale", "scale": [float(axis.scale) for axis in axes]},
        {"type": "translation", "translation": [float(axis.offset) for axis in axes]},
    ]
    scales = {"name": name, "axes": described, "datasets": [{"path": "0", "coordinateTransformations": where}]}
    return {"ome": {"version": VERSION, "multiscales": [scales]}}


def _some(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is not known."""
    return {name: value for name, value in row.items() if value is not None}
