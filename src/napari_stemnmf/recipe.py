"""Every parameter of a run, written once.

A stage's settings are one frozen dataclass; each field carries default, unit, bounds and one line of help.
The validation, the napari forms, the TOML recipe, the command line's ``--set`` and the reference page come from here.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from napari_stemnmf.errors import RecipeError

FEATURES = ("aa", "rv")
"""The representations that can be computed: angular average, radial variance."""


def setting(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    step: float | None = None,
) -> Any:
    """A dataclass field with what the forms, the recipe file, the command line and the docs need to know."""
    meta = {"help": help, "unit": unit, "low": low, "high": high, "choices": choices, "step": step}
    return field(default=default, metadata=meta)


class Settings:
    """Base of all settings: checks every value against its field's type, bounds and choices."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for f in fields(self):  # type: ignore[arg-type]
            value = _coerce(getattr(self, f.name), hints[f.name], f.name)
            _check(value, f)
            object.__setattr__(self, f.name, value)


@dataclass(frozen=True)
class CenterSettings(Settings):
    """Where the direct beam hits the detector, and how large it is."""

    q_y: float | None = setting(None, "row of the pattern centre; empty: found from the mean pattern", unit="px")
    q_x: float | None = setting(None, "column of the pattern centre; empty: found from the mean pattern", unit="px")
    probe_radius: float | None = setting(
        None, "radius of the central disk; empty: measured on the mean pattern", unit="px", low=0.1
    )


@dataclass(frozen=True)
class AngularAverageSettings(Settings):
    """AA: mean intensity of each ring in each sector."""

    rings: tuple[float, ...] | None = setting(
        None,
        "radii that bound the rings, ascending; empty: minima of the radial mean of the maximum pattern",
        unit="px",
    )
    angle_step: float = setting(5.0, "width of a sector; 360 must be a multiple of it", unit="deg", low=0.5, high=180.0)
    min_valid: float = setting(
        0.5, "share of valid pixels that a sector needs to be kept", low=0.0, high=1.0, step=0.05
    )
    intensity: str = setting(
        "linear",
        "counts as they are, or their square root (evens out strong and weak disks)",
        choices=("linear", "sqrt"),
    )


@dataclass(frozen=True)
class RadialVarianceSettings(Settings):
    """RV: variance over azimuth at each radius."""

    r_min: float | None = setting(None, "first radius; empty: just past the central disk", unit="px", low=0.0)
    r_max: float | None = setting(None, "last radius; empty: just inside the detector's edge", unit="px", low=1.0)
    columns: int | None = setting(
        None, "number of radii between first and last; empty: one each detector pixel", low=2, high=4096
    )
    angle_step: float = setting(1.0, "azimuthal sampling of the polar pattern", unit="deg", low=0.25, high=15.0)
    intensity: str = setting(
        "linear",
        "counts as they are, or their square root (evens out strong and weak disks)",
        choices=("linear", "sqrt"),
    )


@dataclass(frozen=True)
class ScalingSettings(Settings):
    """How feature columns are brought to a common scale before NMF."""

    method: str = setting(
        "minmax", "minmax: each column to 0..1; global: one scale for all columns", choices=("minmax", "global")
    )


@dataclass(frozen=True)
class ClusteringSettings(Settings):
    """Iterative NMF: fit, merge alike components, refit, until none are alike; from several random starts."""

    components: int | None = setting(
        None, "components to start from; empty: start_factor times the number that the scree suggests", low=2, high=2000
    )
    start_factor: float = setting(
        5.0, "components to start from, per component that the scree suggests", low=1.0, high=20.0
    )
    merge_threshold: float = setting(
        0.45, "component maps that correlate at least so much are merged", low=0.01, high=1.0, step=0.01
    )
    seeds: int = setting(25, "number of random starts", low=1, high=1000)
    first_seed: int = setting(0, "seed of the first start; the others follow it", low=0)
    tolerance: float = setting(1e-4, "a fit ends when its error falls by less than this share per iteration", low=0.0)
    max_iterations: int = setting(200, "most iterations of one fit", low=1)
    max_cycles: int = setting(50, "most cycles of merging and refitting", low=1)
    draft: str = setting(
        "coarse", "first cycles on every other scan row and column, or on the whole scan", choices=("coarse", "off")
    )
    refit: str = setting(
        "apart",
        "a last fit from a new random start is kept where its error is smaller: "
        "if no two of its maps are alike; even if some are; or make none",
        choices=("apart", "free", "off"),
    )


