"""What every stage was estimated to cost before it ran, and what it took: seconds and memory, with their ratios.

    .venv/bin/python benchmarks/cost.py [SCAN ...] [--preset default] [--seeds 5]
    .venv/bin/python benchmarks/cost.py ANALYSIS.stemnmf.h5 ...

Without a scan, on the sample. Of an analysis nothing is run: the times that it has recorded are compared with what
would have been said before each step. Memory is the peak of what the process holds alone (resident less shared: mapped
files do not count), beside what it held when the stage began. Run it on an idle machine: estimates are of the clock.
Two ratios are given, to the wall and to the processor's time over the cores; on an idle machine they are alike.
"""

from __future__ import annotations

import argparse
import gc
import os
import threading
import time
from pathlib import Path

import napari_stemnmf as stem
from napari_stemnmf import pipeline, stages
from napari_stemnmf.analysis import FILE_SUFFIX, Analysis
from napari_stemnmf.cost import estimate
from napari_stemnmf.threads import default_workers

STEPS = ("survey", "calibrate", "featurize", "cluster", "refine", "measure")


class Peak(threading.Thread):
    """Watches the memory of the process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        gc.collect()
        self.first = self.most = self._held()
        self._ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ended.wait(0.003):
            self.most = max(self.most, self._held())

    def stop(self) -> float:
        """Bytes at the peak beside those at the beginning."""
        self._ended.set()
        self.join()
        return float(max(self.most, self._held()) - self.first)

    @staticmethod
    def _held() -> int:
        pages = Path("/proc/self/statm").read_text().split()
        return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


def compare(dataset: stem.Dataset, recipe: stem.Recipe) -> None:
    """Run all steps of a scan, each after its estimate."""
    print(f"{dataset.name} {dataset.shape} {dataset.dtype}, {default_workers()} workers", flush=True)
    whole = estimate(None, dataset, recipe, "recipe")
    analysis = pipeline.start(dataset, recipe)
    begin = time.perf_counter()
    for step in STEPS:
        for features in [(name,) for name in recipe.features] if step == "cluster" else [recipe.features]:
            said = estimate(analysis, dataset, recipe, step, features)
            options = {} if step in ("survey", "calibrate") else {"features": features}
            peak, wall, cpu = Peak(), time.perf_counter(), time.process_time()
            analysis = pipeline.run(analysis, dataset, step, **options)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            took = peak.stop()
            title = f"{step} {features[0] if step == 'cluster' else ''}"
            print(
                f"  {title:12} said {said.seconds:7.2f} s, took {wall:7.2f} s (x {said.seconds / wall:4.2f}), "
                f"{cpu / default_workers():7.2f} s of all cores (x {said.seconds * default_workers() / cpu:4.2f}); "
                f"said {said.bytes / 1e6:5.0f} MB, took {took / 1e6:5.0f} MB{'; rough' if said.rough else ''}",
                flush=True,
            )
    took = time.perf_counter() - begin
    print(f"  all at once: said {whole.text()}; took {took:.1f} s (x {whole.seconds / took:.2f})", flush=True)


def recall(path: str) -> None:
    """Compare what an analysis has recorded with the estimates that would have come before it."""
    done = stem.Analysis.load(path)
    dataset, recipe = stem.open(done.input.source), done.recipe
    print(f"{path}: {dataset.name} {dataset.shape} {dataset.dtype}, as recorded", flush=True)
    known = Analysis(recipe, done.input, mask=done.mask)
    for step in STEPS:
        shared = [stage.result for stage in stages.run_with(step) if not stage.each]
        each = [stage.result for stage in stages.run_with(step) if stage.each]
        for features in [(name,) for name in recipe.features] if step == "cluster" else [recipe.features]:
            said = estimate(known, dataset, recipe, step, features).seconds
            new = [stage for stage in shared if stage not in known.keys]
            took = sum(done.times[stage].wall for stage in new)
            for stage in each:
                spent = [done.times[f"{stage}/{name}"].wall for name in features]
                took += spent[0] if stage in ("features", "tables") else sum(spent)  # those share a read
                new += [f"{stage}/{name}" for name in features]
            for stage in new:
                field, _, name = stage.partition("/")
                result = getattr(done, field)[name] if name else getattr(done, field)
                known = known.with_result(stage, result, took=done.times[stage])
            title = f"{step} {features[0] if step == 'cluster' else ''}"
            print(f"  {title:12} said {said:7.2f} s, took {took:7.2f} s (x {said / took:4.2f})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="*")
    parser.add_argument("--preset", default="default")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    recipe = stem.Recipe.preset(given.preset).replaced({"*.clustering.seeds": given.seeds})
    if not given.scans:
        compare(stem.sample().dataset, recipe)
    for scan in given.scans:
        if scan.endswith(FILE_SUFFIX):
            recall(scan)
        else:
            compare(stem.open(scan), recipe)


if __name__ == "__main__":
    main()
