"""How far a grain can be trusted, and which grains to review first.

A grain is stable where the grains of every other random start hold one of nearly the same positions. Two pieces of one
crystal have similar patterns and touch: whoever reviews grains wants to see that neighbour. From these numbers comes
the order in which grains are reviewed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.clustering.ensemble import Ensemble, seed_maps
from napari_stemnmf.clustering.footprints import EIGHT_NEIGHBOURS
from napari_stemnmf.clustering.iterative_nmf import SeedRecord
from napari_stemnmf.control import Control
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.errors import DataError
from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.evidence import evidence, weighed
from napari_stemnmf.grains.grains import Grains, grown
from napari_stemnmf.grains.refinement import cuts_of
from napari_stemnmf.representation_settings import RefinementSettings, ScalingSettings
from napari_stemnmf.threads import default_workers, in_order, one_blas_thread

BEYOND = 1.5
"""Probe radii about the centre that are not compared: the direct beam is alike in all patterns."""

CRITERIA = ("overall", "confidence", "dissimilarity", "stability", "overlap")
"""Criteria that grains can be ordered by for a review."""


def stability(
    grains: Grains,
    model: Ensemble,
    features: Features,
    scaling: ScalingSettings,
    refinement: RefinementSettings,
    peaks: Peaks | None = None,
    calibration: Calibration | None = None,
    *,
    left_out: np.ndarray | None = None,
    workers: int | None = None,
    control: Control | None = None,
) -> np.ndarray:
    """Stability of each grain: the mean, over the other finished seeds, of its best IoU with a grain of that seed.

    The model keeps the grains of its seeds in memory, so that the next call, after an edit, is quick.

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
    left_out : ndarray of bool, (scan_y, scan_x), optional
        As for `refine`.
    peaks, calibration : optional
        The disks that Refine weighed the grains by.
    workers : int, optional
        Seeds that are worked on side by side; does not change the result.
    control : Control, optional
        Progress in seeds; a cancel is noticed within one sweep or map.

    Returns
    -------
    ndarray, (g,)
        0 to 1; NaN where there is no other seed.
    """
    settings, others = model.cache.get("seed grains", (None, []))
    if settings != refinement:
        others = seed_grains(
            model, features, scaling, refinement, peaks, calibration,
            left_out=left_out, workers=workers, control=control,
        )  # fmt: skip
        model.cache["seed grains"] = (refinement, others)
    return mean_best_iou(grains.flat, others)


def seed_grains(
    model: Ensemble,
    features: Features,
    scaling: ScalingSettings,
    refinement: RefinementSettings,
    peaks: Peaks | None = None,
    calibration: Calibration | None = None,
    *,
    left_out: np.ndarray | None = None,
    workers: int | None = None,
    control: Control | None = None,
) -> list[csr_array]:
    """The masks (grains, positions) of each seed that was finished, but for the chosen one."""
    control = Control() if control is None else control
    seeds = [s for s in model.seeds if s.status != "cancelled" and s.k > 0 and s.seed != model.seed]
    if not seeds:
        return []
    known = evidence(model, refinement, peaks, calibration, left_out)
    with one_blas_thread():
        maps_of = seed_maps(model, features, scaling, control=control)

        def grains_of(seed: SeedRecord) -> csr_array:
            crops = maps_of(seed)
            cuts = cuts_of(crops, refinement, left_out=left_out, control=control)
            return weighed(crops, cuts, refinement, known, model.scan_shape).flat

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
        shared = (grains @ masks.T).tocoo()  # of those that meet: of many grains, few do
        union = area[shared.row] + np.asarray(masks.sum(axis=1))[shared.col] - shared.data
        np.maximum.at(best[row], shared.row, shared.data / union)
    return best.mean(axis=0)


class Similarity(NamedTuple):
    """For each of g grains, the other one whose pattern is most similar."""

    ids: np.ndarray
    """(g,) int64, 0 where there is no other grain."""
    correlation: np.ndarray
    """(g,) Pearson's r of the square roots of the two patterns, -1 to 1; NaN where there is no other grain."""
    neighbour: np.ndarray
    """(g,) bool, whether the two touch or overlap."""


def most_similar(patterns: np.ndarray, grains: Grains, keep: np.ndarray | None = None) -> Similarity:
    """For each grain the neighbour whose pattern is most similar; of all grains where it has no neighbour.

    Neighbours overlap or touch, corners included. The square root makes the noise of counts even.

    Parameters
    ----------
    patterns : ndarray, (g, q_y, q_x)
        Mean pattern of each grain; values that are not finite count as 0.
    grains : Grains
    keep : ndarray of bool, (q_y, q_x), optional
        True = compare; `compared_pixels` gives those beyond the direct beam.

    Raises
    ------
    DataError
        If there are not as many patterns as grains, or none of their pixels is kept.
    """
    if len(patterns) != len(grains):
        raise DataError(f"There are {len(patterns)} patterns of {len(grains)} grains; measure the grains first.")
    if keep is not None and not keep.any():
        raise DataError("The mask leaves no pixel to compare patterns by.")
    count = len(grains)
    if count < 2:
        return Similarity(np.zeros(count, np.int64), np.full(count, np.nan), np.zeros(count, bool))
    values = _even(patterns, keep)
    touching = _touching(grains)
    best, r, has_neighbour = np.zeros(count, np.int64), np.zeros(count), np.zeros(count, bool)
    for i in range(count):
        near = touching.indices[touching.indptr[i] : touching.indptr[i + 1]]
        near = np.sort(near[near != i])
        has_neighbour[i] = len(near) > 0
        others = near if len(near) else np.delete(np.arange(count), i)
        alike = np.clip(values[others] @ values[i] if len(near) else np.delete(values @ values[i], i), -1.0, 1.0)
        best[i], r[i] = others[alike.argmax()], alike.max()
    return Similarity(grains.ids[best], r, has_neighbour)


