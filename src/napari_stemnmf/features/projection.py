"""The compiled work on raw patterns: means over sectors and variances over azimuth, sixteen patterns at a time.

Both features come from one copy of the patterns, laid out pixel by pixel with the sixteen patterns side by side
(see `simd`); only the pixels that some table needs are copied, each pattern shifted to its centre on the way (see
`polar.Centers`). Every pattern is calculated by itself, in the same order of operations, so its numbers do not depend
on its neighbours, on blocks or on threads, nor on whether there are vectors on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.compiled import njit
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.polar import Centers, Table
from napari_stemnmf.features.simd import LANES, is_available, load, multiply_add, splat, store
from napari_stemnmf.streaming.engine import as_counts

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Plan:
    """Tables that are applied together, with pixels numbered among those in use."""

    detector_shape: tuple[int, int]
    used: np.ndarray  # (u,) int32, flat detector pixels that are needed, ascending
    means: Table  # of which columns the weighted mean is taken: one tap
    variances: Table  # of which columns the variance over their samples is taken: four taps

    @classmethod
    def of(cls, detector_shape: tuple[int, int], means: Table | None, variances: Table | None) -> Plan:
        """The plan for these tables; either may be absent."""
        means = _empty(1) if means is None else means
        variances = _empty(4) if variances is None else variances
        needed = np.zeros(detector_shape[0] * detector_shape[1], bool)
        needed[means.index] = True
        needed[variances.index] = True
        number = (np.cumsum(needed) - 1).astype(np.int32)
        return cls(
            detector_shape,
            np.flatnonzero(needed).astype(np.int32),
            Table(means.start, number[means.index], means.weight, means.share),
            Table(variances.start, number[variances.index], variances.weight, variances.share),
        )


class Projection:
    """From the patterns of a scan to their features, each about its own centre.

    Patterns whose centres have the same fraction of a pixel share a plan, and are calculated together.

    Parameters
    ----------
    centers : Centers
        Of every pattern of the scan.
    tables : callable
        Gives the tables of means and of variances (or None for either) for one of the centres' geometries.
    sqrt : bool
        Take the square root of the counts first.
    """

    def __init__(
        self, centers: Centers, tables: Callable[[Geometry], tuple[Table | None, Table | None]], *, sqrt: bool = False
    ) -> None:
        self.centers = centers
        self._tables = tables
        self._sqrt = sqrt
        self._plans: dict[int, Plan] = {}

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances, (p, columns) float32 each, of patterns (p, q_y, q_x) at flat positions (p,).

        Raises as `project`.
        """
        if self.centers.choice is None or self.centers.shift is None:
            return project(block, self._plan(0), sqrt=self._sqrt)
        choice, shift = self.centers.choice[positions], self.centers.shift[positions]
        means, variances = (np.empty((len(block), columns), np.float32) for columns in self._columns())
        for k in np.unique(choice):
            which = np.flatnonzero(choice == k)
            found = project(block, self._plan(int(k)), sqrt=self._sqrt, which=which, shift=shift[which])
            means[which], variances[which] = found
        return means, variances

    def _columns(self) -> tuple[int, int]:
        plan = self._plan(0)
        return len(plan.means.share), len(plan.variances.share)

    def _plan(self, k: int) -> Plan:
        if k not in self._plans:
            geometry = self.centers.geometries[k]
            self._plans[k] = Plan.of(geometry.detector_shape, *self._tables(geometry))
        return self._plans[k]


