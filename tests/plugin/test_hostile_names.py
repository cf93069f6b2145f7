"""Names of scans and files in the window: no markup, no lines of their own, no folder elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QWidget

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError
from napari_stemnmf.plugin.session import session_of
from napari_stemnmf.plugin.widgets import facts, show_error
from napari_stemnmf.plugin.wording import in_window, unmarked

NAME = "<img src='x.png'> <b>film<\u2044b>\n\x1b[2J\udcff"


def marked(widget: QWidget) -> list[str]:
    """What the labels below a widget would show as markup that holds a picture."""
    labels = widget.findChildren(QLabel)
    rich = [label for label in labels if label.textFormat() != Qt.TextFormat.PlainText]
    texts = [*(label.text() for label in rich), *(each.toolTip() for each in widget.findChildren(QWidget))]
    return [text for text in texts if "<img" in text]


def test_texts_lose_their_markup_and_nothing_else() -> None:
    for plain in ("film.h5", "1 < 2", "x & y", "", "two\nlines"):
        assert unmarked(plain) == plain
    for text in ("<img src=x>.h5", "a<br>b", "< b>x", "</qt>", "<!-- -->"):
        assert not Qt.mightBeRichText(unmarked(text))
        assert len(unmarked(text)) == len(text)
    assert in_window(ReadError("<img src=x>.h5 is empty")) == "‹img src=x›.h5 is empty"
    assert "<img" not in facts([("<img src=x>", "<img src=x>")])


@pytest.mark.parametrize("name", ["Run recipe", "Calibrate", "Measure", "Review", "Export", "Compare", "Figures"])
def test_no_dock_takes_the_name_of_a_scan_for_markup(
    name: str, viewer: Any, scan_file: Path, analysis: stem.Analysis, tmp_path: Path, step: Any, qtbot: Any
) -> None:
    film = Path(shutil.copy2(scan_file, tmp_path / "film.h5"))
    named = replace(analysis, input=replace(analysis.input, name=NAME, source=str(film)))
    viewer.open(film, plugin="napari-stemnmf")
    session = session_of(viewer.layers[0])
    assert session is not None
    object.__setattr__(session.dataset, "name", NAME)  # as a dataset of an earlier version could have
    session.set_analysis(named)
    _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", name)
    qtbot.wait(100)
    assert marked(getattr(widget, "native", widget)) == []


def test_an_analysis_of_any_name_has_a_plain_session(viewer: Any, analysis: stem.Analysis, tmp_path: Path) -> None:
    path = tmp_path / "a.stemnmf.h5"
    replace(analysis, input=replace(analysis.input, name=NAME, source="")).save(path)
    viewer.open(path, plugin="napari-stemnmf")
    for layer in viewer.layers:
        assert not set("\n\x1b\udcff") & set(layer.name)


def test_errors_are_notified_as_they_are_written(viewer: Any, notifications: list[str]) -> None:
    show_error(ReadError(f"{NAME} is empty."))
    (said,) = notifications
    assert not Qt.mightBeRichText(said)
    assert len(said.splitlines()) == 1
