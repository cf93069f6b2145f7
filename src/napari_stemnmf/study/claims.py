"""The paper's claims as inequalities between measured numbers, and what became of each.

A verdict is never written down here: each claim says which number should be larger than which, and `judge` looks. A
difference counts as clear where it is larger than its standard error (both errors in quadrature). Leans on `measures`
and the printed numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from napari_stemnmf.study.measures import QUANTITIES, Number, Numbers
from napari_stemnmf.study.paper import ALL_FILMS, FILMS, NANOWIRE, TNR_G_AT_LEAST, printed


class Verdict(Enum):
    """What became of a claim."""

    HOLDS = "holds"
    HOLDS_WITHIN = "holds, within the spread"
    FAILS_WITHIN = "does not hold, within the spread"
    FAILS = "does not hold"
    OPEN = "not judged"


HOLDING = frozenset({Verdict.HOLDS, Verdict.HOLDS_WITHIN})


@dataclass(frozen=True)
class Of:
    """A number by name."""

    film: str
    feature: str
    quantity: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.film, self.feature, self.quantity


@dataclass(frozen=True)
class Greater:
    """That one number is larger than another, or at least a bound."""

    left: Of
    right: Of | float

    def margin(self, numbers: Numbers) -> tuple[float, float] | None:
        """How much larger, and the standard error of that (0 where none is known); None if a number is missing."""
        left = numbers.get(self.left.key)
        right = Number("", "", "", self.right, 0.0) if isinstance(self.right, float) else numbers.get(self.right.key)
        if left is None or right is None or not np.isfinite([left.value, right.value]).all():
            return None
        return left.value - right.value, float(np.hypot(*np.nan_to_num([left.error, right.error])))


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, in our words."""

    key: str
    text: str
    parts: tuple[Greater, ...]

    @property
    def numbers(self) -> list[Of]:
        """The numbers that it compares, each once."""
        names = [name for part in self.parts for name in (part.left, part.right) if isinstance(name, Of)]
        return list(dict.fromkeys(names))

    @property
    def films(self) -> tuple[str, ...]:
        """The films that it is about."""
        return tuple(dict.fromkeys(name.film for name in self.numbers))


@dataclass(frozen=True)
class Judged:
    """A claim, its verdict, and the numbers that it rests on, in words."""

    claim: Claim
    verdict: Verdict
    ours: str
    theirs: str


def judge(claims: Iterable[Claim], numbers: Numbers) -> list[Judged]:
    """The verdict on each claim."""
    return [Judged(c, verdict(c, numbers), _in_words(c, numbers), _as_printed(c)) for c in claims]


def verdict(claim: Claim, numbers: Numbers) -> Verdict:
    """Whether every part of a claim is as it says, and by more than the spread."""
    margins = [part.margin(numbers) for part in claim.parts]
    known = [margin for margin in margins if margin is not None]
    if len(known) < len(margins):
        return Verdict.OPEN
    if all(difference > error for difference, error in known):
        return Verdict.HOLDS
    if any(difference < -error for difference, error in known):
        return Verdict.FAILS
    return Verdict.HOLDS_WITHIN if all(difference > 0 for difference, _ in known) else Verdict.FAILS_WITHIN


def largest(film: str, quantity: str, feature: str, others: Sequence[str]) -> tuple[Greater, ...]:
    """That one feature has a larger number than the others."""
    return tuple(Greater(Of(film, feature, quantity), Of(film, other, quantity)) for other in others)


def falling(feature: str, quantity: str, films: Sequence[str]) -> tuple[Greater, ...]:
    """That a number falls from film to film."""
    return tuple(
        Greater(Of(first, feature, quantity), Of(then, feature, quantity)) for first, then in itertools.pairwise(films)
    )


