"""The style of figures: printed size, fonts, colours, files."""

from __future__ import annotations

import re
import zlib

import matplotlib
import pytest
from matplotlib.image import imread

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.style import (
    COLOURS,
    FEATURE_COLOURS,
    FEATURE_NAMES,
    SMALLEST_FONT,
    in_style,
    new_figure,
    panel_letters,
    save,
)


@in_style
def drawing(width="column", height_mm=50.0):
    figure = new_figure(width, height_mm)
    first, second = figure.subplots(1, 2)
    for ax in (first, second):
        ax.plot([0, 1], [1, 0])
        ax.set(title="title", xlabel="x (nm)", ylabel="y (nm)")
    panel_letters([first, second])
    return figure


def test_a_figure_has_its_printed_size(tmp_path):
    for width, mm in (("column", 85), ("page", 175)):
        (path,) = save(drawing(width), tmp_path / width, ["png"])
        rows, columns = imread(path).shape[:2]
        assert columns == pytest.approx(mm / 25.4 * 300, abs=1)
        assert rows == pytest.approx(50 / 25.4 * 300, abs=1)


def test_fonts_are_those_of_the_style_and_the_caller_s_settings_stay():
    before = dict(matplotlib.rcParams)
    figure = drawing()
    assert dict(matplotlib.rcParams) == before
    sizes = [text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]
    assert min(sizes) >= SMALLEST_FONT
    assert max(sizes) <= 8


def test_letters_stand_left_of_their_panels_and_inside_the_figure():
    figure = drawing()
    figure.draw_without_rendering()
    for letter, ax in zip("ab", figure.axes, strict=True):
        (text,) = [t for t in ax.texts if t.get_text() == letter]
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= ax.get_window_extent().x0
        assert box.y1 <= figure.bbox.y1


def test_text_in_a_pdf_is_truetype_and_the_file_is_the_same_each_time(tmp_path):
    (first,) = save(drawing(), tmp_path / "a", ["pdf"])
    (second,) = save(drawing(), tmp_path / "b", ["pdf"])
    content = first.read_bytes()
    assert b"/Type3" not in content
    assert b"/FontFile2" in content
    assert content == second.read_bytes()
    assert any(
        b"BT" in zlib.decompress(s) for s in re.findall(rb"FlateDecode >>\nstream\n(.*?)\nendstream", content, re.S)
    )


def test_a_dot_in_the_name_is_kept_and_folders_are_made(tmp_path):
    written = save(drawing(), tmp_path / "new" / "fig.4", ["pdf", "png", "svg"])
    assert [p.name for p in written] == ["fig.4.pdf", "fig.4.png", "fig.4.svg"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["fig.4.pdf", "fig.4.png", "fig.4.svg"]


def test_what_cannot_be_written_is_said_in_a_sentence(tmp_path):
    with pytest.raises(AnalysisError, match="cannot be written as 'docx'; choose from pdf, png, svg"):
        save(drawing(), tmp_path / "a", ["docx"])
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(AnalysisError, match="cannot be written"):
        save(drawing(), tmp_path / "file" / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_every_representation_has_its_own_colour_and_name():
    assert list(FEATURE_NAMES) == ["vdf", "rv", "aa", "bd"]
    assert len({FEATURE_COLOURS[name] for name in (*FEATURE_NAMES, "truth")}) == 5
    assert len(set(COLOURS)) == len(COLOURS)
