"""The Calibrate dock, driven by clicks in a real window."""

from __future__ import annotations

import gc
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.plugin.docks.calibrate.model import PICTURES
from napari_stemnmf.plugin.layers.result_layers import scan_layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import Section
from napari_stemnmf.study.distorted import Distorted


def add(viewer: Any, dataset: stem.Dataset, analysis: stem.Analysis | None = None) -> Session:
    """Put a scan into the viewer as the reader does."""
    session = Session(dataset, analysis)
    for data, meta, kind in scan_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    return session


@pytest.fixture(scope="module")
def calibrated(distorted_scan: Distorted) -> stem.Analysis:
    return pipeline.run(
        pipeline.start(distorted_scan.dataset, stem.Recipe.preset("nmf")), distorted_scan.dataset, "calibrate"
    )


@pytest.fixture
def fresh(viewer: Any, distorted_scan: Distorted, step: Any) -> Any:
    """The dock of a scan of which nothing is known."""
    add(viewer, distorted_scan.dataset)
    return step("Calibrate")


@pytest.fixture
def dock(viewer: Any, distorted_scan: Distorted, calibrated: stem.Analysis, step: Any, settled: Any) -> Any:
    """The dock of a scan that is calibrated."""
    add(viewer, distorted_scan.dataset, calibrated)
    widget = step("Calibrate")
    settled(widget)
    return widget


@pytest.fixture
def settled(qtbot: Any) -> Any:
    """Waits until the wanted picture is shown."""

    def wait(widget: Any) -> Any:
        qtbot.waitUntil(lambda: not widget._preview.busy, timeout=60_000)
        qtbot.wait(20)
        return widget.panel.shown

    return wait


def edit(widget: Any, path: str, name: str, value: Any) -> None:
    form = widget.forms.of(type(getattr(widget.session.recipe, path)))
    editor = form.editor(name)
    if editor.automatic is not None:
        editor.automatic.value = False
    editor.box.value = value


def section(widget: Any, title: str) -> Section:
    (found,) = (s for s in widget.native.findChildren(Section) if title in s.button.text())
    return found


def test_one_button_from_a_measured_scan_to_numbers_with_residuals(
    fresh: Any, click: Any, settled: Any, distorted_scan: Distorted, notifications: list[str]
) -> None:
    assert "Survey: not done yet. Disks: not done yet. Calibration: not done yet." in fresh.status.value
    assert "Nothing yet" in fresh.found.text()
    click(fresh)
    assert "Survey: done. Disks: done. Calibration: done." in fresh.status.value
    for name in ("hot pixels", "mask", "probe", "disks", "centre", "descan", "origin", "ellipse", "pixel size"):
        assert f"<b>{name}</b>" in fresh.found.text()
    assert "residual" in fresh.found.text()
    shown = settled(fresh)
    centre = distorted_scan.center.reshape(-1, 2).mean(axis=0)
    assert (shown.geometry.q_y, shown.geometry.q_x) == pytest.approx(centre, abs=0.5)
    assert len(shown.disks[0]) > 5
    assert [m for m in notifications if not m.startswith("Inconsistent units")] == []


def test_a_first_look_is_enough_to_tune_the_disks(fresh: Any, qtbot: Any, settled: Any) -> None:
    shown = settled(fresh)
    assert fresh.panel.chosen == "position"  # what can be shown of a scan that was not read yet
    assert shown.image is not None
    assert shown.disks is None
    fresh.look.native.click()
    qtbot.waitUntil(lambda: fresh.session.running is None, timeout=60_000)
    shown = settled(fresh)
    assert fresh.panel.chosen == "mean"
    assert len(shown.disks[0]) > 0
    assert "Survey: done. Disks: not done yet." in fresh.status.value


def test_a_moved_slider_redraws_the_disks(dock: Any, settled: Any) -> None:
    before = settled(dock).disks[3]
    edit(dock, "disks", "min_snr", 25.0)
    after = settled(dock).disks[3]
    assert len(after) < len(before)
    assert after.min() >= 25.0
    x, _ = dock.panel.view._lines["disks"].getData()
    assert np.isnan(x).sum() == len(after)
    assert "Disks: stale. Calibration: stale." in dock.status.value
    assert f"{len(after)} disks" in dock.panel.readout.text()


