"""Grouping: tracks whose dark fields have one footprint are spots of one grain.

Everything is local: only tracks that overlap are compared, so the cost grows with the scan, and a part of it gives the
same groups as the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.artefacts import doubly_diffracted, satellites
from napari_stemnmf.clustering.deflation import Spots, explained, one_lattice
from napari_stemnmf.clustering.footprints import Footprints, footprints, grown, masks_of
from napari_stemnmf.clustering.linkage import alike, closest_ratio
from napari_stemnmf.control import Control
from napari_stemnmf.features.features import Features
from napari_stemnmf.representation_settings import GroupingSettings

LEAST_SIZE, LEAST_SNR, TWICE = 8, 8.0, 0.15
"""Positions and signal-to-noise ratio of a footprint; share of a spot that double diffraction may explain."""
SAME, OWN = 0.8, 0.6
"""IoU from which groups are one, and from which a track belongs to a group."""
LEVEL = 0.5
"""Of a group's map, where its mask is cut."""
ROUNDS = 3
MOST = 16
"""Spots of a group, the strongest, that are compared with those of others."""
STRONG = 50.0
"""Signal-to-noise ratio above which tracks count alike."""
USED, SMALL, FAINT, TAIL, DOUBLE, ALONE, EXPLAINED = range(7)
"""What became of a track: in a group; its footprint is too small, or too faint; it is the tail of a brighter spot, or
diffracted twice; no other track has its footprint; or it is in a group that others explain."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of tracks, each the spots of one grain.

    Attributes
    ----------
    group : ndarray of int64
        (tracks,) the group of each; -1 for none.
    fate : ndarray of int64
        (tracks,) what became of each track: `USED`, or why it is in no group.
    amplitude : csr_array of float32
        (groups, n) mean root of the group's dark fields, each over its peak; 1 at most.
    peak, snr : ndarray of float32
        (tracks,) brightest of the dark field over the direct beam's counts; signal-to-noise ratio there.
    double : ndarray of float32
        (tracks,) intensity that double diffraction may give each, over its own.
    scan_shape : tuple of int
    cache : dict
        What later stages compute from these groups and keep as long as they live (`grains.tracked`); not stored.
    """

    STORED_AS: ClassVar[str] = "groups"

    group: np.ndarray
    fate: np.ndarray
    amplitude: csr_array
    peak: np.ndarray
    snr: np.ndarray
    double: np.ndarray
    scan_shape: tuple[int, int]
    cache: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __str__(self) -> str:
        tracks = len(self.group)
        return f"{self.k} groups of spots ({np.count_nonzero(self.group >= 0)} of {tracks} tracks)"

    @property
    def k(self) -> int:
        """Number of groups."""
        return int(self.amplitude.shape[0])

    @property
    def sizes(self) -> np.ndarray:
        """(groups,) number of tracks of each."""
        return np.bincount(self.group[self.group >= 0], minlength=self.k)

    @property
    def maps(self) -> np.ndarray:
        """The maps of all groups, (groups, scan_y, scan_x) float32: made at every access."""
        return np.asarray(self.amplitude.toarray().reshape(self.k, *self.scan_shape))


