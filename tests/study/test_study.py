"""The study: stopped, gone on with, and made again only where something changed."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.control import Progress
from napari_stemnmf.errors import AnalysisError, Cancelled, DataError
from napari_stemnmf.study.plan import Manifest, find_films, key_of, make_plan
from napari_stemnmf.study.study import reproduce


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def stopped(out: Path, films: Path) -> None:
    """A study of `films` that was stopped while it clustered the second."""
    cancel = threading.Event()

    def stop(progress: Progress) -> None:
        if progress.stage.startswith("ag2: Cluster"):
            cancel.set()

    with pytest.raises(Cancelled):
        reproduce(out, films=films, seeds=2, nanowire=False, progress=stop, cancel=cancel)


def test_what_was_finished_before_a_stop_is_kept(films: Path, tmp_path: Path) -> None:
    stopped(tmp_path, films)
    record = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert "analyse ag1" in record["steps"]
    assert "analyse ag2" not in record["steps"]
    assert record["settings"]["seeds"] == 2
    assert Analysis.load(tmp_path / "ag1" / "analysis.stemnmf.h5").grains
    assert Analysis.load(tmp_path / "ag2" / "analysis.stemnmf.h5").features
    assert not (tmp_path / "index.html").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_and_does_nothing_twice(films: Path, tmp_path: Path) -> None:
    stopped(tmp_path, films)
    arguments = {"films": films, "seeds": 2, "nanowire": False}
    study = reproduce(tmp_path, **arguments)  # type: ignore[arg-type]
    assert "analyse ag1" not in study.done
    assert {"analyse ag2", "analyse ag3", "tables", "figure films", "page"} <= set(study.done)
    assert (tmp_path / "index.html").is_file()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}

    again = reproduce(tmp_path, **arguments)  # type: ignore[arg-type]
    assert again.done == []
    unchanged = {path for path, time in before.items() if path.stat().st_mtime_ns == time}
    assert set(before) - unchanged == {tmp_path / "study.json"}

    (tmp_path / "figures" / "films.png").unlink()
    mended = reproduce(tmp_path, **arguments)  # type: ignore[arg-type]
    assert mended.done == ["figure films", "page"]
    numbers = pd.read_csv(tmp_path / "tables" / "numbers.csv")
    assert {"ag1", "ag2", "ag3", "films"} == set(numbers["film"])
    assert leftovers(tmp_path) == []

    fewer = reproduce(tmp_path, **{**arguments, "seeds": 1})  # type: ignore[arg-type]
    assert {"analyse ag1", "analyse ag2, AA at 0.5", "tables", "page"} <= set(fewer.done)


def test_films_are_found_by_name(films: Path, tmp_path: Path) -> None:
    assert {name: path.name for name, path in find_films(films).items()} == {
        "ag1": "ag1_tiny.h5",
        "ag2": "Ag2.h5",
        "ag3": "ag3-tiny.h5",
    }
    with pytest.raises(DataError, match="holds no film"):
        find_films(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        find_films(tmp_path / "nowhere")
    for name in ("ag1.h5", "ag1_b.h5"):
        shutil.copy(films / "Ag2.h5", tmp_path / name)
    with pytest.raises(DataError, match=r"ag1\.h5 and ag1_b\.h5"):
        find_films(tmp_path)


def test_a_step_is_done_again_when_its_key_changes_or_a_file_is_gone(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    target = tmp_path / "x.txt"

    def make() -> list[Path]:
        target.write_text("x", encoding="utf-8")
        return [target]

    assert manifest.step("x", key_of(1), make)
    assert not Manifest(tmp_path).step("x", key_of(1), make)
    assert Manifest(tmp_path).step("x", key_of(2), make)
    target.unlink()
    assert Manifest(tmp_path).step("x", key_of(2), make)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"format": "other"}', encoding="utf-8")
    with pytest.raises(AnalysisError, match="not the record of a study"):
        Manifest(tmp_path)
    (tmp_path / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(AnalysisError, match="cannot be read"):
        Manifest(tmp_path)


def test_the_plan_is_the_paper_s() -> None:
    plan = make_plan()
    assert plan.seeds == 25
    assert plan.films == ("ag1", "ag2", "ag3", "nanowire")
    assert plan.recipe("ag1").bd.refinement.min_size == 25
    assert plan.recipe("nanowire").bd.refinement.min_size == 10
    wire = plan.recipe("nanowire")
    for name, (low, high) in {"aa": (0.4, 0.5), "bd": (0.18, 0.25)}.items():  # what the paper took
        assert low <= getattr(wire, name).clustering.merge_threshold <= high
    assert (plan.size("nanowire").scan, plan.size("nanowire").detector) == ((220, 50), 432)
    quick = make_plan(quick=True, nanowire=False)
    assert quick.seeds < 25
    assert quick.size("ag3").scan == (48, 48)
    assert quick.films == ("ag1", "ag2", "ag3")
    with pytest.raises(DataError, match="engine"):
        make_plan(engine="guess")
    with pytest.raises(DataError, match="seed"):
        make_plan(seeds=0)


@pytest.mark.slow
def test_a_film_without_truth_has_no_scores(films: Path, tmp_path: Path) -> None:
    import h5py

    folder = tmp_path / "films"
    shutil.copytree(films, folder)
    for path in folder.iterdir():
        with h5py.File(path, "a") as file:
            del file["labels"]
    study = reproduce(tmp_path / "out", films=folder, seeds=1, nanowire=False)
    assert "figure films" not in study.done
    assert all(film.scores == {} for film in study.films.values())
    assert ("ag1", "aa", "dissimilarity") in study.numbers
    assert "Scores of the films" not in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
