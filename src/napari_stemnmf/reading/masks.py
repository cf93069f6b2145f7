"""Masks and label images from any container that scans are read from."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading import opening
from napari_stemnmf.reading.blocks import reading
from napari_stemnmf.reading.candidates import Candidate, times

USUAL_NAMES = ("labels", "masks", "grains", "grain_id", "truth")
MASK_KINDS = "biu"
"""Kinds of numbers that can be masks: bool, and integers of either sign."""


def load_masks(where: str | os.PathLike[str]) -> np.ndarray:
    """Masks of true grains, to score a result against.

    Parameters
    ----------
    where : str or path
        ``"FILE::dataset"`` in an HDF5, Zarr or npz file, or an npy or tif file; the dataset may be left out where the
        file holds only one that can be masks. A stack (grains, scan_y, scan_x) of bool or integers, where not zero is
        inside; or a label image (scan_y, scan_x), which gives one mask a label. Its background is 0, or what is
        negative where anything is (then 0 is a grain).

    Returns
    -------
    numpy.ndarray
        (grains, scan_y, scan_x) bool, in the order of the stack or of the labels; masks without a pixel are left out.

    Raises
    ------
    ReadError
        If there are no masks.
    """
    path, dataset = opening.split(where)
    with reading(path):
        candidate = _chosen(arrays_in(path), path.name, dataset)
        name = f"{candidate.name} in {path.name}"
        if candidate.load is None or candidate.dtype.kind not in MASK_KINDS:
            raise _not_masks(name, candidate.dtype)
        array = candidate.load()
    return as_masks(array, name)


def as_masks(array: np.ndarray, name: str = "The truth") -> np.ndarray:
    """Masks from a stack of masks (grains, scan_y, scan_x) or a label image (scan_y, scan_x), as `load_masks` has them.

    Parameters
    ----------
    array : ndarray
        Of bool or integers.
    name : str
        What to call it in errors.

    Returns
    -------
    numpy.ndarray
        (grains, scan_y, scan_x) bool.

    Raises
    ------
    ReadError
        If there are no masks in it.
    """
    array = np.asarray(array)
    if array.dtype.kind not in MASK_KINDS:
        raise _not_masks(name, array.dtype)
    if array.ndim not in (2, 3):
        raise ReadError(f"{name} has {array.ndim} axes; masks are a stack (grains, scan_y, scan_x) or a label image.")
    if array.ndim == 2:
        array = array[np.newaxis] if array.dtype.kind == "b" else _planes(array, name)
    masks: np.ndarray = array != 0
    masks = masks[masks.any(axis=(1, 2))]
    if not len(masks):
        raise ReadError(f"{name} holds no masks: all of it is background.")
    return masks


def arrays_in(path: Path) -> list[Candidate]:
    """All arrays of a file that holds masks."""
    kind = opening.sniff(path)
    if kind == "hdf5":
        from napari_stemnmf.reading.hdf5 import candidates

        return candidates(path.resolve())[0]
    if kind == "zarr":
        from napari_stemnmf.reading.stores import store_candidates

        return store_candidates(path)
    if kind == "tif":
        from napari_stemnmf.reading.images import tif_candidates

        return tif_candidates(path)
    if kind in ("npy", "npz"):
        from napari_stemnmf.reading.arrays import npy_candidate, npz_candidates

        return [npy_candidate(path)] if kind == "npy" else npz_candidates(path)
    raise ReadError(f"{path.name} cannot hold masks; save them as HDF5, Zarr, npy, npz or tif.")


def _not_masks(name: str, dtype: np.dtype) -> ReadError:
    return ReadError(
        f"{name} holds {dtype} numbers, not masks; "
        "masks are bool or integer, as a stack (grains, scan_y, scan_x) or a label image."
    )


def _chosen(arrays: list[Candidate], name: str, dataset: str | None) -> Candidate:
    """The array that was named, or the only one that can be masks."""
    if dataset is not None:
        wanted = dataset.strip("/")
        named = [c for c in arrays if c.name.strip("/") == wanted] or [
            c for c in arrays if c.name.endswith("/" + wanted)
        ]
        if len(named) != 1 or len(named[0].shape) not in (2, 3):
            held = ", ".join(c.label for c in arrays) or "no array"
            raise ReadError(f"{name} holds no masks or label image '{dataset}'; it holds {held}.")
        return named[0]
    can_be = [c for c in arrays if len(c.shape) in (2, 3) and c.dtype.kind in MASK_KINDS and 0 not in c.shape]
    for group in (can_be, [c for c in can_be if c.name.rsplit("/", 1)[-1] in USUAL_NAMES]):
        if len(group) == 1:
            return group[0]
    if not can_be:
        held = ", ".join(f"{c.label} of {c.dtype}" for c in arrays) or "no array"
        raise ReadError(f"{name} holds no masks (bool or integer, in two or three axes); it holds {held}.")
    names = ", ".join(c.label for c in can_be)
    raise ReadError(
        f"{name} holds several arrays that can be masks: {names}; name one, as in {name}::{can_be[0].name}."
    )


def _planes(labels: np.ndarray, name: str) -> np.ndarray:
    """One mask for each label of a label image; the background is 0, or what is negative where there is such."""
    values = np.unique(labels)
    values = values[values >= 0] if values[0] < 0 else values[values > 0]
    if len(values) * labels.size > 2**33:
        raise ReadError(f"{name} has {len(values)} labels in {times(labels.shape)} pixels: no label image of grains.")
    return labels[np.newaxis] == values[:, np.newaxis, np.newaxis]
