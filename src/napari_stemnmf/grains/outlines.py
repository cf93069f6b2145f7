"""Outlines of grains from the dark fields of their spots.

Dark fields are linear in what each place diffracts, blurred over the scan, so the blur is undone on their mean, before
its root, which goes about with thickness, is cut. One rule for all: at about half of the mean inside. A grain of few
positions has its true size then, and not that of the blur; a large one is what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import stacked
from napari_stemnmf.clustering.footprints import EIGHT_NEIGHBOURS, SMOOTH
from napari_stemnmf.clustering.grouping import STRONG, Groups
from napari_stemnmf.control import Control
from napari_stemnmf.grains.scan_blur import blurring, deblurred
from napari_stemnmf.grains.seams import Borders

BRIGHTEST = 4
"""Positions whose mean is the height of a map: one alone is noisy."""
SHARED = 0.5
"""Of a group's tracks by weight: where fewer have a dark field, the missing ones count as dark."""
SEVERAL, FOREIGN = 4, 2.0
"""From so many tracks on, a dark field counts for no more than so many times their median: what is above is a spot of
another grain at the same place of the detector."""
ROUNDS, EXACT = 60, 0.005
"""Most rounds of deblurring, and the error of the model, of the brightest, below which no fit is asked for."""
START, STEPS, STEADY = 0.5, 30, 1e-3
"""First level, of the height; most steps to the level, and where they end."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outline of each group of tracks.

    Attributes
    ----------
    inside : csr_array of float32
        (groups, n) 1 where the grain is: one region without holes; an empty row where there is none.
    maps : csr_array of float32
        (groups, n) root of the deblurred mean of the group's dark fields, over its height; within and near the grain.
    blur : float
        Standard deviation of the blur that was undone, positions.
    borders : Borders
        Of the scan, over which nothing is blurred.
    """

    inside: csr_array
    maps: csr_array
    blur: float
    borders: Borders


def outlines(
    groups: Groups,
    fields: csr_array,
    sigma: csr_array,
    blur: float,
    level: float = 0.5,
    *,
    borders: Borders | None = None,
    control: Control | None = None,
) -> Outlines:
    """The outline of each group.

    Parameters
    ----------
    groups : Groups
    fields, sigma : csr_array
        (tracks, n) dark fields and their standard errors, counts, with the same stored places.
    blur : float
        Of the scan, positions, as `scan_blur` finds it.
    level : float
        Where a map is cut, over its mean inside: the middle of an edge is a half, and edges of grains are thin.
    borders : Borders
        Where the scan has seams; without, it has none.
    control : Control
        Checked for a cancel before each group.
    """
    control = Control() if control is None else control
    borders = Borders.of(groups.scan_shape) if borders is None else borders
    columns = groups.scan_shape[1]
    inside: list[tuple[np.ndarray, np.ndarray]] = []
    maps: list[tuple[np.ndarray, np.ndarray]] = []
    by_group = np.argsort(groups.group, kind="stable")
    ends = np.searchsorted(groups.group[by_group], np.arange(groups.k + 1))
    for first, last in pairwise(ends):
        control.check()
        top, left, root = group_map(by_group[first:last], groups, fields, sigma, blur, borders)
        mask = half_height(root, level)
        for kept, found, values in ((inside, mask, mask), (maps, root > 0, root)):
            y, x = np.nonzero(found)
            kept.append(((y + top) * columns + x + left, values[found].astype(np.float32)))
    shape = groups.k, int(np.prod(groups.scan_shape))
    return Outlines(stacked(inside, shape), stacked(maps, shape), blur, borders)


def group_map(
    tracks: np.ndarray, groups: Groups, fields: csr_array, sigma: csr_array, blur: float, borders: Borders
) -> tuple[int, int, np.ndarray]:
    """First row and column of a crop, and on it the root of the deblurred mean of dark fields, over its height."""
    rows, columns = groups.scan_shape
    own = [slice(fields.indptr[t], fields.indptr[t + 1]) for t in tracks]
    at = np.concatenate([fields.indices[o] for o in own])
    y, x = np.divmod(at, columns)
    pad = int(np.ceil(3 * blur))
    top, left = max(int(y.min()) - pad, 0), max(int(x.min()) - pad, 0)
    shape = min(int(y.max()) + pad + 1, rows) - top, min(int(x.max()) + pad + 1, columns) - left
    weight = np.minimum(groups.snr[tracks], STRONG).astype(np.float32)
    weight /= weight.sum()
    values, errors = np.zeros((2, len(tracks), *shape), np.float32)
    known = np.zeros(shape, np.float32)
    for n, o in enumerate(own):
        y, x = np.divmod(fields.indices[o], columns)
        place = n, y - top, x - left
        values[place] = fields.data[o]
        errors[place] = np.where(sigma.data[o] < 1e20, sigma.data[o], 0.0)  # not measured: dark
        most = max(height(ndimage.gaussian_filter(values[n], SMOOTH)), 1e-6)
        values[n] /= most
        errors[n] /= most
        known[place[1:]] += weight[n]
    if len(tracks) >= SEVERAL:
        np.minimum(values, FOREIGN * np.maximum(_median(values, weight), 0) + 2 * errors, out=values)
    known = np.maximum(known, SHARED)
    mean = np.tensordot(weight, values, 1).astype(np.float64) / known
    error = np.sqrt(np.tensordot(weight**2, errors**2, 1)).astype(np.float64) / known + EXACT * mean.max()
    if blur > 0:
        along_y, along_x = blurring(top, shape[0], borders.rows, blur), blurring(left, shape[1], borders.columns, blur)
        mean = deblurred(mean, error, along_y, along_x, ROUNDS)
    return top, left, np.sqrt(np.maximum(mean, 0) / max(height(mean), 1e-30))


def _median(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weighted median along the first axis of (tracks, y, x)."""
    order = np.argsort(values, axis=0)
    half = (np.cumsum(weight[order], axis=0) < 0.5 * weight.sum()).sum(axis=0)
    at = np.take_along_axis(order, np.minimum(half, len(values) - 1)[None], axis=0)
    return np.asarray(np.take_along_axis(values, at, axis=0)[0])


def height(values: np.ndarray) -> float:
    """Mean of the brightest positions of a map."""
    count = min(BRIGHTEST, values.size)
    return float(np.partition(values.ravel(), -count)[-count:].mean()) if count else 0.0


def half_height(root: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Where a map (y, x) of height 1 is above a share of its mean there: the largest region, its holes filled."""
    level = START
    for _ in range(STEPS):
        mask = largest(root > level)
        if not mask.any():
            return mask
        again = (level + share * float(root[mask].mean())) / 2
        if abs(again - level) < STEADY:
            break
        level = again
    return mask


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest region of a mask (y, x), the first of several, its holes filled."""
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    if count > 1:
        mask = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return np.asarray(ndimage.binary_fill_holes(mask))
