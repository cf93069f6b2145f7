"""The likelihood of grains: fitted anew, and held against films that it was not fitted on.

    python benchmarks/likelihood.py [--of vdf] [--tune 101,102,103,104,105] [--report 201,202,203] [--films FILM.h5 ...]
        [--scan 100] [--check FILM.h5 ...]

Simulates kinematic films of these seeds (ag1, ag2 and ag3, detector 126), finds and outlines their grains, and fits the
logistic of `napari_stemnmf.grains.likelihood` to whether each is right, or with ``--of nmf`` or ``--of paper``, for
these presets' grains of AA and BD (two starts), that of `grains.nmf_likelihood`. Films with `labels` of their own are
fitted to (`--films`) or reported on (`--check`) as well. A true grain with several found ones counts for the likeliest.
Prints the coefficients to be pasted, and for the films of `--report` the expected calibration error, a reliability
table, where the wrong ones are, and how the likelihood goes along with the IoU. About 20 s of CPU a film, for NMF 80 s.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

import napari_stemnmf as stem
from napari_stemnmf.cli import main as command
from napari_stemnmf.clustering.grouping import group
from napari_stemnmf.features.virtual_dark_fields import VirtualDarkFields
from napari_stemnmf.grains import likelihood, nmf_likelihood
from napari_stemnmf.grains.evidence import evidence, refine_model
from napari_stemnmf.grains.tracked import judged
from napari_stemnmf.reading.masks import load_masks
from napari_stemnmf.stage_functions import stability
from napari_stemnmf.streaming.engine import run_pass

NAMES_OF_FILMS = ("ag1", "ag2", "ag3")
HELD = 1.0
"""Ridge on the coefficients of the standardised terms."""
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 1.0)


class Film(NamedTuple):
    """The groups of a film, or grains of NMF: terms, IoU with each true one (true, groups), likelihood as it is."""

    name: str
    terms: np.ndarray
    overlap: np.ndarray
    now: np.ndarray


def films_of(path: Path, of: str) -> list[Film]:
    """The groups of a film with `labels`, or its grains of NMF, and how they fit."""
    return [tracked_film(path)] if of == "vdf" else nmf_films(path, of)


def nmf_films(path: Path, preset: str) -> list[Film]:
    """The grains of AA, and those of BD, of a film with `labels`, and how they fit."""
    recipe = stem.Recipe.preset(preset, ["aa", "bd"]).replaced({"*.clustering.seeds": 2})
    done, truth, films = stem.analyse(stem.open(path), recipe, until="cluster"), load_masks(f"{path}::labels"), []
    for name in recipe.features:
        how = done.models[name], recipe.nmf_chain(name).refinement, done.peaks, done.calibration
        grains = refine_model(*how)
        disks, _ = evidence(*how)
        found = nmf_likelihood.evidence(grains, disks, stability(done, name, grains))
        overlap = shared(truth, grains.masks.reshape(len(grains), -1).astype(np.float32), found.area)
        films.append(Film(f"{path.stem} {name}", found.terms, overlap, nmf_likelihood.likelihood(found)))
    return films


def shared(truth: np.ndarray, inside: np.ndarray, area: np.ndarray) -> np.ndarray:
    """IoU of each true grain with each found one, (true, found)."""
    true = np.asarray(truth, bool).reshape(len(truth), -1).astype(np.float32)
    both = true @ inside.T
    return both / np.maximum(true.sum(axis=1)[:, None] + area[None] - both, 1)


def tracked_film(path: Path) -> Film:
    """The groups of a film with `labels`, and how they fit."""
    dataset, truth = stem.open(path), load_masks(f"{path}::labels")
    done = stem.analyse(dataset, stem.Recipe.preset("default"), until="calibrate")
    spots = VirtualDarkFields(done.peaks, done.calibration, done.survey, gain=done.probe.gain if done.probe else 0.0)
    (measured,) = run_pass(dataset, [spots])
    features = spots.features(measured)
    drawn, found, now = judged(group(features), features)
    return Film(path.stem, found.terms, shared(truth, drawn.inside.toarray(), found.area), now)


def right(film: Film, p: np.ndarray) -> np.ndarray:
    """Which groups (groups,) are true grains: each true one takes the likeliest of those that fit it."""
    fits = film.overlap > 0.5
    true, taken = linear_sum_assignment(np.where(fits, film.overlap / 5 + p, 0), maximize=True)
    found = np.zeros(film.overlap.shape[1], bool)
    found[taken] = fits[true, taken]
    return found


def fitted(films: list[Film]) -> tuple[float, np.ndarray]:
    """Intercept and coefficients: three rounds, for which group a true grain takes depends on the likelihoods."""
    answers = [film.now for film in films]
    terms = np.concatenate([film.terms for film in films])
    mean, spread = terms.mean(axis=0), terms.std(axis=0)
    design = np.column_stack([np.ones(len(terms)), (terms - mean) / spread])
    ridge = HELD * np.diag([0.0, *np.ones(terms.shape[1])])
    for _ in range(3):
        is_right = np.concatenate([right(film, p) for film, p in zip(films, answers, strict=True)])
        beta = np.zeros(design.shape[1])
        for _ in range(20):  # Newton's method
            p = 1 / (1 + np.exp(-design @ beta))
            curvature = (design * (p * (1 - p))[:, None]).T @ design + ridge
            beta -= np.linalg.solve(curvature, design.T @ (p - is_right) + ridge @ beta)
        coefficients = beta[1:] / spread
        intercept = float(beta[0] - coefficients @ mean)
        answers = [1 / (1 + np.exp(-intercept - film.terms @ coefficients)) for film in films]
    return intercept, coefficients


def report(films: list[Film]) -> None:
    """How well the likelihood of the product tells, on films it was not fitted on."""
    for film in films:
        best = film.overlap.max(axis=0, initial=0)
        print(f"{film.name}: {len(best)} found, Spearman of likelihood and IoU {spearmanr(film.now, best)[0]:.2f}")
    p = np.concatenate([film.now for film in films])
    is_right = np.concatenate([right(film, film.now) for film in films])
    tenth = np.clip((p * 10).astype(int), 0, 9)
    error = sum(abs((p - is_right)[tenth == i].sum()) for i in range(10)) / len(p)
    kept = p >= 0.5
    wrong, order = ~is_right[kept], np.argsort(p[kept])
    low = wrong[order[: len(order) // 2]].sum() / max(wrong.sum(), 1)
    lowest = wrong[order[: len(order) // 5]].sum() / max(wrong.sum(), 1)
    print(f"expected calibration error {error:.3f} (at most 0.08)")
    print(f"of {kept.sum()} kept {wrong.sum()} wrong; below the median {low:.2f} (0.9), in the last fifth {lowest:.2f}")
    for low, high in pairwise(EDGES):
        here = (p >= low) & ((p < high) | (high == 1))
        if here.any():
            told = f"said {p[here].mean():.2f} right {is_right[here].mean():.2f}"
            print(f"  {low:.2f} to {high:.2f}: {here.sum():4d} {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--of", choices=("vdf", "nmf", "paper"), default="vdf")
    parser.add_argument("--tune", default="101,102,103,104,105")
    parser.add_argument("--report", default="201,202,203")
    parser.add_argument("--films", type=Path, nargs="*", default=[], help="other films to fit to")
    parser.add_argument("--check", type=Path, nargs="*", default=[], help="other films to report on")
    parser.add_argument("--scan", type=int, default=100)
    given = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:

        def simulated(seeds: str) -> list[Film]:
            found = []
            for seed in filter(None, seeds.split(",")):
                for name in NAMES_OF_FILMS:
                    path = Path(folder, f"{name}-{seed}.h5")
                    sizes = ["--detector", "126", "--scan", str(given.scan)]
                    command(["simulate", name, "--seed", seed, *sizes, "--out", str(path)])
                    found += films_of(path, given.of)
                    path.unlink()
            return found

        tune = [film for path in given.films for film in films_of(path, given.of)] + simulated(given.tune)
        if tune:
            intercept, coefficients = fitted(tune)
            typical = np.median(np.concatenate([f.terms[right(f, f.now)] for f in tune]), axis=0)
            print("terms:", ", ".join((likelihood if given.of == "vdf" else nmf_likelihood).NAMES))
            print(f"INTERCEPT, COEFFICIENTS = {intercept:.2f}, ({', '.join(f'{c:.2f}' for c in coefficients)})")
            print(f"TYPICAL = ({', '.join(f'{t:.2f}' for t in typical)})")
        unseen = [film for path in given.check for film in films_of(path, given.of)] + simulated(given.report)
        if unseen:
            report(unseen)


if __name__ == "__main__":
    main()
