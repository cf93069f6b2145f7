"""What is requested for is written, and what cannot be is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.chosen import chosen
from napari_stemnmf.export.results import TICKED, export
from napari_stemnmf.grains.editing import Edit


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "film.h5"
    stem.sample((20, 24), (64, 64), seed=2).save(path)
    return path


@pytest.fixture(scope="module")
def analysis(film: Path) -> stem.Analysis:
    """Grains of two representations, one grain of AA accepted."""
    recipe = stem.Recipe.preset("nmf", ["aa", "rv"])
    quick = {"*.clustering.seeds": 1, "*.clustering.components": 12, "*.refinement.min_size": 6}
    found = stem.analyse(stem.open(film), recipe.replaced(quick))
    return pipeline.edit(found, "aa", Edit("accept", (int(found.grains["aa"].ids[1]),)))


def names(paths: list[Path]) -> set[str]:
    assert all(path.is_file() for path in paths)
    return {path.name for path in paths}


def test_everything_lands_in_one_folder(analysis: stem.Analysis, tmp_path: Path) -> None:
    done = export(analysis, tmp_path / "new" / "folder", [*TICKED, "stacks", "analysis"])
    assert done.left_out == []
    each = {
        f"{name}-{feature}.{end}" for feature in ("aa", "rv") for name, end in (("grains", "csv"), ("labels", "tif"))
    }
    assert names(done.written) == each | {
        "stack-aa.tif", "stack-rv.tif", "recipe.toml", "repeat.py", "film.stemnmf.h5",
    }  # fmt: skip
    assert stem.Recipe.load(tmp_path / "new" / "folder" / "recipe.toml") == analysis.recipe
    compile((tmp_path / "new" / "folder" / "repeat.py").read_text(), "repeat.py", "exec")
    assert stem.Analysis.load(tmp_path / "new" / "folder" / "film.stemnmf.h5").reviews.keys() == {"aa"}


def test_only_accepted_grains(analysis: stem.Analysis, tmp_path: Path) -> None:
    done = export(analysis, tmp_path, ["csv", "labels", "stacks"], grains="accepted")
    assert names(done.written) == {"grains-aa.csv", "labels-aa.tif", "stack-aa.tif"}
    accepted = int(analysis.grains["aa"].ids[1])
    assert pd.read_csv(tmp_path / "grains-aa.csv")["grain_id"].tolist() == [accepted]
    labels = tifffile.imread(tmp_path / "labels-aa.tif")
    assert np.array_equal(labels == accepted, analysis.grains["aa"].masks[1])
    assert np.array_equal(tifffile.imread(tmp_path / "stack-aa.tif") == accepted, analysis.grains["aa"].masks[1])


@pytest.mark.slow
def test_figures_that_need_no_truth(analysis: stem.Analysis, tmp_path: Path) -> None:
    one = pipeline.with_recipe(analysis, analysis.recipe.replaced({"features": ["aa"]}))
    done = export(one, tmp_path, ["figures"])
    assert done.left_out == []
    assert {"overview-aa.pdf", "sizes.png", "refinement-aa.pdf", "run-times.pdf"} <= names(done.written)


def test_what_cannot_be_written_does_not_keep_the_rest(analysis: stem.Analysis, tmp_path: Path) -> None:
    stale = pipeline.edit(analysis, "rv", Edit("merge", tuple(map(int, analysis.grains["rv"].ids[:2]))))
    (tmp_path / "labels-aa.tif").mkdir()
    done = export(stale, tmp_path, ["csv", "labels", "recipe"])
    assert names(done.written) == {"labels-rv.tif", "recipe.toml"}
    assert any("run Measure" in sentence for sentence in done.left_out)
    assert any("labels-aa.tif cannot be written" in sentence for sentence in done.left_out)
    (tmp_path / "file").touch()
    with pytest.raises(AnalysisError, match="cannot be made"):
        export(analysis, tmp_path / "file")


def test_rejected_grains_stay_inside_unless_they_are_asked_for(analysis: stem.Analysis, tmp_path: Path) -> None:
    out, *left = (int(i) for i in analysis.grains["rv"].ids)
    reviewed = pipeline.edit(analysis, "rv", Edit("reject", (out,)))
    for grains, ids in (("kept", left), ("all", [out, *left])):
        folder = tmp_path / grains
        export(reviewed, folder, ["csv", "stacks"], grains=grains)
        assert pd.read_csv(folder / "grains-rv.csv")["grain_id"].tolist() == ids
        assert set(np.unique(tifffile.imread(folder / "stack-rv.tif"))) - {0} == set(ids)
        assert len(pd.read_csv(folder / "grains-aa.csv")) == len(analysis.grains["aa"])
    kept = chosen(reviewed)
    assert len(kept.patterns["rv"]) == len(kept.tables["rv"]) == len(left)
    assert np.array_equal(kept.patterns["rv"].patterns, analysis.patterns["rv"].patterns[1:])
    assert len(reviewed.grains["rv"]) == len(left) + 1
    with pytest.raises(AnalysisError, match="no choice 'some'"):
        chosen(reviewed, "some")


def test_no_grain_is_left(analysis: stem.Analysis, tmp_path: Path) -> None:
    reviewed = pipeline.edit(analysis, "rv", Edit("reject", tuple(int(i) for i in analysis.grains["rv"].ids)))
    done = export(reviewed, tmp_path, ["csv", "labels"])
    assert names(done.written) == {"grains-aa.csv", "labels-aa.tif"}
