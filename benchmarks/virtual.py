"""Virtual images: CPU time beside LiberTEM's on the same data, the live copy's speed, and a scan of 34 GB.

    python benchmarks/virtual.py [--patterns 1024] [--peer PYTHON] [--large]

Three detectors in one pass, then the centre of mass in a disk; the patterns (252 x 252 uint16 by default) are made here
and read from an .npy file, as a user's would be. Times of passes are CPU times of one thread, warm, the least of many
runs, so they hold on a busy machine as well; those of the live copy are CPU times of one image.
``--large`` also times the first image of a scan of 34 GB (a sparse file), in wall time: for an idle machine.
PYTHON is an interpreter that has LiberTEM; without it that part is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the limits on threads

sys.path.insert(0, str(Path(__file__).parent))
from features import ask_peer, make_patterns  # noqa: E402 - its neighbour

LIVE_MS = 20.0
FIRST_S = 2.0
ROWS = 16
"""Of the scan; LiberTEM wants more than one."""
TARGET_RATIO = 1.5
LARGE = (512, 512, 256, 256)


def geometry(size: int) -> dict[str, tuple[float, float]]:
    """Inner and outer radius (px) of the detectors, about the middle of a detector of this size."""
    return {"bright": (0.0, 0.025 * size), "annulus": (0.1 * size, 0.25 * size), "outer": (0.25 * size, 0.48 * size)}


def rings(size: int) -> list[np.ndarray]:
    """(size, size) masks of the detectors."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    r = np.hypot(y, x)
    return [(r >= inner) & (r < outer) for inner, outer in geometry(size).values()]


def ours(path: str, repeat: int) -> dict:
    """CPU ms a pattern of the passes, CPU ms an image of the live copy, and the largest difference to plain NumPy."""
    import napari_stemnmf as stem
    from napari_stemnmf.streaming.engine import run_pass
    from napari_stemnmf.streaming.live_scan import LiveScan
    from napari_stemnmf.streaming.virtual_detectors import Annulus, Disk, Mask
    from napari_stemnmf.streaming.virtual_images import VirtualMoments, VirtualSums, virtual_images

    dataset = stem.open(path)
    n, size = dataset.n_patterns, dataset.detector_shape[0]
    masks = rings(size)
    middle = (size - 1) / 2
    disk = Disk(middle, middle, 0.25 * size)
    kernels = {
        "one disk": VirtualSums(masks[:1]),
        "three detectors": VirtualSums(masks),
        "centre of mass": VirtualMoments(disk.mask((size, size))),
    }
    passes = {}
    for name, kernel in kernels.items():
        run_pass(dataset, [kernel], workers=1)
        passes[name] = 1e3 * min(_cpu(lambda k=kernel: run_pass(dataset, [k], workers=1)) for _ in range(repeat)) / n
    images = virtual_images(dataset, [Mask.of(mask) for mask in masks], workers=1)
    plain = np.load(path, mmap_mode="r")
    expected = np.stack([[p[mask].sum(dtype=np.float64) for p in plain[0]] for mask in masks])
    some = plain.reshape(1, n, size, size)[:, :100]
    live = LiveScan(stem.Dataset.from_array(np.repeat(some, 100, axis=0)))
    filling = time.process_time()
    live.start()
    live.join()
    filling = time.process_time() - filling
    wanted = {
        "disk": lambda: live.image(Disk(middle, middle, 0.025 * size)),
        "annulus": lambda: live.image(Annulus(middle, middle, 0.25 * size, 0.48 * size)),
        "centre of mass in the annulus": lambda: live.centres_of_mass(Annulus(middle, middle, 0.2 * size, 0.48 * size)),
    }
    quick = {}
    for name, image in wanted.items():
        image()
        quick[name] = 1e3 * min(_cpu(image) for _ in range(repeat))
    return {
        "ms": passes,
        "live": quick,
        "reduction": tuple(live.reduction),
        "filling": filling,
        "worst_error": float(np.max(np.abs(images[:, 0] / expected - 1))),
    }


