"""A titled part of a dock that folds away."""

from __future__ import annotations

from qtpy.QtWidgets import QPushButton, QSizePolicy, QVBoxLayout, QWidget

CLOSED, OPEN = "▸", "▾"


class Section(QWidget):
    """A heading, and below it a widget that a click (or Space) on the heading shows and hides.

    Attributes
    ----------
    button : QPushButton
        The heading.
    body : QWidget
    """

    def __init__(self, title: str, body: QWidget, *, expanded: bool = False, tooltip: str = "") -> None:
        super().__init__()
        self._title = title
        self.body = body
        self.button = QPushButton()
        self.button.setFlat(True)
        self.button.setToolTip(tooltip)
        self.button.setStyleSheet("QPushButton { text-align: left; font-weight: bold; padding: 3px 4px; }")
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.button.clicked.connect(lambda: self.expand(not self._expanded))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.button)
        column.addWidget(body)
        self.expand(expanded)

    @property
    def expanded(self) -> bool:
        """Whether the body shows."""
        return self._expanded

    def expand(self, expanded: bool = True) -> None:
        """Open or close it."""
        self._expanded = expanded
        self.body.setVisible(expanded)
        self.button.setText(f"{OPEN if expanded else CLOSED}  {self._title}")
