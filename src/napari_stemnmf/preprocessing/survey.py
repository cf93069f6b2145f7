"""The survey: mean and maximum pattern, virtual image, dead and hot pixels of a scan, in one read of its patterns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Axis, Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.dead_pixels import few_and_many, find_dead_pixels
from napari_stemnmf.preprocessing.odd_patterns import Looks, evenly_bright, judge, look
from napari_stemnmf.preprocessing.preparation import (
    Preparation,
    binned,
    crop_corner,
    cropped,
    cropped_detector,
    dark_of,
    kept_squares,
    prepared_axes,
)
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.streaming.engine import BlockResult, Executor, run_pass

SAMPLE_PATTERNS = 256
"""Patterns that hot pixels are looked for in, beside the mean of all."""
SAMPLE_BYTES = 64 * 2**20
"""Most memory for them..."""
SAMPLE_LEAST = 8
"""... but so many in any case."""
GROUP = 3
"""So many dead pixels side by side are repaired; more are left out."""
GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole parts, fill 0 to 1 evenly: the sample falls into step with no scan."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What the first pass over a scan found.

    Attributes
    ----------
    mean, maximum : ndarray of float32
        (q_y, q_x) mean and maximum over all patterns, in counts.
    pattern_sum : ndarray of float64
        (scan_y, scan_x) sum of each pattern, in counts.
    not_finite : int
        Values that were NaN or infinite, but for those of pixels that are left out; they are taken as 0 here and in all
        features.
    negative : int
        Values below zero; taken as 0 as well.
    axes : tuple of Axis
        Of the surveyed patterns.
    hot_pixels : ndarray of int32
        (h, 2) rows and columns, in the file's detector pixels, of the pixels that were repaired.
    odd : ndarray of uint8
        (scan_y, scan_x) why a pattern is odd (`odd_patterns.REASONS`), 0 where it is not; mean and maximum are without
        these. Empty where none is.
    keep : ndarray of bool or None
        (q_y, q_x) of the file's detector, True = keep: neither left out by a mask that was given nor dead. The others
        enter nothing, here and later. None where all are kept.
    dead : dict
        By kind (see `dead_pixels`), how many pixels say nothing; ``saturated`` ones are those of the direct beam. Of
        the dead, those that were repaired are among `hot_pixels`, the others are not in `keep`.
    """

    mean: np.ndarray
    maximum: np.ndarray
    pattern_sum: np.ndarray
    not_finite: int = 0
    negative: int = 0
    axes: tuple[Axis, ...] = ()
    hot_pixels: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int32))
    odd: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.uint8))
    keep: np.ndarray | None = None
    dead: dict[str, int] = field(default_factory=dict)

    @property
    def left_out(self) -> np.ndarray | None:
        """(scan_y, scan_x) bool: the patterns that no later stage uses; None where there are none."""
        return self.odd > 0 if self.odd.any() else None

    @property
    def virtual_image(self) -> np.ndarray:
        """(scan_y, scan_x) float32 mean counts per detector pixel."""
        return (self.pattern_sum / self.mean.size).astype(np.float32)


