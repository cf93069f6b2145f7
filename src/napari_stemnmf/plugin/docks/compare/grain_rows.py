"""The rows of the chosen grains, one below the other, as their tables have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtWidgets import QAbstractItemView, QSizePolicy, QTableWidget, QTableWidgetItem, QWidget

from napari_stemnmf.plugin.docks.compare.model import Compared, elided

FIRST = ("grain_id", "area_nm2", "area_px", "feret_max_nm", "feret_max_px", "dissimilarity")
"""Columns that are seen without scrolling."""
NAME = 20
"""Letters of a scan's name before its row."""
PROMPT = "click a grain or a point"
IOU_MEANING = "intersection over union with the grain that was clicked"


class GrainRows(QTableWidget):
    """A row for each column of the comparison: the grain that is marked there, with all that was measured of it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setToolTip("the marked grains; the table goes on to the right")

    def show_rows(self, rows: Sequence[tuple[Compared, int | None, float | None]], calibrated: bool) -> None:
        """Show the grain (row of its table, or None) of each, and how well it matches the one that was clicked."""
        found = [_row(*row, calibrated) for row in rows]
        names = list(dict.fromkeys(name for each in found for name in each))
        self.setRowCount(len(rows))
        self.setColumnCount(max(1, len(names)))
        self.setHorizontalHeaderLabels(names or [PROMPT])
        self.setVerticalHeaderLabels(
            [f"{elided(compared.name, NAME)} {compared.feature.upper()}" for compared, *_ in rows]
        )
        for i, each in enumerate(found):
            for j, name in enumerate(names):
                item = QTableWidgetItem(_text(each.get(name)))
                item.setToolTip(IOU_MEANING if name == "IoU" else "")
                self.setItem(i, j, item)
        self.resizeColumnsToContents()
        self.resizeRowsToContents()
        self._fit_height()

    def _fit_height(self) -> None:
        """As high as its rows, its header and the bar below them."""
        header, lines, bar = self.horizontalHeader(), self.verticalHeader(), self.horizontalScrollBar()
        if header is not None and lines is not None and bar is not None:
            self.setFixedHeight(
                header.sizeHint().height() + lines.length() + bar.sizeHint().height() + 2 * self.frameWidth()
            )


def _row(compared: Compared, grain: int | None, iou: float | None, calibrated: bool) -> dict[str, Any]:
    """What is known of one grain, by name; nothing if there is none."""
    if grain is None:
        return {}
    start: dict[str, Any] = {"grain_id": int(compared.grains.ids[grain])}
    start |= {} if iou is None else {"IoU": iou}
    if compared.table is None:
        return start | {"area_px": int(compared.grains.masks[grain].sum())}
    row = dict(compared.table.iloc[grain].items())
    columns = [*(name for name in FIRST if name in row), *(name for name in row if name not in FIRST)]
    others = "_px" if calibrated else ("_nm", "_nm2")
    return start | {str(name): row[name] for name in columns if not str(name).endswith(others)}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    number = float(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e9 else f"{number:.4g}"
