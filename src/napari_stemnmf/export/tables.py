"""Tables as files: grains with their annotation by a review, as CSV or Parquet, and scores as CSV."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.chosen import wanted
from napari_stemnmf.files.writing import plain_name, result_file
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.measurement import not_measured
from napari_stemnmf.grains.scoring import ScoresByName, distributions, pairs, score_table

FORMATS = {"csv": "csv", "parquet": "parquet"}
"""Formats of tables, and the ends of their files' names."""
ANNOTATION = ("verdict", "class", "comment")
"""Columns that a review adds."""
FORMULA = re.compile(r"(^|[;\r\n])(?=[\s\0]*[=+\-@＝＋－＠])")
"""Where a spreadsheet sees a formula begin: in a cell, or after what parts cells and rows in some countries."""
SCORES = {"scores": score_table, "distributions": distributions, "pairs": pairs}
"""The tables of scores, by the names of their files."""


def write_tables(
    analysis: Analysis,
    directory: str | Path,
    format: Literal["csv", "parquet"] = "csv",
    grains: Literal["kept", "accepted", "all"] = "kept",
    features: Collection[str] | None = None,
) -> list[Path]:
    """Write ``grains-<feature>.csv`` or ``.parquet`` for every feature that was measured.

    Parameters
    ----------
    analysis : Analysis
    directory : str or path
        Made if need be.
    format : {"csv", "parquet"}
        Parquet needs pyarrow (the extra ``parquet``).
    grains : {"kept", "accepted", "all"}
        Which grains (`chosen.CHOICES`); features without one of these are left out.
    features : collection of str, optional
        Those to write, if they were measured; all of them if not given.

    Returns
    -------
    list of Path
        What was written, each whole.

    Raises
    ------
    AnalysisError
        If nothing was measured or accepted, grains were edited since they were measured, or a file cannot be written.
    """
    if format not in FORMATS:
        raise AnalysisError(f"Tables cannot be written as '{format}'; choose from {', '.join(FORMATS)}.")
    names = [name for name in analysis.tables if features is None or name in features]
    if not names:
        raise AnalysisError("No grains were measured yet; run Measure, then export.")
    tables = {name: table_of(analysis, name, grains) for name in names}
    tables = {name: table for name, table in tables.items() if len(table) or not len(analysis.grains[name])}
    if not tables and grains == "accepted":
        raise AnalysisError("No grain was accepted yet; accept grains in Review, or export all of them.")
    if not tables:
        raise AnalysisError("All grains were rejected; ask for all of them to export these too.")
    targets = {name: Path(directory) / f"grains-{plain_name(name)}.{FORMATS[format]}" for name in tables}
    for name, table in tables.items():
        with result_file(targets[name]) as part:
            try:
                to_csv(table, part) if format == "csv" else table.to_parquet(part, index=False)
            except ImportError:
                raise AnalysisError(
                    "Parquet files need pyarrow; write CSV, or have it by 'pip install \"napari-stemnmf[parquet]\"'."
                ) from None
    return list(targets.values())


