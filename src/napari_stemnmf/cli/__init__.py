"""The ``stemnmf`` command: the pipeline in a shell, a module for each command.

Every setting of the recipe can be given with ``--set NAME=VALUE``; the options with names of their own are those
that people change at every run. Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any, NoReturn

from napari_stemnmf import __version__
from napari_stemnmf.cli.terminal import careful_output
from napari_stemnmf.cli.wording import in_options
from napari_stemnmf.errors import Cancelled, StemNMFError
from napari_stemnmf.texts import shown, why

CANCELLED = 130  # what a shell expects of a command that was interrupted
COMMANDS = (
    "info.add", "run.add", "calibrate.add", "score.add", "figure.add", "exchange.add", "exchange.add_import",
    "info.add_recipe", "run.add_demo", "study.add",
)  # fmt: skip
"""Functions of this folder's modules that add a command, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted."""
    with careful_output() as out:
        usage: SystemExit | None = None
        try:
            status = _status(arguments)
        except SystemExit as leaves:  # after help, or wrong usage
            usage = leaves
        out.flush()
        if out.error is not None and not isinstance(out.error, BrokenPipeError):
            return _told(f"The output cannot be written: {why(out.error)}.")
        if usage is not None:
            raise usage
        return 1 if out.error is not None else status


def _status(arguments: Sequence[str] | None) -> int:
    """Run the command, and say why if it ends before it is done."""
    try:
        options = _parser().parse_args(arguments)
        return int(options.command(options) or 0)
    except Cancelled as stop:
        return _told(f"{stop} What was finished is kept; the same command goes on from there.", CANCELLED)
    except KeyboardInterrupt:
        return _told("Interrupted.", CANCELLED)
    except StemNMFError as error:
        return _told(in_options(str(error)))
    except MemoryError:
        return _told("There is not enough memory; close other programs, or use fewer threads (--workers).")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return _told(f"The system does not allow it: {why(error)}{where}.")


def _told(message: str, status: int = 1) -> int:
    """Say why a command ends, and with which status."""
    print(f"stemnmf: {shown(message)}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    """A parser whose messages repeat what was given in one line."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.color = False  # colours would be shown as escapes

    def error(self, message: str) -> NoReturn:
        super().error(shown(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="stemnmf", description="Grains from 4D-STEM scans.")
    parser.add_argument("--version", action="version", version=f"napari-stemnmf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        resolve_name(f"{__name__}.{name}")(commands)
    return parser
