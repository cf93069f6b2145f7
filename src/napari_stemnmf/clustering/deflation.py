"""Deflation: what stronger groups explain is no grain of its own.

A grain has more than one footprint: where it is thick, spots fade and come back (thickness fringes), and are scattered
a second time, within it or by a grain above. Such spots lie on the lattice of the stronger group, beside one of its
spots (streaks), or are sums of spots of two groups, and they are inside them. A smaller grain inside a larger one has
a lattice of its own. Everything is decided among groups that overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.lattice import beside, between, independent, made_of, made_of_both

COVERED = 0.75
"""Share of a group's mask that a group which explains it covers."""
WIDE, UNION = 0.5, 0.7
"""IoU from which groups of one lattice are one though the weaker is the wider; IoU of a group with those it unites."""
LATTICE = 0.5
"""Share of a group's spots on the lattice of another, from which both are of one grain."""
TOGETHER, LEAST = 0.5, 2
"""Share of a group's spots that several groups explain, from which it is no grain; and their least number, as one is
met by chance."""
ALIKE, MADE = 0.4, 3
"""IoU with a stronger group, and spots of that on the weaker one's lattice, from which both are of one grain too."""

BLENDED, ENOUGH = 0.75, 3
"""Share of a group's spots that two others make by overlapping on the detector, and their least number."""


@dataclass(frozen=True, eq=False)
class Spots:
    """Spots of one group, the strongest first.

    Attributes
    ----------
    q : ndarray
        (tracks, 2) from the direct beam, px.
    peak : ndarray
        (tracks,) brightest over the direct beam.
    """

    q: np.ndarray
    peak: np.ndarray

    @property
    def strength(self) -> float:
        """Brightness of all."""
        return float(self.peak.sum())

    @property
    def weight(self) -> np.ndarray:
        """(tracks,) that go with their signal-to-noise ratio; the sum is 1."""
        root = np.sqrt(self.peak)
        return np.asarray(root / root.sum())


def one_lattice(masks: csr_array, spots: list[Spots], radius: float) -> csr_array:
    """IoU of groups (groups, groups) by their masks, 1 where a weaker one is wider and on one lattice with another.

    Strong spots are bright at the core of a grain; weak ones that saturate with thickness show its full extent.
    """
    shared, area = (masks @ masks.T).tocoo(), masks.sum(axis=1)
    a, b = shared.row, shared.col
    ratio = shared.data / (area[a] + area[b] - shared.data)
    strength = np.array([s.strength for s in spots])
    joined = ratio.copy()
    for n in np.flatnonzero((shared.data >= COVERED * area[a]) & (ratio >= WIDE) & (strength[a] > strength[b])):
        inner, outer = spots[a[n]].q, spots[b[n]].q
        share = max(made_of(inner, outer, radius).mean(), made_of(outer, inner, radius).mean())
        if share >= LATTICE:
            joined[((a == a[n]) & (b == b[n])) | ((a == b[n]) & (b == a[n]))] = 1.0
    return csr_array((joined, (a, b)), shape=shared.shape)


def explained(
    masks: csr_array, wide: csr_array, spots: list[Spots], radius: float, every: list[np.ndarray] | None = None
) -> np.ndarray:
    """Which groups (groups,) others explain: bool.

    Parameters
    ----------
    masks, wide : csr_array
        (groups, n) ones where each is, and the same widened by a position.
    spots : list of Spots
        Of each group.
    radius : float
        Of the probe, px.
    every : list of ndarray, (tracks, 2)
        Places of all spots of each group, if `spots` are the strongest only.
    """
    covers, area = (masks @ wide.T).tocsr(), masks.sum(axis=1)
    strength = np.array([s.strength for s in spots])
    found = np.zeros(len(spots), bool)
    for b in np.argsort(-strength, kind="stable"):
        own = slice(covers.indptr[b], covers.indptr[b + 1])
        near, shared = covers.indices[own], covers.data[own]
        stronger = (shared >= COVERED * area[b]) & (strength[near] > strength[b]) & ~found[near]
        near, shared = near[stronger], shared[stronger]
        like = near[shared >= ALIKE * (area[near] + area[b] - shared)]
        found[b] = _by(spots[b], [spots[a] for a in near], radius)
        found[b] |= any(_makes(spots[b], spots[a], radius) for a in like)
    return found | _unions(masks, spots, radius) | _blends(masks, spots, every or [s.q for s in spots], radius)


def _makes(group: Spots, other: Spots, radius: float) -> bool:
    """Whether the spots of another lie on the lattice of a group: a thin part of a grain has more of them."""
    made = made_of(other.q, group.q, radius)
    return bool(made.sum() >= MADE and made @ other.weight >= LATTICE)


def _by(group: Spots, others: list[Spots], radius: float) -> bool:
    """Whether others that cover a group explain its spots."""
    some = np.zeros(len(group.q), bool)
    for n, other in enumerate(others):
        made = made_of(group.q, other.q, radius)
        if made.sum() >= LEAST and made @ group.weight >= LATTICE:
            return True
        some |= made | beside(group.q, other.q, radius)
        for second in others[:n]:
            some |= made_of_both(group.q, group.peak, (other.q, other.peak), (second.q, second.peak), radius)
    return bool(some.sum() >= LEAST and some @ group.weight >= TOGETHER)


def _unions(masks: csr_array, spots: list[Spots], radius: float) -> np.ndarray:
    """Which groups (groups,) have one spot, and that in common with two or more grains that they unite: bool."""
    shared, area = (masks @ masks.T).tocsr(), masks.sum(axis=1)
    lone = np.array([independent(s.q, radius) <= 1 for s in spots], bool)
    found = np.zeros(len(spots), bool)
    for b in np.flatnonzero(lone):
        own = slice(shared.indptr[b], shared.indptr[b + 1])
        inner = shared.indices[own][shared.data[own] >= COVERED * area[shared.indices[own]]]
        inner = inner[(inner != b) & ~lone[inner]]
        if len(inner) > 1:
            union = np.unique(masks[inner].indices)
            both = np.isin(union, masks.indices[masks.indptr[b] : masks.indptr[b + 1]]).sum()
            found[b] = both >= UNION * (len(union) + area[b] - both)
    return found


def _blends(masks: csr_array, spots: list[Spots], every: list[np.ndarray], radius: float) -> np.ndarray:
    """Which groups (groups,) are where two others are, and of disks that both share on the detector: bool.

    Disks of two lattices overlap: they are seen as one between them, or as one spot of the union of both grains.
    """
    shared, area = (masks @ masks.T).tocsr(), masks.sum(axis=1)
    found = np.zeros(len(spots), bool)
    for b in np.argsort([len(q) for q in every], kind="stable"):
        own = masks.indices[masks.indptr[b] : masks.indptr[b + 1]]
        near = shared.indices[shared.indptr[b] : shared.indptr[b + 1]]
        near = [int(n) for n in near if n != b and not found[n] and len(every[n]) > len(every[b])]
        for first, second in combinations(near, 2):
            if np.isin(own, masks[[first, second]].indices).sum() < COVERED * area[b]:
                continue
            q, one, two = spots[b].q, spots[first].q, spots[second].q
            made = between(q, every[first], every[second], radius)
            made |= made_of(q, one, radius) & made_of(q, two, radius)
            if made.sum() >= ENOUGH and made @ spots[b].weight >= BLENDED:
                found[b] = True
                break
    return found
