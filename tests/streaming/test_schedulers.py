"""Blocks on the workers of a dask scheduler give the numbers of this machine's threads, and what goes wrong is one
sentence. Scheduler and workers are processes that their command line has started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, StemNMFError
from napari_stemnmf.plugin.preferences import Preferences, schedulers
from napari_stemnmf.streaming.cluster import ALIKE, Cluster, connected, look_at_versions, workers_at
from napari_stemnmf.streaming.engine import BlockResult, blocks, run_pass

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
STAGES = ["Survey", "Disks", "Features", "Cluster AA", "Measure"]
"""Those that workers do, as progress calls them."""
QUICK = {"*.clustering.seeds": 1, "*.clustering.components": 8, "*.refinement.min_size": 6}


class Processes:
    """A scheduler and workers, each a process."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.address = folder, f"tcp://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        paths = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]  # of the kernels below
        how: dict[str, Any] = {
            "env": {**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            "cwd": self.folder,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        process = subprocess.Popen([sys.executable, "-m", "dask", *command], **how)
        self.processes.append(process)
        return process

    def add_worker(self) -> None:
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder))
        self.workers.append(self.start("worker", self.address, *options))

    def wait_for(self, workers: int) -> None:
        end = time.monotonic() + 120
        while True:
            try:
                with distributed.Client(self.address, timeout=30, set_as_default=False) as client:
                    if workers:
                        client.wait_for_workers(workers, timeout=60)
                return
            except OSError:
                assert time.monotonic() < end

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    started = Processes(folder)
    try:
        for _ in range(2):
            started.add_worker()
        started.wait_for(2)
        yield started
    finally:
        started.end()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    stem.sample((24, 20), (64, 64), seed=2).save(tmp_path / "film.h5")
    return tmp_path / "film.h5"


class Slow:
    """The sum of each pattern, after a while, with the process that made it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        time.sleep(self.seconds)
        sums = block.sum(axis=(1, 2), dtype=np.float64)
        return BlockResult(per_pattern={"sum": sums, "process": np.full(len(block), os.getpid())})


@pytest.fixture
def row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row of the scan is a block."""
    for name in ("BLOCK_BYTES", "SPLIT_BYTES"):
        monkeypatch.setattr(f"napari_stemnmf.streaming.engine.{name}", 20 * 64 * 64 * 2)


