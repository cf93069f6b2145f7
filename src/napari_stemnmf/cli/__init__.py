"""The ``stemnmf`` command: the pipeline in a shell, a module for each command.

Every setting of the recipe can be given with ``--set NAME=VALUE``; the options with names of their own are those
that people change at every run. Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from napari_stemnmf import __version__
from napari_stemnmf.cli.wording import in_options
from napari_stemnmf.errors import Cancelled, StemNMFError

CANCELLED = 130  # what a shell expects of a command that was interrupted
COMMANDS = (
    "info.add", "run.add", "calibrate.add", "score.add", "figure.add", "info.add_recipe", "run.add_demo", "study.add",
)  # fmt: skip
"""Functions of this folder's modules that add a command, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except Cancelled as stop:
        print(f"stemnmf: {stop} What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return CANCELLED
    except StemNMFError as error:
        print(f"stemnmf: {in_options(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stemnmf", description="Grains from 4D-STEM scans.")
    parser.add_argument("--version", action="version", version=f"napari-stemnmf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        resolve_name(f"{__name__}.{name}")(commands)
    return parser