@dataclass(frozen=True)
class SeparationSettings(Settings):
    """From component maps to spatially distinct grains."""

    min_coherence: float = setting(
        0.0,
        "maps whose neighbouring positions correlate less are noise and left out; 0 keeps all",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    smoothing: float = setting(
        0.0,
        "Gaussian blur of a map (sigma) before its threshold; 0 for none",
        unit="px",
        low=0.0,
        high=20.0,
        step=0.5,
    )
    threshold: str = setting("yen", "how the threshold of a map is found", choices=("yen", "otsu", "li", "triangle"))
    threshold_scale: float = setting(1.0, "factor on the threshold that was found", low=0.05, high=20.0, step=0.05)
    min_size: int = setting(25, "regions of fewer probe positions are left out", unit="px", low=1)


@dataclass(frozen=True)
class AngularAverageChain(Settings):
    """All steps of the AA representation."""

    describe: AngularAverageSettings = field(default_factory=AngularAverageSettings)
    scaling: ScalingSettings = field(default_factory=ScalingSettings)
    clustering: ClusteringSettings = field(default_factory=ClusteringSettings)
    separation: SeparationSettings = field(default_factory=SeparationSettings)


@dataclass(frozen=True)
class RadialVarianceChain(Settings):
    """All steps of the RV representation."""

    describe: RadialVarianceSettings = field(default_factory=RadialVarianceSettings)
    scaling: ScalingSettings = field(default_factory=ScalingSettings)
    clustering: ClusteringSettings = field(default_factory=ClusteringSettings)
    separation: SeparationSettings = field(default_factory=SeparationSettings)


Chain = AngularAverageChain | RadialVarianceChain


@dataclass(frozen=True)
class Recipe(Settings):
    """Everything that decides the result of a run. Two runs with the same recipe and data give the same numbers."""

    features: tuple[str, ...] = setting(("aa", "rv"), "representations to compute", choices=FEATURES)
    center: CenterSettings = field(default_factory=CenterSettings)
    aa: AngularAverageChain = field(default_factory=AngularAverageChain)
    rv: RadialVarianceChain = field(default_factory=RadialVarianceChain)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.features:
            raise RecipeError(f"features is empty; choose from {', '.join(FEATURES)}.")

    @classmethod
    def preset(cls, name: str, features: Sequence[str] | None = None) -> Recipe:
        """One of the named presets: ``paper`` (the article's choices) or ``default`` (what we find works best).

        Raises
        ------
        RecipeError
            If there is no preset of that name, or a feature is unknown.
        """
        if name not in PRESETS:
            raise RecipeError(f"There is no preset '{name}'; choose from {', '.join(PRESETS)}.")
        recipe = cls().replaced(PRESETS[name])
        return recipe if features is None else replace(recipe, features=tuple(features))

    def chain(self, feature: str) -> Chain:
        """The settings of one representation."""
        if feature not in FEATURES:
            raise RecipeError(f"There is no feature '{feature}'; choose from {', '.join(FEATURES)}.")
        return typing.cast(Chain, getattr(self, feature))

    def replaced(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with settings changed by dotted name.

        ``"aa.clustering.seeds"`` changes one; a leading ``*`` changes it for every representation that has it:
        ``{"*.clustering.seeds": 5}``. Values may be strings, as they come from a command line.
        """
        recipe = self
        for path, value in changes.items():
            head, _, rest = path.partition(".")
            for target in [f"{name}.{rest}" for name in FEATURES] if head == "*" else [path]:
                recipe = _replace_at(recipe, target.split("."), value, target)
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values; settings left empty are absent."""
        return _to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_dict`; names that are absent keep their defaults.

        Raises
        ------
        RecipeError
            If a name is unknown or a value does not fit.
        """
        return typing.cast(Recipe, _from_dict(cls, values, ""))

    def to_toml(self) -> str:
        """The recipe as a TOML file, each setting with its help."""
        lines = ["# napari-stemnmf recipe: settings that are commented out are found by themselves", ""]
        lines += _toml_lines(self, "")
        return "\n".join(lines).rstrip() + "\n"

    @classmethod
    def from_toml(cls, text: str) -> Recipe:
        """Read a recipe that `to_toml` wrote or a person edited.

        Raises
        ------
        RecipeError
            If it is no TOML, or a setting is unknown or out of bounds.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RecipeError(f"The recipe is not valid TOML: {error}.") from error
        return cls.from_dict(values)

    def save(self, path: str | Path) -> None:
        """Write the recipe as TOML."""
        Path(path).write_text(self.to_toml(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a TOML recipe.

        Raises
        ------
        RecipeError
            If the file is missing or does not hold a valid recipe.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"The recipe {path} cannot be read: {error}.") from error
        return cls.from_toml(text)


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"aa.clustering.merge_threshold": 0.3, "rv.clustering.merge_threshold": 0.4},
    "default": {
        "*.describe.intensity": "sqrt",
        "*.scaling.method": "global",
        "*.clustering.merge_threshold": 0.5,
        "*.separation.threshold": "otsu",
        "*.separation.min_coherence": 0.5,
        "*.separation.smoothing": 1.0,
    },
}
"""What each preset changes in the dataclasses' defaults."""


def walk(settings: Any = None, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """Every setting below a recipe or stage: (dotted name, field, value). For forms, docs and the command line."""
    settings = Recipe() if settings is None else settings
    for f in fields(settings):
        value = getattr(settings, f.name)
        if is_dataclass(value):
            yield from walk(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", f, value


def _replace_at(node: Any, path: list[str], value: Any, full: str) -> Any:
    names = {f.name: f for f in fields(node)}
    if path[0] not in names or (len(path) > 1) != is_dataclass(getattr(node, path[0])):
        known = ", ".join(name for name, _, _ in walk())
        raise RecipeError(f"There is no setting '{full}'. Settings are: {known}.")
    child = getattr(node, path[0])
    return replace(node, **{path[0]: value if len(path) == 1 else _replace_at(child, path[1:], value, full)})


def _to_dict(node: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for f in fields(node):
        value = getattr(node, f.name)
        if is_dataclass(value):
            out[f.name] = _to_dict(value)
        elif value is not None:
            out[f.name] = list(value) if isinstance(value, tuple) else value
    return out


def _from_dict(kind: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    unknown = set(values) - set(hints)
    if unknown:
        names = ", ".join(f"'{prefix}{n}'" for n in sorted(unknown))
        raise RecipeError(f"The recipe has no setting {names}; here it knows {', '.join(prefix + n for n in hints)}.")
    kwargs = {}
    for name, value in values.items():
        if is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise RecipeError(f"'{prefix}{name}' in the recipe must be a table of settings, not {value!r}.")
            value = _from_dict(hints[name], value, f"{prefix}{name}.")  # type: ignore[arg-type]
        kwargs[name] = value
    return kind(**kwargs)


def _toml_lines(node: Any, prefix: str) -> list[str]:
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
        lines += _toml_lines(value, f"{prefix}.{name}" if prefix else name)
    return lines


def _toml_value(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


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
            return value
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if kind is int:
            if number != int(number):
                raise ValueError
            return int(number)
        return number
    except (TypeError, ValueError, OverflowError):
        label = getattr(kind, "__name__", str(kind)) if typing.get_origin(kind) is None else f"list of {item.__name__}"
        raise RecipeError(f"The setting '{name}' must be a {label}, not {value!r}.") from None


def _check(value: Any, f: dataclasses.Field) -> None:
    meta = f.metadata
    if value is None or "help" not in meta:
        return
    for item in value if isinstance(value, tuple) else (value,):
        if meta["choices"] is not None and item not in meta["choices"]:
            raise RecipeError(f"The setting '{f.name}' is {item!r}; choose from {', '.join(meta['choices'])}.")
        if isinstance(item, (int, float)):
            if item != item or abs(item) == float("inf"):
                raise RecipeError(f"The setting '{f.name}' must be a finite number.")
            if meta["low"] is not None and item < meta["low"]:
                raise RecipeError(f"The setting '{f.name}' is {item}; it must be at least {meta['low']}.")
            if meta["high"] is not None and item > meta["high"]:
                raise RecipeError(f"The setting '{f.name}' is {item}; it must be at most {meta['high']}.")
    if f.name == "rings" and (len(value) < 2 or list(value) != sorted(set(value)) or value[0] < 0):
        raise RecipeError("The setting 'rings' needs at least two ascending radii.")
    if f.name == "angle_step" and abs(360 / value - round(360 / value)) > 1e-9:
        raise RecipeError(f"The setting 'angle_step' is {value}; 360 must be a multiple of it.")