def to_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV in UTF-8, its texts as `harmless` ones; numbers stay what they are."""
    texts = [name for name in table.columns if table[name].dtype.kind not in "biuf"]
    safe = table.assign(**{name: [harmless(value) for value in table[name]] for name in texts})
    safe.to_csv(path, index=False, encoding="utf-8", errors="backslashreplace")


def harmless(value: Any) -> Any:
    """A text of a cell that a spreadsheet takes for a text: what would be a formula has an apostrophe before it.

    A formula may start programs or fetch pages.
    """
    return FORMULA.sub(r"\1'", value) if isinstance(value, str) else value


def table_of(analysis: Analysis, feature: str, grains: str = "kept") -> pd.DataFrame:
    """What was measured of a feature's grains, a row each; where there is a review, with `ANNOTATION` as last columns.

    Raises
    ------
    AnalysisError
        If grains were edited since they were measured: their rows would be those of other grains.
    """
    table, review = analysis.tables[feature], analysis.reviews.get(feature)
    edited = _edited_since(analysis, feature)
    if edited.any():
        raise AnalysisError(
            f"{int(edited.sum())} of {len(edited)} grains of {feature.upper()} are not as they were when they were "
            "measured; run Measure, then export."
        )
    table = table.set_index("grain_id", drop=False).reindex(analysis.grains[feature].ids)
    table = table.astype(analysis.tables[feature].dtypes.to_dict()).reset_index(drop=True)
    if review is not None:
        verdicts = review.verdicts()
        for name in ANNOTATION:
            table[name] = verdicts[name].reindex(table["grain_id"]).to_numpy()
    return table[wanted(analysis, feature, grains)].reset_index(drop=True)


def write_scores(scores: ScoresByName, directory: str | Path) -> list[Path]:
    """Write ``scores.csv``, ``distributions.csv`` and ``pairs.csv`` into a folder, which is made if need be.

    Parameters
    ----------
    scores : mapping of (name of the analysis, feature) to Scores
    directory : str or path

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    AnalysisError
        If a file cannot be written.
    """
    targets = {name: Path(directory) / f"{name}.csv" for name in SCORES}
    for name, table in SCORES.items():
        with result_file(targets[name]) as part:
            to_csv(table(scores), part)
    return list(targets.values())


def _edited_since(analysis: Analysis, feature: str) -> np.ndarray:
    """Which grains have no row of their own in the table. Another recipe alone does not make a row stale."""
    grains, table, patterns = analysis.grains[feature], analysis.tables[feature], analysis.patterns.get(feature)
    if analysis.is_current(f"tables/{feature}", partial=True):
        return np.zeros(len(grains), bool)
    if patterns is not None and len(patterns.digests):
        return not_measured(grains, table, patterns, analysis.keys.get("survey", ""))
    areas = table.set_index("grain_id")["area_px"].reindex(grains.ids).to_numpy()  # a file from before digests
    return np.asarray(areas != grains.areas)


def write_labels(analysis: Analysis, feature: str, path: str | Path) -> None:
    """Write the dominant grain of each probe position, by its id.

    Raises
    ------
    AnalysisError
        If the feature has no grains, or the file cannot be written.
    """
    labels = _grains(analysis, feature).labels
    _write(analysis, feature, path, labels.astype(_kind(int(labels.max(initial=0)))), {}, axes="YX")


def write_label_stack(analysis: Analysis, feature: str, path: str | Path) -> None:
    """Write one plane a grain, its id inside its mask: nothing is lost where grains overlap.

    An ImageJ hyperstack with the axes (grain, scan_y, scan_x); the planes are named after the grains and, where a
    review has given them one, their classes.

    Raises
    ------
    AnalysisError
        If the feature has no grains, or the file cannot be written.
    """
    grains, review = _grains(analysis, feature), analysis.reviews.get(feature)
    if not len(grains):
        raise AnalysisError(f"{feature.upper()} has no grain to write; run Refine with other settings.")
    classes = [""] * len(grains) if review is None else review.verdicts()["class"].reindex(grains.ids).tolist()
    names = [f"grain {i} {kind}".rstrip() for i, kind in zip(grains.ids.tolist(), classes, strict=True)]
    kind = _kind(int(grains.ids.max()))
    planes = (grains.mask(row) * kind.type(grain) for row, grain in enumerate(grains.ids.tolist()))
    of = {"shape": (len(grains), *grains.scan_shape), "dtype": kind}
    _write(analysis, feature, path, planes, of, axes="ZYX", Labels=names)


def _grains(analysis: Analysis, feature: str) -> Grains:
    if feature not in analysis.grains:
        raise AnalysisError(f"There are no grains of {feature.upper()} yet; run Refine, then export.")
    return analysis.grains[feature]


def _in_imagej(unit: str) -> str:
    """A unit as ImageJ's description has it, which is ASCII and ends at a line's end."""
    return "".join(letter if " " <= letter <= "~" else f"\\u{ord(letter):04X}" for letter in unit)


def _kind(highest: int) -> np.dtype:
    """Of the types that ImageJ knows the one that holds labels up to the highest."""
    return np.dtype(np.uint16 if highest < 2**16 else np.float32)


def _write(
    analysis: Analysis, feature: str, path: str | Path, labels: Any, of: dict[str, Any], **metadata: Any
) -> None:
    """Labels as an array, or plane by plane with the shape and type `of` all."""
    import tifffile

    step_y, step_x = analysis.axes[:2]
    resolution = (1 / step_x.scale, 1 / step_y.scale)
    metadata = {"unit": _in_imagej(step_x.unit), **metadata}
    with result_file(path) as part:
        tifffile.imwrite(part, labels, imagej=True, resolution=resolution, metadata=metadata, **of)
