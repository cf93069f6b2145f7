"""One row a grain: size, shape, position, overlap, and the similarity of its patterns.

Lengths come in pixels (probe positions) and, where the scan is calibrated in a length, in nm; then eccentricity and
orientation are those of the real shape, even where the step along y is not the step along x.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from napari_stemnmf.control import Control
from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.patterns import GrainPatterns, digests
from napari_stemnmf.units import normalise

LENGTHS = ("equivalent_diameter", "feret_max", "major_axis", "minor_axis", "perimeter", "centroid_y", "centroid_x")
"""What is given in px and, on a calibrated scan, in nm."""


def measure(
    grains: Grains,
    axes: Sequence[Axis] | None = None,
    patterns: GrainPatterns | None = None,
    stability: np.ndarray | None = None,
    *,
    control: Control | None = None,
) -> pd.DataFrame:
    """Measure every grain.

    Parameters
    ----------
    grains : Grains
        Masks and weights.
    axes : sequence of Axis, optional
        The axes of the dataset, of which the first two are scan_y and scan_x. Without a unit of length there, the
        columns in nm are absent.
    patterns : GrainPatterns, optional
        Adds the column ``dissimilarity``.
    stability : ndarray, (g,), optional
        Adds the column of that name.
    control : Control, optional
        Checked for a cancel before each grain.

    Returns
    -------
    pandas.DataFrame
        One row a grain, in the order of the masks:

        - ``grain_id``, ``component``;
        - ``area_px`` (probe positions), ``area_nm2``;
        - ``equivalent_diameter_*``: of the disk of the same area;
        - ``feret_max_*``: the largest distance between two corners of the grain's pixels, so sqrt(2) px for a single
          one; scikit-image's ``feret_diameter_max`` runs between the middles of pixel edges and may be up to 1 px
          less;
        - ``major_axis_*``, ``minor_axis_*``: of the ellipse of the same second moments, pixels taken as squares;
        - ``perimeter_*``: by the Crofton formula in four directions;
        - ``centroid_y_*``, ``centroid_x_*``: of the mask; in nm with the axes' offsets;
        - ``eccentricity`` of that ellipse, 0 to 1; ``orientation_deg`` of its major axis from scan_x towards scan_y,
          above -90 to 90, NaN where it is round;
        - ``solidity``: area over that of the convex hull of the pixels;
        - ``touches_border``: whether the scan cuts it off, so that size and shape are those of a part;
        - ``overlap_fraction`` of its positions that another grain shares, ``overlap_grains``: how many others do;
        - ``weight_sum``, ``weight_mean`` over its positions;
        - ``dissimilarity`` of its patterns (Bruefach, Ophus & Scott 2022, eq. 6);
        - ``stability``: the mean, over the other seeds, of its best IoU with a grain of that seed;
        - where they are known of some grain, ``confidence``, the probability that it is right, and ``reason``, what
          speaks against it.

        A grain without positions has an area of 0 and NaN for what is not defined.

    Raises
    ------
    DataError
        If axes or patterns are not those of the grains.
    """
    steps, offsets = _calibration(axes, grains.scan_shape)
    if patterns is not None and len(patterns.dissimilarity) != len(grains):
        raise DataError(f"There are patterns of {len(patterns.dissimilarity)} grains, but {len(grains)} grains.")
    pixels = _shapes(grains, (1.0, 1.0), control)
    real = pixels if steps is None else _shapes(grains, steps, control)
    columns: dict[str, np.ndarray] = {
        "grain_id": grains.ids,
        "component": grains.component,
        "area_px": grains.areas,
    }
    if steps is not None:
        columns["area_nm2"] = _column(real, "area")
    for name in LENGTHS:
        columns[f"{name}_px"] = _column(pixels, name)
        if steps is not None:
            columns[f"{name}_nm"] = _column(real, name)
    if steps is not None and axes is not None:
        for name, axis, offset in zip(("centroid_y", "centroid_x"), axes[:2], offsets, strict=True):
            columns[f"{name}_nm"] = offset + columns[f"{name}_px"] * _nanometres(axis) * axis.scale
    for name in ("eccentricity", "orientation_deg"):
        columns[name] = _column(real, name)
    columns["solidity"] = _column(pixels, "solidity")
    columns["touches_border"] = _touches_border(grains)
    columns |= _overlap(grains)
    columns["weight_sum"] = np.array([grains.part(g)[1].sum(dtype=np.float64) for g in range(len(grains))])
    columns["weight_mean"] = _divided(columns["weight_sum"], columns["area_px"])
    if patterns is not None:
        columns["dissimilarity"] = np.asarray(patterns.dissimilarity, dtype=np.float64)
    if stability is not None:
        columns["stability"] = np.asarray(stability, dtype=np.float64)
    if np.isfinite(grains.confidence).any():
        columns["confidence"] = grains.confidence.astype(np.float64)
        columns["reason"] = np.array(grains.reasons, dtype=object)
    return pd.DataFrame(columns)


def not_measured(
    grains: Grains, table: pd.DataFrame, patterns: GrainPatterns, source: str, rows: Sequence[int] | None = None
) -> np.ndarray:
    """Which grains (g,) have no row in a table that was made with these patterns, or one that is not theirs any more.

    Parameters
    ----------
    grains : Grains
        As they are now.
    table : DataFrame
    patterns : GrainPatterns
        Made with the table: row by row of the same grains. Without digests, no row is known to be right.
    source : str
        As given to `grain_patterns`.
    rows : sequence of int, optional
        Of the grains that are asked about, in whose order the answer is then.
    """
    of_table = {int(i): row for row, i in enumerate(table["grain_id"])}
    asked = np.arange(len(grains)) if rows is None else np.asarray(rows, np.int64)
    neighbours = _overlapping(grains, asked)
    marks = digests(grains, source, asked.tolist())
    stale = np.ones(len(asked), bool)
    for i, grain in enumerate(grains.ids[asked].tolist()):
        row = of_table.get(grain)
        if row is not None and row < len(patterns.digests):
            same = patterns.digests[row] == marks[i]
            stale[i] = not (same and table["overlap_grains"].iloc[row] == neighbours[i])
    return stale


def feret_max(mask: np.ndarray, steps: tuple[float, float] = (1.0, 1.0)) -> float:
    """The largest distance between two pixel corners of a mask (y, x), with pixels of size `steps`; NaN if empty."""
    hull = _hull(mask, steps)
    return float("nan") if hull is None else float(pdist(hull.points[hull.vertices]).max())


def perimeter(mask: np.ndarray, steps: tuple[float, float] = (1.0, 1.0)) -> float:
    """Length of the outline of a mask (y, x), with pixels of size `steps`.

    Cauchy and Crofton: the mean, over all directions, of the number of times that a line of the direction crosses the
    outline, times the distance of the lines. The directions are the rows, the columns and the two diagonals, each
    standing for those that are nearer to it than to another.
    """
    step_y, step_x = steps
    padded = np.pad(mask.astype(np.int8), 1)
    diagonal = np.hypot(step_y, step_x)
    tilt = np.arctan2(step_y, step_x)
    crossings = (
        (tilt * step_y, padded[:, 1:] != padded[:, :-1]),
        ((np.pi / 2 - tilt) * step_x, padded[1:] != padded[:-1]),
        (np.pi / 4 * step_y * step_x / diagonal, padded[1:, 1:] != padded[:-1, :-1]),
        (np.pi / 4 * step_y * step_x / diagonal, padded[1:, :-1] != padded[:-1, 1:]),
    )
    return float(sum(weight * np.count_nonzero(crossed) for weight, crossed in crossings) / 2)


def _shapes(grains: Grains, steps: tuple[float, float], control: Control | None) -> list[dict[str, float]]:
    shapes = []
    for index in range(len(grains)):
        if control is not None:
            control.check()
        shapes.append(_shape(*grains.places(index), grains.crop(index).values, steps))
    return shapes


def _shape(y: np.ndarray, x: np.ndarray, mask: np.ndarray, steps: tuple[float, float]) -> dict[str, float]:
    """Size and shape of what lies at rows `y` and columns `x` and has a mask, with pixels of size `steps` (y, x)."""
    if not len(y):
        return {}
    area = len(y) * steps[0] * steps[1]
    moments = np.cov(np.stack([y * steps[0], x * steps[1]]), bias=True) + np.diag(np.square(steps)) / 12
    (yy, yx), (_, xx) = moments
    spread = np.hypot(xx - yy, 2 * yx)
    major, minor = (xx + yy + spread) / 2, max((xx + yy - spread) / 2, 0.0)
    round_ = spread <= 1e-9 * (xx + yy)
    hull = _hull(mask, steps)
    return {
        "area": area,
        "equivalent_diameter": float(np.sqrt(4 * area / np.pi)),
        "feret_max": feret_max(mask, steps),
        "major_axis": float(4 * np.sqrt(major)),
        "minor_axis": float(4 * np.sqrt(minor)),
        "perimeter": perimeter(mask, steps),
        "centroid_y": float(y.mean() * steps[0]),
        "centroid_x": float(x.mean() * steps[1]),
        "eccentricity": 0.0 if round_ else float(np.sqrt(1 - minor / major)),
        "orientation_deg": float("nan") if round_ else _axis_angle(yy, yx, xx),
        "solidity": area / hull.volume if hull is not None else float("nan"),
    }


def _axis_angle(yy: float, yx: float, xx: float) -> float:
    """Direction of the major axis from x towards y, above -90 to 90 degrees."""
    angle = float(np.degrees(np.arctan2(2 * yx, xx - yy)) / 2)
    return angle + 180.0 if angle <= -90.0 else angle


def _hull(mask: np.ndarray, steps: tuple[float, float]) -> ConvexHull | None:
    """Convex hull of the pixel corners of a mask; its `volume` is the area. None if the mask is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    left = mask[rows].argmax(axis=1)
    right = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = [np.stack([y, x], axis=1) for y in (rows, rows + 1) for x in (left, right)]
    return ConvexHull(np.concatenate(corners) * np.asarray(steps))


