"""CPU time of AA + RV in one pass, beside LiberTEM's on the same data, and the values beside a plain reference.

Once with one centre for all patterns and once with descan, a centre for each; LiberTEM has one centre.

    python benchmarks/features.py [--patterns 1024] [--peer PYTHON]

The patterns (252 x 252 uint16 by default) are made here and read from an .npy file, as a user's would be. All times
are CPU times of one thread, warm, the least of several runs, so they hold on a busy machine as well.
PYTHON is an interpreter that has LiberTEM (``pip install libertem sparse``); without it that part is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the limits on threads

TARGET_MS = 0.12
TARGET_RATIO = 1.5
TARGET_DESCAN = 1.5
AA_SECTORS = 72


def constant(geometry: Any, scan_shape: tuple[int, int]) -> Any:
    """A calibration with the same centre for every pattern."""
    from napari_stemnmf.calibration.geometry import Calibration

    origin = np.full((*scan_shape, 2), (geometry.q_y, geometry.q_x), np.float32)
    return Calibration(geometry, origin, np.full_like(origin, np.nan))


def make_patterns(n: int, size: int, seed: int = 0) -> np.ndarray:
    """(1, n, size, size) uint16 counts: a bright disk, 24 weaker ones that differ by pattern, and a background."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size)) - (size - 1) / 2
    r = np.hypot(y, x)
    background = 2.0 + 40.0 * np.exp(-r / (0.1 * size)) + 8000.0 * (r < 0.021 * size)
    stamp = np.hypot(*(np.indices((13, 13)) - 6)) < 5.4
    out = np.empty((1, n, size, size), np.uint16)
    for k in range(n):
        mean = background.copy()
        radius = size * rng.choice([0.17, 0.195, 0.27, 0.33, 0.42], 24)
        angle = rng.uniform(0, 2 * np.pi, 24)
        rows = np.rint((size - 1) / 2 + radius * np.sin(angle)).astype(int)
        columns = np.rint((size - 1) / 2 + radius * np.cos(angle)).astype(int)
        for row, column, strength in zip(rows, columns, rng.exponential(150.0, 24), strict=True):
            mean[row - 6 : row + 7, column - 6 : column + 7] += strength * stamp
        out[0, k] = rng.poisson(mean)
    return out


def rings_of(size: int) -> tuple[float, ...]:
    """Four rings, as wide as those of a metal on a detector of this size."""
    return tuple(float(r) for r in np.linspace(0.1 * size, 0.45 * size, 5))


def wandering(n: int, center: float) -> np.ndarray:
    """(1, n, 2) centres of a square scan of about n positions, 10 px apart from corner to corner."""
    rows = int(np.sqrt(n))
    k = np.arange(n)
    y, x = k // rows / rows - 0.5, k % rows / rows - 0.5
    return center + np.stack([7 * y - 3 * x, 2 * y + 7 * x], axis=1)[None].astype(np.float32)


