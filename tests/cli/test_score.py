"""``stemnmf score``: one analysis as JSON, several as a table, and the files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemnmf import cli
from napari_stemnmf.analysis import Analysis, Input
from napari_stemnmf.dataset import Axis
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.recipe import Recipe

TRUTH = np.zeros((2, 6, 8), bool)
TRUTH[0, :3], TRUTH[1, 2:5] = True, True
AXES = (Axis("scan_y", 6, 0.5, "nm"), Axis("scan_x", 8, 0.5, "nm"), Axis("q_y", 4, 1.0), Axis("q_x", 4, 1.0))


def save(folder: Path, name: str, features: dict[str, np.ndarray]) -> str:
    """An analysis file of a scan with that name and these masks."""
    folder.mkdir(parents=True, exist_ok=True)
    grains = {feature: Grains.from_masks(masks) for feature, masks in features.items()}
    given = Input(name, str(folder / f"{name}.h5"), (6, 8, 4, 4), "u2", AXES, "0")
    path = folder / "analysis.stemnmf.h5"
    Analysis(Recipe(), given, grains=grains).save(path)
    return str(path)


@pytest.fixture
def truth(tmp_path: Path) -> str:
    np.save(tmp_path / "truth.npy", TRUTH)
    return str(tmp_path / "truth.npy")


@pytest.fixture
def film(tmp_path: Path) -> str:
    return save(tmp_path / "film", "film", {"aa": TRUTH, "rv": TRUTH[:0]})


def test_one_analysis_gives_one_object_of_its_first_feature(film, truth, capsys):
    assert cli.main(["score", film, "--truth", truth]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert (scores["feature"], scores["TPR_G"], scores["n_true"]) == ("aa", 1.0, 2)
    assert scores["recall_depth_3"] is None


def test_all_features_of_one_analysis_give_a_table(film, truth, capsys):
    assert cli.main(["score", film, "--truth", truth, "--feature", "all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    assert lines[0].split() == ["film"]
    assert table["AA"] == ["RV"]
    assert table["TPR_G"] == ["1.000", "-"]
    assert table["n_found"] == ["2", "0"]


def test_several_analyses_give_one_table_with_names_of_their_own(film, truth, tmp_path, capsys):
    again = save(tmp_path / "again", "film", {"aa": TRUTH[:1]})
    other = save(tmp_path / "other", "wire", {"bd": TRUTH})
    assert cli.main(["score", film, again, other, "--truth", truth, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["film"], row["feature"], row["n_found"]) for row in rows] == [
        ("film (film)", "aa", 2), ("film (film)", "rv", 0), ("film (again)", "aa", 1), ("wire", "bd", 2),
    ]  # fmt: skip


def test_several_truths_are_those_of_the_analyses_in_order(film, truth, tmp_path, capsys):
    other = save(tmp_path / "other", "wire", {"aa": TRUTH})
    np.save(tmp_path / "first.npy", TRUTH[:1])
    given = ["--truth", truth, "--truth", str(tmp_path / "first.npy")]
    assert cli.main(["score", film, other, *given, "--feature", "aa", "--json"]) == 0
    assert [row["n_true"] for row in json.loads(capsys.readouterr().out)] == [2, 1]


def test_a_table_folds_between_analyses(monkeypatch, film, truth, tmp_path, capsys):
    other = save(tmp_path / "other", "wire", {"aa": TRUTH})
    monkeypatch.setenv("COLUMNS", "35")
    assert cli.main(["score", film, other, "--truth", truth]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    assert [block.splitlines()[0].strip() for block in blocks] == ["film", "wire"]
    assert all(len(line) <= 35 for block in blocks for line in block.splitlines())


def test_the_files_hold_the_same_numbers_and_a_picture_each(film, truth, tmp_path, capsys):
    out = tmp_path / "new" / "scores"
    assert cli.main(["score", film, "--truth", truth, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert sorted(path.name for path in out.iterdir()) == [
        "distributions.csv", "matches-film-aa.pdf", "matches-film-aa.png", "pairs.csv", "scores.csv",
    ]  # fmt: skip
    assert pd.read_csv(out / "scores.csv")["f1_iou50"].tolist() == [json.loads(said.out)["f1_iou50"]]
    assert pd.read_csv(out / "distributions.csv")["true_grain"].tolist() == [1, 2]
    assert pd.read_csv(out / "pairs.csv")["IoU"].tolist() == [1.0, 1.0]
    assert str(out / "scores.csv") in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{film}", "--truth", "{truth}", "--feature", "bd"], "holds no grains of 'bd' (it has: aa, rv)"),
        (["{film}", "{film}", "--truth", "{truth}"], "given twice"),
        (["{film}", "--truth", "{truth}", "--truth", "{truth}"], "Number of analyses: 1, of truths: 2"),
        (["{film}", "--truth", "{small}"], "score grains against the truth of the same scan"),
        (["{film}", "--truth", "{floats}"], "floats.npy holds no masks"),
        (["{empty}", "--truth", "{truth}", "--feature", "all"], "holds no grains of 'any feature' (it has: none)"),
        (["{film}", "--truth", "{truth}", "--out", "{truth}/x"], "cannot be made"),
    ],
)
def test_bad_input_gets_one_sentence_and_writes_nothing(arguments, said, film, truth, tmp_path, capsys):
    np.save(tmp_path / "small.npy", TRUTH[:, 1:])
    np.save(tmp_path / "floats.npy", np.ones((6, 8)))
    empty = save(tmp_path / "empty", "empty", {})
    places = {"film": film, "truth": truth, "empty": empty}
    places |= {name: str(tmp_path / f"{name}.npy") for name in ("small", "floats")}
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["score", *(part.format(**places) for part in arguments)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert sorted(tmp_path.rglob("*")) == before
