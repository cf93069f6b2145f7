"""Patterns that are none of the specimen: blank, not finite, evenly bright, saturated, or of the flyback.

Each pattern is looked at by itself while the scan is surveyed (`look`), on a grid of small tiles, so that neither hot
pixels nor Bragg disks matter. What is odd is judged once all were seen (`judge`), by comparison with the others. A
pattern of vacuum, of a thick grain or of a rare one has structure, and is like its neighbours: it is never odd.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_stemnmf.preprocessing.flyback import FEWEST, Outer, jumping_lines, lines_that_are_set, scrambled_lines
from napari_stemnmf.preprocessing.looks import Looks
from napari_stemnmf.stage_settings import PreprocessSettings

REASONS = ("", "not finite", "empty", "saturated", "evenly bright", "unlike all neighbours", "flyback", "missing")
"""What the codes of an odd pattern mean; 0 is a good one."""
NOT_FINITE, EMPTY, SATURATED, EVEN, ALONE, FLYBACK, MISSING = range(1, 8)

MANY = 0.5
"""Share of the pixels that are not finite or saturated, above which a pattern is odd if most patterns have few."""
NEARLY, VACUUM = 0.02, 0.25
"""None is odd for being empty where half as many have under 2 % of the counts of others, or a quarter are empty."""
BRIGHT = 3.0
"""An evenly bright pattern has so many times the level of half of all patterns."""
FLAT = 0.2
"""The middle half of its tiles differs by no more than this share of the level, and NOISE standard deviations."""
STRUCTURE = 3.0
"""Where they usually differ by so many times as much, patterns have structure."""
NOISE = 2.0
LEAST_COUNTS = 50.0
"""Counts of a tile from which its noise allows to say so."""
TIMES = 6.0
"""A single pattern is so many times as bright as its neighbours, or that much darker squared, to be odd."""
NEIGHBOURS = 2
"""The second of the 24 around it counts: two patterns side by side may be odd, three are a grain."""
STEADY = 3.0
"""Counts hardly differ where nearly all are within this factor."""
DARK = 0.1
"""A pattern is not dark where those around it have less than this share of the usual counts: vacuum behind a stop."""


def evenly_bright(looks: Looks) -> np.ndarray:
    """(n,) whether a pattern shows no structure, at a level far above that of half of the patterns.

    Where patterns usually have structure, one without is odd at their level already.
    """
    level, spread = looks.level, looks.spread
    if not len(level):
        return np.zeros(0, bool)
    usual = float(np.median(level))
    noise = np.where(level * looks.side**2 >= LEAST_COUNTS, NOISE * np.sqrt(level) / looks.side, 0.0)
    even = spread <= FLAT * level + noise
    structured = np.median(spread) > STRUCTURE * FLAT * usual
    bright = level > BRIGHT * usual
    as_bright = (level > usual) & (spread <= FLAT * level) & (looks.total >= 0.5 * np.median(looks.total))
    return np.asarray(even & (bright | (as_bright & structured)))


def judge(
    looks: Looks, scan_shape: tuple[int, int], settings: PreprocessSettings, outer: Outer | None = None
) -> np.ndarray:
    """Why each pattern is odd: (scan_y, scan_x) uint8 codes, of which `REASONS` says what they mean; 0: it is not.

    Where all patterns would be odd, none is. Without the `outer` patterns, flyback tells by brightness and place alone.
    """
    odd = np.zeros(scan_shape, np.uint8)
    if settings.odd_patterns == "auto":
        odd[_alone(looks, scan_shape)] = ALONE
        odd[jumping_lines(looks, scan_shape, settings)] = FLYBACK
        if outer is not None:
            odd[scrambled_lines(outer, scan_shape, settings)] = FLYBACK
        by_itself = judge_alone(looks).reshape(scan_shape)  # the plainest reason last: that is the one that is told
        odd[by_itself > 0] = by_itself[by_itself > 0]
    odd[lines_that_are_set(scan_shape, settings)] = FLYBACK
    return odd if (odd == 0).any() else np.zeros_like(odd)


def judge_alone(looks: Looks) -> np.ndarray:
    """(n,) uint8, as `judge`, of patterns from anywhere: what tells without their neighbours."""
    odd = np.zeros(len(looks.total), np.uint8)
    if len(odd) >= FEWEST:
        odd[evenly_bright(looks)] = EVEN
        odd[_unusual(looks.full)] = SATURATED
    odd[_empty(looks.total)] = EMPTY
    odd[_unusual(looks.invalid)] = NOT_FINITE
    return odd


def _empty(total: np.ndarray) -> np.ndarray:
    """Patterns without a count, unless vacuum has none or next to none here: behind a beam stop, or without noise."""
    empty = total <= 0.0
    nearly = ~empty & (total <= NEARLY * np.quantile(total, 0.75)) if len(total) else empty
    return empty & (nearly.sum() < 0.5 * empty.sum()) & (empty.mean() <= VACUUM if len(total) else True)


def _unusual(share: np.ndarray) -> np.ndarray:
    """Where most pixels are bad, if that is not usual."""
    return np.asarray((share >= MANY) & (np.median(share) < 0.5 * MANY))


def _alone(looks: Looks, scan_shape: tuple[int, int]) -> np.ndarray:
    """Single patterns (scan_y, scan_x) far brighter at all pixels, or far darker, than nearly all around them.

    Where the counts of patterns hardly differ over the scan, as they do behind a beam stop, those count as well.
    """
    around, most = _around(scan_shape)
    if around is None:
        return np.zeros(scan_shape, bool)
    level, total = looks.level.reshape(scan_shape), looks.total.reshape(scan_shape)

    def brighter(values: np.ndarray) -> np.ndarray:
        return values > TIMES * ndimage.rank_filter(values, -most, footprint=around, mode="constant", cval=-np.inf)

    low, middle, high = np.quantile(total, (0.05, 0.5, 0.95))
    bright = (level * looks.side**2 >= LEAST_COUNTS) & brighter(level)
    if high <= STEADY * low:
        bright |= brighter(total)
    dark = ndimage.rank_filter(total, most - 1, footprint=around, mode="constant", cval=np.inf)
    dark[~(np.isfinite(dark) & (dark > DARK * middle))] = 0.0
    return np.asarray(bright | (total * TIMES**2 < dark))


def _around(scan_shape: tuple[int, int]) -> tuple[np.ndarray | None, int]:
    """The neighbours of a position, and how many of them may be odd as well."""
    if min(scan_shape) >= 5:
        around, most = np.ones((5, 5), bool), NEIGHBOURS
    elif max(scan_shape) >= FEWEST and min(scan_shape) == 1:
        around, most = np.ones((1, FEWEST), bool), NEIGHBOURS
        around = around if scan_shape[0] == 1 else around.T
    else:
        return None, 0
    around[tuple(n // 2 for n in around.shape)] = False
    return around, most


def counted(odd: np.ndarray) -> str:
    """How many patterns are odd, by reason, as in "2 of 400 patterns are odd (2 empty)"; "" where none is."""
    counts = [(int((odd == code).sum()), reason) for code, reason in enumerate(REASONS) if code]
    told = ", ".join(f"{count} {reason}" for count, reason in counts if count)
    number = int((odd > 0).sum())
    return f"{number} of {odd.size} patterns {'is' if number == 1 else 'are'} odd ({told})" if number else ""


def sentence(odd: np.ndarray) -> str:
    """What was set aside, counted by reason, in one sentence; "" where nothing was."""
    if not odd.any():
        return ""
    keep = " To keep them, set preprocess.odd_patterns to off." if (odd[odd > 0] != MISSING).any() else ""
    return f"{counted(odd)} and set aside: no grain is there, and no number is of them.{keep}"
