"""Where our numbers differ from the paper's, and why: sentences that depend on what was measured.

Each function states something about the study only where the numbers bear it out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from napari_stemnmf.study.claims import Greater, Judged, Verdict
from napari_stemnmf.study.paper import (
    ALL_FILMS,
    FEATURES,
    FILMS,
    MERGE_THRESHOLDS,
    NANOWIRE,
    PRINTED,
    QUANTITIES,
    Name,
    Numbers,
)
from napari_stemnmf.study.results import Film, Study


class Explanation(NamedTuple):
    """A difference, and what is behind it."""

    title: str
    text: str


def explanations(study: Study) -> list[Explanation]:
    """All explanations that apply to this study, in order."""
    parts = (_size, _films, _engine, _threshold, _blind, _dissimilarity, _wire, _printed_numbers)
    return [found for explain in parts for found in explain(study)]


def remarks(study: Study) -> list[tuple[Judged, str]]:
    """Of each claim that does not hold: what contradicts it, and what other merge thresholds of AA do to it."""
    found = []
    for index, one in enumerate(study.judged):
        if one.verdict in (Verdict.FAILS, Verdict.FAILS_WITHIN):
            others = {t: variant.judged[index] for t, variant in study.variants.items()}
            changed = [f"{o.verdict.value} with AA merged at {t}" for t, o in others.items() if o.ours != one.ours]
            again = f" It {' and '.join(changed)}." if changed else ""
            several = len(one.claim.films) > 1
            against = [text for part in one.claim.parts if (text := _contradiction(part, study.numbers, several))]
            found.append((one, f"{'; '.join(against)}.{again}"))
    return found


def _contradiction(part: Greater, numbers: Numbers, several: bool) -> str:
    """By how much a part of a claim does not hold; empty where it does. `several`: the claim is about several films."""
    left, right, margin = part.left, part.right, part.margin(numbers)
    if margin is None or margin[0] > 0:
        return ""
    film = f"{left.film.capitalize()}: " if several else ""
    distance = f", {-margin[0] / margin[1]:.1f} standard errors" if margin[1] > 0 else ""
    if isinstance(right, float):
        against = f"the bound of {QUANTITIES[left.quantity].show(right)}"
    else:
        against = _side(right, numbers) + (f" ({right.film.capitalize()})" if right.film != left.film else "")
    return f"{film}{_side(left, numbers)} against {against}{distance}"


def _side(name: Name, numbers: Numbers) -> str:
    return f"{name.feature.upper() or QUANTITIES[name.quantity].label} {numbers[name].shown}"


def _size(study: Study) -> Iterator[Explanation]:
    if study.plan.quick:
        yield Explanation(
            "This is the quick study",
            "Films are small and random starts few, so that all of it can be seen to work within minutes. The paper's "
            "films hold more and larger grains: do not compare numbers, and take no verdict from here.",
        )


def _films(study: Study) -> Iterator[Explanation]:
    """Other films than the paper's."""
    silver = [study.films[name] for name in FILMS if name in study.films]
    counts = [_value(study.numbers, film.name, "", "n_true") for film in silver if film.truth is not None]
    theirs = [_value(PRINTED, name, "", "n_true") for name in FILMS]
    if not counts:
        return
    same = counts == theirs
    text = (
        f"The grains are other random ones than the paper's, in the same kind of film: {_listed(counts)} true grains, "
        f"{'as many as' if same else 'where'} the paper has{'' if same else f' {_listed(theirs)}'}. "
    )
    doses = sorted({film.dose for film in silver if film.dose is not None})
    if doses:
        shown = ", ".join(f"{dose:,.0f}" for dose in doses)
        text += f"Electrons are counted ({shown} a pattern), of which the paper says nothing. "
    yield Explanation("Other grains, and noise", text.strip())


def _engine(study: Study) -> Iterator[Explanation]:
    simulated = [name for name in FILMS if name not in study.plan.given]
    if simulated and study.plan.engine == "kinematic":
        yield Explanation(
            "Kinematic, not multislice",
            "The paper simulates multiple scattering; here every grain scatters once, and the patterns of overlapping "
            "grains add up: what multiple scattering moves from disk to disk stays where it is. The engine multislice "
            "does as the paper does.",
        )
    if any(name in study.plan.given for name in FILMS):
        names = ", ".join(f"{n.capitalize()}: {f.path.name}" for n, f in study.films.items() if n in study.plan.given)
        yield Explanation("Films that were given", f"Not simulated here but taken as they are: {names}.")


def _threshold(study: Study) -> Iterator[Explanation]:
    """What the merge threshold of AA does."""
    if not study.variants:
        return
    used = study.plan.preset_threshold
    low, high = MERGE_THRESHOLDS["aa"]
    where = "within" if low <= used <= high else "outside"
    text = (
        f"Components of AA that correlate by a threshold or more are merged. The preset's is {used}, {where} the "
        f"paper's range of {low} to {high}; what others give stands in the table of scores and in the last columns of "
        "the verdicts. "
    )
    turned = []
    for index, one in enumerate(study.judged):
        others = [variant.judged[index].verdict for variant in study.variants.values()]
        if any(verdict.holding != one.verdict.holding for verdict in others):
            turned.append(f"“{one.claim.text}”")
    text += f"Verdicts that turn on it: {', '.join(turned)}." if turned else "No verdict turns on it."
    yield Explanation("The merge threshold of AA", text)


