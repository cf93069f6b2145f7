"""The iterative NMF of this package against the same algorithm on scikit-learn's NMF: CPU time, error, components.

    python benchmarks/nmf.py [--seeds 25] [--reference-seeds N] [--film FILE] [--components 100] [--workers N] [--disks]

10,000 × 288 features, 100 starting components. Without --film the matrix is made here: grains that overlap, with
blurred maps and sparse ring patterns, counted with Poisson noise and scaled by column. With --film it is the AA matrix
of a scan. The reference starts from the same kind of random numbers, fits with ``NMF(solver="cd")`` in float32 with its
default stopping (tol=1e-4, max_iter=200), and merges, refits and compares as the package does, on the whole scan.

With --disks it is another comparison: the seeds of a sparse Bragg disk matrix of 10,000 × 7,056 (made here from grains
of a dozen disks each, or from the film's) against those of the AA matrix, both from as many starting components,
and the peak memory of the process.

CPU time counts all threads. Compilation is left out: a small run goes first. BLAS has one thread in both.
"""

from __future__ import annotations

import argparse
import resource
import time
import warnings
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.clustering.ensemble import cluster, one_blas_thread
from napari_stemnmf.clustering.iterative_nmf import correlation, merge, normalise, random_start
from napari_stemnmf.clustering.matrix import model_error
from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.features.bragg_disks import bragg_disks
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.representation_settings import ClusteringSettings

TARGET, AIM = 6.0, 15.0
"""How many times less CPU time than the reference is required, and aimed at."""
DISK_TARGET, MEMORY_TARGET = 2.0, 1.5
"""How many times AA's CPU time BD may take, and how much memory the process (GiB)."""
SAME = 1e-6
"""Errors closer than this share are those of the same minimum: that far apart lie float32 models of it."""


def constant(geometry: Geometry, scan_shape: tuple[int, int]) -> Calibration:
    """A calibration with the same centre for every pattern."""
    origin = np.full((*scan_shape, 2), (geometry.q_y, geometry.q_x), np.float32)
    return Calibration(geometry, origin, np.full_like(origin, np.nan))


@dataclass(frozen=True)
class Matrix:
    """A feature matrix and the scan that its rows come from."""

    values: np.ndarray | csr_array
    scan_shape: tuple[int, int]


def made_up(scan: int = 100, grains: int = 40, rings: int = 4, sectors: int = 72, seed: int = 0) -> Matrix:
    """Overlapping grains: blurred discs in the scan, Friedel pairs of spots on rings, a background, Poisson noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:scan, :scan]
    counts = np.full((scan * scan, rings, sectors), 0.5)
    counts *= np.geomspace(4.0, 1.0, rings)[None, :, None]
    angle = np.arange(sectors)
    for _ in range(grains):
        centre, radius = random.uniform(0, scan, 2), random.uniform(5, 13)
        distance = np.hypot(y - centre[0], x - centre[1])
        weight = 1.0 / (1.0 + np.exp((distance - radius) / 1.2))  # a disc, blurred by the probe
        pattern = np.zeros((rings, sectors))
        for ring in range(rings):
            for _ in range(random.integers(1, 4)):
                at, width = random.uniform(0, sectors / 2), random.uniform(0.6, 1.4)
                off = (angle - at + sectors / 4) % (sectors / 2) - sectors / 4  # twice per turn
                pattern[ring] += random.lognormal(3.3, 1.0) / (1 + ring) * np.exp(-0.5 * (off / width) ** 2)
        counts += weight.reshape(-1, 1, 1) * pattern
    return Matrix(random.poisson(counts).reshape(scan * scan, -1).astype(np.float32), (scan, scan))


def made_up_disks(scan: int = 100, grains: int = 40, disks: int = 12, seed: int = 0) -> Matrix:
    """Overlapping grains with pairs of disks anywhere on a detector of 252 x 252, and some disks that are noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:scan, :scan]
    pattern, q_y, q_x, height = [], [], [], []

    def add(where: np.ndarray, ky: np.ndarray, kx: np.ndarray, h: np.ndarray) -> None:
        for store, values in ((pattern, where), (q_y, ky), (q_x, kx), (height, h)):
            store.append(values)

    for _ in range(grains):
        centre, radius = random.uniform(0, scan, 2), random.uniform(5, 13)
        weight = (1.0 / (1.0 + np.exp((np.hypot(y - centre[0], x - centre[1]) - radius) / 1.2))).ravel()
        for _ in range(disks // 2):
            k, turn, strength = random.uniform(20, 115), random.uniform(0, 2 * np.pi), random.lognormal(1.5, 1.0)
            for sign in (-1, 1):
                where = np.flatnonzero(weight * strength > 0.5)
                ky, kx = sign * k * np.sin(turn), sign * k * np.cos(turn)
                add(where, *(125.5 + c + random.normal(0, 0.2, where.size) for c in (ky, kx)), strength * weight[where])
    noise = np.repeat(np.arange(scan * scan), 3)
    add(noise, *random.uniform(0, 251, (2, noise.size)), random.uniform(0.5, 1.0, noise.size))
    order = np.argsort(np.concatenate(pattern), kind="stable")
    rows, *table = (np.concatenate(values)[order] for values in (pattern, q_y, q_x, height))
    offsets = np.searchsorted(rows, np.arange(scan * scan + 1))
    central = np.full((scan * scan, 2), 125.5, np.float32)
    peaks = Peaks(offsets, *(c.astype(np.float32) for c in (*table, table[-1])), central, (scan, scan), (252, 252))
    features = bragg_disks(peaks, constant(Geometry((252, 252), 125.5, 125.5, 5.3), (scan, scan)))
    return Matrix(features.values, features.scan_shape)


def from_film(path: str, feature: str = "aa") -> Matrix:
    """The AA or BD features of a scan."""
    import napari_stemnmf as stem
    from napari_stemnmf import pipeline

    dataset = stem.open(path)
    recipe = stem.Recipe.preset("paper", features=[feature])
    features = pipeline.run(pipeline.start(dataset, recipe), dataset, "featurize").features[feature]
    return Matrix(features.values, dataset.scan_shape)


def compare_disks(film: str | None, seeds: int, components: int, workers: int | None) -> None:
    """Time and peak memory of the seeds of BD beside those of AA, with the merge thresholds of the preset `paper`."""
    paper = Recipe.preset("paper")
    took = {}
    for name, made in (("aa", made_up), ("bd", made_up_disks)):
        cluster(made(20, 5), None, ClusteringSettings(components=8, seeds=1))  # compiles
        features = from_film(film, name) if film else made()
        threshold = paper.chain(name).clustering.merge_threshold
        settings = ClusteringSettings(components=components, seeds=seeds, merge_threshold=threshold)
        start = time.process_time()
        ensemble = cluster(features, None, settings, workers=workers)
        took[name] = time.process_time() - start
        print(line(f"{name} merge {threshold}", [(r.k, r.error) for r in ensemble.seeds], took[name]), flush=True)
    values = features.values
    print(f"BD is {values.shape[0]} x {values.shape[1]}, {values.nnz / np.prod(values.shape):.2%} of it not zero")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"CPU time of BD: {took['bd'] / took['aa']:.2f} times AA's (allowed {DISK_TARGET:.0f})")
    print(f"peak memory {memory:.2f} GiB (allowed {MEMORY_TARGET})")


