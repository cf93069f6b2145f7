"""Featurize: from the patterns to feature matrices, with a preview of what is taken of the patterns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from magicgui.widgets import Container

from napari_stemnmf.errors import RecipeError
from napari_stemnmf.plugin.docks.featurize.model import FeaturePicture, FeaturePictures, FeatureRequest
from napari_stemnmf.plugin.forms.choosing_step import ChoosingStep
from napari_stemnmf.plugin.forms.form import align_labels
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.layers.places import axes_of
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import LayerToggle
from napari_stemnmf.recipe import FEATURES
from napari_stemnmf.units import pixel_size

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest


class FeaturizeWidget(ChoosingStep):
    """The features of every pattern; calibrates first, with the settings there are, if that was not done.

    Attributes
    ----------
    panel : FeaturePanel
        What Run would take of the patterns with the settings of now, for the chosen representation.
    patterns : LayerToggle
        Removes the 4-D layer, or shows it.
    maps : dict of LayerToggle
        Each shows the columns of one feature matrix as images.
    """

    step: ClassVar[str] = "featurize"
    run_text: ClassVar[str] = "Featurize"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_stemnmf.plugin.docks.featurize.plots import FeaturePanel
        from napari_stemnmf.plugin.plain_plot import follow_theme

        self.panel = FeaturePanel()
        self._pictures = FeaturePictures()
        self._preview: Preview[FeatureRequest, FeaturePicture] = Preview(self._pictures)
        self._sampled: Session | None = None
        super().__init__(viewer)
        self._preview.ready.connect(self.panel.show_picture)
        self._preview.failed.connect(self._show_note)
        self.panel.wanted.connect(self._ask)
        self.panel.moved.connect(self._move_probe)
        self.panel.sample.clicked.connect(self._on_sample)
        self.panel.profile.rings_moved.connect(lambda rings: self._on_setting("aa.featurize", "rings", rings))
        self.panel.profile.span_moved.connect(self._on_span)
        follow_theme(viewer, self.native, self.panel.set_colours)
        self._ask()

    def _head(self) -> list[Any]:
        self.patterns = LayerToggle(
            self._viewer,
            "patterns",
            "4-D layer",
            lambda session: [layers.patterns(session)],
            "napari cannot mix nm and 1/nm: without the 4-D layer it shows its scale bar in nm, gives stacks a slider "
            "of their own, and has nothing to warn of; all steps work without it",
        )
        self._make_choices("compute")
        return [self.boxes]

    def _add_forms(self) -> None:
        self._feature_forms = {name: self.add_form(f"{name}.featurize") for name in FEATURES}
        self.maps = {
            name: LayerToggle(
                self._viewer,
                f"{name}_maps",
                name.upper(),
                partial(layers.feature_maps, feature=name),
                "the virtual dark field of each track as an image of the scan"
                if name == "vdf"
                else "each column of the feature matrix as an image of the scan",
            )
            for name in FEATURES
        }
        maps: Container[Any] = Container(
            name="maps", widgets=list(self.maps.values()), layout="horizontal", labels=False
        )
        maps.margins = (0, 0, 0, 0)
        whole: Container[Any] = Container(name="whole", widgets=[self.preset, maps, self.patterns])
        whole.margins = (0, 0, 0, 0)
        align_labels(whole)
        self.form_area.append(whole)
        self.feature.tooltip = "the representation whose preview and settings are shown"

    def _style(self) -> None:
        """Preview above, settings below, and the user draws the line between them."""
        super()._style()
        self._put_above(self.panel, 4, 1)

    def _on_span(self, low: float | None, high: float | None) -> None:
        path = f"{self.feature.value}.featurize"
        changes = {f"{path}.{name}": value for name, value in (("r_min", low), ("r_max", high)) if value is not None}
        if self._session is not None:
            try:
                self._session.set_recipe(self._session.recipe.replaced(changes))
            except RecipeError as error:
                self.status.value = str(error)
                self._ask()

    def _on_sample(self) -> None:
        self._sampled = self._session
        self.panel.sample.hide()
        self._ask()

    # ---- what happens around

    def _on_probe(self, row: int, column: int) -> None:
        if self._session is not None:
            self.panel.show_position(self._session.scan_shape, (row, column))
            self._ask()

    def _ask(self) -> None:
        """Have the preview made, with the settings and the position as they are now."""
        session, feature = self._session, str(self.feature.value)
        if session is None:
            self._preview.drop()
            self._pictures.forget()
            self._show_note("Open a 4D-STEM scan.")
            return
        if self.panel.shown.feature != feature:
            self._show_note("Looking…", keep_image=True)
        recipe, picture, position = session.recipe, self.panel.chosen, session.position
        coarse = session is self._sampled
        self._preview.ask(FeatureRequest(session.dataset, session.analysis, recipe, picture, position, feature, coarse))

    def _show_note(self, note: str, keep_image: bool = False) -> None:
        image = self.panel.shown.image if keep_image else None
        self.panel.show_picture(FeaturePicture(image, note=note, feature=str(self.feature.value)))

    def _disconnect(self, *args: Any) -> None:
        super()._disconnect(*args)
        self._preview.close()

    def _show_session(self, session: Session | None) -> None:
        feature = str(self.feature.value)
        for name, form in self._feature_forms.items():
            form.visible = name == feature
        self.panel.show_feature(feature)
        self.panel.setEnabled(session is not None)
        surveyed = session is not None and session.analysis is not None and session.analysis.survey is not None
        readable = session is not None and session.dataset is not None
        self.panel.sample.setVisible(readable and not surveyed and session is not self._sampled)
        if session is not None:
            self.panel.show_position(session.scan_shape, session.position)
            axes = axes_of(session)
            self.panel.calibrate(pixel_size(axes), axes[-1].unit)
        self._ask()
        self.patterns.show_state(session, "patterns", session is not None and session.dataset is not None)
        for name, button in self.maps.items():
            there = session is not None and session.result("featurize", name) is not None
            button.show_state(session, f"features/{name}", there)
        if session is None:
            return
        self._show_choices(session)
        for name, form in self._feature_forms.items():
            features = session.result("featurize", name)
            for setting, value in _found(features.details).items() if features is not None else ():
                form.editor(setting).show_found(value)


def _found(details: dict[str, Any]) -> dict[str, Any]:
    """Values that Featurize chose for settings that may be automatic, by their names."""
    found: dict[str, Any] = {}
    if "rings" in details:
        found["rings"] = [round(float(radius), 2) for radius in details["rings"]]
    if "radii" in details:
        radii = details["radii"]
        found |= {"r_min": radii[0], "r_max": radii[-1], "columns": len(radii)}
    return found | {name: details[name] for name in ("bin", "r_min") if name in details}
