"""Grains from groups of tracked spots: their outlines, how likely each is right, and what speaks against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import row
from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.control import Control
from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.likelihood import Evidence, evidence, likelihood, reasons
from napari_stemnmf.grains.outlines import Outlines, outlines
from napari_stemnmf.grains.scan_blur import scan_blur
from napari_stemnmf.grains.seams import borders
from napari_stemnmf.representation_settings import OutlineSettings

NOTHING = "no Bragg spot is seen at several neighbouring positions, as in a vacuum or an amorphous film"


def outlined(
    groups: Groups,
    features: Features,
    settings: OutlineSettings | None = None,
    *,
    left_out: np.ndarray | None = None,
    control: Control | None = None,
) -> Grains:
    """The grains of groups of tracks, with how likely each is right.

    Parameters
    ----------
    groups : Groups
    features : Features
        The dark fields that were grouped.
    settings : OutlineSettings
        Blur, level, and which grains are kept.
    left_out : ndarray of bool, (scan_y, scan_x), optional
        Positions of odd patterns: no grain is there.
    control : Control
        Checked for a cancel before each group.

    Returns
    -------
    Grains
        In the order of the groups, which are their components; ids are 1, 2, 3... The note tells a blur that was
        undone, or why there are none.
    """
    settings = OutlineSettings() if settings is None else settings
    drawn, found, p = judged(groups, features, settings, control=control)
    kept = np.flatnonzero((p >= settings.min_confidence) & (found.area >= max(settings.min_size, 1)))
    number = np.zeros(groups.k, np.int64)
    number[kept] = np.arange(1, len(kept) + 1)
    said = reasons(found, p, number)
    there = np.ones(drawn.inside.shape[1], bool) if left_out is None else ~left_out.ravel()
    return replace(
        Grains.of((_part(drawn, g, there) for g in kept.tolist()), groups.scan_shape, component=kept),
        thresholds=np.full(groups.k, settings.level, np.float32),
        confidence=p[kept].astype(np.float32),
        reasons=tuple(said[g] for g in kept),
        note=_told(features, drawn) if len(kept) else f"No grains: {why_none(groups, settings)}.",
    )


def _part(drawn: Outlines, index: int, there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of an outline and the weights there, without what is left out."""
    (at, inside), (known, values) = row(drawn.inside, index), row(drawn.maps, index)
    at = at[(inside > 0) & there[at]]
    weights = np.zeros(len(at), np.float32)
    _, of_grain, of_map = np.intersect1d(at, known, assume_unique=True, return_indices=True)
    weights[of_grain] = values[of_map]
    return at, weights


def _told(features: Features, drawn: Outlines) -> str:
    """What was done to the scan, and what it is like, in sentences."""
    pooling = features.details.get("pooling", 0.0)
    pooled = f"Patterns were pooled over their neighbours (sigma {pooling:.1f} positions), as their disks are faint."
    blurred = f"The scan is blurred by {drawn.blur:.1f} positions (sigma), which the outlines undo."
    said = [pooled] * bool(pooling) + [blurred] * bool(drawn.blur) + [str(drawn.borders)]
    return " ".join(said).strip()


def judged(
    groups: Groups, features: Features, settings: OutlineSettings | None = None, *, control: Control | None = None
) -> tuple[Outlines, Evidence, np.ndarray]:
    """Outline of each group, what tells for and against it, and how likely it is right (groups,).

    The blur is estimated where none is set. The groups keep the last answer: which grains are kept may change then
    without all being outlined anew.
    """
    settings = OutlineSettings() if settings is None else settings
    asked = features, settings.blur, settings.level
    if groups.cache.get("asked") != asked:
        seams = borders(csr_array(features.values), features.details["sigma"], groups.scan_shape)
        fields, sigma = features.by_column("sigma")
        pooling = features.details.get("pooling", 0.0)  # blurs as well
        blur = max(scan_blur(fields, sigma, seams), pooling) if settings.blur is None else settings.blur
        drawn = outlines(groups, fields, sigma, blur, settings.level, borders=seams, control=control)
        found = evidence(groups, drawn, fields)
        groups.cache.update(asked=asked, judged=(drawn, found, likelihood(found)))
    answer: tuple[Outlines, Evidence, np.ndarray] = groups.cache["judged"]
    return answer


def why_none(groups: Groups, settings: OutlineSettings) -> str:
    """Why no group is a grain."""
    tracks = len(groups.group)
    if not tracks:
        return NOTHING
    if not groups.k:
        return f"none of the {tracks} spots that were followed shares its footprint with another"
    least = f"min_confidence = {settings.min_confidence:g}, min_size = {settings.min_size}"
    return f"none of the {groups.k} groups of spots is likely and large enough ({least})"
