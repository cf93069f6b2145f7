"""What Featurize and Run recipe share: a preset for all settings, and ticks for the representations to compute."""

from __future__ import annotations

from functools import cache
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container

from napari_stemnmf.plugin.forms.step import StepWidget
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.recipe import FEATURES, PRESETS, Recipe

OWN = "own settings"
"""What stands in place of a preset's name where settings are none's."""


class ChoosingStep(StepWidget):
    """Base of the steps that choose what is computed.

    Attributes
    ----------
    preset : ComboBox
        Sets all settings of all steps at once.
    chosen : dict of CheckBox
        Which representations to compute, by name.
    boxes : Container
        The ticks in a row.
    """

    def _make_choices(self, label: str) -> None:
        self.preset = ComboBox(name="preset", label="preset", choices=[*PRESETS, OWN], value="default")
        self.preset.tooltip = (
            "sets all settings of all steps: default, what works best; paper, the article's; nmf, the article's "
            "way with what works best in it"
        )
        self.preset.changed.connect(self._on_preset)
        self.chosen = {name: CheckBox(name=name, text=name.upper(), value=True) for name in FEATURES}
        for box in self.chosen.values():
            box.changed.connect(self._on_chosen)
        boxes = list(self.chosen.values())
        self.boxes: Container[Any] = Container(
            name="compute", label=label, widgets=boxes, layout="horizontal", labels=False
        )
        self.boxes.margins = (0, 0, 0, 0)
        self.boxes.tooltip = Recipe.__dataclass_fields__["features"].metadata["help"]

    def features(self) -> tuple[str, ...]:
        """Those that are ticked."""
        return tuple(name for name, box in self.chosen.items() if box.value)

    def _show_choices(self, session: Session) -> None:
        self.preset.value = preset_name(session.recipe) or OWN
        for name, box in self.chosen.items():
            box.value = name in session.recipe.features

    def _on_preset(self, name: str) -> None:
        if self._session is not None and not self._refreshing and name in PRESETS:
            self._session.set_recipe(Recipe.preset(name))

    def _on_chosen(self) -> None:
        self._change({"features": self.features()})


def preset_name(recipe: Recipe) -> str:
    """The preset that a recipe equals, if need be but for its features; empty if it equals none."""
    same = next((name for name in PRESETS if _preset(name) == recipe), "")
    return same or next((name for name in PRESETS if _preset(name, recipe.features) == recipe), "")


@cache
def _preset(name: str, features: tuple[str, ...] | None = None) -> Recipe:
    """A preset's recipe, made once: docks ask at every change of a setting."""
    return Recipe.preset(name, features)
