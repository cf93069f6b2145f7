"""Pixels whose number says nothing of the specimen: found before anything is measured, told, and left out.

They read the largest number of their type, no number, or one and the same number in nearly every pattern; or they never
count although those around them do. A direct beam that saturates the detector reads the largest number as well, but
the pixels around it are bright, too: it is told and kept. Dark parts of the detector, where few electrons fall, are
not dead. Leans on scipy.ndimage.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_stemnmf.preprocessing.sharp_spots import numbers
from napari_stemnmf.preprocessing.symmetry import inversion_center

NO_NUMBER, LARGEST, CONSTANT, SILENT, SATURATED = "no number", "largest", "constant", "silent", "saturated"
"""Kinds of pixels: NaN or infinite; at the largest number of a type; at another; that never count; a saturated beam."""
FRINGE = "fringe"
"""Rows and columns at the detector's edge that hold no counts, as the header of a frame."""

WORDS = {
    NO_NUMBER: "hold no number in most patterns",
    LARGEST: "read the largest number of their type in most patterns",
    CONSTANT: "read the same number in nearly every pattern",
    SILENT: "never count though those beside them do",
    FRINGE: "are of rows or columns at the detector's edge that hold other numbers than counts, by orders of magnitude",
}
TOP_SHARE = 0.5
"""Least share of patterns in which a dead pixel reads the largest number, or none."""
SAME_SHARE = 0.9
"""Least share of patterns in which it reads any other number."""
CHANCE = 1e-3
"""Most pixels of a detector whose counts may agree in so many patterns by chance."""
FEW_PATTERNS = 8
"""From fewer, nothing but the largest numbers tells a dead pixel."""
MOST = 0.9
"""Where a larger share of the detector is so, it is the patterns that are odd."""
MOST_CONSTANT = 0.5
"""The same for numbers that are not the largest: there is data without noise."""
NOISY = 0.25
"""In counted data the brightest pixels do not repeat a number in a larger share of the patterns."""
BRIGHTEST = 50
"""So many pixels are looked at for that."""
BESIDE, ABREAST, FALLING, APART = 0.05, 0.5, 2.0, 4
"""Beside a saturated beam, the brightest pixel of each side has this share of the largest number and is so many times
as bright as those APART px away; or it is ABREAST of it."""
LONG, ROUND, CORNERS = 3.0, 0.6, 4
"""A beam is not so many times longer than it is wide, fills this share of the rectangle around it, and of one of so
many pixels and more along each side not all."""
SILENT_COUNTS = 40.0
"""Counts that pixels beside a silent one have over the scan..."""
LIT, EVEN = 0.6, 0.3
"""... or at least this share of them; beside few silent ones they have this share of their median, too."""
SMALL, FILLED = 12, 0.95
"""Silent pixels are few, or a row, a column, a rectangle: they fill this share of the rectangle around them."""
ORDERS, LINES, SOME = 1000.0, 4, 3
"""SOME pixels of a row at the edge hold numbers so many times larger than any of the LINES rows beside it."""
STEP_PATTERNS = 16
"""The size of one count is taken from so many patterns of the sample."""
_EIGHT = np.ones((3, 3), bool)


