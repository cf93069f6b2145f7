"""The numbers that the paper prints, each with where it stands.

Bruefach, Ophus & Scott, Microsc. Microanal. 28 (2022) 1998-2008, doi 10.1017/S1431927622012259. Numbers only. Rates
are shares (0.753 for 75.3 %); names of films, features and quantities are those of `measures`. Leans on nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

REFERENCE = "Bruefach, Ophus & Scott, Microscopy and Microanalysis 28 (2022) 1998–2008"
DOI = "https://doi.org/10.1017/S1431927622012259"

FILMS = ("ag1", "ag2", "ag3")
NANOWIRE = "nanowire"
ALL_FILMS = "films"
"""Stands for the three films together."""


@dataclass(frozen=True)
class Printed:
    """One printed number."""

    film: str
    """"ag1", "ag2", "ag3", "nanowire", or "films" for the three together."""
    feature: str
    """"aa", "rv", "bd"; empty for the truth."""
    quantity: str
    value: float
    where: str
    """Section or figure of the paper."""


_METHODS = "Methods, Ag Film 4D-STEM Simulation"
_FEATURES = "Methods, Feature Extraction"
_FILMS = "Results, Silver Film Simulations"
_WIRE = "Results, Pd@AuAg Twisted Nanowires"


def _of_films(feature: str, quantity: str, values: tuple[float | None, ...], where: str = _FILMS) -> list[Printed]:
    return [
        Printed(film, feature, quantity, value, where)
        for film, value in zip(FILMS, values, strict=True)
        if value is not None
    ]


def _of_wire(quantity: str, rv: float, aa: float, bd: float, where: str = _WIRE) -> list[Printed]:
    return [
        Printed(NANOWIRE, feature, quantity, value, where) for feature, value in (("rv", rv), ("aa", aa), ("bd", bd))
    ]


PRINTED: tuple[Printed, ...] = (
    *_of_films("", "n_true", (31, 36, 42), _METHODS),
    *_of_films("aa", "precision_A", (0.753, 0.927, 0.995)),
    *_of_films("bd", "precision_A", (0.839, None, None)),
    *_of_films("rv", "FNR_A", (0.70, 0.70, 0.72)),
    *_of_films("aa", "TPR_G", (0.864, 0.893, 0.736)),
    *_of_films("bd", "TPR_G", (0.895, 0.702, 0.488)),
    Printed(ALL_FILMS, "aa", "TPR_G", 0.832, _FILMS),
    Printed(ALL_FILMS, "bd", "TPR_G", 0.674, _FILMS),
    *_of_films("rv", "dissimilarity", (17.0, 30.6, 58.1)),
    *_of_films("aa", "dissimilarity", (12.2, 19.0, 34.4)),
    *_of_films("bd", "dissimilarity", (12.6, 21.7, 32.0)),
    *_of_films("aa", "columns", (288, 288, 288), _FEATURES),
    *_of_films("rv", "columns", (80, 80, 80), _FEATURES),
    *_of_films("bd", "columns", (7056, 7056, 7056), _FEATURES),
    *_of_wire("columns", rv=100, aa=142, bd=20736, where=_FEATURES),
    Printed(NANOWIRE, "rv", "components", 5, _WIRE),
    *_of_wire("n_found", rv=20, aa=109, bd=51),
    *_of_wire("area_nm2", rv=87.9, aa=45.3, bd=95.0),
    *_of_wire("feret_max_nm", rv=4.6, aa=17.1, bd=16.8),
    *_of_wire("dissimilarity", rv=955.5, aa=676.2, bd=605.9),
)

TNR_G_AT_LEAST = 0.98
"""Printed bound of the mean TNR_G, for all features and films (Results, Silver Film Simulations)."""

MERGE_THRESHOLDS = {"aa": (0.4, 0.5), "rv": (0.3, 0.5), "bd": (0.18, 0.25)}
"""Printed ranges (Methods, Dimensionality Reduction on Single Features)."""

SEEDS = 25
MIN_SIZE = {**dict.fromkeys(FILMS, 25), NANOWIRE: 10}
"""Least region, probe positions (Methods, Spatial and Size Refinement and Measurements)."""


def printed(film: str, feature: str, quantity: str) -> Printed | None:
    """What the paper prints for a quantity; None where it prints nothing."""
    return _BY_NAME.get((film, feature, quantity))


_BY_NAME = {(p.film, p.feature, p.quantity): p for p in PRINTED}
