"""Which grains leave the program: those that a review has rejected do not, unless they are asked for."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from napari_stemnmf.errors import AnalysisError

if TYPE_CHECKING:
    import numpy as np

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.grains.patterns import GrainPatterns

CHOICES = {
    "kept": "all but those that a review has rejected",
    "accepted": "only those that a review has accepted",
    "all": "all, also those that a review has rejected",
}
"""Choices of grains, and what each means."""


def chosen(analysis: Analysis, which: str = "kept") -> Analysis:
    """The analysis with some of its grains, their measurements and patterns.

    Parameters
    ----------
    analysis : Analysis
    which : str
        One of `CHOICES`.

    Returns
    -------
    Analysis
        The same where all grains are wanted; features that have grains, and of these none that is wanted, are not in
        it.

    Raises
    ------
    AnalysisError
        If there is no such choice.
    """
    grains, tables, patterns = dict(analysis.grains), dict(analysis.tables), dict(analysis.patterns)
    for name, found in analysis.grains.items():
        keep = wanted(analysis, name, which)
        if keep.all() and (len(found) or which != "accepted"):
            continue
        grains[name] = found.subset(keep)
        measured = tables[name]["grain_id"].isin(grains[name].ids).to_numpy() if name in tables else None
        if measured is not None:
            tables[name] = tables[name][measured].reset_index(drop=True)
        if name in patterns and measured is not None and len(measured) == len(patterns[name]):
            patterns[name] = _subset(patterns[name], measured)
        else:
            patterns.pop(name, None)
        if not len(grains[name]):
            for results in (grains, tables, patterns):
                results.pop(name, None)
    return replace(analysis, grains=grains, tables=tables, patterns=patterns)


def wanted(analysis: Analysis, feature: str, which: str) -> np.ndarray:
    """(g,) bool: which grains of a feature a choice means, in their order."""
    import numpy as np  # late: the command line only wants the choices

    from napari_stemnmf.grains.review import ACCEPTED, REJECTED

    if which not in CHOICES:
        raise AnalysisError(f"There is no choice '{which}' of grains; choose from {', '.join(CHOICES)}.")
    review, count = analysis.reviews.get(feature), len(analysis.grains[feature])
    if which == "all" or review is None:
        return np.full(count, which != "accepted")
    verdict = review.verdicts()["verdict"].reindex(analysis.grains[feature].ids)
    return np.asarray(verdict == ACCEPTED if which == "accepted" else verdict != REJECTED)


def _subset(patterns: GrainPatterns, keep: np.ndarray) -> GrainPatterns:
    parts = {f.name: getattr(patterns, f.name) for f in fields(patterns)}
    return replace(patterns, **{name: part[keep] if len(part) == len(keep) else part for name, part in parts.items()})
