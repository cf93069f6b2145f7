"""Cluster: iterative NMF of a feature matrix, with the scree before it and the seeds as they run and after.

Tracks of spots (VDF) are grouped: they have neither scree nor seeds, and the dock tells what became of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import Container, SpinBox
from qtpy.QtWidgets import QTabWidget

from napari_stemnmf.control import Control
from napari_stemnmf.plugin.docks.cluster.groups import GroupsPanel
from napari_stemnmf.plugin.docks.cluster.model import ScreeRequest, find_scree, traces_of_model, traces_of_news
from napari_stemnmf.plugin.docks.cluster.plots import ScreePlot, SeedPlots
from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.plain_plot import theme_colours
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.representation_settings import ClusteringSettings, GroupingSettings, ScalingSettings

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

    from napari_stemnmf.clustering.scree import Scree

SCREE, SEEDS, GROUPS = 0, 1, 2
"""Tabs: the last for tracks that are grouped, the others for NMF."""
SHARE = 10.0
"""The seeds are drawn again after this many times the drawing time: hundreds of them take a while."""


class ClusterWidget(StepWidget):
    """Component maps from one representation.

    Attributes
    ----------
    scree : ScreePlot
        Before a run: what the features hold, and how many components the seeds start from.
    seeds : SeedPlots
        Components and error of each seed while they run; after that, another can be chosen.
    groups : GroupsPanel
        What became of the tracks of VDF.
    tabs : QTabWidget
        Scree and seeds, or groups.
    plane : SpinBox
        The component whose map is shown.
    """

    step: ClassVar[str] = "cluster"
    run_text: ClassVar[str] = "Cluster"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        self.scree, self.seeds, self.groups = ScreePlot(), SeedPlots(), GroupsPanel()
        self._preview = Preview(find_scree)
        self._request: ScreeRequest | None = None
        self._found: Scree | None = None
        self._ran = False
        self._draw_again = 0.0
        self._preview.ready.connect(self._on_scree)
        self._preview.failed.connect(lambda error: self.scree.show_scree(None, note=error))
        super().__init__(viewer)
        self.scree.chosen.connect(lambda start: self._on_setting("{feature}.clustering", "components", start))
        self.seeds.chosen.connect(self._on_seed)
        viewer.events.theme.connect(self._on_theme)
        self._on_theme()

    def _foot(self) -> list[Any]:
        self.plane = SpinBox(name="plane", label="show component", min=0, max=0)
        self.plane.tooltip = "moves the slider of the maps"
        self.plane.changed.connect(self._on_plane)
        self._view = Container(name="view", widgets=[self.plane])
        self._view.margins = (0, 0, 0, 0)
        return [self._view]

    def _add_forms(self) -> None:
        self.forms.add("{feature}.scaling", "Scaling", kind=ScalingSettings)
        self._clustering = self.forms.add("{feature}.clustering", "Iterative NMF", kind=ClusteringSettings)
        self.forms.add("{feature}.clustering", "Grouping", kind=GroupingSettings)

    def _style(self) -> None:
        """Scree and seeds, or groups, above, settings below, and the user draws the line between them."""
        super()._style()
        self.tabs = QTabWidget()
        for view, title, tooltip in (
            (self.scree, "Scree", "how many components the features hold"),
            (self.seeds, "Seeds", "components and error of each seed"),
            (self.groups, "Groups", "what became of the tracks of spots, and how many spots the groups have"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(view, title), tooltip)
        self._put_above(self.tabs, 1, 1)

    # ---- what the user does

    def _on_plane(self, plane: int) -> None:
        if self._session is not None:
            display.show_plane(self._viewer, self._session, f"maps/{self.feature.value}", plane)

    def _on_seed(self, seed: int) -> None:
        """Another seed becomes the model, in a thread."""
        from napari_stemnmf import pipeline
        from napari_stemnmf.plugin.jobs.runs import merged
        from napari_stemnmf.plugin.jobs.tasks import Task

        session, feature = self._session, str(self.feature.value)
        if session is None or session.analysis is None or session.running is not None:
            return
        given = session.analysis

        def take(viewer: Any, session: Session, found: Any) -> Iterator[None]:
            session.set_analysis(merged(given, session.analysis, found))
            return display.showing(viewer, session, "cluster", feature)

        def work(control: Control) -> Any:
            return pipeline.choose_seed(given, feature, seed, control=control)

        Task(self._viewer, session, f"Seed {seed} of {feature.upper()}", work, take).start()

    # ---- what happens around

    def _show_session(self, session: Session | None) -> None:
        model = session.result("cluster", str(self.feature.value)) if session is not None else None
        self._view.enabled = model is not None
        with self.plane.changed.blocked():
            self.plane.max = max(0, model.k - 1) if model is not None else 0
        self._show_tabs(session, model)
        self._ask_for_scree(session)
        self._show_seeds(session)

    def _show_tabs(self, session: Session | None, model: Any) -> None:
        """Scree and seeds for NMF, else the groups."""
        grouped = session is not None and _scaling(session, str(self.feature.value)) is None
        if self.tabs.isTabVisible(GROUPS) != grouped or self.tabs.isTabVisible(SCREE) == grouped:
            for tab in (SCREE, SEEDS, GROUPS):
                self.tabs.setTabVisible(tab, (tab == GROUPS) == grouped)
            self.tabs.setCurrentIndex(GROUPS if grouped else SCREE)
        self.plane.label = "show group" if grouped else "show component"
        self.groups.show_groups(model if grouped else None)

    def _ask_for_scree(self, session: Session | None) -> None:
        """Have the scree of the features computed, unless it is of them already, and show what is known."""
        feature = str(self.feature.value)
        features = session.result("featurize", feature) if session is not None else None
        if session is None or features is None:
            self._drop_scree()
            self.scree.show_scree(None, note=f"The scree of {feature.upper()} shows here once Featurize has run.")
            return
        settings = _scaling(session, feature)
        if settings is None:
            self._drop_scree()
            self.scree.show_scree(None)
            return
        clustering = session.recipe.nmf_chain(feature).clustering
        if self._request is None or not self._request.is_of(features, settings, clustering):
            self._drop_scree()
            self._request = ScreeRequest(features, settings, clustering, Control())
            self._preview.ask(self._request)
            self.scree.show_scree(None, note="The scree is being computed…")
        elif self._found is not None:
            self._show_scree(session, self._found)

    def _drop_scree(self) -> None:
        """Stop the computation, and forget its result."""
        if self._request is not None:
            self._request.control.cancel()
        self._preview.drop()
        self._request = self._found = None

    def _show_scree(self, session: Session, found: Scree) -> None:
        from napari_stemnmf.clustering.scree import starting_components

        start = starting_components(session.recipe.nmf_chain(str(self.feature.value)).clustering, found.suggested)
        self.scree.show_scree(found, start)
        self._clustering.editor("components").show_found(start)

    def _on_scree(self, found: Scree) -> None:
        if self._session is not None:
            self._found = found
            self._show_scree(self._session, found)
            self._show_cost(self._session)

    def _known(self) -> dict[str, Any]:
        return {} if self._found is None else {"suggested": {str(self.feature.value): self._found.suggested}}

    def _show_seeds(self, session: Session | None) -> None:
        """The seeds that are running, else those of the model."""
        feature = str(self.feature.value)
        news = _news(session, feature)
        if news and not self._ran:
            self.tabs.setCurrentIndex(SEEDS)
        self._ran = bool(news)
        of = 0 if session is None else getattr(session.recipe.chain(feature).clustering, "seeds", 0)
        if news:
            self.seeds.show_seeds(traces_of_news(news), of, None, free=False)
            return
        model = None if session is None or session.analysis is None else session.analysis.ensemble(feature)
        free = session is not None and session.running is None and session.state("cluster", feature) != "stale"
        self.seeds.show_seeds(traces_of_model(model), of, model.seed if model is not None else None, free)

    def _show_progress(self) -> None:
        super()._show_progress()
        running = self._session.running if self._session is not None else None
        if running is not None and _news(self._session, str(self.feature.value)):
            self._show_line(running.line().partition(": ")[2])  # the status names what is clustered
            begun = time.monotonic()
            if begun >= self._draw_again:
                self._show_seeds(self._session)
                self._draw_again = begun + SHARE * (time.monotonic() - begun)

    def _on_theme(self, event: Any = None) -> None:
        for plot in (self.scree, self.seeds, self.groups):
            plot.set_theme(*theme_colours(self._viewer))

    def _disconnect(self, *args: Any) -> None:
        super()._disconnect(*args)
        self._viewer.events.theme.disconnect(self._on_theme)
        self._drop_scree()
        self._preview.close()


def _scaling(session: Session, feature: str) -> ScalingSettings | None:
    """How the features are scaled before NMF; None for those that NMF does not cluster."""
    return getattr(session.recipe.chain(feature), "scaling", None)


def _news(session: Session | None, feature: str) -> list[Any]:
    """What the seeds of a feature have reported so far; empty when none are running."""
    running = session.running if session is not None else None
    progress = running.progress if running is not None else None
    if running is None or progress is None or progress.stage != f"Cluster {feature.upper()}":
        return []
    return list(getattr(running, "news", ()))
