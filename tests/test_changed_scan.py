"""A scan, mask or dark reference that is replaced while a run goes on gives no results of two films."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import stages
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.results import export
from napari_stemnmf.pipeline import advance, start

QUICK = {"features": ("aa",), "*.clustering.seeds": 2, "*.clustering.components": 6}


def film(seed: int) -> np.ndarray:
    return np.asarray(stem.sample(scan_shape=(12, 12), detector_shape=(32, 32), seed=seed).dataset.data.compute())


def names() -> list[str]:
    return [stage.name for stage in stages.STAGES]


@pytest.mark.parametrize("after", ["survey", "probe", "disks", "calibrate", "featurize", "cluster", "refine"])
def test_scan_that_is_replaced_after_a_stage_stops_the_run(tmp_path: Path, after: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, film(1))
    dataset = stem.open(path)
    run = advance(start(dataset, stem.Recipe().replaced(QUICK)), dataset, stages.STAGES)
    for done in run:
        if done.stage.name == after:
            break
    np.save(path, film(2))
    with pytest.raises(AnalysisError, match="was changed"):
        next(run)


def test_scan_that_is_replaced_during_a_stage_leaves_nothing_of_it(tmp_path: Path) -> None:
    path, out = tmp_path / "a.npy", tmp_path / "a.stemnmf.h5"
    np.save(path, film(1))
    dataset = stem.open(path)
    other = film(2)

    def swap(progress) -> None:
        if progress.stage == "Disks":
            np.save(path, other)

    with pytest.raises(AnalysisError, match="was changed"):
        stem.analyse(dataset, stem.Recipe().replaced(QUICK), path=out, progress=swap)
    kept = stem.Analysis.load(out)
    assert (kept.survey is None, kept.peaks) == (False, None)
    again = stem.analyse(stem.open(path), stem.Recipe().replaced(QUICK), path=out, until="disks")
    assert again.input.fingerprint != kept.input.fingerprint


def test_scan_that_is_gone_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, film(1))
    dataset = stem.open(path)
    begun = start(dataset, stem.Recipe().replaced(QUICK))
    path.unlink()
    with pytest.raises(AnalysisError, match="not there any more"):
        next(advance(begun, dataset, stages.STAGES))


def test_replaced_scan_is_not_exported(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, film(1))
    dataset = stem.open(path)
    analysis = stem.analyse(dataset, stem.Recipe().replaced(QUICK), until="survey")
    np.save(path, film(2))
    with pytest.raises(AnalysisError, match="was changed"):
        export(analysis, tmp_path / "out", dataset=dataset)


def test_dark_reference_that_is_replaced_stops_the_run(tmp_path: Path) -> None:
    path, dark = tmp_path / "a.npy", tmp_path / "dark.npy"
    np.save(path, film(1))
    np.save(dark, np.zeros((32, 32)))
    dataset = stem.open(path)
    recipe = stem.Recipe().replaced({**QUICK, "preprocess.dark": str(dark)})
    run = advance(start(dataset, recipe, strict=True), dataset, stages.STAGES)
    next(run)
    np.save(dark, np.ones((32, 32)))
    with pytest.raises(AnalysisError, match=r"preprocess\.dark"):
        next(run)
