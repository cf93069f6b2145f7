"""Compare: representations of one scan, or several scans, side by side, with box plots of their grains.

The views are pyqtgraph's, in the dock: the viewer's layers stay as they are, no second OpenGL context is needed, and
scans of different steps lie on one canvas in nm. (napari's grid mode puts layers into cells by their order in the
list, so that a user's order and hidden layers would have to give way.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_stemnmf.plugin.docks.compare.comparison import Comparison
from napari_stemnmf.plugin.docks.compare.model import Compared, Request, compare
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.keeper import keeper_of
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.sources import FILES, AnalysisSources
from napari_stemnmf.plugin.widgets import button, wrapping_label
from napari_stemnmf.plugin.wording import unmarked
from napari_stemnmf.recipe import IN_FIGURES

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

MOST = 3
"""Columns."""
NOTHING = "–"
SIZE = (640, 600)
"""Width and height that the dock asks for, in pixels of the screen."""
Choice = tuple[Session, str]


class CompareWidget(QWidget):
    """Two or three sets of grains in linked views, and their areas, diameters and dissimilarities.

    Attributes
    ----------
    choosers : list of QComboBox
        What each column shows; the first entry is nothing.
    comparison : Comparison
        Views, box plots and rows.
    add_file : QPushButton
    status : QLabel
        What is missing, in words.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._choices: list[tuple[str, Choice]] = []
        self._chosen: list[Choice | None] = [None] * MOST
        self._requests: list[Any] = []
        self._own_choice = False
        self.choosers = [_chooser() for _ in range(MOST)]
        self.comparison = Comparison(self.choosers)
        self.status = wrapping_label()
        self.add_file = button(
            "Add file…", "compare with an analysis that is not open in the viewer (.stemnmf.h5)", self._on_add
        )
        foot = QHBoxLayout()
        foot.addWidget(self.status, 1)
        foot.addWidget(self.add_file, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        column = QVBoxLayout(self)
        column.addWidget(self.comparison, 1)
        column.addLayout(foot)
        self._sources = AnalysisSources(viewer, self)
        self._preview = Preview(compare, self)
        for i, chooser in enumerate(self.choosers):
            chooser.activated.connect(lambda index, i=i: self._on_chosen(i, index))
        self.comparison.chosen.connect(self._select_in_viewer)
        self._sources.changed.connect(self._refresh)
        self._preview.ready.connect(self._on_compared)
        self._preview.failed.connect(self._show_status)
        viewer.events.theme.connect(self._on_theme)
        keeper = keeper_of(viewer)
        if keeper is not None:
            keeper.join(self)
        self.destroyed.connect(lambda: self._disconnect())  # a method of what is destroyed would not be called
        self._on_theme()
        self._refresh()

    def sizeHint(self) -> QSize:
        """As wide as three views need, whether there is something to show yet or not."""
        return super().sizeHint().expandedTo(QSize(*SIZE))

    def choose(self, column: int, session: Session | None, feature: str = "") -> None:
        """Show the grains of a scan's representation in a column, or nothing."""
        self._own_choice = True
        self._chosen[column] = None if session is None else (session, feature)
        self._refresh()

    def add_files(self, *paths: str) -> None:
        """Take analysis files to choose from, without layers in the viewer."""
        self._sources.add(paths)

    # ---- what the user does

    def _on_chosen(self, column: int, index: int) -> None:
        if index > 0:
            self.choose(column, *self._choices[index - 1][1])
        else:
            self.choose(column, None)

    def _on_add(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Analyses to compare", "", FILES)
        self.add_files(*paths)

    def _select_in_viewer(self, column: int, grain: int | None) -> None:
        """Let the Labels layer of the scan select the same grain."""
        choice = self._chosen[column]
        layer = None if choice is None else display.find(self._viewer, choice[0], f"grains/{choice[1]}")
        shown = self.comparison.shown[column]
        if layer is not None and shown is not None and grain is not None:
            layer.selected_label = int(shown.grains.ids[grain])

    def _on_theme(self, event: Any = None) -> None:
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        self.comparison.set_theme(theme.background.as_hex(), theme.text.as_hex())

    # ---- what happens around

    def _refresh(self) -> None:
        """Offer the present choices, and have the columns made again if theirs has changed."""
        self._choices = [
            (f"{name} {feature.upper()}", (session, feature))
            for name, session in self._sources.named()
            for feature in IN_FIGURES
            if session.result("refine", feature) is not None
        ]
        known = [choice for _, choice in self._choices]
        self._chosen = [choice if choice in known else None for choice in self._chosen]
        if not self._own_choice:
            self._chosen = self._first_choice(known)
        for chooser, choice in zip(self.choosers, self._chosen, strict=True):
            chooser.clear()
            chooser.addItems([NOTHING, *(text for text, _ in self._choices)])
            chooser.setCurrentIndex(0 if choice is None else 1 + known.index(choice))
            chooser.setEnabled(bool(known))
            chooser.setToolTip(unmarked(chooser.currentText()) if choice else "the grains that this column shows")
        self._ask()
        self._show_status()

    def _first_choice(self, known: list[Choice]) -> list[Choice | None]:
        """The representations of the selected scan, or of the first; all there are where those are fewer than two."""
        for session in (self._sources.active, known[0][0] if known else None):
            own = [choice for choice in known if choice[0] is session]
            if len(own) > 1:
                return [*own, *[None] * MOST][:MOST]
        return [*known, *[None] * MOST][:MOST]

    def _ask(self) -> None:
        names = {id(session): name for name, session in self._sources.named()}
        requests = [
            None
            if choice is None or choice[0].analysis is None
            else Request(names[id(choice[0])], choice[1], choice[0].analysis)
            for choice in self._chosen
        ]
        if len(requests) != len(self._requests) or not all(map(_same, requests, self._requests)):
            self._requests = requests
            self._preview.ask(requests)

    def _on_compared(self, shown: list[Compared | None]) -> None:
        self.comparison.show_columns(shown)
        self._show_status()

    def _show_status(self, error: str = "") -> None:
        """Write what is missing, and what to do about it."""
        lines = [error] if error else []
        if self._sources.reading:
            lines.append("Reading " + ", ".join(path.name for path in self._sources.reading) + "…")
        if len(self._choices) < 2:
            lines.append(
                "There is too little to compare: run Refine for another representation, open another scan or "
                "analysis, or add an analysis file."
            )
        for each in self.comparison.shown:
            if each is None:
                continue
            if each.table is None:
                lines.append(f"{each.title} was not measured as it is now; run Measure.")
            elif "dissimilarity" not in each.table:
                lines.append(f"{each.title} has no dissimilarity; run Measure with the scan open.")
        if not self.comparison.calibrated and any(self.comparison.shown):
            lines.append("In probe positions, for not every scan's step is calibrated.")
        self.status.setText("\n".join(lines))
        self.status.setVisible(bool(lines))

    def _disconnect(self) -> None:
        """The dock was closed: stop listening."""
        self._viewer.events.theme.disconnect(self._on_theme)
        self._preview.close()
        self._sources.close()


def _chooser() -> QComboBox:
    """One that may be narrower than its longest entry."""
    chooser = QComboBox()
    chooser.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    chooser.setMinimumContentsLength(4)
    return chooser


def _same(one: Any, other: Any) -> bool:
    """Whether two requests are for the very same results under the same name."""
    if one is None or other is None:
        return one is other
    return one[:2] == other[:2] and one.analysis is other.analysis
