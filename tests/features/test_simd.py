"""Sixteen patterns at a time give the numbers of one at a time, and are used only where they compile."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.features import projection, simd
from napari_stemnmf.features.polar import samples, sectors
from napari_stemnmf.features.projection import Plan, project

GEOMETRY = Geometry((45, 52), 22.3, 25.8, 2.0)
PLAN = Plan.of((45, 52), sectors(GEOMETRY, (4.0, 9.0, 17.0), 10.0), samples(GEOMETRY, tuple(np.arange(6.0, 18.0)), 2.0))


@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i2", "f4", "f8"])
def test_vectors_and_plain_numbers_give_the_same_bits(dtype: str, sqrt: bool) -> None:
    patterns = np.random.default_rng(0).poisson(30.0, (21, 45, 52)).astype(dtype)
    if patterns.dtype.kind == "f":
        patterns = patterns * patterns.dtype.type(1.3)
        patterns[3, 20, 30:33] = np.nan, np.inf, -4.0
    which, shift = np.array([0, 3, 20]), np.array([0, 53, -51])
    for some in ({}, {"which": which, "shift": shift}):
        vectors = project(patterns, PLAN, sqrt=sqrt, vectors=True, **some)
        plain = project(patterns, PLAN, sqrt=sqrt, vectors=False, **some)
        for a, b in zip(vectors, plain, strict=True):
            np.testing.assert_array_equal(a, b)


def test_patterns_go_one_at_a_time_where_vectors_do_not_compile(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patterns = np.random.default_rng(0).poisson(30.0, (5, 45, 52)).astype(np.uint16)
    expected = project(patterns, PLAN)

    def fail(*_: object) -> None:
        raise TypeError("no such intrinsic")

    monkeypatch.setattr(simd, "_try_all", fail)
    monkeypatch.setattr(projection, "is_available", simd.is_available.__wrapped__)
    for a, b in zip(project(patterns, PLAN), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert "one at a time" in caplog.text


def test_vectors_are_used_here() -> None:
    assert simd.is_available()
