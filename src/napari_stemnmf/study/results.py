"""What a study finds: its films, the numbers that are measured on them in the paper's terms, and the tables of all.

One `Number` for each film, feature and quantity; the claims, the tables and the page all read them from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.tables import to_csv
from napari_stemnmf.files.writing import result_file
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.scoring import Scores, distributions, pairs, score, score_table
from napari_stemnmf.study.claims import Judged
from napari_stemnmf.study.paper import ALL_FILMS, PRINTED, QUANTITIES, Number, Numbers
from napari_stemnmf.study.plan import Plan, key_of

ANALYSIS_NAME = "analysis.stemnmf.h5"
FOLDER = "tables"
RECIPE = "recipe.toml"
TITLES = {
    "numbers": "every measured number, with its standard error",
    "thresholds": "the same of AA merged at other thresholds",
    "paper": "every number that the paper prints, and where",
    "claims": "the verdicts",
    "grains": "every found grain: size, shape, place, overlap, dissimilarity",
    "scores": "all scores of each film and feature",
    "distributions": "TPR_G, TNR_G, FPR_G and FNR_G of every found grain",
    "pairs": "one-to-one pairs of found and true grains",
}
"""What each table holds, by the name of its file."""


@dataclass(frozen=True, eq=False)
class Variant:
    """A film with AA clustered at another merge threshold, and its scores by feature; no scores without truth."""

    analysis: Analysis
    scores: dict[str, Scores]


@dataclass(frozen=True, eq=False)
class Film:
    """One scan of the study, analysed."""

    name: str
    path: Path  # its file
    analysis: Analysis
    truth: np.ndarray | None  # (t, scan_y, scan_x) bool: the true grains; None where the file holds none
    scores: dict[str, Scores]  # by feature; empty without truth
    variants: dict[float, Variant]  # by merge threshold of AA
    dose: float | None = None  # electrons a pattern; None where the file does not state it

    @property
    def analysis_file(self) -> str:
        """Where its analysis is in the study's folder."""
        return f"{self.name}/{ANALYSIS_NAME}"

    @property
    def key(self) -> str:
        """Names everything that is drawn or counted from it."""
        found = [a.keys for a in (self.analysis, *(variant.analysis for variant in self.variants.values()))]
        return key_of(self.name, found, None if self.truth is None else (self.truth.shape, self.truth.tobytes()))


@dataclass(frozen=True, eq=False)
class Judgement:
    """Everything measured, and the verdicts on the paper's claims."""

    numbers: Numbers
    judged: list[Judged]


@dataclass(frozen=True, eq=False)
class Study:
    """What `reproduce` returns."""

    folder: Path  # where all of it is
    plan: Plan
    films: dict[str, Film]  # by name
    numbers: Numbers  # everything measured
    judged: list[Judged]  # the verdicts on the paper's claims
    variants: dict[float, Judgement]  # the same with AA merged at other thresholds
    done: list[str]  # steps that were not there yet, or not current


def scores_of(analysis: Analysis, truth: np.ndarray | None) -> dict[str, Scores]:
    """The scores of every feature that gave grains; none without truth."""
    if truth is None:
        return {}
    return {feature: score(grains, truth) for feature, grains in analysis.grains.items()}


