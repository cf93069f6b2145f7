"""Crystals that cover much of a scan, found by the reflections that their patterns share.

NMF tells patterns apart. Where one crystal fills the scan nothing is told apart but noise, and where its thickness or
its tilt varies, that is what the components follow; no threshold on their maps gives the crystal back. What all of it
has in common are the places of its Bragg disks: a reflection comes and goes with thickness and tilt, and stays where it
is. So disks of all patterns are gathered into reflections, and reflections that are seen at the same positions of the
scan are one crystal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.cluster import hierarchy
from scipy.spatial import cKDTree

from napari_stemnmf.grains.recurrence import REACH, Disks, holds_crystal
from napari_stemnmf.grains.refinement import EIGHT_NEIGHBOURS, regions

LEAST_COVER = 1 / 3
"""Share of the scan that a crystal covers at least: NMF is at its best where each grain is a small part of the scan."""
MOST = 200  # reflections that are looked at, the most frequent ones
RARE = 0.04  # reflections in a smaller share of the patterns are left out
SMOOTH = 1.2  # probe positions over which the presence of a reflection is averaged
FINE, RIM = 0.5, 3  # positions: smoothing of the weights; width of a rim in which they tell where the crystal ends
SEEN = 0.15  # least share of neighbouring patterns in which a reflection is found, where it counts as seen
ALIKE = 0.3  # mean intersection over union of the places of reflections of one crystal
INSIDE = 0.6  # share of a reflection's places within a crystal, for it to be the crystal's if it is of its lattice
OWN, OUTSIDE = 0.4, 0.5  # least share of a region's patterns with a reflection of its own; outside of large crystals
FRINGE = 2  # positions around a large crystal where its disks still show
WITHIN, LARGER = 0.8, 1.3
"""A large crystal of which this share lies within another, so many times as large, shows that that is a mixture."""


@dataclass(frozen=True, eq=False)
class Reflections:
    """Where disks recur.

    Attributes
    ----------
    q : ndarray, (r, 2)
        Displacement (q_y, q_x) from the direct beam, px.
    seen : ndarray of bool, (r, scan_y, scan_x)
        Which patterns hold a disk there.
    intensity : ndarray of float32, (r, scan_y, scan_x)
        Height of that disk, counts a pixel.
    radius : float
        Of the probe, px.
    """

    q: np.ndarray
    seen: np.ndarray
    intensity: np.ndarray
    radius: float


@dataclass(frozen=True, eq=False)
class Crystals:
    """Crystals that cover much of a scan.

    Attributes
    ----------
    masks : ndarray of bool, (c, scan_y, scan_x)
    weights : ndarray of float32, (c, scan_y, scan_x)
        Mean height of the crystal's disks, each reflection's as a share of its largest, smoothed; 0 outside the mask.
    counts : tuple of int
        Reflections of each crystal.
    shares : tuple of float
        Of the scan that each covers, positions that are left out not counted.
    others : ndarray of bool, (o, scan_y, scan_x)
        Where reflections are seen that are of none of them.
    """

    masks: np.ndarray
    weights: np.ndarray
    counts: tuple[int, ...]
    shares: tuple[float, ...]
    others: np.ndarray

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def note(self) -> str:
        """A sentence on them; "" where there are none."""
        if not len(self):
            return ""
        if len(self) == 1 and self.shares[0] == 1.0:
            return f"One crystal fills the whole scan ({self.counts[0]} reflections); its grain is found by its disks."
        parts = [f"{s:.0%} of the scan ({n} reflections)" for s, n in zip(self.shares, self.counts, strict=True)]
        which = "One crystal covers" if len(self) == 1 else f"{len(self)} crystals cover"
        grain = "its grain is" if len(self) == 1 else "their grains are"
        return f"{which} {', '.join(parts)}; {grain} found by the Bragg disks that the patterns share."


def reflections(disks: Disks) -> Reflections:
    """Where the disks of a scan recur, the most frequent first."""
    scan = disks.scan_shape
    n = int(np.prod(scan))
    q, count = disks.places()
    q = q[count >= 0.5 * RARE * n][:MOST]
    seen, intensity = np.zeros((len(q), n), bool), np.zeros((len(q), n), np.float32)
    if len(q):
        distance, nearest = cKDTree(q).query(disks.q, distance_upper_bound=REACH * disks.radius)
        near = np.isfinite(distance)
        seen[nearest[near], disks.at[near]] = True
        np.maximum.at(intensity, (nearest[near], disks.at[near]), disks.height[near])
    often = seen.mean(axis=1) >= RARE
    return Reflections(q[often], seen[often].reshape(-1, *scan), intensity[often].reshape(-1, *scan), disks.radius)


def large_crystals(disks: Disks, min_size: int = 1, left_out: np.ndarray | None = None) -> Crystals:
    """The crystals that cover at least a third of the scan, largest first.

    Parameters
    ----------
    disks : Disks
    min_size : int
        Holes of fewer positions are filled, parts of fewer left out.
    left_out : ndarray of bool, (scan_y, scan_x), optional
        Positions of odd patterns, which no crystal has.
    """
    scan = disks.scan_shape
    there = np.ones(scan, bool) if left_out is None else ~left_out
    _, often = disks.places()
    if len(often) < 2 or often[1] < LEAST_COVER / 4 * np.prod(scan):
        return Crystals(
            np.zeros((0, *scan), bool), np.zeros((0, *scan), np.float32), (), (), np.zeros((0, *scan), bool)
        )
    found = reflections(disks)
    places = np.stack([_places(seen) for seen in found.seen]) if len(found.q) else np.zeros((0, *scan), bool)
    free = np.ones(len(places), bool)
    crystals: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for group in _groups(places):
        members, mask = _grown(group, places, found)
        light = _light(found, members)
        mask = _whole(_trimmed(mask, light), min_size) & there
        if mask.sum() >= LEAST_COVER * there.sum() > 0:
            crystals.append((mask, np.where(mask, light, 0).astype(np.float32), members))
    crystals = [crystal for crystal in crystals if not _is_mixture(crystal[0], [mask for mask, _, _ in crystals])]
    for _, _, members in crystals:
        free[members] = False
    crystals.sort(key=lambda crystal: -int(crystal[0].sum()))
    return Crystals(
        np.array([mask for mask, _, _ in crystals], bool).reshape(-1, *scan),
        np.array([weights for _, weights, _ in crystals], np.float32).reshape(-1, *scan),
        tuple(len(members) for _, _, members in crystals),
        tuple(float(mask.sum() / there.sum()) for mask, _, _ in crystals),
        found.seen[free],
    )


def _is_mixture(mask: np.ndarray, masks: list[np.ndarray]) -> bool:
    """Whether another large crystal lies within a mask and fills only part of it.

    Reflections that large grains have in common, or the detector's own spots, are seen in all of them.
    """
    return any(
        (mask & other).sum() >= WITHIN * other.sum() and mask.sum() >= LARGER * other.sum()
        for other in masks
        if other is not mask
    )


def _places(seen: np.ndarray) -> np.ndarray:
    """Where a reflection is seen, (scan_y, scan_x) bool: smoothed, half as often as where it is seen most."""
    share = ndimage.gaussian_filter(seen.astype(np.float32), SMOOTH)
    return share >= max(SEEN, 0.5 * float(np.percentile(share, 95)) if seen.any() else 1.0)


def _groups(places: np.ndarray) -> list[np.ndarray]:
    """Rows of reflections that are seen at the same places: average linkage of the intersection over union."""
    flat = places.reshape(len(places), -1).astype(np.float32)
    area, shared = flat.sum(axis=1), flat @ flat.T
    union = area[:, None] + area - shared
    iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    if len(places) < 2:
        return []
    distance = 1.0 - iou[np.triu_indices(len(places), 1)]
    label = hierarchy.fcluster(hierarchy.average(distance), 1.0 - ALIKE, "distance")
    groups = [np.flatnonzero(label == g) for g in np.unique(label)]
    return sorted((g for g in groups if len(g) >= 2), key=lambda g: -float(area[g].sum()))


def _grown(members: np.ndarray, places: np.ndarray, found: Reflections) -> tuple[np.ndarray, np.ndarray]:
    """A group with the reflections of its lattice that are seen within it or on, and the crystal's mask."""
    while True:
        mask = _extent(places[members])
        inside = (places & mask).sum(axis=(1, 2)) / np.maximum(places.sum(axis=(1, 2)), 1)
        fits = [
            r for r in range(len(places))
            if r not in members and inside[r] >= INSIDE and _of_lattice(found.q[r], found.q[members], found.radius)
        ]  # fmt: skip
        if not fits:
            return members, mask
        members = np.sort(np.append(members, fits))


