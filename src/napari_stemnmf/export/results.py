"""Everything that can be written of an analysis, in one list; what a run leaves in its folder, and what Export writes.

A row of `OUTPUTS` says which request it belongs to, the name of its file and what writes it. `export` (the dock) writes
what is requested and collects what could not be written; `write_results` (the shell and exported scripts) requests what
every run leaves, and stops at the first error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.export.chosen import chosen
from napari_stemnmf.export.record import recorded, tidy
from napari_stemnmf.export.tables import write_label_stack, write_labels, write_tables
from napari_stemnmf.figures.catalogue import CATALOGUE, draw
from napari_stemnmf.files.writing import FILE_SUFFIX, make_folder, plain_name, result_file, write_text
from napari_stemnmf.resuming import still_the_same
from napari_stemnmf.texts import why


@dataclass(frozen=True)
class Requests:
    """What to export.

    Attributes
    ----------
    tables : {"", "csv", "parquet"}
        Format of the tables of grains; empty for none.
    labels, stacks : bool
        TIFF of the dominant grain, and with one plane a grain.
    overviews : bool
        A picture of each representation, ``overview-<feature>.png``.
    figures : bool
        Every figure of the catalogue that needs no truth, as PDF and PNG.
    recipe, script, analysis : bool
        ``recipe.toml``, ``repeat.py`` and the analysis file.
    grains : {"kept", "accepted", "all"}
        Which grains (`chosen.CHOICES`): all but rejected ones, accepted ones only, or all. From the analysis file and
        the script nothing is left out.
    """

    tables: Literal["", "csv", "parquet"] = "csv"
    labels: bool = True
    stacks: bool = False
    overviews: bool = False
    figures: bool = False
    recipe: bool = True
    script: bool = False
    analysis: bool = False
    grains: Literal["kept", "accepted", "all"] = "kept"


class Exported(NamedTuple):
    """What became of the requests."""

    written: list[Path]
    left_out: list[str]
    """A sentence on each thing that could not be written."""


@dataclass(frozen=True)
class Source:
    """What is written from. `shown` is the analysis with the grains that were chosen."""

    analysis: Analysis
    shown: Analysis
    requests: Requests
    features: Collection[str] | None = None
    """Representations of the tables; all that were measured for None."""
    dataset: Dataset | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Output(NamedTuple):
    """Something that can be written."""

    request: str
    """The field of `Requests` that it is written for."""
    name: str
    """Of its file; with ``{feature}`` in it there is one for each representation with grains."""
    write: Callable[[Source, str, Path], Sequence[Path] | None]
    """Takes source, representation and path; returns what was written if that is not the path."""


def export(
    analysis: Analysis,
    directory: str | Path,
    requests: Requests,
    *,
    dataset: Dataset | None = None,
    options: Mapping[str, Any] | None = None,
    control: Control | None = None,
) -> Exported:
    """Write what is requested into a folder, which is made if need be; each file is whole or absent.

    Parameters
    ----------
    analysis : Analysis
    directory : str or path
    requests : Requests
    dataset : Dataset, optional
        The scan; some figures show patterns where it is available.
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
    directory, control = make_folder(directory), (control or Control()).for_stage("Export")
    shown = chosen(analysis, requests.grains)
    still_the_same(analysis, dataset)
    tasks = list(_tasks(Source(analysis, shown, requests, None, dataset, options or {}), directory))
    done = Exported([], [])
    for i, (name, write) in enumerate(tasks):
        control.check()
        control.report(i, len(tasks), name)
        try:
            done.written.extend(write())
        except StemNMFError as error:
            done.left_out.append(str(error))
        except OSError as error:
            done.left_out.append(f"{directory / name} cannot be written: {why(error)}.")
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
    requests = Requests(tables="csv" if measured else "", overviews=True)
    shown, folder = chosen(replace(analysis, grains=grains)), make_folder(directory)
    source = Source(analysis, shown, requests, measured)
    before = recorded(folder)
    written = [path for _, write in _tasks(source, folder) for path in write()]
    tidy(folder, written, before, [] if former is None else _names_of(former))
    return written


def _names_of(analysis: Analysis) -> list[str]:
    """The names of all files that `write_results` can have written of an analysis."""
    wanted = Requests(overviews=True)
    outputs = [output.name for output in OUTPUTS if getattr(wanted, output.request)]
    names = ["grains-{feature}.csv" if name == "tables" else name for name in outputs]
    return list(dict.fromkeys(name.format(feature=feature) for name in names for feature in analysis.grains))


def _tasks(source: Source, directory: Path) -> Iterator[tuple[str, Callable[[], Sequence[Path]]]]:
    """The name of each file that is requested, and the function that writes it, by representation."""

    def task(output: Output, feature: str) -> tuple[str, Callable[[], Sequence[Path]]]:
        path = directory / output.name.format(feature=plain_name(feature), scan=plain_name(source.analysis.input.name))
        return path.name, lambda: output.write(source, feature, path) or [path]

    requested = [output for output in OUTPUTS if getattr(source.requests, output.request)]
    for of_each, outputs in groupby(requested, lambda output: "{feature}" in output.name):
        of_group = list(outputs)
        for feature in source.shown.grains if of_each else ("",):
            yield from (task(output, feature) for output in of_group)


def _tables(source: Source, _: str, path: Path) -> list[Path]:
    requests = source.requests
    assert requests.tables
    return write_tables(source.analysis, path.parent, requests.tables, requests.grains, source.features)


def _overview(source: Source, feature: str, path: Path) -> None:
    from napari_stemnmf.figures.overview import overview
    from napari_stemnmf.figures.style import DPI, in_style

    figure = overview(source.shown, feature)
    with result_file(path) as part:
        in_style(figure.savefig)(part, dpi=DPI)


def _figure(name: str, source: Source, feature: str, path: Path) -> list[Path]:
    from napari_stemnmf.figures.style import save

    scan = source.analysis.input.name
    scans = {} if source.dataset is None else {scan: source.dataset}
    return save(draw(name, {scan: source.shown}, datasets=scans, feature=feature or None), path.with_suffix(""))


def _recipe(source: Source, _: str, path: Path) -> None:
    source.analysis.recipe.save(path)


def _script(source: Source, _: str, path: Path) -> None:
    from napari_stemnmf.export.script import script

    write_text(path, script(source.analysis, options=source.options))


OUTPUTS: tuple[Output, ...] = (
    Output("tables", "tables", _tables),
    Output("labels", "labels-{feature}.tif", lambda source, *where: write_labels(source.shown, *where)),
    Output("stacks", "stack-{feature}.tif", lambda source, *where: write_label_stack(source.shown, *where)),
    Output("overviews", "overview-{feature}.png", _overview),
    *(
        Output("figures", f"{name}-{{feature}}.pdf" if entry.needs_feature else f"{name}.pdf", partial(_figure, name))
        for name, entry in CATALOGUE.items()
        if not entry.needs_truth
    ),
    Output("recipe", "recipe.toml", _recipe),
    Output("script", "repeat.py", _script),
    Output("analysis", f"{{scan}}{FILE_SUFFIX}", lambda source, _, path: source.analysis.save(path)),
)
"""All that can be written, in the order in which it is."""