def as_peer(path: str, repeat: int) -> dict:
    """The same by LiberTEM, in one pass of its inline executor; runs under the peer's interpreter."""
    import libertem
    import libertem.api as lt
    from libertem.udf.com import CoMUDF
    from libertem.udf.masks import ApplyMasksUDF

    shape = np.load(path, mmap_mode="r").shape
    size, n = shape[-1], shape[0] * shape[1]
    masks = rings(size)
    context = lt.Context.make_with("inline")
    dataset = context.load("npy", path=path)

    def sums(some: list[np.ndarray]) -> object:
        factories = [lambda mask=mask: mask.astype(np.float32) for mask in some]
        return ApplyMasksUDF(mask_factories=factories, mask_count=len(some), mask_dtype=np.float32)

    middle = (size - 1) / 2
    kinds = {
        "one disk": lambda: sums(masks[:1]),
        "three detectors": lambda: sums(masks),
        "centre of mass": lambda: CoMUDF.with_params(cy=middle, cx=middle, r=0.25 * size, regression=-1),
    }
    ms = {}
    for name, make in kinds.items():
        context.run_udf(dataset=dataset, udf=make())
        ms[name] = 1e3 * min(_cpu(lambda m=make: context.run_udf(dataset=dataset, udf=m())) for _ in range(repeat)) / n
    return {"version": libertem.__version__, "ms": ms}


def large() -> tuple[float, float]:
    """Seconds to the first image of a scan of 34 GB, and to the complete copy."""
    import napari_stemnmf as stem
    from napari_stemnmf.streaming.live_scan import LiveScan
    from napari_stemnmf.streaming.virtual_detectors import Disk

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npy"
        np.lib.format.open_memmap(path, "w+", np.uint16, LARGE).flush()
        dataset = stem.open(path)
        start = time.perf_counter()
        live = LiveScan(dataset)
        live.start()
        while not live.started:
            time.sleep(0.002)
        live.image(Disk(127.5, 127.5, 7.0))
        first = time.perf_counter() - start
        live.join()
        return first, time.perf_counter() - start


def _cpu(work: object) -> float:
    start = time.process_time()
    work()  # type: ignore[operator]
    return time.process_time() - start


def main() -> int:
    """Run and print; the exit status is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, default=1024)
    parser.add_argument("--size", type=int, default=252)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--peer", help="python interpreter that has LiberTEM")
    parser.add_argument("--large", action="store_true", help="also a scan of 34 GB")
    parser.add_argument("--as-peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        print(json.dumps(as_peer(options.as_peer, options.repeat)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "patterns.npy")
        patterns = make_patterns(options.patterns, options.size)
        np.save(path, patterns.reshape(ROWS, -1, *patterns.shape[2:]))
        found = ours(path, options.repeat)
        peer = (
            ask_peer(options.peer, path, options.repeat, Path(__file__))
            if options.peer
            else {"error": "no --peer was given"}
        )
    print(f"{options.patterns} patterns of {options.size} x {options.size} uint16; CPU time of one thread")
    failed = found["worst_error"] > 1e-6
    for name, ms in found["ms"].items():
        beside = f"; LiberTEM {peer['ms'][name]:.4f}, {peer['ms'][name] / ms:.2f} x ours" if "ms" in peer else ""
        print(f"  {name:16s}: {ms:.4f} ms a pattern{beside}")
        failed |= "ms" in peer and peer["ms"][name] < TARGET_RATIO * ms
    print("LiberTEM left out: " + peer["error"] if "error" in peer else f"LiberTEM {peer['version']}")
    print(f"largest relative difference to plain NumPy: {found['worst_error']:.1e}")
    bin_, step = found["reduction"]
    print(f"live copy of 100 x 100 patterns (bin {bin_}, step {step}), filled in {found['filling']:.2f} s CPU:")
    for name, ms in found["live"].items():
        print(f"  {name:30s}: {ms:.1f} ms (target {LIVE_MS:.0f})")
        failed |= ms > LIVE_MS
    if options.large:
        first, whole = large()
        print(f"34 GB: first image after {first:.2f} s (target {FIRST_S}), all of it after {whole:.0f} s")
        failed |= first > FIRST_S
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
