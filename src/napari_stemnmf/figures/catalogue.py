"""All figures by name: what each is, what it needs, and how it is drawn. The shell and napari list and draw from here.

Matplotlib is imported when a figure is drawn, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.preprocessing.preparation import prepare

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")


@dataclass(frozen=True)
class Material:
    """What a figure can be drawn from.

    Attributes
    ----------
    analyses : mapping of str to Analysis
        By the names that the figure gives them.
    truths : mapping of str to ndarray of bool, (t, scan_y, scan_x)
        True masks, by the same names, of those that have them.
    datasets : mapping of str to Dataset
        Scans as they are in the file, by the same names, of those that are available.
    feature : str
        Representation; empty for a figure of all.
    """

    analyses: Mapping[str, Analysis]
    truths: Mapping[str, np.ndarray] = field(default_factory=dict)
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    feature: str = ""

    @property
    def name(self) -> str:
        """Of the first analysis."""
        return next(iter(self.analyses))

    @property
    def analysis(self) -> Analysis:
        """The first."""
        return self.analyses[self.name]

    @property
    def prepared(self) -> Dataset | None:
        """The scan of the first analysis as its stages read it; None if it is not available."""
        dataset, survey = self.datasets.get(self.name), self.analysis.survey
        if dataset is None or survey is None:
            return None
        return prepare(dataset, survey.hot_pixels, self.analysis.recipe.preprocess, survey.keep, survey.wrapped)


@dataclass(frozen=True)
class Entry:
    """A figure of the catalogue.

    Attributes
    ----------
    title : str
        What it shows, in a few words.
    draw : callable
        From `Material` to a Figure.
    analyses : {"one", "several"}
        Whether it is of one analysis, or of one or more.
    needs_truth : bool
        Whether every analysis needs true masks.
    needs_feature : bool
        Whether it is of one representation.
    uses_scan : bool
        Whether it shows more where the scan itself is available.
    """

    title: str
    draw: Callable[[Material], Figure]
    analyses: Literal["one", "several"] = "one"
    needs_truth: bool = False
    needs_feature: bool = False
    uses_scan: bool = False


def draw(
    name: str,
    analyses: Mapping[str, Analysis],
    truths: Mapping[str, np.ndarray] | None = None,
    datasets: Mapping[str, Dataset] | None = None,
    feature: str | None = None,
) -> Figure:
    """Draw a figure of the catalogue.

    Parameters
    ----------
    name : str
        One of `CATALOGUE`.
    analyses : mapping of str to Analysis
        By the names that the figure is to give them.
    truths : mapping of str to ndarray of bool, (t, scan_y, scan_x), optional
        True masks by the same names.
    datasets : mapping of str to Dataset, optional
        Scans, not prepared, by the same names; some figures show single patterns where they are given.
    feature : str, optional
        Representation, for a figure of one; the first that the analysis has grains or a model of, if not given.

    Returns
    -------
    matplotlib.figure.Figure
        At its printed size; save it with `style.save`.

    Raises
    ------
    AnalysisError
        If there is no such figure, or something that it needs is not given or not there.
    DataError
        If what is given does not fit together.
    """
    entry, truths, datasets = find(name), truths or {}, datasets or {}
    if not analyses:
        raise AnalysisError(f"The figure '{name}' needs an analysis.")
    if entry.analyses == "one" and len(analyses) > 1:
        raise AnalysisError(f"The figure '{name}' is of one analysis; {len(analyses)} were given.")
    material = Material(_written(analyses), _written(truths), _written(datasets))
    without = [each for each in analyses if each not in truths]
    if entry.needs_truth and without:
        raise AnalysisError(f"The figure '{name}' needs the true masks of '{without[0]}'.")
    if entry.needs_feature:
        found = [*material.analysis.grains, *material.analysis.models]
        if not found or (feature is not None and feature not in found):
            of = feature.upper() if feature else "any representation"
            raise AnalysisError(f"The analysis '{material.name}' holds no grains of {of}; run it to the end first.")
        material = replace(material, feature=feature or found[0])
    return entry.draw(material)


def _written(of: Mapping[str, T]) -> dict[str, T]:
    """The same by names for matplotlib, which takes what stands between dollars for mathematics."""
    return {name.replace("$", r"\$"): value for name, value in of.items()}


def find(name: str) -> Entry:
    """The entry of that name.

    Raises
    ------
    AnalysisError
        If there is none.
    """
    if name not in CATALOGUE:
        raise AnalysisError(f"There is no figure '{name}'; choose from {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def _drawn_by(place: str, arguments: Callable[[Material], tuple[Any, ...]]) -> Callable[[Material], Figure]:
    """A function ("module.function" of this folder), imported when it draws, given what it takes of a `Material`."""

    def draw(material: Material) -> Figure:
        figure: Figure = resolve_name(f"napari_stemnmf.figures.{place}")(*arguments(material))
        return figure

    return draw


def _grains_and_truth(material: Material) -> tuple[Any, ...]:
    analysis, feature = material.analysis, material.feature
    if feature not in analysis.grains:
        raise AnalysisError(f"The analysis holds no grains of {feature.upper()}; run the step 'refine' first.")
    return analysis.grains[feature], material.truths[material.name], analysis.axes


def _scores(material: Material) -> tuple[Any, ...]:
    from napari_stemnmf.figures.films import scores_of
    from napari_stemnmf.grains.scoring import score_table

    return (score_table(scores_of(material.analyses, material.truths)),)


CATALOGUE: Mapping[str, Entry] = {
    "overview": Entry(
        "scan, grains, seeds and sizes of one representation",
        _drawn_by("overview.overview", lambda m: (m.analysis, m.feature)), needs_feature=True,
    ),
    "calibration": Entry(
        "disks, centres, ellipse and rings",
        _drawn_by("calibration.calibration_figure", lambda m: (m.analysis, m.prepared)), uses_scan=True,
    ),
    "representations": Entry(
        "what RV, AA and BD take from the patterns (paper, figure 3)",
        _drawn_by("representations.representations", lambda m: (m.analysis, m.prepared)), uses_scan=True,
    ),
    "films": Entry(
        "truth, grains and how well they agree (paper, figure 4)",
        _drawn_by("films.films", lambda m: (m.analyses, m.truths)), "several", needs_truth=True,
    ),
    "sizes": Entry(
        "grains, areas, diameters, dissimilarity (paper, figure 5)",
        _drawn_by("sizes.sizes", lambda m: (m.analysis,)),
    ),
    "refinement": Entry(
        "from a component map to grains, step by step",
        _drawn_by("refinement.refinement", lambda m: (m.analysis, m.feature)), needs_feature=True,
    ),
    "grains-per-pattern": Entry(
        "how many grains lie at each position",
        _drawn_by("films.grains_per_pattern", lambda m: (m.analyses, m.truths)), "several",
    ),
    "run-times": Entry(
        "parameters and run times (paper, table S1)",
        _drawn_by("tables.run_times", lambda m: (m.analyses,)),
        "several",
    ),
    "matches": Entry(
        "where each found grain is right, false or too small",
        _drawn_by("matches.matches", _grains_and_truth), needs_truth=True, needs_feature=True,
    ),
    "score-table": Entry(
        "all scores, the best in bold", _drawn_by("tables.score_tables", _scores), "several", needs_truth=True
    ),
}  # fmt: skip
"""Every figure, by the name that the shell and napari have for it."""
