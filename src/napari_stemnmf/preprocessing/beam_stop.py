"""Which detector pixels are left out: the shadow of a beam stop, found in the mean pattern, and masks that are given.

What a shadow is, and how it is found in a smoothed pattern, is in `shadow_evidence` and `shadows`; here it is drawn at
full size. Leans on scipy.ndimage and the readers of detector images.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.preprocessing.preparation import cropped_detector, kept_squares
from napari_stemnmf.preprocessing.shadow_evidence import COUNTS, MOST_AREA, Light, percentiles
from napari_stemnmf.preprocessing.shadows import BETWEEN, find_shadow, middle_of, rings_about
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.stage_settings import BeamStopSettings, PreprocessSettings

COARSE = 128
"""A stop is looked for in the mean pattern binned to about so many pixels along a side, and drawn at full size."""
WINDOWS = (3, 5, 9)
"""It is smoothed over squares of so many of them; the first over which a stop is seen is taken."""
EDGE = 0.3
"""The outline is drawn at this share of the light beside it."""
ARM = (3, 5)
"""A thin arm is looked for in means over so many pixels."""
NOTHING_KEPT = "The mask keeps no pixel of the detector; True (not 0) is what is kept."


def find_beam_stop(
    mean: np.ndarray, control: Control | None = None, keep: np.ndarray | None = None
) -> np.ndarray | None:
    """The mask (True = keep) of a beam stop's shadow in a mean pattern without hot pixels; None if there is none.

    Pixels (q_y, q_x) that are not to `keep` are not looked at, nor are they in the mask that is found.
    """
    control = Control() if control is None else control
    values = np.maximum(np.nan_to_num(np.asarray(mean, np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0.0)
    keep = np.ones(values.shape, bool) if keep is None else keep
    values = np.where(keep, values, 0.0)
    step = max(1, -(-max(values.shape) // COARSE))
    if min(values.shape) < 16 * step or not values.any():
        return None
    count = float(values[values > 0].min()) / step**2
    weight = _binned(keep.astype(np.float64), step)
    coarse = _binned(values, step)
    for window in WINDOWS:
        if 8 * window > min(coarse.shape):
            break
        share = ndimage.uniform_filter(weight, window, mode="nearest")
        there = share > 0.3
        smooth = np.where(there, ndimage.uniform_filter(coarse, window, mode="nearest") / np.maximum(share, 1e-9), 0.0)
        shadow = find_shadow(Light(smooth, coarse, there, count / window**2, window), control)
        if shadow is not None:
            drawn = _with_arms(values, keep, _drawn(values, keep, shadow, step, window), count * step**2)
            if drawn.mean() <= MOST_AREA:
                return ~(drawn & keep)
    return None


def _binned(values: np.ndarray, step: int) -> np.ndarray:
    """Means over squares of `step` pixels, of which the last may reach over the edge."""
    padded = np.pad(values, [(0, -n % step) for n in values.shape], mode="edge")
    return np.asarray(padded.reshape(padded.shape[0] // step, step, -1, step).mean(axis=(1, 3)))


def _drawn(values: np.ndarray, keep: np.ndarray, coarse: np.ndarray, step: int, window: int) -> np.ndarray:
    """A shadow at full size: what was found, and near its outline whatever is far under what is lit."""
    large = coarse.repeat(step, 0).repeat(step, 1)[: values.shape[0], : values.shape[1]]
    reach = (window // 2 + 1) * step
    distance = ndimage.distance_transform_edt(~large)
    lit = ((distance > reach) & keep).astype(np.float64)
    box = 4 * reach + 1
    around, weight = (ndimage.uniform_filter(v, box, mode="constant") for v in (values * lit, lit))
    outside = around / np.maximum(weight, 1e-12)
    small = max(3, (window - 1) * step // 2)
    share = ndimage.uniform_filter(keep.astype(np.float64), small, mode="nearest")
    smooth = ndimage.uniform_filter(values, small, mode="nearest") / np.maximum(share, 1e-9)
    near = (distance > 0) & (distance <= reach) & (weight > 1e-9) & keep
    groups, _ = ndimage.label(large | (near & (smooth < EDGE * outside)))
    return np.asarray(ndimage.binary_fill_holes(np.isin(groups, np.unique(groups[large]))))


def _with_arms(values: np.ndarray, keep: np.ndarray, shadow: np.ndarray, one: float) -> np.ndarray:
    """A shadow with what hangs together with it, a thin arm most of all: far darker than all else at its distance."""
    rings = rings_about(shadow.shape, np.array(middle_of(np.where(shadow, 0.0, values), shadow)))
    beside = keep & ~ndimage.binary_dilation(shadow, iterations=2)
    dark = np.zeros_like(shadow)
    for size in ARM:
        share = ndimage.uniform_filter(keep.astype(np.float64), size, mode="nearest")
        smooth = ndimage.uniform_filter(values, size, mode="nearest") / np.maximum(share, 1e-9)
        between = np.nan_to_num(percentiles(smooth, rings, beside, BETWEEN, int(rings.max()) + 1))
        light = ndimage.uniform_filter1d(between, 5, mode="nearest")[rings]
        here = (smooth < EDGE * light) & (light - smooth > COUNTS * one / size**2) & (share > 0.5)
        dark |= ndimage.binary_dilation(here, np.ones((size, size))) & (values < 0.5 * light)
    groups, _ = ndimage.label(shadow | (dark & keep), np.ones((3, 3)))
    whole = np.isin(groups, np.unique(groups[shadow]))
    filled = np.asarray(ndimage.binary_fill_holes(whole))
    return filled if (filled & ~whole).sum() < 0.5 * shadow.sum() else whole  # a lit aperture is no hole


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
        Of the prepared patterns: a stop is looked for in its mean, and its dead pixels are left out.
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
    for mask in (given_mask(settings, shape, given), survey.keep):
        if mask is not None:
            keep &= _prepared(mask, preprocess)
    if settings.find == "auto":
        found = find_beam_stop(survey.mean, control, keep)
        keep = keep if found is None else keep & found
    if keep.all():
        return None
    if settings.margin > 0:
        keep = ndimage.distance_transform_edt(keep) > settings.margin
    if not keep.any():
        raise DataError(NOTHING_KEPT)
    return keep


def given_mask(
    settings: BeamStopSettings, shape: tuple[int, int], given: np.ndarray | None = None
) -> np.ndarray | None:
    """What the masks that are given, as an array and as a file, both keep of the file's detector; None for none.

    A DataError or ReadError if one is not of the detector's shape, or cannot be read.
    """
    keep = None if given is None else _fitting(np.asarray(given, bool), shape)
    if settings.mask is not None:
        from napari_stemnmf.reading.masks import load_detector_image

        stored = _fitting(load_detector_image(settings.mask, shape) != 0, shape)
        keep = stored if keep is None else keep & stored
    if keep is not None and not keep.any():
        raise DataError(NOTHING_KEPT)
    return keep


def _fitting(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask, if it is of the detector's shape."""
    if mask.shape != shape:
        size = " x ".join(map(str, mask.shape))
        raise DataError(f"The mask is of {size} pixels, but the detector has {shape[0]} x {shape[1]}.")
    return mask


def _prepared(mask: np.ndarray, preprocess: PreprocessSettings) -> np.ndarray:
    """A mask of the file's detector, cropped and binned as the patterns are."""
    return kept_squares(cropped_detector(mask, preprocess), preprocess.bin)
