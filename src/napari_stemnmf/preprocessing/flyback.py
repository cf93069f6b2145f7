"""Flyback: the first or last columns and rows of a scan that were recorded while the beam moved.

They are far brighter or darker than those beside them, or lie elsewhere on the detector; or their patterns are of no
place: unlike all that are beside them, and unlike each other.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from napari_stemnmf.preprocessing.looks import Looks
from napari_stemnmf.stage_settings import PreprocessSettings

FEWEST = 9
"""A scan of fewer patterns, or lines, tells nothing of what is usual."""
EDGE = 2
"""Columns or rows at either end of the scan that are looked at for flyback."""
JUMP = 3.0
"""A flyback column is so many times as bright as the next one, or as dark..."""
MOVED = 3.0
"""... or its patterns lie so many px away from those of the next one..."""
SHARE = 0.65
"""... in this share of its rows, as no two other columns are."""
CELLS = 16
"""A pattern is compared with others by its counts in about so many squares along each axis of the detector."""
DEPTH, MOST_LINES = 8, 4
"""So many lines at each end of the scan are compared with those beside them; up to so many of them are flyback."""
ALIKE = 0.3
"""Patterns usually correlate at least that much with their neighbours, or nothing is told."""
UNLIKE, OFTEN = 3.0, 75.0
"""Unlike its neighbours is a pattern that lacks so many times what this percentage of others lack to be alike..."""
SIGNAL = 5.0
"""... and differs from the usual pattern by so many times the noise: vacuum is like nothing but for its noise."""
MANY = 0.6
"""A line is scrambled if so many of its patterns are unlike."""


class Outer(NamedTuple):
    """What patterns near the edge of the scan hold."""

    positions: np.ndarray  # (k,) flat and ascending
    cells: np.ndarray  # (k, rows, columns) counts in squares of the detector


def outer_positions(scan_shape: tuple[int, int]) -> np.ndarray:
    """Flat positions of the patterns that are compared with their neighbours; empty for a small scan."""
    outer = np.zeros(scan_shape, bool)
    for lines in (outer, outer.T):
        if min(outer.shape) >= MOST_LINES + DEPTH:
            lines[:DEPTH] = lines[-DEPTH:] = True
    return np.flatnonzero(outer)


def scrambled_lines(outer: Outer, scan_shape: tuple[int, int], settings: PreprocessSettings) -> np.ndarray:
    """(scan_y, scan_x) the first or last columns and rows whose patterns are unlike all that are beside them."""
    found = np.zeros(scan_shape, bool)
    if not len(outer.positions):
        return found
    shares = outer.cells.reshape(len(outer.cells), -1).astype(np.float64)
    total = np.maximum(shares.sum(axis=1, keepdims=True), 1e-30)
    shares = (shares / total - np.median(shares / total, axis=0)) * np.sqrt(total)  # with noise that is alike in all
    where = np.full(scan_shape, -1)
    where.ravel()[outer.positions] = np.arange(len(shares))
    for span, index, lines in (
        (settings.flyback_rows, where, found),
        (settings.flyback_columns, where.T, found.T),
    ):
        if span is None:
            lines[: _scrambled(shares[index[:DEPTH]])] = True
            lines[len(lines) - _scrambled(shares[index[::-1][:DEPTH]]) :] = True
    return found


def _scrambled(lines: np.ndarray) -> int:
    """How many of the outermost lines (DEPTH, positions, cells), the first outermost, are scrambled."""
    power = (lines[:-1] ** 2).sum(axis=2)
    lines = lines / np.maximum(np.linalg.norm(lines, axis=2, keepdims=True), 1e-30)
    alike = np.array(
        [
            np.maximum(_most_alike(line, inner, (-1, 0, 1)), _most_alike(line, line, (-1, 1)))
            for line, inner in pairwise(lines)
        ]
    )
    usual = float(np.median(alike[MOST_LINES:]))
    if usual < ALIKE:
        return 0
    lack = 1.0 - alike
    noise = float(np.percentile((power * lack)[MOST_LINES:], OFTEN))
    limit = UNLIKE * float(np.percentile(lack[MOST_LINES:], OFTEN))
    unlike = ((lack > limit) & (power > SIGNAL * noise)).mean(axis=1) >= MANY
    return 0 if unlike[MOST_LINES:].any() else int(np.argmin(np.append(unlike[:MOST_LINES], False)))


def _most_alike(line: np.ndarray, other: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """The best correlation (positions,) of each pattern of a line with those of another, so many steps along it."""
    best = np.full(len(line), -1.0)
    for step in steps:
        here, there = slice(max(0, -step), len(line) - max(0, step)), slice(max(0, step), len(line) + min(0, step))
        best[here] = np.maximum(best[here], np.einsum("pc,pc->p", line[here], other[there]))
    return best


def lines_that_are_set(scan_shape: tuple[int, int], settings: PreprocessSettings) -> np.ndarray:
    """(scan_y, scan_x) the flyback that is set."""
    found = np.zeros(scan_shape, bool)
    for span, lines in ((settings.flyback_rows, found), (settings.flyback_columns, found.T)):
        first, last = span or (0, 0)
        lines[:first] = True
        lines[max(len(lines) - last, 0) :] = True
    return found


def jumping_lines(looks: Looks, scan_shape: tuple[int, int], settings: PreprocessSettings) -> np.ndarray:
    """(scan_y, scan_x) the first or last columns and rows whose patterns jump against all others."""
    found = np.zeros(scan_shape, bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        light = np.log(looks.total)
    light[~np.isfinite(light)] = np.nan
    maps = [part.reshape(scan_shape) for part in (light, *looks.centres)]
    for span, turned in ((settings.flyback_rows, False), (settings.flyback_columns, True)):
        if span is not None:
            continue
        along = [part.T if turned else part for part in maps]  # lines are rows now
        lines = found.T if turned else found
        if min(lines.shape) < FEWEST:
            continue
        bright = _jumps(along[0][..., None], np.log(JUMP))
        moved = _jumps(np.stack(along[1:], axis=-1), MOVED)
        for jumps in (bright, moved):
            for many in range(1, EDGE + 1):
                if jumps[many - 1]:
                    lines[:many] = True
                if jumps[-many]:
                    lines[-many:] = True
    return found


def _jumps(values: np.ndarray, least: float) -> np.ndarray:
    """Between which lines (lines, positions, parts) nearly all values jump, by `least` and as between no others.

    Returns (lines - 1,).
    """
    with np.errstate(invalid="ignore"):
        step = np.diff(values.astype(np.float64), axis=0)
    seen = np.asarray(np.isfinite(step).all(axis=-1))
    usual = np.zeros((len(step), step.shape[-1]))
    for line in np.flatnonzero(seen.any(axis=1)):
        usual[line] = np.median(step[line, seen[line]], axis=0)
    step[~seen] = 0.0
    size = np.linalg.norm(usual, axis=-1)
    along = usual / np.maximum(size, 1e-12)[:, None]
    there = (np.einsum("lpk,lk->lp", step, along) > 0.5 * size[:, None]) & seen
    inner = size[EDGE:-EDGE].max(initial=0.0)
    return np.asarray((size > least) & (size > 3.0 * inner) & (there.mean(axis=1) >= SHARE))
