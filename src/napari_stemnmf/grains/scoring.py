"""Grains against truth: is there a grain, is it the right one, and is each found once?

Three questions, three groups of numbers (docs/method.md, "Scores against truth"):

- *area* (``_A``): any grain against any true grain, position by position (Bruefach, Ophus & Scott 2022, eq. 4);
- *grain* (``_G``): each found grain against its best match, the true grain that holds most of its weight (eq. 5);
  blind to missed and doubled grains;
- *one to one*: Hungarian matching by intersection over union (IoU), which is not blind to them.

Truth is a stack of masks that may overlap. In tables, grains have the numbers of label images: a found grain its id, a
true one its row + 1; 0 is the background, no grain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.touching import Touching

MATCH_IOU = 0.5
"""A one-to-one pair counts as found where its IoU is above this."""

DEPTHS = (1, 2, 3)
"""Overlap depths that recall is given for; the last stands for itself and all deeper."""

RATES = ("TPR_G", "TNR_G", "FPR_G", "FNR_G")
"""Rates of a found grain against its best match (Bruefach, Ophus & Scott 2022, eq. 5)."""

TN, TP, FP, FN = 0, 1, 2, 3
"""Classes of a position: in neither of a found and a true grain, in both, only found, only true."""

MEANINGS = {
    "precision_A": "of the positions where any grain was found: the share where any true grain is",
    "TPR_A": "of the positions with any true grain: the share where any grain was found",
    "TNR_A": "of the positions without a true grain: the share where none was found",
    "FPR_A": "of the positions without a true grain: the share where a grain was found",
    "FNR_A": "of the positions with any true grain: the share where none was found",
    "TPR_G": "of the positions of the best match: the share in the found grain; mean over the found grains",
    "TNR_G": "of the positions outside the best match: the share outside the found grain; mean over the found grains",
    "FPR_G": "of the positions outside the best match: the share in the found grain; mean over the found grains",
    "FNR_G": "of the positions of the best match: the share outside the found grain; mean over the found grains",
    "n_true": "true grains",
    "n_found": "found grains",
    "n_true_hit": "true grains that are the best match of at least one found grain",
    "mean_iou": "intersection over union of the true grains with their one-to-one partners, 0 where missed; mean",
    "f1_iou50": f"F1 of the one-to-one pairs with an intersection over union above {MATCH_IOU:g}",
    "recall_depth_1": "share of the true grains' positions that their partners hold, where one true grain lies",
    "recall_depth_2": "the same where two true grains lie on one another",
    "recall_depth_3": "the same where three or more true grains lie on one another",
}
"""Meaning of each plain number of `Scores`, in its order; shares run from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Scores:
    """How well grains agree with truth. A rate whose denominator is empty is NaN.

    Found and true grains without a single position are left out of every count; indices are rows of what was given.

    Attributes
    ----------
    precision_A, TPR_A, ..., n_true, n_found, ..., f1_iou50 : float or int
        As `MEANINGS` explains them. The rates of grains (``_G``) are means of `distributions`.
    recall_by_depth : dict
        For each number of true grains at a position (the last: or more), the share of their claims on positions that
        their one-to-one partners meet; NaN where no position is so deep.
    distributions : dict of str to ndarray, (n_found,)
        TPR_G, TNR_G, FPR_G, FNR_G of each found grain. A grain that touches no true grain has TPR_G 0 and FNR_G 1,
        and its whole area is false against the whole scan.
    ids : ndarray of int
        Id of each found grain that was given, by row.
    found : ndarray of int, (n_found,)
        Row of each found grain that was scored.
    true : ndarray of int, (n_true,)
        Row of each true grain that was scored.
    best_match : ndarray of int, (n_found,)
        Row of the best match of each found grain in the truth; -1 if it touches no true grain.
    best_iou : ndarray, (n_found,)
        IoU of each found grain with its best match; 0 if it touches no true grain.
    pairs : ndarray of int, (p, 2)
        One-to-one pairs (row of the found grain, row of the true grain) that overlap, by row of the true grain.
    pair_iou : ndarray, (p,)
        IoU of each pair.
    """

    precision_A: float  # noqa: N815
    TPR_A: float
    TNR_A: float
    FPR_A: float
    FNR_A: float
    TPR_G: float
    TNR_G: float
    FPR_G: float
    FNR_G: float
    n_true: int
    n_found: int
    n_true_hit: int
    mean_iou: float
    f1_iou50: float
    recall_by_depth: dict[int, float]
    distributions: dict[str, np.ndarray]
    ids: np.ndarray
    found: np.ndarray
    true: np.ndarray
    best_match: np.ndarray
    best_iou: np.ndarray
    pairs: np.ndarray
    pair_iou: np.ndarray

    @property
    def missed(self) -> np.ndarray:
        """Rows of the true grains that are the best match of no found grain, (n_true - n_true_hit,)."""
        return np.setdiff1d(self.true, self.best_match)

    def as_dict(self) -> dict[str, float | int]:
        """The plain numbers, by name; recall by depth as ``recall_depth_1``, ``_2``, ``_3`` (three or deeper)."""
        values = {name: getattr(self, name) for name in MEANINGS if not name.startswith("recall")}
        return values | {f"recall_depth_{depth}": recall for depth, recall in self.recall_by_depth.items()}


