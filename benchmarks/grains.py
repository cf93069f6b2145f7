"""Seconds and memory of what is done with many grains: 3,000 made-up ones on 1024 x 1024 positions.

    python benchmarks/grains.py [--grains 3000] [--side 1024]

Grains are ellipses at random places, of about the area that covers the scan once, so that they overlap as in a film.
A line for each thing that is done with them: seconds, and by how much the process has grown at its highest since the
grains were made. Asked for: an analysis opens in seconds, and nothing takes as much as all masks in full, which is
printed first.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

import napari_stemnmf as stem
from napari_stemnmf.analysis import Analysis, Input
from napari_stemnmf.dataset import Axis
from napari_stemnmf.export.tables import write_label_stack
from napari_stemnmf.figures.maps import draw_grains
from napari_stemnmf.grains.confidence import most_similar
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.measurement import measure
from napari_stemnmf.grains.patterns import digests
from napari_stemnmf.grains.review import Review
from napari_stemnmf.plugin.docks.compare.model import Request, compare
from napari_stemnmf.plugin.docks.review.model import grains_at
from napari_stemnmf.plugin.layers.grain_layers import grain_features, planes


def ellipses(count: int, side: int, seed: int = 1) -> stem.Grains:
    """So many ellipses on a square scan, with weights that fall towards their edge."""
    rng = np.random.default_rng(seed)
    half = np.sqrt(side * side / count / np.pi)
    parts = []
    for _ in range(count):
        y, x = rng.uniform(0, side, 2)
        a, b = half * rng.uniform(0.6, 1.6, 2)
        reach = int(max(a, b)) + 2
        rows = np.arange(max(0, int(y) - reach), min(side, int(y) + reach + 1))[:, None]
        columns = np.arange(max(0, int(x) - reach), min(side, int(x) + reach + 1))
        away = ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2
        inside = away <= 1
        inside |= away == away.min()
        parts.append(((rows * side + columns)[inside], (1 - away[inside] / 2).astype(np.float32)))
    return stem.Grains.of(parts, (side, side))


def highest() -> float:
    """The most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def line(name: str, work: Callable[[], Any], base: float) -> Any:
    """Do something, and print what it took."""
    start = time.process_time()
    found = work()
    print(f"{name:42} {time.process_time() - start:7.2f} s   {highest() - base:8.0f} MB", flush=True)
    return found


def drawn(grains: stem.Grains, axes: tuple[Axis, ...]) -> None:
    """The map of grains as figures have it."""
    from matplotlib.figure import Figure

    draw_grains(Figure().subplots(), grains, axes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grains", type=int, default=3000)
    parser.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    matplotlib.use("Agg")
    count, side = options.grains, options.side
    axes = tuple(Axis(n, s, 1.0, u) for n, s, u in (
        ("scan_y", side, "nm"), ("scan_x", side, "nm"), ("q_y", 64, "1/nm"), ("q_x", 64, "1/nm")
    ))  # fmt: skip
    grains = ellipses(count, side)
    patterns = np.random.default_rng(2).random((count, 16, 16), np.float32)
    about = Input("made up", "", (side, side, 64, 64), "<u2", axes, "")
    analysis = replace(Analysis(stem.Recipe.preset("default"), about), grains={"vdf": grains})
    measure(grains.subset([0]), axes)  # whatever is imported late
    masks = count * side * side / 1e6
    print(f"{count} grains on {side} x {side}: {grains.inside.nnz} positions, {grains.inside.nnz * 8 / 1e6:.0f} MB")
    print(f"in full: masks {masks:.0f} MB, weights {4 * masks:.0f} MB; now {highest():.0f} MB")
    base = highest()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.stemnmf.h5"
        line("save", lambda: analysis.save(path), base)
        again = line("open", lambda: Analysis.load(path), base)
        print(f"{'':42} {path.stat().st_size / 1e6:7.1f} MB on disk")
        assert np.array_equal(again.grains["vdf"].inside.data, grains.inside.data)
        line("labels and overlap", lambda: (grains.labels, grains.overlap), base)
        line("features of the layers", lambda: grain_features(grains), base)
        line("one plane of the stack", lambda: planes(grains)[count // 2], base)
        line("grains at a position", lambda: grains_at(grains, side // 2, side // 2), base)
        line("measure", lambda: measure(grains, axes), base)
        line("digests", lambda: digests(grains), base)
        line("score", lambda: stem.score(grains, grains), base)
        line("most similar neighbour", lambda: most_similar(patterns, grains), base)
        review = line("first edit", lambda: Review(grains).with_edit(Edit("merge", (1, 2))), base)
        line("grains after it", lambda: review.grains, base)
        line("figure", lambda: drawn(grains, axes), base)
        line("Compare", lambda: compare([Request("made up", "vdf", analysis)]), base)
        if count * side * side < 1e9:
            line("label stack (TIFF)", lambda: write_label_stack(analysis, "vdf", Path(folder) / "stack.tif"), base)


if __name__ == "__main__":
    main()
