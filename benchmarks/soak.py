"""Does memory grow? Thirty runs in one process, opening and saving in loops, and a long session in a napari window.

    python benchmarks/soak.py [runs files window] [--runs 30] [--loops 200] [--minutes 60]
    tools/with-screen python benchmarks/soak.py window --minutes 5

Each part runs in a process of its own. Asked for: the last ten runs, and the last third of the loops, within 20 MB,
with no more open files and threads than before; an hour in a window, in which a scan is opened, run step by step,
reviewed, exported and closed again and again, grows by less than 100 MB after its first sixth. Memory is what the
process holds (RSS) after a collection, the C library's free pages given back. Ends with 1 when a bound is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.export.results import export, write_results
from napari_stemnmf.grains.editing import Edit

FLAT_MB, WINDOW_MB = 20.0, 100.0
"""The bounds."""
LAST = 10
"""Runs that are compared."""
RECIPE = stem.Recipe.preset("nmf", ["vdf", "bd"]).replaced({"bd.clustering.seeds": 2, "bd.clustering.components": 12})
PARTS = ("runs", "files", "window")


def held() -> float:
    """Memory that this process holds, MB."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def opened() -> int:
    """Files that this process has open."""
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


def spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def tell(what: str, found: float, bound: float, unit: str = "MB") -> bool:
    """Print a number beside its bound; whether it is kept."""
    print(f"{what:<52} {found:8.1f} {unit:<8} bound {bound:g}{'' if found <= bound else '   MISSED'}", flush=True)
    return found <= bound


def scan_in(folder: Path) -> Path:
    """A small scan in a file."""
    path = folder / "film.h5"
    stem.sample(scan_shape=(24, 24), detector_shape=(48, 48), seed=1).save(path)
    return path


