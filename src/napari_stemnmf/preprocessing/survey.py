"""The survey: mean and maximum pattern, virtual image, dead and hot pixels of a scan, in one read of its patterns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Axis, Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing import camera_offset, dead_pixels, odd_patterns, scan_order
from napari_stemnmf.preprocessing.camera_offset import offset_of
from napari_stemnmf.preprocessing.dead_pixels import (
    FRINGE,
    few_and_many,
    find_dead_pixels,
    typical_values,
    unlike_edges,
)
from napari_stemnmf.preprocessing.flyback import Outer, outer_positions
from napari_stemnmf.preprocessing.looks import Looks
from napari_stemnmf.preprocessing.odd_patterns import MISSING, judge
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
from napari_stemnmf.preprocessing.survey_kernel import OuterKernel, SurveyKernel, sampled_positions
from napari_stemnmf.preprocessing.wrapped import SENTENCE, signed, with_sign, wrapped
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.streaming.engine import PassResult, as_counts, load, run_pass
from napari_stemnmf.streaming.pools import Executor

INVERTED = 0.003
"""A mask that keeps less than half of the pixels, and this share of the counts, is taken for one that is inverted."""
FEW_PATTERNS = 12
"""So many patterns are looked at before all others."""
GROUP = 3
"""So many dead pixels side by side are repaired; more are left out."""


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
    wrapped : bool
        Whether counts below zero had wrapped to the largest numbers of an unsigned type; they are taken as negative.
    offset : float
        What a camera adds to the counts of each of the file's pixels, as far as that is seen; 0 for nothing.
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
    wrapped: bool = False
    offset: float = field(default=0.0, metadata={"since": "0.5"})

    @property
    def left_out(self) -> np.ndarray | None:
        """(scan_y, scan_x) bool: the patterns that no later stage uses; None where there are none."""
        return self.odd > 0 if self.odd.any() else None

    @property
    def virtual_image(self) -> np.ndarray:
        """(scan_y, scan_x) float32 mean counts per detector pixel."""
        return (self.pattern_sum / self.mean.size).astype(np.float32)

    def notes(self, order: str, disks: np.ndarray | None) -> list[str]:
        """What is odd about the data, a sentence each; `order` is that of the scan, `disks` (n,) their numbers."""
        found = [*dead_pixels.sentences(self.dead), *([SENTENCE] if self.wrapped else [])]
        if self.offset:
            found.append(camera_offset.sentence(self.offset))
        images = [self.pattern_sum] if disks is None else [self.pattern_sum, disks.reshape(self.pattern_sum.shape)]
        if scan_order.winds(images):
            found.append(scan_order.sentence(order))
        if self.odd.any():
            found.append(odd_patterns.sentence(self.odd))
        if self.not_finite:
            found.append(f"{self.not_finite} values are NaN or infinite; they count as 0.")
        if self.negative:
            found.append(f"{self.negative} values are negative; they count as 0.")
        return found


def take_survey(
    dataset: Dataset,
    settings: PreprocessSettings,
    *,
    keep: np.ndarray | None = None,
    workers: int | None = None,
    control: Control | None = None,
    executor: Executor | None = None,
) -> Survey:
    """Dead and hot pixels, and the survey of the prepared patterns, in one read of the scan as it was opened, or two.

    Pixels that are not to `keep`, (q_y, q_x) of the file's detector, enter nothing. Odd patterns are left out of mean
    and maximum: what is odd by itself at once. Where others are found dead, which no mask says, or a look at all
    patterns finds others odd (flyback of ten times the intensity), the scan is read a second time without them.

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
    how: dict[str, Any] = {"workers": workers, "control": control, "executor": executor}
    control = Control() if control is None else control
    scan = cropped(dataset, settings)
    axes = prepared_axes(dataset.axes, settings)
    missing = None if scan.gaps is None else scan.gaps.missing
    few = _some_patterns(scan, missing)
    has_wrapped = wrapped(few)
    scan = with_sign(scan) if has_wrapped else scan
    work = Preparation(dark_of(scan, settings, dataset.detector_shape), np.empty((0, 2), np.int32), settings.bin)
    if keep is not None:
        work = work.without(~cropped_detector(keep, settings))
        _check_mask(signed(few) if has_wrapped else few, cropped_detector(keep, settings))
    fringe = unlike_edges(work.kept(few)) & (settings.dead_pixels == "auto")
    work = work.without(fringe)
    gone = None if missing is None else missing.ravel()
    sample = sampled_positions(scan)
    kernel = SurveyKernel(work, sample if gone is None else sample[~gone[sample]], missing=gone)
    outer = outer_positions(scan.scan_shape) if settings.odd_patterns == "auto" else np.empty(0, np.int64)
    if gone is not None and gone[outer].any():
        outer = outer[:0]
    found, edges = run_pass(scan, [kernel, OuterKernel(work, outer)], **how)
    control.check()
    seen = found.per_pattern
    _check_counts(scan, seen["sum"], int(found.total["invalid"][0]))
    dead = _dead_pixels(found, kernel, settings)
    looks = _looks(found, kernel, dead).filled(missing)
    odd = judge(looks, scan.scan_shape, settings, Outer(outer, edges.ragged["cells"]) if len(outer) else None)
    if missing is not None:
        odd[missing] = MISSING
    good = odd.ravel() == 0
    known_now = ((good == seen["left out"]) & (looks.total > 0.0)).any()  # not those that were left out at once
    if known_now or dead.out.any():
        kernel = replace(kernel.without(dead.out), good=good)
        (found,) = run_pass(scan, [kernel], **how)
    kernel = replace(kernel, work=work.without(dead.many), good=good)
    sample = kernel.work.corrected(found.ragged["sample"][good[kernel.sample]])
    full = found.total["sum"] / int(good.sum())
    hot = _hot_pixels(full, sample, kernel, dead.single, settings)
    mean, maximum, sums = _without_hot(found, kernel, hot)
    sums = sums if gone is None else np.where(gone, 0.0, sums)
    not_finite, negative = found.total["invalid"]
    return Survey(
        mean.astype(np.float32),
        maximum,
        sums.reshape(scan.scan_shape),
        int(not_finite),
        int(negative),
        axes,
        (hot + crop_corner(settings)).astype(np.int32),
        odd if odd.any() else odd[:0, :0],
        _kept(dataset, settings, keep, dead.many | fringe),
        {kind: int(pixels.sum()) for kind, pixels in ({FRINGE: fringe} | dead.kinds).items() if pixels.any()},
        has_wrapped,
        offset_of(full, sample, kernel.work.out),
    )