def ours(path: str, repeat: int) -> dict:
    """CPU time per pattern of the whole pass (reading included) and of the kernel alone; one centre, and descan."""
    import napari_stemnmf as stem
    from napari_stemnmf.calibration.geometry import Calibration, Geometry
    from napari_stemnmf.features.angular_average import AngularAverage
    from napari_stemnmf.features.featurize import AngularAverageAndRadialVariance, featurize
    from napari_stemnmf.features.polar import samples, sectors
    from napari_stemnmf.features.radial_variance import RadialVariance
    from napari_stemnmf.preprocessing.survey import take_survey
    from napari_stemnmf.recipe import Recipe
    from napari_stemnmf.stage_settings import PreprocessSettings
    from napari_stemnmf.streaming.engine import BLOCK_BYTES, run_pass

    data = np.load(path, mmap_mode="r")
    size = data.shape[-1]
    dataset = stem.open(path)
    center = (size - 1) / 2
    geometry = Geometry((size, size), center, center, 0.021 * size)
    recipe = Recipe().replaced({"aa.featurize.rings": rings_of(size)})
    as_it_is = PreprocessSettings(hot_pixels="off")
    found = take_survey(dataset, as_it_is, workers=1)
    one = constant(geometry, dataset.scan_shape)
    origin = wandering(data.shape[1], center)
    descan = Calibration(geometry, origin, origin)

    def describe_all(calibration: Calibration) -> object:
        return featurize(dataset, found, calibration, recipe, workers=1).features

    def kernel_of(calibration: Calibration) -> AngularAverageAndRadialVariance:
        sectors.cache_clear()
        samples.cache_clear()
        aa = AngularAverage(geometry, rings_of(size), recipe.aa.featurize, calibration.origin)
        kernel = AngularAverageAndRadialVariance(aa, RadialVariance(geometry, recipe.rv.featurize, calibration.origin))
        run_pass(dataset, [kernel], workers=1)
        return kernel

    features = describe_all(one)
    block = np.ascontiguousarray(data[0, : max(1, BLOCK_BYTES // data[0, 0].nbytes)])  # as the engine reads
    ms: dict[str, dict[str, float]] = {}
    for name, calibration in (("one centre", one), ("descan", descan)):
        describe_all(calibration)
        kernel = kernel_of(calibration)
        setup, whole, steady, alone = [], [], [], []
        for _ in range(repeat):
            whole.append(_cpu(lambda calibration=calibration: describe_all(calibration)) / data.shape[1])
            steady.append(_cpu(lambda kernel=kernel: run_pass(dataset, [kernel], workers=1)) / data.shape[1])
            alone.append(_cpu(lambda kernel=kernel: kernel(block, np.arange(len(block)))) / len(block))
        for _ in range(2):
            setup.append(_cpu(lambda calibration=calibration: kernel_of(calibration)) - min(steady) * data.shape[1])
        times = {"pass": whole, "steady": steady, "kernel": alone, "setup": setup}
        ms[name] = {what: 1e3 * min(values) for what, values in times.items()}
    first = [_cpu(lambda: take_survey(dataset, as_it_is, workers=1)) / data.shape[1] for _ in range(repeat)]
    return {
        "columns": {name: f.values.shape[1] for name, f in features.items()},
        "ms": ms,
        "survey": 1e3 * min(first),
        "worst_error": worst_error(data[0, :4], {name: f.values[:4] for name, f in features.items()}, features["rv"]),
    }


def worst_error(patterns: np.ndarray, values: dict[str, np.ndarray], rv: object) -> dict[str, float]:
    """Largest relative difference to a plain reference written from method.md in float64."""
    from scipy.ndimage import map_coordinates

    size = patterns.shape[-1]
    center = (size - 1) / 2
    fine = np.kron(patterns.astype(float), np.ones((1, 4, 4)))  # each pixel in 4 x 4 parts
    y, x = (np.indices(fine.shape[1:]) + 0.5) / 4 - 0.5 - center
    ring = np.digitize(np.hypot(y, x), rings_of(size)) - 1
    cell = ring * AA_SECTORS + (np.degrees(np.arctan2(y, x)) % 360 // (360 / AA_SECTORS)).astype(int)
    inside = (ring >= 0) & (ring < 4)
    count = np.bincount(cell[inside])
    aa = np.stack([np.bincount(cell[inside], p[inside]) / count for p in fine])
    radii = rv.columns["radius"]  # type: ignore[attr-defined]
    angle = np.radians(np.arange(360))
    at = center + radii[:, None] * np.sin(angle), center + radii[:, None] * np.cos(angle)
    polar = np.stack([map_coordinates(p.astype(float), at, order=1) for p in patterns])
    wanted = {"aa": aa, "rv": polar.var(axis=2)}
    return {name: float(np.max(np.abs(values[name] / wanted[name] - 1))) for name in values}


def as_peer(path: str, repeat: int) -> dict:
    """The same two features by LiberTEM, in one pass of its inline executor; runs under the peer's interpreter."""
    import libertem
    import libertem.api as lt
    import scipy.sparse
    import sparse
    from libertem.udf.masks import ApplyMasksUDF

    class RadialVariance(lt.UDF):
        def __init__(self, radius_of_pixel: np.ndarray, n: int) -> None:
            super().__init__(radius_of_pixel=radius_of_pixel, n=n)

        def get_result_buffers(self) -> dict:
            shape = (self.params.n,)
            private = {"kind": "nav", "extra_shape": shape, "dtype": "float32", "use": "private"}
            return {
                "sums": self.buffer(**private),
                "squares": self.buffer(**private),
                "variance": self.buffer(kind="nav", extra_shape=shape, dtype="float32"),
            }

        def get_preferred_input_dtype(self) -> type:
            return np.float32

        def get_task_data(self) -> dict:
            return {"masks": {}}

        def process_tile(self, tile: np.ndarray) -> None:
            key = self.meta.sig_slice
            if key not in self.task_data.masks:
                label = key.get(self.params.radius_of_pixel).ravel()
                inside = np.flatnonzero(label < self.params.n)
                entries = (np.ones(len(inside), np.float32), (label[inside], inside))
                self.task_data.masks[key] = scipy.sparse.csr_matrix(entries, shape=(self.params.n, label.size))
            values = tile.reshape(tile.shape[0], -1).T
            self.results.sums[:] += (self.task_data.masks[key] @ values).T
            self.results.squares[:] += (self.task_data.masks[key] @ (values * values)).T

        def postprocess(self) -> None:
            count = np.bincount(self.params.radius_of_pixel.ravel(), minlength=self.params.n)[: self.params.n]
            mean = self.results.sums / count.astype(np.float32)
            self.results.variance[:] = self.results.squares / count.astype(np.float32) - mean**2

    shape = np.load(path, mmap_mode="r").shape
    size = shape[-1]
    y, x = np.indices((size, size)) - (size - 1) / 2
    radius = np.hypot(y, x)
    ring = np.digitize(radius, rings_of(size)) - 1
    cell = ring * AA_SECTORS + (np.degrees(np.arctan2(y, x)) % 360 // (360 / AA_SECTORS)).astype(int)
    rows, columns = np.nonzero((ring >= 0) & (ring < 4))
    coords = np.stack([cell[rows, columns], rows, columns])
    masks = sparse.COO(coords=coords, data=np.float32(1), shape=(4 * AA_SECTORS, size, size))
    first = int(np.ceil(2 * 0.021 * size + 2))
    n = (size - 1) // 2 - first + 1
    label = np.rint(radius).astype(int) - first
    label[(label < 0) | (label >= n)] = n
    context = lt.Context.make_with("inline")
    dataset = context.load("npy", path=path)

    def run() -> None:
        average = ApplyMasksUDF(
            mask_factories=lambda: masks, mask_count=4 * AA_SECTORS, mask_dtype=np.float32, use_sparse="scipy.sparse"
        )
        context.run_udf(dataset=dataset, udf=[average, RadialVariance(label, n)])

    run()
    best = min(_cpu(run) for _ in range(repeat))
    return {"version": libertem.__version__, "ms": 1e3 * best / (shape[0] * shape[1])}


def ask_peer(python: str, path: str, repeat: int, script: Path = Path(__file__)) -> dict:
    """Run `as_peer` of a benchmark under another interpreter; the answer has ``error`` where that fails."""
    command = [python, str(script), "--as-peer", path, "--repeat", str(repeat)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    if answer.returncode:
        return {"error": answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "it failed"}
    return json.loads(answer.stdout.strip().splitlines()[-1])


def _cpu(work: object) -> float:
    start = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - start


def main() -> int:
    """Run and print; the exit status is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=1024)
    parser.add_argument("--size", type=int, default=252)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--peer", help="python interpreter that has LiberTEM")
    parser.add_argument("--as-peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        print(json.dumps(as_peer(options.as_peer, options.repeat)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "patterns.npy")
        np.save(path, make_patterns(options.patterns, options.size))
        result = ours(path, options.repeat)
        peer = ask_peer(options.peer, path, options.repeat) if options.peer else {"error": "no --peer was given"}
    ms = result["ms"]
    print(f"{options.patterns} patterns of {options.size} x {options.size} uint16, columns {result['columns']}")
    for name, times in ms.items():
        print(f"AA + RV, {name}:")
        print(f"  one pass with reading : {times['pass']:.4f} ms CPU a pattern")
        print(f"  the same, once set up : {times['steady']:.4f} ms CPU a pattern")
        print(f"  kernel alone          : {times['kernel']:.4f} ms CPU a pattern")
        print(f"  look-up tables, new   : {times['setup']:.0f} ms CPU a scan")
    slower = ms["descan"]["steady"] / ms["one centre"]["steady"]
    print(
        f"target {TARGET_MS} ms for 252 x 252; once set up, descan costs {slower:.2f} x that (target {TARGET_DESCAN})"
    )
    print(f"survey, one pass with reading  : {result['survey']:.4f} ms CPU a pattern")
    print("largest relative difference to the plain reference: " + str(result["worst_error"]))
    failed = ms["one centre"]["pass"] > TARGET_MS or max(result["worst_error"].values()) > 1e-4
    failed |= slower > TARGET_DESCAN
    if "error" in peer:
        print(f"LiberTEM left out: {peer['error']}")
    else:
        ratio = peer["ms"] / ms["one centre"]["pass"]
        print(
            f"LiberTEM {peer['version']}: {peer['ms']:.4f} ms CPU a pattern, {ratio:.2f} x ours (target {TARGET_RATIO})"
        )
        failed |= ratio < TARGET_RATIO
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
