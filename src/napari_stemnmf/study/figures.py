"""The figures of a study: which there are, of which films, and what stands below them.

Most are drawn by the room `figures` on what the study found; the one that compares with the paper is drawn here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.figures import catalogue
from napari_stemnmf.figures.films import films as draw_films
from napari_stemnmf.figures.films import grains_per_pattern
from napari_stemnmf.figures.matches import matches
from napari_stemnmf.figures.refinement import refinement
from napari_stemnmf.figures.sizes import sizes
from napari_stemnmf.figures.style import FEATURE_COLOURS, FEATURE_NAMES, in_style, new_figure, panel_letters, save
from napari_stemnmf.figures.tables import run_times, score_tables
from napari_stemnmf.grains.scoring import score_table
from napari_stemnmf.reading.opening import open as open_scan
from napari_stemnmf.study.paper import FEATURES, FILMS, NANOWIRE, PRINTED, QUANTITIES, Name, Number, Numbers
from napari_stemnmf.study.results import Film, Study

FOLDER = "figures"
MATCHED = ("aa", "bd")
"""Features whose matches are drawn grain by grain, on the film that overlaps most."""
MARKERS = ("^", "v", "s")
"""Of other merge thresholds of AA, in order."""
PANELS = ("precision_A", "TPR_G", "dissimilarity")
REFERENCE = Name("ag1", "bd", "dissimilarity")
"""Dissimilarities are shown as multiples of this one."""
_FLOOR = {"precision_A": 60.0, "TPR_G": 0.0, "dissimilarity": 0.0}
_SHIFT = {"rv": -0.18, "aa": 0.0, "bd": 0.12}


@dataclass(frozen=True)
class Drawing:
    """A figure: `name` of its files, `like` the figure of the paper that shows the same, and the films it is of."""

    name: str
    title: str
    like: str
    caption: str
    films: tuple[str, ...]
    draw: Callable[[], Figure]

    def save(self, folder: Path) -> list[Path]:
        """Draw it and write it as PDF and PNG."""
        return save(self.draw(), folder / FOLDER / self.name)


def drawings(study: Study) -> list[Drawing]:
    """All figures that the study's films allow, in the order of the page."""
    films = {name: study.films[name] for name in FILMS if name in study.films}
    with_truth = {name: film for name, film in films.items() if film.truth is not None}
    found: list[Drawing] = []
    if films:
        found.append(_representations(next(iter(films.values()))))
    if with_truth:
        found += _of_scores(study, with_truth)
    if films:
        found += _of_films(films)
    if NANOWIRE in study.films:
        found += _of_wire(study.films[NANOWIRE])
    return found


def _representations(film: Film) -> Drawing:
    def draw() -> Figure:
        scan = {film.name: open_scan(film.path)}
        return catalogue.draw("representations", {film.name: film.analysis}, datasets=scan)

    caption = (
        f"What each representation takes from {film.name.capitalize()}: mean virtual image, maximum pattern and Bragg "
        "vector map; the disks of one pattern on their way to a row of BD; the sectors of AA; the profile of RV."
    )
    return Drawing("representations", "Representations", "figure 3", caption, (film.name,), draw)


def _of_scores(study: Study, films: dict[str, Film]) -> Iterable[Drawing]:
    """Those that need the truth."""
    names = tuple(films)
    yield Drawing(
        "films",
        "Grains of the three films",
        "figure 4",
        "True grains and the grains found with RV, AA and BD, a film each row; then precision_A, and the distribution "
        "of TPR_G over the grains found with AA and with BD. A found grain has the colour of the true grain that it "
        "matches best.",
        names,
        lambda: draw_films(_analyses(films), _truths(films)),
    )
    yield Drawing(
        "comparison",
        "Ours and the paper's",
        "",
        "The numbers that the claims rest on. Filled: ours, with the standard error over grains; open circles: printed "
        "in the paper; triangles: ours with the components of AA merged at another correlation. Dissimilarities have "
        "another scale than the paper's and are drawn relative to BD on Ag1.",
        names,
        lambda: comparison(study.numbers, {t: variant.numbers for t, variant in study.variants.items()}),
    )
    scores = {(name.capitalize(), feature): s for name, film in films.items() for feature, s in film.scores.items()}
    yield Drawing(
        "scores",
        "Scores",
        "supplementary tables 2 to 4",
        "All scores. Those ending in A ask whether any grain is where any true grain is; those ending in G compare "
        "each found grain with its best match and do not see grains that were missed; mean IoU and F1 pair grains one "
        "to one.",
        names,
        lambda: score_tables(score_table(scores)),
    )
    last = films[names[-1]]
    grains, truth = last.analysis.grains, _truths(films)[names[-1].capitalize()]
    for feature in MATCHED:
        yield Drawing(
            f"matches-{last.name}-{feature}",
            f"{last.name.capitalize()}, {feature.upper()}: match by match",
            "",
            f"Each grain that {feature.upper()} found in {last.name.capitalize()} on its best match: where both are, "
            "where only the found one is, and where only the true one is.",
            (last.name,),
            lambda feature=feature: matches(grains[feature], truth, last.analysis.axes),  # type: ignore[misc]
        )


