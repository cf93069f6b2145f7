"""How settings behave: a frozen dataclass that checks its values, and its way to and from names, tables and TOML.

Which settings there are is in `recipe`. Each field carries default, unit, bounds and one line of help; validation,
forms, the recipe file, the command line and the reference page come from there.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields, is_dataclass, replace
from typing import Any, ClassVar

from napari_stemnmf.errors import RecipeError
from napari_stemnmf.texts import brief, is_plain, steering

MOST_THREADS = 1024
"""More can only be a slip, and the system may not give them."""
ESCAPED = '"\\'


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    step: float | None = None,
    check: Callable[[Any], str] | None = None,
    former: str = "",
    former_choices: Mapping[str, str] | None = None,
    added: bool = False,
) -> Any:
    """A dataclass field with what the forms, the recipe file, the command line and the docs need to know.

    `check` returns what is wrong with a value within its bounds, or "". `former` is the name that the setting had in
    earlier versions, `former_choices` gives its present choice for each former one: recipes may hold them still.
    One that was `added` to settings that results were saved with is no part of their keys while it has its default.
    """
    meta = {"help": help, "unit": unit, "low": low, "high": high, "choices": choices, "step": step, "check": check}
    return field(
        default=default, metadata={**meta, "former": former, "former_choices": former_choices or {}, "added": added}
    )


def group(kind: type[Any], former: str = "") -> Any:
    """A dataclass field that holds the settings of a part; `former` is the name that it had in earlier versions."""
    return field(default_factory=kind, metadata={"former": former})


class Settings:
    """Base of all settings: checks every value against its field's type, bounds and choices."""

    former_name: ClassVar[str] = ""
    """Name of the class in earlier versions, if another: keys of results are made with it."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in fields(self):  # type: ignore[arg-type]
            value = _coerce(getattr(self, f.name), hints[f.name], f.name)
            if isinstance(value, str):
                value = f.metadata.get("former_choices", {}).get(value, value)
            _check(value, f)
            object.__setattr__(self, f.name, value)


def walk(settings: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """Every setting below a recipe or stage: (dotted name, field, value). For forms, docs and the command line."""
    for f in fields(settings):
        value = getattr(settings, f.name)
        if is_dataclass(value):
            yield from walk(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", f, value


def replaced_at(node: Any, path: list[str], value: Any, full: str, root: Any) -> Any:
    """A copy of `root`'s part `node` with the setting at `path` below it changed; `full` is its whole name."""
    names = {f.name: f for f in fields(node)}
    path = [present_name(node, path[0]), *path[1:]]
    if path[0] not in names or (len(path) > 1) != is_dataclass(getattr(node, path[0])):
        known = ", ".join(name for name, _, _ in walk(root))
        raise RecipeError(f"There is no setting {brief(full)}. Settings are: {known}.")
    child = getattr(node, path[0])
    return replace(node, **{path[0]: value if len(path) == 1 else replaced_at(child, path[1:], value, full, root)})


def present_name(kind: Any, name: str) -> str:
    """The name of a setting, or of a group of settings, where `name` may be the one of an earlier version."""
    return next((f.name for f in fields(kind) if name and f.metadata.get("former") == name), name)


def identity(settings: Any) -> str:
    """Class, names and values of settings as text, which keys of results are made of.

    It is the `repr` that they had in the version that first had them, so that a result stays current when a setting is
    only renamed.
    """
    if not is_dataclass(settings):
        return repr(settings)
    parts = []
    for f in fields(settings):
        value = getattr(settings, f.name)
        if f.metadata.get("added") and value == f.default:
            continue
        if isinstance(value, str):
            former = {new: old for old, new in f.metadata.get("former_choices", {}).items()}
            value = former.get(value, value)
        parts.append(f"{f.metadata.get('former') or f.name}={identity(value)}")
    return f"{getattr(settings, 'former_name', '') or type(settings).__qualname__}({', '.join(parts)})"


