"""Several scans in one command: a folder for each, tables of all, and one that fails does not stop the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import napari_stemnmf as stem
from napari_stemnmf.cli import main
from napari_stemnmf.errors import ReadError
from napari_stemnmf.export.batch import folders, needs_look, scans_in


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two scans, a file that claims to be one, and something else."""
    folder = tmp_path_factory.mktemp("monday")
    stem.sample((16, 18), (48, 48), seed=5).save(folder / "one.h5")
    stem.sample((14, 16), (48, 48), seed=2).save(folder / "two.h5")
    (folder / "broken.h5").write_bytes(b"no scan")
    (folder / "notes.txt").write_text("of the day")
    return folder


def test_several_scans_have_a_folder_each_and_tables_of_all(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    files = [str(scans / name) for name in ("one.h5", "broken.h5", "two.h5")]
    assert main(["run", *files, "--out", str(out), "--workers", "1"]) == 1
    said = capsys.readouterr()
    assert "[3 of 3]" in said.out
    assert "broken.h5: failed" in said.out
    assert "broken.h5" in said.err
    for name in ("one", "two"):
        assert (out / name / "analysis.stemnmf.h5").is_file()
    table = pd.read_csv(out / "scans.csv")
    assert [Path(scan).name for scan in table["scan"]] == ["one.h5", "broken.h5", "two.h5"]
    assert table["error"].notna().tolist() == [False, True, False]
    grains = pd.read_csv(out / "grains.csv")
    for name in ("one", "two"):
        own = pd.read_csv(out / name / "grains-vdf.csv")
        mine = grains[grains["folder"] == name]
        assert mine["grain_id"].tolist() == own["grain_id"].tolist()
        assert np.allclose(mine["area_px"], own["area_px"])
        assert table.set_index("folder").loc[name, "grains"] == len(own)
        assert table.set_index("folder").loc[name, "need a look"] == needs_look(own).sum()
    queue = pd.read_csv(out / "to-review.csv")
    assert len(queue) == table["need a look"].sum()
    assert queue["confidence"].is_monotonic_increasing

    assert main(["run", *files[::2], "--out", str(out), "--workers", "1"]) == 0  # goes on from what is there
    assert len(pd.read_csv(out / "scans.csv")) == 2


def test_a_folder_stands_for_its_scans(scans: Path, tmp_path: Path) -> None:
    assert [path.name for path in scans_in([scans / "two.h5"])] == ["two.h5"]
    assert [path.name for path in scans_in([scans])] == ["one.h5", "two.h5"]
    with pytest.raises(ReadError, match="given twice"):
        scans_in([scans, scans / "one.h5"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="holds no scan"):
        scans_in([tmp_path / "empty"])


def test_folders_of_equal_names_are_numbered(tmp_path: Path) -> None:
    files = [Path("a/film.h5"), Path("b/film.h5"), Path("c/film.raw.h5::second")]
    assert [each.name for each in folders(files, tmp_path)] == ["film", "film-2", "film.raw"]


def test_what_needs_a_look() -> None:
    table = pd.DataFrame(
        {
            "confidence": [0.95, 0.95, 0.5, np.nan, 0.5],
            "reason": ["", "thin", "", "", None],
            "verdict": ["", "", "", "", "accepted"],
        }
    )
    assert needs_look(table).tolist() == [False, True, True, True, False]
    assert needs_look(table.drop(columns=["verdict", "reason", "confidence"])).all()