def find_dead_pixels(
    sample: np.ndarray, mean: np.ndarray, maximum: np.ndarray, count: int, keep: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Where pixels say nothing, by kind; kinds without pixels are absent, and no pixel is of two kinds.

    Parameters
    ----------
    sample : ndarray
        (p, q_y, q_x) some patterns from all over the scan, as they are stored.
    mean, maximum : ndarray
        (q_y, q_x) of all patterns; what is no number or negative counts as 0.
    count : int
        How many patterns there are.
    keep : ndarray of bool, optional
        (q_y, q_x), True = keep: other pixels are not looked at, nor are they in what surrounds a pixel.

    Returns
    -------
    dict of str to ndarray of bool
        (q_y, q_x) masks, True = of that kind. `SATURATED` pixels are those of the direct beam; all others are dead.
    """
    keep = np.ones(mean.shape, bool) if keep is None else keep
    if not len(sample) or not keep.any():
        return {}
    typical, number = typical_values(sample), np.ones(mean.shape, bool)
    if sample.dtype.kind == "f":
        numbers = np.abs(sample) <= np.finfo(np.float32).max
        number = numbers.mean(axis=0) > 1.0 - TOP_SHARE
    at_top = np.isin(typical, _largest_numbers(sample.dtype)) & number & keep
    same = _share_of(sample, typical, keep & number & (typical != 0))
    largest = at_top & (same >= TOP_SHARE)
    constant = _constant(sample, typical, same, np.asarray(mean, np.float64), keep & number & ~largest)
    found = {NO_NUMBER: ~number & keep, LARGEST: largest, CONSTANT: constant}
    lit = keep & number & ~largest & ~constant
    found[SATURATED] = _saturated_beam((largest | constant) & (typical > 0), typical, mean, lit)
    for kind in (LARGEST, CONSTANT):
        found[kind] &= ~found[SATURATED]
    if sum(mask.sum() for mask in found.values()) > MOST * keep.sum():
        return {}
    step = count_step(sample[:STEP_PATTERNS]) / max(count, 1)
    if step > 0:
        found[SILENT] = _silent(sample, mean, maximum, lit, step)
    return {kind: mask for kind, mask in found.items() if mask.any()}


def unlike_edges(patterns: np.ndarray) -> np.ndarray:
    """(q_y, q_x) True in rows and columns at the edge of patterns (p, q_y, q_x) that hold no counts."""
    found = np.zeros(patterns.shape[1:], bool)
    if not len(patterns):
        return found
    size = np.abs(np.nan_to_num(patterns.astype(np.float64), posinf=0.0, neginf=0.0))
    size = np.minimum(size, 1e30).mean(axis=0)
    for values, lines in (size, found), (size[::-1], found[::-1]), (size.T, found.T), (size.T[::-1], found.T[::-1]):
        if min(values.shape) >= 4 * LINES:
            some = np.partition(values[:LINES], -SOME, axis=1)[:, -SOME]
            beside = np.array([values[n : n + LINES].max() for n in range(1, LINES + 1)])
            unlike = np.flatnonzero((some > ORDERS * beside) & (some > values[2 * LINES :].max()))
            lines[: unlike.max(initial=-1) + 1] = True
    return found


def sentences(counts: dict[str, int]) -> list[str]:
    """What is odd about the pixels of a detector and what was done, a sentence each, from their numbers by kind."""
    said = [
        f"{counts[kind]:,} detector pixels {words}; they are dead and count for nothing "
        "(up to three side by side are repaired, more are masked; preprocess.dead_pixels = off keeps them)."
        for kind, words in WORDS.items()
        if counts.get(kind)
    ]
    if beam := counts.get(SATURATED):
        said.append(f"The direct beam is saturated: {beam:,} pixels of it read their largest number in most patterns.")
    return said


def few_and_many(
    odd: dict[str, np.ndarray], shape: tuple[int, ...], out: np.ndarray | None, few: int
) -> tuple[np.ndarray, np.ndarray]:
    """Dead pixels of groups of up to `few`, and those of larger ones or beside what is left `out`: (q_y, q_x) each."""
    dead = np.zeros(shape, bool)
    for kind, mask in odd.items():
        dead |= mask & (kind != SATURATED)
    groups, number = ndimage.label(dead if out is None else dead | out, _EIGHT)
    small = np.bincount(groups.ravel(), minlength=number + 1) <= few
    if out is not None:
        small[np.unique(groups[out])] = False
    single = dead & small[groups]
    return single, dead & ~single


def _largest_numbers(dtype: np.dtype) -> np.ndarray:
    """What detectors and files write where there is no count: the largest numbers of a type and of narrower ones."""
    if dtype.kind == "f":  # once whole numbers of any width; float32 rounds 2^32 - 1 up
        wholes = [2.0**bits - 1 for bits in (16, 31, 32, 63, 64)] + [2.0**bits for bits in (31, 32)]
        return np.unique(np.array([*wholes, np.finfo(dtype).max]).astype(dtype))
    if dtype.kind not in "iu":
        return np.empty(0)
    top = int(np.iinfo(dtype).max)
    numbers = {2**bits - 1 for bits in (16, 32) if 2**bits - 1 <= top} | {top}
    return np.array(sorted({*numbers, *([2**31 - 1] if top > 2**31 else [])}), dtype)


def typical_values(sample: np.ndarray) -> np.ndarray:
    """At each pixel the median of five patterns, which is the number that it reads in most, if there is one."""
    few = sample[np.unique(np.linspace(0, len(sample) - 1, 5).round().astype(int))]
    return np.asarray(np.sort(few, axis=0)[(len(few) - 1) // 2])


def _share_of(sample: np.ndarray, value: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(q_y, q_x) share of the patterns in which a pixel reads a value; 0 where it is not asked for."""
    share = np.zeros(value.shape)
    rows, columns = np.nonzero(where)
    for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 4096)):
        at = rows[part], columns[part]
        share[at] = (sample[:, at[0], at[1]] == value[at]).mean(axis=0)
    return share


