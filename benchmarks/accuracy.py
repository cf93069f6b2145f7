"""How many true grains the presets find, on films with truth: F1 at IoU 0.5 and mean IoU, with where losses come from.

    python benchmarks/accuracy.py --seeds 301,302 [--names ag1,ag2,ag3] [--dose 2e5,1e4] [--detector 126] [--scan 100]
        [--blur 2] [--films FILE.h5 ...] [--presets default,nmf] [--features aa] [--starts 4]
        [--set vdf.clustering.alike=0.65] [--mosaic] [--oracles]

Kinematic films are simulated anew; of `--dose`, `--detector`, `--scan` and `--blur` (of the source, positions) every
combination. A file needs `data`, `labels`, and for `--oracles` `thickness`. Each `--set` is an ablation: a further run
with that changed alone; several settings at once are joined by a semicolon. `--mosaic` lays the films of all seeds side
by side. `--oracles` says what a step could reach if those before it were perfect. Prints markdown tables. CPU time is
of one worker, from opening a film to its grains.
"""

from __future__ import annotations

import argparse
import gc
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from oracles import ORACLES, Truth

import napari_stemnmf as stem
from napari_stemnmf.reading.masks import load_masks
from napari_stemnmf.simulation.diffraction import wavelength
from napari_stemnmf.simulation.film import ENERGY, TRUE_THICKNESS
from napari_stemnmf.study.films import Q_SPAN, SEMIANGLE, SOURCE_BLUR, ScanGrid, kinematic_film, silver_specimen
from napari_stemnmf.study.simulate import Simulated, drawn_rows, write_scan


@dataclass(frozen=True)
class FilmKind:
    """What a simulated film is, but for its seed."""

    name: str
    dose: float
    detector: int
    scan: int
    blur: float

    def __str__(self) -> str:
        size = f"{self.scan}² of {self.detector}² px"
        return f"{self.name}, {self.dose:.0e} e, {size}, blur {self.blur:g}".replace("e+0", "e")


@dataclass(frozen=True)
class Run:
    """One preset or ablation and representation on one film."""

    film: str
    kind: str
    """Of the film: runs of one are summed up."""
    recipe: str
    scores: Any
    cpu: float
    patterns: int
    confidence: np.ndarray = field(repr=False)
    right: np.ndarray = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """What the runs that differ in their seed have in common."""
        return self.kind, self.recipe


def simulated(path: Path, kind: FilmKind, seed: int) -> Path:
    """Write a kinematic film of a seed, with its truth; that of `stemnmf simulate` where the blur is as there."""
    specimen, grid = silver_specimen(kind.name, seed), ScanGrid((kind.scan, kind.scan))
    film = kinematic_film(specimen, grid, kind.detector, blur=kind.blur)
    thickness = specimen.thickness(grid)
    labels = thickness > TRUE_THICKNESS
    true = labels.any(axis=(1, 2))
    truth = {"labels": (labels[true], "thicker than 10 A"), "thickness": (thickness[true], "A, unblurred")}
    calibration = {
        "Q_pixel_size_invA": Q_SPAN / kind.detector,
        "R_pixel_size_A": grid.step,
        "center_px": (film.center, film.center),
        "probe_radius_px": SEMIANGLE / wavelength(ENERGY) / (Q_SPAN / kind.detector),
        "energy_eV": ENERGY,
        "source_blur_sigma_px": kind.blur,
    }
    made = Simulated(str(kind), film.shape, partial(drawn_rows, film.row, film.shape), truth, calibration)
    write_scan(path, made, dose=kind.dose, seed=seed, workers=1)
    return path


def across(count: int) -> int:
    """Films in a row of a mosaic that is as near to a square as their number allows."""
    return min(n for n in range(1, count + 1) if count % n == 0 and n * n >= count)


