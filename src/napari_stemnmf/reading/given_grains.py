"""Grains that another program has drawn: label images, stacks of masks, OME-Zarr labels, COCO and GeoJSON.

Masks are kept as their positions, as grains are, with the numbers that the file gives them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading import opening
from napari_stemnmf.reading.annotations import annotated, check_shape
from napari_stemnmf.reading.blocks import reading
from napari_stemnmf.reading.masks import load_array
from napari_stemnmf.reading.zarr import is_store, open_zarr

KINDS = "biuf"
"""Kinds of numbers of labels: ImageJ's are of kind f where they are many."""
JSON = (".json", ".geojson")
"""Endings of annotations."""


@dataclass(frozen=True, eq=False)
class GivenGrains:
    """Masks by number.

    Attributes
    ----------
    parts : dict of int to ndarray of int64
        Flat positions of each grain, in order, by its number, which is 1 or more.
    scan_shape : tuple of int
    """

    parts: dict[int, np.ndarray]
    scan_shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.parts)


def load_grains(where: str | os.PathLike[str], scan_shape: tuple[int, int]) -> GivenGrains:
    """Grains from a file.

    Parameters
    ----------
    where : str or path
        A label image or a stack of masks or label images, of TIFF, npy, npz, HDF5 or Zarr, or ``"FILE::dataset"`` for
        one of several arrays; an OME-Zarr image with labels, of which all are taken, or one, as in
        ``"FILE::labels/NAME"``; COCO annotations of one image (run lengths or polygons); GeoJSON polygons in pixels.
    scan_shape : tuple of int
        Of the scan that they are of.

    Returns
    -------
    GivenGrains
        By their labels, or by COCO's and GeoJSON's ids where those are numbers; where a number would be used twice, as
        in two layers of labels, all are numbered anew, from 1.

    Raises
    ------
    ReadError
        If there are no grains in the file, or they are of another shape.
    """
    path, dataset = opening.split(where)
    with reading(path):
        if path.suffix.lower() in JSON:
            return numbered(annotated(path, scan_shape), scan_shape, path.name)
        named: list[tuple[int, np.ndarray]] = []
        for array, name in _arrays(path, dataset):
            found, shape = labelled(array, name)
            check_shape(shape, scan_shape, name)
            named += found
    return numbered(named, scan_shape, path.name)


def grains_in(array: np.ndarray, scan_shape: tuple[int, int], name: str = "The array") -> GivenGrains:
    """Grains from an array: a label image, or a stack of masks or label images; errors are those of `load_grains`."""
    found, shape = labelled(array, name)
    check_shape(shape, scan_shape, name)
    return numbered(found, scan_shape, name)


def numbered(named: Iterable[tuple[int, np.ndarray]], scan_shape: tuple[int, int], name: str) -> GivenGrains:
    """Grains by their numbers, or anew from 1 where these are no numbers or not all different; an error for none."""
    kept = [(number, at) for number, at in named if len(at)]
    if not kept:
        raise ReadError(f"{name} holds no grains: all of it is background.")
    numbers = [number for number, _ in kept]
    if min(numbers) < 1 or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(kept) + 1))
    parts = dict(zip(numbers, (np.unique(at) for _, at in kept), strict=True))
    return GivenGrains(dict(sorted(parts.items())), scan_shape)


def labelled(array: np.ndarray, name: str) -> tuple[list[tuple[int, np.ndarray]], tuple[int, int]]:
    """Labels and flat positions of the grains in a label image, or a stack of masks or label images; and the shape.

    The background is 0, or what is negative where anything is (then 0 is a grain, and all are counted from 1). A
    plane of bools, or of one value that other planes have too, is the grain of its number.
    """
    planes = _planes(array, name)
    whole = int(planes.shape[1]), int(planes.shape[2])
    if planes.dtype.kind == "b":
        return [(number, np.flatnonzero(plane)) for number, plane in enumerate(planes, 1)], whole
    shift = 1 if planes.size and planes.min() < 0 else 0
    found, values = [], []
    for plane in planes:
        flat = plane.ravel()
        at = np.flatnonzero(flat >= 0 if shift else flat)
        order = at[np.argsort(flat[at], kind="stable")]
        here, first = np.unique(flat[order], return_index=True)
        values.append(here.astype(np.int64))
        found.append([np.sort(part) for part in np.split(order, first[1:])] if len(here) else [])
    if len(planes) > 1 and all(len(each) <= 1 for each in values):
        alike = len(set(map(tuple, values))) < len(values)
        numbers = [[n] * len(each) if alike else each.tolist() for n, each in enumerate(values, 1)]
    else:
        numbers = [(each + shift).tolist() for each in values]
        every = [number for each in numbers for number in each]
        if len(set(every)) < len(every):
            raise ReadError(
                f"{name} has planes with several values, the same in several planes: neither masks, which hold one "
                "value beside 0, nor label images, of which a label is one grain; save it as a stack of masks."
            )
    pairs = [(n, at) for ns, parts in zip(numbers, found, strict=True) for n, at in zip(ns, parts, strict=True)]
    return pairs, whole


def _planes(array: np.ndarray, name: str) -> np.ndarray:
    """Planes (n, y, x) of bool or whole numbers."""
    array = np.asarray(array)
    if array.dtype.kind not in KINDS:
        raise ReadError(f"{name} holds {array.dtype}, not labels or masks.")
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in (2, 3):
        raise ReadError(f"{name} has {array.ndim} axes; labels are an image, or a stack of masks or label images.")
    if array.dtype.kind == "f":
        if not np.array_equal(array, np.rint(array)):
            raise ReadError(f"{name} holds numbers that are not whole; labels are whole numbers.")
        array = array.astype(np.int64)
    return array if array.ndim == 3 else array[np.newaxis]


def _arrays(path: Path, dataset: str | None) -> Iterable[tuple[np.ndarray, str]]:
    """The arrays of a file that hold grains, and what to call them."""
    names = _label_images(path) if is_store(path) else {}
    wanted = dataset.strip("/") if dataset else ""
    if wanted in ("", "labels") and names:
        return [load_array(path, whole) for whole in names.values()]
    return [load_array(path, names.get(wanted, dataset), KINDS)]


def _label_images(path: Path) -> dict[str, str]:
    """Of an OME-Zarr image, by ``labels/NAME`` the array of each label image in full resolution."""
    with open_zarr(path) as root:
        if hasattr(root, "shape") or "labels" not in root or hasattr(root["labels"], "shape"):
            return {}
        labels = root["labels"]
        try:
            named = [str(name) for name in _ome(labels).get("labels", []) if name in labels]
            first = {name: _ome(labels[name])["multiscales"][0]["datasets"][0]["path"] for name in named}
        except (KeyError, TypeError, IndexError) as error:
            raise ReadError(f"{path.name} is damaged: its labels are not as OME-Zarr has them.") from error
        return {f"labels/{name}": f"labels/{name}/{part}" for name, part in first.items()}


def _ome(group: Any) -> dict[str, Any]:
    """What a group says as OME-Zarr, of version 0.5 or before."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes
