"""Everything that one may want to take home of an analysis, in one folder; and what could not be written.

Leans on the writers beside it and on the catalogue of figures, which it imports late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from napari_stemnmf import storage
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import AnalysisError, StemNMFError
from napari_stemnmf.export.labels import write_label_stack, write_labels
from napari_stemnmf.export.tables import write_tables
from napari_stemnmf.files import FILE_SUFFIX
from napari_stemnmf.grains.review import ACCEPTED


@dataclass(frozen=True)
class Requests:
    """What to export.

    Attributes
    ----------
    tables : {"", "csv", "parquet"}
        Format of the tables of grains; empty for none.
    labels, stacks : bool
        TIFF of the dominant grain, and with one plane a grain.
    figures : bool
        Every figure of the catalogue that needs no truth, as PDF and PNG.
    recipe, script, analysis : bool
        ``recipe.toml``, ``repeat.py`` and the analysis file.
    accepted_only : bool
        Leave out grains that no review has accepted; from the analysis file nothing is left out.
    """

    tables: Literal["", "csv", "parquet"] = "csv"
    labels: bool = True
    stacks: bool = False
    figures: bool = False
    recipe: bool = True
    script: bool = False
    analysis: bool = False
    accepted_only: bool = False


class Exported(NamedTuple):
    """What became of the requests."""

    written: list[Path]
    left_out: list[str]
    """A sentence on each thing that could not be written."""


def export(
    analysis: Analysis,
    directory: str | Path,
    requests: Requests,
    *,
    dataset: Dataset | None = None,
    options: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Exported:
    """Write what is requested for into a folder, which is made if need be; each file is whole or absent.

    Parameters
    ----------
    analysis : Analysis
    directory : str or path
    requests : Requests
    dataset : Dataset, optional
        The scan; some figures show patterns where it is at hand.
    options : mapping, optional
        What the scan was opened with, for the script.
    control : Control, optional
        Progress after each file; a request to stop is heeded between files.

    Raises
    ------
    AnalysisError
        If the folder cannot be made.
    Cancelled
        If the user asked to stop; what was written stays.
    """
    directory, control = Path(directory), (control or Control()).for_stage("Export")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnalysisError(f"The folder {directory} cannot be made: {error.strerror or error}.") from error
    tasks = list(_tasks(analysis, directory, requests, dataset, dict(options or {})))
    done = Exported([], [])
    for i, (name, write) in enumerate(tasks):
        control.check()
        control.report(i, len(tasks), name)
        try:
            done.written.extend(write())
        except StemNMFError as error:
            done.left_out.append(str(error))
        except OSError as error:
            done.left_out.append(f"{directory / name} cannot be written: {error.strerror or error}.")
    control.report(len(tasks), len(tasks))
    return done


def accepted(analysis: Analysis) -> Analysis:
    """The analysis with only those grains that were accepted, and features that have any."""
    grains, tables = {}, {}
    for name, found in analysis.grains.items():
        review = analysis.reviews.get(name)
        keep = np.zeros(len(found), bool) if review is None else (review.verdicts()["verdict"] == ACCEPTED).to_numpy()
        if not keep.any():
            continue
        grains[name] = replace(
            found,
            masks=found.masks[keep],
            weights=found.weights[keep],
            component=found.component[keep],
            ids=found.ids[keep],
        )
        if name in analysis.tables:
            table = analysis.tables[name]
            tables[name] = table[table["grain_id"].isin(grains[name].ids)].reset_index(drop=True)
    return replace(analysis, grains=grains, tables=tables, patterns={})


Task = tuple[str, Callable[[], list[Path]]]
"""What is written, and the function that does so."""


def _tasks(
    analysis: Analysis, directory: Path, requests: Requests, dataset: Dataset | None, options: dict[str, Any]
) -> Iterator[Task]:
    shown = accepted(analysis) if requests.accepted_only else analysis
    kind = requests.tables
    if kind:
        yield "tables", lambda: write_tables(analysis, directory, kind, requests.accepted_only)
    for on, prefix, write in (
        (requests.labels, "labels", write_labels),
        (requests.stacks, "stack", write_label_stack),
    ):
        for feature in shown.grains if on else ():
            yield f"{prefix}-{feature}.tif", _writer(write, shown, feature, directory / f"{prefix}-{feature}.tif")
    if requests.figures:
        yield from _figures(shown, directory, dataset)
    if requests.recipe:
        yield "recipe.toml", lambda: _text(directory / "recipe.toml", analysis.recipe.to_toml())
    if requests.script:
        yield "repeat.py", lambda: _script(analysis, directory / "repeat.py", options)
    if requests.analysis:
        target = directory / f"{analysis.input.name}{FILE_SUFFIX}"
        yield target.name, lambda: _saved(analysis, target)


def _writer(write: Callable[..., None], analysis: Analysis, feature: str, target: Path) -> Callable[[], list[Path]]:
    def task() -> list[Path]:
        write(analysis, feature, target)
        return [target]

    return task


def _figures(analysis: Analysis, directory: Path, dataset: Dataset | None) -> Iterator[Task]:
    """Every figure of one analysis that needs no truth; one for each representation where it is of one."""
    from napari_stemnmf.figures.catalogue import CATALOGUE

    for name, entry in CATALOGUE.items():
        if entry.needs_truth:
            continue
        for feature in analysis.grains if entry.needs_feature else ("",):
            stem = f"{name}-{feature}" if feature else name
            yield f"{stem}.pdf", _figure(analysis, name, feature, directory / stem, dataset)


def _figure(
    analysis: Analysis, name: str, feature: str, stem: Path, dataset: Dataset | None
) -> Callable[[], list[Path]]:
    def task() -> list[Path]:
        from napari_stemnmf.figures import catalogue, style

        scans = {} if dataset is None else {analysis.input.name: dataset}
        drawn = catalogue.draw(name, {analysis.input.name: analysis}, datasets=scans, feature=feature or None)
        return style.save(drawn, stem)

    return task


def _script(analysis: Analysis, target: Path, options: dict[str, Any]) -> list[Path]:
    from napari_stemnmf.export.script import script

    return _text(target, script(analysis, options=options))


def _text(target: Path, text: str) -> list[Path]:
    with storage.atomic_write(target) as part:
        part.write_text(text, encoding="utf-8")
    return [target]


def _saved(analysis: Analysis, target: Path) -> list[Path]:
    analysis.save(target)
    return [target]
