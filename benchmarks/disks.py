"""CPU time of disk detection, beside py4DSTEM's on the same patterns, and what both find beside the truth.

    python benchmarks/disks.py [--scan 16 16] [--peer PYTHON]
    python benchmarks/disks.py --grid [--seed 0]

The patterns (252 x 252 float32: about twenty disks on a rotated lattice, slightly elliptical, wandering over the
detector, with Poisson noise) are made here and read from an .npy file, as a user's would be. All times are CPU times
of one thread, warm, the least of several runs, so they hold on a busy machine as well. Ours finds probe and centre by
itself; the peer is told the radius. PYTHON is an interpreter that has py4DSTEM (``pip install py4DSTEM``); without it
that part is left out. With ``--grid`` no time is taken: `disk_grid` runs, on disks of all sizes, distances and doses.
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

PEER_MODES = {"parabola": "poly", "upsampled": "multicorr"}
TARGETS = {"parabola": 6.0, "upsampled": 12.0}
MOST_RMS = 0.1  # px; these disks have a peak signal-to-noise ratio of 2 to 4
RADIUS, WIDTH, LATTICE = 5.0, 1.0, 46.0


def make_scan(scan: tuple[int, int], size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(scan_y, scan_x, size, size) float32 counts, and the truth (disks, 3): pattern, q_y, q_x."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size), np.float64)
    background = 1.5 * np.exp(-np.hypot(y - size / 2, x - size / 2) / 40.0) + 0.2
    order = np.arange(-3, 4)
    lattice = LATTICE * np.stack(np.meshgrid(order, order, indexing="ij"), -1).reshape(-1, 2)
    lattice = lattice[np.hypot(*lattice.T) < 115.0]
    grains = rng.uniform(0, np.pi / 2, 4)
    reach = int(np.ceil(RADIUS + 4 * WIDTH)) + 1
    patterns = np.empty((*scan, size, size), np.float32)
    truth = []
    for k in range(scan[0] * scan[1]):
        row, column = divmod(k, scan[1])
        angle = grains[2 * (2 * row >= scan[0]) + (2 * column >= scan[1])]
        c, s = np.cos(angle), np.sin(angle)
        at = lattice @ np.array([[c, s], [-s, c]]) * [1.0075, 0.9925]
        at += [size / 2 + 0.05 * row, size / 2 - 0.03 * column]
        height = np.where(np.hypot(*lattice.T) < 1.0, 60.0, rng.uniform(6.0, 20.0, len(lattice)))
        mean = background.copy()
        for (q_y, q_x), strength in zip(at, height, strict=True):
            top, left = round(q_y) - reach, round(q_x) - reach
            cut = np.s_[max(top, 0) : top + 2 * reach + 1, max(left, 0) : left + 2 * reach + 1]
            outside = np.hypot(y[cut] - q_y, x[cut] - q_x) - RADIUS
            mean[cut] += strength / (1.0 + np.exp(4.0 * outside / WIDTH))
            truth.append((k, q_y, q_x))
        patterns[row, column] = rng.poisson(mean)
    return patterns, np.array(truth)


def score(found: np.ndarray, truth: np.ndarray, size: int) -> dict[str, float]:
    """Recall, precision and position RMS (px, along one axis) of disks (k, 3): pattern, q_y, q_x."""
    from scipy.spatial import cKDTree

    apart = np.array([10.0 * size, 1.0, 1.0])  # disks of different patterns never match
    inner = (np.minimum(truth[:, 1:], size - 1 - truth[:, 1:]) >= 2 * RADIUS).all(1)  # near the edge all may differ
    to_found, nearest = cKDTree(found * apart).query(truth * apart)
    to_truth, _ = cKDTree(truth * apart).query(found * apart)
    hit = inner & (to_found < RADIUS)
    error = (found[nearest[hit]] - truth[hit])[:, 1:]
    return {
        "recall": float(hit.sum() / inner.sum()),
        "precision": float((to_truth < RADIUS).mean()),
        "rms": float(np.sqrt((error**2).mean())),
    }


def ours(path: str, repeat: int) -> dict[str, Any]:
    """CPU time per pattern of the whole pass (reading included) and of the kernel alone, and the disks."""
    import napari_stemnmf as stem
    from napari_stemnmf.disks.detection import DiskDetection, detect, find_disks
    from napari_stemnmf.disks.probe import find_probe
    from napari_stemnmf.preprocessing.survey import take_survey
    from napari_stemnmf.stage_settings import DiskSettings, PreprocessSettings

    dataset = stem.open(path)
    probe = find_probe(dataset, take_survey(dataset, PreprocessSettings(hot_pixels="off"), workers=1))
    data = np.load(path, mmap_mode="r")
    block = np.ascontiguousarray(data.reshape(-1, *data.shape[2:])[:64])
    out = {}
    for mode in PEER_MODES:
        settings = DiskSettings(subpixel=mode)
        kernel = DiskDetection(probe, settings)
        peaks = find_disks(dataset, probe, settings, workers=1)
        whole = [_cpu(lambda s=settings: find_disks(dataset, probe, s, workers=1)) for _ in range(repeat)]
        alone = [_cpu(lambda k=kernel: k(block, np.arange(len(block)))) for _ in range(repeat)]
        start = time.perf_counter()
        detect(block[0], probe, settings)
        out[mode] = {
            "ms": 1e3 * min(alone) / len(block),
            "pass_ms": 1e3 * min(whole) / dataset.n_patterns,
            "preview_ms": 1e3 * (time.perf_counter() - start),
            "found": np.stack([peaks.pattern, peaks.q_y, peaks.q_x], axis=1).astype(np.float64),
        }
    return out


def as_peer(path: str, out: str, repeat: int) -> None:
    """The same by py4DSTEM, by its public functions alone; runs under the peer's interpreter."""
    import py4DSTEM

    data = np.load(path)
    size = data.shape[-1]
    cube = py4DSTEM.DataCube(data)
    probe = py4DSTEM.Probe.generate_synthetic_probe(RADIUS, WIDTH, (size, size))
    probe.get_kernel(mode="sigmoid", origin=(size / 2, size / 2), radii=(RADIUS, 4 * RADIUS))
    result: dict[str, Any] = {"version": py4DSTEM.__version__}
    for mode in PEER_MODES.values():
        options = {
            "template": probe.kernel, "subpixel": mode, "corrPower": 1.0, "sigma_cc": 2.0, "upsample_factor": 16,
            "minAbsoluteIntensity": 0.0, "minRelativeIntensity": 0.02, "relativeToPeak": 0, "minPeakSpacing": 15.0,
            "edgeBoundary": 6, "maxNumPeaks": 70,
        }  # fmt: skip
        times = []
        for _ in range(repeat):
            start = time.process_time()
            vectors = cube.find_Bragg_disks(**options)
            times.append(time.process_time() - start)
        found = [
            (i * data.shape[1] + j, q_y, q_x)
            for i in range(data.shape[0])
            for j in range(data.shape[1])
            for q_y, q_x in zip(vectors.raw[i, j].qx, vectors.raw[i, j].qy, strict=True)  # its x is the first axis
        ]
        result[mode] = {"ms": 1e3 * min(times) / (data.shape[0] * data.shape[1]), "found": found}
    Path(out).write_text(json.dumps(result, default=float), encoding="utf-8")


