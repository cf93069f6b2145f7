"""The blur of a scan by probe and source, from how fast dark fields fall beside a grain; and how to undo it.

An image that nothing negative went into, blurred by a Gaussian of standard deviation s, obeys
``I(x - h) I(x + h) >= I(x)^2 exp(-h^2 / s^2)`` at every place and for every step h (the Cauchy-Schwarz inequality for a
sum of shifted Gaussians; Tweedie's formula in the limit). The bound is met by a point, and nearly met at the foot of an
edge. So the steepest falls of strong dark fields tell the largest blur that they can have gone through, whatever the
grains look like, and no fall is steeper than noise lets one say: where nothing is blurred, nothing is found.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from scipy.special import erf

from napari_stemnmf.clustering.crops import Crop
from napari_stemnmf.grains.seams import Borders

CLEAR, STRONG = 8.0, 24.0
"""Signal-to-noise ratio of a place that is looked at, and of the best place of a dark field that is."""
SURE = 3.0
"""Standard errors that are taken off a fall."""
SHARPEST = 0.9
"""Quantile of the dark fields, by their steepest fall; a few are cut by neighbours and fall faster than any blur."""
FOOT = 0.87
"""Blur over what is found beside a straight, sharp edge: root of 0.76, the curvature of -log(erfc) 0.7 s outside."""
LONGEST = 8
"""Largest step, positions."""
FEW = 5
"""Dark fields that it takes at least."""
MOST = 8192
"""Dark fields that are looked at: of more, so many, evenly."""
NONE = 0.5
"""Positions; less blur than this does not reach the next position, and is none."""


def scan_blur(fields: csr_array, sigma: csr_array, borders: Borders) -> float:
    """Standard deviation of the blur of a scan, positions; 0 where the data shows none.

    Parameters
    ----------
    fields, sigma : csr_array
        (tracks, n) dark fields and their standard errors, counts, with the same stored places.
    borders : Borders
        Of the scan; no fall is taken over one.
    """
    some = np.unique(np.linspace(0, max(fields.shape[0] - 1, 0), min(fields.shape[0], MOST)).astype(int))
    crops = [_crop(fields, sigma, t, borders) for t in some.tolist()]
    crops = [(value, error) for value, error in crops if (value > STRONG * error).any()]
    if len(crops) < FEW:
        return 0.0
    for step in range(1, LONGEST + 1):
        falls = np.array([_steepest(value, error, step) for value, error in crops])
        fall = float(np.quantile(falls[np.isfinite(falls)], SHARPEST)) if np.isfinite(falls).sum() >= FEW else 0.0
        blur = FOOT / np.sqrt(fall) if fall > 0 else np.inf
        if blur < 1.25 * step:
            return blur if blur >= NONE else 0.0
    return 0.0  # no edge is seen, as in a crystal that fills the scan


def _crop(fields: csr_array, sigma: csr_array, t: int, borders: Borders) -> tuple[np.ndarray, np.ndarray]:
    """A dark field and its error on the smallest rectangle; where it was not taken, and at seams, both are NaN."""
    own = slice(fields.indptr[t], fields.indptr[t + 1])
    at, columns = fields.indices[own], borders.columns[-1]
    if not len(at):
        return np.empty((0, 0)), np.empty((0, 0))
    known = Crop.of(at, np.ones(len(at), bool), columns)
    value = Crop.of(at, fields.data[own].astype(np.float64), columns).values
    error = Crop.of(at, np.minimum(sigma.data[own], 1e30).astype(np.float64), columns).values
    value, error = np.where(known.values, value, np.nan), np.where(known.values, error, np.nan)
    for axis, (first, ends) in enumerate(((known.top, borders.rows), (known.left, borders.columns))):
        seams = [end - first for end in ends if first < end < first + value.shape[axis]]
        gaps = np.repeat(np.array(seams, np.int64), LONGEST)
        value, error = np.insert(value, gaps, np.nan, axis), np.insert(error, gaps, np.nan, axis)
    return value, error


def _steepest(value: np.ndarray, error: np.ndarray, step: int) -> float:
    """The largest ``-log(I(x - h) I(x + h) / I(x)^2) / h^2`` less its errors, along rows and columns; -inf for none."""
    most = -np.inf
    for v, e in ((value, error), (value.T, error.T)):
        low, middle, high = v[: -2 * step], v[step:-step], v[2 * step :]
        of_low, of_middle, of_high = e[: -2 * step], e[step:-step], e[2 * step :]
        with np.errstate(invalid="ignore"):
            clear = (middle > CLEAR * of_middle) & np.isfinite(low) & np.isfinite(high)
        if not clear.any():
            continue
        low, middle, high = np.maximum(low, of_low)[clear], middle[clear], np.maximum(high, of_high)[clear]
        spread = np.sqrt(
            (of_low[clear] / low) ** 2 + (of_high[clear] / high) ** 2 + 4 * (of_middle[clear] / middle) ** 2
        )
        fall = 2 * np.log(middle) - np.log(low) - np.log(high) - SURE * spread
        most = max(most, float(fall.max()) / step**2)
    return most


@lru_cache(maxsize=512)
def blurring(first: int, length: int, borders: tuple[int, ...], blur: float) -> np.ndarray:
    """Matrix (length, length) that blurs positions `first` on along an axis of the scan; dark beyond a crop.

    Parameters
    ----------
    first, length : int
        The crop.
    borders : tuple of int
        Of the axis, as of `Borders`: none of the light goes over one, and beyond it a map goes on as its last value.
    blur : float
        Standard deviation, positions.
    """
    matrix = np.zeros((length, length))
    for begin, end in pairwise(borders):
        low, high = max(begin, first), min(end, first + length)
        if low < high:
            own = slice(low - first, high - first)
            matrix[own, own] = _blurring(high - low, low == begin, high == end, blur)
    return matrix


def _blurring(length: int, begins: bool, ends: bool, blur: float) -> np.ndarray:
    """The same for a part of one piece, which may begin and end the piece."""
    reach = int(np.ceil(4 * blur)) + 1
    place = np.arange(-reach, length + reach)
    away = np.arange(length)[:, None] - place
    if blur > 0:
        wide = np.sqrt(2) * blur
        share = (erf((away + 0.5) / wide) - erf((away - 0.5) / wide)) / 2
    else:
        share = (away == 0).astype(np.float64)
    place = np.clip(place, 0 if begins else None, length - 1 if ends else None)
    matrix = np.zeros((length, length))
    inside = (place >= 0) & (place < length)
    np.add.at(matrix.T, place[inside], share[:, inside].T)
    return matrix


def deblurred(
    image: np.ndarray, error: np.ndarray, along_y: np.ndarray, along_x: np.ndarray, rounds: int
) -> np.ndarray:
    """The non-negative image (y, x) that, blurred, fits another within its errors: the Richardson-Lucy iteration.

    It starts flat where there is light and gets sharper as it goes on, and ends where the fit is within the errors,
    so that noise is not sharpened (W. H. Richardson, J. Opt. Soc. Am. 62 (1972) 55).
    """
    image = np.maximum(image, 0)
    least = 1e-9 * max(float(image.max(initial=0)), 1e-30)
    sharp = image + 1e-3 * image.max(initial=0)
    gain = np.maximum(np.outer(along_y.sum(axis=0), along_x.sum(axis=0)), 0.05)
    lit = image > 0
    for _ in range(rounds):
        again = along_y @ sharp @ along_x.T
        if np.mean(((image - again)[lit] / error[lit]) ** 2) < 1:
            break
        sharp = sharp * (along_y.T @ (image / np.maximum(again, least)) @ along_x) / gain
    return np.asarray(sharp)