def _some_patterns(scan: Dataset, missing: np.ndarray | None) -> np.ndarray:
    """A few patterns (p, q_y, q_x) from all over a scan: they tell what the numbers of all others are."""
    if not scan.n_patterns or scan.dtype.kind not in "buif":  # which the read says
        return np.empty((0, *scan.detector_shape), np.uint8)
    there = np.arange(scan.n_patterns) if missing is None else np.flatnonzero(~missing)
    at = there[np.unique(np.linspace(0, len(there) - 1, FEW_PATTERNS).round().astype(int))]
    return np.stack([as_counts(load(scan.data[divmod(int(i), scan.scan_shape[1])])) for i in at])


class _Dead(NamedTuple):
    """The pixels (q_y, q_x) that say nothing."""

    kinds: dict[str, np.ndarray]
    single: np.ndarray  # which are repaired
    many: np.ndarray  # which are left out

    @property
    def out(self) -> np.ndarray:
        """All that are dead."""
        return self.single | self.many


def _dead_pixels(found: PassResult, kernel: SurveyKernel, settings: PreprocessSettings) -> _Dead:
    """The dead pixels by what the first read found."""
    out, n = kernel.work.out, max(1, int((~found.per_pattern["left out"]).sum()))
    mean, kinds = found.total["sum"] / n, {}
    if settings.dead_pixels == "auto":
        lit = None if out is None else ~out
        kinds = find_dead_pixels(found.ragged["sample"], mean, found.maximum["maximum"], n, lit)
    repaired = GROUP if settings.hot_pixels != "off" else 0
    return _Dead(kinds, *few_and_many(kinds, mean.shape, out, repaired))


