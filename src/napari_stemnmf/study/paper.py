"""What is measured, by name, and the numbers that the paper prints, each with where it stands.

Bruefach, Ophus & Scott, Microsc. Microanal. 28 (2022) 1998-2008, doi 10.1017/S1431927622012259. Numbers only. Values
are kept unscaled: rates are shares (0.753 for 75.3 %).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

REFERENCE = "Bruefach, Ophus & Scott, Microscopy and Microanalysis 28 (2022) 1998–2008"
DOI = "https://doi.org/10.1017/S1431927622012259"

FILMS = ("ag1", "ag2", "ag3")
NANOWIRE = "nanowire"
ALL_FILMS = "films"
"""Stands for the three films together."""
FEATURES = ("rv", "aa", "bd")


@dataclass(frozen=True)
class Quantity:
    """How a quantity is called and shown."""

    label: str
    unit: str = ""
    scale: float = 1.0
    digits: int = 0

    def show(self, value: float, error: float = float("nan")) -> str:
        """The value in its unit, with its standard error where there is one."""
        if not np.isfinite(value):
            return "–"
        clear = np.isfinite(error) and error * self.scale >= 0.5 * 10.0**-self.digits
        spread = f" ± {error * self.scale:.{self.digits}f}" if clear else ""
        return f"{value * self.scale:.{self.digits}f}{spread}{f' {self.unit}' if self.unit else ''}"

    @property
    def table_unit(self) -> str:
        """The unit in the tables, which hold rates as shares."""
        return "share" if self.unit == "%" else self.unit


def _rate(label: str) -> Quantity:
    return Quantity(label, "%", 100.0, 1)


QUANTITIES: dict[str, Quantity] = {
    "n_true": Quantity("true grains"),
    "n_found": Quantity("grains found"),
    "n_true_hit": Quantity("true grains that are a best match"),
    "components": Quantity("components"),
    "columns": Quantity("columns of the feature matrix"),
    "precision_A": _rate("precision_A"),
    "FNR_A": _rate("FNR_A"),
    "FPR_A": _rate("FPR_A"),
    "TPR_G": _rate("mean TPR_G"),
    "TNR_G": _rate("mean TNR_G"),
    "mean_iou": Quantity("mean IoU, one to one", digits=3),
    "f1_iou50": Quantity("F1 at IoU > 0.5", digits=2),
    "recall_depth_1": _rate("recall where one true grain lies"),
    "recall_depth_2": _rate("recall where two overlap"),
    "recall_depth_3": _rate("recall where three or more overlap"),
    "dissimilarity": Quantity("mean dissimilarity", digits=1),
    "area_nm2": Quantity("mean area", "nm²", digits=1),
    "feret_max_nm": Quantity("mean maximum diameter", "nm", digits=1),
    "feret_spread_nm": Quantity("standard deviation of the maximum diameter", "nm", digits=1),
    "elongation": Quantity("mean ratio of major to minor axis", digits=2),
    "shared": _rate("covered positions with two grains or more"),
    "seconds": Quantity("processor time of the clustering", "s", digits=1),
}
"""All quantities, in the order of the tables."""


class Name(NamedTuple):
    """What a number is of: film ("films" for the three together), feature (empty for the truth) and quantity."""

    film: str
    feature: str
    quantity: str


@dataclass(frozen=True)
class Number:
    """One number, measured or printed.

    `error` is the standard error of the mean over `n` grains; for ratios over positions and for spreads it is the
    jackknife's over the found grains; NaN for counts and totals, of which there is one, and for printed numbers, which
    stand in the section `where` of the paper.
    """

    film: str
    feature: str
    quantity: str
    value: float
    error: float = float("nan")
    n: int = 1
    where: str = ""

    @property
    def name(self) -> Name:
        """What it is of."""
        return Name(self.film, self.feature, self.quantity)

    @property
    def shown(self) -> str:
        """Value, standard error and unit."""
        return QUANTITIES[self.quantity].show(self.value, self.error)


Numbers = Mapping[Name, Number]


def numbers_of(numbers: Iterable[Number]) -> Numbers:
    """The numbers by name."""
    return {number.name: number for number in numbers}


_METHODS = "Methods, Ag Film 4D-STEM Simulation"
_EXTRACTION = "Methods, Feature Extraction"
_FILMS = "Results, Silver Film Simulations"
_WIRE = "Results, Pd@AuAg Twisted Nanowires"


def _of_films(feature: str, quantity: str, values: tuple[float | None, ...], where: str = _FILMS) -> list[Number]:
    known = [(film, value) for film, value in zip(FILMS, values, strict=True) if value is not None]
    return [Number(film, feature, quantity, value, where=where) for film, value in known]


def _of_wire(quantity: str, rv: float, aa: float, bd: float, where: str = _WIRE) -> list[Number]:
    values = zip(FEATURES, (rv, aa, bd), strict=True)
    return [Number(NANOWIRE, feature, quantity, value, where=where) for feature, value in values]


PRINTED = numbers_of(
    [
        *_of_films("", "n_true", (31, 36, 42), _METHODS),
        *_of_films("aa", "precision_A", (0.753, 0.927, 0.995)),
        *_of_films("bd", "precision_A", (0.839, None, None)),
        *_of_films("rv", "FNR_A", (0.70, 0.70, 0.72)),
        *_of_films("aa", "TPR_G", (0.864, 0.893, 0.736)),
        *_of_films("bd", "TPR_G", (0.895, 0.702, 0.488)),
        Number(ALL_FILMS, "aa", "TPR_G", 0.832, where=_FILMS),
        Number(ALL_FILMS, "bd", "TPR_G", 0.674, where=_FILMS),
        *_of_films("rv", "dissimilarity", (17.0, 30.6, 58.1)),
        *_of_films("aa", "dissimilarity", (12.2, 19.0, 34.4)),
        *_of_films("bd", "dissimilarity", (12.6, 21.7, 32.0)),
        *_of_films("aa", "columns", (288, 288, 288), _EXTRACTION),
        *_of_films("rv", "columns", (80, 80, 80), _EXTRACTION),
        *_of_films("bd", "columns", (7056, 7056, 7056), _EXTRACTION),
        *_of_wire("columns", rv=100, aa=142, bd=20736, where=_EXTRACTION),
        Number(NANOWIRE, "rv", "components", 5, where=_WIRE),
        *_of_wire("n_found", rv=20, aa=109, bd=51),
        *_of_wire("area_nm2", rv=87.9, aa=45.3, bd=95.0),
        *_of_wire("feret_max_nm", rv=4.6, aa=17.1, bd=16.8),
        *_of_wire("dissimilarity", rv=955.5, aa=676.2, bd=605.9),
    ]
)
"""The printed numbers by name."""

TNR_G_AT_LEAST = 0.98
"""Printed bound of the mean TNR_G, for all features and films (Results, Silver Film Simulations)."""
MERGE_THRESHOLDS = {"aa": (0.4, 0.5), "rv": (0.3, 0.5), "bd": (0.18, 0.25)}
"""Printed ranges (Methods, Dimensionality Reduction on Single Features)."""
SEEDS = 25
MIN_SIZE = {**dict.fromkeys(FILMS, 25), NANOWIRE: 10}
"""Least region, probe positions (Methods, Spatial and Size Refinement and Measurements)."""