ScoresByName = Mapping[tuple[str, str], Scores]
"""Scores by the name of the analysis (the film) and the feature."""


def score(grains: Grains | Any, truth: Grains | Any, weights: Any = None) -> Scores:
    """Score grains against true grains.

    Parameters
    ----------
    grains : Grains or ndarray, (g, scan_y, scan_x)
        What was found; masks alone get weights of 1.
    truth : Grains or ndarray, (t, scan_y, scan_x)
        True masks; they may overlap.
    weights : ndarray, (g, scan_y, scan_x), optional
        Weights of masks that come as an array; those outside a mask are not counted.

    Returns
    -------
    Scores

    Raises
    ------
    DataError
        If masks have not three axes, the two are of different scans, or a weight is negative or not finite.

    Notes
    -----
    The best match of a found grain is the true grain with the largest sum of the found grain's weights inside it; of
    equals, the one with the higher IoU, then the lower row. The one-to-one pairs are those of the largest sum of IoU
    (Hungarian method).
    """
    found = grains if isinstance(grains, Grains) and weights is None else _as_grains(grains, weights, "found")
    known = truth if isinstance(truth, Grains) else _as_grains(truth, None, "true")
    if found.scan_shape != known.scan_shape:
        raise DataError(
            f"The grains are of a scan of {found.scan_shape[0]} x {found.scan_shape[1]} positions, the truth is of "
            f"one of {known.scan_shape[0]} x {known.scan_shape[1]}; score grains against the truth of the same scan."
        )
    if not (np.isfinite(found.inside.data).all() and (found.inside.data >= 0).all()):
        raise DataError("Weights of the found grains are negative or not finite; give weights of 0 and more.")
    rows, true_rows = np.flatnonzero(found.areas), np.flatnonzero(known.areas)
    positions = found.scan_shape[0] * found.scan_shape[1]
    F, T = found.flat[rows], known.flat[true_rows]
    touching = Touching.of(F, T, csr_array(found.inside[rows], dtype=np.float64))
    found_area, true_area = np.asarray(F.sum(axis=1)), np.asarray(T.sum(axis=1))

    best, at = touching.best_match()
    hit = best >= 0
    best_iou, both = np.zeros(len(best)), np.zeros(len(best))
    best_iou[hit], both[hit] = touching.iou[at[hit]], touching.shared[at[hit]]
    grain_rates = _grain_rates(best, both, found_area, true_area, positions)
    row, column, pair_iou = touching.one_to_one()
    order = np.argsort(column, kind="stable")
    row, column, pair_iou = row[order], column[order], pair_iou[order]
    hits = int((pair_iou > MATCH_IOU).sum())
    return Scores(
        **_area_rates(found.overlap > 0, known.overlap > 0),
        **{name: _mean(values, len(values)) for name, values in grain_rates.items()},
        n_true=len(true_rows),
        n_found=len(rows),
        n_true_hit=len(np.unique(best[hit])),
        mean_iou=_mean(pair_iou, len(true_rows)),
        f1_iou50=_rate(2 * hits, len(rows) + len(true_rows)),
        recall_by_depth=_recall_by_depth(found, known, rows[row], true_rows[column]),
        distributions=grain_rates,
        ids=found.ids,
        found=rows,
        true=true_rows,
        best_match=np.where(hit, true_rows[best], -1) if len(true_rows) else best,
        best_iou=best_iou,
        pairs=np.stack([rows[row], true_rows[column]], axis=1),
        pair_iou=pair_iou,
    )


def score_table(scores: ScoresByName) -> pd.DataFrame:
    """One row for each analysis and feature: ``film``, ``feature``, then the numbers that `MEANINGS` explains."""
    rows = [{"film": film, "feature": feature, **found.as_dict()} for (film, feature), found in scores.items()]
    return pd.DataFrame(rows, columns=["film", "feature", *MEANINGS])