def mosaic(parts: list[Path], path: Path) -> Path:
    """Write films of one size side by side as one scan, with the truth of all: grains end at the seams."""
    columns = across(len(parts))
    with h5py.File(parts[0]) as first:
        data = first["data"]
        rows, width, attributes, stored = data.shape[0], data.shape[1], dict(data.attrs), data.dtype
        chunks, frame = data.chunks, data.shape[2:]
    truths = [{name: _read(part, name) for name in ("labels", "thickness")} for part in parts]
    shape = rows * (len(parts) // columns), width * columns
    grains = sum(len(truth["labels"]) for truth in truths)
    with h5py.File(path, "w") as out:
        how = {"chunks": chunks, "shuffle": True, "compression": "gzip", "compression_opts": 1}
        data = out.create_dataset("data", (*shape, *frame), stored, **how)
        data.attrs.update(attributes)
        for name, values in truths[0].items():
            out.create_dataset(name, (grains, *shape), values.dtype, compression="gzip", compression_opts=1)
        at = 0
        for i, (part, truth) in enumerate(zip(parts, truths, strict=True)):
            top, left = rows * (i // columns), width * (i % columns)
            count = len(truth["labels"])
            for name, values in truth.items():
                out[name][at : at + count, top : top + rows, left : left + width] = values
            at += count
            with h5py.File(part) as film:
                for row in range(rows):
                    data[top + row, left : left + width] = film["data"][row]
    return path


def _read(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file[name][:])


def measured(path: Path, film: str, kind: str, recipe: stem.Recipe, named: str) -> tuple[list[Run], Any]:
    """One run for each representation of a recipe, and the analysis; CPU time is of them all together."""
    start = time.process_time()
    dataset = stem.open(path)
    analysis = stem.analyse(dataset, recipe, until="refine", workers=1)
    cpu = time.process_time() - start
    truth = load_masks(f"{path}::labels")
    runs = []
    for name in recipe.features:
        grains = analysis.grains[name]
        scores = stem.score(grains, truth)
        right = np.zeros(len(grains), bool)
        right[scores.pairs[scores.pair_iou > 0.5, 0]] = True
        patterns = int(np.prod(grains.scan_shape))
        runs.append(Run(film, kind, f"{named} {name.upper()}", scores, cpu, patterns, grains.confidence, right))
    return runs, analysis


def calibration(p: np.ndarray, right: np.ndarray) -> tuple[float, float, float]:
    """Expected calibration error over tenths; share of the wrong grains below the median, and in the last fifth."""
    known = np.isfinite(p)
    p, right = p[known], right[known]
    wrong = np.count_nonzero(~right)
    if not len(p):
        return (np.nan,) * 3
    tenth = np.minimum((p * 10).astype(int), 9)
    error = sum(abs(float((p - right)[tenth == i].sum())) for i in range(10)) / len(p)
    order = np.argsort(p, kind="stable")
    shares = [np.count_nonzero(~right[order[: len(p) // n]]) / wrong if wrong else np.nan for n in (2, 5)]
    return error, shares[0], shares[1]


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A markdown table; columns of the head are parted by bars."""
    names = [name.strip() for name in head.split("|")]
    lines = ["| " + " | ".join(row) + " |" for row in [names, ["---"] * len(names), *rows]]
    return "\n".join(lines) + "\n"


def of_runs(runs: list[Run]) -> str:
    """Every run."""
    rows = [
        (
            run.film, run.recipe, f"{run.scores.f1_iou50:.3f}", f"{run.scores.mean_iou:.3f}",
            f"{run.scores.n_found} / {run.scores.n_true}", f"{np.count_nonzero(~run.right)}",
            f"{run.cpu:.1f}", f"{1e3 * run.cpu / run.patterns:.2f}",
        )
        for run in runs
    ]  # fmt: skip
    return table("film | run | F1 | mean IoU | found / true | wrong | CPU s | ms a pattern", rows)


def of_kinds(runs: list[Run]) -> str:
    """Mean and spread over seeds, and what the confidence tells, of the films of one kind."""
    rows = []
    for key in dict.fromkeys(run.key for run in runs):
        own = [run for run in runs if run.key == key]
        f1, iou = (np.array([getattr(run.scores, name) for run in own]) for name in ("f1_iou50", "mean_iou"))
        spread = [f"{v.mean():.3f} ± {v.std(ddof=1):.3f}" if len(v) > 1 else f"{v.mean():.3f}" for v in (f1, iou)]
        rows.append((*key, str(len(own)), *spread, *told(own)))
    return table(
        "films | run | seeds | F1 | mean IoU | calibration error | wrong below median | wrong in last fifth", rows
    )


def told(runs: list[Run]) -> tuple[str, str, str]:
    """What the confidence of the grains of some runs tells, as words."""
    p, right = (np.concatenate([getattr(run, name) for run in runs]) for name in ("confidence", "right"))
    error, median, fifth = calibration(p, right)
    wrong = np.count_nonzero(~right)
    if np.isnan(error):
        return "not told", "", ""
    return (
        (f"{error:.3f}", f"{median:.2f} of {wrong}", f"{fifth:.2f}") if wrong else (f"{error:.3f}", "none is wrong", "")
    )


def of_mosaics(runs: list[Run], parts: dict[str, list[str]]) -> str:
    """Each mosaic against the mean of its parts."""
    rows = []
    for run in (run for run in runs if run.film in parts):
        own = [r for r in runs if r.film in parts[run.film] and r.recipe == run.recipe]
        f1, iou = (np.mean([getattr(r.scores, name) for r in own]) for name in ("f1_iou50", "mean_iou"))
        alone = 1e3 * sum(r.cpu for r in own) / sum(r.patterns for r in own)
        cpu = 1e3 * run.cpu / run.patterns
        now = f"{run.scores.f1_iou50:.3f} / {run.scores.mean_iou:.3f}"
        cost = f"{cpu:.2f}", f"{alone:.2f}", f"{cpu / alone:.2f}"
        rows.append((run.film, run.recipe, now, f"{f1:.3f} / {iou:.3f}", *cost))
    head = "mosaic | run | F1 / mean IoU | mean of its parts | ms a pattern | of its parts | ratio"
    return table(head, rows)


def recipes(presets: Iterable[str], features: list[str], starts: int, changes: list[str]) -> Iterator[tuple[str, Any]]:
    """Each preset as it is, and with each change, by name."""
    for preset in presets:
        asked = None if preset == "default" or not features else features
        plain = stem.Recipe.preset(preset, asked)
        if preset != "default":
            plain = plain.replaced({"*.clustering.seeds": starts})
        yield preset, plain
        for change in changes:
            settings = dict(item.split("=", 1) for item in change.split(";"))
            yield f"{preset}, {change}:", plain.replaced(settings)


def oracles(path: Path, film: str, run: Run, analysis: Any) -> tuple[str, ...]:
    """A row of what each oracle reaches on a film, beside the product."""
    truth = Truth(load_masks(f"{path}::labels"), _read(path, "thickness").astype(np.float32), blur_of(path))
    reached = [
        run.scores,
        *(stem.score(find(truth, analysis, stem.open(path)), truth.labels) for find in ORACLES.values()),
    ]
    return film, *(f"{s.f1_iou50:.3f} / {s.mean_iou:.3f}" for s in reached)


def blur_of(path: Path) -> float:
    """The blur of a film's source, positions, as its file says it; that of the paper's films if it does not."""
    with h5py.File(path) as file:
        return float(file["data"].attrs.get("source_blur_sigma_px", SOURCE_BLUR))


def numbers(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Reads numbers parted by commas."""
    return lambda text: [kind(item) for item in text.split(",") if item]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--films", type=Path, nargs="*", default=[])
    parser.add_argument("--seeds", type=numbers(int), default=[])
    parser.add_argument("--names", type=numbers(str), default=["ag1", "ag2", "ag3"])
    parser.add_argument("--dose", type=numbers(float), default=[2e5])
    parser.add_argument("--detector", type=numbers(int), default=[126])
    parser.add_argument("--scan", type=numbers(int), default=[100])
    parser.add_argument("--blur", type=numbers(float), default=[SOURCE_BLUR])
    parser.add_argument("--presets", type=numbers(str), default=["default"])
    parser.add_argument("--features", type=numbers(str), default=[], help="of other presets than default")
    parser.add_argument("--starts", type=int, default=4, help="random starts of NMF")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="NAME=VALUE")
    parser.add_argument("--mosaic", action="store_true")
    parser.add_argument("--oracles", action="store_true")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    asked = list(recipes(given.presets, given.features, given.starts, given.changes))
    runs: list[Run] = []
    parts: dict[str, list[str]] = {}
    reached: list[tuple[str, ...]] = []

    def take(path: Path, film: str, kind: str, with_oracles: bool = given.oracles) -> None:
        for named, recipe in asked:
            found, analysis = measured(path, film, kind, recipe, named)
            runs.extend(found)
            for run in found:
                print(f"{film}: {run.recipe} {run.scores.f1_iou50:.3f} / {run.scores.mean_iou:.3f}", flush=True)
            if with_oracles and named == "default":
                reached.append(oracles(path, film, found[0], analysis))
                print(*reached[-1], sep="  ", flush=True)
            gc.collect()

    with tempfile.TemporaryDirectory() as folder:
        warm = simulated(Path(folder, "warm.h5"), FilmKind("ag1", 2e5, 64, 24, SOURCE_BLUR), 1)
        for _, recipe in asked:  # so that nobody pays for compiling
            stem.analyse(stem.open(warm), recipe, until="refine", workers=1)
        for path in given.films:
            take(path, path.stem, path.stem)
        for chosen in product(given.names, given.dose, given.detector, given.scan, given.blur):
            kind, made = FilmKind(*chosen), []
            for seed in given.seeds:
                made.append(simulated(Path(folder, f"{seed}.h5"), kind, seed))
                take(made[-1], f"{kind}, seed {seed}", str(kind))
            if given.mosaic and len(made) > 1:
                whole = f"{kind}, {len(made)} side by side"
                parts[whole] = [f"{kind}, seed {seed}" for seed in given.seeds]
                take(mosaic(made, Path(folder, "mosaic.h5")), whole, whole, False)
                Path(folder, "mosaic.h5").unlink()

    print(f"\n{of_runs(runs)}\n{of_kinds(runs)}")
    if parts:
        print(of_mosaics(runs, parts))
    if reached:
        print(table(f"F1 / mean IoU | product | {' | '.join(ORACLES)}", reached))
    print(f"Peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB.")


if __name__ == "__main__":
    main()