def _extent(places: np.ndarray) -> np.ndarray:
    """Where a crystal is: where enough of its reflections are seen at once."""
    count = places.sum(axis=0)
    usual = float(np.median(count[count > 0])) if count.any() else 0.0
    mask: np.ndarray = count >= max(min(2, len(places)), 0.3 * usual)
    return mask


def _whole(mask: np.ndarray, min_size: int) -> np.ndarray:
    """A mask with holes of under `min_size` positions filled, and without parts that are so small."""
    holes, _ = ndimage.label(ndimage.binary_fill_holes(mask) & ~mask, structure=EIGHT_NEIGHBOURS)
    mask = mask | ((holes > 0) & (np.bincount(holes.ravel())[holes] < min_size))
    parts = regions(mask, min(min_size, mask.size))
    return np.logical_or.reduce(parts) if parts else np.zeros_like(mask)


def _light(found: Reflections, members: np.ndarray) -> np.ndarray:
    """The mean of the reflections' heights, each as a share of its largest: (scan_y, scan_x); none outshines all."""
    light = np.zeros(found.seen.shape[1:], np.float32)
    for seen, intensity in zip(found.seen[members], found.intensity[members], strict=True):
        light += np.minimum(intensity / np.percentile(intensity[seen], 95), 1.0)
    return ndimage.gaussian_filter(light / len(members), FINE)


def _trimmed(mask: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A mask without the rim in which the crystal's disks have fallen to under half of their height nearby.

    Strong disks are still found where the beam only grazes the crystal.
    """
    near = ndimage.maximum_filter(np.where(mask, light, 0), 2 * RIM + 1)
    rim = mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), RIM, border_value=1)
    return mask & ~(rim & (light < 0.5 * near))


def _of_lattice(q: np.ndarray, others: np.ndarray, radius: float) -> bool:
    """Whether a reflection is the opposite, the sum or the difference of others."""
    sums = np.concatenate([
        -others,
        (others[:, None] + others).reshape(-1, 2),
        (others[:, None] - others).reshape(-1, 2),
    ])  # fmt: skip
    return bool((np.hypot(*(sums - q).T) <= 0.5 * radius).any())


def apart_from(mask: np.ndarray, crystals: Crystals, disks: Disks) -> bool:
    """Whether a region (scan_y, scan_x) is a grain beside large crystals: elsewhere, or with reflections of its own."""
    if not len(crystals):
        return True
    own = crystals.others[:, mask].mean(axis=1) >= OWN
    if own.sum() >= 2:
        return True
    rest = mask & ~ndimage.binary_dilation(crystals.masks.any(axis=0), EIGHT_NEIGHBOURS, FRINGE)
    return bool(rest.sum() >= OUTSIDE * mask.sum()) and holds_crystal(rest, disks)
