"""What is measured on an analysis, in the paper's terms and beside them: plain numbers with their spread.

One `Number` for each film, feature and quantity; the claims, the tables and the page all read them from here. Leans on
the scores, the grains' tables and pandas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.grains.refinement import Grains
from napari_stemnmf.grains.scoring import Scores, score
from napari_stemnmf.study.paper import ALL_FILMS


@dataclass(frozen=True)
class Quantity:
    """How a quantity is called and shown."""

    label: str
    unit: str = ""
    scale: float = 1.0
    digits: int = 0

    def show(self, value: float, error: float = float("nan")) -> str:
        """The value in its unit, with its standard error where there is one."""
        if not np.isfinite(value):
            return "–"
        seen = np.isfinite(error) and error * self.scale >= 0.5 * 10.0**-self.digits
        spread = f" ± {error * self.scale:.{self.digits}f}" if seen else ""
        return f"{value * self.scale:.{self.digits}f}{spread}{f' {self.unit}' if self.unit else ''}"


def _rate(label: str) -> Quantity:
    return Quantity(label, "%", 100.0, 1)


QUANTITIES: dict[str, Quantity] = {
    "n_true": Quantity("true grains"),
    "n_found": Quantity("grains found"),
    "n_true_hit": Quantity("true grains that are a best match"),
    "components": Quantity("components"),
    "columns": Quantity("columns of the feature matrix"),
    "precision_A": _rate("precision_A"),
    "FNR_A": _rate("FNR_A"),
    "FPR_A": _rate("FPR_A"),
    "TPR_G": _rate("mean TPR_G"),
    "TNR_G": _rate("mean TNR_G"),
    "mean_iou": Quantity("mean IoU, one to one", digits=3),
    "f1_iou50": Quantity("F1 at IoU > 0.5", digits=2),
    "recall_depth_1": _rate("recall where one true grain lies"),
    "recall_depth_2": _rate("recall where two overlap"),
    "recall_depth_3": _rate("recall where three or more overlap"),
    "dissimilarity": Quantity("mean dissimilarity", digits=1),
    "area_nm2": Quantity("mean area", "nm²", digits=1),
    "feret_max_nm": Quantity("mean maximum diameter", "nm", digits=1),
    "feret_spread_nm": Quantity("standard deviation of the maximum diameter", "nm", digits=1),
    "elongation": Quantity("mean ratio of major to minor axis", digits=2),
    "shared": _rate("covered positions with two grains or more"),
    "seconds": Quantity("processor time of the clustering", "s", digits=1),
}
"""All quantities, in the order of the tables; values are kept unscaled (rates as shares)."""


@dataclass(frozen=True)
class Number:
    """One measured number.

    `error` is the standard error of the mean over `n` grains; for ratios over positions and for spreads it is the
    jackknife's over the found grains; NaN for counts and totals, of which there is one.
    """

    film: str
    feature: str
    quantity: str
    value: float
    error: float = float("nan")
    n: int = 1


Numbers = Mapping[tuple[str, str, str], Number]
"""By film, feature (empty for the truth) and quantity."""


def numbers_of(measured: Iterable[Number]) -> Numbers:
    """The numbers by name."""
    return {(n.film, n.feature, n.quantity): n for n in measured}


def scores_of(analysis: Analysis, truth: np.ndarray | None) -> dict[str, Scores]:
    """The scores of every feature that gave grains; none without truth."""
    if truth is None:
        return {}
    return {feature: score(grains, truth) for feature, grains in analysis.grains.items()}


def measure(film: str, analysis: Analysis, scores: Mapping[str, Scores], truth: np.ndarray | None) -> list[Number]:
    """All numbers of one film.

    Parameters
    ----------
    film : str
        The name that the numbers go by.
    analysis : Analysis
        With grains and tables.
    scores : mapping of str to Scores
        Of each feature; empty without truth.
    truth : ndarray of bool, (t, scan_y, scan_x), or None
        The true grains.

    Raises
    ------
    AnalysisError
        If the scan has no calibrated step, so that there are no lengths.
    """
    found: list[Number] = []
    if truth is not None:
        found.append(Number(film, "", "n_true", len(truth)))
    for feature, grains in analysis.grains.items():
        found += [Number(film, feature, *rest) for rest in _of_feature(analysis, feature, grains)]
        if feature in scores and truth is not None:
            found += [Number(film, feature, *rest) for rest in _of_scores(scores[feature], grains, truth)]
    return found


def pooled(scores: Mapping[tuple[str, str], Scores]) -> list[Number]:
    """Mean TPR_G and TNR_G over all found grains of several films, by (film, feature): the film is "films"."""
    numbers = []
    for feature in dict.fromkeys(feature for _, feature in scores):
        for quantity in ("TPR_G", "TNR_G"):
            values = np.concatenate([s.distributions[quantity] for (_, f), s in scores.items() if f == feature])
            numbers.append(Number(ALL_FILMS, feature, quantity, *mean_of_grains(values)))
    return numbers


def to_table(numbers: Numbers) -> pd.DataFrame:
    """One row a number: film, feature, quantity, unit, value, standard error, count; rates as shares."""
    rows = [
        {
            "film": n.film,
            "feature": n.feature,
            "quantity": n.quantity,
            "unit": "share" if QUANTITIES[n.quantity].unit == "%" else QUANTITIES[n.quantity].unit,
            "value": n.value,
            "standard_error": n.error,
            "n": n.n,
        }
        for n in numbers.values()
    ]
    return pd.DataFrame(rows)


def mean_of_grains(values: np.ndarray) -> tuple[float, float, int]:
    """Mean, standard error and count of the values that are known."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return float("nan"), float("nan"), 0
    error = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else float("nan")
    return float(known.mean()), error, len(known)


