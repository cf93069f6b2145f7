"""`benchmarks/faults.py` and `benchmarks/soak.py` with few kills and few runs, the same each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills and limits are those of Linux")


def run(name: str, *arguments: str) -> str:
    """What a benchmark prints that finds nothing wrong."""
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_killed_runs_go_on_and_leave_nothing() -> None:
    said = run("faults.py", "--kills", "4", "--others", "0", "--seed", "3", "--only", "kill")
    assert "4 faults, seed 3: 0 went wrong." in said


def test_full_disks_and_outputs_and_a_second_run_are_told_and_lose_nothing() -> None:
    said = run("faults.py", "--others", "1", "--seed", "5", "--only", "size", "output", "read-only", "two")
    assert "4 faults, seed 5: 0 went wrong." in said


def test_memory_is_flat_over_runs_and_files() -> None:
    said = run("soak.py", "runs", "files", "--runs", "6", "--loops", "6")
    assert "MISSED" not in said
    assert "files: left behind" in said
