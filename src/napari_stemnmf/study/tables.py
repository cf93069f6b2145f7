"""The tables of a study as CSV files: all numbers, all scores, what the paper prints, the verdicts.

Rates are shares; units stand in the headers or in a column of their own. Leans on pandas and on the score tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from napari_stemnmf import files
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.grains.scoring import Scores, distributions, pairs, score_table
from napari_stemnmf.study.measures import QUANTITIES, to_table
from napari_stemnmf.study.outcome import Study
from napari_stemnmf.study.paper import PRINTED

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


def tables_of(study: Study) -> dict[str, pd.DataFrame]:
    """The tables, by the names of `TITLES`; those of scores only where a film has truth."""
    found = {
        "numbers": to_table(study.numbers),
        "thresholds": _thresholds(study),
        "paper": _printed(),
        "claims": claims_table(study),
        "grains": grains_table(study),
    }
    scores = all_scores(study)
    if scores:
        found |= {"scores": score_table(scores), "distributions": distributions(scores), "pairs": pairs(scores)}
    return found


def all_scores(study: Study) -> dict[tuple[str, str], Scores]:
    """The scores by film and feature."""
    return {(name, feature): s for name, film in study.films.items() for feature, s in film.scores.items()}


def claims_table(study: Study) -> pd.DataFrame:
    """One row a claim: what it says, the numbers, the verdict; then both with AA merged at other thresholds."""
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


def grains_table(study: Study) -> pd.DataFrame:
    """One row a grain: film, feature, and what was measured on it."""
    found = [
        table.assign(film=name, feature=feature)
        for name, film in study.films.items()
        for feature, table in film.analysis.tables.items()
    ]
    joined = pd.concat(found, ignore_index=True)
    return joined[["film", "feature", *(column for column in joined if column not in ("film", "feature"))]]


def write(study: Study) -> list[Path]:
    """Write the tables, and each film's settings beside its analysis; each file is whole or absent.

    Raises
    ------
    AnalysisError
        If one cannot be written.
    """
    return [*_written(tables_of(study), study.folder / FOLDER), *_recipes(study)]


def _written(tables: dict[str, pd.DataFrame], folder: Path) -> Iterable[Path]:
    for name, table in tables.items():
        target = folder / f"{name}.csv"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with files.atomic_write(target) as part:
                table.to_csv(part, index=False)
        except OSError as error:
            raise AnalysisError(f"{target} cannot be written: {error}.") from error
        yield target


def _thresholds(study: Study) -> pd.DataFrame:
    """The numbers of AA at each other threshold, one after another."""
    found = [
        to_table({key: number for key, number in variant.numbers.items() if key[1] == "aa"}).assign(
            aa_merged_at=threshold
        )
        for threshold, variant in study.variants.items()
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _recipes(study: Study) -> Iterable[Path]:
    for name, film in study.films.items():
        target = study.folder / name / RECIPE
        try:
            with files.atomic_write(target) as part:
                film.analysis.recipe.save(part)
        except OSError as error:
            raise AnalysisError(f"{target} cannot be written: {error}.") from error
        yield target


def _printed() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "film": p.film,
            "feature": p.feature,
            "quantity": p.quantity,
            "unit": "share" if QUANTITIES[p.quantity].unit == "%" else QUANTITIES[p.quantity].unit,
            "value": p.value,
            "where": p.where,
        }
        for p in PRINTED
    )
