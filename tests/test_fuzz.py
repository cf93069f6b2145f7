"""`benchmarks/fuzz.py`, in short: no mutation of a file crashes, hangs, or changes data without a word."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

FUZZ = Path(__file__).resolve().parents[1] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz", FUZZ)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    sys.path.insert(0, str(FUZZ.parent))
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness watches copies of its process")
def test_no_mutation_goes_wrong(fuzz: ModuleType, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("STEMNMF_SHARED", raising=False)
    found = fuzz.run(90, 11, [], tmp_path / "kept", [])
    assert [each for each in found if each["came"] in fuzz.WRONG] == []
    came = Counter(each["came"] for each in found)
    assert came["told"] > 20
    assert came["same"] > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness watches copies of its process")
def test_harness_tells_what_goes_wrong(fuzz: ModuleType, tmp_path: Path) -> None:
    def foreign(path: Path) -> str:
        return str({}["key"])

    def crash(path: Path) -> str:
        os.abort()

    def other(path: Path) -> str:
        return path.read_text()

    path = tmp_path / "a.txt"
    path.write_text("some text")
    seeds = [fuzz.Seed(read.__name__, path, read) for read in (foreign, crash, other)]
    before = {seed.name: "some text" for seed in seeds}
    found = fuzz.watched(list(enumerate(seeds)), before, 1, tmp_path)
    assert [each["came"] for each in found[:2]] == ["foreign", "crash"]
    assert "KeyError" in found[0]["raised"]
