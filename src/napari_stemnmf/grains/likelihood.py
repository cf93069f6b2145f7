"""How likely it is that a grain found from tracked spots is right, and in words what speaks against it.

Right means that its outline and that of a true grain share more than half of what they cover together. Five numbers
tell, each free of scan step, detector and dose: how many spots, how bright, how large beside the blur, how
well one shape explains all its dark fields, and how much of them other grains' beams may have given by diffracting one
another. A plain logistic of them, fitted on simulated films (`benchmarks/likelihood.py` makes it anew).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import Crop, row
from napari_stemnmf.clustering.footprints import EIGHT_NEIGHBOURS
from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.clustering.linkage import overlap_ratio
from napari_stemnmf.grains.outlines import Outlines
from napari_stemnmf.grains.scan_blur import blurring

NAMES = ("spots", "bright", "resolved", "misfit", "double")
"""Of the terms, in the order of the coefficients."""
INTERCEPT, COEFFICIENTS = -5.23, (3.34, 1.15, 3.28, -1.97, -0.95)
"""Of the logistic; fitted on kinematic films of seeds 101 to 105 and the three multislice films."""
TYPICAL = (1.79, -3.00, -0.22, -2.98, -4.02)
"""Median of each term among the right ones of these."""
AROUND = 2
"""Positions around an outline where its shape is held against the dark fields."""
EXACT = 0.01
"""Share of a dark field that no shape is asked to explain."""
DOUBTFUL = 0.9
"""A likelihood below which a reason is given."""
WITHIN, LIKE = 0.8, 0.4
"""Share of a grain that another covers, and their IoU, from which it is said to lie in it, and to share its outline."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What tells for and against each group, (groups,) arrays.

    Attributes
    ----------
    spots : ndarray of int64
        Tracks.
    bright : ndarray
        The brightest dark field's peak, over the direct beam's counts.
    area : ndarray of int64
        Positions in the outline.
    resolved : ndarray
        Area over itself and that of a point's image: 1 for a grain much larger than the blur, about 0 for a point.
    misfit : ndarray
        Share of the dark fields' squares in and around the outline that one blurred shape does not explain.
    double : ndarray
        Share of a spot's intensity that double diffraction may explain, 1 at most; the mean over the spots.
    host : ndarray of int64
        The brighter group that covers most of it; -1 where none does.
    cover, likeness : ndarray
        Share of its outline in its host's, and the IoU of the two.
    """

    spots: np.ndarray
    bright: np.ndarray
    area: np.ndarray
    resolved: np.ndarray
    misfit: np.ndarray
    double: np.ndarray
    host: np.ndarray
    cover: np.ndarray
    likeness: np.ndarray

    @property
    def terms(self) -> np.ndarray:
        """(groups, 5) what the logistic is of, by `NAMES`."""
        terms = self.spots, self.bright, self.resolved, self.misfit + EXACT, self.double + EXACT
        return np.log(np.maximum(np.stack(terms, axis=1), 1e-6))


def evidence(groups: Groups, outlines: Outlines, fields: csr_array) -> Evidence:
    """What tells for and against each group; `fields` (tracks, n) are the dark fields."""
    member = np.flatnonzero(groups.group >= 0)
    own, peak = groups.group[member], groups.peak[member].astype(np.float64)
    total, spots = np.bincount(own, peak, groups.k), np.bincount(own, minlength=groups.k)
    double = np.bincount(own, np.minimum(groups.double[member], 1), groups.k) / np.maximum(spots, 1)
    bright = np.zeros(groups.k)
    np.maximum.at(bright, own, peak)
    area = np.diff(outlines.inside.indptr).astype(np.int64)
    resolved = area / (area + 1 + 4 * np.pi * outlines.blur**2)
    host, cover, likeness = _hosts(outlines.inside, total)
    misfit = _misfits(groups, outlines, fields)
    return Evidence(spots, bright, area, resolved, misfit, double, host, cover, likeness)


def _hosts(inside: csr_array, total: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The brighter group that covers most of each, the share it covers, and their IoU."""
    shared = (inside @ inside.T).tocsr()
    ratio = overlap_ratio(inside, inside).tocsr()
    area = np.diff(inside.indptr)
    host, cover, likeness = np.full(len(total), -1), np.zeros(len(total)), np.zeros(len(total))
    for g in range(len(total)):
        others = shared.indices[shared.indptr[g] : shared.indptr[g + 1]]
        covered = shared.data[shared.indptr[g] : shared.indptr[g + 1]] / max(int(area[g]), 1)
        brighter = total[others] > total[g]
        if brighter.any():
            best = np.argmax(np.where(brighter, covered, -1.0))
            host[g], cover[g] = others[best], covered[best]
            likeness[g] = ratio[g, host[g]]
    return host, cover, likeness


