"""Scores as CSV files. Leans on the score tables and on `storage` for files that are whole or absent."""

from __future__ import annotations

from pathlib import Path

from napari_stemnmf import storage
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.grains.scoring import ScoresByName, distributions, pairs, score_table

TABLES = {"scores": score_table, "distributions": distributions, "pairs": pairs}
"""The tables, by the names of their files."""


def write_scores(scores: ScoresByName, directory: str | Path) -> list[Path]:
    """Write ``scores.csv``, ``distributions.csv`` and ``pairs.csv``.

    Parameters
    ----------
    scores : mapping of (name of the analysis, feature) to Scores
    directory : str or path
        Made if need be.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    AnalysisError
        If a file cannot be written.
    """
    directory = Path(directory)
    written = []
    for name, table in TABLES.items():
        target = directory / f"{name}.csv"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with storage.atomic_write(target) as part:
                table(scores).to_csv(part, index=False)
        except OSError as error:
            raise AnalysisError(f"{target} cannot be written: {error}.") from error
        written.append(target)
    return written
