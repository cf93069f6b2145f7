"""Grains from groups of tracked spots: their outlines, how likely each is right, and what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.likelihood import Evidence, evidence, likelihood, reasons
from napari_stemnmf.grains.outlines import Outlines, outlines
from napari_stemnmf.grains.refinement import Grains
from napari_stemnmf.grains.scan_blur import scan_blur

LIKELY = 0.5
"""Least likelihood of a grain that is kept."""
LEAST_SIZE = 1
"""Positions of the smallest grain."""


@dataclass(frozen=True, eq=False)
class Tracked:
    """Grains from tracked spots, and how sure they are.

    Attributes
    ----------
    grains : Grains
        `component` is the group of each.
    probability : ndarray of float64, (grains,)
        That the outline is right: IoU above 0.5 with a true grain.
    reasons : tuple of str
        (grains,) what speaks most against each; empty where little does.
    blur : float
        Standard deviation of the scan's blur, positions.
    """

    grains: Grains
    probability: np.ndarray
    reasons: tuple[str, ...]
    blur: float


def judged(groups: Groups, features: Features, *, blur: float | None = None) -> tuple[Outlines, Evidence]:
    """Outline of each group, and what tells for and against it; the blur is estimated where none is given."""
    fields = csr_array(features.values.T)
    sigma, seen = (_along(features, name) for name in ("sigma", "detected"))
    seen.eliminate_zeros()
    if blur is None:
        blur = scan_blur(fields, sigma, groups.scan_shape)
    drawn = outlines(groups, fields, sigma, blur)
    q = np.stack([features.columns["q_y"], features.columns["q_x"]], axis=1)
    return drawn, evidence(groups, drawn, fields, seen, q, features.details["probe_radius"], features.details["beam"])


def outline(
    groups: Groups,
    features: Features,
    *,
    blur: float | None = None,
    least: float = LIKELY,
    least_size: int = LEAST_SIZE,
) -> Tracked:
    """The grains of groups of tracks.

    Parameters
    ----------
    groups : Groups
    features : Features
        The dark fields that were grouped.
    blur : float, optional
        Of the scan, positions; estimated where it is not given.
    least : float
        Likelihood of a grain from which it is kept.
    least_size : int
        Positions of the smallest grain.
    """
    drawn, found = judged(groups, features, blur=blur)
    p = likelihood(found)
    kept = np.flatnonzero((p >= least) & (found.area >= max(least_size, 1)))
    number = np.zeros(groups.k, np.int64)
    number[kept] = np.arange(1, len(kept) + 1)
    said = reasons(found, p, number)
    shape = len(kept), *groups.scan_shape
    masks = drawn.inside[kept].toarray().reshape(shape) > 0
    weights = drawn.maps[kept].toarray().reshape(shape)
    grains = Grains.from_masks(masks, weights, component=kept)
    return Tracked(grains, p[kept], tuple(said[g] for g in kept), drawn.blur)


def _along(features: Features, name: str) -> csr_array:
    """A detail of the features that goes along with their stored values, as a matrix (tracks, n)."""
    values = csr_array(features.values)
    detail = features.details[name].astype(np.float32)
    return csr_array((detail, values.indices.copy(), values.indptr.copy()), shape=values.shape).T.tocsr()