def measure(film: str, analysis: Analysis, scores: Mapping[str, Scores], truth: np.ndarray | None) -> list[Number]:
    """All numbers of one film.

    `scores`, of each feature, are empty without `truth`, (t, scan_y, scan_x) bool. Raises `AnalysisError` if the scan
    has no calibrated step, so that there are no lengths.
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
    yield "components", analysis.models[feature].k, none, 1
    yield "columns", analysis.features[feature].values.shape[1], none, 1
    for name in ("area_nm2", "feret_max_nm", "dissimilarity"):
        yield name, *mean_of_grains(table[name].to_numpy())
    yield "elongation", *mean_of_grains((table["major_axis_nm"] / table["minor_axis_nm"]).to_numpy())
    diameters = table["feret_max_nm"].to_numpy()
    spread = float(diameters.std(ddof=1)) if len(diameters) > 1 else none
    fewer = [np.delete(diameters, i).std(ddof=1) if len(diameters) > 2 else none for i in range(len(diameters))]
    yield "feret_spread_nm", spread, jackknife(np.array(fewer)), len(diameters)
    yield "shared", *_with_jackknife(grains, lambda depth: _share(depth > 1, depth > 0))
    run_time = analysis.times.get(f"models/{feature}")
    if run_time is not None:
        yield "seconds", run_time.cpu, none, 1


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


def _with_jackknife(grains: Grains, statistic: Callable[[np.ndarray], float]) -> tuple[float, float, int]:
    """A statistic of the number of grains at each position, and its spread when each grain is left out in turn."""
    depth = grains.overlap.astype(np.int64)
    without = np.array([statistic(depth - grains.mask(row)) for row in range(len(grains))])
    return statistic(depth), jackknife(without), len(grains)


def tables_of(study: Study) -> dict[str, pd.DataFrame]:
    """The tables, by the names of `TITLES`; those of scores only where a film has truth."""
    again = [
        _number_table(n for n in variant.numbers.values() if n.feature == "aa").assign(aa_merged_at=threshold)
        for threshold, variant in study.variants.items()
    ]
    grains = [
        table.assign(film=name, feature=feature)
        for name, film in study.films.items()
        for feature, table in film.analysis.tables.items()
    ]
    joined = pd.concat(grains, ignore_index=True)
    first = ["film", "feature"]
    found = {
        "numbers": _number_table(study.numbers.values()),
        "thresholds": pd.concat(again, ignore_index=True) if again else pd.DataFrame(),
        "paper": _number_table(PRINTED.values())[[*first, "quantity", "unit", "value"]].assign(
            where=[number.where for number in PRINTED.values()]
        ),
        "claims": _claims_table(study),
        "grains": joined[[*first, *joined.columns.drop(first)]],
    }
    scores = {(name, feature): s for name, film in study.films.items() for feature, s in film.scores.items()}
    if scores:
        found |= {"scores": score_table(scores), "distributions": distributions(scores), "pairs": pairs(scores)}
    return found


def write_tables(study: Study) -> list[Path]:
    """Write the tables as CSV, and each film's settings beside its analysis; each file is whole or absent.

    Rates are shares; units stand in the headers or in a column of their own.

    Raises
    ------
    AnalysisError
        If one cannot be written.
    """
    written = []
    for name, table in tables_of(study).items():
        written.append(study.folder / FOLDER / f"{name}.csv")
        with result_file(written[-1]) as part:
            to_csv(table, part)
    for name, film in study.films.items():
        written.append(study.folder / name / RECIPE)
        film.analysis.recipe.save(written[-1])
    return written


def _number_table(numbers: Iterable[Number]) -> pd.DataFrame:
    """One row a number."""
    return pd.DataFrame(
        {
            "film": n.film,
            "feature": n.feature,
            "quantity": n.quantity,
            "unit": QUANTITIES[n.quantity].table_unit,
            "value": n.value,
            "standard_error": n.error,
            "n": n.n,
        }
        for n in numbers
    )


def _claims_table(study: Study) -> pd.DataFrame:
    """One row a claim: its text, the numbers, the verdict; then both with AA merged at other thresholds."""
    columns = {
        "claim": [one.claim.key for one in study.judged],
        "text": [one.claim.text for one in study.judged],
        "paper": [one.theirs for one in study.judged],
        "ours": [one.ours for one in study.judged],
        "verdict": [one.verdict.value for one in study.judged],
    }
    for threshold, variant in study.variants.items():
        columns[f"ours_aa_{threshold}"] = [one.ours for one in variant.judged]
        columns[f"verdict_aa_{threshold}"] = [one.verdict.value for one in variant.judged]
    return pd.DataFrame(columns)
