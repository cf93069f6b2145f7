"""The settings of each representation, written once: featurizing, clustering, and from maps to grains.

Those of the stages before are in `stage_settings`; `recipe` puts them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_stemnmf.settings import Settings, setting


def _ascending_radii(values: tuple[float, ...]) -> str:
    fine = len(values) >= 2 and list(values) == sorted(set(values)) and values[0] >= 0
    return "" if fine else "it needs at least two ascending radii"


def _divides_circle(value: float) -> str:
    return "" if abs(360 / value - round(360 / value)) < 1e-9 else "360 must be a multiple of it"


def _intensity(values: str) -> Any:
    """The setting of the intensity scale."""
    help = f"{values} as they are, or their square root (evens out strong and weak disks)"
    return setting("linear", help, choices=("linear", "sqrt"))


@dataclass(frozen=True)
class AngularAverageSettings(Settings):
    """AA: mean intensity of each ring in each sector."""

    rings: tuple[float, ...] | None = setting(
        None,
        "radii that bound the rings, ascending; empty: minima of the radial mean of the maximum pattern",
        unit="px",
        check=_ascending_radii,
    )
    angle_step: float = setting(
        5.0, "width of a sector; 360 must be a multiple of it", unit="deg", low=0.5, high=180.0, check=_divides_circle
    )
    min_valid: float = setting(
        0.5, "share of valid pixels that a sector needs to be kept", low=0.0, high=1.0, step=0.05
    )
    intensity: str = _intensity("counts")


@dataclass(frozen=True)
class RadialVarianceSettings(Settings):
    """RV: variance over azimuth at each radius."""

    r_min: float | None = setting(None, "first radius; empty: just past the central disk", unit="px", low=0.0)
    r_max: float | None = setting(None, "last radius; empty: just inside the detector's edge", unit="px", low=1.0)
    columns: int | None = setting(
        None, "number of radii between first and last; empty: one each detector pixel", low=2, high=4096
    )
    angle_step: float = setting(
        1.0, "azimuthal sampling of the polar pattern", unit="deg", low=0.25, high=15.0, check=_divides_circle
    )
    intensity: str = _intensity("counts")


@dataclass(frozen=True)
class BraggDiskSettings(Settings):
    """BD: the Bragg disks of a pattern, binned over the detector."""

    bin: float | None = setting(
        None,
        "side of a bin; empty: 0.56 of the probe's radius, to half a pixel",
        unit="px",
        low=0.25,
        high=64.0,
        step=0.5,
    )
    min_snr: float = setting(
        0.0,
        "least signal-to-noise ratio of a disk; weak ones come and go, and min-max scaling makes them strong",
        low=0.0,
        step=0.5,
    )
    r_min: float | None = setting(
        None, "disks nearer to the centre are left out; empty: the direct beam, two probe radii", unit="px", low=0.0
    )
    r_max: float | None = setting(
        None, "disks farther from the centre are left out; empty: up to the detector's edge", unit="px", low=1.0
    )
    intensity: str = _intensity("heights of the disks")


@dataclass(frozen=True)
class VirtualDarkFieldSettings(Settings):
    """VDF: the dark field of every Bragg spot that is followed through the scan."""

    min_snr: float = setting(4.0, "least signal-to-noise ratio of a disk that is followed", low=0.0, step=0.5)
    tolerance: float = setting(
        0.35, "how far a disk may lie from where its neighbours have it, in radii of the probe", low=0.05, high=1.0,
        step=0.05,
    )  # fmt: skip
    pooling: float | None = setting(
        None, "patterns are added up over their neighbours (Gaussian, sigma) before spots are followed; 0: never; "
        "empty: where disks are faint, as far as neighbours are alike", unit="px", low=0.0, high=10.0, step=0.1,
    )  # fmt: skip
    min_length: int = setting(8, "tracks over fewer probe positions are left out", unit="px", low=1)


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
    windows: str = setting(
        "off",
        "run in overlapping windows of the scan, whose components are joined where they are alike, or on the whole "
        "scan at once",
        choices=("auto", "off"),
        added=True,
    )
    window_size: int | None = setting(
        None,
        "side of a window; empty: it holds as many grains as its columns allow, whose size shows in how far patterns "
        "are alike; a scan that one window holds is not cut",
        unit="px",
        low=16,
        high=4096,
        added=True,
    )
    seeds: int = setting(25, "number of random starts", low=1, high=1000)
    first_seed: int = setting(0, "seed of the first start; the others follow it", low=0)
    tolerance: float = setting(1e-4, "a fit ends when its error falls by less than this share per iteration", low=0.0)
    max_iterations: int = setting(200, "most iterations of one fit", low=1)
    max_cycles: int = setting(50, "most cycles of merging and refitting", low=1)
    coarse_fit: str = setting(
        "on",
        "fit every other scan row and column in the first cycles, or the whole scan from the start",
        choices=("on", "off"),
        former="draft",
        former_choices={"coarse": "on"},
    )
    refit: str = setting(
        "separate",
        "a last fit from a new random start is kept where its error is smaller: "
        "if no two of its maps are alike; even if some are; or make none",
        choices=("separate", "free", "off"),
        former_choices={"apart": "separate"},
    )


@dataclass(frozen=True)
class GroupingSettings(Settings):
    """Grouping: tracks whose dark fields have one footprint are spots of one grain."""

    method: str = setting(
        "footprints", "how tracks are grouped: by their footprints in the scan", choices=("footprints",)
    )
    alike: float = setting(
        0.85, "intersection over union of footprints from which tracks are of one grain", low=0.1, high=0.95, step=0.05
    )
    min_tracks: int = setting(2, "groups of fewer tracks are left out", low=1)


@dataclass(frozen=True)
class RefinementSettings(Settings):
    """From component maps to spatially distinct grains."""

    former_name = "SeparationSettings"

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
class OutlineSettings(Settings):
    """From groups of tracks to grains with an outline and a confidence."""

    blur: float | None = setting(
        None, "blur of the scan (sigma) that outlines undo; empty: measured on the dark fields", unit="px", low=0.0,
        high=20.0, step=0.1,
    )  # fmt: skip
    level: float = setting(
        0.5, "share of its mean inside at which the map of a grain is cut", low=0.05, high=0.95, step=0.01
    )
    min_confidence: float = setting(
        0.5, "grains that are less likely than this to be right are left out", low=0.0, high=1.0, step=0.05
    )
    min_size: int = setting(1, "grains of fewer probe positions are left out", unit="px", low=1)
