"""Does the window ever wait? Probe moves, canvas reads, the event loop in runs, and a scan of 34 GB, in real windows.

    tools/with-screen .venv/bin/python benchmarks/responsiveness.py [probe hidden film scan large review] [--scan F]
        [--film F]

Each part runs in a process of its own; without a name, all do. Prints what was measured beside its bound, and ends with
1 when a bound is missed. Wall time, since it is what a user feels: run it on an idle machine. The time that the event
loop's thread was ready and had no core, because of other processes or of our own threads, is told apart and taken off
the gaps (Linux only); what remains beside its CPU time, it waited for a lock: mostly Python's.
"""

from __future__ import annotations

import argparse
import gc
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

MOVES = 200
PROBE_MS, GAP_MS, OPEN_S = 50.0, 100.0, 2.0
"""The bounds: median of a probe move, largest gap in the event loop, first virtual image."""
SEEN_GAP_MS = 50.0
"""Gaps from here on are listed, with what the main thread was doing."""
TICK_MS = 5
WINDOW = (1280, 800)
SCAN_SHAPE = (100, 100, 252, 252)
"""Of the scan that is made where none is given: 1.27 GB of uint16."""
LARGE_SHAPE = (512, 512, 256, 256)
"""34 GB of uint16, in a sparse file."""
SEEDS = 3
"""Of a clustering: enough to see the window while it runs."""
REVIEWED, REVIEWED_ON = 300, (512, 512)
"""Grains, and the scan that they are on, of the review."""
ANSWER_MS, SWITCH_MS, DEEDS = 50.0, 300.0, 40
"""The bounds of a select, accept or stroke and of a change of representation, and how many of each are made."""
STAGES = ("calibrate", "featurize", "cluster", "refine", "measure")


# ---- what is measured with


@dataclass
class Read:
    """One read of a scan's file."""

    nbytes: int
    thread: str
    block: tuple[int, int]


@dataclass
class Gap:
    """A time in which the event loop did nothing else; all of it in ms, that without a core taken off the first."""

    ms: float
    cpu_ms: float
    starved_ms: float
    during: str
    stacks: list[str] = field(default_factory=list)
    in_napari: bool = False
    """Whether napari was adding, removing or drawing a layer, at most of the looks."""


class Watchdog:
    """Finds gaps in the event loop: a timer that should tick every 5 ms, and a thread that sees when it does not."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.gaps: list[Gap] = []
        self.during = ""
        self._stacks: list[str] = []
        self._in_napari: list[bool] = []
        self._main = threading.get_ident()
        self._collecting = 0.0
        self._last, self._cpu, self._starved = time.perf_counter(), time.thread_time(), _starved()
        self._over = threading.Event()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)
        gc.callbacks.append(self._collect)
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def largest(self) -> float:
        """In ms."""
        return max((gap.ms for gap in self.gaps), default=0.0)

    def stop(self) -> None:
        """No more is wanted."""
        self._over.set()
        self._timer.stop()
        gc.callbacks.remove(self._collect)

    def _collect(self, phase: str, info: dict[str, int]) -> None:
        """Garbage is collected, in whatever thread: all others stand still."""
        if phase == "start":
            self._collecting = time.perf_counter()
            return
        spent = 1e3 * (time.perf_counter() - self._collecting)
        if spent > 2 * TICK_MS:
            where = "the main thread" if threading.get_ident() == self._main else threading.current_thread().name
            self._stacks.append(f"        garbage of generation {info['generation']}: {spent:.0f} ms in {where}")

    def _tick(self) -> None:
        now, cpu, starved = time.perf_counter(), time.thread_time(), _starved()
        without = 1e3 * (starved - self._starved)
        napari = bool(self._in_napari) and 2 * sum(self._in_napari) >= len(self._in_napari)
        ms, work = 1e3 * (now - self._last) - without, 1e3 * (cpu - self._cpu)
        self.gaps.append(Gap(ms, work, without, self.during, self._stacks, napari))
        self._last, self._cpu, self._starved, self._stacks, self._in_napari = now, cpu, starved, [], []

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            if 1e3 * (time.perf_counter() - self._last) > SEEN_GAP_MS / 2:
                frames = sys._current_frames()
                own = {self._main, threading.get_ident()}
                others = [_stack(frame, 3) for thread, frame in frames.items() if thread not in own]
                others = [stack for stack in others if "threading.py" not in stack.splitlines()[-1]]
                self._in_napari.append(_adds_or_draws(frames[self._main]))
                self._stacks.append("\n          beside\n".join([_stack(frames[self._main], 10), *others]))


NAPARI = {
    ("layerlist.py", "insert"),
    ("_evented_list.py", "__delitem__"),
    ("base.py", "__init__"),
    ("canvas.py", "on_draw"),
    ("_layer_delegate.py", "paint"),
}
"""Files and functions of napari that add, remove and draw layers."""


def _adds_or_draws(frame: Any) -> bool:
    """Whether napari is making a layer, putting it into its lists or taking it out of them, or drawing its canvas."""
    places = {(Path(each.f_code.co_filename).name, each.f_code.co_name) for each, _ in traceback.walk_stack(frame)}
    return bool(places & NAPARI)


def _starved() -> float:
    """Seconds that this thread was ready to run and had no core."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def _stack(frame: Any, depth: int) -> str:
    """The innermost calls, each as file:line function, the innermost last."""
    calls = traceback.extract_stack(frame)[-depth:]
    return "\n".join(f"        {'/'.join(Path(c.filename).parts[-2:])}:{c.lineno} {c.name}" for c in calls)


