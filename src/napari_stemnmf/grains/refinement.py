"""From component maps to spatially distinct grains.

A component says where one kind of pattern is, and how much of it; two crystals of similar orientation share one.
Cutting each map at a threshold and into connected regions gives the grains (Bruefach, Ophus & Scott 2022, "Spatial and
Size Refinement"). Grains may overlap: the record is the stack of weighted masks, a label image is only a view of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import Crop
from napari_stemnmf.clustering.footprints import EIGHT_NEIGHBOURS
from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.representation_settings import RefinementSettings

METHODS = ("yen", "otsu", "li", "triangle")
"""How a threshold can be found, by the names of scikit-image."""


@dataclass(frozen=True, eq=False)
class Grains:
    """A stack of weighted masks, one a grain; grains may overlap.

    Attributes
    ----------
    masks : ndarray of bool, (g, scan_y, scan_x)
        Probe positions of each grain.
    weights : ndarray of float32, (g, scan_y, scan_x)
        Weight of the grain's component there, 0 outside the mask.
    component : ndarray of int64, (g,)
        Row of the component that the grain came from; -1 where it came from none.
    ids : ndarray of int64, (g,)
        Persistent numbers from 1, unique: a grain keeps its own when others are removed.
    thresholds : ndarray of float32, (k,)
        Threshold of each component map, in the units of its weights; NaN where the map was empty or constant.
    note : str
        A sentence on how they were found where that is not plain: why there are none, or which crystal is large.
    confidence : ndarray of float32, (g,)
        Probability that the grain is right, which is to share more than half of its union with a true one; NaN where
        it is not known, as of what was edited by hand.
    reasons : tuple of str, (g,)
        What speaks against each grain, in words; empty where nothing does.

    Raises
    ------
    DataError
        If the shapes do not fit, or an id is used twice or is under 1.
    """

    masks: np.ndarray
    weights: np.ndarray
    component: np.ndarray
    ids: np.ndarray
    thresholds: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    note: str = ""
    confidence: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32), metadata={"since": "0.5"})
    reasons: tuple[str, ...] = field(default=(), metadata={"since": "0.5"})

    def __post_init__(self) -> None:
        kinds = {
            "masks": bool, "weights": np.float32, "component": np.int64, "ids": np.int64, "thresholds": np.float32,
            "confidence": np.float32,
        }  # fmt: skip
        given = {name: np.asarray(getattr(self, name)) for name in kinds}
        shape, ids, count = given["masks"].shape, given["ids"], len(given["masks"])
        if len(shape) != 3:
            raise DataError(f"Masks of grains have the axes (grain, scan_y, scan_x), not the shape {shape}.")
        if given["weights"].shape != shape:
            raise DataError(f"Weights of shape {given['weights'].shape} do not fit masks of shape {shape}.")
        if not len(given["confidence"]):
            given["confidence"] = np.full(count, np.nan)
        object.__setattr__(self, "reasons", tuple(self.reasons) or ("",) * count)
        for name in ("component", "ids", "confidence"):
            if given[name].shape != (count,):
                raise DataError(f"There are {count} grains, but '{name}' has the shape {given[name].shape}.")
        if count and (ids.min() < 1 or len(np.unique(ids)) != count):
            raise DataError("The ids of grains must be unique and at least 1.")
        for name, kind in kinds.items():
            object.__setattr__(self, name, given[name].astype(kind, copy=False))

    @classmethod
    def from_masks(
        cls, masks: Any, weights: Any = None, *, component: Any = None, ids: Any = None, thresholds: Any = None
    ) -> Grains:
        """Grains from boolean masks (g, scan_y, scan_x), or from one mask (scan_y, scan_x).

        Weights default to 1 inside and are set to 0 outside each mask; components default to -1, ids to 1, 2, 3...

        Raises
        ------
        DataError
            If the shapes do not fit.
        """
        masks = np.asarray(masks) != 0
        if masks.ndim == 2:
            masks = masks[None]
        if weights is None:
            weights = masks.astype(np.float32)
        else:
            weights = np.asarray(weights)
            weights = weights[None] if weights.ndim == 2 else weights
            if weights.shape != masks.shape:
                raise DataError(f"Weights of shape {weights.shape} do not fit masks of shape {masks.shape}.")
            weights = np.where(masks, weights, 0).astype(np.float32, copy=False)
        count = len(masks)
        return cls(
            masks,
            weights,
            np.full(count, -1) if component is None else np.asarray(component),
            np.arange(1, count + 1) if ids is None else np.asarray(ids),
            np.empty(0, np.float32) if thresholds is None else np.asarray(thresholds),
        )

    def __len__(self) -> int:
        return len(self.masks)

    def subset(self, rows: Any) -> Grains:
        """Some of the grains, by rows or a mask of them (g,), with what is known of each."""
        rows = np.arange(len(self))[rows]
        each = {name: getattr(self, name)[rows] for name in ("masks", "weights", "component", "ids", "confidence")}
        return replace(self, **each, reasons=tuple(self.reasons[row] for row in rows))

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of probe positions."""
        return int(self.masks.shape[1]), int(self.masks.shape[2])

    @property
    def labels(self) -> np.ndarray:
        """The dominant grain of each position, (scan_y, scan_x) int32: its id, 0 for none.

        The dominant grain is the one nearest to its own maximum weight there: a weakly diffracting grain is not hidden
        by a strong neighbour, and two grains meet where each has fallen to the same share. Ties go to the smaller
        grain, then to the lower row.
        """
        labels = np.zeros(self.scan_shape, np.int32)
        highest = np.zeros(self.scan_shape, np.float32)
        areas = self.masks.sum(axis=(1, 2))
        for row in np.argsort(areas, kind="stable"):  # smaller first: a later one must be strictly larger to win
            peak = self.weights[row].max(initial=0.0)
            share = self.weights[row] / peak if peak > 0 else np.zeros(self.scan_shape, np.float32)
            wins = self.masks[row] & ((share > highest) | (labels == 0))
            labels[wins] = self.ids[row]
            highest[wins] = share[wins]
        return labels

    @property
    def stack(self) -> np.ndarray:
        """One plane a grain, (g, scan_y, scan_x) int32: the grain's id inside its mask."""
        return self.masks * self.ids.astype(np.int32)[:, None, None]

    @property
    def overlap(self) -> np.ndarray:
        """Number of grains at each position, (scan_y, scan_x) uint16."""
        return self.masks.sum(axis=0, dtype=np.uint16)


