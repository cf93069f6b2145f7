"""``stemnmf export`` and ``stemnmf import``: to other programs and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import napari_stemnmf as stem
from napari_stemnmf.cli import main
from napari_stemnmf.export.formats import FORMATS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of a small scan has left."""
    path = tmp_path_factory.mktemp("run")
    stem.sample((20, 24), (64, 64), seed=2).save(path / "film.h5")
    assert main(["run", str(path / "film.h5"), "--out", str(path / "out")]) == 0
    return path / "out"


def test_there_and_back_gives_the_same_grains(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analysis = folder / "analysis.stemnmf.h5"
    assert (
        main(["export", str(analysis), "--to", "ome-zarr,coco", "--to", "stacks,geojson", "--out", str(tmp_path)]) == 0
    )
    files = ["grains-vdf.ome.zarr", "grains-vdf.coco.json", "stack-vdf.tif", "grains-vdf.geojson"]
    assert {*files, "grains-vdf.coco.png"} == {path.name for path in tmp_path.iterdir()}
    before = analysis.read_bytes()
    for name in files:
        capsys.readouterr()
        assert main(["import", str(analysis), str(tmp_path / name)]) == 1
        assert "nothing was changed" in capsys.readouterr().err
    assert analysis.read_bytes() == before


def test_what_another_program_has_changed_comes_in_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One grain is removed there, one grows: the rest keep their ids and their rows."""
    analysis = folder / "analysis.stemnmf.h5"
    rows = pd.read_csv(folder / "grains-vdf.csv").set_index("grain_id")
    assert main(["export", str(analysis), "--to", "coco", "--out", str(tmp_path)]) == 0
    path = tmp_path / "grains-vdf.coco.json"
    content = json.loads(path.read_text())
    gone, grown, *same = content["annotations"]
    grown["segmentation"] = [[0, 0, 6, 0, 6, 5, 0, 5]]
    content["annotations"] = [grown, *same]
    path.write_text(json.dumps(content))
    assert main(["import", str(analysis), str(path)]) == 0
    said = capsys.readouterr().out
    assert f"VDF: {len(rows) - 1} grains, 1 of them new or changed; there were {len(rows)}" in said
    now = pd.read_csv(folder / "grains-vdf.csv").set_index("grain_id")
    assert sorted(now.index) == sorted(set(rows.index) - {gone["id"]})
    assert now.loc[grown["id"], "area_px"] == 30
    for other in same:
        assert now.loc[other["id"], "weight_sum"] == rows.loc[other["id"], "weight_sum"]
    found = stem.Analysis.load(analysis)
    assert found.is_current("tables/vdf")
    assert [edit.kind for edit in found.reviews["vdf"].edits] == ["import"]
    np.save(tmp_path / "more.npy", np.pad(np.ones((2, 2), bool), ((3, 15), (4, 18))))
    assert main(["import", str(analysis), str(tmp_path / "more.npy"), "--add", "--feature", "vdf"]) == 0
    assert stem.Analysis.load(analysis).grains["vdf"].ids[-1] == rows.index.max() + 1


def test_the_help_lists_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for row in FORMATS:
        assert f"{row.name} {row.about}" in said


def test_wrong_requests_are_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analysis = str(folder / "analysis.stemnmf.h5")
    with pytest.raises(SystemExit, match="2"):
        main(["export", analysis, "--to", "matlab"])
    assert "there is no format 'matlab'" in capsys.readouterr().err
    assert main(["export", analysis, "--to", "ang,geojson", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "grains-vdf.geojson" in told.out
    assert "are not indexed" in told.err
    assert main(["import", analysis, str(tmp_path / "gone.tif")]) == 1
    assert main(["import", analysis, analysis, "--feature", "aa"]) == 1
    assert "There are no grains yet" in capsys.readouterr().err
