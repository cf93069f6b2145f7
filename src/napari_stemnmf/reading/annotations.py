"""Masks of annotation tools: COCO (run lengths or polygons) and GeoJSON (polygons with holes, in pixels).

The pixel of row r and column c is the square from (c, r) to (c + 1, r + 1), and is in a polygon where its middle is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.files.writing import read_text
from napari_stemnmf.reading.candidates import times

LARGEST = 2**30
"""Bytes of a file that is read."""
MOST_SIDE = 2**20
"""Pixels along a side of an image."""
Found = list[tuple[int, np.ndarray]]
"""Number (0 for none) and flat positions of each mask."""


def annotated(path: Path, scan_shape: tuple[int, int]) -> Found:
    """The masks of a file, which must be of an image of the scan's shape where it says of what they are.

    Raises
    ------
    ReadError
        If it is neither COCO nor GeoJSON, is of another shape, or is damaged.
    """
    try:
        content = json.loads(read_text(path, LARGEST))
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{path.name} is damaged: it is no JSON.") from error
    try:
        if isinstance(content, dict) and isinstance(content.get("annotations"), list):
            return _of_coco(content, scan_shape, path.name)
        if isinstance(content, dict) and content.get("type") in ("FeatureCollection", "Feature"):
            features = content["features"] if content["type"] == "FeatureCollection" else [content]
            return [_of_feature(feature, scan_shape) for feature in features]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ReadError(f"{path.name} is damaged: its annotations are not as the format has them.") from error
    raise ReadError(f"{path.name} is neither COCO, which has annotations, nor GeoJSON, which has features.")


def check_shape(shape: tuple[int, int], scan_shape: tuple[int, int], name: str) -> None:
    """A ReadError where masks are of another shape than the scan."""
    if tuple(shape) != tuple(scan_shape):
        turned = " It is turned: swap its axes." if tuple(shape) == tuple(scan_shape)[::-1] else ""
        raise ReadError(f"{name} has {times(shape)} pixels, but the scan has {times(scan_shape)} positions.{turned}")


def _of_coco(content: dict[str, Any], scan_shape: tuple[int, int], name: str) -> Found:
    annotations = content["annotations"]
    wanted = {annotation["image_id"] for annotation in annotations}
    images = [image for image in content["images"] if image["id"] in wanted] or content["images"]
    if len(images) != 1:
        raise ReadError(f"{name} annotates {len(images)} images; keep the annotations of one, which is the scan's.")
    shape = _side(images[0]["height"]), _side(images[0]["width"])
    check_shape(shape, scan_shape, f"The image of {name}")
    return [(_number(a.get("id")), _segmentation(a["segmentation"], shape)) for a in annotations]


def _segmentation(given: Any, shape: tuple[int, int]) -> np.ndarray:
    """Flat positions of a mask of COCO."""
    if isinstance(given, list):
        rings = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in given]
        return np.unique(np.concatenate([_filled([ring], shape) for ring in rings]))
    if tuple(given["size"]) != shape:
        raise ReadError(f"A mask of {given['size']} pixels is not of an image of {shape[0]} x {shape[1]}.")
    counts = given["counts"]
    lengths = np.array(_unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    if len(lengths) and (lengths.min() < 0 or int(lengths.sum()) != math.prod(shape)):
        raise ValueError("run lengths do not add up")
    ends = np.cumsum(lengths)
    down = [np.arange(ends[i - 1], ends[i]) for i in range(1, len(lengths), 2)]
    column, row = np.divmod(np.concatenate([np.empty(0, np.int64), *down]), shape[0])  # column by column
    return row * shape[1] + column


def _unpacked(text: str) -> list[int]:
    """Run lengths from their packed form: five bits a letter, the lowest first, from the third on as differences."""
    found: list[int] = []
    value, shift = 0, 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or shift > 60:
            raise ValueError("no packed run lengths")
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            found.append(value + found[-2] if len(found) > 2 else value)
            value, shift = 0, 0
    return found


def _of_feature(feature: dict[str, Any], shape: tuple[int, int]) -> tuple[int, np.ndarray]:
    geometry, about = feature["geometry"], feature.get("properties") or {}
    parts = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}.get(geometry["type"])
    if parts is None:
        raise ReadError(f"A grain is a Polygon or a MultiPolygon, not a {geometry['type']}.")
    found = [_filled([np.asarray(ring, np.float64)[:, :2] for ring in part], shape) for part in parts]
    return _number(about.get("grain_id", feature.get("id"))), np.unique(np.concatenate(found))


def _filled(rings: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Flat positions of the pixels within an odd number of rings of points (x, y)."""
    from skimage.draw import polygon

    odd: np.ndarray = np.empty(0, np.int64)
    for ring in rings:
        if len(ring) < 3 or not np.isfinite(ring).all() or np.abs(ring).max() > MOST_SIDE:
            raise ValueError("no ring")
        y, x = polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, shape)
        odd = np.setxor1d(odd, y.astype(np.int64) * shape[1] + x)
    return odd


def _side(value: Any) -> int:
    """A number of pixels along a side of an image."""
    if not isinstance(value, int) or not 1 <= value <= MOST_SIDE:
        raise ValueError("no size of an image")
    return value


def _number(value: Any) -> int:
    """An id, 0 where it is no number."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else 0
