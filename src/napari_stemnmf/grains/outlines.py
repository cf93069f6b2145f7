"""From groups of tracks to grains: an outline for each, and how likely it is to be right."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.control import Control
from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.refinement import EIGHT_NEIGHBOURS, Grains
from napari_stemnmf.representation_settings import OutlineSettings

COEFFICIENTS = np.array([2.91, 2.157, 0.941, -1.493])


def outlined(
    groups: Groups,
    features: Features,
    settings: OutlineSettings | None = None,
    *,
    left_out: np.ndarray | None = None,
    control: Control | None = None,
) -> Grains:
    """The grains of groups of tracks."""
    settings = OutlineSettings() if settings is None else settings
    control = Control() if control is None else control
    maps = groups.maps
    masks, weights, component, confidence = [], [], [], []
    for k, values in enumerate(maps):
        control.check()
        mask = _largest(values > settings.level * values.max())
        own = groups.group == k
        about = np.array([0.5 * np.log(groups.peak[own].sum()), np.log(own.sum()), np.log(mask.sum()), 1.0])
        p = 1 / (1 + np.exp(-(about @ COEFFICIENTS)))
        if p >= settings.min_confidence and mask.sum() >= settings.min_size:
            masks.append(mask)
            weights.append(np.where(mask, values, 0))
            component.append(k)
            confidence.append(p)
    shape = (0, *groups.scan_shape)
    note = "" if masks else _why_none(groups)
    return Grains(
        np.array(masks) if masks else np.zeros(shape, bool),
        np.array(weights, np.float32) if masks else np.zeros(shape, np.float32),
        np.array(component, np.int64),
        np.arange(1, len(masks) + 1),
        np.full(groups.k, settings.level, np.float32),
        note,
        np.array(confidence, np.float32),
    )


def _why_none(groups: Groups) -> str:
    """Why there are no grains, in a sentence."""
    if not len(groups.group):
        return (
            "No grains: no Bragg spot is seen at several neighbouring positions, as in a vacuum or an amorphous film."
        )
    if not groups.k:
        return f"No grains: none of the {len(groups.group)} spots that were followed shares its footprint with another."
    return f"No grains: none of the {groups.k} groups of spots is likely enough to be one (min_confidence)."


def _largest(mask: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        mask = labels == sizes.argmax()
    return np.asarray(ndimage.binary_fill_holes(mask))
