"""Blocks on the workers of a dask scheduler give the numbers of this machine's threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.preferences import Preferences, schedulers
from napari_stemnmf.streaming.engine import Schedulers

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")


@pytest.mark.slow
def test_a_scheduler_s_workers_read_and_compute(tmp_path: Path) -> None:
    stem.sample((12, 14), (64, 64), seed=2).save(tmp_path / "film.h5")
    dataset = stem.open(tmp_path / "film.h5")
    quick = {"*.clustering.seeds": 1, "*.clustering.components": 8, "*.refinement.min_size": 6}
    recipe = stem.Recipe.preset("nmf").replaced(quick)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        there = stem.analyse(dataset, recipe, executor=Preferences(scheduler=cluster.scheduler_address).executor())
        schedulers().close()
    here = stem.analyse(dataset, recipe)
    for feature in ("aa", "rv"):
        assert np.array_equal(here.features[feature].values, there.features[feature].values)
        assert np.array_equal(here.grains[feature].masks, there.grains[feature].masks)
        assert here.tables[feature].equals(there.tables[feature])


@pytest.mark.slow
def test_nobody_at_the_address_is_one_sentence() -> None:
    with pytest.raises(StemNMFError, match=r"no dask scheduler at tcp://127\.0\.0\.1:9; start it"):
        Schedulers().executor("tcp://127.0.0.1:9")
