"""What the size of a scan costs: time for each pattern, memory, share of plain reading, and F1, from 10^4 patterns on.

    python benchmarks/scaling.py [--sides 100 256 512] [--seeds 931 932 933] [--detector 128] [--preset default]

A scan of N x N patterns, of films of 100 x 100 (kinematic ag2) side by side, is read from as many files as there are
seeds, over and over, so that nothing large lies on disk. Each size is a process of its own, with one thread. A line for
each: CPU time for each pattern, of all and by stage; that of the stages that read over that of reading the same blocks
as often, and nothing else; the most memory; and F1 and mean IoU on the true grains. Asked for: of 1024 x 1024 time for
a pattern within 1.2 times that of 256 x 256, F1 within 0.02, 3 GiB. At the end, what 10^7 patterns would take, if it
went on so.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import napari_stemnmf as stem
from napari_stemnmf.grains.scoring import Scores
from napari_stemnmf.streaming.engine import BlockResult, run_pass

CHUNK = 10
"""Rows of a film that are read together: 16 MB or so."""
READS = {"survey": 1, "peaks": 1, "features/vdf": 1, "tables/vdf": 2}
"""Stages that read the scan, and how often."""


class Mosaic:
    """Films side by side, cut to N x N patterns, as an array that is read from their files as it is asked for."""

    def __init__(self, films: list[stem.Dataset], side: int) -> None:
        self.films, self.k = films, -(-side // films[0].shape[0])
        self.shape = side, side, *films[0].shape[2:]
        self.dtype, self.ndim = films[0].dtype, 4

    def __getitem__(self, key: tuple[slice | int, ...]) -> np.ndarray:
        """Part of one film: chunks do not go over its edge."""
        number, within = [], []
        for part, whole, size in zip(key, self.shape, self.films[0].scan_shape, strict=False):
            start, stop = part.indices(whole)[:2] if isinstance(part, slice) else (part, part)
            film, first = divmod(start, size)
            number.append(film)
            within.append(slice(first, first + stop - start) if isinstance(part, slice) else first)
        film = self.films[(number[0] * self.k + number[1]) % len(self.films)]
        part = film.data[within[0], within[1]]
        return np.asarray(part.compute(scheduler="synchronous"))[..., *key[2:]]


class Nothing:
    """A kernel that finds nothing: what is left is reading."""

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        return BlockResult(total={"one": np.array(float(block[0, 0, 0]))})


def mosaic(paths: list[Path], side: int) -> tuple[stem.Dataset, stem.Grains]:
    """The scan and its true grains."""
    import dask.array as da
    import h5py

    films = [stem.open(path) for path in paths]
    array = Mosaic(films, side)
    rows, columns = films[0].scan_shape
    heights = [min(CHUNK, rows - at % rows, side - at) for at in range(0, side, CHUNK)]
    widths = [min(columns, side - at) for at in range(0, side, columns)]
    chunks = (tuple(heights), tuple(widths), -1, -1)
    like = np.empty((0,) * 4, array.dtype)
    data = da.from_array(array, chunks=chunks, asarray=False, meta=like, name=f"mosaic-{side}")
    axes = tuple(replace(axis, size=n) for axis, n in zip(films[0].axes, array.shape, strict=True))
    dataset = replace(films[0], data=data, axes=axes, name=f"{side} x {side} of films", source="")
    masks = []
    for path in paths:
        with h5py.File(path) as file:
            masks.append([np.nonzero(mask) for mask in file["labels"][()]])
    parts = []
    for i, j in np.ndindex(array.k, array.k):
        for y, x in masks[(i * array.k + j) % len(paths)]:
            y_there, x_there = y + i * rows, x + j * columns
            there = (y_there < side) & (x_there < side)
            if there.any():
                at = (y_there * side + x_there)[there]
                parts.append((at, np.ones(len(at), np.float32)))
    return dataset, stem.Grains.of(parts, dataset.scan_shape)


def one(paths: list[Path], side: int, preset: str) -> dict[str, float]:
    """The figures of one size."""
    dataset, truth = mosaic(paths, side)
    n = dataset.n_patterns
    run_pass(dataset, [Nothing()], workers=1)
    start = time.process_time()
    run_pass(dataset, [Nothing()], workers=1)
    reading = time.process_time() - start
    start, begun = time.process_time(), time.perf_counter()
    analysis = stem.analyse(dataset, stem.Recipe.preset(preset), workers=1)
    took, wall = time.process_time() - start, time.perf_counter() - begun
    scores: Scores = stem.score(analysis.grains["vdf"], truth)
    stages = {name: time_.cpu / n * 1e6 for name, time_ in analysis.times.items()}
    passes = sum(READS.values()) * reading
    return {
        "patterns": n,
        "us": took / n * 1e6,
        "reading": sum(analysis.times[name].cpu for name in READS) / passes,
        "wall": wall / n * 1e6,
        "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "grains": len(analysis.grains["vdf"]),
        "F1": scores.f1_iou50,
        "IoU": scores.mean_iou,
        **stages,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[100, 256, 512])
    parser.add_argument("--seeds", type=int, nargs="+", default=[931, 932, 933])
    parser.add_argument("--detector", type=int, default=128)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--folder", type=Path, help="where the films are, or are to be kept")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        paths = sorted(options.folder.glob("*.h5"))
        print(json.dumps(one(paths, options.sides[0], options.preset)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for seed in options.seeds:
            path = folder / f"ag2-{seed}-{options.detector}.h5"
            if not path.exists():
                stem.simulate("ag2", path, seed=seed, detector=options.detector, workers=1)
        found = []
        for side in options.sides:
            again = ["--one", "--sides", str(side), "--folder", str(folder), "--preset", options.preset]
            done = subprocess.run([sys.executable, __file__, *again], check=True, stdout=subprocess.PIPE, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            if len(found) == 1:
                print(" ".join(f"{name:>9.9}" for name in found[0]))
            values = found[-1].values()
            print(" ".join(f"{value:9.3f}" if value < 10 else f"{value:9.0f}" for value in values), flush=True)
    large = [each for each in found if each["patterns"] > 3e4] or found
    last = found[-1]
    print(f"time for a pattern: {last['us'] / large[0]['us']:.2f} times that of {large[0]['patterns']} patterns")
    print(f"10^7 patterns: {last['us'] * 10 / 3600:.1f} h of CPU, if it went on so")


if __name__ == "__main__":
    main()
