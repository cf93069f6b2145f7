"""How the parts of the Review dock lie: the grains above, pattern and buttons below, and a line to drag between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QSplitter, QStackedWidget, QTabBar, QWidget

from napari_stemnmf.plugin.widgets import column, row

SHARES = (190, 330)
"""Heights of the upper and the lower part at first, in pixels of the screen."""


class Body(QWidget):
    """The parts, in place.

    Parameters
    ----------
    decided : QWidget
        Beside the tabs.
    pages : mapping of str to QWidget
        By the titles of their tabs.
    above, below : sequence of QWidget
        Under the pages, and in the lower part, of which the first takes the space that is left.

    Attributes
    ----------
    tabs : QTabBar
    """

    def __init__(
        self, decided: QWidget, pages: Mapping[str, QWidget], above: Sequence[QWidget], below: Sequence[QWidget]
    ) -> None:
        super().__init__()
        self.tabs, stack = QTabBar(), QStackedWidget()
        for title, page in pages.items():
            self.tabs.addTab(title)
            stack.addWidget(page)
        self.tabs.setExpanding(False)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setDrawBase(False)
        self.tabs.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.tabs.currentChanged.connect(stack.setCurrentIndex)
        head, upper, lower = QWidget(), QWidget(), QWidget()
        row(self.tabs, decided, parent=head, stretch=decided)
        column(head, stack, *above, parent=upper, stretch=stack).setSpacing(3)
        column(*below, parent=lower, stretch=below[0])
        parts = QSplitter(Qt.Orientation.Vertical)
        for part in (upper, lower):
            parts.addWidget(part)
        parts.setChildrenCollapsible(False)
        parts.setStretchFactor(0, 2)
        parts.setStretchFactor(1, 3)
        parts.setSizes(list(SHARES))
        column(parts, parent=self).setContentsMargins(2, 0, 2, 0)