def _constant(
    sample: np.ndarray, typical: np.ndarray, same: np.ndarray, mean: np.ndarray, where: np.ndarray
) -> np.ndarray:
    """Pixels that read one number, other than 0, in nearly every pattern, which counts would not."""
    nothing = np.zeros(where.shape, bool)
    if len(sample) < FEW_PATTERNS:
        return nothing
    with np.errstate(divide="ignore", over="ignore"):
        agree = np.minimum(0.5, 0.4 / np.sqrt(np.abs(typical.astype(np.float64)) + 1e-12))  # two counts, by chance
    constant = where & (same >= SAME_SHARE) & (agree ** (SAME_SHARE * (len(sample) - 1)) * where.size < CHANCE)
    others = np.flatnonzero(where & ~constant & (mean > 0))
    if not constant.any() or not len(others) or constant.sum() > MOST_CONSTANT * where.sum():
        return nothing
    brightest = others[np.argsort(mean.ravel()[others], kind="stable")[-BRIGHTEST:]]
    of_brightest = np.zeros(where.size, bool)
    of_brightest[brightest] = True
    repeated = _share_of(sample, typical, of_brightest.reshape(where.shape)).ravel()[brightest]
    return constant & (typical < 0) | (constant if np.median(repeated) <= NOISY else nothing)


