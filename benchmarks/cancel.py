"""Seconds from a cancel to the end of each stage, and the longest time that a stage looks for no cancel.

    python benchmarks/cancel.py [SCAN] [--seeds 2] [--moments 4] [--stages survey disks ...] [--analysis FILE]

Each stage runs once to its end, where the longest silence between two looks for a cancel is noted; then it is started
again and cancelled at several moments: at once, spread over its run, and just after the beginning of that silence.
Asked for: 1 s, or one block (a block that is being read is finished). Without SCAN it is a simulated one of 64 x 64
patterns. What a cancelled stage leaves must be usable: a run from there to the end gives a result again. With
--analysis, stages before the first of --stages are taken from there.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled

LIMIT = 1.0
"""Seconds within which a stage ends."""
Stage = Callable[[Analysis, Control], Analysis]


class Listening(threading.Event):
    """The request to cancel, which remembers when it was looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[float] = []

    def is_set(self) -> bool:
        """Whether to stop."""
        self.looks.append(time.perf_counter())
        return super().is_set()


@dataclass(frozen=True)
class Run:
    """One run of a stage: what it gave, how long it took, and its longest silence: how long, and from when."""

    analysis: Analysis
    seconds: float
    silence: float
    since: float


def run(stage: Stage, analysis: Analysis) -> Run:
    """A stage to its end."""
    event = Listening()
    begun = time.perf_counter()
    found = stage(analysis, Control(cancel=event))
    ended = time.perf_counter()
    looks = sorted([begun, *event.looks, ended])
    silence, since = max((b - a, a - begun) for a, b in pairwise(looks))
    return Run(found, ended - begun, silence, since)


def cancelled(stage: Stage, analysis: Analysis, after: float) -> tuple[float, Analysis] | None:
    """Seconds from a cancel to the end of a stage, and what it left; None where the stage was over before."""
    control = Control()
    when: list[float] = []

    def cancel() -> None:
        when.append(time.perf_counter())
        control.cancel()

    timer = threading.Timer(after, cancel)
    timer.start()
    try:
        left = stage(analysis, control)
    except Cancelled as stop:
        left = stop.analysis if stop.analysis is not None else analysis
    ended = time.perf_counter()
    timer.cancel()
    return (ended - when[0], left) if when else None


def stages(dataset: stem.Dataset) -> dict[str, Stage]:
    """What is measured, in the order of the pipeline; clustering feature by feature."""
    steps = ("survey", "disks", "calibrate", "featurize")
    found: dict[str, Stage] = {
        name: lambda analysis, control, name=name: pipeline.run(analysis, dataset, name, control=control)
        for name in steps
    }
    for feature in stem.recipe.FEATURES:
        found[f"cluster {feature}"] = lambda analysis, control, feature=feature: pipeline.run(
            analysis, None, "cluster", features=(feature,), control=control
        )
    found["refine"] = lambda analysis, control: pipeline.run(analysis, None, "refine", control=control)
    found["measure"] = lambda analysis, control: pipeline.run(analysis, dataset, "measure", control=control)
    found["score"] = lambda analysis, control: _score(analysis, control)
    return found


def _score(analysis: Analysis, control: Control) -> Analysis:
    """All features against the grains of the first, which stand for a truth."""
    from napari_stemnmf.plugin.docks.score.model import score_all

    truth = next(iter(analysis.grains.values())).masks
    score_all("the first feature", lambda: truth, analysis.grains, {}, control)
    return analysis


def main() -> None:
    """Print one line for each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", nargs="?", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--moments", type=int, default=4)
    parser.add_argument("--stages", nargs="*")
    parser.add_argument("--analysis", type=Path)
    asked = parser.parse_args()
    dataset = stem.sample((64, 64), (128, 128)).dataset if asked.scan is None else stem.open(asked.scan)
    recipe = stem.Recipe.preset("nmf").replaced({"*.clustering.seeds": asked.seeds})
    earlier = None if asked.analysis is None else Analysis.load(asked.analysis)
    recipe = recipe if earlier is None else earlier.recipe
    analysis = pipeline.start(dataset, recipe, earlier)
    slow = []
    print(f"{dataset.name}, {dataset.shape}")
    print(f"{'stage':12} {'run s':>8} {'silence s':>10} {'from s':>8}  cancel to end, s")
    for name, stage in stages(dataset).items():
        if asked.stages and name not in asked.stages:
            analysis = stage(analysis, Control())
            continue
        before = _without(analysis, name)
        whole = run(stage, before)
        moments = [whole.seconds * i / asked.moments for i in range(asked.moments)] + [whole.since + 0.001]
        ends = []
        for moment in sorted(moments):
            found = cancelled(stage, before, moment)
            if found is not None:
                ends.append(found[0])
                left = found[1]
        if ends:
            stage(left, Control())
        print(
            f"{name:12} {whole.seconds:8.2f} {whole.silence:10.3f} {whole.since:8.2f}  "
            + (" ".join(f"{end:.2f}" for end in ends) or "over before it was cancelled"),
            flush=True,
        )
        if max(ends, default=0.0) > LIMIT:
            slow.append(name)
        analysis = whole.analysis
    print(f"above {LIMIT:g} s: {', '.join(slow) or 'none'}")


def _without(analysis: Analysis, stage: str) -> Analysis:
    """The analysis before a stage, where an earlier one has it already."""
    step, _, feature = stage.partition(" ")
    fields = {
        "take_survey": ("survey", "probe"),
        "find_disks": ("peaks",),
        "calibrate": ("calibration",),
        "featurize": ("features",),
        "cluster": (f"models/{feature}",),
        "refine": ("grains",),
        "measure": ("tables",),
    }.get(step, ())
    gone = [key for key in analysis.keys if any(key == f or key.startswith(f"{f}/") for f in fields)]
    return replace(analysis, keys={key: mark for key, mark in analysis.keys.items() if key not in gone})


if __name__ == "__main__":
    main()