def to_dict(node: Any) -> dict[str, Any]:
    """Nested plain values; settings left empty are absent."""
    out: dict[str, Any] = {}
    for f in fields(node):
        value = getattr(node, f.name)
        if is_dataclass(value):
            out[f.name] = to_dict(value)
        elif value is not None:
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def from_dict(kind: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    """The inverse of `to_dict`; names that are absent keep their defaults, former names are understood."""
    values = {present_name(kind, name): value for name, value in values.items()}
    hints = {f.name: typing.get_type_hints(kind)[f.name] for f in fields(kind)}
    unknown = set(values) - set(hints)
    if unknown:
        names = ", ".join(brief(f"{prefix}{n}") for n in sorted(unknown)[:9])
        raise RecipeError(f"The recipe has no setting {names}; here it knows {', '.join(prefix + n for n in hints)}.")
    kwargs = {}
    for name, value in values.items():
        if is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise RecipeError(f"'{prefix}{name}' in the recipe must be a table of settings, not {brief(value)}.")
            value = from_dict(hints[name], value, f"{prefix}{name}.")  # type: ignore[arg-type]
        kwargs[name] = value
    return kind(**kwargs)


def toml_lines(node: Any, prefix: str = "") -> list[str]:
    """The lines of a TOML file with every setting and its help."""
    lines, tables = [], []
    for f in fields(node):
        value = getattr(node, f.name)
        if is_dataclass(value):
            tables.append((f.name, value))
            continue
        unit = f" [{f.metadata['unit']}]" if f.metadata["unit"] else ""
        lines.append(f"# {f.metadata['help']}{unit}")
        lines.append(f"# {f.name} =" if value is None else f"{f.name} = {_toml_value(value)}")
    if lines:
        lines = ([f"[{prefix}]"] if prefix else []) + lines + [""]
    for name, value in tables:
        lines += toml_lines(value, f"{prefix}.{name}" if prefix else name)
    return lines


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{steering(and_=ESCAPED).sub(_toml_escape, value)}"'
    return repr(value)


def _toml_escape(found: re.Match[str]) -> str:
    """A character that a string of TOML cannot hold as it is."""
    return f"\\{found[0]}" if found[0] in '\\"' else f"\\u{ord(found[0]):04X}"


def _coerce(value: Any, hint: Any, name: str) -> Any:
    """`value` as the field's type; strings are parsed, wrong types refused."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if type(None) in options and (
        value is None or (isinstance(value, str) and value.strip().lower() in ("", "none", "auto"))
    ):
        return None
    kind = next(o for o in options if o is not type(None))
    try:
        if is_dataclass(kind):
            if not isinstance(value, kind):  # type: ignore[arg-type]
                raise TypeError
            return value
        if typing.get_origin(kind) is tuple:
            item = typing.get_args(kind)[0]
            parts = [p.strip() for p in value.split(",") if p.strip()] if isinstance(value, str) else list(value)
            return tuple(_coerce(p, item, name) for p in parts)
        if kind is str:
            if not isinstance(value, str):
                raise TypeError
            if not is_plain(value):
                raise RecipeError(f"The setting '{name}' is {brief(value)}, which is no UTF-8 text; rename that file.")
            return str(value)
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if kind is int:
            if number != int(number):
                raise ValueError
            return int(number)
        return number
    except RecipeError:
        raise
    except (TypeError, ValueError, OverflowError):
        label = getattr(kind, "__name__", str(kind)) if typing.get_origin(kind) is None else f"list of {item.__name__}"
        raise RecipeError(f"The setting '{name}' must be a {label}, not {brief(value)}.") from None


def _check(value: Any, f: dataclasses.Field) -> None:
    meta = f.metadata
    if value is None or "help" not in meta:
        return
    for item in value if isinstance(value, tuple) else (value,):
        if meta["choices"] is not None and item not in meta["choices"]:
            raise RecipeError(f"The setting '{f.name}' is {brief(item)}; choose from {', '.join(meta['choices'])}.")
        if isinstance(item, (int, float)):
            if item != item or abs(item) == float("inf"):
                raise RecipeError(f"The setting '{f.name}' must be a finite number.")
            if meta["low"] is not None and item < meta["low"]:
                raise RecipeError(f"The setting '{f.name}' is {item}; it must be at least {meta['low']}.")
            if meta["high"] is not None and item > meta["high"]:
                raise RecipeError(f"The setting '{f.name}' is {item}; it must be at most {meta['high']}.")
    problem = meta["check"](value) if meta["check"] is not None else ""
    if problem:
        raise RecipeError(f"The setting '{f.name}' is {value}; {problem}.")
