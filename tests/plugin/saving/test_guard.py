"""Nothing that was painted or found is lost without a word: strokes of napari's tools, closing, removing layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QMessageBox

import napari_stemnmf as stem
from napari_stemnmf.plugin.layers.result_layers import all_layers
from napari_stemnmf.plugin.saving import confirm
from napari_stemnmf.plugin.saving.autosave import saver_of
from napari_stemnmf.plugin.saving.guard import guard_of
from napari_stemnmf.plugin.session import Session


@pytest.fixture
def session(viewer: Any, scan_file: Any, tracked: stem.Analysis) -> Session:
    """A scan with grains in a viewer, without any dock."""
    made = Session(stem.open(scan_file), tracked)
    for data, meta, kind in all_layers(made):
        getattr(viewer, f"add_{kind}")(data, **meta)
    guard_of(viewer)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was asked; the answer is always to keep."""
    questions: list[str] = []

    def answer(box: QMessageBox) -> int:
        questions.append(box.text())
        return 0

    monkeypatch.setattr(QMessageBox, "exec", answer)
    return questions


def close(window: Any) -> bool:
    """As the button of the window's frame does; whether it is still open."""
    event = QCloseEvent()
    QApplication.sendEvent(window, event)
    return not event.isAccepted()


def test_a_stroke_of_napari_s_brush_is_an_edit_without_any_dock(
    viewer: Any, session: Session, layer: Any, notifications: list[str], qtbot: Any
) -> None:
    flat, before = layer("VDF grains"), session.analysis.grains["vdf"]
    one, other = before.ids[:2].tolist()
    y, x = (int(at[0]) for at in before.places(before.row_of(other)))
    flat.brush_size, flat.n_edit_dimensions = 3, 2
    flat.selected_label = one
    flat.paint((y, x), one)
    qtbot.waitUntil(lambda: session.review("vdf") is not None, timeout=5_000)
    now = session.analysis.grains["vdf"]
    assert now.mask(now.row_of(one))[y, x]
    assert not now.mask(now.row_of(other))[y, x] or before.labels[y, x] != other
    assert np.array_equal(flat.data, now.labels)
    assert "taken as an edit" in notifications[-1]
    assert {edit.kind for edit in session.review("vdf").edits} <= {"add", "erase"}
    undo = next(action for key, action in flat.keymap.items() if str(key) == "Ctrl+Z")
    for _ in session.review("vdf").edits:
        undo(flat)
    qtbot.waitUntil(lambda: np.array_equal(flat.data, before.labels), timeout=5_000)
    assert session.analysis.grains["vdf"].ids.tolist() == before.ids.tolist()


def test_a_stroke_on_the_stack_changes_the_grain_of_its_plane(
    viewer: Any, session: Session, layer: Any, qtbot: Any
) -> None:
    stack, before = layer("VDF grain stack"), session.analysis.grains["vdf"]
    stack.visible = True
    empty = np.argwhere(before.overlap == 0)[0]
    viewer.dims.set_point(0, 1)
    stack.data_setitem((np.array([1]), empty[:1], empty[1:]), int(before.ids[1]))
    qtbot.waitUntil(lambda: session.review("vdf") is not None, timeout=5_000)
    now = session.analysis.grains["vdf"]
    assert now.mask(1)[tuple(empty)]
    assert np.array_equal(np.asarray(stack.data), now.stack)
    assert np.array_equal(layer("VDF grains").data, now.labels)


def test_closing_asks_where_results_are_in_no_file_and_scripts_are_not_asked(
    viewer: Any, session: Session, asked: list[str], qtbot: Any, tmp_path: Any
) -> None:
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "Export")
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "Measure")
    window = dock.native.window()
    assert not close(window) or not asked  # not shown: nobody sits before it
    assert asked == []
    viewer.show()
    qtbot.waitUntil(window.isVisible)
    qtbot.wait(50)
    assert close(window)
    assert asked == ["film has results that are in no file."]
    saver_of(session).save_as(tmp_path / "film.stemnmf.h5")
    assert saver_of(session).wait(20)
    assert confirm.unsaved(session) == ""
    session.set_recipe(session.recipe.replaced({"*.refinement.min_size": 9}))
    assert confirm.unsaved(session) == "was changed since it was saved"  # it is not saved by itself in tests
    assert close(window)
    assert len(asked) == 2


def test_what_is_saved_by_itself_is_not_asked_about(
    viewer: Any, session: Session, autosave: None, tmp_path: Any
) -> None:
    saver_of(session).save_as(tmp_path / "film.stemnmf.h5")
    session.set_recipe(session.recipe.replaced({"*.refinement.min_size": 8}))
    assert confirm.unsaved(session) == ""  # it waits to be saved, and the program waits for it
    assert saver_of(session).wait(20)
    assert confirm.unsaved(session) == ""


def test_the_last_layer_of_a_scan_can_be_brought_back(viewer: Any, session: Session) -> None:
    told: list[Any] = []
    notification_manager.notification_ready.connect(told.append)
    try:
        viewer.layers.clear()
    finally:
        notification_manager.notification_ready.disconnect(told.append)
    (only,) = [each for each in told if "in no file" in each.message]
    ((name, bring_back),) = only.actions
    assert name == "Bring it back"
    bring_back()
    assert len(viewer.layers) == 1
    assert viewer.layers[0].metadata["stemnmf_session"] is session