def test_a_slider_never_waits_for_a_slow_chunk(
    viewer: Any, slow_scan: stem.Dataset, step: Any, qtbot: Any, settled: Any
) -> None:
    add(viewer, slow_scan)
    dock = step("Calibrate")
    settled(dock)
    longest = 0.0
    for row in range(20, 40):
        start = time.perf_counter()
        dock.panel.row.setValue(row)  # each row is another chunk, 50 ms to read
        longest = max(longest, time.perf_counter() - start)
    assert longest < 0.05
    settled(dock)
    assert dock.panel.probe.position[0] == 39


def test_overlays_are_ticked_on_and_off(dock: Any) -> None:
    view = dock.panel.view
    for name, box in dock.panel.boxes.items():
        item = view._mask if name == "mask" else view._lines[name]
        for on in (True, False):
            box.setChecked(on)
            assert item.isVisible() == on


def test_every_picture_shows_with_every_scale(dock: Any, settled: Any) -> None:
    for picture in PICTURES:
        dock.panel.picture.setCurrentIndex(dock.panel.picture.findData(picture))
        shown = settled(dock)
        assert shown.image is not None
        assert shown.geometry is not None
        seen = []
        for i in range(dock.panel.scale.count()):
            dock.panel.scale.setCurrentIndex(i)
            seen.append(dock.panel.view._image.image.copy())
        assert not np.array_equal(seen[0], seen[1])
        assert not np.array_equal(seen[1], seen[2])


def test_a_click_on_the_scan_chooses_the_pattern(
    viewer: Any, dock: Any, settled: Any, layer: Any, distorted_scan: Distorted, qtbot: Any
) -> None:
    from napari.utils._proxies import ReadOnlyWrapper
    from napari.utils.interactions import mouse_press_callbacks, mouse_release_callbacks
    from vispy.app.canvas import MouseEvent

    def press_at(position: tuple[float, ...]) -> None:
        event = MouseEvent(type="mouse_press", button=1)
        event.position = position
        event.type_ = event.type
        mouse_press_callbacks(viewer, ReadOnlyWrapper(event))
        event = MouseEvent(type="mouse_release", button=1)
        event.position = position
        mouse_release_callbacks(viewer, ReadOnlyWrapper(event))

    dock.panel.pick.setChecked(True)
    cross = layer("position")
    step_ = distorted_scan.dataset.axes[0].scale
    press_at((0.0, 0.0, 2.2 * step_, 5.9 * step_))
    assert dock.panel.probe.position == (2, 6)
    assert dock.panel.chosen == "position"
    assert np.array_equal(settled(dock).image.shape, distorted_scan.dataset.detector_shape)
    qtbot.waitUntil(lambda: tuple(cross.data[0]) == (2, 6), timeout=5_000)
    press_at((0.0, 0.0, -50.0, 5.0))
    assert dock.panel.probe.position == (2, 6)
    dock.panel.pick.setChecked(False)
    assert cross not in viewer.layers
    press_at((0.0, 0.0, 0.0, 0.0))
    assert dock.panel.probe.position == (2, 6)


def test_a_mask_is_drawn_on_the_mean_pattern(viewer: Any, dock: Any, settled: Any, layer: Any) -> None:
    dock.mask.draw.click()
    shapes, mean = layer("mask shapes"), layer("mean pattern")
    assert viewer.layers.selection.active is shapes
    assert [each.name for each in viewer.layers if each.visible] == [mean.name, shapes.name]
    shapes.add(np.array([[9.5, 9.5], [9.5, 19.5], [29.5, 19.5], [29.5, 9.5]]), shape_type="polygon")
    dock.mask.use.click()
    assert (~dock.session.mask).sum() == 200
    assert not dock.session.mask[10:30, 10:20].any()
    assert not settled(dock).mask[10:30, 10:20].any()
    assert "Calibration: stale." in dock.status.value
    dock.mask.draw.click()
    assert shapes not in viewer.layers
    assert mean not in viewer.layers
    assert layer("virtual image").visible
    dock.mask.draw.click()
    assert layer("mask shapes") is shapes
    dock.mask.clear.click()
    assert dock.session.mask is None
    assert "Calibration: done." in dock.status.value


def test_a_drawn_mask_goes_into_the_run(fresh: Any, click: Any, qtbot: Any) -> None:
    keep = np.ones((126, 126), bool)
    keep[:20] = False
    fresh.session.set_mask(keep)
    click(fresh)
    assert np.array_equal(fresh.session.analysis.mask, keep)
    assert not fresh.session.analysis.calibration.geometry.mask[:20].any()
    assert "<b>mask</b></td><td>1" in fresh.found.text()  # some percent
    assert "Calibration: done." in fresh.status.value


