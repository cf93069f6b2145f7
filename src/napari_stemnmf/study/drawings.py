"""The figures of a study: which there are, of which films, and what stands below them.

Each is drawn by its module in `figures`, on what the study found. Leans on matplotlib through those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.figures.style import save
from napari_stemnmf.study.outcome import Film, Study
from napari_stemnmf.study.paper import FILMS, NANOWIRE

FOLDER = "figures"
MATCHED = ("aa", "bd")
"""Features whose matches are drawn grain by grain, on the film that overlaps most."""


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
        found += [_films(with_truth), _comparison(study, with_truth), _scores(with_truth)]
        found += [_matches(film, feature) for film in list(with_truth.values())[-1:] for feature in MATCHED]
    if films:
        found += [_refinement(next(iter(films.values()))), _counts(films), _run_times(films)]
    if NANOWIRE in study.films:
        found += [_sizes(study.films[NANOWIRE]), _wire_counts(study.films[NANOWIRE])]
    return found


def _representations(film: Film) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures import catalogue
        from napari_stemnmf.reading.opening import open as open_scan

        scan = {film.name: open_scan(film.path)}
        return catalogue.draw("representations", {film.name: film.analysis}, datasets=scan)

    caption = (
        f"What each representation takes from {_title(film.name)}: mean virtual image, maximum pattern and Bragg "
        "vector map; the disks of one pattern on their way to a row of BD; the sectors of AA; the profile of RV."
    )
    return Drawing("representations", "Representations", "figure 3", caption, (film.name,), draw)


def _films(films: dict[str, Film]) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.films import films as draw_films

        return draw_films(_analyses(films), _truths(films))

    caption = (
        "True grains and the grains found with RV, AA and BD, a film each row; then precision_A, and the distribution "
        "of TPR_G over the grains found with AA and with BD. A found grain has the colour of the true grain that it "
        "matches best."
    )
    return Drawing("films", "Grains of the three films", "figure 4", caption, tuple(films), draw)


def _comparison(study: Study, films: dict[str, Film]) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.study.comparison import comparison

        return comparison(study.numbers, {t: variant.numbers for t, variant in study.variants.items()})

    caption = (
        "The numbers that the claims rest on. Filled: ours, with the standard error over grains; open circles: printed "
        "in the paper; triangles: ours with the components of AA merged at another correlation. Dissimilarities have "
        "another scale than the paper's and are drawn relative to BD on Ag1."
    )
    return Drawing("comparison", "Ours and the paper's", "", caption, tuple(films), draw)


def _scores(films: dict[str, Film]) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.tables import score_tables
        from napari_stemnmf.grains.scoring import score_table

        return score_tables(
            score_table({(_title(n), f): s for n, film in films.items() for f, s in film.scores.items()})
        )

    caption = (
        "All scores. Those ending in A ask whether any grain is where any true grain is; those ending in G compare "
        "each found grain with its best match and do not see grains that were missed; mean IoU and F1 pair grains one "
        "to one."
    )
    return Drawing("scores", "Scores", "supplementary tables 2 to 4", caption, tuple(films), draw)


def _matches(film: Film, feature: str) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.matches import matches

        return matches(film.analysis.grains[feature], _truths({film.name: film})[_title(film.name)], film.analysis.axes)

    caption = (
        f"Each grain that {feature.upper()} found in {_title(film.name)} on its best match: where both are, where "
        "only the found one is, and where only the true one is."
    )
    return Drawing(
        f"matches-{film.name}-{feature}", f"{_title(film.name)}, {feature.upper()}: match by match", "", caption,
        (film.name,), draw,
    )  # fmt: skip


def _refinement(film: Film) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.refinement import refinement

        return refinement(film.analysis, "aa")

    caption = (
        f"From a component map of AA on {_title(film.name)} to grains: Yen's threshold, connected regions, and those "
        "that are large enough."
    )
    return Drawing("refinement", "Refinement, step by step", "supplementary figure 1", caption, (film.name,), draw)


def _counts(films: dict[str, Film]) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.films import grains_per_pattern

        return grains_per_pattern(_analyses(films), _truths(films) or None)

    caption = "How many grains there are at each probe position: in truth, and as each representation has them."
    return Drawing("counts", "Grains at each position", "supplementary figure 3", caption, tuple(films), draw)


def _run_times(films: dict[str, Film]) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.run_times import run_times

        return run_times(_analyses(films))

    caption = "How long each step of each film took, on the machine that made this page."
    return Drawing("run-times", "Run times", "supplementary table 1", caption, tuple(films), draw)


def _sizes(film: Film) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.sizes import sizes

        return sizes(film.analysis)

    caption = (
        "The simulated nanowire: its image, the grains found with RV, AA and BD, and their areas, maximum diameters "
        "and dissimilarities, with means."
    )
    return Drawing("nanowire", "The nanowire", "figure 5", caption, (film.name,), draw)


def _wire_counts(film: Film) -> Drawing:
    def draw() -> Figure:
        from napari_stemnmf.figures.films import grains_per_pattern

        films = {film.name: film}
        return grains_per_pattern(_analyses(films), _truths(films) or None)

    caption = "How many grains there are at each probe position of the nanowire."
    return Drawing(
        "nanowire-counts",
        "Grains at each position of the nanowire",
        "supplementary figure 5",
        caption,
        (film.name,),
        draw,
    )


def _analyses(films: dict[str, Film]) -> dict[str, Analysis]:
    return {_title(name): film.analysis for name, film in films.items()}


def _truths(films: dict[str, Film]) -> dict[str, np.ndarray]:
    return {_title(name): film.truth for name, film in films.items() if film.truth is not None}


def _title(name: str) -> str:
    return name.capitalize()
