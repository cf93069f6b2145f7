"""What a survey computes from each block of patterns, in the read of the scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.preprocessing.flyback import CELLS
from napari_stemnmf.preprocessing.looks import Looks, look
from napari_stemnmf.preprocessing.odd_patterns import evenly_bright
from napari_stemnmf.preprocessing.preparation import Preparation, binned
from napari_stemnmf.streaming.engine import BlockResult

SAMPLE_PATTERNS = 256
"""Patterns that dead and hot pixels are looked for in, beside the mean of all."""
SAMPLE_BYTES = 64 * 2**20
"""Most memory for them..."""
SAMPLE_LEAST = 8
"""... but so many in any case."""
GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole parts, fill 0 to 1 evenly: the sample falls into step with no scan."""


@dataclass(frozen=True, eq=False)
class SurveyKernel:
    """The `Kernel` of a survey: statistics of the corrected patterns and of the binned ones, a look, a raw sample.

    Statistics over patterns are of the `good` ones (n,), or where that is None, of those that are not evenly bright
    among the others of their block.
    """

    work: Preparation
    sample: np.ndarray
    good: np.ndarray | None = None
    missing: np.ndarray | None = None
    """(n,) the patterns that are not there: no number is of them."""

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        block = self.work.kept(block)
        corrected = self.work.corrected(block)
        seen = look(corrected)
        found = _statistics(corrected)
        if self.good is None:
            out = evenly_bright(Looks.of(seen, found.per_pattern["sum"], (block.shape[1], block.shape[2])))
        else:
            out = ~self.good[positions]
        if self.missing is not None:
            out = out | self.missing[positions]
        _without(found, corrected, out)
        found.per_pattern |= {"look": seen, "left out": out}
        if self.work.dark is not None:  # invalid values are those of the data, not what the dark reference made of them
            found.total["invalid"] = _statistics(block).total["invalid"]
        if self.work.bin > 1:
            squares = self.work.binned(corrected)
            coarse = _statistics(squares)
            _without(coarse, squares, out)
            found.per_pattern["binned sum"] = coarse.per_pattern["sum"]
            found.total["binned sum"] = coarse.total["sum"]
            found.maximum["binned maximum"] = coarse.maximum["maximum"]
        chosen = np.isin(positions, self.sample)
        found.ragged, found.counts = {"sample": block[chosen]}, chosen.astype(np.int64)
        return found

    def without(self, out: np.ndarray) -> SurveyKernel:
        """The same with more pixels (q_y, q_x) left out."""
        return replace(self, work=self.work.without(out))


@dataclass(frozen=True, eq=False)
class OuterKernel:
    """The `Kernel` for `flyback.Outer`: the counts of some patterns in squares of the detector."""

    work: Preparation
    chosen: np.ndarray

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        here = np.isin(positions, self.chosen)
        patterns = self.work.corrected(self.work.kept(block[here]))
        cells = binned(patterns, max(1, min(block.shape[1:]) // CELLS)).astype(np.float32)
        return BlockResult(ragged={"cells": cells}, counts=here.astype(np.int64))


def sampled_positions(dataset: Dataset) -> np.ndarray:
    """Flat positions of the patterns that dead and hot pixels are looked for in, from all over the scan."""
    pattern_bytes = int(np.prod(dataset.detector_shape)) * dataset.dtype.itemsize
    number = max(SAMPLE_LEAST, min(SAMPLE_PATTERNS, SAMPLE_BYTES // max(1, pattern_bytes)))
    n = dataset.n_patterns
    return np.arange(n) if n <= number else np.unique((np.arange(number) * GOLDEN % 1.0 * n).astype(np.int64))


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
