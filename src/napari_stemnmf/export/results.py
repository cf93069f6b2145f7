"""What is written of an analysis into a folder: what Export is asked for, and what a run leaves.

`export` (the shell, the dock, Python) writes what is asked for and collects what could not be written; `write_results`
(runs and exported scripts) writes what every run leaves, and stops at the first error. What can be written is the table
in `formats`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.export.chosen import chosen
from napari_stemnmf.export.formats import FORMATS, Format, Source, Task, chosen_formats
from napari_stemnmf.export.record import recorded, tidy
from napari_stemnmf.files.writing import make_folder, plain_name
from napari_stemnmf.resuming import still_the_same
from napari_stemnmf.texts import why

OF_A_RUN = ("csv", "labels", "overviews", "recipe")
"""The formats that every run leaves."""
TICKED = tuple(row.name for row in FORMATS if row.ticked)
"""The formats that are written where none is asked for."""


class Exported(NamedTuple):
    """What became of the requests."""

    written: list[Path]
    left_out: list[str]
    """A sentence on each thing that could not be written."""


def export(
    analysis: Analysis,
    directory: str | Path,
    to: Iterable[str] = TICKED,
    *,
    grains: str = "kept",
    dataset: Dataset | None = None,
    options: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Exported:
    """Write an analysis in some formats into a folder, which is made if need be; each file is whole or absent.

    Parameters
    ----------
    analysis : Analysis
    directory : str or path
    to : iterable of str
        Names of `formats.FORMATS`.
    grains : {"kept", "accepted", "all"}
        Which grains (`chosen.CHOICES`): all but rejected ones, accepted ones only, or all. From the analysis file and
        the script nothing is left out.
    dataset : Dataset, optional
        The scan; some figures show patterns where it is available.
    options : mapping, optional
        What the scan was opened with, for the script.
    control : Control, optional
        Progress after each file; a request to stop is heeded between files.

    Raises
    ------
    AnalysisError
        If the folder cannot be made, or there is no such format or choice.
    Cancelled
        If the user asked to stop; what was written stays.
    """
    rows, shown = chosen_formats(to), chosen(analysis, grains)
    directory, control = make_folder(directory), (control or Control()).for_stage("Export")
    still_the_same(analysis, dataset)
    tasks = list(_tasks(rows, Source(analysis, shown, grains, None, dataset, options or {}), directory))
    done = Exported([], [])
    if not shown.grains and any(row.each for row in rows):
        done.left_out.append(_no_grains(analysis, grains))
    for i, (path, write) in enumerate(tasks):
        control.check()
        control.report(i, len(tasks), path.name)
        try:
            done.written.extend(write())
        except StemNMFError as error:
            done.left_out.append(str(error))
        except OSError as error:
            done.left_out.append(f"{path} cannot be written: {why(error)}.")
    control.report(len(tasks), len(tasks))
    return done


def write_results(analysis: Analysis, directory: str | Path, former: Analysis | None = None) -> list[Path]:
    """Write ``grains-<feature>.csv``, ``labels-<feature>.tif``, ``overview-<feature>.png`` and ``recipe.toml``.

    Each file is whole or absent. Labels are those of the dominant grain; the table's column ``grain_id`` names them.
    Where grains were reviewed, the table has what was decided, and rejected ones are left out. Features that the
    recipe leaves out, and that are kept for the review's sake, are not written. Files that an earlier run has left
    there and that are not of this analysis are removed, with a warning; others are never touched.

    Parameters
    ----------
    analysis : Analysis
    directory : str or path
        Made if need be.
    former : Analysis, optional
        What the folder held before, to know what a version before 0.5 wrote there, which kept no record of that.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    AnalysisError
        If grains are not as they were when they were measured, or a file cannot be written.
    """
    grains = {name: found for name, found in analysis.grains.items() if name in analysis.recipe.features}
    measured = [name for name in grains if name in analysis.tables]
    rows = [row for row in chosen_formats(OF_A_RUN) if measured or row.name != "csv"]
    shown, folder = chosen(replace(analysis, grains=grains)), make_folder(directory)
    source = Source(analysis, shown, features=measured)
    before = recorded(folder)
    written = [path for _, write in _tasks(rows, source, folder) for path in write()]
    tidy(folder, written, before, [] if former is None else _names_of(former))
    return written


def _names_of(analysis: Analysis) -> list[str]:
    """The names of all files that `write_results` can have written of an analysis."""
    names = [row.file for row in chosen_formats(OF_A_RUN)]
    return list(dict.fromkeys(name.format(feature=feature) for name in names for feature in analysis.grains))


def _no_grains(analysis: Analysis, grains: str) -> str:
    """Why there is none to be written."""
    if not any(len(found) for found in analysis.grains.values()):
        return "There are no grains yet; run Refine, then export."
    if grains == "accepted":
        return "No grain was accepted yet; accept grains in Review, or export all of them."
    return "All grains were rejected; ask for all of them to export these too."


def _tasks(rows: Iterable[Format], source: Source, directory: Path) -> Iterator[Task]:
    """What is to be written, by representation."""
    scan = plain_name(source.analysis.input.name)
    for each, group in groupby(rows, lambda row: row.each):
        of_group = list(group)
        for feature in source.shown.grains if each else ("",):
            for row in of_group:
                name = row.file.format(feature=plain_name(feature), scan=scan, figure="figure")
                yield from row.tasks(source, feature, directory / name)