def likeness(patterns: np.ndarray, keep: np.ndarray | None = None) -> float:
    """The least correlation of any two of some patterns (g, q_y, q_x), as `most_similar` compares them."""
    return float(_correlation(patterns, keep).min(initial=1.0))


def in_one_piece(grains: Grains) -> bool:
    """Whether grains are connected by those that overlap or touch, corners included."""
    from scipy.sparse.csgraph import connected_components  # late: napari starts without it

    return bool(connected_components(_touching(grains), directed=False)[0] <= 1)


def compared_pixels(geometry: Geometry) -> np.ndarray:
    """The pixels (q_y, q_x) that patterns are compared by: those that are kept and lie beyond the direct beam."""
    rows, columns = geometry.detector_shape
    y, x = np.ogrid[:rows, :columns]
    beyond = np.hypot(y - geometry.q_y, x - geometry.q_x) > BEYOND * geometry.probe_radius
    return beyond if geometry.mask is None else beyond & geometry.mask


def difference(pattern: np.ndarray, other: np.ndarray) -> np.ndarray:
    """A pattern minus another one scaled to the same sum: positive where the first is brighter; float32, in its counts.

    Parameters
    ----------
    pattern, other : ndarray, (q_y, q_x)
        Values that are not finite count as 0; a pattern without counts is not scaled.
    """
    first, second = (np.nan_to_num(p.astype(np.float64), nan=0, posinf=0, neginf=0) for p in (pattern, other))
    total = second.sum()
    return (first - second * (first.sum() / total if total > 0 else 1.0)).astype(np.float32)


def review_order(table: pd.DataFrame, by: str = "overall") -> tuple[np.ndarray, np.ndarray]:
    """Grains by review priority: those first whose numbers say that something may be wrong with them.

    Parameters
    ----------
    table : DataFrame
        One row a grain, as `measurement.measure` gives it; columns that are missing count as unknown.
    by : {"overall", "confidence", "dissimilarity", "stability", "overlap"}
        1 - the probability that it is right; dissimilarity of its patterns, from 0 for the least of all grains to 1 for
        the largest; 1 - stability across the seeds; the share of its positions that other grains hold too; or the
        probability, and where none is known the mean of the others that are.

    Returns
    -------
    ids : ndarray of int64, (g,)
        Highest priority first, equal ones in the order of the table, and grains of which nothing is known last.
    scores : ndarray, (g,)
        Priority from 0 to 1, in the same order; NaN where nothing is known.

    Raises
    ------
    DataError
        If there is no such criterion.
    """
    if by not in CRITERIA:
        raise DataError(f"Grains cannot be ranked by '{by}'; choose from {', '.join(CRITERIA)}.")
    known = table.reindex(columns=["confidence", "dissimilarity", "stability", "overlap_fraction"]).astype(np.float64)
    scores = pd.DataFrame(
        {
            "dissimilarity": _relative(known["dissimilarity"].to_numpy()),
            "stability": 1 - known["stability"].to_numpy(),
            "overlap": known["overlap_fraction"].to_numpy(),
        }
    )
    scores["confidence"] = 1 - known["confidence"].to_numpy()
    others = scores.drop(columns="confidence").mean(axis=1)
    score = (scores["confidence"].fillna(others) if by == "overall" else scores[by]).to_numpy()
    order = np.argsort(-score, kind="stable")  # NaN comes last
    return table["grain_id"].to_numpy(np.int64)[order], score[order]


def _correlation(patterns: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """Pearson's r of the square roots of all pairs, (g, g) float64; 0 with a pattern without contrast."""
    values = _even(patterns, keep)
    return np.asarray(np.clip((values @ values.T).astype(np.float64), -1.0, 1.0))


def _even(patterns: np.ndarray, keep: np.ndarray | None) -> np.ndarray:
    """Square roots less their mean, of unit length: (g, pixels) float32, of which products are Pearson's r."""
    flat = patterns.reshape(len(patterns), -1) if keep is None else patterns[:, keep]
    values = np.sqrt(np.clip(np.nan_to_num(flat, nan=0, posinf=0, neginf=0), 0, None), dtype=np.float32)
    values -= values.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    values *= np.divide(1.0, length, out=np.zeros_like(length), where=length > 0).astype(np.float32)[:, None]
    return values


def _touching(grains: Grains) -> csr_array:
    """(g, g) what is stored: pairs of grains that share a position or hold neighbouring ones."""
    return csr_array(grains.flat @ grown(grains, 1, EIGHT_NEIGHBOURS).T)


def _relative(values: np.ndarray) -> np.ndarray:
    """Values from 0 for the smallest to 1 for the largest; 0 where all are equal."""
    known = values[np.isfinite(values)]
    spread = np.ptp(known) if len(known) else 0.0
    return (values - known.min()) / spread if spread > 0 else np.where(np.isfinite(values), 0.0, np.nan)
