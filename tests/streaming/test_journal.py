"""A stage that was stopped goes on at the block or window that it was in, with the same result to the bit."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.clustering.iterative_nmf import Cycle, SeedRecord
from napari_stemnmf.clustering.windowed import Fitted
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled
from napari_stemnmf.resuming import blocks_of
from napari_stemnmf.streaming import engine
from napari_stemnmf.streaming.engine import BlockResult, run_pass
from napari_stemnmf.streaming.journal import Journal, Recorded, packed, unpacked

QUICK = {"*.clustering.seeds": 2, "*.clustering.components": 6, "*.refinement.min_size": 6}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        flags = a.flags.f_contiguous == b.flags.f_contiguous and a.flags.c_contiguous == b.flags.c_contiguous
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() and flags)
    if isinstance(a, csr_array):
        return all(same(getattr(a, part), getattr(b, part)) for part in ("data", "indices", "indptr"))
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    return bool(a == b or (a != a and b != b))


@pytest.mark.parametrize(
    "value",
    [
        [BlockResult({"a": np.arange(6.0).reshape(2, 3)}, {"b": np.array(2)}, counts=np.array([1, 2]))],
        Fitted(SeedRecord(3, 2, 0.1, (Cycle(2, 0.25, 4, 9),), "done", csr_array(np.eye(3, dtype=np.float32))), 1 / 3),
        {"nan": float("nan"), "inf": -float("inf"), "text": "ä", "none": None, "truth": True, "tuple": (1, [2])},
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.zeros((0, 5), np.uint16),
    ],
    ids=["block", "window", "plain", "turned", "empty"],
)
def test_what_is_kept_comes_back_to_the_bit(value: Any) -> None:
    assert same(unpacked(packed(value)), value)


@pytest.mark.parametrize("value", [object(), np.array([object()]), threading.Event()])
def test_nothing_else_is_kept(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        unpacked(packed(value))


def test_code_of_others_is_not_looked_up() -> None:
    record = packed(BlockResult())
    with pytest.raises(ValueError, match="none of this package"):
        unpacked(
            record.replace(
                b"napari_stemnmf.streaming.engine:BlockResult", b"subprocess.aaaaaaaaaaaaaaaaaaaaaaaa:aPopen"
            )
        )


def kept(path: Path, count: int, key: str = "key") -> Journal:
    journal = Journal(path, key)
    for number in range(count):
        journal.keep(number, f"block {number}", np.full(100, number))
    return journal


@pytest.mark.parametrize("cut", [1, 30, 500, 700])
def test_a_record_that_was_being_written_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.blocks"
    kept(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    journal = Journal(path, "key")
    assert len(journal) == 2
    journal.keep(2, "block 2", np.full(100, 2))
    assert path.read_bytes() == whole


def test_damage_and_other_keys_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.blocks"
    kept(path, 3)
    assert len(Journal(path, "other")) == 0
    path.write_bytes(path.read_bytes()[:60] + b"x" + path.read_bytes()[61:])
    assert len(Journal(path, "key")) == 0
    path.write_bytes(b"something else")
    assert len(Journal(path, "key")) == 0
    assert len(Journal(tmp_path / "none.blocks", "key")) == 0


def test_another_question_leaves_out_what_follows(tmp_path: Path) -> None:
    journal = kept(tmp_path / "a.blocks", 3)
    assert journal.asked(0, "block 0")
    assert not journal.asked(1, "another")
    assert not journal.asked(2, "block 2")
    assert len(Journal(tmp_path / "a.blocks", "key")) == 3  # the file is as it was until something is kept
    journal.keep(1, "another", np.zeros(3))
    assert len(Journal(tmp_path / "a.blocks", "key")) == 2


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        journal = kept(tmp_path / "gone" / "a.blocks", 3)
    assert len(journal) == 0
    assert len(caplog.records) == 1


class Counting:
    """Sums of each block; fails at some block, if asked to."""

    def __init__(self, fails: int | None = None) -> None:
        self.blocks, self.fails = 0, fails

    def __call__(self, block: np.ndarray, positions: np.ndarray) -> BlockResult:
        if self.blocks == self.fails:
            raise Cancelled("stop")
        self.blocks += 1
        return BlockResult({"sum": block.sum(axis=(1, 2))}, {"total": block.sum(axis=0) / 3})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stem.Dataset]:
    """A scan of 12 blocks."""
    path = tmp_path_factory.mktemp("scan") / "film.h5"
    stem.sample((24, 24), (64, 64), seed=2).save(path)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BLOCK_BYTES", "SPLIT_BYTES"):
            patch.setattr(engine, name, 2 * 24 * 64 * 64 * 2)
        yield stem.open(path)


RECIPE = stem.Recipe.preset("nmf", ["aa"]).replaced(QUICK)


@pytest.fixture(scope="module")
def whole(dataset: stem.Dataset) -> stem.Analysis:
    return stem.analyse(dataset, RECIPE, workers=1)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_pass_goes_on_at_its_last_block(dataset: stem.Dataset, tmp_path: Path, after: int) -> None:
    path, count = tmp_path / "a.blocks", len(engine.blocks(dataset))
    assert count > 6
    whole = run_pass(dataset, [Counting()], workers=1)[0]
    with pytest.raises(Cancelled):
        run_pass(dataset, [Counting(after)], executor=Recorded(Journal(path, "k"), workers=1))
    assert len(Journal(path, "k")) == after
    again = Counting()
    found = run_pass(dataset, [again], executor=Recorded(Journal(path, "k"), workers=1))[0]
    assert again.blocks == count - after
    assert same(found.per_pattern, whole.per_pattern)
    assert same(found.total, whole.total)


@pytest.mark.parametrize(("stage", "share"), [("Survey", 0.5), ("Disks", 0.6), ("Cluster AA", 0.5), ("Measure", 0.4)])
def test_a_run_that_is_stopped_goes_on_within_its_stage(
    dataset: stem.Dataset, whole: stem.Analysis, tmp_path: Path, stage: str, share: float
) -> None:
    """Whatever stage it was in: what it had found is not computed again, and the results are the same."""
    path, event = tmp_path / "a.stemnmf.h5", threading.Event()

    def stop(progress: stem.Progress) -> None:
        if progress.stage == stage and progress.fraction >= share:
            event.set()

    with pytest.raises(Cancelled):
        stem.analyse(dataset, RECIPE, workers=1, path=path, progress=stop, cancel=event)
    there = blocks_of(path).stat().st_size
    assert there > 0
    again = stem.analyse(dataset, RECIPE, workers=1, path=path)
    assert not blocks_of(path).exists()
    assert np.array_equal(again.models["aa"].W, whole.models["aa"].W)
    assert same(again.grains["aa"].inside, whole.grains["aa"].inside)
    assert again.tables["aa"].equals(whole.tables["aa"])
    assert same(again.peaks, whole.peaks)


@pytest.mark.slow
def test_a_killed_command_ends_in_the_same_results(dataset: stem.Dataset, tmp_path: Path) -> None:
    """Killed again and again, each time a little later within its stages."""
    command = [sys.executable, "-m", "napari_stemnmf.cli", "run", dataset.source, "--preset", "nmf", "--features", "bd",
               "--seeds", "2", "--workers", "1", "--set", "bd.clustering.components=6", "--out"]  # fmt: skip
    subprocess.run([*command, tmp_path / "whole"], check=True, capture_output=True)
    for kill in range(3):
        process = subprocess.Popen(
            [*command, tmp_path / "killed"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(0.5 + 0.7 * kill)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([*command, tmp_path / "killed"], check=True, capture_output=True)
    one, other = (stem.Analysis.load(tmp_path / name / "analysis.stemnmf.h5") for name in ("whole", "killed"))
    assert same(one.grains["bd"].inside, other.grains["bd"].inside)
    assert one.tables["bd"].equals(other.tables["bd"])
    assert not list((tmp_path / "killed").glob("*.blocks"))


def test_settings_that_change_begin_the_stage_anew(dataset: stem.Dataset, tmp_path: Path) -> None:
    recipe = stem.Recipe.preset("default")
    begun = pipeline.start(dataset, recipe)
    surveyed = pipeline.run(begun, dataset, "survey", workers=1)
    path, event = tmp_path / "a.blocks", threading.Event()

    def stop(progress: stem.Progress) -> None:
        if progress.fraction > 0.5:
            event.set()

    disks = pipeline.stages.run_with("disks")
    with pytest.raises(Cancelled):
        list(pipeline.advance(surveyed, dataset, disks, workers=1, control=Control(stop, event), journal=path))
    changed = pipeline.with_recipe(surveyed, recipe.replaced({"disks.min_snr": 9.0}))
    found = list(pipeline.advance(changed, dataset, disks, workers=1, journal=path))[-1].analysis
    plain = list(pipeline.advance(changed, dataset, disks, workers=1))[-1].analysis
    assert same(found.peaks, plain.peaks)
