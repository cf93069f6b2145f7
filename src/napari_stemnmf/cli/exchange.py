"""``stemnmf export``: an analysis in the formats of other programs; ``stemnmf import``: their masks as its grains."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.cli.options import ANALYSIS_NAME, add_grains, name, place, threads
from napari_stemnmf.cli.terminal import Reporter
from napari_stemnmf.cli.wording import in_options
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.formats import FORMATS
from napari_stemnmf.recipe import FEATURES

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    lines = "\n".join(
        textwrap.fill(f"{row.name:<15}{row.about}", 100, initial_indent="  ", subsequent_indent=" " * 17)
        for row in FORMATS
    )
    parser = commands.add_parser(
        "export", help="write an analysis for other programs", epilog=f"formats for --to:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _add_analysis(parser)
    parser.add_argument(
        "--to", action="append", required=True, type=_formats, metavar="FORMAT[,FORMAT...]",
        help="what to write: names of the list below; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=place, metavar="DIR", help="folder for the files, made if need be; default: that of the analysis"
    )
    add_grains(parser)
    parser.set_defaults(command=_export)


def add_import(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("import", help="take grains that another program has drawn into an analysis")
    _add_analysis(parser)
    parser.add_argument(
        "file", type=name, metavar="FILE",
        help="labels or masks: TIFF, npy, npz, HDF5, Zarr, OME-Zarr, COCO or GeoJSON; FILE::NAME for one of several",
    )  # fmt: skip
    parser.add_argument("--feature", choices=tuple(FEATURES), help="whose grains; default: the first in the analysis")
    parser.add_argument(
        "--add", action="store_true", help="keep the grains that there are, and give the new ones new ids"
    )
    parser.add_argument("--workers", type=threads, metavar="N", help="threads; default: all cores")
    parser.set_defaults(command=_import)


def _import(options: argparse.Namespace) -> None:
    from napari_stemnmf import pipeline
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.control import Control
    from napari_stemnmf.export.record import recorded
    from napari_stemnmf.export.results import write_results
    from napari_stemnmf.files.locks import held
    from napari_stemnmf.reading.finding import find_scan

    path: Path = options.analysis
    with held(path, "stemnmf import"):
        before = Analysis.load(path)
        feature = options.feature or next(iter(before.grains), None)
        if feature is None:
            raise AnalysisError(f"{path} holds no grains yet; run it to its end, then import.")
        analysis = pipeline.import_grains(before, feature, options.file, more=options.add)
        scan = find_scan(analysis.input, path.parent)
        if scan is not None:
            with Reporter() as reporter:
                control = Control(reporter, reporter.cancel)
                how: Any = {"features": [feature], "workers": options.workers, "control": control}
                analysis = pipeline.run(analysis, scan, "measure", **how)
        analysis.save(path)
        print(f"{feature.upper()}: {_changes(before, analysis, feature)}")
        print(f"  {path}")
        if scan is None:
            print(
                f"stemnmf: The scan ({analysis.input.source}) is not there, so that the grains are not measured; "
                "put it beside the analysis and measure them in napari.", file=sys.stderr,
            )  # fmt: skip
        elif recorded(path.parent) is not None:
            for written in write_results(analysis, path.parent, before):
                print(f"  {written}")


def _changes(before: Analysis, after: Analysis, feature: str) -> str:
    """How many grains there are, and how many of them are new or another than before."""
    old, new = before.grains[feature], after.grains[feature]
    rows = {int(grain): row for row, grain in enumerate(old.ids)}
    same = sum(
        grain in rows and old.part(rows[grain])[0].tolist() == new.part(row)[0].tolist()
        for row, grain in enumerate(new.ids.tolist())
    )
    return f"{len(new)} grains, {len(new) - same} of them new or changed; there were {len(old)}"


def _formats(text: str) -> list[str]:
    """The names of formats, as a list between commas."""
    known, given = [row.name for row in FORMATS], [part.strip() for part in text.split(",") if part.strip()]
    for one in given:
        if one not in known:
            raise argparse.ArgumentTypeError(f"there is no format '{one}'; choose from {', '.join(known)}")
    return given


def _add_analysis(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("analysis", type=place, metavar="ANALYSIS", help=f"an analysis file, as in DIR/{ANALYSIS_NAME}")


def _export(options: argparse.Namespace) -> int:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.control import Control
    from napari_stemnmf.export.results import export
    from napari_stemnmf.reading.finding import find_scan

    analysis = Analysis.load(options.analysis)
    folder: Path = options.analysis.parent if options.out is None else options.out
    to = [one for several in options.to for one in several]
    scan = find_scan(analysis.input, options.analysis.parent) if "figures" in to else None
    with Reporter() as reporter:
        control = Control(reporter, reporter.cancel)
        done = export(analysis, folder, to, grains=options.grains, dataset=scan, control=control)
    for path in done.written:
        print(path)
    for sentence in done.left_out:
        print(f"stemnmf: {in_options(sentence)}", file=sys.stderr)
    return 1 if done.left_out else 0
