"""The paper's claims as inequalities between measured numbers, and what became of each.

A verdict is never written down here: each claim states which number should be larger than which, and `judge` compares
them. A difference counts as clear where it is larger than its standard error (both errors in quadrature).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from napari_stemnmf.study.paper import (
    ALL_FILMS,
    FEATURES,
    FILMS,
    NANOWIRE,
    PRINTED,
    QUANTITIES,
    TNR_G_AT_LEAST,
    Name,
    Number,
    Numbers,
)


class Verdict(Enum):
    """What became of a claim."""

    HOLDS = "holds"
    HOLDS_WITHIN = "holds, within the spread"
    FAILS_WITHIN = "does not hold, within the spread"
    FAILS = "does not hold"
    OPEN = "not judged"

    @property
    def holding(self) -> bool:
        """Whether the claim holds, clearly or not."""
        return self in (Verdict.HOLDS, Verdict.HOLDS_WITHIN)


@dataclass(frozen=True)
class Greater:
    """That one number is larger than another, or at least a bound."""

    left: Name
    right: Name | float

    def margin(self, numbers: Numbers) -> tuple[float, float] | None:
        """How much larger, and the standard error of that (0 where none is known); None if a number is missing."""
        left = numbers.get(self.left)
        right = Number("", "", "", self.right, 0.0) if isinstance(self.right, float) else numbers.get(self.right)
        if left is None or right is None or not np.isfinite([left.value, right.value]).all():
            return None
        return left.value - right.value, float(np.hypot(*np.nan_to_num([left.error, right.error])))


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, in this package's words; it holds where all of its parts do."""

    key: str
    text: str
    parts: tuple[Greater, ...]

    @property
    def numbers(self) -> list[Name]:
        """The numbers that it compares, each once."""
        names = [name for part in self.parts for name in (part.left, part.right) if isinstance(name, Name)]
        return list(dict.fromkeys(names))

    @property
    def films(self) -> tuple[str, ...]:
        """The films that it is about."""
        return tuple(dict.fromkeys(name.film for name in self.numbers))


@dataclass(frozen=True)
class Judged:
    """A claim, its verdict, and the numbers behind it: measured (`ours`) and printed (`theirs`)."""

    claim: Claim
    verdict: Verdict
    ours: str
    theirs: str


def judge(claims: Iterable[Claim], numbers: Numbers) -> list[Judged]:
    """The verdict on each claim."""
    return [Judged(c, verdict(c, numbers), _listed(c, numbers, "–"), _listed(c, PRINTED, "")) for c in claims]


def verdict(claim: Claim, numbers: Numbers) -> Verdict:
    """Whether every part of a claim holds, and by more than the spread."""
    margins = [part.margin(numbers) for part in claim.parts]
    known = [margin for margin in margins if margin is not None]
    if len(known) < len(margins):
        return Verdict.OPEN
    if all(difference > error for difference, error in known):
        return Verdict.HOLDS
    if any(difference < -error for difference, error in known):
        return Verdict.FAILS
    return Verdict.HOLDS_WITHIN if all(difference > 0 for difference, _ in known) else Verdict.FAILS_WITHIN


def _listed(claim: Claim, numbers: Mapping[Name, Number], missing: str) -> str:
    """The numbers of a claim, by film where there are several: "Ag1: RV 97.3 ± 0.5 %, AA 79.4 ± 1.2 %".

    `missing` stands for a number that is not there; if it is empty, such a number is left out.
    """
    lines = []
    for film in claim.films:
        names = [name for name in claim.numbers if name.film == film and (missing or name in numbers)]
        shown = [
            f"{name.feature.upper() or QUANTITIES[name.quantity].label} "
            f"{numbers[name].shown if name in numbers else missing}"
            for name in names
        ]
        if shown:
            lines.append((f"{film.capitalize()}: " if len(claim.films) > 1 else "") + ", ".join(shown))
    return "; ".join(lines) or "no number"


def _largest(films: str | Sequence[str], quantity: str, feature: str, *others: str) -> tuple[Greater, ...]:
    """That one feature has a larger number than each of the others, in each film."""
    names = (films,) if isinstance(films, str) else films
    return tuple(Greater(Name(film, feature, quantity), Name(film, o, quantity)) for film in names for o in others)


def _smallest(film: str, quantity: str, feature: str, *others: str) -> tuple[Greater, ...]:
    """That one feature has a smaller number than each of the others."""
    return tuple(Greater(Name(film, other, quantity), Name(film, feature, quantity)) for other in others)


def _falling(feature: str, quantity: str, films: Sequence[str]) -> tuple[Greater, ...]:
    """That a number falls from film to film."""
    return tuple(
        Greater(Name(first, feature, quantity), Name(then, feature, quantity))
        for first, then in itertools.pairwise(films)
    )


