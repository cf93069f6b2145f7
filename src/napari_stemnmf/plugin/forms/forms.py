"""The forms of a dock: each for the settings at a path of the recipe, as the chosen representation has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from magicgui.widgets import Container, Label

from napari_stemnmf.plugin.forms.form import Form
from napari_stemnmf.recipe import FEATURES, Recipe


class _Entry(NamedTuple):
    path: str
    kind: type
    """Class of the settings."""
    form: Form
    parts: tuple[Any, ...]
    """What is hidden where the chosen representation has other settings there; empty if all have these."""


class Forms:
    """The forms in an area of a dock; ``{feature}`` in a path stands for the chosen representation.

    Parameters
    ----------
    area : Container
        Where `add` puts forms.
    on_setting : callable
        Called with (path, name, value) when the user changes a setting.
    """

    def __init__(self, area: Container, on_setting: Callable[[str, str, Any], None]) -> None:
        self._area, self._on_setting = area, on_setting
        self._entries: list[_Entry] = []

    def add(
        self, path: str, title: str = "", sliders: Mapping[str, float] | None = None, kind: type | None = None
    ) -> Form:
        """A form in the area, below a title; with a `kind`, for settings of that class alone."""
        form = self.make(path, sliders, kind)
        label = [Label(value=f"<b>{title}</b>", name=f"title {path}")] if title else []
        self._area.extend([*label, form])
        if kind is not None:
            self._entries[-1] = self._entries[-1]._replace(parts=(*label, form))
        return form

    def make(self, path: str, sliders: Mapping[str, float] | None = None, kind: type | None = None) -> Form:
        """A form that is put somewhere else."""
        every = (_at(Recipe(), path.format(feature=feature)) for feature in FEATURES)
        settings = next(found for found in every if found is not None and isinstance(found, kind or object))
        form = Form(settings, lambda name, value: self._on_setting(path, name, value), sliders)
        self._entries.append(_Entry(path, type(settings), form, ()))
        return form

    def of(self, kind: type) -> Form:
        """The form for settings of a class."""
        return next(entry.form for entry in self._entries if entry.kind is kind)

    def show(self, recipe: Recipe, feature: str) -> None:
        """Show the settings of a recipe, and of each form whether it is for the chosen representation."""
        for entry in self._entries:
            settings = _at(recipe, entry.path.format(feature=feature))
            fits = isinstance(settings, entry.kind)
            if fits:
                entry.form.show_settings(settings, _at(_default(), entry.path.format(feature=feature)))
            for part in entry.parts:
                if part.visible != fits:
                    part.visible = fits


@cache
def _default() -> Recipe:
    """What *reset* leads to, made once: forms ask at every change of a setting."""
    return Recipe.preset("default", tuple(FEATURES))


def _at(recipe: Recipe, path: str) -> Any:
    """The settings at a path of a recipe; None where the representation has none of that name."""
    try:
        return attrgetter(path)(recipe)
    except AttributeError:
        return None
