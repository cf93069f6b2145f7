"""The patterns as all stages after the survey get them: turned, cropped, less the dark reference, repaired, binned.

Pixels that a mask leaves out, and dead ones, are 0 in them whatever they hold: they can enter no number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_stemnmf.dataset import Axis, Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.scan_order import turned
from napari_stemnmf.preprocessing.wrapped import with_sign
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.streaming.engine import as_counts

Axes = tuple[Axis, Axis, Axis, Axis]


def prepare(
    dataset: Dataset,
    hot_pixels: np.ndarray,
    settings: PreprocessSettings,
    keep: np.ndarray | None = None,
    wrapped: bool = False,
) -> Dataset:
    """The scan with its patterns prepared, each when it is read; `dataset` itself where nothing is to be done.

    In this order: turn rows; crop; take counts that have `wrapped` as negative, as `Survey.wrapped` says; subtract the
    dark reference; repair the hot pixels (h, 2), given in the file's detector pixels as in `Survey.hot_pixels`; set to
    0 what is not to `keep`, as in `Survey.keep`; sum squares of `settings.bin` pixels, where rows and columns that fill
    no square are dropped. Axes follow. Name, source and metadata stay: it is still the same scan.
    A DataError or ReadError if a crop lies outside the data, or the dark reference does not fit the detector or cannot
    be read.
    """
    import dask.array as da

    scan = with_sign(cropped(dataset, settings)) if wrapped else cropped(dataset, settings)
    work = Preparation(
        dark_of(scan, settings, dataset.detector_shape), hot_pixels - crop_corner(settings), settings.bin
    )
    work = work if keep is None else work.without(~cropped_detector(keep, settings))
    if work.dark is None and not len(work.hot) and work.bin == 1 and work.out is None:
        return scan
    axes = prepared_axes(dataset.axes, settings)
    chunks = (*scan.data.chunks[:2], (axes[2].size,), (axes[3].size,))
    dtype = work.dtype(scan.dtype)
    data = da.map_blocks(work, scan.data, chunks=chunks, dtype=dtype, meta=np.empty((0,) * 4, dtype))
    return replace(scan, data=data, axes=axes, gaps=None)


def prepared_axes(axes: Axes, settings: PreprocessSettings) -> Axes:
    """Axes of a scan after crop and binning: of a binned pixel, the coordinate is that of its middle.

    A DataError if a crop is outside the data, or leaves fewer pixels than are binned to one.
    """
    spans = (settings.scan_y, settings.scan_x, settings.q_y, settings.q_x)
    made = []
    for axis, span, step in zip(axes, spans, (1, 1, settings.bin, settings.bin), strict=True):
        start, stop = (0, axis.size) if span is None else span
        if stop > axis.size:
            raise DataError(
                f"preprocess.{axis.name} keeps {start} to {stop}, but the data ends at {axis.size}; choose less."
            )
        if (stop - start) // step < 1:
            raise DataError(
                f"preprocess.bin sums {step} pixels to one, but {axis.name} has only {stop - start}; choose less."
            )
        offset = axis.offset + axis.scale * (start + (step - 1) / 2)
        made.append(replace(axis, size=(stop - start) // step, scale=axis.scale * step, offset=offset))
    return tuple(made)  # type: ignore[return-value]


def cropped(dataset: Dataset, settings: PreprocessSettings) -> Dataset:
    """The part of a scan that is kept, rows turned; `dataset` itself if that is all. A DataError if it is outside.

    Patterns that are missing are zeros where the settings say so, and an error when they are read where not.
    """
    if settings.missing == "leave out":
        dataset = dataset.without_gaps()
    elif settings.missing == "zeros":
        dataset = replace(dataset.without_gaps(), gaps=None)
    if settings.scan_order == "winding":
        dataset = turned(dataset)
    spans = (settings.scan_y, settings.scan_x, settings.q_y, settings.q_x)
    if all(span is None for span in spans):
        return dataset
    axes = prepared_axes(dataset.axes, replace(settings, bin=1))
    where = tuple(slice(None) if span is None else slice(*span) for span in spans)
    gaps = None if dataset.gaps is None else dataset.gaps.like(dataset.data[where], dataset.gaps.missing[where[:2]])
    return replace(dataset, data=dataset.data[where], axes=axes, gaps=gaps)


def crop_corner(settings: PreprocessSettings) -> np.ndarray:
    """(2,) int32 row and column of the file's detector at which the crop begins."""
    return np.array([0 if span is None else span[0] for span in (settings.q_y, settings.q_x)], np.int32)


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to cropped patterns, to be called from any thread or process."""

    dark: np.ndarray | None
    """(q_y, q_x) to subtract. The difference is real and may be negative, so that sums over binned pixels are not
    biased; negative counts are 0 to every later stage."""
    hot: np.ndarray  # (h, 2) pixels to repair, counted from the crop's first
    bin: int  # pixels along each axis that are summed to one
    out: np.ndarray | None = None
    """(q_y, q_x), True where a pixel is 0 whatever it holds, and no neighbour to repair with."""

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Prepared patterns of a block (..., q_y, q_x), which stays as it is."""
        from napari_stemnmf.preprocessing.hot_pixels import repair

        return self.binned(repair(self.corrected(self.kept(block)), self.hot, self.out))

    def kept(self, block: np.ndarray) -> np.ndarray:
        """A block with 0 for what is left out."""
        if self.out is None:
            return block
        block = np.array(block, order="C")
        block.reshape(-1, self.out.size)[:, self.out.ravel()] = 0
        return block

    def corrected(self, block: np.ndarray) -> np.ndarray:
        """A block less the dark reference, which is 0 for what is left out."""
        return block if self.dark is None else np.subtract(block, self.dark, dtype=_difference(block.dtype))

    def without(self, out: np.ndarray) -> Preparation:
        """The same with more pixels (q_y, q_x) left out."""
        if not out.any():
            return self
        dark = None if self.dark is None else np.where(out, self.dark.dtype.type(0), self.dark)
        return replace(self, dark=dark, out=out if self.out is None else self.out | out)

    def binned(self, block: np.ndarray) -> np.ndarray:
        """A block binned."""
        return block if self.bin == 1 else binned(block, self.bin)

    def dtype(self, dtype: np.dtype) -> np.dtype:
        """Type of what is made of patterns of some type."""
        dtype = dtype if self.dark is None else _difference(dtype)
        return dtype if self.bin == 1 else binned_dtype(dtype)

    def __dask_tokenize__(self) -> Any:
        return type(self).__qualname__, self.dark, self.hot, self.bin, self.out


