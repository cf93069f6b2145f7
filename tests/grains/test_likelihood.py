"""How likely a grain from tracked spots is right, and what is said against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_stemnmf.grains.likelihood import Evidence, likelihood, reasons

GOOD = {"spots": 8, "bright": 0.05, "area": 200, "resolved": 0.8, "misfit": 0.03, "double": 0.0}


def evidence(*changes: dict[str, float]) -> Evidence:
    """Groups like a good one, but for what is changed."""
    rows = [{**GOOD, "host": -1, "cover": 0.0, "likeness": 0.0, **change} for change in changes]
    return Evidence(**{name: np.array([row[name] for row in rows]) for name in rows[0]})


def test_each_term_speaks_as_it_should() -> None:
    worse = ({"spots": 2}, {"bright": 1e-4}, {"resolved": 0.1}, {"misfit": 0.5}, {"double": 0.3})
    p = likelihood(evidence({}, *worse))
    assert p[0] > 0.95
    assert (p[1:] < p[0]).all()
    assert ((p > 0) & (p < 1)).all()


def test_a_group_without_an_outline_is_no_grain() -> None:
    assert likelihood(evidence({"area": 0, "resolved": 0.0}))[0] == 0


def test_reasons_name_what_is_wrong() -> None:
    found = evidence(
        {}, {"spots": 2}, {"bright": 1e-4}, {"area": 6, "resolved": 0.03}, {"misfit": 0.9}, {"double": 0.6}
    )
    said = reasons(found, np.array([0.97, 0.5, 0.5, 0.5, 0.5, 0.5]), np.arange(1, 7))
    assert said[0] == ""
    for text, word in zip(said[1:], ("only two spots", "faint", "6 positions", "agree", "60 %"), strict=True):
        assert word in text


def test_a_grain_within_another_is_said_to_be() -> None:
    found = evidence({}, {"host": 0, "cover": 0.95, "likeness": 0.6})
    assert reasons(found, np.array([0.99, 0.6]), np.array([7, 8]))[1] == "lies in grain 7 and shares its outline"
    apart = replace(found, likeness=np.array([0.0, 0.2]))
    assert "grain 7" not in reasons(apart, np.array([0.99, 0.6]), np.array([7, 8]))[1]
