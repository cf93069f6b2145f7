"""The table of stages: a stage is added by one row and one function, and is then everywhere that stages are."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import pipeline, stages
from napari_stemnmf.control import Progress
from napari_stemnmf.cost import estimate
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.script import script
from napari_stemnmf.stage_functions import Task
from napari_stemnmf.stages import Stage

QUICK = {"*.clustering.seeds": 1, "*.clustering.components": 8, "features": ["aa", "bd"]}


def brightest(task: Task) -> dict[str, np.ndarray]:
    """The brightest position of each grain (g,)."""
    return {name: task.found.grains[name].weights.max(axis=(1, 2)) for name in task.features}


ADDED = Stage(
    "brighten", "brightness", "grains", brightest, each=True, button="Brighten", about="the brightest positions",
    settings=lambda _, recipe, feature: (recipe.chain(feature).refinement.min_size,),
)  # fmt: skip


@pytest.fixture(scope="module")
def sample() -> stem.Dataset:
    return stem.sample((12, 14), (64, 64), seed=3).dataset


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(stages, "STAGES", (*stages.STAGES, ADDED))
    return ADDED


def test_a_stage_of_one_row_and_one_function_is_everywhere(sample: stem.Dataset, added: Stage, tmp_path: Path) -> None:
    recipe = stem.Recipe.preset("nmf").replaced(QUICK)
    begun = pipeline.start(sample, recipe)
    assert pipeline.stale(begun)["brightness/aa"] == "missing"
    seen: list[Progress] = []
    path = tmp_path / "a.stemnmf.h5"

    def watch(progress: Progress) -> None:
        seen.append(progress)

    analysis = stem.analyse(sample, recipe, progress=watch, path=path)
    grains = analysis.grains["aa"]
    np.testing.assert_array_equal(analysis.result("brightness/aa"), grains.weights.max(axis=(1, 2)))
    assert pipeline.stale(analysis) == {}
    assert "brightness/aa" in analysis.times

    again = stem.Analysis.load(path)
    np.testing.assert_array_equal(again.result("brightness/bd"), analysis.result("brightness/bd"))
    assert pipeline.stale(again) == {}
    assert stem.analyse(sample, recipe, analysis=again).result("brightness/aa") is again.result("brightness/aa")
    changed = recipe.replaced({"aa.refinement.min_size": 5})
    assert pipeline.stale(again, changed)["brightness/aa"] == "stale"
    assert estimate(again, sample, changed, "brighten", ["aa"]).seconds > 0
    assert list(pipeline.with_recipe(again, replace(recipe, features=("bd",))).result("brightness")) == ["bd"]

    text = script(again, source="scan.h5")
    assert 'until="brighten"' in text
    stopped = stem.analyse(sample, recipe, until="measure")
    assert stopped.result("brightness") is None
    alone = pipeline.run(stopped, None, "brighten", features=["aa"])
    assert list(alone.result("brightness")) == ["aa"]


def test_progress_names_the_stages_in_order(sample: stem.Dataset) -> None:
    names: list[str] = []
    recipe = stem.Recipe.preset("nmf").replaced(QUICK)
    stem.analyse(sample, recipe, progress=lambda progress: names.append(progress.stage))
    order = [stage.heading(batch) for stage, batch in stages.order(stages.STAGES, recipe.features)]
    seen = list(dict.fromkeys(names))
    assert seen == [name for name in dict.fromkeys(order) if name in seen]
    assert {"Survey", "Disks", "Features", "Cluster AA", "Cluster BD", "Measure"} <= set(seen)


def test_a_run_may_stop_after_any_stage_and_its_survey_has_a_probe(sample: stem.Dataset) -> None:
    found = stem.analyse(sample, until="survey")
    assert found.probe is not None
    assert found.peaks is None
    with pytest.raises(
        AnalysisError, match="choose from survey, disks, calibrate, featurize, cluster, refine, measure"
    ):
        stem.analyse(sample, until="polish")


def test_a_stage_takes_with_it_what_it_needs_of_the_whole_scan() -> None:
    assert [stage.name for stage in stages.run_with("featurize")] == [
        "survey", "probe", "disks", "calibrate", "featurize",
    ]  # fmt: skip
    assert [stage.name for stage in stages.run_with("survey")] == ["survey", "probe"]
    assert [stage.name for stage in stages.run_with("refine")] == ["refine"]


def test_what_the_user_changes_between_stages_is_gone_on_from(sample: stem.Dataset) -> None:
    recipe = stem.Recipe.preset("nmf").replaced({**QUICK, "features": ["aa"]})
    run = pipeline.advance(pipeline.start(sample, recipe), sample, stages.STAGES)
    done = next(run)
    while done.stage.name != "refine":
        done = next(run)
    assert done.features == ("aa",)
    first = int(done.analysis.grains["aa"].ids[0])
    edited = pipeline.edit(done.analysis, "aa", stem_edit("delete", first))
    last = run.send(edited)
    assert last.stage.name == "measure"
    assert first not in set(last.analysis.tables["aa"]["grain_id"])


def stem_edit(kind: str, grain: int) -> object:
    from napari_stemnmf.grains.editing import Edit

    return Edit(kind, (grain,))


def test_asking_the_table_imports_nothing_heavy() -> None:
    heavy = ("numba", "sklearn", "skimage", "h5py")
    code = f"import sys, napari_stemnmf.stages; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