def take_survey(
    dataset: Dataset,
    settings: PreprocessSettings,
    *,
    keep: np.ndarray | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Survey:
    """Dead and hot pixels, and the survey of the prepared patterns, in one read of the scan as it was opened.

    Pixels that are not to `keep`, (q_y, q_x) of the file's detector, enter nothing. Where others are found dead, which
    no mask says, the scan is read again without them.

    Odd patterns are left out of mean and maximum. What is odd by itself is left out at once; where a look at all
    patterns finds others (flyback of ten times the intensity), the scan is read a second time.

    Mean and sums are exact but for the hot pixels, whose mean and maximum become those of their good neighbours. The
    counts of invalid values are those of the data as they are. `workers`, `control` and `executor` are those of
    `run_pass`.

    Raises
    ------
    DataError
        If a crop lies outside the data, the dark reference does not fit the detector, or there are no counts at all.
    ReadError
        If a part of the scan, or the dark reference, cannot be read.
    Cancelled
        If the user asked to stop.
    """
    from napari_stemnmf.preprocessing.hot_pixels import find_hot_pixels, repair

    how: dict[str, Any] = {"workers": workers, "control": control, "executor": executor}
    scan = cropped(dataset, settings)
    work = Preparation(dark_of(dataset, settings), np.empty((0, 2), np.int32), settings.bin)
    work = work if keep is None else work.without(~cropped_detector(keep, settings))
    axes = prepared_axes(dataset.axes, settings)
    positions = _sample(scan)
    kernel = SurveyKernel(work, positions)
    (found,) = run_pass(scan, [kernel], **how)
    if control is not None:
        control.check()
    seen = found.per_pattern
    _check_counts(scan, seen["sum"], int(found.total["invalid"][0]))
    n = max(1, int((~seen["left out"]).sum()))
    look = found.ragged["sample"], found.total["sum"] / n, found.maximum["maximum"], n
    lit = None if work.out is None else ~work.out
    kinds = find_dead_pixels(*look, lit) if settings.dead_pixels == "auto" else {}
    single, dead = few_and_many(kinds, scan.detector_shape, work.out, GROUP if settings.hot_pixels != "off" else 0)
    work, kernel = work.without(dead), replace(kernel, work=work.without(dead | single))
    if (single | dead).any():
        (found,) = run_pass(scan, [kernel], **how)
        seen = found.per_pattern
    looks = Looks.of(seen["look"], seen["sum"], scan.detector_shape)
    odd = judge(looks, scan.scan_shape, settings)
    good = odd.ravel() == 0
    if ((good == seen["left out"]) & (seen["sum"] > 0.0)).any():  # not those that were left out at once
        kernel = replace(kernel, good=good)
        (found,) = run_pass(scan, [kernel], **how)
    n = int(good.sum())
    full, sample = found.total["sum"] / n, kernel.work.corrected(found.ragged["sample"][good[positions]])
    hot = np.argwhere(single).astype(np.int32)
    if settings.hot_pixels != "off":
        known = repair(full, hot, work.out), repair(sample, hot, work.out)
        more = find_hot_pixels(known[0], settings, patterns=known[1], count=n, out=work.out)
        hot = np.unique(np.concatenate([hot, more]), axis=0).astype(np.int32)
    prepared = ("binned " if work.bin > 1 else "") + "sum"
    mean = found.total[prepared] / n
    maximum = found.maximum[prepared.replace("sum", "maximum")]
    sums = found.per_pattern[prepared].reshape(scan.scan_shape)
    out = None if work.out is None else ~kept_squares(~work.out, work.bin)
    if len(hot):
        excess = full - repair(full, hot, work.out)
        excess = binned(excess, work.bin) if work.bin > 1 else excess
        mean = np.maximum(mean - excess, 0.0)
        sums = np.maximum(sums - excess.sum(), 0.0)
        cells = np.unique(hot // work.bin, axis=0)
        maximum = repair(maximum, cells[(cells < mean.shape).all(axis=1)], out)
    if out is not None:
        mean, maximum = np.where(out, 0.0, mean), np.where(out, np.float32(0.0), maximum)
    if dead.any():
        keep = np.ones(dataset.detector_shape, bool) if keep is None else keep.copy()
        cropped_detector(keep, settings)[dead] = False  # a view of it
    not_finite, negative = found.total["invalid"]
    return Survey(
        mean.astype(np.float32),
        maximum,
        sums,
        int(not_finite),
        int(negative),
        axes,
        (hot + crop_corner(settings)).astype(np.int32),
        odd if odd.any() else odd[:0, :0],
        keep,
        {kind: int(pixels.sum()) for kind, pixels in kinds.items()},
    )


def _check_counts(scan: Dataset, sums: np.ndarray, not_finite: int) -> None:
    """A DataError where no pattern holds anything that could be measured."""
    if sums.any():
        return
    if not_finite == scan.n_patterns * int(np.prod(scan.detector_shape)):
        why = "every value is NaN or infinite"
    else:
        why = "no value is above 0" + (f", and {not_finite} are NaN or infinite" if not_finite else "")
    raise DataError(f"{scan.name} holds no counts: {why}. Check how the file was written, or choose another dataset.")


@dataclass(frozen=True, eq=False)
class SurveyKernel:
    """The `Kernel` of `take_survey`: statistics of the corrected patterns and of the binned ones, a look, a raw sample.

    Statistics over patterns are of the `good` ones (n,), or where that is None, of those that are not evenly bright
    among the others of their block.
    """

    work: Preparation
    sample: np.ndarray
    good: np.ndarray | None = None

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        block = self.work.kept(block)
        corrected = self.work.corrected(block)
        seen = look(corrected)
        found = _statistics(corrected)
        if self.good is None:
            looks = Looks.of(seen, found.per_pattern["sum"], (block.shape[1], block.shape[2]))
            out = evenly_bright(looks)
        else:
            out = ~self.good[positions]
        _without(found, corrected, out)
        found.per_pattern |= {"look": seen, "left out": out}
        if self.work.dark is not None:  # invalid values are those of the data, not what the dark reference made of them
            found.total["invalid"] = _statistics(block).total["invalid"]
        if self.work.bin > 1:
            binned = self.work.binned(corrected)
            coarse = _statistics(binned)
            _without(coarse, binned, out)
            found.per_pattern["binned sum"] = coarse.per_pattern["sum"]
            found.total["binned sum"] = coarse.total["sum"]
            found.maximum["binned maximum"] = coarse.maximum["maximum"]
        chosen = np.isin(positions, self.sample)
        found.ragged, found.counts = {"sample": block[chosen]}, chosen.astype(np.int64)
        return found


def _statistics(block: np.ndarray) -> BlockResult:
    """Sums, maxima and numbers of invalid values of patterns (p, q_y, q_x)."""
    from napari_stemnmf.streaming.summing import statistics

    shape = block.shape[1:]
    total, maximum, sums, invalid = statistics(block.reshape(len(block), -1))
    totals = {"sum": total.reshape(shape), "invalid": invalid}
    return BlockResult(per_pattern={"sum": sums}, total=totals, maximum={"maximum": maximum.reshape(shape)})


def _without(found: BlockResult, block: np.ndarray, out: np.ndarray) -> None:
    """Have the statistics over the patterns of a block be without some (p,) of them."""
    if out.any():
        rest = _statistics(block[~out])
        found.total["sum"], found.maximum = rest.total["sum"], rest.maximum


def _sample(dataset: Dataset) -> np.ndarray:
    """Flat positions of the patterns that hot pixels are looked for in, from all over the scan."""
    pattern_bytes = int(np.prod(dataset.detector_shape)) * dataset.dtype.itemsize
    number = max(SAMPLE_LEAST, min(SAMPLE_PATTERNS, SAMPLE_BYTES // max(1, pattern_bytes)))
    n = dataset.n_patterns
    return np.arange(n) if n <= number else np.unique((np.arange(number) * GOLDEN % 1.0 * n).astype(np.int64))
