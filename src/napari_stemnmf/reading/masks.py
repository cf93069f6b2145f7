"""Masks, label images and images of the detector, from any container that scans are read from.

Masks and label images are true grains to score against; images of the detector its masks and dark references, which
may also be PNG.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.memory import available
from napari_stemnmf.reading import opening
from napari_stemnmf.reading.blocks import reading
from napari_stemnmf.reading.candidates import Candidate, listed, named, times

USUAL_NAMES = ("labels", "masks", "grains", "grain_id", "truth")
MASK_KINDS = "biu"
"""Kinds of numbers that can be masks: bool, and integers with or without sign."""
PIXEL_BYTES = 8
"""What a pixel of a mask takes while grains are scored: the mask, its weight, and their copies."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def load_masks(where: str | os.PathLike[str]) -> np.ndarray:
    """Masks of true grains, to score a result against.

    Parameters
    ----------
    where : str or path
        ``"FILE::dataset"`` in an HDF5, Zarr or npz file, or an npy or tif file; the dataset may be left out where the
        file holds only one that can be masks. A stack (grains, scan_y, scan_x) of bool or integers, where not zero is
        inside; or a label image (scan_y, scan_x), which gives one mask a label. Its background is 0, or what is
        negative where anything is (then 0 is a grain). A plane of a stack that holds several values is a label image,
        too, as are grains that overlap when they are kept in several layers; no label may be in two of them. Leading
        axes of length one do not count.

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
        return as_masks(*load_array(path, dataset))


def load_array(path: Path, dataset: str | None = None, kinds: str = MASK_KINDS) -> tuple[np.ndarray, str]:
    """The array of a file that was named, or the only one that can be masks, and what to call it in errors.

    Raises
    ------
    ReadError
        If there is none, there are several, or its numbers are of none of the `kinds`.
    """
    candidate = _chosen(arrays_in(path), path.name, dataset, kinds)
    name = f"{candidate.name} in {path.name}"
    if candidate.load is None or candidate.dtype.kind not in kinds:
        raise _not_masks(name, candidate.dtype)
    check_room(math.prod(candidate.shape) // 8, f"{name} holds {times(candidate.shape)} pixels")
    return candidate.load(), name


def as_masks(array: np.ndarray, name: str = "The truth") -> np.ndarray:
    """Masks from a stack of masks (grains, scan_y, scan_x) or a label image (scan_y, scan_x), as in `load_masks`.

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
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in (2, 3):
        raise ReadError(f"{name} has {array.ndim} axes; masks are a stack (grains, scan_y, scan_x) or a label image.")
    if array.ndim == 2:
        array = array[np.newaxis] if array.dtype.kind == "b" else _planes(array, name)
    elif array.dtype.kind != "b":
        array = _stack(array, name)
    check_room(array.size, f"{name} holds {times(array.shape)} pixels")
    masks: np.ndarray = array != 0
    masks = masks[masks.any(axis=(1, 2))]
    if not len(masks):
        raise ReadError(f"{name} holds no masks: all of it is background.")
    return masks


def load_detector_image(where: str | os.PathLike[str], shape: tuple[int, int], *, stacks: bool = False) -> np.ndarray:
    """One image of the detector.

    Parameters
    ----------
    where : str or path
        An npy, npz, tif, mrc, png, HDF5 or Zarr file; ``"FILE::dataset"`` names one of several arrays.
    shape : tuple of int
        Rows and columns of the detector.
    stacks : bool
        Whether a stack of images (k, rows, columns) will do as well: it is averaged.

    Returns
    -------
    numpy.ndarray
        (rows, columns), of the file's type; float64 if averaged; of a colour picture, its brightest channel.

    Raises
    ------
    ReadError
        If the file cannot be read, holds several images that fit, or lacks the one that was named.
    DataError
        If no image has the detector's shape.
    """
    path, name = opening.split(where)
    with reading(path):
        images = _images(path)
        if name is not None:
            images = named(images, name)
            if not images:
                raise ReadError(f"{path.name} holds no array '{name}'.")
        fitting = [i for i in images if i.shape[-2:] == tuple(shape) and (len(i.shape) == 2 or stacks)]
        if not fitting:
            held = ", ".join(times(i.shape) for i in images[:8]) or "no image"
            raise DataError(f"{path.name} holds {held}, but the detector has {times(shape)} pixels.")
        if len(fitting) > 1:
            names = ", ".join(i.name for i in fitting[:8])
            raise ReadError(f"{path.name} holds several images of the detector: {names}; name one, as in FILE::NAME.")
        image = fitting[0].load().reshape(fitting[0].shape)
    return image if image.ndim == 2 else np.asarray(image.mean(axis=0, dtype=np.float64))


def arrays_in(path: Path) -> list[Candidate]:
    """All arrays of a file that holds masks."""
    kind = opening.sniff(path)
    if kind == "hdf5":
        from napari_stemnmf.reading.hdf5 import candidates

        return candidates(path.resolve())[0]
    if kind == "zarr":
        from napari_stemnmf.reading.zarr import store_candidates

        return store_candidates(path)
    if kind == "tif":
        from napari_stemnmf.reading.image_stacks import tif_candidates

        return tif_candidates(path)
    if kind in ("npy", "npz"):
        from napari_stemnmf.reading.npy import npy_candidate, npz_candidates

        return [npy_candidate(path)] if kind == "npy" else npz_candidates(path)
    raise ReadError(f"{path.name} cannot hold masks; save them as HDF5, Zarr, npy, npz or tif.")