def notes_of_grains(grains: Mapping[str, Grains]) -> list[str]:
    """The notes of each representation's grains, and whether some have grains where others have none."""
    notes = [f"{name.upper()}: {found.note}" for name, found in grains.items() if found.note]
    some = ", ".join(f"{name.upper()} finds {len(found)}" for name, found in grains.items() if len(found))
    none = " and ".join(name.upper() for name, found in grains.items() if not len(found))
    return [*notes, f"The representations differ: {some}, {none} no grain."] if some and none else notes


def flat_masks(masks: np.ndarray) -> csr_array:
    """Masks (g, scan_y, scan_x) as a sparse matrix (g, positions) of int64, whose products count shared positions."""
    inside = [np.flatnonzero(mask) for mask in masks]
    ends = np.cumsum([0, *map(len, inside)])
    positions = np.concatenate(inside) if inside else np.empty(0, np.int64)
    shape = len(masks), int(np.prod(masks.shape[1:]))
    return csr_array((np.ones(len(positions), np.int64), positions, ends), shape=shape)


def refine(
    maps: np.ndarray,
    settings: RefinementSettings | None = None,
    *,
    left_out: np.ndarray | None = None,
    control: Control | None = None,
) -> Grains:
    """Cut each component map into grains.

    Per map: the threshold is found, values below it are set to 0, 8-connected regions are separated, and those of
    under `settings.min_size` positions are left out. A map that is constant or empty gives no grain. Beyond the paper,
    and off by default: a map without `coherence` is noise and gives no grain, and a map can be blurred before it
    is cut (the grains keep the weights of the map as it is).

    Parameters
    ----------
    maps : ndarray, (k, scan_y, scan_x)
        Non-negative component maps.
    settings : RefinementSettings
        Least coherence, blur, how the threshold is found, a factor on it, and the smallest region.
    left_out : ndarray of bool, (scan_y, scan_x), optional
        Positions of odd patterns: no grain is there, and neither blur nor threshold takes them into account.
    control : Control
        Checked for a cancel before each map.

    Returns
    -------
    Grains
        In the order of the maps, within a map in the order of their first pixel by rows; ids are 1, 2, 3... in that
        order.

    Raises
    ------
    DataError
        If the maps are not a stack of three axes, or hold a value that is not finite.
    """
    settings = RefinementSettings() if settings is None else settings
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise DataError(f"Component maps have the axes (component, scan_y, scan_x), not the shape {maps.shape}.")
    crops = [Crop(0, 0, values) for values in maps]
    cuts = cuts_of(crops, settings, left_out=left_out, control=control)
    return grains_of(crops, cuts, least_size(settings, maps.shape[1:]), maps.shape[1:])


def least_size(settings: RefinementSettings, scan_shape: tuple[int, ...]) -> int:
    """Probe positions of the smallest grain: `min_size`, or in a line scan the diameter of a circle of that area."""
    line = min(scan_shape) == 1 < max(scan_shape)
    return max(1, round(2 * np.sqrt(settings.min_size / np.pi))) if line else settings.min_size