def distributions(scores: ScoresByName) -> pd.DataFrame:
    """One row for each found grain of each analysis and feature.

    Columns are ``film``, ``feature``; ``grain``, the number of the found grain; ``true_grain``, that of its best match,
    0 for none; the `RATES` and ``IoU`` of the two.
    """

    def rows(found: Scores) -> dict[str, Any]:
        rates = {name: found.distributions[name] for name in RATES}
        return {"grain": found.ids[found.found], "true_grain": found.best_match + 1, **rates, "IoU": found.best_iou}

    return _stacked(scores, ("grain", "true_grain", *RATES, "IoU"), rows)


def pairs(scores: ScoresByName) -> pd.DataFrame:
    """One row for each one-to-one pair: ``film``, ``feature``, numbers of the ``found`` and ``true`` grain, ``IoU``."""

    def rows(found: Scores) -> dict[str, Any]:
        return {"found": found.ids[found.pairs[:, 0]], "true": found.pairs[:, 1] + 1, "IoU": found.pair_iou}

    return _stacked(scores, ("found", "true", "IoU"), rows)


def confusion(found_mask: np.ndarray, true_mask: np.ndarray) -> np.ndarray:
    """Where a found grain is right, and how it is wrong.

    Parameters
    ----------
    found_mask, true_mask : ndarray of bool, (scan_y, scan_x)

    Returns
    -------
    ndarray of int8, (scan_y, scan_x)
        0 in neither (TN), 1 in both (TP), 2 only found (FP), 3 only true (FN).

    Raises
    ------
    DataError
        If the two are not of the same scan.
    """
    found, true = np.asarray(found_mask, bool), np.asarray(true_mask, bool)
    if found.shape != true.shape:
        raise DataError(f"A mask of shape {found.shape} cannot be compared with one of shape {true.shape}.")
    return np.select([found & true, found, true], [TP, FP, FN], TN).astype(np.int8)


def _stacked(scores: ScoresByName, columns: tuple[str, ...], rows: Callable[[Scores], dict[str, Any]]) -> pd.DataFrame:
    """The rows of all scores in one table, behind the columns ``film`` and ``feature``."""
    frames = [{"film": film, "feature": feature, **rows(found)} for (film, feature), found in scores.items()]
    if not frames:
        return pd.DataFrame(columns=["film", "feature", *columns])
    return pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)


def _as_grains(masks: Any, weights: Any, kind: str) -> Grains:
    if isinstance(masks, Grains):  # with other weights
        masks = masks.masks
    array = np.asarray(masks)
    if array.ndim != 3:
        raise DataError(
            f"The {kind} grains must be masks with the axes (grain, scan_y, scan_x), not the shape {array.shape}."
        )
    return Grains.from_masks(array, weights)


def _rate(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _mean(values: np.ndarray, count: int) -> float:
    return _rate(math.fsum(values), count)  # the order of the grains changes no digit


def _area_rates(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    both, only_found = int((found & true).sum()), int((found & ~true).sum())
    only_true, neither = int((~found & true).sum()), int((~found & ~true).sum())
    return {
        "precision_A": _rate(both, both + only_found),
        "TPR_A": _rate(both, both + only_true),
        "TNR_A": _rate(neither, neither + only_found),
        "FPR_A": _rate(only_found, neither + only_found),
        "FNR_A": _rate(only_true, both + only_true),
    }


def _grain_rates(
    best: np.ndarray, both: np.ndarray, found_area: np.ndarray, true_area: np.ndarray, positions: int
) -> dict[str, np.ndarray]:
    hit, true = best >= 0, np.zeros(len(best))
    true[hit] = true_area[best[hit]]
    false, negatives = found_area - both, positions - true
    return {
        "TPR_G": _rates(both, true, 0.0),
        "TNR_G": _rates(negatives - false, negatives),
        "FPR_G": _rates(false, negatives),
        "FNR_G": _rates(true - both, true, 1.0),
    }


def _rates(part: np.ndarray, whole: np.ndarray, undefined: float = float("nan")) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), undefined), where=whole > 0)


def _recall_by_depth(found: Grains, true: Grains, rows: np.ndarray, columns: np.ndarray) -> dict[int, float]:
    claims = true.overlap.ravel().astype(np.int64)
    depth = np.minimum(claims, DEPTHS[-1])
    met = np.zeros(depth.shape, np.int64)
    for row, column in zip(rows, columns, strict=True):
        met[np.intersect1d(found.part(row)[0], true.part(column)[0], assume_unique=True)] += 1
    return {d: _rate(int(met[depth == d].sum()), int(claims[depth == d].sum())) for d in DEPTHS}
