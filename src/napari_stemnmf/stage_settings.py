"""The settings of each stage, written once: what a setting is called, its default, unit, bounds and one line of help.

Here are those up to the calibration; from the features on they are in `representation_settings`. How settings are
checked and written is in `settings`; `recipe` puts them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_stemnmf.settings import Settings, setting


def _span(values: tuple[int, ...]) -> str:
    return "" if len(values) == 2 and values[0] < values[1] else "it needs two numbers, the first below the second"


def _region(values: tuple[int, ...]) -> str:
    fine = len(values) == 4 and values[0] < values[1] and values[2] < values[3]
    return "" if fine else "it needs two numbers for the rows and two for the columns, each first below the second"


def _crop(part: str) -> Any:
    """The setting of the rows or columns to keep."""
    return setting(None, f"first {part} to keep and the one after the last; empty: all", unit="px", low=0, check=_span)


def _two(values: tuple[int, ...]) -> str:
    return "" if len(values) == 2 else "it needs two numbers: of the first, and of the last"


def _flyback(part: str) -> Any:
    """The setting of the rows or columns that were recorded while the beam flew back."""
    help = f"scan {part} to leave out as flyback, of the first and of the last ones, as in 1, 0; empty: those that jump"
    return setting(None, help, low=0, check=_two, added=True)


@dataclass(frozen=True)
class PreprocessSettings(Settings):
    """Preparing patterns, in this order: crop, dark, dead and hot pixels, bin; and which patterns are left out."""

    scan_order: str = setting(
        "rows",
        "order of the file's patterns: all rows from the first column on, or winding, every second row back",
        choices=("rows", "winding"),
        added=True,
    )
    scan_y: tuple[int, ...] | None = _crop("scan row")
    scan_x: tuple[int, ...] | None = _crop("scan column")
    q_y: tuple[int, ...] | None = _crop("detector row")
    q_x: tuple[int, ...] | None = _crop("detector column")
    dark: str | None = setting(None, "file with a dark reference of the detector's shape to subtract; empty: none")
    hot_pixels: str = setting(
        "sigma",
        "repair pixels that stand out of the mean pattern, by a threshold in robust sigmas or in counts; or do not",
        choices=("sigma", "counts", "off"),
    )
    hot_threshold: float = setting(8.0, "how far a hot pixel stands out, in sigmas or in counts", low=0.0)
    dead_pixels: str = setting(
        "auto",
        "leave out pixels that read no number, the largest of their type, one number throughout, or never count",
        choices=("auto", "off"),
        added=True,
    )
    bin: int = setting(1, "detector pixels along each axis that are summed to one", unit="px", low=1, high=64)
    odd_patterns: str = setting(
        "auto",
        "leave out patterns that are not finite, empty, saturated, evenly bright, unlike all around or of the flyback",
        choices=("auto", "off"),
        added=True,
    )
    missing: str = setting(
        "refuse",
        "what is not in the file, as of a copy that broke off: refuse to read it, leave its patterns out, or take it "
        "for zeros, which some writers leave out",
        choices=("refuse", "leave out", "zeros"),
        added=True,
    )
    flyback_columns: tuple[int, ...] | None = _flyback("columns")
    flyback_rows: tuple[int, ...] | None = _flyback("rows")


@dataclass(frozen=True)
class BeamStopSettings(Settings):
    """Which detector pixels are left out."""

    find: str = setting("auto", "look for the shadow of a beam stop in the mean pattern", choices=("auto", "off"))
    mask: str | None = setting(
        None, "file with a mask of the detector's shape, true where pixels are kept; empty: none"
    )
    margin: float = setting(
        2.0, "pixels around what is masked that are left out as well", unit="px", low=0.0, high=100.0
    )


@dataclass(frozen=True)
class CenterSettings(Settings):
    """Where the direct beam hits the detector on average, and how large its disk is."""

    q_y: float | None = setting(None, "row of the pattern centre; empty: measured", unit="px")
    q_x: float | None = setting(None, "column of the pattern centre; empty: measured", unit="px")
    probe_radius: float | None = setting(
        None, "radius of the central disk; empty: measured on the mean pattern", unit="px", low=0.1
    )


@dataclass(frozen=True)
class ProbeSettings(Settings):
    """The template that Bragg disks are looked for with."""

    source: str = setting(
        "auto",
        "mean central disk, mean pattern of a vacuum region, or a synthetic disk; auto: the central disk if it is seen",
        choices=("auto", "central", "vacuum", "synthetic"),
    )
    vacuum: tuple[int, ...] | None = setting(
        None, "scan region without a specimen: first row, row after the last, first column, column after the last",
        unit="px", low=0, check=_region,
    )  # fmt: skip


@dataclass(frozen=True)
class DiskSettings(Settings):
    """How Bragg disks are found in each pattern. Lengths that are empty follow the probe's radius."""

    subpixel: str = setting(
        "parabola", "position from a parabola through the peak, or from a finer grid", choices=("parabola", "upsampled")
    )
    upsampling: int = setting(16, "steps of the finer grid per pixel", low=2, high=64)
    min_snr: float = setting(5.0, "least signal-to-noise ratio of a disk", low=0.0, step=0.5)
    min_absolute: float = setting(0.0, "least height of a disk above its surroundings, counts a pixel", low=0.0)
    min_relative: float = setting(
        0.0, "least height, as a share of the reference disk's", low=0.0, high=1.0, step=0.001
    )
    relative_to: int = setting(1, "the reference: the n-th highest disk of the pattern; 0 is the highest", low=0)
    spacing: float | None = setting(
        None, "least distance between disks; empty: 1.5 of the probe's radius, 1 where they overlap", unit="px", low=0.0
    )
    edge: float | None = setting(
        None, "least distance of a disk's centre from the detector's edge and from masked pixels; "
        "empty: the probe's radius", unit="px", low=0.0,
    )  # fmt: skip
    max_peaks: int = setting(1000, "most disks of a pattern, the highest first", low=1, high=10000)