def assert_same(here: stem.Analysis, there: stem.Analysis) -> None:
    assert here.features.keys() == there.features.keys()
    for name, features in here.features.items():
        for one, other in zip(parts(features.values), parts(there.features[name].values), strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(here.grains[name].masks, there.grains[name].masks)
        assert np.array_equal(here.grains[name].weights, there.grains[name].weights)
        assert np.array_equal(here.patterns[name].patterns, there.patterns[name].patterns, equal_nan=True)
        assert here.tables[name].equals(there.tables[name])


def parts(values: Any) -> list[np.ndarray]:
    return [values.data, values.indices, values.indptr] if hasattr(values, "indptr") else [values]


@pytest.mark.slow
def test_features_and_grains_are_those_of_threads(film: Path, processes: Processes) -> None:
    recipe = stem.Recipe.preset("default").replaced({**QUICK, "features": ["vdf", "aa", "bd"]})
    dataset = stem.open(film)
    here = stem.analyse(dataset, recipe, workers=1)
    with distributed.Client(processes.address, set_as_default=False) as client:
        there = stem.analyse(dataset, recipe, client=client)
        with pytest.raises(ValueError, match="No global client"):
            distributed.get_client()
        assert client.status == "running"
    assert len(here.grains["vdf"])
    assert_same(here, there)


@pytest.mark.slow
def test_the_preference_of_napari_does_the_same(film: Path, processes: Processes) -> None:
    recipe = stem.Recipe.preset("default")
    there = stem.analyse(stem.open(film), recipe, executor=Preferences(scheduler=processes.address).executor())
    schedulers().close()
    assert_same(stem.analyse(stem.open(film), recipe, workers=1), there)


@pytest.mark.slow
@pytest.mark.parametrize("local", [False, True])
def test_the_command_runs_on_a_scheduler_or_on_processes(
    film: Path, processes: Processes, tmp_path: Path, local: bool
) -> None:
    where = ["--workers-processes", "2"] if local else ["--scheduler", processes.address]
    command = [sys.executable, "-m", "napari_stemnmf.cli", "run", film.name, "--out", "there", *where]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    there = stem.Analysis.load(tmp_path / "there" / "analysis.stemnmf.h5")
    assert_same(stem.analyse(stem.open(film), there.recipe, workers=1), there)


@pytest.mark.slow
@pytest.mark.usefixtures("row_by_row")
@pytest.mark.parametrize("after", [0, 40])
def test_a_worker_that_dies_costs_nothing(film: Path, processes: Processes, after: int) -> None:
    dataset = stem.open(film)
    assert len(blocks(dataset)) >= 24
    killed = []

    def kill(progress: stem.Progress) -> None:
        if not killed and progress.done >= after:
            processes.workers[0].send_signal(signal.SIGKILL)
            killed.append(True)

    with workers_at(processes.address) as cluster:
        control = Control(kill)
        result = run_pass(dataset, [Slow(0.3)], executor=cluster, control=control)[0].per_pattern
    expected = run_pass(dataset, [Slow(0.0)], workers=1)[0].per_pattern
    assert killed
    assert np.array_equal(result["sum"], expected["sum"])
    assert processes.workers[1].pid in result["process"]


@pytest.mark.slow
@pytest.mark.usefixtures("row_by_row")
def test_a_worker_that_dies_in_each_stage_changes_nothing(film: Path, processes: Processes) -> None:
    """Of the stages that workers do: passes over the patterns, and NMF in windows."""
    dataset = stem.open(film)
    windows = {"aa.clustering.seeds": 3, "aa.clustering.window_size": 16, "aa.clustering.components": 6}
    recipe = stem.Recipe.preset("nmf", ["aa"]).replaced({**QUICK, **windows})
    here = stem.analyse(dataset, recipe, workers=1)
    assert len(here.models["aa"].windows) > 1
    killed: list[str] = []

    def kill(progress: stem.Progress) -> None:
        if progress.stage not in killed and progress.done > 0 and progress.stage in STAGES:
            killed.append(progress.stage)
            processes.add_worker()
            processes.workers.pop(0).kill()

    with distributed.Client(processes.address, set_as_default=False) as client:
        there = stem.analyse(dataset, recipe, client=client, progress=kill)
    assert killed == STAGES
    assert_same(here, there)
    one, other = here.models["aa"], there.models["aa"]
    assert np.array_equal(one.H, other.H)
    assert np.array_equal(one.W.toarray(), other.W.toarray())


@pytest.mark.slow
def test_what_blocks_need_is_sent_again_when_all_workers_that_held_it_died(film: Path, processes: Processes) -> None:
    with workers_at(processes.address) as cluster:
        assert cluster is not None
        shared = cluster.shared(np.arange(5.0))
        for worker in processes.workers:
            worker.kill()
        processes.add_worker()
        task = cluster.submit(np.sum, shared)
        assert cluster.answer(task, Control()) == 10.0


@pytest.mark.slow
@pytest.mark.usefixtures("row_by_row")
def test_a_lost_scheduler_is_one_sentence_and_what_was_finished_is_kept(
    film: Path, processes: Processes, tmp_path: Path
) -> None:
    path = tmp_path / "kept.stemnmf.h5"
    recipe = stem.Recipe.preset("default")

    def kill(progress: stem.Progress) -> None:
        if path.exists() and "peaks" in stem.Analysis.load(path).keys:
            processes.scheduler.kill()

    with (
        distributed.Client(processes.address, set_as_default=False, timeout=5) as client,
        pytest.raises(StemNMFError, match=r"scheduler at tcp://127.* does not answer any more.* run again\.$"),
    ):
        stem.analyse(stem.open(film), recipe, client=client, path=path, progress=kill)
    assert stem.Analysis.load(path).is_current("peaks")
    again = stem.analyse(stem.open(film), recipe, path=path, workers=1)
    assert_same(stem.analyse(stem.open(film), recipe, workers=1), again)


@pytest.mark.slow
@pytest.mark.usefixtures("row_by_row")
def test_workers_that_are_all_lost_are_one_sentence(
    film: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_stemnmf.streaming.cluster.WORKERS_TIMEOUT", 3)
    monkeypatch.setattr("napari_stemnmf.streaming.cluster.COUNT_SECONDS", 0.5)

    def kill(progress: stem.Progress) -> None:
        if progress.done >= 40:
            for worker in processes.workers:
                worker.kill()

    with workers_at(processes.address) as cluster, pytest.raises(StemNMFError, match="or has lost all workers"):
        run_pass(stem.open(film), [Slow(0.2)], executor=cluster, control=Control(kill))


@pytest.mark.slow
def test_a_cancel_stops_what_is_on_its_way(film: Path, processes: Processes) -> None:
    cancel = threading.Event()
    threading.Timer(1.0, cancel.set).start()
    with workers_at(processes.address) as cluster, pytest.raises(Cancelled):
        run_pass(stem.open(film), [Slow(30.0)], executor=cluster, control=Control(None, cancel))


@pytest.mark.slow
def test_nobody_at_the_address_is_one_sentence() -> None:
    with pytest.raises(StemNMFError, match=r"no dask scheduler at tcp://127\.0\.0\.1:9; start it"):
        connected("tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_scheduler_without_workers_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_stemnmf.streaming.cluster.WORKERS_TIMEOUT", 1)
    started = Processes(tmp_path)
    try:
        started.wait_for(0)
        with connected(started.address) as client, pytest.raises(StemNMFError, match="has no worker; start one"):
            Cluster(client)
    finally:
        started.end()


def test_what_is_no_client_is_told() -> None:
    with pytest.raises(StemNMFError, match=r"client was expected, not 'tcp://host:8786'; make one"):
        Cluster("tcp://host:8786")


def versions(**changes: str | None) -> dict[str, Any]:
    return {"host": {"python": "3.12.4.final.0"}, "packages": dict.fromkeys(ALIKE, "1.0") | changes}


@pytest.mark.parametrize(
    ("worker", "said"),
    [
        (versions(numpy="2.0"), "has numpy 2.0, this process has numpy 1.0"),
        (versions(napari_stemnmf=None), "has no napari-stemnmf, this process has napari-stemnmf 1.0"),
        ({**versions(), "host": {"python": "3.11.1.final.0"}}, "has Python 3.11, this process has Python 3.12"),
    ],
)
def test_a_worker_with_other_versions_is_named(worker: dict[str, Any], said: str) -> None:
    with pytest.raises(StemNMFError, match=f"worker tcp://b {said}; install the same version"):
        look_at_versions({"client": versions(), "workers": {"tcp://a": versions(), "tcp://b": worker}})


def test_workers_with_the_same_versions_are_taken() -> None:
    patch = {**versions(), "host": {"python": "3.12.9.final.0"}}
    look_at_versions({"client": versions(), "workers": {"tcp://a": versions(), "tcp://b": patch}})
