"""A magicgui form from any settings dataclass: nothing about a setting is written here, all of it is in `recipe`.

Type, bounds, unit, choices and help come from the field. A setting that may be empty gets a box "automatic" beside its
editor. The form reports single changes by name, so that settings that nobody touched keep their value to the last bit.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from functools import partial
from typing import Any

from magicgui.widgets import (
    CheckBox,
    ComboBox,
    Container,
    FloatSlider,
    FloatSpinBox,
    LineEdit,
    PushButton,
    Slider,
    SpinBox,
)
from magicgui.widgets.bases import ValueWidget
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QLabel

from napari_stemnmf.plugin.forms.few import in_sight
from napari_stemnmf.plugin.widgets import Section

RESET_WIDTH = 24
"""Of the button that takes a default again, in pixels of the screen."""
LARGEST = 2**31 - 1
"""Upper bound of an editor whose setting has none."""


class Form(Container):
    """Editors for the fields of one settings dataclass.

    Parameters
    ----------
    settings : dataclass instance
        What to show; its fields carry the metadata that `recipe.setting` wrote.
    on_change : callable
        Called with (field name, new value) when the user changes a setting.
    sliders : mapping, optional
        Names of numbers to edit with a slider, and how far it reaches; a larger value stretches it.

    Attributes
    ----------
    advanced : Section or None
        Where the settings are that seldom need a change.
    """

    def __init__(
        self, settings: Any, on_change: Callable[[str, Any], None], sliders: Mapping[str, float] | None = None
    ) -> None:
        self._editors: dict[str, Editor] = {}
        hints = typing.get_type_hints(type(settings))
        for f in fields(settings):
            if is_dataclass(hints[f.name]):
                continue
            top = (sliders or {}).get(f.name)
            self._editors[f.name] = Editor(f, hints[f.name], getattr(settings, f.name), top)
        super().__init__(labels=True)
        few, rest = in_sight(type(settings), list(self._editors))
        self.extend(self._editors[name] for name in few)
        align_labels(self)
        self.margins = (0, 0, 0, 0)
        self.advanced: Section | None = self._fold([self._editors[name] for name in rest]) if rest else None
        for name, editor in self._editors.items():
            editor.edited = partial(on_change, name)

    def _fold(self, editors: list[Editor]) -> Section:
        self._rest: Container[Any] = Container(widgets=editors, labels=True)
        self._rest.margins = (0, 0, 0, 0)
        align_labels(self._rest)
        section = Section("Advanced", self._rest.native, tooltip="settings that seldom need a change")
        self.native.layout().addWidget(section)
        return section

    def show_settings(self, settings: Any, defaults: Any = None) -> None:
        """Put other values into the editors, without reporting them as changes; `defaults` are what reset leads to."""
        for name, editor in self._editors.items():
            editor.show_setting(getattr(settings, name))
            if defaults is not None:
                editor.show_default(getattr(defaults, name))

    def editor(self, name: str) -> Editor:
        """The editor of one field."""
        return self._editors[name]


class Editor(Container):
    """One setting: a number, a text or a choice, and "automatic" where it may be empty.

    Attributes
    ----------
    box : magicgui widget
        Holds the value.
    automatic : CheckBox or None
        Ticked where the value is found by the program.
    reset : PushButton
        Takes the default again; seen where the value is another.
    edited : callable
        Called with the new value when the user changes it.
    """

    def __init__(self, f: Field, hint: Any, value: Any, slider_top: float | None = None) -> None:
        kinds = (
            [k for k in typing.get_args(hint) if k is not type(None)] if isinstance(hint, types.UnionType) else [hint]
        )
        optional = isinstance(hint, types.UnionType) and type(None) in typing.get_args(hint)
        self._is_list = typing.get_origin(kinds[0]) is tuple
        self.box = _slider(f, kinds[0], slider_top) if slider_top else _box(f, kinds[0], self._is_list, value)
        self.automatic = CheckBox(text="automatic", value=value is None) if optional else None
        label = f.name.replace("_", " ") + (f" [{f.metadata['unit']}]" if f.metadata.get("unit") else "")
        self.reset = PushButton(text="↺", visible=False)
        self.reset.native.setFixedWidth(RESET_WIDTH)
        self._default = f.default
        children = [self.box, self.reset] if self.automatic is None else [self.automatic, self.box, self.reset]
        super().__init__(widgets=children, layout="horizontal", labels=False, name=f.name, label=label)
        self.margins = (0, 0, 0, 0)
        for widget in (self, *children):
            widget.tooltip = f.metadata.get("help", "")
        self.reset.tooltip = "back to the default"
        self.edited: Callable[[Any], None] = lambda value: None
        self._quiet = False
        self.show_setting(value)
        for child in children[:-1]:
            child.changed.connect(self._on_edit)
        self.reset.clicked.connect(self._on_reset)

    def setting(self) -> Any:
        """The value that is shown."""
        if self.automatic is not None and self.automatic.value:
            return None
        return self.box.value

    def show_setting(self, value: Any) -> None:
        """Show a value without reporting it as a change."""
        self._quiet = True
        try:
            if self.automatic is not None:
                self.automatic.value = value is None
                self.box.enabled = value is not None
            if value is not None:
                if isinstance(self.box, FloatSlider | Slider):
                    self.box.max = max(self.box.max, value)
                self.box.value = _text(value) if self._is_list else value
        finally:
            self._quiet = False
        self._value = value
        self._show_reset()

    def show_default(self, value: Any) -> None:
        """Take another default."""
        self._default = value
        self._show_reset()

    def _show_reset(self) -> None:
        other = bool(self._value != self._default)
        if self.reset.visible != other and (other or not self.reset.native.isHidden()):
            self.reset.visible = other

    def _on_reset(self) -> None:
        self.show_setting(self._default)
        self.edited(self._default)

    def show_found(self, value: Any) -> None:
        """Show what the program found for a setting that is automatic."""
        if self.automatic is not None and self.automatic.value and value is not None:
            self._quiet = True
            try:
                self.box.value = _text(value) if self._is_list else value
            finally:
                self._quiet = False

    def _on_edit(self) -> None:
        if self._quiet:
            return
        if self.automatic is not None:
            self.box.enabled = not self.automatic.value
        value = self._value = self.setting()
        self._show_reset()
        if value != "":  # nothing typed yet
            self.edited(value)


def align_labels(form: Container) -> None:
    """Give the labels of a container's rows one width, in the font that they are shown in.

    magicgui measures labels when rows are added, before napari's style makes the font larger, and cuts them off.
    """
    form.native.installEventFilter(_LabelAligner(form))


class _LabelAligner(QObject):
    def __init__(self, form: Container) -> None:
        super().__init__(form.native)
        self._rows = [child.native.parentWidget() for child in form]

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() in (QEvent.Type.Show, QEvent.Type.StyleChange):
            labels = [row.layout().itemAt(0).widget() for row in self._rows if row.layout().count() == 2]
            labels = [label for label in labels if isinstance(label, QLabel)]
            for label in labels:
                label.ensurePolished()
            width = max((label.sizeHint().width() for label in labels), default=0)
            for label in labels:
                label.setFixedWidth(width)
        return False


def _text(values: Any) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def _slider(f: Field, kind: Any, top: float) -> FloatSlider | Slider:
    if kind is int:
        return Slider(min=int(f.metadata["low"]), max=int(top), tracking=True)
    return FloatSlider(min=f.metadata["low"], max=top, step=f.metadata["step"], tracking=True)


def _box(f: Field, kind: Any, is_list: bool, value: Any) -> ValueWidget:
    meta = f.metadata
    if is_list or (kind is str and not meta.get("choices")):
        return LineEdit()
    if meta.get("choices"):
        return ComboBox(choices=list(meta["choices"]))
    if kind is bool:
        return CheckBox()
    low, high = meta.get("low"), meta.get("high")
    low = (-LARGEST if kind is float else 0) if low is None else low
    high = LARGEST if high is None else high
    if kind is int:
        return SpinBox(min=int(low), max=int(high), step=int(meta.get("step") or 1))
    return FloatSpinBox(min=low, max=high, step=meta.get("step") or _step(value))


def _step(value: float | None) -> float:
    """A step for a number whose field gives none: fine enough to show the value, coarse enough to be of use."""
    if not value or abs(value) >= 10:
        return 0.5
    return float(10.0 ** math.floor(math.log10(abs(value)) - (0 if abs(value) < 1 else 1)))