@contextmanager
def counted() -> Iterator[list[Read]]:
    """Notes every read of a scan's file, in whatever thread."""
    from napari_stemnmf.reading.blocks import Blocks

    reads: list[Read] = []
    original = Blocks.__getitem__

    def noted(self: Blocks, index: Any) -> np.ndarray:
        found = original(self, index)
        entries = index if isinstance(index, tuple) else (index,)
        first = [(e.start or 0) if isinstance(e, slice) else e for e in entries[:2]]
        reads.append(Read(found.nbytes, threading.current_thread().name, (int(first[0]), int(first[1]))))
        return found

    Blocks.__getitem__ = noted  # type: ignore[method-assign]
    try:
        yield reads
    finally:
        Blocks.__getitem__ = original  # type: ignore[method-assign]


def wait(until: Callable[[], object], seconds: float = 600.0) -> None:
    """Run the event loop until a condition holds."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, timer, end = QEventLoop(), QTimer(), time.monotonic() + seconds

    def look() -> None:
        if until() or time.monotonic() > end:
            loop.quit()

    timer.timeout.connect(look)
    timer.start(1)
    loop.exec()
    if not until():
        raise TimeoutError("What was waited for has not come.")


def settle(seconds: float) -> None:
    """Let the window work for some time."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def opened(path: Path) -> tuple[Any, Any]:
    """A window with a scan in it, and its session."""
    import napari

    from napari_stemnmf.plugin.session import session_of

    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    settle(1.0)
    viewer.open(str(path), plugin="napari-stemnmf")
    return viewer, session_of(viewer.layers[-1])


class Table:
    """Prints what was measured beside its bound, and remembers whether all held."""

    def __init__(self) -> None:
        self.holds = True

    def row(self, what: str, measured: str, bound: str = "", holds: bool = True) -> None:
        """One line; without a bound it is for information."""
        self.holds &= holds
        print(
            f"{what:<58} {measured:>22}  {bound and f'bound {bound}: ' + ('holds' if holds else 'FAILS')}", flush=True
        )


# ---- the parts


def probe(options: argparse.Namespace, table: Table) -> None:
    """Moves of the probe, from the event to the pattern on the screen, and what each reads."""
    from napari_stemnmf.plugin.patterns.pattern_view import PatternView

    viewer, session = opened(options.scan)
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "Explore")
    settle(2.0)
    shown: list[tuple[Any, np.ndarray]] = []
    original = PatternView.show_image

    def noted(self: PatternView, image: Any, values: Any, *more: Any, **options: Any) -> None:
        original(self, image, values, *more, **options)
        shown.append((self, values))

    PatternView.show_image = noted  # type: ignore[method-assign]
    chance, rows, columns = np.random.default_rng(0), *session.scan_shape
    times, numbers, amounts, wrong = [], [], [], 0
    row, column = session.position
    with counted() as reads:
        for move in range(MOVES):
            if move % 2:  # every second move is a step of an arrow key, the others go anywhere
                row, column = (row + 1) % rows, column
            else:
                row, column = int(chance.integers(rows)), int(chance.integers(columns))
            shown.clear()
            reads.clear()
            start = time.perf_counter()
            session.move_probe(row, column)
            wait(lambda: shown, 10.0)
            view, values = shown[-1]
            view.viewport().repaint()
            times.append(1e3 * (time.perf_counter() - start))
            settle(0.02)
            numbers.append(len(reads))
            amounts.append(sum(read.nbytes for read in reads))
            wrong += not np.array_equal(values, session.dataset.pattern(row, column))
    PatternView.show_image = original  # type: ignore[method-assign]
    median, slow = np.median(times), np.percentile(times, 95)
    table.row(
        f"probe moved over {session.dataset.nbytes / 1e9:.2f} GB, median of {MOVES}",
        f"{median:.1f} ms",
        f"{PROBE_MS:.0f} ms",
        median <= PROBE_MS,
    )
    table.row("  95th percentile, slowest", f"{slow:.1f}, {max(times):.1f} ms")
    table.row("  moves that showed another position's pattern", f"{wrong}", "0", wrong == 0)
    table.row("  reads a move, most", f"{max(numbers)}", "1", max(numbers) <= 1)
    chunk = int(np.prod(session.dataset.data.chunksize)) * session.dataset.dtype.itemsize
    table.row(
        "  read a move, most (a chunk of the scan is the bound)",
        f"{max(amounts) / 1e6:.3f} MB",
        f"{chunk / 1e6:.1f} MB",
        max(amounts) <= chunk,
    )
    table.row("  read a move, median", f"{np.median(amounts) / 1e6:.3f} MB")
    viewer.close()