def cuts_of(
    crops: Sequence[Crop],
    settings: RefinementSettings,
    *,
    left_out: np.ndarray | None = None,
    control: Control | None = None,
) -> list[Cut | None]:
    """Each map, as far as NMF saw it, cut at its threshold; None for one that is noise; raises as `refine`."""
    control = Control() if control is None else control
    if any(crop.values.dtype.kind == "f" and not np.isfinite(crop.values).all() for crop in crops):
        raise DataError("The component maps hold values that are not finite; fit the components again.")
    cuts: list[Cut | None] = []
    for crop in crops:
        control.check()
        noise = 0 < settings.min_coherence > coherence(crop.values)
        here = None if left_out is None else left_out[crop.within]
        cuts.append(None if noise else cut(crop.values, settings, here))
    return cuts


def grains_of(crops: Sequence[Crop], cuts: Sequence[Cut | None], min_size: int, scan_shape: tuple[int, ...]) -> Grains:
    """The grains of maps that were cut: the regions of at least `min_size` positions."""
    masks, weights, component = [], [], []
    thresholds = np.full(len(crops), np.nan, np.float32)
    for index, (crop, part) in enumerate(zip(crops, cuts, strict=True)):
        if part is None:
            continue
        thresholds[index] = part.threshold
        for mask in regions(part.above, min_size):
            whole = np.zeros(scan_shape, bool), np.zeros(scan_shape, np.float32)
            whole[0][crop.within], whole[1][crop.within] = mask, np.where(mask, crop.values, 0)
            masks.append(whole[0])
            weights.append(whole[1])
            component.append(index)
    shape = (0, *scan_shape)
    return Grains(
        np.stack(masks) if masks else np.zeros(shape, bool),
        np.stack(weights) if weights else np.zeros(shape, np.float32),
        np.array(component, dtype=np.int64),
        np.arange(1, len(masks) + 1),
        thresholds,
    )


class Cut(NamedTuple):
    """A component map, or a part of it, cut at its threshold."""

    smooth: np.ndarray
    """(rows, columns) the map that was cut, blurred if the settings say so."""
    threshold: float
    """In the units of the map; NaN where it is constant."""
    above: np.ndarray
    """(rows, columns) bool: at or above the threshold, and above 0."""


def cut(values: np.ndarray, settings: RefinementSettings, left_out: np.ndarray | None = None) -> Cut:
    """Cut one component map (rows, columns): its blur and its threshold, as the settings have them."""
    smooth = ndimage.gaussian_filter(values, settings.smoothing) if settings.smoothing else values
    if left_out is None:
        threshold = find_threshold(smooth, settings.threshold) * settings.threshold_scale
        return Cut(smooth, threshold, (smooth >= threshold) & (smooth > 0))
    if settings.smoothing:  # of what is there, so that a map does not fall beside what is left out
        there = ndimage.gaussian_filter((~left_out).astype(np.float32), settings.smoothing)
        kept = ndimage.gaussian_filter(np.where(left_out, 0, values), settings.smoothing)
        smooth = np.divide(kept, there, out=np.zeros_like(kept), where=there > 1e-6)
    smooth = np.where(left_out, 0, smooth)
    threshold = find_threshold(smooth[~left_out], settings.threshold) * settings.threshold_scale
    return Cut(smooth, threshold, (smooth >= threshold) & (smooth > 0))


def coherence(values: np.ndarray) -> float:
    """How far neighbouring positions of a map agree: near 1 for grains, near 0 for noise; 1 for a constant map.

    The correlation of a map with itself moved by one position, the mean over both directions: Moran's I over the four
    neighbours (P. A. P. Moran, Biometrika 37 (1950) 17).

    Parameters
    ----------
    values : ndarray, (scan_y, scan_x)
        Finite.
    """
    away = values.astype(np.float64) - values.mean(dtype=np.float64)
    pairs = [away[1:] * away[:-1], away[:, 1:] * away[:, :-1]]
    spread = np.square(away).mean()
    moved = [float(p.mean()) for p in pairs if p.size]
    return float(np.mean(moved) / spread) if moved and spread > 0 else 1.0


def find_threshold(values: np.ndarray, method: str = "yen") -> float:
    """The value that parts a map into grain and no grain; NaN where the map is constant.

    Parameters
    ----------
    values : ndarray
        Any shape, finite.
    method : {"yen", "otsu", "li", "triangle"}
        Yen's maximum correlation is the paper's (J.-C. Yen, F.-J. Chang, S. Chang, IEEE Trans. Image Process. 4 (1995)
        370).
    """
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if not high > low:
        return float("nan")
    scaled = (values.astype(np.float64) - low) / (high - low)  # so that no scale of the weights upsets a histogram
    if not np.ptp(scaled) > 0:
        return float("nan")
    from skimage import filters  # late: slow to import, and many need `Grains` alone

    if method not in METHODS:
        raise DataError(f"There is no threshold '{method}'; choose from {', '.join(METHODS)}.")
    return low + (high - low) * float(getattr(filters, f"threshold_{method}")(scaled))


def regions(mask: np.ndarray, min_size: int = 1) -> list[np.ndarray]:
    """The 8-connected regions of a mask (y, x) that have at least `min_size` pixels, as masks, by first pixel."""
    labels, count = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    return [labels == label for label in range(1, count + 1) if sizes[label] >= min_size]