@dataclass(frozen=True)
class OriginSettings(Settings):
    """The centre of each pattern: the beam may move over the detector as it scans (descan)."""

    method: str = setting(
        "auto",
        "from the central disk, from Friedel pairs of disks, or one for all; auto: pairs if a beam stop hides the disk",
        choices=("auto", "central", "friedel", "mean"),
    )
    fit: str = setting(
        "plane", "surface over the scan that the centres are smoothed to", choices=("constant", "plane", "parabola")
    )
    use: str = setting(
        "auto",
        "the surface, each pattern's measured centre, or both: the surface and what is significant beside it; auto: "
        "both if the centres scatter about the surface by more than the error of measuring them, else the surface",
        choices=("auto", "surface", "measured", "both"),
        added=True,
    )


@dataclass(frozen=True)
class EllipseSettings(Settings):
    """What should be a circle and is an ellipse."""

    method: str = setting(
        "auto",
        "from a ring of Bragg disks, or one of the mean pattern; auto: disks if there are enough, kept if significant",
        choices=("auto", "disks", "ring", "off"),
    )
    ratio: float | None = setting(None, "a / b; empty: measured", low=1.0, high=2.0, step=0.001)
    angle: float | None = setting(
        None, "direction of a, from q_x towards q_y; empty: measured", unit="deg", low=0.0, high=180.0
    )
    r_min: float | None = setting(None, "inner radius of the ring to fit; empty: found", unit="px", low=0.0)
    r_max: float | None = setting(None, "outer radius of the ring to fit; empty: found", unit="px", low=1.0)


@dataclass(frozen=True)
class PixelSizeSettings(Settings):
    """The size of a detector pixel, from a ring of known lattice spacing."""

    d_spacing: float | None = setting(
        None, "lattice spacing of the ring; empty: the file's calibration is kept", unit="nm", low=0.001, step=0.0001
    )
    radius: float | None = setting(
        None, "radius near which the ring lies; empty: the strongest ring", unit="px", low=0.5
    )
