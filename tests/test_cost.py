"""Estimates: what they count, what they learn from earlier runs, what they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.analysis import RunTime
from napari_stemnmf.cost import Estimate, estimate
from napari_stemnmf.cost.sizes import Scan
from napari_stemnmf.cost.work import Work

QUICK = {"*.clustering.seeds": 2, "*.clustering.components": 8, "*.refinement.min_size": 6}


def scan(rows: int = 64, columns: int = 64, size: int = 128) -> stem.Dataset:
    """A scan whose patterns nobody reads."""
    import dask.array as da

    def read(block_info: object = None) -> np.ndarray:
        raise AssertionError("An estimate has read the data.")

    data = da.map_blocks(read, chunks=((1,) * rows, (columns,), (size,), (size,)), dtype=np.uint16, meta=np.empty(0))
    return stem.Dataset.from_array(data)


def test_an_estimate_reads_nothing_and_grows_with_the_work() -> None:
    recipe = stem.Recipe.preset("nmf")
    whole = recipe.replaced({"*.clustering.windows": "off"})
    small, large = (estimate(None, scan(rows), whole, "recipe", workers=2) for rows in (64, 256))
    assert small.rough
    assert 3 < large.seconds / small.seconds < 6
    in_windows = estimate(None, scan(256), recipe, "recipe", workers=2)
    assert 1 < in_windows.seconds / large.seconds < 2
    assert estimate(None, scan(64), recipe, "recipe", workers=2).seconds == small.seconds
    assert large.bytes > small.bytes
    few = recipe.replaced({"*.clustering.seeds": 2})
    one_feature = estimate(None, scan(), few, "cluster", ("aa",), workers=2)
    assert one_feature.seconds < estimate(None, scan(), few, "cluster", workers=2).seconds
    assert one_feature.seconds < estimate(None, scan(), few, "cluster", ("aa",), workers=1).seconds
    cropped = recipe.replaced({"preprocess.scan_y": (0, 32)})
    assert estimate(None, scan(), cropped, "survey").seconds < estimate(None, scan(), recipe, "survey").seconds
    starts = [estimate(None, scan(), recipe, "cluster", ("aa",), suggested={"aa": k}) for k in (5, 20)]
    assert starts[0].seconds < starts[1].seconds / 4
    assert "scree" not in starts[0].why
    parts = [estimate(None, scan(), recipe, step).seconds for step in ("survey", "calibrate", "featurize", "recipe")]
    assert parts == sorted(parts)


def test_what_was_found_and_took_its_time_makes_the_estimate_sure() -> None:
    dataset = stem.sample((16, 18), (64, 64), seed=5).dataset
    recipe = stem.Recipe.preset("nmf", ("aa", "bd")).replaced(QUICK)
    done = stem.analyse(dataset, recipe)
    assert estimate(done, dataset, recipe, "recipe") == Estimate()
    assert estimate(done, dataset, recipe, "recipe").text() == "nothing to do"

    more = recipe.replaced({"*.clustering.seeds": 8})
    slow = replace(done, times={**done.times, **{f"models/{name}": RunTime(100.0, 100.0) for name in ("aa", "bd")}})
    again = estimate(slow, dataset, more, "cluster", workers=2)
    assert not again.rough
    assert again.seconds == pytest.approx(800, rel=0.6)  # four times the seeds of what took 100 s each
    assert estimate(slow, dataset, more, "recipe", workers=2).seconds > again.seconds  # what follows is stale as well

    halo = recipe.replaced({"aa.featurize.angle_step": 10.0})
    took = {**done.times, **{f"features/{name}": RunTime(20.0, 40.0) for name in ("aa", "bd")}}
    assert estimate(replace(done, times=took), dataset, halo, "featurize").seconds == pytest.approx(20, rel=0.05)
    late = replace(done, times={"survey": RunTime(50.0, 1.0)})  # a file far away, whose features took unknown time
    assert estimate(late, dataset, halo, "featurize").seconds == pytest.approx(50, rel=0.1)
    assert estimate(late, dataset, halo, "featurize", ("bd",)).seconds == 0.0
    assert estimate(done, None, halo, "cluster").seconds > 0  # the scan itself is not open


def test_estimated_columns_are_those_that_featurize_gives() -> None:
    dataset, recipe = stem.sample().dataset, stem.Recipe.preset("nmf", ("aa", "rv", "bd"))
    done = stem.analyse(dataset, recipe, until="featurize")
    found, before = done.features, replace(done, features={})

    def columns(feature: str, settings: stem.Recipe) -> tuple[float, float]:
        scan = Scan.of(before, dataset, settings, workers=1)
        assert scan is not None
        return Work(scan, before, settings, (), {}, {}).columns(feature)

    assert columns("rv", recipe)[0] == found["rv"].values.shape[1]
    assert columns("bd", recipe)[0] == found["bd"].values.shape[1]
    assert columns("bd", recipe)[1] == pytest.approx(found["bd"].values.nnz / len(done.peaks.counts), rel=0.05)
    assert 0.5 <= columns("aa", recipe)[0] / found["aa"].values.shape[1] <= 2.0  # how many rings it has is a guess
    known = recipe.replaced({"aa.featurize.rings": found["aa"].details["rings"]})
    assert columns("aa", known)[0] == found["aa"].values.shape[1]


def test_an_estimate_says_what_it_comes_to() -> None:
    assert Estimate(12.2, 0.43e9).text() == "about 12 s, 0.4 GB"
    assert Estimate(0.2, 1e6, rough=True).text() == "roughly 1 s or less, under 0.1 GB"
    assert Estimate(7.4, 3e9).text() == "about 7 s, 3.0 GB"
    assert Estimate(600, 3e9).text() == "about 10 min, 3.0 GB"
    assert Estimate(3 * 3600, 3e9).text() == "about 3.0 h, 3.0 GB"
    assert estimate(None, None, stem.Recipe(), "recipe").why == "Open a scan."
