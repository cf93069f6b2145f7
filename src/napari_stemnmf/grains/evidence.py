"""What NMF's regions are to be taken for, by the Bragg disks of their patterns; and why there are no grains.

A threshold parts any map in two, that of noise as well. A region is a grain where its patterns share Bragg disks.
Where one crystal covers much of the scan (`crystals`), regions that are parts of it give way to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.clustering.crops import Crop
from napari_stemnmf.clustering.ensemble import Ensemble
from napari_stemnmf.control import Control
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.grains.crystals import Crystals, apart_from, large_crystals
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.recurrence import Disks, holds_crystal
from napari_stemnmf.grains.refinement import EIGHT_NEIGHBOURS, Cut, cuts_of, grains_of, least_size
from napari_stemnmf.representation_settings import RefinementSettings


class Tally(NamedTuple):
    """What became of component maps and their regions."""

    maps: int = 0
    noise: int = 0
    """Maps below the least coherence."""
    even: int = 0
    """Maps without any contrast."""
    small: int = 0
    """Regions under the least size."""
    largest: int = 0
    """Positions of the largest of these."""
    disordered: int = 0
    """Regions of enough positions whose patterns share no Bragg disk."""


def refine_model(
    model: Ensemble,
    settings: RefinementSettings,
    peaks: Peaks | None = None,
    calibration: Calibration | None = None,
    *,
    left_out: np.ndarray | None = None,
    control: Control | None = None,
) -> Grains:
    """The grains of a model: regions of its maps that hold a crystal, and crystals that cover much of the scan.

    Parameters
    ----------
    model : Ensemble
    settings : RefinementSettings
    peaks, calibration : optional
        The disks of every pattern, and where they lie; without them every region is a grain.
    left_out : ndarray of bool, (scan_y, scan_x), optional
        As for `refine`.
    control : Control
        Checked for a cancel before each map.

    Returns
    -------
    Grains
        Those of the maps first, in the order of `refine`; then large crystals, of component -1. The note says what was
        done beside cutting maps, or why there is no grain.
    """
    crops = model.crops
    cuts = cuts_of(crops, settings, left_out=left_out, control=control)
    known = evidence(model, settings, peaks, calibration, left_out)
    return weighed(crops, cuts, settings, known, model.scan_shape)


def evidence(
    model: Ensemble,
    settings: RefinementSettings,
    peaks: Peaks | None,
    calibration: Calibration | None,
    left_out: np.ndarray | None = None,
) -> tuple[Disks, Crystals] | None:
    """The disks that regions are judged by, and the large crystals; the model keeps them. None without disks."""
    if peaks is None or calibration is None:
        return None
    least = least_size(settings, peaks.scan_shape)
    of, found = model.cache.get("crystals", (None, None))
    if of != (id(peaks), id(calibration), id(left_out), least):
        disks = Disks.of(peaks, calibration)
        found = disks, large_crystals(disks, least, left_out)
        model.cache["crystals"] = (id(peaks), id(calibration), id(left_out), least), found
    return found  # type: ignore[no-any-return]


def weighed(
    crops: Sequence[Crop],
    cuts: Sequence[Cut | None],
    settings: RefinementSettings,
    known: tuple[Disks, Crystals] | None,
    scan_shape: tuple[int, int],
) -> Grains:
    """Grains of maps that were cut, weighed against the disks and large crystals of the scan."""
    least = least_size(settings, scan_shape)
    grains = grains_of(crops, cuts, least, scan_shape)
    tally = _tally(cuts, least)
    if known is None:
        return grains if len(grains) else replace(grains, note=why_none(tally, settings, scan_shape))
    disks, crystals = known
    crystalline = np.array([holds_crystal(grains.mask(g), disks) for g in range(len(grains))], bool)
    if not crystalline.any() and not len(crystals) and not disks.able:
        crystalline[:] = True  # disks were not found at all: their absence tells nothing
    kept = crystalline & np.array([apart_from(grains.mask(g), crystals, disks) for g in range(len(grains))], bool)
    tally = tally._replace(disordered=int((~crystalline).sum()))
    if kept.all() and not len(crystals) and len(grains):
        return grains
    large = Grains.from_masks(crystals.masks, crystals.weights)
    parts = [grains.part(g) for g in np.flatnonzero(kept).tolist()] + [large.part(g) for g in range(len(large))]
    note = crystals.note
    if not parts:
        note = why_none(tally, settings, scan_shape, disks)
    elif not note and tally.disordered:
        n, these = tally.disordered, "share" if tally.disordered > 1 else "shares"
        note = f"{_count(n, 'region')} of NMF {these} no Bragg disk and {'are' if n > 1 else 'is'} left out."
    component = np.append(grains.component[kept], np.full(len(crystals), -1))
    return Grains.of(parts, scan_shape, component=component, thresholds=grains.thresholds, note=note)


def why_none(
    tally: Tally, settings: RefinementSettings, scan_shape: tuple[int, ...], disks: Disks | None = None
) -> str:
    """Why there are no grains, in a sentence made of what was counted."""
    n, reasons = int(np.prod(scan_shape)), []
    if disks is not None and not disks.recurring:
        found = "beside the direct beam" if not len(disks.q) else "that neighbours share"
        film = "as in a vacuum or an amorphous film, so no region is a crystal"
        reasons.append(f"the patterns hold no Bragg disk {found}, {film}")
    elif tally.disordered:
        held = "holds" if tally.disordered == 1 else "hold"
        reasons.append(f"{_count(tally.disordered, 'region')} {held} no Bragg disk that the patterns share")
    if tally.noise:
        least = f"coherence under min_coherence = {settings.min_coherence:g}"
        reasons.append(f"{tally.noise} of {_count(tally.maps, 'component map')} {_are(tally.noise)} noise ({least})")
    if tally.even:
        reasons.append(f"{tally.even} of {_count(tally.maps, 'component map')} {_are(tally.even)} even over the scan")
    if tally.small:
        least = least_size(settings, scan_shape)
        size = f"min_size = {settings.min_size}" if least == settings.min_size else f"{least} (of min_size, on a line)"
        more = f", the scan has {n}" if n < least else ""
        regions = f"{_count(tally.small, 'region')} {_are(tally.small)}"
        reasons.append(f"{regions} under {size} positions (the largest has {tally.largest}{more})")
    if not tally.maps:
        reasons.append("there are no components")
    return f"No grains: {'; '.join(reasons or ['no region is left'])}."


def _tally(cuts: Sequence[Cut | None], least: int) -> Tally:
    small = largest = 0
    for part in cuts:
        if part is not None:
            labels, _ = ndimage.label(part.above, structure=EIGHT_NEIGHBOURS)
            sizes = np.bincount(labels.ravel())[1:]
            under = sizes[sizes < least]
            small, largest = small + len(under), max(largest, int(under.max(initial=0)))
    even = sum(part is not None and not np.isfinite(part.threshold) for part in cuts)
    return Tally(len(cuts), sum(part is None for part in cuts), even, small, largest)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