def hidden(options: argparse.Namespace, table: Table) -> None:
    """What the canvas reads while its 4-D layer is hidden: pans, zooms, moves of mouse and probe."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    viewer, session = opened(options.scan)
    settle(1.0)
    canvas = next(w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop")
    middle = canvas.rect().center()
    with counted() as reads:
        for move in range(MOVES // 4):
            off = QPoint(int(60 * np.cos(move / 5)), int(60 * np.sin(move / 5)))
            QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
            QTest.mouseMove(canvas, middle + off)
            QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle + off)
            viewer.scene.camera.zoom *= 1.1 if move % 2 else 1 / 1.1
            settle(0.02)
        table.row("reads while the canvas is moved and zoomed, 4-D layer hidden", f"{len(reads)}", "0", not reads)
        reads.clear()
        for move in range(MOVES // 4):
            session.move_probe(move, move)
            settle(0.02)
        table.row("reads while the probe moves and no dock shows patterns", f"{len(reads)}", "0", not reads)
        viewer.window.add_plugin_dock_widget("napari-stemnmf", "Explore")
        settle(2.0)
        reads.clear()
        for move in range(MOVES // 4):
            session.move_probe(2 * move, move)
            settle(0.1)
        own = [read for read in reads if read.thread.startswith("napari-stemnmf")]
        table.row("reads of 50 probe moves with Explore", f"{len(own)}", "50", len(own) <= MOVES // 4)
        other = {read.thread for read in reads} - {read.thread for read in own}
        table.row("  reads by others: the canvas, the event loop", f"{len(reads) - len(own)}", "0", not other)
    viewer.close()


def film(options: argparse.Namespace, table: Table) -> None:
    """Gaps in the event loop while all stages run on a film."""
    _run(options.film, table)


def scan(options: argparse.Namespace, table: Table) -> None:
    """Gaps in the event loop while all stages run on the scan."""
    _run(options.scan, table)


def _run(path: Path, table: Table) -> None:
    """All stages in the dock of all of them; the file is linked to, so that what is saved lies in a folder of ours."""
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / path.name
        link.symlink_to(path.resolve())
        viewer, session = opened(link)
        _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
        settle(2.0)
        session.set_recipe(session.recipe.replaced({"*.clustering.seeds": SEEDS}))
        for name in STAGES:  # so that all are there to listen
            dock.show_step(name)
        settle(1.0)
        watchdog = Watchdog()
        settle(0.5)
        start = time.monotonic()
        for name in STAGES:
            for feature in ("",) if name in ("calibrate", "featurize") else session.recipe.features:
                watchdog.during = f"{name} {feature}".strip()
                step = dock.show_step(name)
                if feature:
                    step.feature.value = feature
                wait(lambda step=step: step.run.enabled, 10.0)  # type: ignore[misc]
                step.run.native.click()
                wait(lambda: session.running is None)
                settle(0.5)
        took = time.monotonic() - start
        watchdog.stop()
        settle(0.5)
        _report(watchdog, table, f"{path.name}, {'x'.join(map(str, session.dataset.shape))}, all stages {took:.0f} s")
        viewer.close()
        from qtpy.QtCore import QThreadPool

        wait(lambda: not QThreadPool.globalInstance().activeThreadCount(), 30.0)


def _report(watchdog: Watchdog, table: Table, what: str) -> None:
    """The largest gap, how many, and the stacks of the largest."""
    long = sorted((gap for gap in watchdog.gaps if gap.ms > SEEN_GAP_MS), key=lambda gap: -gap.ms)
    table.row(what, f"{len(watchdog.gaps)} ticks")
    table.row(
        "  largest gap in the event loop", f"{watchdog.largest:.0f} ms", f"{GAP_MS:.0f} ms", watchdog.largest <= GAP_MS
    )
    own = max((gap.ms for gap in watchdog.gaps if not gap.in_napari), default=0.0)
    table.row(
        "  largest in which napari adds, removes or draws no layer", f"{own:.0f} ms", f"{GAP_MS:.0f} ms", own <= GAP_MS
    )
    over = sum(gap.ms > GAP_MS for gap in long)
    table.row(f"  gaps over {SEEN_GAP_MS:.0f} ms, over {GAP_MS:.0f} ms", f"{len(long)}, {over}")
    for gap in long[:12]:
        work = f"{gap.cpu_ms:.0f} ms at work, {gap.starved_ms:.0f} ms more without a core"
        napari = ", napari adds, removes or draws a layer" if gap.in_napari else ""
        print(f"    {gap.ms:.0f} ms in {gap.during or 'start'} ({work}), {len(gap.stacks)} looks{napari}")
        collected = [stack for stack in gap.stacks if "garbage" in stack]
        print("\n".join([*collected, *gap.stacks[len(gap.stacks) // 2 :][:1]]))


def large(options: argparse.Namespace, table: Table) -> None:
    """A scan of 34 GB: time to its first virtual image, memory."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    settle(1.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npy"
        with open(path, "wb") as file:
            header = {"descr": "<u2", "fortran_order": False, "shape": LARGE_SHAPE}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + int(np.prod(LARGE_SHAPE, dtype=np.int64)) * 2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        viewer.open(str(path), plugin="napari-stemnmf")
        viewer.screenshot(flash=False)
        took = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = path.stat().st_size / 1e9
        table.row(
            f"a scan of {size:.1f} GB opens and shows its virtual image",
            f"{took:.2f} s",
            f"{OPEN_S:.0f} s",
            took <= OPEN_S,
        )
        table.row("  memory that it took at most", f"{(after - before) / 1e6:.2f} GB")
        viewer.close()