CLAIMS: tuple[Claim, ...] = (
    Claim("precision-rv", "RV is the most precise on Ag1", _largest("ag1", "precision_A", "rv", "aa", "bd")),
    Claim("precision-aa", "AA is the least precise on Ag1", _smallest("ag1", "precision_A", "aa", "rv", "bd")),
    Claim(
        "precision-rises",
        "Precision of AA and BD rises with the area that grains cover",
        _falling("aa", "precision_A", FILMS[::-1]) + _falling("bd", "precision_A", FILMS[::-1]),
    ),
    Claim(
        "rv-misses",
        "RV misses the largest share of the grain area, in all films",
        _largest(FILMS, "FNR_A", "rv", "aa", "bd"),
    ),
    Claim("fpr-aa", "AA takes in less of the empty area than RV on Ag1", _largest("ag1", "FPR_A", "rv", "aa")),
    Claim("tpr-ag1", "BD has the best TPR_G on Ag1", _largest("ag1", "TPR_G", "bd", "aa")),
    Claim("tpr-ag2", "AA has the best TPR_G on Ag2", _largest("ag2", "TPR_G", "aa", "bd")),
    Claim("tpr-ag3", "AA has the best TPR_G on Ag3", _largest("ag3", "TPR_G", "aa", "bd")),
    Claim("tpr-bd-falls", "TPR_G of BD falls as grains overlap more", _falling("bd", "TPR_G", FILMS)),
    Claim("tpr-films", "Over the three films AA has the better TPR_G", _largest(ALL_FILMS, "TPR_G", "aa", "bd")),
    Claim(
        "tnr",
        f"Mean TNR_G is at least {TNR_G_AT_LEAST:.0%}, for all features and films",
        tuple(Greater(Name(film, feature, "TNR_G"), TNR_G_AT_LEAST) for film in FILMS for feature in FEATURES),
    ),
    *(
        Claim(
            f"dissimilarity-{film}",
            f"Grains of RV are less alike inside than those of AA and BD on {film.capitalize()}",
            _largest(film, "dissimilarity", "rv", "aa", "bd"),
        )
        for film in FILMS
    ),
    Claim(
        "dissimilarity-aa",
        "On Ag3 grains of AA are less alike inside than those of BD",
        _largest("ag3", "dissimilarity", "aa", "bd"),
    ),
    Claim(
        "missed",
        "AA and BD leave grains undetected on Ag2 and Ag3",
        tuple(
            Greater(Name(film, "", "n_true"), Name(film, feature, "n_true_hit"))
            for film in FILMS[1:]
            for feature in ("aa", "bd")
        ),
    ),
    Claim(
        "overlap",
        "Grains of AA overlap more than those of BD on Ag2 and Ag3: BD makes regions of their own of overlaps",
        _largest(FILMS[1:], "shared", "aa", "bd"),
    ),
    Claim("speed", "A model of RV takes less time than one of BD", _largest(FILMS, "seconds", "bd", "rv")),
    Claim(
        "wire-count",
        "AA finds the most grains of the nanowire, RV the fewest",
        _largest(NANOWIRE, "n_found", "aa", "bd") + _largest(NANOWIRE, "n_found", "bd", "rv"),
    ),
    Claim(
        "wire-area",
        "Grains of AA are the smallest of the nanowire by area",
        _smallest(NANOWIRE, "area_nm2", "aa", "rv", "bd"),
    ),
    Claim(
        "wire-diameter-rv",
        "Maximum diameters in the nanowire spread least with RV",
        _smallest(NANOWIRE, "feret_spread_nm", "rv", "aa", "bd"),
    ),
    Claim(
        "wire-diameter-aa",
        "Maximum diameters in the nanowire spread more with AA than with BD",
        _largest(NANOWIRE, "feret_spread_nm", "aa", "bd"),
    ),
    Claim(
        "wire-elongated",
        "Grains of AA are the most elongated of the nanowire",
        _largest(NANOWIRE, "elongation", "aa", "rv", "bd"),
    ),
    Claim(
        "wire-dissimilarity-rv",
        "Grains of RV are less alike inside than those of AA and BD in the nanowire",
        _largest(NANOWIRE, "dissimilarity", "rv", "aa", "bd"),
    ),
    Claim(
        "wire-dissimilarity-aa",
        "Grains of AA are less alike inside than those of BD in the nanowire",
        _largest(NANOWIRE, "dissimilarity", "aa", "bd"),
    ),
    Claim(
        "wire-overlap",
        "Grains of AA overlap more than those of BD in the nanowire",
        _largest(NANOWIRE, "shared", "aa", "bd"),
    ),
)
