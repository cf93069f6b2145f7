"""Numbers with their spread."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.grains.scoring import score
from napari_stemnmf.study.paper import QUANTITIES
from napari_stemnmf.study.results import jackknife, mean_of_grains, pooled


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=12)
    left_out = np.array([np.delete(values, i).mean() for i in range(12)])
    assert jackknife(left_out) == pytest.approx(values.std(ddof=1) / np.sqrt(12))


def test_mean_and_standard_error_leave_out_what_is_not_known() -> None:
    assert mean_of_grains(np.array([1.0, 3.0, np.nan])) == pytest.approx((2.0, 1.0, 2))
    assert np.isnan(mean_of_grains(np.array([])))[:2].all()


def test_grains_of_all_films_count_alike() -> None:
    truth = np.zeros((2, 8, 8), bool)
    truth[0, :4, :4], truth[1, 4:, 4:] = True, True
    half = truth.copy()
    half[:, :, ::2] = False
    scores = {("ag1", "aa"): score(truth, truth), ("ag2", "aa"): score(half[:1], truth)}
    found = {n.quantity: n for n in pooled(scores)}
    assert found["TPR_G"].value == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["TPR_G"].n == 3


def test_rates_are_shown_in_percent_and_missing_numbers_as_a_dash() -> None:
    assert QUANTITIES["precision_A"].show(0.7534, 0.012) == "75.3 ± 1.2 %"
    assert QUANTITIES["area_nm2"].show(45.34) == "45.3 nm²"
    assert QUANTITIES["TPR_G"].show(float("nan")) == "–"
