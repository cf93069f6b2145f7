"""All steps in one dock, as tabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_stemnmf.plugin.widgets.calibrate import CalibrateWidget
from napari_stemnmf.plugin.widgets.cluster import ClusterWidget
from napari_stemnmf.plugin.widgets.featurize import FeaturizeWidget
from napari_stemnmf.plugin.widgets.measure import MeasureWidget
from napari_stemnmf.plugin.widgets.refine import RefineWidget
from napari_stemnmf.plugin.widgets.score import ScoreWidget
from napari_stemnmf.plugin.widgets.step import StepWidget

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest


class StagesWidget(QWidget):
    """Calibrate, Featurize, Cluster, Refine, Measure and Score as tabs; scan and feature are chosen for all together.

    Attributes
    ----------
    steps : list of StepWidget
        In order.
    tabs : QTabWidget
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        kinds: tuple[type[StepWidget], ...] = (
            CalibrateWidget,
            FeaturizeWidget,
            ClusterWidget,
            RefineWidget,
            MeasureWidget,
            ScoreWidget,
        )
        self.steps = [kind(viewer) for kind in kinds]
        self.tabs = QTabWidget()
        self.tabs.setStyleSheet("QTabBar::tab { padding-left: 5px; padding-right: 5px; }")  # all of them fit
        for step in self.steps:
            self.tabs.addTab(step.native, step.step.capitalize())
            step.scan.changed.connect(self._on_scan)
            step.feature.changed.connect(self._on_feature)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.tabs)

    def reset_choices(self, *args: object) -> None:
        """Called by napari when layers change."""
        for step in self.steps:
            step.reset_choices()

    def _on_scan(self, session: object) -> None:
        for step in self.steps:
            if session is not None and step.scan.value is not session and session in step.scan.choices:
                step.scan.value = session

    def _on_feature(self, feature: str) -> None:
        for step in self.steps:
            if step.feature.value != feature:
                step.feature.value = feature
