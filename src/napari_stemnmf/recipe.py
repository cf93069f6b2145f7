"""Every parameter of a run, written once.

A stage's settings are one frozen dataclass; each field carries default, unit, bounds and one line of help. How they
are checked and written is in `settings`.
"""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

from napari_stemnmf.errors import RecipeError
from napari_stemnmf.files.writing import read_text, write_text
from napari_stemnmf.representation_settings import (
    AngularAverageSettings,
    BraggDiskSettings,
    ClusteringSettings,
    GroupingSettings,
    OutlineSettings,
    RadialVarianceSettings,
    RefinementSettings,
    ScalingSettings,
    VirtualDarkFieldSettings,
)
from napari_stemnmf.settings import Settings, from_dict, group, present_name, replaced_at, setting, to_dict, toml_lines
from napari_stemnmf.stage_settings import (
    BeamStopSettings,
    CenterSettings,
    DiskSettings,
    EllipseSettings,
    OriginSettings,
    PixelSizeSettings,
    PreprocessSettings,
    ProbeSettings,
)
from napari_stemnmf.texts import why

FEATURES = {"vdf": "virtual dark fields", "aa": "angular average", "rv": "radial variance", "bd": "Bragg disks"}
"""The representations that can be computed, and what they are called."""
IN_FIGURES = ("vdf", "rv", "aa", "bd")
"""The order in which figures and comparisons show them: ours, and then the article's in its order."""
OF_PAPER = ("aa", "rv", "bd")
"""The article's representations."""
LARGEST = 2**20
"""Bytes of a file that may be a recipe, at most."""


@dataclass(frozen=True)
class AngularAverageChain(Settings):
    """All steps of the AA representation."""

    featurize: AngularAverageSettings = group(AngularAverageSettings, former="describe")
    scaling: ScalingSettings = group(ScalingSettings)
    clustering: ClusteringSettings = group(ClusteringSettings)
    refinement: RefinementSettings = group(RefinementSettings, former="separation")


@dataclass(frozen=True)
class RadialVarianceChain(Settings):
    """All steps of the RV representation."""

    featurize: RadialVarianceSettings = group(RadialVarianceSettings, former="describe")
    scaling: ScalingSettings = group(ScalingSettings)
    clustering: ClusteringSettings = group(ClusteringSettings)
    refinement: RefinementSettings = group(RefinementSettings, former="separation")


@dataclass(frozen=True)
class BraggDiskChain(Settings):
    """All steps of the BD representation."""

    featurize: BraggDiskSettings = group(BraggDiskSettings, former="describe")
    scaling: ScalingSettings = group(ScalingSettings)
    clustering: ClusteringSettings = group(ClusteringSettings)
    refinement: RefinementSettings = group(RefinementSettings, former="separation")


@dataclass(frozen=True)
class VirtualDarkFieldChain(Settings):
    """All steps of the VDF representation."""

    featurize: VirtualDarkFieldSettings = group(VirtualDarkFieldSettings)
    clustering: GroupingSettings = group(GroupingSettings)
    refinement: OutlineSettings = group(OutlineSettings)


NMFChain = AngularAverageChain | RadialVarianceChain | BraggDiskChain
"""Of the representations that NMF clusters."""
Chain = VirtualDarkFieldChain | NMFChain


