"""Every stage hears a cancel, wherever it is, and what it leaves can be gone on from."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.analysis import INCOMPLETE, Analysis
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled
from napari_stemnmf.recipe import OF_PAPER
from napari_stemnmf.stages import STAGES, until_names

STEPS = until_names()
LOOKS = {"survey": 25, "calibrate": 20, "cluster": 100, "refine": 4, "measure": 10}
"""Times that a stage looks for a cancel, at least: so often that none of the looks is far from the next."""


class After(threading.Event):
    """A request to cancel that comes up when it is looked for the nth time."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.left = n
        self.looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks > self.left or super().is_set()


@pytest.fixture(scope="module")
def dataset() -> stem.Dataset:
    return stem.sample((16, 18), (64, 64), seed=5).dataset


@pytest.fixture(scope="module")
def stages(dataset: stem.Dataset) -> dict[str, tuple[Callable[[Analysis, Control], Analysis], Analysis, Analysis]]:
    """By name: a stage, the analysis before and after it."""
    recipe = stem.Recipe.preset("nmf").replaced({"*.clustering.seeds": 2, "*.clustering.components": 8})
    analysis = pipeline.start(dataset, recipe)
    found = {}
    for name in STEPS:

        def stage(analysis: Analysis, control: Control, name: str = name) -> Analysis:
            return pipeline.run(analysis, dataset, name, workers=1, control=control)

        after = stage(analysis, Control())
        found[name] = (stage, analysis, after)
        analysis = after
    return found


def looks_of(stage: Callable[[Analysis, Control], Analysis], before: Analysis) -> int:
    """How often a stage looks for a cancel."""
    listening = After(10**9)
    stage(before, Control(cancel=listening))
    return listening.looks


@pytest.mark.parametrize("name", STEPS)
def test_a_stage_hears_a_cancel_wherever_it_is(stages: dict, name: str) -> None:
    stage, before, after = stages[name]
    looks = min(looks_of(stage, before), looks_of(stage, before))  # who waits for a block looks now and then
    assert looks >= LOOKS.get(name, 2)
    for n in sorted({0, 1, looks // 2, 3 * looks // 4}):
        event = After(n)
        with pytest.raises(Cancelled) as stop:
            stage(before, Control(cancel=event))
        left = stop.value.analysis or before
    whole = stage(left, Control())
    for feature in OF_PAPER if name in ("cluster", "refine") else ():
        kind = {"cluster": "models", "refine": "grains"}[name]
        a, b = (getattr(each, kind)[feature] for each in (whole, after))
        assert np.array_equal(a.maps if name == "cluster" else a.masks, b.maps if name == "cluster" else b.masks)
    assert whole.keys == after.keys


def test_a_cancel_while_the_probe_is_sought_keeps_the_survey(stages: dict, dataset: stem.Dataset) -> None:
    _, before, _ = stages["survey"]
    surveyed = next(pipeline.advance(before, dataset, STAGES[:1])).analysis
    with pytest.raises(Cancelled) as stop:
        pipeline.run(surveyed, dataset, "survey", control=Control(cancel=After(1)))
    assert stop.value.analysis is not None
    assert stop.value.analysis.is_current("survey")
    assert stop.value.analysis.probe is None


def test_another_seed_of_a_cancelled_clustering_is_incomplete_too(stages: dict) -> None:
    after = stages["cluster"][2]
    marked = after.with_result("models/aa", after.models["aa"], INCOMPLETE)
    other = next(record.seed for record in after.models["aa"].seeds if record.seed != after.models["aa"].seed)
    chosen = pipeline.choose_seed(marked, "aa", other)
    assert chosen.models["aa"].seed == other
    assert not chosen.is_current("models/aa")
    assert chosen.is_current("models/aa", partial=True)
    stale = pipeline.with_recipe(after, after.recipe.replaced({"aa.clustering.seeds": 9}))
    assert not pipeline.choose_seed(stale, "aa", other).is_current("models/aa")
    fresh = pipeline.choose_seed(after, "aa", other)
    assert fresh.is_current("models/aa")
    assert fresh.keys["models/aa"] != after.keys["models/aa"]
