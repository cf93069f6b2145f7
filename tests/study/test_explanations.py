"""What is stated of a difference depends on the numbers."""

from __future__ import annotations

from pathlib import Path

from napari_stemnmf.study.claims import CLAIMS, judge
from napari_stemnmf.study.explanations import explanations, remarks
from napari_stemnmf.study.paper import Number, numbers_of
from napari_stemnmf.study.plan import make_plan
from napari_stemnmf.study.results import Judgement, Study

NUMBERS = [
    Number("ag1", "aa", "TPR_G", 0.997, 0.003, 20),
    Number("ag1", "bd", "TPR_G", 0.945, 0.026, 24),
    Number("ag1", "aa", "dissimilarity", 6.1, 0.5, 20),
]


def study(*changed: Number, quick: bool = False) -> Study:
    """A study of these numbers, with others where AA is merged at 0.6."""
    numbers, others = numbers_of(NUMBERS), numbers_of([*NUMBERS, *changed])
    variants = {0.6: Judgement(others, judge(CLAIMS, others))} if changed else {}
    plan = make_plan(quick=quick, nanowire=False)
    return Study(Path("out"), plan, {}, numbers, judge(CLAIMS, numbers), variants, [])


def texts_of(of: Study) -> dict[str, str]:
    return {found.title: found.text for found in explanations(of)}


def test_a_claim_that_does_not_hold_is_shown_with_what_contradicts_it() -> None:
    ((judged, text),) = remarks(study())
    assert judged.claim.key == "tpr-ag1"
    assert text == "BD 94.5 ± 2.6 % against AA 99.7 ± 0.3 %, 2.0 standard errors."


def test_another_merge_threshold_is_named_where_it_changes_the_numbers() -> None:
    ((_, text),) = remarks(study(Number("ag1", "aa", "TPR_G", 0.87, 0.03, 27)))
    assert text.endswith("It holds with AA merged at 0.6.")
    message = "turn on it: “BD has the best TPR_G on Ag1”."
    assert message in texts_of(study(Number("ag1", "aa", "TPR_G", 0.87, 0.03, 27)))["The merge threshold of AA"]


def test_a_threshold_that_changes_no_verdict_is_reported_to_change_none() -> None:
    text = texts_of(study(Number("ag1", "aa", "TPR_G", 0.98, 0.01, 27)))["The merge threshold of AA"]
    assert text.endswith("No verdict turns on it.")


def test_scales_are_compared_by_what_was_measured() -> None:
    assert "are 2.0 to 2.0 times ours" in texts_of(study())["Dissimilarity has another scale"]


def test_printed_numbers_that_do_not_fit_each_other_are_worked_out() -> None:
    texts = texts_of(study())
    assert (
        "AA 83.2% printed, 83.1% from the films; BD 67.4% printed, 69.5% from the films"
        in (texts["The paper's average of TPR_G"])
    )
    assert "less than 18% of the grain area" in texts["AA, RV and the empty area of Ag1"]
    assert "at least 10.6 nm across" in texts["Area and diameter of RV in the nanowire"]


def test_only_what_is_true_of_the_study_is_stated() -> None:
    assert "This is the quick study" not in texts_of(study())
    assert "This is the quick study" in texts_of(study(quick=True))
    assert "No nanowire" in texts_of(study())
    assert "Kinematic, not multislice" in texts_of(study())