def _not_masks(name: str, dtype: np.dtype) -> ReadError:
    return ReadError(
        f"{name} holds {dtype} numbers, not masks; "
        "masks are bool or integer, as a stack (grains, scan_y, scan_x) or a label image."
    )


def _chosen(arrays: list[Candidate], name: str, dataset: str | None, kinds: str = MASK_KINDS) -> Candidate:
    """The array that was named, or the only one that can be masks."""
    if dataset is not None:
        found = named(arrays, dataset)
        if len(found) != 1 or len(_without_ones(found[0].shape)) not in (2, 3):
            held = listed(arrays) or "no array"
            raise ReadError(f"{name} holds no masks or label image '{dataset}'; it holds {held}.")
        return found[0]
    can_be = [c for c in arrays if len(_without_ones(c.shape)) in (2, 3) and c.dtype.kind in kinds and 0 not in c.shape]
    for group in (can_be, [c for c in can_be if c.name.rsplit("/", 1)[-1] in USUAL_NAMES]):
        if len(group) == 1:
            return group[0]
    if not can_be:
        held = listed(arrays) or "no array"
        raise ReadError(f"{name} holds no masks (bool or integer, in two or three axes); it holds {held}.")
    names = listed(can_be)
    raise ReadError(
        f"{name} holds several arrays that can be masks: {names}; name one, as in {name}::{can_be[0].name}."
    )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without leading axes of length one beyond the last two."""
    first = next((i for i, n in enumerate(shape[:-2]) if n != 1), max(len(shape) - 2, 0))
    return shape[first:]


def _planes(labels: np.ndarray, name: str) -> np.ndarray:
    """One mask for each label of a label image; the background is 0, or what is negative where there is such."""
    values = np.unique(labels)
    values = values[values >= 0] if values[0] < 0 else values[values > 0]
    check_room(len(values) * labels.size, f"{name} has {len(values)} labels in {times(labels.shape)} pixels")
    return labels[np.newaxis] == values[:, np.newaxis, np.newaxis]


def check_room(pixels: int, what: str) -> None:
    """A ReadError where masks of so many pixels together take more memory than is free, which `what` begins with."""
    needed, free = PIXEL_BYTES * pixels, available()
    if needed > free:
        raise ReadError(
            f"{what}: as masks to score against they take {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} are free; "
            "give the truth of a part of the scan."
        )


def _stack(planes: np.ndarray, name: str) -> np.ndarray:
    """One mask for each plane of a stack, or for each label of those planes that hold several values."""
    values = [np.unique(plane) for plane in planes]
    several = [i for i, found in enumerate(values) if np.count_nonzero(found) > 1]
    if not several:
        return planes
    labels = np.concatenate([values[i][values[i] != 0] for i in several])
    if len(np.unique(labels)) < len(labels):
        raise ReadError(
            f"{name} has planes with several values, the same in several planes: neither masks, which hold one value "
            "beside 0, nor label images, of which a label is one grain; save it as a stack of bool masks."
        )
    parts = [_planes(plane, name) if i in several else plane[np.newaxis] != 0 for i, plane in enumerate(planes)]
    return np.concatenate(parts)


@dataclass(frozen=True)
class _Image:
    """An image, or a stack of them, that has not been read yet; axes of length 1 before the last two are left out."""

    name: str
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]

    @classmethod
    def of(cls, name: str, shape: tuple[int, ...], load: Callable[[], np.ndarray]) -> _Image:
        return cls(name.strip("/"), (*[n for n in shape[:-2] if n != 1], *shape[-2:]), load)


def _images(path: Path) -> list[_Image]:
    """All images and stacks of images in a file."""
    if path.is_file():
        with path.open("rb") as file:
            if file.read(8) == PNG_MAGIC:
                picture = _png(path)
                return [_Image("picture", picture.shape, lambda: picture)]
    if opening.sniff(path) == "mrc":
        from napari_stemnmf.reading.image_stacks import mrc_frames

        with path.open("rb") as file:
            frames = mrc_frames(path, file.read(1024))
        shape = (frames.count, *frames.frame_shape)
        return [_Image.of("stack", shape, lambda: frames.read_frames(range(frames.count)))]
    found = [_Image.of(c.name, c.shape, c.load) for c in arrays_in(path) if c.load and c.dtype.kind in "biuf"]
    return [image for image in found if len(image.shape) in (2, 3)]


def _png(path: Path) -> np.ndarray:
    from skimage.io import imread

    picture = np.asarray(imread(path))
    if picture.ndim == 3:  # without the alpha channel, the second or fourth
        channels = picture.shape[2] - 1 if picture.shape[2] in (2, 4) else picture.shape[2]
        picture = picture[..., :channels].max(axis=2)
    return picture
