"""Scores as tables: several analyses side by side, grain by grain, pair by pair.

In these tables grains are called by number, as in label images: a found grain by its id, a true one by its row + 1.
Number 0 is the background: no grain. Leans on `scoring` and pandas.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.scoring import MATCH_IOU, Scores

ScoresByName = Mapping[tuple[str, str], Scores]
"""Scores by the name of the analysis (the film) and the feature."""

RATES = ("TPR_G", "TNR_G", "FPR_G", "FNR_G")
"""Rates of a found grain against its best match (Bruefach, Ophus & Scott 2022, eq. 5)."""

TN, TP, FP, FN = 0, 1, 2, 3
"""What a position is to a found grain and a true one: in neither, in both, only found, only true."""

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
"""What each plain number of `Scores` says, in its order; shares run from 0 to 1."""


def score_table(scores: ScoresByName) -> pd.DataFrame:
    """One row for each analysis and feature.

    Parameters
    ----------
    scores : mapping of (name of the analysis, feature) to Scores

    Returns
    -------
    pandas.DataFrame
        ``film``, ``feature``, then all plain numbers of `Scores`, as `MEANINGS` explains them; NaN where a number is
        not defined.
    """
    rows = [{"film": film, "feature": feature, **found.as_dict()} for (film, feature), found in scores.items()]
    return pd.DataFrame(rows, columns=["film", "feature", *MEANINGS])


def distributions(scores: ScoresByName) -> pd.DataFrame:
    """One row for each found grain of each analysis and feature.

    Returns
    -------
    pandas.DataFrame
        ``film``, ``feature``; ``grain``, the number of the found grain; ``true_grain``, that of its best match, 0 for
        none; the `RATES` and ``IoU`` of the two.
    """
    frames = [
        {
            "film": film,
            "feature": feature,
            "grain": found.ids[found.found],
            "true_grain": found.best_match + 1,
            **{name: found.distributions[name] for name in RATES},
            "IoU": found.best_iou,
        }
        for (film, feature), found in scores.items()
    ]
    return _below_one_another(frames, ("film", "feature", "grain", "true_grain", *RATES, "IoU"))


def pairs(scores: ScoresByName) -> pd.DataFrame:
    """One row for each one-to-one pair: ``film``, ``feature``, numbers of the ``found`` and ``true`` grain, ``IoU``."""
    frames = [
        {
            "film": film,
            "feature": feature,
            "found": found.ids[found.pairs[:, 0]],
            "true": found.pairs[:, 1] + 1,
            "IoU": found.pair_iou,
        }
        for (film, feature), found in scores.items()
    ]
    return _below_one_another(frames, ("film", "feature", "found", "true", "IoU"))


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


def _below_one_another(frames: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    if not frames:
        return pd.DataFrame(columns=list(columns))
    return pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)
