"""The script of an analysis runs by itself, and gives the same grains: mask, chosen seed and edits included."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.script import script
from napari_stemnmf.grains.editing import Edit

RECIPE = stem.Recipe.preset("nmf", features=["aa"]).replaced({"aa.clustering.seeds": 2, "aa.clustering.components": 20})


@pytest.fixture(scope="module")
def sample():
    return stem.sample(scan_shape=(24, 24), detector_shape=(48, 48), seed=2)


@pytest.fixture(scope="module")
def analysis(sample, tmp_path_factory):
    """Everything that a script has to tell, of a scan in a file."""
    path = tmp_path_factory.mktemp("scan") / "it's a scan.h5"
    sample.save(path)
    dataset = stem.open(path)
    mask = np.ones(dataset.detector_shape, bool)
    mask[:, :2] = mask[7, 9] = False
    analysis = stem.analyse(dataset, RECIPE, mask=mask, until="cluster")
    other = next(s.seed for s in analysis.models["aa"].seeds if s.seed != analysis.models["aa"].seed)
    analysis = stem.analyse(dataset, RECIPE, analysis=pipeline.choose_seed(analysis, "aa", other), until="refine")
    grains = analysis.grains["aa"]
    first, second = (int(i) for i in grains.ids[np.argsort(grains.masks.sum(axis=(1, 2)))[-2:]])
    rows, columns = np.nonzero(grains.masks[grains.ids.tolist().index(second)])
    middle = rows.mean() + 0.123456789012345
    edits = [
        Edit("split line", (second,), points=[(middle, columns.min() - 1), (middle, columns.max() + 1)]),
        Edit("new", points=[(0, 0), (0, 1), (1, 0)]),
        Edit("delete", (first,)),
        Edit("comment", (second,), 'it\'s "cut"\nin two'),
    ]
    return pipeline.run(pipeline.edit(analysis, "aa", *edits), dataset, "measure")


def test_the_script_gives_the_same_grains(analysis, tmp_path):
    text = script(analysis, options={"dataset": "data", "scan_shape": (24, 24)}, path=tmp_path / "again")
    (tmp_path / "repeat.py").write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "repeat.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    again = stem.Analysis.load(tmp_path / "again/analysis.stemnmf.h5")
    for name in ("masks", "weights", "ids", "component"):
        np.testing.assert_array_equal(getattr(again.grains["aa"], name), getattr(analysis.grains["aa"], name))
    assert again.tables["aa"].equals(analysis.tables["aa"])
    assert again.keys == analysis.keys
    assert again.reviews["aa"].verdicts().equals(analysis.reviews["aa"].verdicts())
    assert {path.name for path in (tmp_path / "again").iterdir()} >= {"grains-aa.csv", "labels-aa.tif", "recipe.toml"}
    assert max(len(line) for line in text.splitlines() if "/" not in line) <= 120  # paths are as long as they are


def test_the_script_is_of_what_was_done(analysis, sample, tmp_path):
    plain = replace(analysis, mask=None, reviews={}, keys={}, tables={}, patterns={})
    text = script(plain)
    assert 'until="refine"' in text
    assert not any(word in text for word in ("Edit", "choose_seed", "base64"))
    compile(text, "script", "exec")
    assert f'stem.open("{analysis.input.source}"' in text
    start = pipeline.start(sample.dataset, RECIPE)
    with pytest.raises(AnalysisError, match="run a step first"):
        script(start)
    surveyed = pipeline.run(start, sample.dataset, "survey")
    assert "stem.sample(scan_shape=(24, 24), detector_shape=(48, 48), seed=2, dose=20000.0).dataset" in script(surveyed)
    nameless = replace(surveyed, input=replace(surveyed.input, name="array"))
    with pytest.raises(AnalysisError, match="not opened from a file"):
        script(nameless)
    assert 'stem.open("there.h5", scan_shape=(24, 24))' in script(nameless, source="there.h5")