def _blind(study: Study) -> Iterator[Explanation]:
    """What TPR_G does not see."""
    texts = []
    for name in FILMS:
        film = study.films.get(name)
        if film is None or len(film.scores) < 2:
            continue
        top, ahead = _best(study, film, "TPR_G"), _best(study, film, "mean_iou")
        shown = {q: _shown(study.numbers, name, top, q) for q in ("TPR_G", "n_true_hit", "mean_iou")}
        true, ahead_iou = _shown(study.numbers, name, "", "n_true"), _shown(study.numbers, name, ahead, "mean_iou")
        texts.append(
            f"On {name.capitalize()} {top.upper()} has the largest mean TPR_G, {shown['TPR_G']}, with "
            f"{shown['n_true_hit']} of {true} true grains met and a mean IoU of {shown['mean_iou']} one to one"
            + ("." if ahead == top else f"; there {ahead.upper()} is ahead, with {ahead_iou}.")
        )
    if texts:
        texts.insert(
            0, "A region grown over several grains has a TPR_G of 100 %, and a grain that was missed has none."
        )
        yield Explanation("TPR_G does not see what was missed", " ".join(texts))


def _best(study: Study, film: Film, quantity: str) -> str:
    """The feature with the largest number."""
    values = {f: _value(study.numbers, film.name, f, quantity) for f in film.scores}
    return max(values, key=lambda f: np.nan_to_num(values[f], nan=-1.0))


def _dissimilarity(study: Study) -> Iterator[Explanation]:
    names = [Name(film, feature, "dissimilarity") for film in (*FILMS, NANOWIRE) for feature in FEATURES]
    ratios = [PRINTED[name].value / ours for name in names if np.isfinite(ours := _value(study.numbers, *name))]
    if ratios:
        yield Explanation(
            "Dissimilarity has another scale",
            "As printed, the differences from the mean carry a sign and cancel; we sum their absolute values. The sum "
            "also runs over the detector's pixels, and grows with their number and with the noise. The paper's values "
            f"are {min(ratios):.1f} to {max(ratios):.1f} times ours; only the order within a film compares.",
        )


def _wire(study: Study) -> Iterator[Explanation]:
    if NANOWIRE not in study.films:
        yield Explanation("No nanowire", "The nanowire was left out of this study; its claims are not judged.")
    elif NANOWIRE not in study.plan.given:
        yield Explanation(
            "The nanowire is a stand-in",
            "The paper measured a wire; its data are not public. Ours is simulated after what the paper tells of it "
            "(a double helix of small grains on carbon, behind a beam stop, with descan, ellipse, hot pixels and "
            "counted electrons). Sizes, numbers and dissimilarities of its grains are those of our wire; only orders "
            "compare.",
        )
    if NANOWIRE in study.films:
        models = {f: study.films[NANOWIRE].analysis.ensemble(f) for f in ("aa", "bd")}
        suggested = ", ".join(
            f"{f.upper()} {model.scree.suggested}" for f, model in models.items() if model is not None
        )
        aa, bd = study.plan.recipe(NANOWIRE).aa.clustering, study.plan.recipe(NANOWIRE).bd.clustering
        yield Explanation(
            "The nanowire has settings of its own",
            f"The scree suggests few components ({suggested}), as carbon and thickness vary more than grains do, and "
            f"on a narrow wire the maps of neighbours correlate. Clustering starts from {aa.components} components, "
            f"and merges AA at {aa.merge_threshold} and BD at {bd.merge_threshold}, the upper ends of the paper's "
            "ranges. This was chosen on such a wire after its grains had been counted and compared with the truth: "
            "take no more from the order of the numbers of grains than that the paper's order can be had within its "
            "own settings.",
        )


def _printed_numbers(study: Study) -> Iterator[Explanation]:
    """Printed numbers that do not fit each other."""
    parts = []
    for f in ("aa", "bd"):
        mean = np.mean([_value(PRINTED, film, f, "TPR_G") for film in FILMS])
        parts.append(f"{f.upper()} {_value(PRINTED, ALL_FILMS, f, 'TPR_G'):.1%} printed, {mean:.1%} from the films")
    yield Explanation(
        "The paper's average of TPR_G",
        f"The printed averages over the three films are not all the means of the three printed numbers "
        f"({'; '.join(parts)}). Ours is the mean over all grains found in the three films.",
    )
    precision, bound = (_value(PRINTED, "ag1", f, "precision_A") for f in ("aa", "bd"))
    missed = _value(PRINTED, "ag1", "rv", "FNR_A")
    most = (1 - missed) * (1 / bound - 1) / (1 / precision - 1)
    ours = 1 - _value(study.numbers, "ag1", "aa", "FNR_A")
    measured = f" (ours finds {ours:.0%})" if np.isfinite(ours) else ""
    yield Explanation(
        "AA, RV and the empty area of Ag1",
        f"RV finds {1 - missed:.0%} of the grain area and is more precise than {bound:.1%}; AA has a precision of "
        f"{precision:.1%}. By these numbers AA can only take in less of the empty area than RV if it finds less than "
        f"{most:.0%} of the grain area{measured}: that claim does not fit the printed numbers.",
    )
    area, diameter = (_value(PRINTED, NANOWIRE, "rv", quantity) for quantity in ("area_nm2", "feret_max_nm"))
    yield Explanation(
        "Area and diameter of RV in the nanowire",
        f"A region of the printed mean area of {area} nm² is at least {2 * np.sqrt(area / np.pi):.1f} nm across, more "
        f"than the printed mean of {diameter} nm: both can only be true if few regions hold most of the area. We make "
        "no claim of these two.",
    )


def _value(numbers: Numbers, film: str, feature: str, quantity: str) -> float:
    number = numbers.get(Name(film, feature, quantity))
    return float("nan") if number is None else number.value


def _shown(numbers: Numbers, film: str, feature: str, quantity: str) -> str:
    return QUANTITIES[quantity].show(_value(numbers, film, feature, quantity))


def _listed(counts: list[float]) -> str:
    return ", ".join(f"{count:.0f}" for count in counts)
