"""``stemnmf calibrate``: a scan's disks, centres, ellipse and pixel size."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from typing import Any

from napari_stemnmf.cli.options import (
    ANALYSIS_NAME,
    add_file,
    add_settings_options,
    open_file,
    place,
    recipe_from,
    with_settings,
)
from napari_stemnmf.cli.run import warn
from napari_stemnmf.cli.terminal import Reporter
from napari_stemnmf.files.locks import held
from napari_stemnmf.files.writing import make_folder


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    about = "find disks, centres, ellipse and pixel size of a scan, and draw them"
    parser = commands.add_parser("calibrate", help=about, **with_settings())
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--out", type=place, metavar="DIR", help="folder for the figures and the analysis, from which run goes on"
    )
    add_settings_options(parser)
    parser.set_defaults(command=_calibrate)


def _calibrate(options: argparse.Namespace) -> None:
    from napari_stemnmf.export.calibration import summary, text, write_calibration
    from napari_stemnmf.pipeline import analyse, prepared

    recipe, dataset = recipe_from(options), open_file(options)
    path = None
    if options.out is not None:
        make_folder(options.out)
        path = options.out / ANALYSIS_NAME
    with nullcontext() if path is None else held(path, "another stemnmf calibrate"):
        with Reporter() as reporter:
            analysis = analyse(
                dataset, recipe, progress=reporter, cancel=reporter.cancel, workers=options.workers, path=path,
                until="calibrate",
            )  # fmt: skip
        warn(analysis)
        print(json.dumps(summary(analysis), indent=2, allow_nan=False) if options.json else text(analysis))
        if path is not None:
            for written in [path, *write_calibration(analysis, options.out, prepared(analysis, dataset))]:
                print(f"  {written}", file=sys.stderr if options.json else sys.stdout)
