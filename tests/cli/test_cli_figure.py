"""``stemnmf figure`` as a user types it."""

from __future__ import annotations

import shutil

import pytest

import napari_stemnmf as stem
from napari_stemnmf import cli
from napari_stemnmf.figures.catalogue import CATALOGUE

QUICK = {"*.clustering.seeds": 1, "*.clustering.components": 12, "*.refinement.min_size": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan with its truth, and its analysis."""
    folder = tmp_path_factory.mktemp("figures")
    stem.sample(scan_shape=(20, 20), detector_shape=(64, 64)).save(folder / "film.h5")
    recipe = stem.Recipe.preset("paper").replaced(QUICK)
    stem.analyse(stem.open(folder / "film.h5"), recipe, path=folder / "analysis.stemnmf.h5")
    return folder


def figure(*arguments):
    return cli.main(["figure", *map(str, arguments)])


def test_list_names_every_figure(capsys):
    assert figure("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    assert "truth" in next(line for line in lines if line.startswith("films"))


def test_pdf_and_png_are_written_and_told(folder, tmp_path, capsys):
    assert figure("sizes", folder / "analysis.stemnmf.h5", "--out", tmp_path / "new" / "sizes") == 0
    written = [str(tmp_path / "new" / f"sizes.{kind}") for kind in ("pdf", "png")]
    assert capsys.readouterr().out.split() == written
    assert (tmp_path / "new" / "sizes.pdf").read_bytes().startswith(b"%PDF")


def test_format_and_resolution_are_as_asked(folder, tmp_path):
    from PIL import Image

    where = ("refinement", folder / "analysis.stemnmf.h5", "--feature", "rv", "--out", tmp_path / "steps")
    assert figure(*where, "--formats", "png,svg", "--dpi", "100") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"steps.png", "steps.svg"}
    assert Image.open(tmp_path / "steps.png").width == pytest.approx(175 / 25.4 * 100, abs=1)


def test_the_scan_is_opened_where_it_still_is(folder, tmp_path):
    where = ("representations", folder / "analysis.stemnmf.h5", "--formats", "svg", "--out")
    assert figure(*where, tmp_path / "with") == 0
    moved = tmp_path / "moved"
    moved.mkdir()
    scan = stem.open(folder / "film.h5")
    stem.analyse(
        stem.Dataset.from_array(scan.data, name="no file"),
        stem.Recipe.preset("paper", ["aa"]).replaced(QUICK),
        path=moved / "analysis.stemnmf.h5",
    )
    assert figure("representations", moved / "analysis.stemnmf.h5", *where[2:], tmp_path / "without") == 0
    assert "disks at" in (tmp_path / "with.svg").read_text()
    assert "disks on AA grain" in (tmp_path / "without.svg").read_text()


def test_one_truth_serves_all_analyses(folder, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(folder / "analysis.stemnmf.h5", again)
    both = (folder / "analysis.stemnmf.h5", again / "analysis.stemnmf.h5")
    truth = ("--truth", f"{folder / 'film.h5'}::labels")
    assert figure("score-table", *both, *truth, "--formats", "svg", "--out", tmp_path / "scores") == 0
    text = (tmp_path / "scores.svg").read_text()
    assert "(again)" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "x"], "NAME ANALYSIS --out STEM"),
        (["sizes", "{a}"], "NAME ANALYSIS --out STEM"),
        (["figure-5", "{a}", "--out", "{tmp}/x"], "no figure 'figure-5'"),
        (["sizes", "no-such.h5", "--out", "{tmp}/x"], "no-such.h5"),
        (["sizes", "{scan}", "--out", "{tmp}/x"], "not a napari-stemnmf analysis"),
        (["films", "{a}", "--out", "{tmp}/x"], "true masks"),
        (["matches", "{a}", "--truth", "{scan}::nothing", "--out", "{tmp}/x"], "nothing"),
        (["sizes", "{a}", "--formats", "jpg", "--out", "{tmp}/x"], "jpg"),
        (["sizes", "{a}", "--dpi", "0", "--out", "{tmp}/x"], "--dpi"),
        (["sizes", "{a}", "--out", "{scan}/x"], "cannot be written"),
    ],
)
def test_bad_input_gets_one_sentence_and_status_1(arguments, said, folder, tmp_path, capsys):
    places = {"a": folder / "analysis.stemnmf.h5", "scan": folder / "film.h5", "tmp": tmp_path}
    assert figure(*(word.format(**places) for word in arguments)) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("stemnmf: ")
    assert said in lines[0]
    assert list(tmp_path.iterdir()) == []
