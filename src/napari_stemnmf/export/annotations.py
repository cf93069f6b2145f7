"""Hand-off to annotation tools: grains as COCO masks and as GeoJSON polygons, both exact and in scan pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf import __version__
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export import polygons
from napari_stemnmf.export.formats import Source
from napari_stemnmf.export.tables import table_of
from napari_stemnmf.files.writing import result_file, write_text

PIXELS = (
    "scan pixels: x along scan_x, y along scan_y; "
    "the pixel of row r and column c is the square from (c, r) to (c + 1, r + 1)"
)
"""What coordinates of files for annotation tools mean."""
DEFAULT_CLASS = "grain"
"""Category of grains that a review has given no class."""


def write_coco(source: Source, feature: str, path: Path) -> list[Path]:
    """Write the masks as run lengths, a category for each class of the review, and the scan's image as PNG beside it.

    Raises
    ------
    AnalysisError
        If grains were edited since they were measured, or a file cannot be written.
    """
    grains, rows = source.shown.grains[feature], properties(source, feature)
    picture = path.with_suffix(".png")
    height, width = grains.scan_shape
    classes = {i: str(rows.get(i, {}).get("class") or DEFAULT_CLASS) for i in grains.ids.tolist()}
    numbers = {name: n for n, name in enumerate(sorted(set(classes.values())), 1)}
    annotations = []
    for index, grain in enumerate(grains.ids.tolist()):
        y, x = grains.places(index)
        if not len(y):
            continue
        annotations.append({
            "id": grain, "image_id": 1, "category_id": numbers[classes[grain]], "iscrowd": 0, "area": len(y),
            "bbox": [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1],
            "segmentation": {"size": [height, width], "counts": run_lengths(y + height * x, height * width)},
            "attributes": rows.get(grain, {}),
        })  # fmt: skip
    about = {
        "info": {"description": f"{feature.upper()} grains of {source.analysis.input.name}", **_made(source.analysis)},
        "images": [{"id": 1, "width": width, "height": height, "file_name": picture.name}],
        "categories": [{"id": number, "name": name, "supercategory": ""} for name, number in numbers.items()],
        "annotations": annotations,
    }
    _write_picture(source.analysis, picture)
    _write_json(path, about)
    return [path, picture]


def write_geojson(source: Source, feature: str, path: Path) -> None:
    """Write the outlines as polygons with holes, of several parts where a grain is in several pieces.

    Raises
    ------
    AnalysisError
        If grains were edited since they were measured, or the file cannot be written.
    """
    grains, rows = source.shown.grains[feature], properties(source, feature)
    found = []
    for index, grain in enumerate(grains.ids.tolist()):
        if not grains.areas[index]:
            continue
        crop = grains.crop(index)
        parts = [
            [[[x + crop.left, y + crop.top] for x, y in polygons.straightened(ring)] for ring in part]
            for part in polygons.polygons(crop.values)
        ]
        geometry = {"type": "Polygon", "coordinates": parts[0]}
        if len(parts) > 1:
            geometry = {"type": "MultiPolygon", "coordinates": parts}
        about = {"objectType": "annotation", "name": f"grain {grain}", "grain_id": grain, **rows.get(grain, {})}
        found.append({"type": "Feature", "id": grain, "geometry": geometry, "properties": about})
    _write_json(path, {"type": "FeatureCollection", "about": _made(source.analysis), "features": found})


def run_lengths(at: np.ndarray, size: int) -> list[int]:
    """How many zeros, ones, zeros... follow each other in a mask of a size that is true at some flat positions."""
    at = np.sort(at)
    first = np.flatnonzero(np.diff(at, prepend=-2) != 1)
    starts = at[first]
    ends = at[np.append(first[1:], len(at)) - 1] + 1
    edges = np.stack([starts, ends], axis=1).ravel()
    return np.diff(edges, prepend=0, append=size).tolist()[: -1 if edges[-1] == size else None]


def properties(source: Source, feature: str) -> dict[int, dict[str, Any]]:
    """By id, what was measured of each grain and the review says, as JSON knows values; nothing if none was measured.

    Raises
    ------
    AnalysisError
        If grains were edited since they were measured.
    """
    if feature not in source.analysis.tables:
        return {}
    table = table_of(source.analysis, feature, source.grains)
    return {int(row["grain_id"]): {str(k): _value(v) for k, v in row.items()} for row in table.to_dict("records")}


def _value(value: Any) -> Any:
    """A value as JSON has it: None for what is not a number."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _made(analysis: Analysis) -> dict[str, Any]:
    """What the coordinates are, and what wrote them."""
    step_y, step_x = analysis.axes[:2]
    size = {"x": step_x.scale, "y": step_y.scale, "unit": step_x.unit}
    return {"contributor": f"napari-stemnmf {__version__}", "coordinates": PIXELS, "pixel_size": size}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, allow_nan=False, separators=(",", ":")) + "\n")


def _write_picture(analysis: Analysis, path: Path) -> None:
    """The image of the scan in grey, 8 bit."""
    from skimage.io import imsave

    if analysis.survey is None:
        raise AnalysisError("There is no image of the scan yet; run the step 'calibrate' first.")
    image = analysis.survey.virtual_image
    low, high = np.percentile(image, (0.5, 99.5))
    grey = np.clip((image - low) / max(high - low, 1e-30), 0, 1) * 255
    with result_file(path) as part:
        imsave(part, np.rint(grey).astype(np.uint8), check_contrast=False)