def jackknife(values: np.ndarray) -> float:
    """Standard error of a statistic from its values with each of the n parts left out in turn."""
    known = values[np.isfinite(values)]
    count = len(known)
    return float(np.sqrt((count - 1) / count * np.square(known - known.mean()).sum())) if count > 1 else float("nan")


def _of_feature(analysis: Analysis, feature: str, grains: Grains) -> Iterator[tuple[str, float, float, int]]:
    table, none = analysis.tables[feature], float("nan")
    if "area_nm2" not in table:
        raise AnalysisError(f"{analysis.input.name} has no scan step in a unit of length; the study needs one.")
    yield "n_found", len(grains), none, 1
    yield "components", analysis.models[feature].W.shape[1], none, 1
    yield "columns", analysis.features[feature].values.shape[1], none, 1
    for name in ("area_nm2", "feret_max_nm", "dissimilarity"):
        yield name, *mean_of_grains(table[name].to_numpy())
    yield "elongation", *mean_of_grains((table["major_axis_nm"] / table["minor_axis_nm"]).to_numpy())
    diameters = table["feret_max_nm"].to_numpy()
    spread = float(diameters.std(ddof=1)) if len(diameters) > 1 else none
    yield "feret_spread_nm", spread, jackknife(_leaving_one(diameters, lambda d: d.std(ddof=1))), len(diameters)
    yield "shared", *_with_jackknife(grains, _shared)
    took = analysis.times.get(f"models/{feature}")
    if took is not None:
        yield "seconds", took.cpu, none, 1


_PLAIN_SCORES = (
    "n_true_hit", "FNR_A", "FPR_A", "mean_iou", "f1_iou50", "recall_depth_1", "recall_depth_2", "recall_depth_3",
)  # fmt: skip


def _of_scores(scores: Scores, grains: Grains, truth: np.ndarray) -> Iterator[tuple[str, float, float, int]]:
    plain, any_true = scores.as_dict(), np.asarray(truth.any(axis=0))
    for name in _PLAIN_SCORES:
        yield name, plain[name], float("nan"), 1
    yield "precision_A", *_with_jackknife(grains, lambda depth: _share(any_true, depth > 0))
    for name in ("TPR_G", "TNR_G"):
        yield name, *mean_of_grains(scores.distributions[name])


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float((part & whole).sum() / whole.sum()) if whole.any() else float("nan")


def _shared(depth: np.ndarray) -> float:
    return _share(depth > 1, depth > 0)


def _with_jackknife(grains: Grains, statistic: Callable[[np.ndarray], float]) -> tuple[float, float, int]:
    """A statistic of the number of grains at each position, and its spread when each grain is left out in turn."""
    depth = grains.masks.sum(axis=0, dtype=np.int64)
    without = np.array([statistic(depth - mask) for mask in grains.masks])
    return statistic(depth), jackknife(without), len(grains)


def _leaving_one(values: np.ndarray, statistic: Callable[[np.ndarray], float]) -> np.ndarray:
    if len(values) < 3:
        return np.full(len(values), np.nan)
    return np.array([statistic(np.delete(values, i)) for i in range(len(values))])
