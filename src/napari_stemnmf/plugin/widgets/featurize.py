"""Featurize: from the patterns to feature matrices (angular average, radial variance, Bragg disks)."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from magicgui.widgets import CheckBox, ComboBox, Container

from napari_stemnmf.errors import RecipeError
from napari_stemnmf.plugin import layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets.step import StepWidget
from napari_stemnmf.plugin.widgets.toggle import LayerToggle
from napari_stemnmf.recipe import FEATURES, PRESETS, Recipe

OWN = "own settings"


class FeaturizeWidget(StepWidget):
    """The features of every pattern; calibrates first, with the settings there are, if that was not done.

    Attributes
    ----------
    preset : ComboBox
        Sets all settings of all steps at once.
    chosen : dict of CheckBox
        Which representations to compute, by name.
    patterns : LayerToggle
        Puts the 4-D layer away, or shows it.
    maps : dict of LayerToggle
        Each shows the columns of one feature matrix as images.
    """

    step: ClassVar[str] = "featurize"
    run_text: ClassVar[str] = "Featurize"

    def _head(self) -> list[Any]:
        self.patterns = LayerToggle(
            self._viewer,
            "patterns",
            "4-D layer",
            lambda session: [layers.patterns(session)],
            "napari cannot mix nm and 1/nm: without the 4-D layer it shows its scale bar in nm, gives stacks a slider "
            "of their own, and has nothing to warn of; all steps work without it",
        )
        self.preset = ComboBox(name="preset", label="preset", choices=[*PRESETS, OWN], value="default")
        self.preset.tooltip = "sets all settings of all steps: paper, the article's; default, what works best"
        self.preset.changed.connect(self._on_preset)
        self.chosen = {name: CheckBox(name=name, text=name.upper(), value=True) for name in FEATURES}
        for box in self.chosen.values():
            box.changed.connect(self._on_chosen)
        boxes = Container(name="compute", widgets=list(self.chosen.values()), layout="horizontal", labels=False)
        boxes.margins = (0, 0, 0, 0)
        boxes.tooltip = Recipe.__dataclass_fields__["features"].metadata["help"]
        return [self.patterns, self.preset, boxes]

    def _foot(self) -> list[Any]:
        self.maps = {
            name: LayerToggle(
                self._viewer,
                f"{name}_maps",
                name.upper(),
                partial(layers.feature_maps, feature=name),
                "each column of the feature matrix as an image of the scan",
            )
            for name in FEATURES
        }
        return [Container(name="maps", widgets=list(self.maps.values()), layout="horizontal", labels=False)]

    def _add_forms(self) -> None:
        self._described = {name: self.add_form(f"{name}.describe", f"{name.upper()} features") for name in FEATURES}
        self.feature.visible = False

    def features(self) -> tuple[str, ...]:
        """Those that are ticked."""
        return tuple(name for name, box in self.chosen.items() if box.value)

    def _on_preset(self, name: str) -> None:
        if self._session is not None and not self._refreshing and name in PRESETS:
            self._session.set_recipe(Recipe.preset(name, self._session.recipe.features))

    def _on_chosen(self) -> None:
        if self._session is None or self._refreshing:
            return
        try:
            self._session.set_recipe(self._session.recipe.replaced({"features": self.features()}))
        except RecipeError as error:
            self.status.value = str(error)
            self.run.enabled = False

    def _show_session(self, session: Session | None) -> None:
        self.patterns.show_state(session, "patterns", session is not None and session.dataset is not None)
        for name, button in self.maps.items():
            there = session is not None and session.result("featurize", name) is not None
            button.show_state(session, f"features/{name}", there)
        if session is None:
            return
        self.preset.value = session.preset_name() or OWN
        for name, box in self.chosen.items():
            box.value = name in session.recipe.features
        for name, form in self._described.items():
            features = session.result("featurize", name)
            for setting, value in _found(features.details).items() if features is not None else ():
                form.editor(setting).show_found(value)


def _found(details: dict[str, Any]) -> dict[str, Any]:
    """What Featurize took for settings that may be automatic, by their names."""
    found: dict[str, Any] = {}
    if "rings" in details:
        found["rings"] = [round(float(radius), 2) for radius in details["rings"]]
    if "radii" in details:
        radii = details["radii"]
        found |= {"r_min": radii[0], "r_max": radii[-1], "columns": len(radii)}
    return found | {name: details[name] for name in ("bin", "r_min") if name in details}
