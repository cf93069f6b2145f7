"""What Refine would find with the present settings, for all components at once. No Qt.

The parts of `grains.refinement` are called one by one, so that the preview is what Run gives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stemnmf.calibration.geometry import Calibration
    from napari_stemnmf.clustering.ensemble import Ensemble
    from napari_stemnmf.clustering.grouping import Groups
    from napari_stemnmf.disks.detection import Peaks
    from napari_stemnmf.features.features import Features
    from napari_stemnmf.grains.refinement import Cut
    from napari_stemnmf.representation_settings import OutlineSettings, RefinementSettings

BINS = 80
"""Of the histogram."""
MOST = 1000
"""Grains that are drawn, at most: each has a mask of the whole scan."""


class Request(NamedTuple):
    """Maps and settings of a preview."""

    model: Ensemble | Groups
    settings: RefinementSettings | OutlineSettings
    component: int
    """The one whose histogram is shown."""
    left_out: np.ndarray | None = None
    """(scan_y, scan_x) odd patterns."""
    peaks: Peaks | None = None
    calibration: Calibration | None = None
    """The disks that regions are weighed by, and where they lie."""
    features: Features | None = None
    """That groups of spots were made of."""

    @property
    def of_nmf(self) -> bool:
        """Whether the maps are those of NMF components, and not of groups of spots."""
        return hasattr(self.settings, "threshold")


class Histogram(NamedTuple):
    """Weights of one component map, above 0."""

    edges: np.ndarray
    """(b + 1,) in the units of the weights."""
    counts: np.ndarray
    """(b,) probe positions."""
    threshold: float
    """Where it is cut; NaN where the map is constant."""
    scale: float
    """The factor on the threshold that was found, which is in `threshold`."""
    noise: bool
    """Whether the map is left out, for lack of coherence."""


@dataclass(frozen=True, eq=False)
class Live:
    """Grains under some settings.

    Attributes
    ----------
    request : Request
    labels : (scan_y, scan_x) int32 or None
        As `Grains.labels`; None where there are too many grains to be drawn.
    grains, small, noise : int
        Grains, regions that are too small, and maps that are left out.
    overlap : float
        Share of the scan on which grains overlap; NaN where they are too many.
    histogram : Histogram or None
    note : str
        As `Grains.note`.
    likely : (groups,) ndarray
        How likely each group of spots is right; empty for NMF.
    """

    request: Request
    labels: np.ndarray | None = None
    grains: int = 0
    small: int = 0
    noise: int = 0
    overlap: float = float("nan")
    histogram: Histogram | None = None
    note: str = ""
    likely: np.ndarray = field(default_factory=lambda: np.empty(0))

    def summary(self) -> str:
        """Numbers in words: "21 grains, 8 % of the scan overlapping, 3 regions too small"."""
        of = f" of {_count(np.size(self.likely), 'group')} of spots" if np.size(self.likely) else ""
        parts = [_count(self.grains, "grain") + of]
        if np.isfinite(self.overlap):
            parts.append(f"{self.overlap:.0%} of the scan overlapping")
        if self.request.of_nmf:
            parts.append(f"{_count(self.small, 'region')} too small")
        if self.noise:
            parts.append(f"{_count(self.noise, 'map')} left out as noise")
        numbers = ", ".join(parts) + ("." if self.labels is not None else f": too many to draw (over {MOST}).")
        return f"{numbers} {self.note}".rstrip()


def preview(request: Request) -> Live:
    """What Refine would find."""
    from napari_stemnmf.clustering.grouping import Groups
    from napari_stemnmf.grains.evidence import evidence, weighed
    from napari_stemnmf.grains.refinement import cut, cuts_of, least_size
    from napari_stemnmf.representation_settings import OutlineSettings

    if isinstance(request.model, Groups) or isinstance(request.settings, OutlineSettings):
        return _of_groups(request)
    crops, settings, scan_shape = request.model.crops, request.settings, request.model.scan_shape
    cuts = cuts_of(crops, settings, left_out=request.left_out)
    grains, small = _counted(cuts, least_size(settings, scan_shape))
    histogram = None
    if 0 <= request.component < len(crops):
        part, crop = cuts[request.component], crops[request.component]
        left_out = None if request.left_out is None else request.left_out[crop.within]
        histogram = _histogram(part or cut(crop.values, settings, left_out), settings, noise=part is None)
    noise = sum(part is None for part in cuts)
    if grains > MOST:
        return Live(request, None, grains, small, noise, histogram=histogram)
    known = evidence(request.model, settings, request.peaks, request.calibration, request.left_out)
    found = weighed(crops, cuts, settings, known, scan_shape)
    overlap = float((found.overlap > 1).mean())
    return Live(request, found.labels, len(found), small, noise, overlap, histogram, found.note)


def _of_groups(request: Request) -> Live:
    """What Refine would make of groups of spots, and how likely all of them are."""
    from napari_stemnmf.grains.tracked import judged, outlined

    given: Any = request.model, request.features, request.settings
    found = outlined(*given, left_out=request.left_out)
    labels = found.labels if len(found) <= MOST else None
    overlap = float((found.overlap > 1).mean())
    return Live(request, labels, len(found), overlap=overlap, note=found.note, likely=judged(*given)[2])


def scale_at(histogram: Histogram, weight: float) -> float | None:
    """The factor on the found threshold that puts the cut at a weight, within the bounds of the setting."""
    found = histogram.threshold / histogram.scale
    if not found > 0:
        return None
    return float(min(20.0, max(0.05, round(weight / found, 3))))


def _counted(cuts: Sequence[Cut | None], min_size: int) -> tuple[int, int]:
    """Regions that are large enough, and those that are not."""
    from scipy import ndimage

    from napari_stemnmf.grains.refinement import EIGHT_NEIGHBOURS

    large = small = 0
    for part in cuts:
        if part is not None:
            labels, _ = ndimage.label(part.above, structure=EIGHT_NEIGHBOURS)
            sizes = np.bincount(labels.ravel())[1:]
            large += int((sizes >= min_size).sum())
            small += int((sizes < min_size).sum())
    return large, small


def _histogram(part: Cut, settings: RefinementSettings, noise: bool) -> Histogram:
    values = part.smooth[part.smooth > 0]
    top = float(values.max(initial=0.0)) or 1.0
    counts, edges = np.histogram(values, bins=BINS, range=(0.0, top))
    return Histogram(edges, counts, float(part.threshold), settings.threshold_scale, noise)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