def reference_seed(V: np.ndarray, settings: ClusteringSettings, seed: int) -> tuple[int, float]:
    """The iterative NMF of one seed on scikit-learn: components and error of its final model."""

    def fit(W: np.ndarray, H: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        model = NMF(len(H), init="custom", solver="cd", tol=1e-4, max_iter=200)
        W = model.fit_transform(V, W=np.ascontiguousarray(W), H=np.ascontiguousarray(H))
        return *normalise(W, model.components_), model_error(V, W, model.components_)

    W, H, error = fit(*random_start(V, settings.components or 2, seed))
    while True:
        W_merged, H_merged, merged = merge(W, H, settings.merge_threshold)
        if not merged:
            break
        W, H, error = fit(W_merged, H_merged)
    if settings.refit != "off":
        W_cold, H_cold, cold = fit(*random_start(V, len(H), seed, draw=1))
        alike = correlation(W_cold)[np.triu_indices(len(H_cold), 1)].max(initial=-1) >= settings.merge_threshold
        if cold < error and (settings.refit == "free" or not alike):
            H, error = H_cold, cold
    return len(H), error


def line(name: str, models: list[tuple[int, float]], cpu: float) -> str:
    """One line of the report."""
    best = min(models, key=lambda m: m[1])
    errors = [error for _, error in models]
    ks = [k for k, _ in models]
    return (
        f"{name:14}{len(models):>4} seeds {cpu:9.1f} s CPU {cpu / len(models):8.2f} s a seed   "
        f"best error {best[1]:.6f} (k {best[0]})   mean {np.mean(errors):.6f} (k {min(ks)} to {max(ks)})"
    )


def main() -> None:
    """Run both and print what each took and found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--reference-seeds", type=int, help="fewer seeds for the reference, which is slow")
    parser.add_argument("--film", help="a scan to take AA features from")
    parser.add_argument("--components", type=int, default=100)
    parser.add_argument("--threshold", type=float, default=ClusteringSettings().merge_threshold)
    parser.add_argument("--refit", default=ClusteringSettings().refit)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--disks", action="store_true", help="compare Bragg disks with AA instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if options.disks:
        return compare_disks(options.film, options.seeds, options.components, options.workers)

    features = from_film(options.film) if options.film else made_up()
    settings = ClusteringSettings(
        components=options.components,
        seeds=options.seeds,
        merge_threshold=options.threshold,
        refit=options.refit,
    )
    cluster(made_up(20, 5), None, ClusteringSettings(components=8, seeds=1))  # compiles
    V = scale(features.values).values
    print(f"{V.shape[0]} x {V.shape[1]}, {options.components} starting components, merge at {options.threshold}")

    start = time.process_time()
    ensemble = cluster(features, None, settings, workers=options.workers)
    ours_cpu = time.process_time() - start
    ours = [(record.k, record.error) for record in ensemble.seeds]
    print(line("napari-stemnmf", ours, ours_cpu), flush=True)

    with one_blas_thread():
        start = time.process_time()
        theirs = [reference_seed(V, settings, seed) for seed in range(options.reference_seeds or options.seeds)]
        theirs_cpu = time.process_time() - start
    print(line("scikit-learn", theirs, theirs_cpu))

    ratio = (theirs_cpu / len(theirs)) / (ours_cpu / len(ours))
    best_ours, best_theirs = min(error for _, error in ours), min(error for _, error in theirs)
    print(f"CPU time a seed: {ratio:.1f} times less (required {TARGET:.0f}, aim {AIM:.0f})")
    verdict = "no higher" if best_ours <= best_theirs * (1 + SAME) else "HIGHER"
    print(f"best error {best_ours:.7f} against {best_theirs:.7f}: {verdict}")


if __name__ == "__main__":
    main()