def test_a_mask_drawn_while_a_run_goes_on_is_kept(fresh: Any, click: Any, qtbot: Any) -> None:
    session = fresh.session
    click(fresh, wait=False)
    keep = np.ones((126, 126), bool)
    keep[:20] = False
    session.set_mask(keep)
    qtbot.waitUntil(lambda: session.running is None, timeout=60_000)
    assert np.array_equal(session.analysis.mask, keep)
    assert "Calibration: stale." in fresh.status.value


def test_an_empty_drawing_is_refused_in_words(viewer: Any, dock: Any, notifications: list[str]) -> None:
    dock.mask.draw.click()
    dock.mask.use.click()
    assert "covers no pixel" in notifications[-1]
    assert dock.session.mask is None


def test_layers_of_results_are_no_masks(viewer: Any, dock: Any) -> None:
    viewer.add_labels(np.zeros((126, 126), int), name="painted")
    assert [dock.mask.layer.itemText(i) for i in range(dock.mask.layer.count())] == ["painted"]
    viewer.layers.remove("painted")
    assert dock.mask.layer.count() == 0
    assert not dock.mask.use.isEnabled()


def test_a_mask_file_goes_into_the_recipe(dock: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "stop.npy", np.ones((126, 126), bool))
    dock.mask.load_file(str(tmp_path / "stop.npy"))
    assert dock.session.recipe.beam_stop.mask == str(tmp_path / "stop.npy")
    assert "stop.npy" in dock.mask.about.text()
    dock.mask.clear.click()
    assert dock.session.recipe.beam_stop.mask is None


def test_a_ring_is_picked_by_a_click_and_named_by_its_d(viewer: Any, dock: Any, qtbot: Any) -> None:
    viewer.show()
    qtbot.waitExposed(dock.native)
    view = dock.panel.view
    q_y, q_x = dock.panel.shown.geometry.from_polar(np.array(24.0), np.array(30.0))
    at = view.mapFromScene(view._box.mapViewToScene(QPointF(float(q_x), float(q_y))))

    def click() -> None:
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=at)

    click()
    assert dock.session.recipe.pixel_size.radius is None
    dock.ring.setChecked(True)
    click()
    assert dock.session.recipe.pixel_size.radius == pytest.approx(24.0, abs=0.5)
    assert not dock.ring.isChecked()
    edit(dock, "pixel_size", "d_spacing", 0.2359)
    assert dock.session.recipe.pixel_size.d_spacing == 0.2359


def test_the_mouse_reads_counts_and_radius(viewer: Any, dock: Any, qtbot: Any) -> None:
    viewer.show()
    qtbot.waitExposed(dock.native)
    view = dock.panel.view
    at = view._box.mapViewToScene(QPointF(61.2, 59.9))
    view.scene().sigMouseMoved.emit(at)
    value = dock.panel.shown.image[60, 61]
    assert dock.panel.readout.text().startswith(f"q_y 60, q_x 61: {value:.4g}")
    assert "1/nm, d " in dock.panel.readout.text()
    view.hovered.emit(None)
    assert "disks" in dock.panel.readout.text()


def test_what_was_found_shows_greyed_where_it_is_automatic(dock: Any) -> None:
    found = dock.session.analysis
    center, disks = dock._found_forms["center"], dock._disks
    assert center.editor("q_y").box.value == pytest.approx(found.probe.q_y, abs=0.05)
    assert not center.editor("q_y").box.enabled
    assert disks.editor("spacing").box.value == pytest.approx(2 * found.probe.radius, abs=0.05)


def test_a_crop_moves_what_lies_on_the_scan(dock: Any, click: Any, layer: Any, distorted_scan: Distorted) -> None:
    edit(dock, "preprocess", "scan_y", "2, 7")
    edit(dock, "preprocess", "scan_x", "1, 8")
    click(dock)
    image = layer("virtual image")
    assert image.data.shape == (5, 7)
    step_ = distorted_scan.dataset.axes[0].scale
    np.testing.assert_allclose(image.translate[-2:], [2 * step_, step_])
    assert (dock.panel.row.maximum(), dock.panel.column.maximum()) == (4, 6)


def test_cancel_keeps_what_was_found(viewer: Any, slow_scan: stem.Dataset, step: Any, click: Any, qtbot: Any) -> None:
    add(viewer, slow_scan)
    dock = step("Calibrate")
    click(dock, wait=False)
    session = dock.session
    qtbot.waitUntil(lambda: session.running.progress is not None, timeout=20_000)
    assert "Survey" in session.running.line()
    dock.cancel.native.click()
    qtbot.waitUntil(lambda: session.running is None, timeout=5_000)
    assert "cancelled" in dock.status.value
    assert dock.run.enabled


