"""How far the grains of one random start are found again from the others.

Every seed's components give its maps, and those its grains, cut as Refine cuts them; a grain is stable where each seed
has one of nearly the same positions. Leans on `ensemble` (the seeds) and `refinement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.clustering.ensemble import Ensemble, FeatureMatrix
from napari_stemnmf.clustering.hals import weights
from napari_stemnmf.clustering.iterative_nmf import SeedRecord
from napari_stemnmf.clustering.matrix import check_matrix
from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.control import Control
from napari_stemnmf.grains.flat import flat_masks
from napari_stemnmf.grains.refinement import Grains, refine
from napari_stemnmf.recipe import RefinementSettings, ScalingSettings
from napari_stemnmf.threads import default_workers, in_order, one_blas_thread

_known: WeakKeyDictionary[Ensemble, tuple[RefinementSettings, list[csr_array]]] = WeakKeyDictionary()


def stability(
    grains: Grains,
    model: Ensemble,
    features: FeatureMatrix,
    scaling: ScalingSettings,
    refinement: RefinementSettings,
    *,
    workers: int | None = None,
    control: Control | None = None,
) -> np.ndarray:
    """Stability of each grain: the mean, over the other finished seeds, of its best IoU with a grain of that seed.

    The grains of the seeds are kept in memory as long as the model is, so that asking again after an edit is quick.

    Parameters
    ----------
    grains : Grains
        Of the chosen seed, edited or not.
    model : Ensemble
        All seeds.
    features : object with ``values`` (n, m) and ``scan_shape``
        What the model was fitted to, before scaling.
    scaling : ScalingSettings
    refinement : RefinementSettings
        How Refine cuts maps into grains.
    workers : int, optional
        Seeds that are worked at side by side; does not change the result.
    control : Control, optional
        Progress in seeds; a cancel is noticed within one sweep or map.

    Returns
    -------
    ndarray, (g,)
        0 to 1; NaN where there is no other seed.
    """
    known = _known.get(model)
    if known is None or known[0] != refinement:
        found = seed_grains(model, features, scaling, refinement, workers=workers, control=control)
        known = _known[model] = (refinement, found)
    return mean_best_iou(flat_masks(grains.masks), known[1])


def seed_grains(
    model: Ensemble,
    features: FeatureMatrix,
    scaling: ScalingSettings,
    refinement: RefinementSettings,
    *,
    workers: int | None = None,
    control: Control | None = None,
) -> list[csr_array]:
    """The masks (grains, positions) of each seed that was finished, but for the chosen one."""
    control = Control() if control is None else control
    seeds = [s for s in model.seeds if s.status != "cancelled" and s.k > 0 and s.seed != model.seed]
    if not seeds:
        return []
    with one_blas_thread():
        V = check_matrix(scale(features.values, scaling).values)

        def grains_of(seed: SeedRecord) -> csr_array:
            maps = np.ascontiguousarray(weights(V, seed.H, control=control).T)
            return flat_masks(refine(maps.reshape(-1, *model.scan_shape), refinement, control=control).masks)

        found = []
        for masks in in_order(grains_of, seeds, workers or default_workers()):
            found.append(masks)
            control.report(len(found), len(seeds), f"grains of seed {len(found)} of {len(seeds)}")
    return found


def mean_best_iou(grains: csr_array, others: Sequence[csr_array]) -> np.ndarray:
    """For each grain, the mean over all sets of others of the best intersection over union.

    Parameters
    ----------
    grains : (g, n) sparse array of int
        Masks, a row each.
    others : sequence of (h, n) sparse array of int
        Sets of masks; one without any counts as an IoU of 0.

    Returns
    -------
    ndarray, (g,)
        NaN if there is no other set.
    """
    if not others:
        return np.full(grains.shape[0], np.nan)
    area = np.asarray(grains.sum(axis=1))
    best = np.zeros((len(others), grains.shape[0]))
    for row, masks in enumerate(others):
        shared = (grains @ masks.T).toarray()
        union = area[:, None] + np.asarray(masks.sum(axis=1)) - shared
        best[row] = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0).max(axis=1, initial=0)
    return best.mean(axis=0)