def ask_peer(python: str, path: str, repeat: int) -> dict[str, Any]:
    """Run `as_peer` under another interpreter; the answer has ``error`` where that fails."""
    answer = Path(path).with_name("peer.json")
    command = [python, __file__, "--as-peer", path, str(answer), "--repeat", str(repeat)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed"}
    return json.loads(answer.read_text(encoding="utf-8"))


def _cpu(work: object) -> float:
    start = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - start


def main() -> int:
    """Run and print; the exit status is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", type=int, nargs=2, default=(16, 16))
    parser.add_argument("--size", type=int, default=252)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer", help="python interpreter that has py4DSTEM")
    parser.add_argument(
        "--grid", action="store_true", help="disks of all sizes, distances and doses, in place of times"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the grid")
    parser.add_argument("--as-peer", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        as_peer(options.as_peer[0], options.as_peer[1], min(options.repeat, 2))
        return 0
    if options.grid:
        from disk_grid import grid

        return int(grid(options.seed))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "patterns.npy")
        patterns, truth = make_scan(tuple(options.scan), options.size)
        np.save(path, patterns)
        result = ours(path, options.repeat)
        peer: dict[str, Any] = {"error": "no --peer was given"}
        if options.peer:
            peer = ask_peer(options.peer, path, options.repeat)
    print(f"{len(truth)} disks in {options.scan[0]} x {options.scan[1]} patterns of {options.size}^2 px, float32")
    failed = False
    for mode, other in PEER_MODES.items():
        mine = result[mode]
        figures = score(mine["found"], truth, options.size)
        print(
            f"{mode:9} : {mine['ms']:7.3f} ms CPU a pattern ({mine['pass_ms']:.3f} with reading; "
            f"preview {mine['preview_ms']:.1f} ms), {_text(figures)}"
        )
        failed |= figures["rms"] > MOST_RMS or min(figures["recall"], figures["precision"]) < 0.98
        if other in peer:
            ratio = peer[other]["ms"] / mine["ms"]
            theirs: dict[str, float] = score(np.array(peer[other]["found"], np.float64), truth, options.size)
            print(f"{other:9} : {peer[other]['ms']:7.3f} ms CPU a pattern, {_text(theirs)}")
            print(f"            {ratio:.1f} x ours (target {TARGETS[mode]:.0f})")
            failed |= ratio < TARGETS[mode]
    print(f"py4DSTEM {peer['version']}" if "version" in peer else f"py4DSTEM left out: {peer['error']}")
    return int(failed)


def _text(figures: dict[str, float]) -> str:
    return f"recall {figures['recall']:.4f}, precision {figures['precision']:.4f}, position RMS {figures['rms']:.4f} px"


if __name__ == "__main__":
    sys.exit(main())
