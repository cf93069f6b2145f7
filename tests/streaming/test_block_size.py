"""The size of blocks does not decide what is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.streaming import engine

SIDE = 96


@pytest.fixture(scope="module")
def film() -> stem.Dataset:
    return stem.sample((SIDE, SIDE), (64, 64), seed=4).dataset


@pytest.mark.slow
def test_blocks_of_32_and_64_and_the_whole_give_the_same_grains(
    film: stem.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for side in (32, 64, SIDE):
        for name in ("BLOCK_BYTES", "SPLIT_BYTES"):
            monkeypatch.setattr(engine, name, side * side * 64 * 64 * film.dtype.itemsize)
        dataset = replace(film, data=film.data.rechunk((side, side, -1, -1)))
        assert {block.size for block in engine.blocks(dataset)} >= {side * side}
        found.append(stem.analyse(dataset, workers=1))
    whole = found.pop()
    grains = whole.grains["vdf"]
    assert len(grains) > 3
    for other in found:
        assert np.array_equal(other.grains["vdf"].inside.indices, grains.inside.indices)
        assert np.array_equal(other.grains["vdf"].inside.indptr, grains.inside.indptr)
        assert np.array_equal(other.grains["vdf"].inside.data, grains.inside.data)
        assert np.array_equal(other.features["vdf"].values.data, whole.features["vdf"].values.data)  # type: ignore[union-attr]
        one, two = other.patterns["vdf"], whole.patterns["vdf"]  # sums of blocks, in another order
        assert np.allclose(one.patterns, two.patterns, rtol=1e-6)
        assert np.allclose(one.dissimilarity, two.dissimilarity, rtol=1e-9)