def _of_films(films: dict[str, Film]) -> Iterable[Drawing]:
    first = next(iter(films.values()))
    yield Drawing(
        "refinement",
        "Refinement, step by step",
        "supplementary figure 1",
        f"From a component map of AA on {first.name.capitalize()} to grains: Yen's threshold, connected regions, and "
        "those that are large enough.",
        (first.name,),
        lambda: refinement(first.analysis, "aa"),
    )
    yield Drawing(
        "counts",
        "Grains at each position",
        "supplementary figure 3",
        "How many grains there are at each probe position: in truth, and as each representation has them.",
        tuple(films),
        lambda: grains_per_pattern(_analyses(films), _truths(films) or None),
    )
    yield Drawing(
        "run-times",
        "Run times",
        "supplementary table 1",
        "How long each step of each film took, on the machine that made this page.",
        tuple(films),
        lambda: run_times(_analyses(films)),
    )


def _of_wire(film: Film) -> Iterable[Drawing]:
    yield Drawing(
        "nanowire",
        "The nanowire",
        "figure 5",
        "The simulated nanowire: its image, the grains found with RV, AA and BD, and their areas, maximum diameters "
        "and dissimilarities, with means.",
        (film.name,),
        lambda: sizes(film.analysis),
    )
    films = {film.name: film}
    yield Drawing(
        "nanowire-counts",
        "Grains at each position of the nanowire",
        "supplementary figure 5",
        "How many grains there are at each probe position of the nanowire.",
        (film.name,),
        lambda: grains_per_pattern(_analyses(films), _truths(films) or None),
    )


def _analyses(films: dict[str, Film]) -> dict[str, Analysis]:
    return {name.capitalize(): film.analysis for name, film in films.items()}


def _truths(films: dict[str, Film]) -> dict[str, np.ndarray]:
    return {name.capitalize(): film.truth for name, film in films.items() if film.truth is not None}


@in_style
def comparison(numbers: Numbers, variants: Mapping[float, Numbers]) -> Figure:
    """Measured precision_A, mean TPR_G and relative dissimilarity of the three films beside what the paper prints.

    Filled and joined: measured, with standard errors; open and dashed: printed; triangles and squares: measured with AA
    merged at other thresholds (`variants`). Dissimilarities are relative to that of BD on Ag1, as their scale differs.
    """
    figure = new_figure("page", 66.0)
    panels = figure.subplots(1, len(PANELS))
    for ax, quantity in zip(panels, PANELS, strict=True):
        for feature, shift in _SHIFT.items():
            names = [Name(film, feature, quantity) for film in FILMS]
            style = {"color": FEATURE_COLOURS[feature], "marker": "o"}
            at = np.arange(len(FILMS)) + shift
            for shown, right, look in ((PRINTED, 0.03, {"ls": ":", "mfc": "white"}), (numbers, 0.0, {"ls": "-"})):
                _points(ax, at + right, [shown.get(name) for name in names], _unit(quantity, shown), **style, **look)
            for index, (marker, variant) in enumerate(zip(MARKERS, variants.values(), strict=False)):
                again = [variant.get(name) if feature == "aa" else None for name in names]
                look = {**style, "marker": marker, "mfc": "white", "ls": "none"}
                _points(ax, at - 0.06 - 0.04 * index, again, _unit(quantity, numbers), **look)
        relative = quantity == "dissimilarity"
        label = "dissimilarity / that of BD on Ag1" if relative else f"{QUANTITIES[quantity].label} (%)"
        ax.set(xticks=range(len(FILMS)), xticklabels=[film.capitalize() for film in FILMS], ylabel=label)
        ax.set_xlim(-0.4, len(FILMS) - 0.6)
        ax.set_ylim(_FLOOR[quantity], None if relative else 103)
        ax.grid(axis="y", alpha=0.4)
        ax.spines[["top", "right"]].set_visible(False)
    panel_letters(panels)
    figure.legend(handles=_legend(variants), loc="outside lower center", ncols=7)
    return figure


def _unit(quantity: str, numbers: Numbers) -> float:
    """What one unit of a panel is worth."""
    if quantity != "dissimilarity":
        return 1 / QUANTITIES[quantity].scale
    return numbers[REFERENCE].value if REFERENCE in numbers else float("nan")


def _points(ax: Axes, at: np.ndarray, found: list[Number | None], unit: float, **style: object) -> None:
    values = np.array([np.nan if n is None else n.value for n in found]) / unit
    errors = np.nan_to_num([0.0 if n is None else n.error for n in found]) / unit
    ax.errorbar(at, values, yerr=errors if errors.any() else None, capsize=1.5, elinewidth=0.6, **style)  # type: ignore[arg-type]


def _legend(thresholds: Iterable[float]) -> list[Line2D]:
    aa = FEATURE_COLOURS["aa"]
    return [
        *(Line2D([], [], color=FEATURE_COLOURS[f], lw=2, label=FEATURE_NAMES[f]) for f in FEATURES),
        Line2D([], [], color="0.3", marker="o", ls="-", label="ours"),
        Line2D([], [], color="0.3", marker="o", ls=":", mfc="white", label="printed in the paper"),
        *(
            Line2D([], [], color=aa, marker=marker, ls="none", mfc="white", label=f"ours, AA merged at {threshold}")
            for marker, threshold in zip(MARKERS, thresholds, strict=False)
        ),
    ]
