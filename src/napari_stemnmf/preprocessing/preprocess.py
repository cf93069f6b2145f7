"""The first look at a scan, and the patterns as all later stages see them: cropped, dark-corrected, repaired, binned.

`take_survey` reads the scan once; `prepare` gives the same scan with lazily prepared patterns. Leans on the engine,
`hot_pixels` and the readers of detector images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Axis, Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.hot_pixels import find_hot_pixels, repair
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.streaming.engine import BlockResult, Executor, as_counts, run_pass
from napari_stemnmf.streaming.survey import Survey, SurveyKernel

Axes = tuple[Axis, Axis, Axis, Axis]

SAMPLE_PATTERNS = 256
"""Patterns that hot pixels are looked for in, beside the mean of all."""
SAMPLE_BYTES = 64 * 2**20
"""Most memory for them..."""
SAMPLE_LEAST = 8
"""... but so many in any case."""
GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole parts, fill 0 to 1 evenly: the sample falls into step with no scan."""


def take_survey(
    dataset: Dataset,
    settings: PreprocessSettings,
    *,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Survey:
    """Hot pixels, and the survey of the prepared patterns, in one read.

    Mean and sums are exact but for the hot pixels, whose mean and maximum become those of their good neighbours.

    Parameters
    ----------
    dataset : Dataset
        The scan as it was opened.
    settings : PreprocessSettings
        What is to be done to its patterns.
    workers, control, executor
        As of `run_pass`.

    Returns
    -------
    Survey
        Of the prepared patterns; its counts of invalid values are those of the data as they are.

    Raises
    ------
    DataError
        If a crop lies outside the data, or the dark reference does not fit the detector.
    ReadError
        If a part of the scan, or the dark reference, cannot be read.
    Cancelled
        If the user asked to stop.
    """
    scan = cropped(dataset, settings)
    work = Preparation(_dark(dataset, settings), np.empty((0, 2), np.int32), settings.bin)
    prepared_axes(dataset.axes, settings)
    kernel = FirstLook(work, _sample(scan) if settings.hot_pixels == "sigma" else np.empty(0, np.int64))
    (seen,) = run_pass(scan, [kernel], workers=workers, control=control, executor=executor)
    if control is not None:
        control.check()
    n = scan.n_patterns
    full = seen.total["sum"] / n
    hot = find_hot_pixels(full, settings, patterns=seen.ragged.get("sample"), count=n)
    prepared = ("binned " if work.bin > 1 else "") + "sum"
    mean = seen.total[prepared] / n
    maximum = seen.maximum[prepared.replace("sum", "maximum")]
    sums = seen.per_pattern[prepared].reshape(scan.scan_shape)
    if len(hot):
        excess = binned(full - repair(full, hot), work.bin) if work.bin > 1 else full - repair(full, hot)
        mean = np.maximum(mean - excess, 0.0)
        sums = np.maximum(sums - excess.sum(), 0.0)
        cells = np.unique(hot // work.bin, axis=0)
        maximum = repair(maximum, cells[(cells < mean.shape).all(axis=1)])
    not_finite, negative = seen.total["odd"]
    corner = [0 if span is None else span[0] for span in (settings.q_y, settings.q_x)]
    return Survey(
        mean=mean.astype(np.float32),
        maximum=maximum,
        pattern_sum=sums,
        not_finite=int(not_finite),
        negative=int(negative),
        axes=prepared_axes(dataset.axes, settings),
        hot_pixels=(hot + np.array(corner, np.int32)).astype(np.int32),
    )


def prepare(dataset: Dataset, survey: Survey, settings: PreprocessSettings) -> Dataset:
    """The scan with its patterns prepared, each when it is read.

    In this order: crop; subtract the dark reference; repair `survey.hot_pixels`; sum squares of `settings.bin` pixels,
    where rows and columns that fill no square are dropped. Axes follow. Name, source and metadata stay: it is still the
    same scan.

    Returns
    -------
    Dataset
        `dataset` itself where nothing is to be done.

    Raises
    ------
    DataError
        If a crop lies outside the data, or the dark reference does not fit the detector.
    ReadError
        If the dark reference cannot be read.
    """
    import dask.array as da

    scan = cropped(dataset, settings)
    corner = np.array([0 if span is None else span[0] for span in (settings.q_y, settings.q_x)], np.int32)
    work = Preparation(_dark(dataset, settings), survey.hot_pixels - corner, settings.bin)
    if work.does_nothing:
        return scan
    axes = prepared_axes(dataset.axes, settings)
    chunks = (*scan.data.chunks[:2], (axes[2].size,), (axes[3].size,))
    dtype = work.dtype(scan.dtype)
    data = da.map_blocks(work, scan.data, chunks=chunks, dtype=dtype, meta=np.empty((0,) * 4, dtype))
    return replace(scan, data=data, axes=axes)


def prepared_axes(axes: Axes, settings: PreprocessSettings) -> Axes:
    """Axes of a scan after crop and binning: of a binned pixel, the coordinate is that of its middle.

    Raises
    ------
    DataError
        If a crop lies outside the data, or leaves fewer pixels than are binned to one.
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
    """The part of a scan that is kept; `dataset` itself where that is all.

    Raises
    ------
    DataError
        If it lies outside the data.
    """
    spans = (settings.scan_y, settings.scan_x, settings.q_y, settings.q_x)
    if all(span is None for span in spans):
        return dataset
    axes = prepared_axes(dataset.axes, replace(settings, bin=1))
    where = tuple(slice(None) if span is None else slice(*span) for span in spans)
    return replace(dataset, data=dataset.data[where], axes=axes)


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to cropped patterns, to be called from any thread or process.

    Attributes
    ----------
    dark : ndarray or None
        (q_y, q_x) to subtract. The difference is real and may be negative, so that sums over binned pixels are not
        biased; negative counts are 0 to every later stage.
    hot : ndarray of int
        (h, 2) pixels to repair, counted from the crop's first.
    bin : int
        Pixels along each axis that are summed to one.
    """

    dark: np.ndarray | None
    hot: np.ndarray
    bin: int

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Prepared patterns of a block (..., q_y, q_x), which stays as it is."""
        return self.binned(repair(self.corrected(block), self.hot))

    def corrected(self, block: np.ndarray) -> np.ndarray:
        """A block less the dark reference."""
        return block if self.dark is None else np.subtract(block, self.dark, dtype=_difference(block.dtype))

    def binned(self, block: np.ndarray) -> np.ndarray:
        """A block binned."""
        return block if self.bin == 1 else binned(block, self.bin)

    @property
    def does_nothing(self) -> bool:
        """Whether patterns stay as they are."""
        return self.dark is None and not len(self.hot) and self.bin == 1

    def dtype(self, dtype: np.dtype) -> np.dtype:
        """Type of what is made of patterns of some type."""
        dtype = dtype if self.dark is None else _difference(dtype)
        return dtype if self.bin == 1 else binned_dtype(dtype)

    def __dask_tokenize__(self) -> Any:
        return type(self).__qualname__, self.dark, self.hot, self.bin


@dataclass(frozen=True, eq=False)
class FirstLook:
    """The `Kernel` of `take_survey`: a survey of the corrected patterns, another of the binned ones, and a sample."""

    work: Preparation
    sample: np.ndarray

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        """Look at one block (p, q_y, q_x)."""
        look = SurveyKernel()
        corrected = self.work.corrected(block)
        found = look(corrected, positions)
        if self.work.dark is not None:  # invalid values are those of the data, not what the dark reference made of them
            found.total["odd"] = look(block, positions).total["odd"]
        if self.work.bin > 1:
            coarse = look(self.work.binned(corrected), positions)
            found.per_pattern["binned sum"] = coarse.per_pattern["sum"]
            found.total["binned sum"] = coarse.total["sum"]
            found.maximum["binned maximum"] = coarse.maximum["maximum"]
        if len(self.sample):
            chosen = np.isin(positions, self.sample)
            found.ragged, found.counts = {"sample": corrected[chosen]}, chosen.astype(np.int64)
        return found


def binned(block: np.ndarray, step: int) -> np.ndarray:
    """Sums over squares of `step` pixels of patterns (..., q_y, q_x), in a type that holds them: `binned_dtype`.

    Rows and columns that fill no square are dropped; what is not finite counts as 0.
    """
    from napari_stemnmf.preprocessing.hot_pixels import add_up

    rows, columns = block.shape[-2] // step, block.shape[-1] // step
    out = np.empty((*block.shape[:-2], rows, columns), binned_dtype(block.dtype))
    patterns = as_counts(block).reshape(-1, *block.shape[-2:])
    add_up(patterns, step, out.reshape(-1, rows, columns))
    return out


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


def _dark(dataset: Dataset, settings: PreprocessSettings) -> np.ndarray | None:
    """The dark reference of the cropped detector, with 0 for what is no number."""
    if settings.dark is None:
        return None
    from napari_stemnmf.reading.masks import load_detector_image

    dark = load_detector_image(settings.dark, dataset.detector_shape, stacks=True).astype(np.float64)
    where = tuple(slice(None) if span is None else slice(*span) for span in (settings.q_y, settings.q_x))
    dark = np.nan_to_num(dark[where], nan=0.0, posinf=0.0, neginf=0.0)
    return dark.astype(_difference(dataset.dtype))


def _sample(dataset: Dataset) -> np.ndarray:
    """Flat positions of the patterns that hot pixels are looked for in, from all over the scan."""
    pattern_bytes = int(np.prod(dataset.detector_shape)) * dataset.dtype.itemsize
    number = max(SAMPLE_LEAST, min(SAMPLE_PATTERNS, SAMPLE_BYTES // max(1, pattern_bytes)))
    n = dataset.n_patterns
    return np.arange(n) if n <= number else np.unique((np.arange(number) * GOLDEN % 1.0 * n).astype(np.int64))
