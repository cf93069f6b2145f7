"""The paper's claims are judged by the numbers, both ways."""

from __future__ import annotations

import pytest

from napari_stemnmf.study.claims import CLAIMS, Claim, Greater, Verdict, judge, verdict
from napari_stemnmf.study.paper import (
    ALL_FILMS,
    FILMS,
    NANOWIRE,
    PRINTED,
    QUANTITIES,
    Name,
    Number,
    Numbers,
    numbers_of,
)

CLAIM = Claim("x", "AA before BD", (Greater(Name("ag1", "aa", "TPR_G"), Name("ag1", "bd", "TPR_G")),))


def measured(aa: float, bd: float, error: float = 0.01) -> Numbers:
    return numbers_of([Number("ag1", "aa", "TPR_G", aa, error, 20), Number("ag1", "bd", "TPR_G", bd, error, 20)])


@pytest.mark.parametrize(
    ("aa", "bd", "expected"),
    [
        (0.9, 0.8, Verdict.HOLDS),
        (0.81, 0.80, Verdict.HOLDS_WITHIN),
        (0.80, 0.80, Verdict.FAILS_WITHIN),
        (0.80, 0.81, Verdict.FAILS_WITHIN),
        (0.8, 0.9, Verdict.FAILS),
        (float("nan"), 0.8, Verdict.OPEN),
    ],
)
def test_a_difference_counts_where_it_is_larger_than_its_standard_error(
    aa: float, bd: float, expected: Verdict
) -> None:
    assert verdict(CLAIM, measured(aa, bd)) is expected


def test_without_a_known_error_every_difference_counts() -> None:
    assert verdict(CLAIM, measured(0.801, 0.800, float("nan"))) is Verdict.HOLDS
    assert verdict(CLAIM, measured(0.800, 0.801, float("nan"))) is Verdict.FAILS


def test_a_claim_without_its_numbers_is_not_judged() -> None:
    assert verdict(CLAIM, {}) is Verdict.OPEN


def test_one_clear_contradiction_is_enough() -> None:
    both = Claim("x", "", (*CLAIM.parts, Greater(Name("ag1", "aa", "TPR_G"), 0.5)))
    assert verdict(both, measured(0.8, 0.9)) is Verdict.FAILS
    assert verdict(both, measured(0.9, 0.8)) is Verdict.HOLDS


def everything(claim: Claim, *, as_claimed: bool) -> Numbers:
    """Numbers that bear a claim out, or contradict each of its parts."""
    names = {name for part in claim.parts for name in (part.left, part.right) if isinstance(name, Name)}
    value = dict.fromkeys(names, 100.0)
    for _ in names:  # larger ones are raised above smaller ones until all inequalities hold
        for part in claim.parts:
            if isinstance(part.right, Name):
                value[part.left] = max(value[part.left], value[part.right] + 10.0)
    sign = 1.0 if as_claimed else -1.0
    return numbers_of(Number(*name, sign * v, 0.1, 9) for name, v in value.items())


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.key)
def test_every_claim_can_hold_and_can_fail(claim: Claim) -> None:
    assert verdict(claim, everything(claim, as_claimed=True)) is Verdict.HOLDS
    assert verdict(claim, everything(claim, as_claimed=False)) is Verdict.FAILS


def test_the_paper_s_own_numbers_bear_out_what_they_can() -> None:
    verdicts = {judged.claim.key: judged.verdict for judged in judge(CLAIMS, PRINTED)}
    assert set(verdicts.values()) == {Verdict.HOLDS, Verdict.OPEN}
    assert verdicts["tpr-ag1"] is verdicts["dissimilarity-ag3"] is verdicts["wire-count"] is Verdict.HOLDS


def test_the_claims_that_the_study_is_asked_for_are_there() -> None:
    keys = {claim.key for claim in CLAIMS}
    assert {"precision-rv", "tpr-ag1", "tpr-ag2", "tpr-ag3", "tpr-bd-falls"} <= keys
    assert {f"dissimilarity-{film}" for film in FILMS} <= keys
    assert len(keys) == len(CLAIMS)


def test_numbers_are_shown_with_unit_and_spread_and_the_paper_s_beside_them() -> None:
    claim = next(claim for claim in CLAIMS if claim.key == "tpr-ag1")
    (judged,) = judge([claim], measured(0.9973, 0.945, 0.026))
    assert judged.ours == "BD 94.5 ± 2.6 %, AA 99.7 ± 2.6 %"
    assert judged.theirs == "BD 89.5 %, AA 86.4 %"


def test_every_name_in_claims_and_printed_numbers_is_known() -> None:
    names = [name for claim in CLAIMS for name in claim.numbers]
    for film, feature, quantity in (*names, *PRINTED):
        assert film in (*FILMS, NANOWIRE, ALL_FILMS)
        assert feature in ("", "aa", "rv", "bd")
        assert quantity in QUANTITIES


def test_no_number_is_printed_twice_and_each_has_its_place() -> None:
    assert len(PRINTED) == 52  # a name that came twice would be lost
    found = PRINTED[Name("ag1", "bd", "TPR_G")]
    assert (found.value, found.where) == (0.895, "Results, Silver Film Simulations")
