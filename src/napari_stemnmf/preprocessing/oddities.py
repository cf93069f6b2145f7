"""What is odd about a scan, in sentences, from a look at it that takes seconds: before a run is paid for.

`CHECKS` is the list of what is looked at: a check takes a `Sample` and yields sentences. To add one, add its function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.preprocessing import camera_offset
from napari_stemnmf.preprocessing.camera_offset import offset_of
from napari_stemnmf.preprocessing.dead_pixels import (
    FRINGE,
    WORDS,
    few_and_many,
    find_dead_pixels,
    typical_values,
    unlike_edges,
)
from napari_stemnmf.preprocessing.looks import Looks, look
from napari_stemnmf.preprocessing.odd_patterns import counted, judge, judge_alone
from napari_stemnmf.preprocessing.scan_order import sentence, winds
from napari_stemnmf.preprocessing.wrapped import SENTENCE, wrapped
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.streaming.engine import Block, as_counts, blocks, load

SECONDS = 3.0
"""A look at a large scan ends after so long..."""
MOST_BYTES = 512 * 2**20
"""... or when so much was read; a scan up to WHOLE_BYTES is read whole."""
WHOLE_BYTES = 64 * 2**20
KEPT_BYTES = 64 * 2**20
"""Most memory for patterns that are kept to look at their pixels, evenly from all that was read."""

FEW_PATTERNS = 12
"""So many are enough to see what their numbers are."""
MOST_UNREAD = 3
"""Parts that cannot be read, after which no others are tried."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Patterns from all over a scan.

    Attributes
    ----------
    dataset : Dataset
    looks : Looks
        Of every pattern that was read.
    patterns : ndarray
        (p, q_y, q_x) counts of some of them.
    whole : bool
        Whether the whole scan was read; `looks` are in its order then.
    not_finite, negative : float
        Shares of the values that were read.
    unread : list of str
        Why parts of the scan could not be read.
    """

    dataset: Dataset
    looks: Looks
    patterns: np.ndarray
    whole: bool
    not_finite: float = 0.0
    negative: float = 0.0
    unread: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Patterns that were read."""
        return len(self.looks.total)


def oddities(dataset: Dataset, *, seconds: float = SECONDS) -> tuple[str, ...]:
    """What is odd about a scan, a sentence each, beside what `units.notes_of` says of its axes; empty where nothing is.

    A scan of up to 64 MiB is read whole. Of a larger one blocks from all over it are read for so many `seconds`, and
    the last sentence says how much was seen.
    """
    sample = take_sample(dataset, seconds=seconds)
    checks = CHECKS if sample.number else CHECKS[:OF_THE_FILE]
    found = [sentence for check in checks for sentence in check(sample)]
    if not sample.whole and sample.number:
        found.append(f"This is of a sample: {sample.number} of {dataset.n_patterns} patterns were looked at.")
    return tuple(found)


