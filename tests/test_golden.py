"""Files of earlier versions, and what the present code makes of them: they open, what was current stays current, and a
run gives the numbers that version 0.4 gave.

The files are in ``data/analyses``; the README there says how they were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse

import napari_stemnmf as stem
from napari_stemnmf.grains import crystals, evidence

FILES = Path(__file__).parent / "data" / "analyses"
VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.4-reviewed")
SHARED_STAGES = ["survey", "probe", "peaks", "calibration"]
ALL_STAGES = SHARED_STAGES + [
    f"{stage}/{feature}"
    for stage in ("features", "models", "grains", "patterns", "tables")
    for feature in ("aa", "rv", "bd")
]
NOT_MEASURED_AGAIN = ["patterns/bd", "tables/bd"]
"""Of the reviewed file: two grains of BD were merged after they had been measured."""
CURRENT = {
    "0.1": [],  # its numbers are recomputed by a run
    "0.2": ALL_STAGES,
    "0.3": ALL_STAGES,
    "0.4": ALL_STAGES,
    "0.4-reviewed": [stage for stage in ALL_STAGES if stage not in NOT_MEASURED_AGAIN],
}
"""By file, what version 0.4 takes to be current under the file's own recipe."""
SINCE = ("confidence", "reason")
"""Columns of tables that version 0.4 did not have."""
NAMES = ("digests",)
"""What only says which results are the same; made otherwise since, so that no mask of the whole scan is needed."""
RESULTS = (
    "mask", "survey", "probe", "peaks", "calibration", "failed", "features", "models", "grains", "patterns", "tables",
    "reviews", "keys",
)  # fmt: skip


def path_of(version: str) -> Path:
    return FILES / f"{version}.stemnmf.h5"


def sample(pixels: int = 32) -> stem.Dataset:
    return stem.sample(scan_shape=(12, 12), detector_shape=(pixels, pixels), seed=2).dataset


def assert_alike(found: Any, expected: Any, where: str, rtol: float) -> None:
    """The same types, names, words, integers and masks; reals to `rtol`, of each or of the largest beside it."""
    assert type(found) is type(expected), where
    if is_dataclass(expected):
        for f in fields(expected):
            if f.init and "since" not in f.metadata and (f.name not in NAMES or not rtol):  # what earlier versions had
                assert_alike(getattr(found, f.name), getattr(expected, f.name), f"{where}.{f.name}", rtol)
    elif issparse(expected):
        for part in ("shape", "indptr", "indices", "data"):
            assert_alike(getattr(found, part), getattr(expected, part), f"{where}.{part}", rtol)
    elif isinstance(expected, pd.DataFrame):
        assert [column for column in found if column in expected or column not in SINCE] == list(expected), where
        for column in expected:
            assert_alike(found[column].to_numpy(), expected[column].to_numpy(), f"{where}[{column!r}]", rtol)
    elif isinstance(expected, Mapping):
        assert set(found) == set(expected), where
        for name in expected:
            assert_alike(found[name], expected[name], f"{where}[{name!r}]", rtol)
    elif isinstance(expected, tuple | list):
        assert len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_alike(one, other, f"{where}[{i}]", rtol)
    elif isinstance(expected, np.ndarray | float) and np.asarray(expected).dtype.kind == "f":
        assert np.asarray(found).dtype == np.asarray(expected).dtype, where
        scale = float(np.abs(expected, where=np.isfinite(expected), out=np.zeros(np.shape(expected))).max(initial=0))
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * scale, err_msg=where)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=where)
        assert getattr(found, "dtype", None) == getattr(expected, "dtype", None), where


@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_of_an_earlier_version_opens_with_its_grains(version: str) -> None:
    analysis = stem.Analysis.load(path_of(version))
    features = ("aa", "rv") if version == "0.1" else ("aa", "rv", "bd")
    assert tuple(analysis.recipe.features) == features
    for stage in ("features", "models", "grains", "patterns", "tables"):
        assert set(getattr(analysis, stage)) == set(features), stage
    counts = {"0.1": [4, 2], "0.4-reviewed": [5, 4, 2]}.get(version, [5, 3, 2])
    assert [len(analysis.grains[name]) for name in features] == counts
    assert [name for name, review in analysis.reviews.items() if review.edits] == (
        ["aa", "bd"] if version == "0.4-reviewed" else []
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stages_that_are_current_are_those_that_version_0_4_takes_to_be(version: str) -> None:
    analysis = stem.Analysis.load(path_of(version))
    assert {stage for stage in {*ALL_STAGES, *analysis.keys} if analysis.is_current(stage)} == set(CURRENT[version])


@pytest.mark.parametrize("version", VERSIONS)
def test_the_sample_made_again_is_the_data_of_the_file(version: str) -> None:
    assert sample().fingerprint() == stem.Analysis.load(path_of(version)).input.fingerprint


@pytest.mark.parametrize("version", ["0.2", "0.3", "0.4"])
def test_a_run_goes_on_from_an_earlier_file_without_computing_anything(version: str) -> None:
    before = stem.Analysis.load(path_of(version))
    seen: list[str] = []
    after = stem.analyse(sample(), before.recipe, analysis=before, progress=lambda p: seen.append(p.stage))
    assert seen == []
    assert after.keys == before.keys


def test_features_are_those_of_version_0_4_but_for_how_the_probe_is_measured() -> None:
    """Of patterns of 64 x 64 pixels: in those of the other files, version 0.4 missed a spot of under a pixel."""
    expected = stem.Analysis.load(path_of("0.4-64"))
    found = stem.analyse(sample(64), expected.recipe, until="featurize")
    for name in ("mask", "survey", "probe", "peaks", "calibration", "failed", "features"):
        assert_alike(getattr(found, name), getattr(expected, name), name, rtol=1e-3)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_from_its_features_a_run_gives_what_version_0_4_gave(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One grain covers 136 of the 144 positions. Version 0.4 found parts of it, as NMF alone still does."""
    monkeypatch.setattr(crystals, "LEAST_COVER", 2.0)
    monkeypatch.setattr(evidence, "holds_crystal", lambda mask, disks: True)
    expected = stem.Analysis.load(path_of("0.4-64"))
    later = ("models", "grains", "patterns", "tables")
    keys = {path: key for path, key in expected.keys.items() if path.partition("/")[0] not in later}
    before = replace(expected, keys=keys, **{name: {} for name in later})
    found = stem.analyse(sample(64), expected.recipe, analysis=before, workers=workers)
    assert {path: found.keys[path] for path in expected.keys} == expected.keys
    for name in [name for name in RESULTS if name != "keys"]:
        assert_alike(getattr(found, name), getattr(expected, name), name, rtol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_earlier_file_saved_and_loaded_again_is_the_same(version: str, tmp_path: Path) -> None:
    analysis = stem.Analysis.load(path_of(version))
    analysis.save(tmp_path / "again.stemnmf.h5")
    again = stem.Analysis.load(tmp_path / "again.stemnmf.h5")
    assert again.recipe == analysis.recipe
    assert again.input == analysis.input
    for name in (*RESULTS, "times", "view"):
        assert_alike(getattr(again, name), getattr(analysis, name), name, rtol=0)


def test_the_one_grain_of_that_scan_is_found_as_one() -> None:
    made = stem.sample(scan_shape=(12, 12), detector_shape=(32, 32), seed=2)
    (truth,) = made.masks
    for grains in stem.analyse(made.dataset, stem.Analysis.load(path_of("0.4")).recipe, until="refine").grains.values():
        (mask,) = grains.masks
        assert (mask & truth).sum() / (mask | truth).sum() > 0.9