def _film_claims() -> Iterable[Claim]:
    upward = FILMS[::-1]
    yield Claim("precision-rv", "RV is the most precise on Ag1", largest("ag1", "precision_A", "rv", ("aa", "bd")))
    yield Claim(
        "precision-aa",
        "AA is the least precise on Ag1",
        tuple(Greater(Of("ag1", other, "precision_A"), Of("ag1", "aa", "precision_A")) for other in ("rv", "bd")),
    )
    yield Claim(
        "precision-rises",
        "Precision of AA and BD rises with the area that grains cover",
        falling("aa", "precision_A", upward) + falling("bd", "precision_A", upward),
    )
    yield Claim(
        "rv-misses",
        "RV misses the largest share of the grain area, in all films",
        tuple(part for film in FILMS for part in largest(film, "FNR_A", "rv", ("aa", "bd"))),
    )
    yield Claim(
        "fpr-aa",
        "AA takes in less of the empty area than RV on Ag1",
        (Greater(Of("ag1", "rv", "FPR_A"), Of("ag1", "aa", "FPR_A")),),
    )
    yield Claim("tpr-ag1", "BD has the best TPR_G on Ag1", largest("ag1", "TPR_G", "bd", ("aa",)))
    yield Claim("tpr-ag2", "AA has the best TPR_G on Ag2", largest("ag2", "TPR_G", "aa", ("bd",)))
    yield Claim("tpr-ag3", "AA has the best TPR_G on Ag3", largest("ag3", "TPR_G", "aa", ("bd",)))
    yield Claim("tpr-bd-falls", "TPR_G of BD falls as grains overlap more", falling("bd", "TPR_G", FILMS))
    yield Claim("tpr-films", "Over the three films AA has the better TPR_G", largest(ALL_FILMS, "TPR_G", "aa", ("bd",)))
    yield Claim(
        "tnr",
        f"Mean TNR_G is at least {TNR_G_AT_LEAST:.0%}, for all features and films",
        tuple(Greater(Of(film, feature, "TNR_G"), TNR_G_AT_LEAST) for film in FILMS for feature in ("rv", "aa", "bd")),
    )
    for film in FILMS:
        yield Claim(
            f"dissimilarity-{film}",
            f"Grains of RV are less alike inside than those of AA and BD on {film.capitalize()}",
            largest(film, "dissimilarity", "rv", ("aa", "bd")),
        )
    yield Claim(
        "dissimilarity-aa",
        "On Ag3 grains of AA are less alike inside than those of BD",
        largest("ag3", "dissimilarity", "aa", ("bd",)),
    )
    yield Claim(
        "missed",
        "AA and BD leave grains undetected on Ag2 and Ag3",
        tuple(
            Greater(Of(film, "", "n_true"), Of(film, feature, "n_true_hit"))
            for film in FILMS[1:]
            for feature in ("aa", "bd")
        ),
    )
    yield Claim(
        "overlap",
        "Grains of AA overlap more than those of BD on Ag2 and Ag3: BD makes regions of their own of overlaps",
        tuple(part for film in FILMS[1:] for part in largest(film, "shared", "aa", ("bd",))),
    )
    yield Claim(
        "speed",
        "A model of RV takes less time than one of BD",
        tuple(part for film in FILMS for part in largest(film, "seconds", "bd", ("rv",))),
    )


def _wire_claims() -> Iterable[Claim]:
    yield Claim(
        "wire-count",
        "AA finds the most grains of the nanowire, RV the fewest",
        largest(NANOWIRE, "n_found", "aa", ("bd",)) + largest(NANOWIRE, "n_found", "bd", ("rv",)),
    )
    yield Claim(
        "wire-area",
        "Grains of AA are the smallest of the nanowire by area",
        tuple(Greater(Of(NANOWIRE, other, "area_nm2"), Of(NANOWIRE, "aa", "area_nm2")) for other in ("rv", "bd")),
    )
    yield Claim(
        "wire-diameter-rv",
        "Maximum diameters in the nanowire spread least with RV",
        tuple(
            Greater(Of(NANOWIRE, other, "feret_spread_nm"), Of(NANOWIRE, "rv", "feret_spread_nm"))
            for other in ("aa", "bd")
        ),
    )
    yield Claim(
        "wire-diameter-aa",
        "Maximum diameters in the nanowire spread more with AA than with BD",
        largest(NANOWIRE, "feret_spread_nm", "aa", ("bd",)),
    )
    yield Claim(
        "wire-elongated",
        "Grains of AA are the most elongated of the nanowire",
        largest(NANOWIRE, "elongation", "aa", ("rv", "bd")),
    )
    yield Claim(
        "wire-dissimilarity-rv",
        "Grains of RV are less alike inside than those of AA and BD in the nanowire",
        largest(NANOWIRE, "dissimilarity", "rv", ("aa", "bd")),
    )
    yield Claim(
        "wire-dissimilarity-aa",
        "Grains of AA are less alike inside than those of BD in the nanowire",
        largest(NANOWIRE, "dissimilarity", "aa", ("bd",)),
    )
    yield Claim(
        "wire-overlap",
        "Grains of AA overlap more than those of BD in the nanowire",
        largest(NANOWIRE, "shared", "aa", ("bd",)),
    )


CLAIMS: tuple[Claim, ...] = (*_film_claims(), *_wire_claims())


def _in_words(claim: Claim, numbers: Numbers) -> str:
    return _listed(claim, {name: numbers.get(name.key) for name in claim.numbers})


def _as_printed(claim: Claim) -> str:
    found = {name: printed(*name.key) for name in claim.numbers}
    if not any(found.values()):
        return "no number"
    return _listed(claim, {name: Number(*name.key, p.value) for name, p in found.items() if p is not None})


def _listed(claim: Claim, known: Mapping[Of, Number | None]) -> str:
    """The numbers of a claim, by film where there are several: "Ag1: RV 97.3 ± 0.5 %, AA 79.4 ± 1.2 %"."""
    lines = []
    for film in claim.films:
        shown = []
        for name in known:
            if name.film == film:
                number, quantity = known[name], QUANTITIES[name.quantity]
                value = "–" if number is None else quantity.show(number.value, number.error)
                shown.append(f"{name.feature.upper() or quantity.label} {value}")
        if shown:
            lines.append((f"{film.capitalize()}: " if len(claim.films) > 1 else "") + ", ".join(shown))
    return "; ".join(lines)