def review(options: argparse.Namespace, table: Table) -> None:
    """Selecting, accepting, rejecting, painting and changing the representation, with 300 grains on 512 x 512."""
    import napari
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from napari_stemnmf.plugin.layers.display import find
    from napari_stemnmf.plugin.layers.result_layers import all_layers

    viewer = napari.Viewer()
    viewer.window.resize(*WINDOW)
    session = reviewed()
    for data, meta, kind in all_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Review")
    settle(2.0)
    dock.feature.value = "aa"
    viewer.fit_to_view()
    settle(3.0)  # similarities
    canvas = next(w for w in QApplication.allWidgets() if type(w).__name__ == "CanvasBackendDesktop")

    def timed(what: str, deed: Callable[[int], object], bound: float, count: int = DEEDS) -> None:
        took, cpu = [], []
        for index in range(count):
            starved, start, work = _starved(), time.perf_counter(), time.thread_time()
            deed(index)
            QApplication.processEvents()
            took.append(1e3 * (time.perf_counter() - start - (_starved() - starved)))
            cpu.append(1e3 * (time.thread_time() - work))
            settle(0.05)
        median = float(np.median(took))
        measured = f"{median:.0f} ms ({np.median(cpu):.0f} at work), {max(took):.0f} at most"
        table.row(f"{what}, median of {count}", measured, f"{bound:.0f} ms", median <= bound)

    def key(code: Any) -> Callable[[int], object]:
        return lambda _: QTest.keyClick(canvas, code)

    canvas.setFocus()
    timed("select the next grain", key(Qt.Key.Key_N), ANSWER_MS)
    timed("accept", lambda _: (dock.act("next"), QTest.keyClick(canvas, Qt.Key.Key_A)), ANSWER_MS)
    timed("reject, and go on", key(Qt.Key.Key_W), ANSWER_MS)
    dock.choose([int(session.analysis.grains["aa"].ids[0])])
    dock.act("paint")
    settle(0.5)
    brush = find(viewer, session, "brush/aa")
    centre = np.argwhere(np.asarray(brush.data) != 0).mean(axis=0)

    def stroke(index: int) -> None:
        """As napari ends one: the labels are changed, and the event is sent."""
        place = np.rint(centre + 30 * np.array([np.cos(index / 3), np.sin(index / 3)])).astype(int)
        brush.paint(tuple(int(i) for i in np.clip(place, 0, 511)), brush.selected_label)
        brush.events.paint(value=[])

    timed("a stroke of the brush", stroke, ANSWER_MS)
    dock.tools.stop()
    settle(0.5)
    timed("undo", lambda _: dock.act("undo"), ANSWER_MS, DEEDS // 2)

    def switch(index: int) -> None:
        dock.feature.value = ("rv", "aa")[index % 2]

    switch(0)
    switch(1)
    settle(1.0)
    timed("another representation", switch, SWITCH_MS, 12)
    viewer.close()


def reviewed() -> Any:
    """A session of a small detector on a large scan, with grains of two representations, found and measured."""
    from napari_stemnmf.analysis import Analysis, Input
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.grains.grains import Grains
    from napari_stemnmf.grains.measurement import measure
    from napari_stemnmf.grains.patterns import grain_patterns
    from napari_stemnmf.plugin.session import Session
    from napari_stemnmf.preprocessing.survey import take_survey
    from napari_stemnmf.recipe import Recipe

    chance, (rows, columns) = np.random.default_rng(0), REVIEWED_ON
    data = chance.poisson(2.0, (rows, columns, 12, 12)).astype(np.uint8)
    dataset = Dataset.from_array(data, scan_step=0.5, q_step=0.1, name="crowd")
    analysis = Analysis(Recipe.preset("nmf", ("aa", "rv")), Input.of(dataset))
    analysis = analysis.with_result("survey", take_survey(dataset, analysis.recipe.preprocess))
    for stage in ("probe", "peaks", "calibration"):
        analysis = analysis.with_result(stage, None)
    y, x = np.mgrid[:rows, :columns]
    for feature in ("aa", "rv"):
        parts = []
        for _ in range(REVIEWED):
            middle, radius = chance.uniform(0, REVIEWED_ON), chance.uniform(8, 28)
            away = np.hypot(y - middle[0], x - middle[1]) / radius
            at = np.flatnonzero(away < 1)
            parts.append((at, (1.1 - away.ravel()[at]).astype(np.float32)))
        grains = Grains.of(parts, REVIEWED_ON)
        for name, result in (("features", None), ("models", None), ("grains", grains)):
            analysis = analysis.with_result(f"{name}/{feature}", result)
        known = grain_patterns(dataset, {feature: grains}, source=analysis.keys["survey"])[feature]
        analysis = analysis.with_result(f"patterns/{feature}", known)
        analysis = analysis.with_result(f"tables/{feature}", measure(grains, dataset.axes, known))
    analysis.features.clear()
    analysis.models.clear()
    return Session(dataset, analysis)


# ---- all of it

PARTS = {part.__name__: part for part in (probe, hidden, film, scan, large, review)}


def make_scan(path: Path) -> None:
    """A simulated film of 1.27 GB."""
    from napari_stemnmf.simulation.sample import sample

    rows, columns, q_y, q_x = SCAN_SHAPE
    data = sample((rows, columns), (q_y // 2, q_x // 2)).dataset.data
    chance = np.random.default_rng(0)
    out = np.lib.format.open_memmap(path, "w+", np.uint16, SCAN_SHAPE)
    for row in range(rows):
        out[row] = chance.poisson(data[row].compute().astype(np.float32).repeat(2, 1).repeat(2, 2) / 4)
    out.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--scan", type=Path, help="a scan of about 1.27 GB; one is simulated if not given")
    parser.add_argument("--film", type=Path, help="a small scan; one is simulated if not given")
    options = parser.parse_args()
    wanted = options.parts or list(PARTS)
    if options.scan and options.film and len(wanted) == 1:
        table = Table()
        PARTS[wanted[0]](options, table)
        return 0 if table.holds else 1
    with tempfile.TemporaryDirectory() as folder:
        from napari_stemnmf.simulation.sample import sample

        scan, film = options.scan or Path(folder) / "scan.npy", options.film or Path(folder) / "film.h5"
        if options.scan is None and {"probe", "hidden", "scan"} & set(wanted):
            make_scan(scan)
        if options.film is None:
            sample((64, 64), (128, 128)).save(film)
        calls = [[sys.executable, __file__, part, "--scan", str(scan), "--film", str(film)] for part in wanted]
        return max(subprocess.run(call, check=False).returncode for call in calls)


if __name__ == "__main__":
    sys.exit(main())
