"""Which detector pixels are left out: the shadow of a beam stop, found in the mean pattern, and masks that are given.

A beam stop is a dark region that reaches in from the detector's edge with a sharp outline and hides the middle of the
pattern. Leans on scipy.ndimage and the readers of detector images.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.stage_settings import BeamStopSettings, PreprocessSettings

COARSE = 128
"""A stop is looked for in the mean pattern binned to about so many pixels along a side, and drawn at full size."""
WINDOWS = (3, 5, 9)
"""It is smoothed over squares of so many of them; the first over which a stop is seen is taken."""
THRESHOLDS = 32
"""Levels that the dark region is looked for below."""
CONTRAST = 4.0
"""A sharp outline separates values at least so many times apart."""
SHARP = 0.75
"""Least share of the outline that is sharp."""
SOLID = 0.75
"""Least share of its convex hull that a shadow fills."""
LEAST_AREA, MOST_AREA = 0.003, 0.35
"""Of a shadow, as shares of the detector."""
GHOST = 3.0
"""The direct beam shines faintly through a stop: brighter than this, against the brightest disk, it is not hidden."""
GROWTHS, BESIDE, DARK = 3, 12, 0.2
"""How often, and how far in coarse pixels, a shadow is continued where no more than this share of the light falls."""
EDGE = 0.3
"""The outline is drawn at this share of the light beside it."""
FEW_COUNTS = 4.0
"""Contrast is judged as if so many counts more fell into each smoothing square: no stop is made of noise."""


def find_beam_stop(mean: np.ndarray, control: Control | None = None) -> np.ndarray | None:
    """The mask (True = keep) of a beam stop's shadow in a mean pattern without hot pixels; None if there is none.

    Of all regions below some level that touch the detector's edge, the one with the sharpest and most regular outline,
    if it is sharp enough and hides the middle of the pattern: the centre of mass, once the shadow is filled from the
    other side of it. What lies outside all that is lit, as the corners about a round aperture, is no shadow.
    """
    control = Control() if control is None else control
    values = np.maximum(np.nan_to_num(np.asarray(mean, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    step = max(1, -(-max(values.shape) // COARSE))
    if min(values.shape) < 16 * step or not values.any():
        return None
    count = float(values[values > 0].min())
    coarse = _binned(values, step)
    for window in WINDOWS:
        if 8 * window > min(coarse.shape):
            break
        smooth = ndimage.uniform_filter(coarse, window, mode="nearest")
        shadow = _shadow(smooth, window, FEW_COUNTS * count / (window * step) ** 2, control)
        if shadow is None:
            continue
        shadow = _grown(smooth, shadow, control)
        if shadow.mean() <= MOST_AREA and not _shines_through(shadow, smooth):
            return ~_drawn(values, shadow, step, window)
    return None


def _binned(values: np.ndarray, step: int) -> np.ndarray:
    """Means over squares of `step` pixels, of which the last may reach over the edge."""
    padded = np.pad(values, [(0, -n % step) for n in values.shape], mode="edge")
    return np.asarray(padded.reshape(padded.shape[0] // step, step, -1, step).mean(axis=(1, 3)))


def _shadow(smooth: np.ndarray, window: int, floor: float, control: Control) -> np.ndarray | None:
    """The dark region with the best outline that hides the middle of a smoothed pattern."""
    reach = 2 * window + 1
    highest = ndimage.maximum_filter(smooth, reach, mode="nearest") + floor
    sharp = highest > CONTRAST * (ndimage.minimum_filter(smooth, reach, mode="nearest") + floor)
    best, best_score = None, 0.0
    for level in np.geomspace(floor, max(2 * floor, float(np.median(smooth))), THRESHOLDS):
        control.check()
        labels, number = ndimage.label(smooth < level)
        sizes = np.bincount(labels.ravel(), minlength=number + 1) / smooth.size
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        candidates = edge[(edge > 0) & (sizes[edge] >= LEAST_AREA)]
        lit = _largest(smooth >= level)
        hull = _hull(lit) if len(candidates) else lit
        for label in candidates:
            region = _within(labels == label, lit, hull)
            if not LEAST_AREA <= region.mean() <= MOST_AREA:
                continue
            share, solid = _share_of_outline(region, sharp), float(region.sum() / _hull(region).sum())
            if share < SHARP or solid < SOLID or share * solid <= best_score:
                continue
            if _hides_the_middle(region, smooth):
                best, best_score = region, share * solid
    return best


def _within(region: np.ndarray, lit: np.ndarray, hull: np.ndarray) -> np.ndarray:
    """The largest part of a region, holes filled, that lies within the hull of what is lit; no sliver along it."""
    inside = ndimage.binary_fill_holes(region) & ~lit & hull
    return _largest(ndimage.binary_opening(inside, np.ones((3, 3))))


def _largest(region: np.ndarray) -> np.ndarray:
    """The largest connected part of a region."""
    labels, number = ndimage.label(region)
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:])) if number > 1 else region


def _hull(region: np.ndarray) -> np.ndarray:
    """The convex hull of a region."""
    from skimage.morphology import convex_hull_image

    return np.asarray(convex_hull_image(region)) if region.any() else region


def _grown(smooth: np.ndarray, region: np.ndarray, control: Control) -> np.ndarray:
    """A shadow with what is as dark beside it, so that it reaches the edge and around the direct beam's faint image.

    Dark is what is below a share of the median around, of what is lit.
    """
    for _ in range(GROWTHS):
        control.check()
        _, (rows, columns) = ndimage.distance_transform_edt(
            ndimage.binary_dilation(region, iterations=2), return_indices=True
        )
        lit = ndimage.median_filter(smooth[rows, columns], BESIDE + 1, mode="nearest")
        near = ndimage.distance_transform_edt(~region) <= BESIDE
        grown = ndimage.binary_fill_holes(_largest(region | (near & (smooth < DARK * lit))))
        if (grown == region).all():
            break
        region = grown
    return region


def _drawn(values: np.ndarray, coarse: np.ndarray, step: int, window: int) -> np.ndarray:
    """A shadow at full size: the hull of what was found, and near its outline whatever is far under what is lit."""
    large = coarse.repeat(step, 0).repeat(step, 1)[: values.shape[0], : values.shape[1]]
    reach = (window // 2 + 1) * step
    distance = ndimage.distance_transform_edt(~large)
    lit = (distance > reach).astype(np.float64)
    box = 4 * reach + 1
    around, weight = (ndimage.uniform_filter(v, box, mode="constant") for v in (values * lit, lit))
    outside = around / np.maximum(weight, 1e-12)
    smooth = ndimage.uniform_filter(values, max(3, (window - 1) * step // 2), mode="nearest")
    near = (distance > 0) & (distance <= reach) & (weight > 1e-9)
    return np.asarray(ndimage.binary_fill_holes(_largest(large | (near & (smooth < EDGE * outside)))))


def _share_of_outline(region: np.ndarray, sharp: np.ndarray) -> float:
    """How much of a region's outline within the detector is sharp."""
    outline = region & ~ndimage.binary_erosion(region, border_value=1)
    return float(sharp[outline].mean()) if outline.any() else 0.0