def take_sample(dataset: Dataset, *, seconds: float = SECONDS) -> Sample:
    """Read blocks of a scan, coarse to fine, until time or bytes are spent; all of a small scan, in its order."""
    from napari_stemnmf.streaming.summing import statistics

    whole = dataset.nbytes <= WHOLE_BYTES
    parts = blocks(dataset)
    if not whole:
        parts = [parts[i] for i in _coarse_to_fine(len(parts))]
    start, spent = time.perf_counter(), 0
    keep = max(1, dataset.nbytes // KEPT_BYTES) if whole else max(1, min(dataset.nbytes, MOST_BYTES) // KEPT_BYTES)
    table, total, kept, unread = [], [], [], []
    positions: list[np.ndarray] = []
    invalid = np.zeros(2)
    for part in parts:
        try:
            patterns = _read(dataset, part)
        except Exception as error:  # whatever a source raises
            unread.append(f"The {part} cannot be read: {str(error).rstrip('.')}.")
            if len(unread) == MOST_UNREAD:
                break
            continue
        _, _, sums, wrong = statistics(patterns.reshape(len(patterns), -1))
        table.append(look(patterns))
        total.append(sums)
        kept.append(patterns[::keep])
        positions.append(part.positions(dataset.scan_shape[1]))
        invalid += wrong
        spent += patterns.nbytes
        if not whole and (time.perf_counter() - start > seconds or spent > MOST_BYTES):
            break
    if not table:
        nothing = np.empty((0, *dataset.detector_shape), np.float32)
        return Sample(
            dataset, Looks.of(np.empty((0, 7)), np.empty(0), dataset.detector_shape), nothing, False, 0, 0, unread
        )
    order = np.argsort(np.concatenate(positions), kind="stable")
    looks = Looks.of(np.concatenate(table)[order], np.concatenate(total)[order], dataset.detector_shape)
    values = len(order) * int(np.prod(dataset.detector_shape))
    every = len(order) == dataset.n_patterns
    return Sample(dataset, looks, np.concatenate(kept), every, invalid[0] / values, invalid[1] / values, unread)


def _read(dataset: Dataset, part: Block) -> np.ndarray:
    patterns = load(dataset.data[part.y0 : part.y1, part.x0 : part.x1])
    return as_counts(patterns.reshape(-1, *dataset.detector_shape))


def _coarse_to_fine(count: int) -> list[int]:
    """0 to count - 1, so that the first of them are spread evenly, the first and the last one early."""
    step = 1 << max(count - 1, 1).bit_length()
    order: dict[int, None] = {0: None, count - 1: None}
    while step >= 1:
        order |= dict.fromkeys(range(0, count, step))
        step //= 2
    return list(order)


# ---- what is looked at


def _unreadable(sample: Sample) -> Iterator[str]:
    yield from sample.unread


def _shape(sample: Sample) -> Iterator[str]:
    rows, columns = sample.dataset.scan_shape
    if rows * columns == 1:
        yield "There is one pattern only: grains need a scan."
    elif min(rows, columns) == 1:
        yield f"This is a line scan, of {rows} x {columns} positions: a grain is a stretch of it."


def _calibration(sample: Sample) -> Iterator[str]:
    """Scales that are not in the file; what is odd about those that are is told by `units.notes_of`."""
    y, x = scan = sample.dataset.axes[:2]
    parts = (("scan step", scan), ("size of a detector pixel", sample.dataset.axes[2:]))
    assumed = [name for name, axes in parts if all(axis.assumed for axis in axes)]
    if assumed:
        verb = "is" if len(assumed) == 1 else "are"
        yield f"The {' and the '.join(assumed)} {verb} not in the file: 1 px is assumed."
    if not (y.assumed or x.assumed) and not np.isclose(abs(y.scale), abs(x.scale), rtol=1e-3):
        yield f"Steps of the scan are not square: {abs(y.scale):.4g} {y.unit} (y) x {abs(x.scale):.4g} {x.unit} (x)."


def _values(sample: Sample) -> Iterator[str]:
    if not sample.looks.total.any():
        what = "No value is above 0" if sample.not_finite < 1.0 else "Every value is NaN or infinite"
        yield f"{what}: there is nothing to measure."
    elif sample.not_finite:
        yield f"{_share(sample.not_finite)} of the values are NaN or infinite; they count as 0."
    if sample.negative:
        yield f"{_share(sample.negative)} of the values are negative; they count as 0."


def _order(sample: Sample) -> Iterator[str]:
    if sample.whole and winds([sample.looks.total.reshape(sample.dataset.scan_shape)]):
        yield sentence("rows")


def _wrapped(sample: Sample) -> Iterator[str]:
    if wrapped(_few(sample)):
        yield SENTENCE


def _offset(sample: Sample) -> Iterator[str]:
    patterns = sample.patterns
    if not len(patterns) or wrapped(_few(sample)):
        return
    mean = np.maximum(np.nan_to_num(patterns), 0).mean(axis=0, dtype=np.float64)
    if offset := offset_of(mean, patterns, _dead(sample)):
        yield camera_offset.sentence(offset)


def _few(sample: Sample) -> np.ndarray:
    """Some of the patterns, from all over the scan."""
    return sample.patterns[:: max(1, len(sample.patterns) // FEW_PATTERNS)]


def _patterns(sample: Sample) -> Iterator[str]:
    if not sample.looks.total.any() or wrapped(_few(sample)) or unlike_edges(_few(sample)).any():
        return  # what was read are no counts as they are
    looks, dead = sample.looks, _dead(sample)
    if dead.any():
        looks = looks.without(dead, typical_values(sample.patterns))
    odd = judge(looks, sample.dataset.scan_shape, PreprocessSettings()) if sample.whole else judge_alone(looks)
    if odd.any():
        yield f"{counted(odd)}; a run sets {'it' if (odd > 0).sum() == 1 else 'them'} aside."


def _dead_pixels(sample: Sample) -> Iterator[str]:
    for kind, pixels in _odd_pixels(sample).items():
        if kind in WORDS:
            share = f"{_share(float(pixels.mean()))} of the detector"
            yield f"{int(pixels.sum()):,} detector pixels ({share}) {WORDS[kind]}; a run takes them for dead."


def _odd_pixels(sample: Sample) -> dict[str, np.ndarray]:
    patterns = sample.patterns
    if not len(patterns) or not sample.looks.total.any():
        return {}
    fringe = unlike_edges(_few(sample))
    counts = np.where(np.abs(patterns) <= np.finfo(np.float32).max, np.maximum(patterns, 0), 0)
    dead = find_dead_pixels(patterns, counts.mean(axis=0, dtype=np.float64), counts.max(axis=0), len(patterns), ~fringe)
    return dead | ({FRINGE: fringe} if fringe.any() else {})


def _dead(sample: Sample) -> np.ndarray:
    """(q_y, q_x) the pixels that are dead."""
    return few_and_many(_odd_pixels(sample), sample.patterns.shape[1:], None, 0)[1]


def _saturated(sample: Sample) -> Iterator[str]:
    """Patterns with a pixel at the type's largest value, but for those that are odd."""
    if sample.dataset.dtype.kind not in "iu":
        return
    full = ((sample.patterns == np.iinfo(sample.patterns.dtype).max) & ~_dead(sample)).any(axis=(1, 2))
    share = float(full.mean())
    if share > 0.01:
        yield f"{_share(share)} of the patterns have pixels at the largest value of {sample.dataset.dtype.name}."


def _share(share: float) -> str:
    percent = 100.0 * share
    return f"{percent:.0f} %" if percent >= 9.5 else f"{percent:.2g} %" if percent >= 0.01 else "under 0.01 %"


OF_THE_FILE = 3
"""The first so many look at no pattern."""
CHECKS: tuple[Callable[[Sample], Iterable[str]], ...] = (
    _unreadable,
    _shape,
    _calibration,
    _values,
    _order,
    _wrapped,
    _offset,
    _patterns,
    _dead_pixels,
    _saturated,
)
"""What is looked at, in the order in which it is told."""