def _misfits(groups: Groups, outlines: Outlines, fields: csr_array) -> np.ndarray:
    """Share of the squares of each group's dark fields that its shape does not explain, (groups,), mean by peak."""
    columns = groups.scan_shape[1]
    order = np.argsort(groups.group, kind="stable")
    ends = np.searchsorted(groups.group[order], np.arange(groups.k + 1))
    found = np.ones(groups.k)
    for g, (first, last) in enumerate(pairwise(ends)):
        mask, own = (row(m, g) for m in (outlines.inside, outlines.maps))
        if not len(mask[0]):
            continue
        pad = int(np.ceil(3 * outlines.blur)) + AROUND
        inside = _in_scan(Crop.of(mask[0], np.ones(len(mask[0]), bool), columns, pad), groups.scan_shape)
        shape = np.zeros(inside.values.shape)
        y, x, there = _within(inside, own[0], columns)
        shape[y, x] = own[1][there] ** 2
        shape = _blurred(shape * inside.values, inside, outlines) if outlines.blur > 0 else shape
        near = ndimage.binary_dilation(inside.values, EIGHT_NEIGHBOURS, iterations=AROUND)
        unexplained, power = 0.0, float(np.square(shape[near]).sum())  # where a dark field was not taken it is dark
        tracks = order[first:last]
        weight = groups.peak[tracks] / groups.peak[tracks].sum()
        for share, t in zip(weight, tracks, strict=True):
            at, values = row(fields, t)
            y, x, there = _within(inside, at, columns)
            seen, expected = values[there][near[y, x]].astype(np.float64), shape[y, x][near[y, x]]
            squares = float(seen @ seen)
            fit = float(seen @ expected) ** 2 / power if power > 0 else 0.0
            unexplained += float(share) * (1 - fit / squares if squares > 0 else 1.0)
        found[g] = unexplained
    return found


def _blurred(shape: np.ndarray, crop: Crop, outlines: Outlines) -> np.ndarray:
    """A map on a crop, blurred as the scan is."""
    along_y = blurring(crop.top, shape.shape[0], outlines.borders.rows, outlines.blur)
    along_x = blurring(crop.left, shape.shape[1], outlines.borders.columns, outlines.blur)
    return np.asarray(along_y @ shape @ along_x.T)


def _in_scan(crop: Crop, scan_shape: tuple[int, int]) -> Crop:
    """The part of a crop that lies in the scan."""
    top, left = max(-crop.top, 0), max(-crop.left, 0)
    values = crop.values[top : scan_shape[0] - crop.top, left : scan_shape[1] - crop.left]
    return Crop(crop.top + top, crop.left + left, values)


def _within(crop: Crop, at: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns on a crop of the flat positions that lie on it, and which these are."""
    y, x = np.divmod(at, columns)
    y, x = y - crop.top, x - crop.left
    rows, wide = crop.values.shape
    there = (y >= 0) & (y < rows) & (x >= 0) & (x < wide)
    return y[there], x[there], there


def likelihood(found: Evidence) -> np.ndarray:
    """Probability that each group's outline is right, (groups,) float64."""
    score = INTERCEPT + found.terms @ np.array(COEFFICIENTS)
    return np.where(found.area > 0, 1 / (1 + np.exp(-score)), 0.0)


def reasons(found: Evidence, probability: np.ndarray, number: np.ndarray) -> list[str]:
    """What speaks most against each group, in words; empty where its likelihood is high.

    Parameters
    ----------
    found : Evidence
    probability : ndarray, (groups,)
    number : ndarray of int64, (groups,)
        What each group's grain is called; 0 where it is none.
    """
    against = (found.terms - np.array(TYPICAL)) * np.array(COEFFICIENTS)
    said = []
    for g, p in enumerate(probability):
        host = int(found.host[g])
        if p >= DOUBTFUL:
            said.append("")
        elif host >= 0 and number[host] > 0 and found.cover[g] >= WITHIN and found.likeness[g] >= LIKE:
            said.append(f"lies in grain {number[host]} and shares its outline")
        else:
            said.append(_words(NAMES[int(np.argmin(against[g]))], found, g))
    return said


def _words(name: str, found: Evidence, g: int) -> str:
    count, percent = int(found.spots[g]), 100 * float(found.double[g])
    few = {2: "two", 3: "three", 4: "four"}.get(count, str(count))
    return {
        "spots": f"only {few} spots",
        "bright": f"faint: its brightest spot has {100 * float(found.bright[g]):.2g} % of the beam",
        "resolved": f"not much larger than the blur of the scan: {int(found.area[g])} positions",
        "misfit": "its spots do not agree on its outline",
        "double": f"{percent:.0f} % of its spots' light may be double diffraction by other grains",
    }[name]