def cropped_detector(image: np.ndarray, settings: PreprocessSettings) -> np.ndarray:
    """The part that is kept of an image (q_y, q_x) of the file's detector."""
    where = tuple(slice(None) if span is None else slice(*span) for span in (settings.q_y, settings.q_x))
    return image[where]


def binned(block: np.ndarray, step: int) -> np.ndarray:
    """Sums over squares of `step` pixels of patterns (..., q_y, q_x), in a type that holds them: `binned_dtype`.

    Rows and columns that fill no square are dropped; what is not finite counts as 0.
    """
    from napari_stemnmf.streaming.summing import bin_patterns

    rows, columns = block.shape[-2] // step, block.shape[-1] // step
    out = np.empty((*block.shape[:-2], rows, columns), binned_dtype(block.dtype))
    patterns = as_counts(block).reshape(-1, *block.shape[-2:])
    bin_patterns(patterns, step, out.reshape(-1, rows, columns))
    return out


def kept_squares(mask: np.ndarray, step: int) -> np.ndarray:
    """Which squares of `step` pixels a mask (q_y, q_x), True = keep, keeps whole."""
    rows, columns = mask.shape[0] // step, mask.shape[1] // step
    squares = mask[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return np.asarray(squares.all(axis=(1, 3)))


def binned_dtype(dtype: np.dtype) -> np.dtype:
    """Type of sums over up to 64 x 64 pixels that cannot overflow: float64 holds those of 32 bit exactly."""
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize > 4 else np.float32)
    if dtype.itemsize > 2:
        return np.dtype(np.float64)
    return np.dtype(np.int32 if dtype.kind == "i" else np.uint32)


def _difference(dtype: np.dtype) -> np.dtype:
    """Type of counts less a dark reference: float32, or float64 where that would lose counts."""
    return np.dtype(np.float64 if dtype.itemsize > (4 if dtype.kind == "f" else 2) else np.float32)


def dark_of(scan: Dataset, settings: PreprocessSettings, detector_shape: tuple[int, int]) -> np.ndarray | None:
    """The dark reference of a cropped scan, with 0 for what is no number; a DataError if it does not fit."""
    if settings.dark is None:
        return None
    from napari_stemnmf.reading.masks import load_detector_image

    dark = load_detector_image(settings.dark, detector_shape, stacks=True).astype(np.float64)
    dark = np.nan_to_num(cropped_detector(dark, settings), nan=0.0, posinf=0.0, neginf=0.0)
    return dark.astype(_difference(scan.dtype))