def _touches_border(grains: Grains) -> np.ndarray:
    edge = np.ones(grains.scan_shape, bool)
    edge[1:-1, 1:-1] = False
    return grains.flat @ edge.ravel().astype(np.int64) > 0


def _overlap(grains: Grains) -> dict[str, np.ndarray]:
    flat, area = grains.flat, grains.areas
    shared = flat @ (grains.overlap.ravel() > 1).astype(np.int64)
    others = _overlapping(grains, np.arange(len(grains)))
    return {"overlap_fraction": _divided(shared, area), "overlap_grains": others}


def _overlapping(grains: Grains, rows: np.ndarray) -> np.ndarray:
    """How many others each of some grains overlaps."""
    flat = grains.flat
    return np.asarray(((flat[rows] @ flat.T) > 0).sum(axis=1) - (grains.areas[rows] > 0), dtype=np.int64)


def _divided(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _column(shapes: list[dict[str, float]], name: str) -> np.ndarray:
    empty = 0.0 if name == "area" else float("nan")
    return np.array([shape.get(name, empty) for shape in shapes], dtype=np.float64)


def _nanometres(axis: Axis) -> float:
    """One unit of the axis in nm; NaN if it is no length, or assumed beyond the width of a line scan."""
    known = None if axis.assumed and axis.size > 1 else normalise(axis.unit)
    return float("nan") if known is None or known[1] != "nm" else known[0]


def _calibration(
    axes: Sequence[Axis] | None, scan_shape: tuple[int, int]
) -> tuple[tuple[float, float] | None, tuple[float, float]]:
    """Sizes of a probe position (y, x) in nm, None if not known, and the coordinates of the first one."""
    if axes is None:
        return None, (0.0, 0.0)
    if len(axes) < 2 or (axes[0].size, axes[1].size) != scan_shape:
        raise DataError(f"The axes are not those of a scan of {scan_shape[0]} x {scan_shape[1]} positions.")
    y, x = (abs(axis.scale) * _nanometres(axis) for axis in axes[:2])
    known = np.isfinite(y) and np.isfinite(x) and y > 0 and x > 0
    return ((y, x) if known else None), (axes[0].offset * _nanometres(axes[0]), axes[1].offset * _nanometres(axes[1]))