def repeated(what: str, act: Callable[[int], object], count: int, last: int) -> bool:
    """Do something again and again; whether memory, files and threads are flat over the last times."""
    memory, files, threads = [], [], []
    for i in range(count):
        act(i)
        memory.append(held())
        files.append(opened())
        threads.append(threading.active_count())
    every = max(1, count // 10)
    print(f"{what}, MB: {' '.join(f'{value:.0f}' for value in memory[every - 1 :: every])}")
    good = tell(f"{what}: memory, last {last} of {count}", spread(memory[-last:]), FLAT_MB)
    good &= tell(f"{what}: open files, last {last}", files[-1] - files[-last], 0, "files")
    return good & tell(f"{what}: threads, last {last}", threads[-1] - threads[-last], 0, "threads")


def runs(folder: Path, options: argparse.Namespace) -> bool:
    """Runs of a scan from its file to its results."""
    scan = scan_in(folder)

    def run(i: int) -> None:
        out = folder / "out"
        out.mkdir()
        write_results(stem.analyse(stem.open(scan), RECIPE, path=out / "analysis.stemnmf.h5", workers=1), out)
        shutil.rmtree(out)

    return repeated("runs", run, options.runs, min(LAST, max(2, options.runs // 3)))


def files(folder: Path, options: argparse.Namespace) -> bool:
    """Scans and analyses opened, saved and exported; files that cannot be opened, too."""
    scan = scan_in(folder)
    data = stem.open(scan).data.compute()
    np.savez_compressed(folder / "film.npz", data=data)
    np.save(folder / "film.npy", data)
    (folder / "damaged.h5").write_bytes(scan.read_bytes()[:2000])
    analysis = stem.analyse(stem.open(scan), RECIPE, workers=1)
    grain = int(analysis.grains["vdf"].ids[0])

    def once(i: int) -> None:
        for name in ("film.h5", "film.npz", "film.npy"):
            stem.open(folder / name).pattern(0, i % 24)
        with contextlib.suppress(StemNMFError):
            stem.open(folder / "damaged.h5")
        path = folder / "saved.stemnmf.h5"
        pipeline.edit(analysis, "vdf", Edit("comment", (grain,), f"number {i}")).save(path)
        export(stem.Analysis.load(path), folder / "out", ["csv", "labels", "recipe", "script", "stacks"])

    good = repeated("files", once, options.loops, max(2, options.loops // 3))
    left = [path.name for path in folder.rglob(".*")]
    return good & tell(f"files: left behind {' '.join(left)}", len(left), 0, "files")


def window(folder: Path, options: argparse.Namespace) -> bool:
    """A session in a real window, as long as is asked for."""
    import napari
    from npe2 import PluginManager, PluginManifest
    from qtpy.QtCore import QEventLoop, QTimer

    manager = PluginManager.instance()
    if "napari-stemnmf" not in manager:
        manager.register(PluginManifest.from_file(Path(stem.__file__).parent / "napari.yaml"))
    from napari_stemnmf.plugin.session import sessions_of

    scan = scan_in(folder)
    viewer = napari.Viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")

    def wait(until: Callable[[], bool], seconds: float = 120.0) -> None:
        """In an event loop, as napari's own: outside of one Qt keeps every widget that is to be deleted."""
        end, loop, timer = time.perf_counter() + seconds, QEventLoop(), QTimer()
        timer.timeout.connect(lambda: loop.quit() if time.perf_counter() > end or until() else None)
        timer.start(5)
        loop.exec()
        timer.stop()
        if not until():
            raise TimeoutError(until)

    def rest(seconds: float) -> None:
        end = time.perf_counter() + seconds
        wait(lambda: time.perf_counter() > end)

    def once() -> None:
        viewer.open(scan, plugin="napari-stemnmf")
        session = sessions_of(viewer.layers)[0]
        session.set_recipe(RECIPE)
        for name in ("calibrate", "featurize", "cluster", "refine", "measure"):
            step = dock.show_step(name)
            wait(lambda step=step: step.run.enabled or not session.todo(step.step, session.recipe.features))
            if step.run.enabled:
                step.run.native.click()
                wait(lambda: session.running is None)
        feature = next(iter(session.analysis.grains))
        for i, kind in enumerate(("reject", "undecide", "accept", "comment")):
            session.edit(feature, Edit(kind, (int(session.analysis.grains[feature].ids[0]),), f"{i}"))
            session.move_probe(i, i)
            rest(0.1)
        session.undo(feature)
        export(session.analysis, folder / "out", ["csv", "labels", "recipe", "overviews"])
        saver = session.saver
        saver.save_now()
        wait(lambda: not saver.waiting)
        viewer.layers.clear()
        rest(0.3)
        for path in folder.glob("*.stemnmf.h5"):
            path.unlink()

    begun, memory = time.perf_counter(), []
    while len(memory) < 3 or time.perf_counter() - begun < options.minutes * 60:
        once()
        memory.append(held())
    settled = memory[len(memory) // 6 :]
    print(f"window, MB: {' '.join(f'{value:.0f}' for value in memory[:: max(1, len(memory) // 12)])}")
    minutes = (time.perf_counter() - begun) / 60
    good = tell(f"window: growth in {minutes:.0f} min, {len(memory)} scans", max(settled) - settled[0], WINDOW_MB)
    viewer.close()
    return good


def main() -> int:
    """Run the parts, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--runs", type=int, default=30, metavar="N")
    parser.add_argument("--loops", type=int, default=200, metavar="N")
    parser.add_argument("--minutes", type=float, default=60.0, metavar="M", help="of the session in a window")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            good = {"runs": runs, "files": files, "window": window}[options.parts[0]](Path(folder), options)
        return 0 if good else 1
    numbers = ["--runs", options.runs, "--loops", options.loops, "--minutes", options.minutes]
    commands = [[sys.executable, __file__, part, "--here", *map(str, numbers)] for part in options.parts]
    return max(subprocess.run(command).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main())