def test_sections_fold_by_click_and_by_key(viewer: Any, dock: Any, qtbot: Any) -> None:
    viewer.show()
    found, ellipse = section(dock, "Found"), section(dock, "Ellipse")
    assert found.expanded
    assert not ellipse.expanded
    ellipse.button.click()
    assert ellipse.expanded
    assert not ellipse.body.isHidden()
    qtbot.keyClick(ellipse.button, Qt.Key.Key_Space)
    assert ellipse.body.isHidden()


def test_every_control_says_what_it_does_and_can_be_reached_by_key(dock: Any) -> None:
    from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit, QPushButton, QSlider

    kinds = (QAbstractSpinBox, QCheckBox, QComboBox, QPushButton, QSlider)
    controls = [w for kind in kinds for w in dock.native.findChildren(kind)]
    assert len(controls) > 40
    for control in controls:
        inside = isinstance(control.parent(), (QAbstractSpinBox, QLineEdit)) or "Label" in type(control).__name__
        if not inside:
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control
            above = [control, control.parentWidget(), control.parentWidget().parentWidget()]
            assert any(w.toolTip() for w in above), control


def test_the_pattern_s_surroundings_follow_the_theme(viewer: Any, dock: Any) -> None:
    from napari.utils.theme import get_theme

    for theme in ("light", "dark"):
        viewer.theme = theme
        colour = dock.panel.view.backgroundBrush().color().name()
        assert colour == get_theme(theme).canvas.as_hex(format="long")


def test_two_scans_show_their_own_patterns(
    viewer: Any, dock: Any, scan_file: Path, settled: Any, calibrated: stem.Analysis
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    first, second = dock.scan.choices
    dock.scan.value = second
    assert settled(dock).image.shape == (64, 64)
    assert "Nothing yet" in dock.found.text()
    dock.scan.value = first
    assert settled(dock).image.shape == (126, 126)


def test_the_preview_keeps_no_scan_that_has_left(viewer: Any, dock: Any, settled: Any, qtbot: Any) -> None:
    session = weakref.ref(dock.session)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not dock._preview.busy, timeout=5_000)
    gc.collect()
    assert session() is None
    assert dock.panel.shown.image is None


def test_closing_the_dock_ends_picking(viewer: Any, dock: Any, qtbot: Any) -> None:
    viewer.show()
    edit(dock, "disks", "min_snr", 12.0)
    dock.panel.pick.setChecked(True)
    viewer.window.remove_dock_widget(dock.native)
    qtbot.wait(100)
    viewer.theme = "light"
    assert not [each for each in viewer.layers if each.name.endswith("position")]


def test_an_analysis_brings_its_mask_back(viewer: Any, dock: Any, tmp_path: Path, distorted_scan: Distorted) -> None:
    keep = np.ones((126, 126), bool)
    keep[:20] = False
    dock.session.set_mask(keep)
    dock.session.analysis.save(tmp_path / "a.stemnmf.h5")
    again = Session(distorted_scan.dataset, stem.Analysis.load(tmp_path / "a.stemnmf.h5"))
    assert np.array_equal(again.mask, keep)


def test_the_first_page_says_what_is_odd_and_odd_patterns_are_shown(viewer: Any, step: Any, qtbot: Any) -> None:
    data = stem.sample(scan_shape=(16, 16), detector_shape=(48, 48), seed=1).dataset.data.compute()
    data[3, 4], data[0, 0] = 0, 900
    session = add(viewer, stem.Dataset.from_array(data, q_step=0.1))
    dock = step("Calibrate")
    qtbot.waitUntil(lambda: session.oddities is not None, timeout=60_000)
    assert "The scan step is not in the file: 1 px is assumed." in dock.status.value
    assert "2 of 256 patterns are odd (1 empty, 1 evenly bright)" in dock.status.value
    dock.look.native.click()
    qtbot.waitUntil(lambda: "array odd patterns" in viewer.layers, timeout=60_000)
    qtbot.waitUntil(lambda: session.running is None, timeout=60_000)
    assert "2 of 256 patterns are odd (1 empty, 1 evenly bright) and set aside" in dock.status.value
    layer = viewer.layers["array odd patterns"]
    assert np.argwhere(layer.data).tolist() == [[0, 0], [3, 4]]
    assert "evenly bright" in str(layer.get_status((0, 0))["value"])
