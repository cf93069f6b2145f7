"""From component maps to spatially distinct grains.

A component says where one kind of pattern is, and how much of it; two crystals of similar orientation share one.
Cutting each map at a threshold and into connected regions gives the grains (Bruefach, Ophus & Scott 2022, "Spatial and
Size Refinement"). Grains may overlap: the record is weighted regions (`grains.grains`), a label image only a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_stemnmf.clustering.crops import Crop
from napari_stemnmf.clustering.footprints import EIGHT_NEIGHBOURS
from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.representation_settings import RefinementSettings

METHODS = ("yen", "otsu", "li", "triangle")
"""How a threshold can be found, by the names of scikit-image."""


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
    parts, component = [], []
    thresholds = np.full(len(crops), np.nan, np.float32)
    for index, (crop, part) in enumerate(zip(crops, cuts, strict=True)):
        if part is None:
            continue
        thresholds[index] = part.threshold
        for region in regions_within(part.above, min_size):
            y, x = np.nonzero(region.values)
            y, x = y + region.top, x + region.left
            parts.append(((y + crop.top) * scan_shape[1] + x + crop.left, crop.values[y, x].astype(np.float32)))
            component.append(index)
    return Grains.of(parts, scan_shape, component=np.array(component, np.int64), thresholds=thresholds)


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
    found = []
    for region in regions_within(mask, min_size):
        whole = np.zeros(mask.shape, bool)
        whole[region.within] = region.values
        found.append(whole)
    return found


def regions_within(mask: np.ndarray, min_size: int = 1) -> list[Crop]:
    """The same, each in the smallest rectangle that holds it."""
    labels, count = ndimage.label(mask, structure=EIGHT_NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(labels)
    kept = [label for label in range(1, count + 1) if sizes[label] >= min_size]
    return [Crop(boxes[i - 1][0].start, boxes[i - 1][1].start, labels[boxes[i - 1]] == i) for i in kept]