def _looks(found: PassResult, kernel: SurveyKernel, dead: _Dead) -> Looks:
    """The looks of the first read, without what dead pixels read."""
    looks = Looks.of(found.per_pattern["look"], found.per_pattern["sum"], dead.many.shape)
    if not dead.out.any():
        return looks
    typical = kernel.work.corrected(typical_values(found.ragged["sample"]))
    return looks.without(dead.out, typical)


def _hot_pixels(
    mean: np.ndarray, sample: np.ndarray, kernel: SurveyKernel, single: np.ndarray, settings: PreprocessSettings
) -> np.ndarray:
    """(h, 2) the pixels to repair: single dead ones, and hot ones."""
    from napari_stemnmf.preprocessing.hot_pixels import find_hot_pixels, repair

    hot = np.argwhere(single).astype(np.int32)
    if settings.hot_pixels == "off":
        return hot
    n, out = int(np.asarray(kernel.good).sum()), kernel.work.out
    mean, sample = repair(mean, hot, out), repair(sample, hot, out)
    more = find_hot_pixels(mean, settings, patterns=sample, count=n, out=out)
    return np.unique(np.concatenate([hot, more]), axis=0).astype(np.int32)


def _without_hot(found: PassResult, kernel: SurveyKernel, hot: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and maximum of the prepared patterns, and their sums (n,), with the neighbours' values at hot pixels."""
    from napari_stemnmf.preprocessing.hot_pixels import repair

    work, n = kernel.work, int(np.asarray(kernel.good).sum())
    part = "binned " if work.bin > 1 else ""
    mean, sums = found.total[part + "sum"] / n, found.per_pattern[part + "sum"]
    maximum = found.maximum[part + "maximum"]
    out = None if work.out is None else ~kept_squares(~work.out, work.bin)
    if len(hot):
        full = found.total["sum"] / n
        excess = full - repair(full, hot, work.out)
        excess = binned(excess, work.bin) if work.bin > 1 else excess
        mean = np.maximum(mean - excess, 0.0)
        sums = np.maximum(sums - excess.sum(), 0.0)
        cells = np.unique(hot // work.bin, axis=0)
        maximum = repair(maximum, cells[(cells < mean.shape).all(axis=1)], out)
    if out is not None:
        mean, maximum = np.where(out, 0.0, mean), np.where(out, np.float32(0.0), maximum)
    return mean, maximum, sums


def _kept(
    dataset: Dataset, settings: PreprocessSettings, keep: np.ndarray | None, dead: np.ndarray
) -> np.ndarray | None:
    """Which pixels of the file's detector are kept, once dead ones are left out."""
    if not dead.any():
        return keep
    keep = np.ones(dataset.detector_shape, bool) if keep is None else keep.copy()
    cropped_detector(keep, settings)[dead] = False  # a view of it
    return keep


def _check_mask(patterns: np.ndarray, keep: np.ndarray) -> None:
    """A DataError where a mask that was given keeps what is dark and little of it: it is the other way round."""
    light = np.maximum(np.nan_to_num(patterns.astype(np.float64), posinf=0.0, neginf=0.0), 0.0).sum(axis=0)
    share = float(light[keep].sum() / light.sum()) if light.any() else 1.0
    if keep.mean() < 0.5 and share < INVERTED:
        raise DataError(
            f"The mask keeps {keep.mean():.0%} of the pixels and {share:.1%} of the counts, so it seems inverted: "
            "True (not 0) is what is kept."
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
