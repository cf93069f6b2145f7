"""What the commands share that take several analyses: their names, and the truth of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemnmf.errors import AnalysisError

if TYPE_CHECKING:
    import numpy as np

    from napari_stemnmf.analysis import Analysis

_PLACES: tuple[Callable[[Path], str], ...] = (
    lambda path: path.parent.name,
    lambda path: f"{path.parent.name}/{path.name.partition('.')[0]}",
    str,
)


def load_analyses(paths: Sequence[Path]) -> dict[str, Analysis]:
    """Analyses by name: that of their scan, and where several have it, their folder's as well.

    Raises
    ------
    AnalysisError
        If a file is not an analysis, or is given twice.
    """
    from napari_stemnmf.analysis import Analysis

    places = [Path(path).resolve() for path in paths]
    twice = next((path for i, path in enumerate(places) if path in places[:i]), None)
    if twice is not None:
        raise AnalysisError(f"The analysis {twice} is given twice; give each one once.")
    analyses = [Analysis.load(path) for path in paths]
    return dict(zip(unique_names([analysis.input.name for analysis in analyses], places), analyses, strict=True))


def unique_names(names: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """Names of which each is another: where some are alike, with the folder, or as much of the path as it takes."""
    unique = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        alike = [i for i, other in enumerate(names) if other == name]
        for place in _PLACES:
            places = [place(paths[i]) for i in alike]
            if len(set(places)) == len(places):
                break
        for i, told in zip(alike, places, strict=True):
            unique[i] = f"{name} ({told})"
    return unique


def load_truths(given: Sequence[str], names: Sequence[str]) -> dict[str, np.ndarray]:
    """The true masks of each analysis: one truth serves all, several are in the order of the analyses.

    Raises
    ------
    AnalysisError
        If there are neither one nor as many as analyses.
    ReadError
        If a file holds no masks.
    """
    from napari_stemnmf.reading.masks import load_masks

    if len(given) not in (1, len(names)):
        raise AnalysisError(
            f"Number of analyses: {len(names)}, of truths: {len(given)}; give one truth, or one for each."
        )
    masks = {where: load_masks(where) for where in dict.fromkeys(given)}
    return {name: masks[given[0 if len(given) == 1 else i]] for i, name in enumerate(names)}
