"""Whatever can be pressed, typed into or chosen from says what it is for, and is reached by the keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QScrollBar,
    QWidget,
)

CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QAbstractSlider, QAbstractItemView)
QT_S_OWN = ("QTableCornerButton", "QHeaderView", "QComboBoxListView", "QAbstractButton")


def controls(root: QWidget) -> Iterator[QWidget]:
    """The controls in a dock, without the parts that Qt makes them of."""
    for each in root.findChildren(QWidget):
        part = isinstance(each, QLineEdit) and isinstance(each.parent(), QAbstractSpinBox | QComboBox)
        own = type(each).__name__ in QT_S_OWN or each.objectName() in ("ScrollLeftButton", "ScrollRightButton")
        if isinstance(each, CONTROLS) and not (part or own or isinstance(each, QScrollBar)):
            yield each


def told(control: QWidget, root: QWidget) -> str:
    """The tool tip that shows over a control: its own, or that of what it lies in."""
    each: Any = control
    while each is not root and each is not None:
        if each.toolTip():
            return str(each.toolTip())
        each = each.parentWidget()
    return ""


@pytest.mark.slow
def test_every_control_has_a_tool_tip_and_takes_the_focus(viewer: Any) -> None:
    viewer.open_sample("napari-stemnmf", "silver_grains")
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    roots = [dock.saved]
    for name in dock.buttons:
        step = dock.show_step(name)
        roots.append(step if isinstance(step, QWidget) else step.native)
    for name in ("Export", "Import grains", "Compare", "Figures", "Open scan"):
        _, widget = viewer.window.add_plugin_dock_widget("napari-stemnmf", name)
        roots.append(widget if isinstance(widget, QWidget) else widget.native)
    found = [(root, control) for root in roots for control in controls(root)]
    assert len(found) > 150
    silent = [
        f"{type(each).__name__} {each.objectName()} in {root.objectName()}"
        for root, each in found
        if not told(each, root)
    ]
    unreachable = [type(each).__name__ for _, each in found if each.focusPolicy() == Qt.FocusPolicy.NoFocus]
    assert (silent, unreachable) == ([], [])
