"""Random hands over two scans, from a seed, for some seconds; `benchmarks/monkey.py` does the same for minutes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import napari_stemnmf as stem
from napari_stemnmf.plugin.layers.in_view import give_place
from napari_stemnmf.plugin.layers.result_layers import all_layers
from napari_stemnmf.plugin.session import Session

STEPS = 60


@pytest.mark.parametrize("seed", [3])
def test_random_hands_leave_all_in_order(
    viewer: Any, qtbot: Any, scan_file: Path, tracked: stem.Analysis, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    sys.modules.pop("monkey", None)
    from monkey import Monkey

    dataset = stem.open(scan_file)
    sessions: list[Session] = []
    for name in ("film", "twin"):
        sessions.append(give_place(Session(replace(dataset, name=name), tracked), sessions))
    for session in sessions:
        for data, meta, kind in all_layers(session):
            getattr(viewer, f"add_{kind}")(data, **meta)
    viewer.window.resize(1280, 800)
    viewer.show()
    qtbot.wait(300)
    monkey = Monkey(viewer, sessions, seed, qtbot.wait)
    for _ in range(STEPS):
        monkey.step()
    monkey.rest()
    assert len(set(monkey.done)) > 10
