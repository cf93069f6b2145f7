"""What is done with thousands of grains holds no mask of the whole scan for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_stemnmf as stem


def test_opening_and_scoring_make_no_masks_of_the_whole_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = stem.sample((16, 16), (32, 32)).dataset
    made = stem.analyse(dataset, until="survey", workers=1)
    grains = stem.Grains.of(
        ((np.arange(first, first + 20), np.ones(20, np.float32)) for first in range(0, 230, 5)), (16, 16)
    )
    replace(made, grains={"vdf": grains}, keys={**made.keys, "grains/vdf": "x"}).save(tmp_path / "a.stemnmf.h5")

    def whole(*_: Any) -> np.ndarray:
        raise AssertionError("A mask of the whole scan was made for each grain.")

    monkeypatch.setattr(stem.Grains, "_dense", whole)
    found = stem.Analysis.load(tmp_path / "a.stemnmf.h5").grains["vdf"]
    assert len(found) == len(grains)
    assert stem.score(found, grains).f1_iou50 == 1.0
