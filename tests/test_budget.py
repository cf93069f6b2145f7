"""A run that would not fit the memory says so before anything is read, and names what would fit."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import cli
from napari_stemnmf.cost import budget, estimate
from napari_stemnmf.cost.budget import threads_within
from napari_stemnmf.errors import RecipeError

ROOM = 1.3e9


def scan(rows: int, columns: int, size: int = 128) -> stem.Dataset:
    """A scan whose patterns nobody may read."""
    import dask.array as da

    def read(block_info: object = None) -> np.ndarray:
        raise AssertionError("An estimate has read the data.")

    chunks = ((1,) * rows, (columns,), (size,), (size,))
    return stem.Dataset.from_array(da.map_blocks(read, chunks=chunks, dtype=np.uint16, meta=np.empty(0)))


def threads(dataset: stem.Dataset, recipe: stem.Recipe, memory: float | None, workers: int = 8) -> int:
    return threads_within(None, dataset, recipe, workers=workers, memory=memory)


def test_fewer_threads_hold_fewer_blocks() -> None:
    dataset, recipe = scan(256, 256), stem.Recipe.preset("default")
    needed = [estimate(None, dataset, recipe, "recipe", workers=n).bytes for n in range(1, 9)]
    assert needed == sorted(needed)
    assert threads(dataset, recipe, 1e12) == 8
    assert needed[threads(dataset, recipe, needed[2]) - 1] <= needed[2]
    assert threads(dataset, recipe, 0.999 * needed[-1]) < 8


def test_what_would_fit_fits() -> None:
    dataset = scan(512, 512)
    recipe = stem.Recipe.preset("nmf").replaced({"*.clustering.windows": "off", "features": ["aa", "rv"]})
    with pytest.raises(RecipeError, match="would take about") as error:
        threads(dataset, recipe, ROOM)
    said = str(error.value)
    assert "clustering.windows = auto" in said
    size = float(re.search(r"windows = auto \(([\d.]+) GB\)", said)[1])  # type: ignore[index]
    assert size <= ROOM / 1e9
    changed = recipe.replaced({"*.clustering.windows": "auto"})
    assert threads(dataset, changed, ROOM) >= 1


def test_a_scan_of_which_a_part_would_fit() -> None:
    with pytest.raises(RecipeError, match=r"scan_y = \[0, \d+\]"):
        threads(scan(4096, 1024), stem.Recipe.preset("default"), 1.2e9)
    with pytest.raises(RecipeError, match="Give a part of the scan"):
        threads(scan(64, 64), stem.Recipe.preset("default"), 1e3)


def test_without_a_number_half_of_what_is_free_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset, recipe = scan(256, 256), stem.Recipe.preset("default")
    needed = estimate(None, dataset, recipe, "recipe", workers=1).bytes
    monkeypatch.setattr(budget, "available", lambda: int(2.1 * needed))
    assert threads(dataset, recipe, None) >= 1
    assert not caplog.records
    monkeypatch.setattr(budget, "available", lambda: int(1.5 * needed))
    with caplog.at_level(logging.WARNING):
        assert threads(dataset, recipe, None) == 1
    assert "would take about" in caplog.text
    monkeypatch.setattr(budget, "available", lambda: int(0.5 * needed))
    with pytest.raises(RecipeError, match="would take about"):
        threads(dataset, recipe, None)


def test_a_run_does_not_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RecipeError, match="would take about"):
        stem.analyse(scan(512, 512), path=tmp_path / "a.stemnmf.h5", memory=1e6)
    assert not (tmp_path / "a.stemnmf.h5").exists()
    stem.sample((16, 16), (64, 64)).save(tmp_path / "film.h5")
    assert cli.main(["run", str(tmp_path / "film.h5"), "--out", str(tmp_path / "out"), "--memory", "0.001"]) == 1
    assert "--memory" in capsys.readouterr().err
    for wrong in ("0", "-1", "much", "inf"):
        with pytest.raises(SystemExit):
            cli.main(["run", "film.h5", "--out", "out", "--memory", wrong])