def group(features: Features, settings: GroupingSettings | None = None, *, control: Control | None = None) -> Groups:
    """Group the tracks of a scan by their footprints.

    Parameters
    ----------
    features : Features
        ``vdf``.
    settings : GroupingSettings
    control : Control
        Checked for a cancel between the parts of the work.
    """
    settings = GroupingSettings() if settings is None else settings
    control = Control() if control is None else control
    control.check()
    shape, radius, beam = features.scan_shape, features.details["probe_radius"], features.details["beam"]
    fields, sigma, seen = features.by_column("sigma", "detected")
    prints = footprints(fields, sigma, seen, shape)
    del sigma
    q = np.stack([features.columns["q_y"], features.columns["q_x"]], axis=1)
    fate = np.full(fields.shape[0], ALONE)
    double = doubly_diffracted(fields, seen, grown(seen, 1, shape), prints.peak, q, radius, beam)
    fate[double >= TWICE] = DOUBLE
    fate[satellites(seen, grown(seen, 2, shape), prints.peak, q, radius, beam)] = TAIL
    fate[prints.snr < LEAST_SNR] = FAINT
    fate[prints.inside.sum(axis=1) < LEAST_SIZE] = SMALL
    used = np.flatnonzero(fate == ALONE)
    own, maps = _grouped(prints, used, q, radius, beam, shape, settings)
    found = np.full(len(fate), -1)
    found[used] = np.maximum(own, -1)
    fate[used[own >= 0]] = USED
    fate[used[own == -2]] = EXPLAINED
    return Groups(found, fate, maps, prints.peak / np.float32(beam), prints.snr, double.astype(np.float32), shape)


def _grouped(
    prints: Footprints,
    used: np.ndarray,
    q: np.ndarray,
    radius: float,
    beam: float,
    shape: tuple[int, int],
    settings: GroupingSettings,
) -> tuple[np.ndarray, csr_array]:
    """The group of each track in use, -1 for none, -2 for one that others explain, and the maps of the groups."""
    levels = [inside[used] for inside in prints.levels]
    amplitude, q, peak = prints.amplitude[used], q[used], prints.peak[used] / beam
    weight = np.minimum(prints.snr[used], STRONG)
    own = alike(closest_ratio(levels, levels), settings.alike)
    for _ in range(ROUNDS):
        own = _of_enough(own, settings.min_tracks)
        masks = masks_of(mean_maps(own, weight, amplitude), LEVEL, shape)
        same = alike(one_lattice(masks, _spots(own, q, peak), radius), SAME)
        own = np.where(own >= 0, np.append(same, -1)[own], -1)
        masks = masks_of(mean_maps(own, weight, amplitude), LEVEL, shape)
        shared = closest_ratio(levels, [masks])
        best = np.asarray(shared.argmax(axis=1)).ravel() if masks.shape[0] else own
        highest = shared.max(axis=1).toarray().ravel() if masks.shape[0] else np.zeros(len(own))
        own = np.where(highest >= OWN, best, -1)
    own = _of_enough(own, settings.min_tracks)
    maps = mean_maps(own, weight, amplitude)
    masks = masks_of(maps, LEVEL, shape)
    every = [q[own == g] for g in range(masks.shape[0])]
    dropped = explained(masks, grown(masks, 1, shape), _spots(own, q, peak), radius, every)
    number = np.append(np.where(dropped, -2, np.cumsum(~dropped) - 1), -1)
    return number[own], maps[~dropped]


def _spots(own: np.ndarray, q: np.ndarray, peak: np.ndarray) -> list[Spots]:
    """The spots of each group, the strongest first, no more than `MOST`."""
    found = []
    for g in range(int(own.max(initial=-1)) + 1):
        member = np.flatnonzero(own == g)
        member = member[np.argsort(-peak[member], kind="stable")[:MOST]]
        found.append(Spots(q[member], peak[member]))
    return found


def _of_enough(own: np.ndarray, tracks: int) -> np.ndarray:
    """Groups numbered anew, without those of too few tracks."""
    sizes = np.bincount(own[own >= 0], minlength=1)
    kept = sizes >= tracks
    number = np.append(np.where(kept, np.cumsum(kept) - 1, -1), -1)
    return number[own]


def mean_maps(own: np.ndarray, weight: np.ndarray, amplitude: csr_array) -> csr_array:
    """(groups, n) weighted means of the amplitudes of each group's tracks."""
    count = int(own.max(initial=-1)) + 1
    member = np.flatnonzero(own >= 0)
    total = np.bincount(own[member], weight[member], minlength=count)
    share = csr_array(
        ((weight[member] / total[own[member]]).astype(np.float32), (own[member], member)), shape=(count, len(own))
    )
    return (share @ amplitude).tocsr()