@dataclass(frozen=True)
class Recipe(Settings):
    """Everything that decides the result of a run. Two runs with the same recipe and data give the same numbers."""

    features: tuple[str, ...] = setting(OF_PAPER, "representations to compute", choices=tuple(FEATURES))
    preprocess: PreprocessSettings = group(PreprocessSettings)
    beam_stop: BeamStopSettings = group(BeamStopSettings)
    center: CenterSettings = group(CenterSettings)
    probe: ProbeSettings = group(ProbeSettings)
    disks: DiskSettings = group(DiskSettings)
    origin: OriginSettings = group(OriginSettings)
    ellipse: EllipseSettings = group(EllipseSettings)
    pixel_size: PixelSizeSettings = group(PixelSizeSettings)
    aa: AngularAverageChain = group(AngularAverageChain)
    rv: RadialVarianceChain = group(RadialVarianceChain)
    bd: BraggDiskChain = group(BraggDiskChain)
    vdf: VirtualDarkFieldChain = group(VirtualDarkFieldChain)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.features)) < len(self.features):
            object.__setattr__(self, "features", tuple(dict.fromkeys(self.features)))
        if not self.features:
            raise RecipeError(f"features is empty; choose from {', '.join(FEATURES)}.")

    @classmethod
    def preset(cls, name: str, features: Sequence[str] | None = None) -> Recipe:
        """One of the named presets: ``default`` (what we find works best), ``paper`` (the article's choices), or
        ``nmf`` (the article's way with what works best in it).

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

    def nmf_chain(self, feature: str) -> NMFChain:
        """The settings of a representation that NMF clusters; a RecipeError if it is another."""
        chain = self.chain(feature)
        if isinstance(chain, VirtualDarkFieldChain):
            raise RecipeError(f"{feature.upper()} is not clustered by NMF; choose from {', '.join(OF_PAPER)}.")
        return chain

    def replaced(self, changes: Mapping[str, Any]) -> Recipe:
        """A copy with settings changed by dotted name.

        ``"aa.clustering.seeds"`` changes one; a leading ``*`` changes it for every representation that has it:
        ``{"*.clustering.seeds": 5}``. Values may be strings, as they come from a command line.
        """
        recipe = self
        for path, value in changes.items():
            head, _, rest = path.partition(".")
            everywhere = [f"{name}.{rest}" for name in FEATURES]
            for target in [name for name in everywhere if _has(self, name)] or everywhere if head == "*" else [path]:
                recipe = replaced_at(recipe, target.split("."), value, target, self)
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values; settings left empty are absent."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_dict`; names that are absent keep their defaults.

        Raises
        ------
        RecipeError
            If a name is unknown or a value does not fit.
        """
        return typing.cast(Recipe, from_dict(cls, values))

    def to_toml(self) -> str:
        """The recipe as a TOML file, each setting with its help."""
        lines = ["# napari-stemnmf recipe: settings that are commented out are found by themselves", ""]
        lines += toml_lines(self)
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
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
            raise RecipeError(f"The recipe is not valid TOML: {why(error)}.") from error
        return cls.from_dict(values)

    def save(self, path: str | Path) -> None:
        """Write the recipe as TOML; the file is whole or what it was before. An AnalysisError if that cannot be."""
        write_text(path, self.to_toml())

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a TOML recipe.

        Raises
        ------
        RecipeError
            If the file is missing or does not hold a valid recipe.
        """
        try:
            text = read_text(path, LARGEST)
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"The recipe {path} cannot be read: {why(error)}.") from error
        return cls.from_toml(text)


def _has(node: Any, path: str) -> bool:
    """Whether there is a setting of that dotted name below a recipe; former names count."""
    for name in path.split("."):
        if not is_dataclass(node) or not hasattr(node, present_name(node, name)):
            return False
        node = getattr(node, present_name(node, name))
    return True


_NMF: dict[str, Any] = {
    "*.featurize.intensity": "sqrt",
    "*.scaling.method": "global",
    "*.clustering.merge_threshold": 0.5,
    "*.clustering.windows": "auto",
    "*.refinement.threshold": "otsu",
    "*.refinement.min_coherence": 0.5,
    "*.refinement.smoothing": 1.0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": {"features": ("vdf",), **_NMF},
    "nmf": _NMF,
    "paper": {
        "aa.clustering.merge_threshold": 0.3,
        "rv.clustering.merge_threshold": 0.4,
        "bd.clustering.merge_threshold": 0.2,
    },
}
"""What each preset changes in the dataclasses' defaults; ``default`` gives AA, RV and BD, if asked for, as ``nmf``."""
