"""How likely it is that a grain of NMF is right, and in words what speaks against it.

Right means that its outline and that of a true grain share more than half of what they cover together. The Bragg disks
of its patterns are witnesses that NMF did not hear one by one: of a grain that is right, one at least is in nearly all
its patterns, and several are seen where it is and not beside it. How much of it lies inside its border, and whether
other random starts find it, tell as well. A plain logistic of the four, fitted on simulated films; `--of nmf` of
`benchmarks/likelihood.py` makes one anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from napari_stemnmf.clustering.footprints import EIGHT_NEIGHBOURS
from napari_stemnmf.control import Control
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.recurrence import Disks, spots

NAMES = ("interior", "outlined", "common", "stability")
"""Of the terms, in the order of the coefficients."""
INTERCEPT, COEFFICIENTS = -32.62, (13.28, 9.43, 17.50, 1.98)
"""Of the logistic; fitted on 671 grains of preset `nmf`, AA and BD, of kinematic films (ag1, ag3: seed 101, ag2: 101 to
103 and 201), whole and in windows of 46."""
TYPICAL = (0.77, 0.77, 1.0, 1.0)
"""Median of each term among the right ones."""
UNKNOWN = 0.85
"""Stability where there is no other start."""
DOUBTFUL = 0.9
"""A likelihood below which a reason is given."""
WITHIN, LIKE, FOUND = 0.8, 0.4, 0.3
"""Share of a grain that another covers from which it is said to lie in it, IoU from which they are said to have one
outline, and stability below which no other start is said to find it."""
BEST = 4
"""Disks, by how well they show the outline, that tell of it."""
FEW = 100
"""Positions below which a grain is said to have few."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What tells for and against each grain, (g,) arrays.

    Attributes
    ----------
    area : ndarray of int64
        Positions.
    interior : ndarray
        Share of these whose eight neighbours are in the grain as well.
    spots : ndarray of int64
        Bragg disks that recur in it.
    outlined : ndarray
        IoU of the grain with where its disks are seen: the mean of the best `BEST`, 0 for those that are missing.
    common : ndarray
        Share of its patterns that hold the most frequent of them.
    host : ndarray of int64
        Row of the grain that covers most of it; -1 where none does.
    cover : ndarray
        Share of it that the host covers.
    twin : ndarray of int64
        Row of the grain with the most similar outline; -1 for none.
    likeness : ndarray
        IoU with its twin.
    stability : ndarray
        Mean of its best IoU with grains of the other starts; NaN where there are none.
    """

    area: np.ndarray
    interior: np.ndarray
    spots: np.ndarray
    outlined: np.ndarray
    common: np.ndarray
    host: np.ndarray
    cover: np.ndarray
    twin: np.ndarray
    likeness: np.ndarray
    stability: np.ndarray

    @property
    def terms(self) -> np.ndarray:
        """(g, 4) what the logistic is of, by `NAMES`."""
        known = np.where(np.isfinite(self.stability), self.stability, UNKNOWN)
        return np.stack([self.interior, self.outlined, self.common, known], axis=1)


def judged(grains: Grains, disks: Disks, stability: np.ndarray, *, control: Control | None = None) -> Grains:
    """The grains with how likely each is right, and what speaks against it.

    Parameters
    ----------
    grains : Grains
    disks : Disks
        Of the scan; where they could not be found at all, nothing is known of the grains.
    stability : ndarray, (g,)
        As `grains.confidence.stability` gives it.
    control : Control
        Checked for a cancel before each grain.
    """
    if not len(grains) or not disks.able:
        return grains
    found = evidence(grains, disks, stability, control=control)
    p = likelihood(found)
    return replace(grains, confidence=p.astype(np.float32), reasons=tuple(reasons(found, p, grains.ids)))


def evidence(grains: Grains, disks: Disks, stability: np.ndarray, *, control: Control | None = None) -> Evidence:
    """What tells for and against each grain."""
    control = Control() if control is None else control
    flat, area = grains.flat, grains.areas
    shared = (flat @ flat.T).tolil()
    shared.setdiag(0)
    shared = shared.tocsr()
    count = len(grains)
    host, twin = np.full(count, -1), np.full(count, -1)
    cover, likeness, interior, outlined, common = (np.zeros(count) for _ in range(5))
    recurring = np.zeros(count, np.int64)
    for g in range(count):
        control.check()
        others = shared.indices[shared.indptr[g] : shared.indptr[g + 1]]
        both = shared.data[shared.indptr[g] : shared.indptr[g + 1]]
        if len(others) and both.max() > 0:
            ratio = both / (area[g] + area[others] - both)
            host[g], cover[g] = others[both.argmax()], both.max() / area[g]
            twin[g], likeness[g] = others[ratio.argmax()], ratio.max()
        if area[g]:
            interior[g] = np.count_nonzero(ndimage.binary_erosion(grains.crop(g).values, EIGHT_NEIGHBOURS)) / area[g]
        share, alike = spots(grains.mask(g), disks).T
        recurring[g], outlined[g] = len(alike), np.sort(alike)[-BEST:].sum() / BEST
        common[g] = share.max(initial=0.0)
    seen = interior, recurring, outlined, common
    return Evidence(area, *seen, host, cover, twin, likeness, np.asarray(stability, np.float64))


def likelihood(found: Evidence) -> np.ndarray:
    """Probability that each grain's outline is right, (g,) float64."""
    score = INTERCEPT + found.terms @ np.array(COEFFICIENTS)
    return np.where(found.area > 0, 1 / (1 + np.exp(-score)), 0.0)


def reasons(found: Evidence, probability: np.ndarray, ids: np.ndarray) -> list[str]:
    """What speaks most against each grain, in words; empty where its likelihood is high."""
    against = (found.terms - np.array(TYPICAL)) * np.array(COEFFICIENTS)
    said = []
    for g, p in enumerate(probability):
        if p >= DOUBTFUL:
            said.append("")
        elif found.spots[g] == 0:
            said.append("no Bragg disks that its patterns share")
        elif found.stability[g] < FOUND:
            said.append("no other start finds it")
        elif found.likeness[g] >= LIKE:
            said.append(f"has the outline of grain {ids[found.twin[g]]}")
        elif found.cover[g] >= WITHIN:
            said.append(f"within grain {ids[found.host[g]]}")
        else:
            said.append(_words(NAMES[int(np.argmin(against[g]))], found, g))
    return said


def _words(name: str, found: Evidence, g: int) -> str:
    few, border = int(found.area[g]) < FEW, 1 - float(found.interior[g])
    return {
        "interior": f"few positions: {int(found.area[g])}" if few else f"ragged: {border:.0%} of it is border",
        "outlined": "its Bragg disks are not seen where it is, or beside it as well",
        "common": f"its most frequent Bragg disk is in {found.common[g]:.0%} of its patterns",
        "stability": "other starts find it elsewhere",
    }[name]
