"""The package's exceptions: one clear sentence saying what was wrong, where, and what to do."""

from __future__ import annotations

from typing import Any

from napari_stemnmf.texts import shown


class StemNMFError(Exception):
    """Base of all errors that this package raises on purpose.

    Names of files and datasets that a message repeats cannot break it into lines, nor steer a terminal.
    """

    def __init__(self, message: object = "", *more: object) -> None:
        super().__init__(shown(message), *more)


class ReadError(StemNMFError):
    """A file cannot be opened as a 4D-STEM scan."""


class ScanShapeError(ReadError):
    """A stack of patterns needs a scan shape that the file does not give, or the given one does not fit."""


class RecipeError(StemNMFError, ValueError):
    """A setting is unknown, of the wrong type, or out of bounds."""


class DataError(StemNMFError, ValueError):
    """The data does not allow a stage to run (no ring found, all columns constant, ...)."""


class AnalysisError(StemNMFError):
    """An analysis file cannot be read or written, or lacks what was asked of it."""


class Cancelled(StemNMFError):
    """The user stopped the work; `analysis` is the `Analysis` of what was finished before, where there is one."""

    def __init__(self, message: str = "The work was cancelled.", analysis: Any = None) -> None:
        super().__init__(message)
        self.analysis = analysis
