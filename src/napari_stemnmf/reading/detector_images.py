"""Images of the detector's shape, from any container that scans are read from and from PNG: masks, dark references."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.reading import opening
from napari_stemnmf.reading.blocks import reading
from napari_stemnmf.reading.candidates import times
from napari_stemnmf.reading.images import mrc_frames
from napari_stemnmf.reading.masks import arrays_in

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


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
            wanted = name.strip("/")
            images = [i for i in images if i.name == wanted] or [i for i in images if i.name.endswith("/" + wanted)]
            if not images:
                raise ReadError(f"{path.name} holds no array '{name}'.")
        fitting = [i for i in images if i.shape[-2:] == tuple(shape) and (len(i.shape) == 2 or stacks)]
        if not fitting:
            held = ", ".join(times(i.shape) for i in images) or "no image"
            raise DataError(f"{path.name} holds {held}, but the detector has {times(shape)} pixels.")
        if len(fitting) > 1:
            names = ", ".join(i.name for i in fitting)
            raise ReadError(f"{path.name} holds several images of the detector: {names}; name one, as in FILE::NAME.")
        image = fitting[0].load().reshape(fitting[0].shape)
    return image if image.ndim == 2 else np.asarray(image.mean(axis=0, dtype=np.float64))


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
        with path.open("rb") as file:
            frames = mrc_frames(path, file.read(1024))
        shape = (frames.count, *frames.frame_shape)
        return [_Image.of("stack", shape, lambda: frames.read_frames(range(frames.count)))]
    found = [_Image.of(c.name, c.shape, c.load) for c in arrays_in(path) if c.load and c.dtype.kind in "biuf"]
    return [image for image in found if len(image.shape) in (2, 3)]


def _png(path: Path) -> np.ndarray:
    from skimage.io import imread

    picture = np.asarray(imread(path))
    if picture.ndim == 3:  # an alpha channel, the second or fourth, says nothing of the picture
        channels = picture.shape[2] - 1 if picture.shape[2] in (2, 4) else picture.shape[2]
        picture = picture[..., :channels].max(axis=2)
    return picture