def _saturated_beam(candidates: np.ndarray, value: np.ndarray, mean: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Groups of pixels at their largest number that are bright on all sides: a beam, and no dead block.

    A beam with a sharp edge may be dark beside some of its pixels: then it is about the middle of all other light.
    """
    groups, _ = ndimage.label(candidates, _EIGHT)
    beam = np.zeros(candidates.shape, bool)
    middle: tuple[float, float] | None = None
    for label, box in enumerate(ndimage.find_objects(groups), 1):
        height, width = (span.stop - span.start for span in box)
        if max(height, width) > LONG * min(height, width):
            continue
        wide = tuple(slice(max(0, span.start - APART - 1), span.stop + APART + 1) for span in box)
        group = groups[wide] == label
        around = _bright_around(group, float(value[wide][group].max()), mean[wide], lit[wide])
        if around or _all_light_beside(groups == label, mean, lit):
            beam[wide] |= group
        elif _like_a_disk(groups[box] == label):
            middle = middle or inversion_center(mean, lit) or (np.inf, np.inf)
            off = np.hypot(*(np.argwhere(groups == label).mean(axis=0) - middle))
            if off <= max(1.0, 0.25 * (height + width)):
                beam[wide] |= group
    return beam


def _like_a_disk(group: np.ndarray) -> bool:
    """Whether pixels fill the rectangle around them as a disk does; few pixels may fill all of it."""
    return bool(group.mean() >= ROUND and (min(group.shape) < CORNERS or not group.all()))


def _bright_around(group: np.ndarray, value: float, mean: np.ndarray, lit: np.ndarray) -> bool:
    """Whether the light falls off on every side of a group from near its value."""
    distance = ndimage.distance_transform_cdt(~group, "chessboard")
    y, x = (np.asarray(along) - np.asarray(along)[group].mean() for along in np.indices(group.shape))
    below, right = y + x > 0, y - x >= 0  # of the two diagonals: four sides
    for side in (below & right, below & ~right, ~below & right, ~below & ~right):
        near, far = mean[side & (distance == 1) & lit], mean[side & (distance == APART) & lit]
        if not near.size:
            continue
        brightest = float(near.max())
        falling = brightest >= BESIDE * value and brightest >= FALLING * float(np.median(far) if far.size else 0.0)
        if not falling and brightest < ABREAST * value:
            return False
    return bool((lit & (distance == 1)).any())


def _all_light_beside(group: np.ndarray, mean: np.ndarray, lit: np.ndarray) -> bool:
    """Whether nearly all other light touches a group: the rim of a beam in vacuum, whose edge is sharp."""
    touching = ndimage.binary_dilation(group, _EIGHT) & ~group & lit
    brightest = float(mean[touching].max(initial=0.0))
    return brightest > 0 and float(mean[lit & ~touching & ~group].max(initial=0.0)) < BESIDE * brightest


def _silent(sample: np.ndarray, mean: np.ndarray, maximum: np.ndarray, lit: np.ndarray, step: float) -> np.ndarray:
    """Pixels that never count while those beside them do: few of them, or whole lines, or rectangles.

    Few pixels must be silent amid what is lit in calm patterns, too, and evenly: between disks it is dark as well.
    """
    empty = lit & (maximum <= 0)
    empty[empty] = (sample[:, empty] == sample[0, empty]).all(axis=0)
    silent = _silent_rows(empty, lit, mean / step) | _silent_rows(empty.T, lit.T, mean.T / step).T
    calm = None
    groups, _ = ndimage.label(empty & ~silent)
    boxes = ndimage.find_objects(groups)
    beside_light = np.unique(groups[ndimage.binary_dilation(lit & (mean / step >= SILENT_COUNTS), _EIGHT)])
    for label in beside_light[beside_light > 0].tolist():
        box = boxes[label - 1]
        inner = groups[box] == label
        small = inner.sum() <= SMALL
        if not small and inner.mean() < FILLED:
            continue
        wide = tuple(slice(max(0, span.start - 1), span.stop + 1) for span in box)
        group = groups[wide] == label
        beside = ndimage.binary_dilation(group, _EIGHT) & ~group & lit[wide] & ~silent[wide]
        if not small:  # the dark around a beam encloses what is lit; a dead rectangle lies amid it
            beside[tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))] = False
        if not beside.any():
            continue
        least = SILENT_COUNTS
        counts = mean[wide][beside] / step
        if small:
            calm = calm_pattern(sample) if calm is None else calm
            counts = calm[wide][beside] * (mean[wide][beside].sum() > 0) / step
            least = max(least, EVEN * float(np.median(counts)))
        if (counts >= least).mean() >= LIT:
            silent[wide] |= group
    return silent


def _silent_rows(empty: np.ndarray, lit: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rows in which no pixel ever counts, between rows that do."""
    silent = np.zeros(empty.shape, bool)
    runs, number = ndimage.label((empty | ~lit).all(axis=1) & empty.any(axis=1))
    for run in range(1, number + 1):
        rows = np.flatnonzero(runs == run)
        beside = [row for row in (rows[0] - 1, rows[-1] + 1) if 0 <= row < len(runs) and lit[row].any()]
        if beside and all((counts[row][lit[row]] >= SILENT_COUNTS).mean() >= LIT for row in beside):
            silent[rows] = empty[rows]
    return silent


def calm_pattern(patterns: np.ndarray) -> np.ndarray:
    """At each pixel the mean of the lower half of its values (p, q_y, q_x): without spots that come and go."""
    half = (len(patterns) + 1) // 2
    lowest = np.partition(patterns, half - 1, axis=0)[:half]
    return np.asarray((numbers(lowest) if lowest.dtype.kind == "f" else lowest).mean(axis=0))


def count_step(patterns: np.ndarray) -> float:
    """The least difference between two values: one count where electrons are counted, next to nothing elsewhere."""
    values = np.unique(patterns)
    values = values[np.isfinite(values)]
    return float(np.diff(values.astype(np.float64)).min(initial=np.inf)) if len(values) > 1 else 0.0