def project(
    block: np.ndarray,
    plan: Plan,
    *,
    sqrt: bool = False,
    which: np.ndarray | None = None,
    shift: np.ndarray | None = None,
    vectors: bool | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Apply a plan to patterns (p, q_y, q_x); counts that are negative, NaN or infinite are taken as 0.

    Parameters
    ----------
    block : ndarray
        Counts; not changed.
    plan : Plan
        What to compute.
    sqrt : bool
        Take the square root of the counts first.
    which : ndarray of int, optional
        (c,) patterns of the block to apply it to; all if not given.
    shift : ndarray of int, optional
        (c,) what to add to a flat pixel index for each of them; pixels in use must stay on the detector.
    vectors : bool, optional
        Whether to take sixteen patterns at a time; if not given, wherever that compiles. The numbers are the same.

    Returns
    -------
    means, variances : ndarray of float32
        (c, columns) each; the variance has divisor n and is taken about the mean (two passes over the samples).

    Raises
    ------
    DataError
        If the patterns are not of the shape that the plan is for.
    """
    if block.shape[1:] != plan.detector_shape:
        raise DataError(f"The geometry is for {plan.detector_shape} pixels, the patterns have {block.shape[1:]}.")
    block = as_counts(block)
    short = block.dtype in (np.uint8, np.uint16) and not sqrt  # whole counts take half of the memory
    vectors = is_available() if vectors is None else vectors
    laid_out = np.empty((len(plan.used), LANES) if vectors else len(plan.used), np.uint16 if short else np.float32)
    which = np.arange(len(block)) if which is None else which
    start = which * (block.shape[1] * block.shape[2]) + (0 if shift is None else shift)
    means, variances = plan.means, plan.variances
    return (_project if vectors else _project_singly)(  # type: ignore[no-any-return]
        block.reshape(-1), start.astype(np.int64), laid_out, plan.used, sqrt,
        means.start, means.index, means.weight, variances.start, variances.index, variances.weight,
    )  # fmt: skip


def _empty(taps: int) -> Table:
    return Table(np.zeros(1, np.int64), np.empty((0, taps), np.int32), np.empty((0, taps), np.float32), np.empty(0))


def _count(value: Any) -> Any:
    """The count; negative, NaN and infinite ones as 0."""
    raise NotImplementedError  # exists in compiled code only


@overload(_count)
def _count_by_type(value: Any) -> Any:
    def unsigned(value: Any) -> Any:
        return value

    def signed(value: Any) -> Any:
        return np.float32(max(value, 0))

    def real(value: Any) -> Any:
        return np.float32(value) if value > 0.0 and value <= LARGEST else np.float32(0.0)

    if isinstance(value, types.Integer):
        return signed if getattr(value, "signed", True) else unsigned
    return real


@njit(nogil=True, cache=True)
def _project(
    values: Any, starts: Any, side_by_side: Any, used: Any, sqrt: Any,
    mean_start: Any, mean_index: Any, mean_weight: Any, var_start: Any, var_index: Any, var_weight: Any,
) -> Any:  # fmt: skip  # pragma: no cover - compiled
    n_patterns = starts.size
    n_means, n_variances = mean_start.size - 1, var_start.size - 1
    means = np.empty((n_patterns, n_means), np.float32)
    variances = np.empty((n_patterns, n_variances), np.float32)
    buffer = np.empty((_longest(var_start), LANES), np.float32)
    answer = np.empty((max(n_means, n_variances, 1), LANES), np.float32)
    for first in range(0, n_patterns, LANES):
        count = min(LANES, n_patterns - first)
        _lay_out(values, starts[first : first + count], used, sqrt, side_by_side)
        _mean(side_by_side, mean_start, mean_index, mean_weight, answer)
        for p in range(count):
            for c in range(n_means):
                means[first + p, c] = answer[c, p]
        _variance(side_by_side, var_start, var_index, var_weight, buffer, answer)
        for p in range(count):
            for c in range(n_variances):
                variances[first + p, c] = answer[c, p]
    return means, variances


@njit(nogil=True, cache=True)
def _project_singly(
    values: Any, starts: Any, pixels: Any, used: Any, sqrt: Any,
    mean_start: Any, mean_index: Any, mean_weight: Any, var_start: Any, var_index: Any, var_weight: Any,
) -> Any:  # fmt: skip  # pragma: no cover - compiled
    """As `_project`, one pattern at a time."""
    means = np.empty((starts.size, mean_start.size - 1), np.float32)
    variances = np.empty((starts.size, var_start.size - 1), np.float32)
    buffer = np.empty(_longest(var_start), np.float32)
    for p in range(starts.size):
        for k in range(used.size):
            pixels[k] = _count(values[np.uint64(starts[p] + used[k])])
        if sqrt:
            _take_square_roots(pixels)
        _mean(pixels, mean_start, mean_index, mean_weight, means[p])
        _variance(pixels, var_start, var_index, var_weight, buffer, variances[p])
    return means, variances


@njit(nogil=True, cache=True)
def _longest(start: Any) -> Any:  # pragma: no cover - compiled
    """Entries of the longest segment, at least 1."""
    longest = 1
    for c in range(start.size - 1):
        longest = max(longest, start[c + 1] - start[c])
    return longest


@njit(nogil=True, cache=True)
def _take_square_roots(flat: Any) -> None:  # pragma: no cover - compiled
    for k in range(flat.size):
        flat[k] = np.sqrt(np.float32(flat[k]))


@njit(nogil=True, cache=True)
def _lay_out(values: Any, starts: Any, used: Any, sqrt: Any, out: Any) -> None:  # pragma: no cover
    """Copy the pixels in use of up to sixteen patterns to `out` (u, 16), four at a time; other lanes are left as is."""
    lane = np.empty(LANES, np.int64)
    for p in range(LANES):
        lane[p] = starts[min(p, starts.size - 1)]
    fours = (starts.size + 3) // 4
    for k in range(used.size):
        i = used[k]
        for four in range(fours):
            for p in range(4 * four, 4 * four + 4):
                out[k, p] = _count(values[np.uint64(lane[p] + i)])  # unsigned: never counted from the end
    if sqrt:
        _take_square_roots(out.reshape(-1))


@njit(nogil=True, cache=True)
def _mean(values: Any, start: Any, index: Any, weight: Any, out: Any) -> None:  # pragma: no cover
    """Weighted sum of each segment; four running sums, so that they do not wait for each other."""
    for c in range(start.size - 1):
        zero = splat(np.float32(0.0), out)
        s0, s1, s2, s3 = zero, zero, zero, zero
        begin, end = start[c], start[c + 1]
        for k in range(begin, end - 3, 4):
            s0 = multiply_add(splat(weight[k, 0], out), load(values, index[k, 0]), s0)
            s1 = multiply_add(splat(weight[k + 1, 0], out), load(values, index[k + 1, 0]), s1)
            s2 = multiply_add(splat(weight[k + 2, 0], out), load(values, index[k + 2, 0]), s2)
            s3 = multiply_add(splat(weight[k + 3, 0], out), load(values, index[k + 3, 0]), s3)
        for k in range(end - (end - begin) % 4, end):
            s0 = multiply_add(splat(weight[k, 0], out), load(values, index[k, 0]), s0)
        store(out, c, (s0 + s1) + (s2 + s3))


@njit(nogil=True, cache=True)
def _variance(values: Any, start: Any, index: Any, weight: Any, buffer: Any, out: Any) -> None:  # pragma: no cover
    """Variance of the samples of each segment: sum of squares about the mean, less what rounding moved the mean."""
    for c in range(start.size - 1):
        begin, n = start[c], start[c + 1] - start[c]
        share = splat(np.float32(1.0) / np.float32(max(n, 1)), out)
        zero = splat(np.float32(0.0), out)
        mean = zero
        for k in range(n):
            e = begin + k
            sample = splat(weight[e, 0], out) * load(values, index[e, 0])
            sample = multiply_add(splat(weight[e, 1], out), load(values, index[e, 1]), sample)
            sample = multiply_add(splat(weight[e, 2], out), load(values, index[e, 2]), sample)
            sample = multiply_add(splat(weight[e, 3], out), load(values, index[e, 3]), sample)
            store(buffer, k, sample)
            mean = mean + sample
        mean = mean * share
        q0, q1, d0, d1 = zero, zero, zero, zero
        for k in range(0, n - 1, 2):
            a = load(buffer, k) - mean
            b = load(buffer, k + 1) - mean
            q0, q1 = multiply_add(a, a, q0), multiply_add(b, b, q1)
            d0, d1 = d0 + a, d1 + b
        if n % 2:
            a = load(buffer, n - 1) - mean
            q0, d0 = multiply_add(a, a, q0), d0 + a
        moved = (d0 + d1) * share
        store(out, c, (q0 + q1) * share - moved * moved)