def _hides_the_middle(region: np.ndarray, smooth: np.ndarray) -> bool:
    """Whether the pattern's middle lies in a region, and the direct beam is not seen there."""
    if _shines_through(region, smooth):
        return False
    outside = np.where(region, 0.0, smooth)
    y, x = (round(v) for v in _middle(outside, region))
    return bool(0 <= y < region.shape[0] and 0 <= x < region.shape[1] and region[y, x])


def _shines_through(region: np.ndarray, smooth: np.ndarray) -> bool:
    """Whether what is brightest of a pattern lies in a region: the direct beam, which is not hidden then."""
    return bool(smooth[region].max() > GHOST * smooth[~region].max(initial=0.0))


def _middle(outside: np.ndarray, region: np.ndarray) -> tuple[float, float]:
    """Centre of mass of a pattern whose hidden region is filled with what lies opposite."""
    middle = np.array(ndimage.center_of_mass(outside))
    hidden = np.argwhere(region)
    for _ in range(50):
        filled = outside.copy()
        opposite = np.rint(2 * middle - hidden).astype(np.int64)
        there = ((opposite >= 0) & (opposite < outside.shape)).all(axis=1)
        filled[tuple(hidden[there].T)] = outside[tuple(opposite[there].T)]
        last, middle = middle, np.array(ndimage.center_of_mass(filled))
        if np.abs(middle - last).max() < 0.05:
            break
    return float(middle[0]), float(middle[1])


def detector_mask(
    survey: Survey,
    settings: BeamStopSettings,
    preprocess: PreprocessSettings,
    raw_detector_shape: tuple[int, int],
    given: np.ndarray | None = None,
    control: Control | None = None,
) -> np.ndarray | None:
    """Which pixels of the prepared detector count: not in the shadow of a beam stop, and in every mask that is given.

    Parameters
    ----------
    survey : Survey
        Of the prepared patterns; a stop is looked for in its mean.
    settings : BeamStopSettings
        Whether to look, a file with a mask, and the margin around all that is masked.
    preprocess : PreprocessSettings
        Crop and binning, through which masks of the file's detector go: a binned pixel is kept if all its pixels are.
    raw_detector_shape : tuple of int
        Rows and columns of the file's detector.
    given : ndarray of bool, optional
        A mask of the file's detector, True = keep.
    control : Control, optional
        Checked for a cancel all along.

    Returns
    -------
    ndarray of bool or None
        (q_y, q_x) prepared pixels, True = keep; None where all are kept.

    Raises
    ------
    DataError, ReadError
        If a mask is not of the detector's shape, nothing is kept, or the file cannot be read.
    """
    shape = (int(raw_detector_shape[0]), int(raw_detector_shape[1]))
    keep = np.ones(survey.mean.shape, bool)
    if given is not None:
        keep &= _prepared(np.asarray(given, bool), shape, preprocess)
    if settings.mask is not None:
        from napari_stemnmf.reading.masks import load_detector_image

        keep &= _prepared(load_detector_image(settings.mask, shape) != 0, shape, preprocess)
    if settings.find == "auto":
        found = find_beam_stop(survey.mean, control)
        keep = keep if found is None else keep & found
    if keep.all():
        return None
    if settings.margin > 0:
        keep = ndimage.distance_transform_edt(keep) > settings.margin
    if not keep.any():
        raise DataError("The mask keeps no pixel of the detector; True (not 0) is what is kept.")
    return keep


def _prepared(mask: np.ndarray, shape: tuple[int, int], preprocess: PreprocessSettings) -> np.ndarray:
    """A mask of the file's detector, cropped and binned as the patterns are."""
    if mask.shape != shape:
        size = " x ".join(map(str, mask.shape))
        raise DataError(f"The mask is of {size} pixels, but the detector has {shape[0]} x {shape[1]}.")
    where = tuple(slice(None) if span is None else slice(*span) for span in (preprocess.q_y, preprocess.q_x))
    mask, step = mask[where], preprocess.bin
    rows, columns = mask.shape[0] // step, mask.shape[1] // step
    squares = mask[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return np.asarray(squares.all(axis=(1, 3)))
