"""The colours of grains on the canvas: such that neighbours differ, or after a number or the verdict. No viewer, no Qt.

A label's colour is its place in a palette. The grains as Refine found them are coloured first, then those that edits
have changed or made: what nobody edits keeps its colour, and a grain that is painted up to one of its own colour gets
another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.clustering.footprints import EIGHT_NEIGHBOURS
from napari_stemnmf.grains.grains import Grains, grown
from napari_stemnmf.plugin.layers.grain_marks import rows_at

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

PALETTE = (
    "#4a78d0", "#f28e2b", "#3f9e4d", "#e04f52", "#35c3cc", "#8f55d6", "#f5a3bd", "#96613f", "#a9cf3a", "#71839b",
)  # fmt: skip
"""Colours that are told apart side by side; none is the yellow of the outline."""
FAR = 0.5
"""Distance of two colours (RGB, 0 to 1) from which more makes no difference to the eye."""
ACCEPTED, REJECTED, OPEN, UNKNOWN = "#3fa34d", "#c0392b", "#8f9bb3", "#808080"
COLOURINGS = {
    "neighbours": "grains beside each other have different colours",
    "verdict": "accepted green, rejected red, the others grey",
    "confidence": "how likely each is right: dark is unlikely, yellow-green is sure; grey is not known",
    "size": "area: dark is small",
}
"""What the colours of grains can tell, and how."""
MAPS = {"confidence": "viridis", "size": "plasma"}
BRIGHTEST = 0.92
"""End of a colour map that is used: beyond it plasma is the yellow of the outline."""


def _rgb(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


_COLOURS = np.array([_rgb(colour) for colour in PALETTE])
_DISTANCES = np.linalg.norm(_COLOURS[:, None] - _COLOURS, axis=-1)


def colours(grains: Grains, features: pd.DataFrame, places: Mapping[int, int], by: str = "neighbours") -> np.ndarray:
    """(highest label + 1, 4) RGBA of every label, 0 to 1; the background is transparent.

    Parameters
    ----------
    grains : Grains
    features : DataFrame
        As `grain_layers.grain_features` makes them: a row a label.
    places : mapping of int to int
        Each grain's place in the palette, as `places_in_palette` gives it.
    by : str
        One of `COLOURINGS`.
    """
    from napari.utils.colormaps.standardize_color import transform_color

    table = np.zeros((max(2, len(features)), 4), np.float32)
    ids = grains.ids
    if by == "neighbours":
        table[ids] = transform_color(list(PALETTE))[[places[i] for i in ids.tolist()]]
    elif by == "verdict":
        of = {"accepted": ACCEPTED, "rejected": REJECTED}
        table[ids] = transform_color([of.get(v, OPEN) for v in features["verdict"].iloc[ids]] or [OPEN])[: len(ids)]
    else:
        table[ids] = _mapped(_values(grains, features, by), MAPS[by])
    return table


def places_in_palette(grains: Grains, before: Mapping[int, int] | None = None) -> dict[int, int]:
    """The place of each grain, by id, in `PALETTE`: another than those of its neighbours, as long as there are enough.

    Parameters
    ----------
    grains : Grains
    before : mapping, optional
        Places that are kept where they still differ from those of neighbours; of two that clash the higher id yields.

    Examples
    --------
    >>> masks = [[[1, 1, 0, 0]], [[0, 0, 1, 0]], [[0, 0, 0, 1]]]
    >>> places = places_in_palette(Grains.from_masks(masks))
    >>> places[1] != places[2] != places[3]
    True
    """
    beside = _beside(grains)
    ids = grains.ids.tolist()
    found: dict[int, int] = {}
    used = np.zeros(len(PALETTE), np.int64)
    rows = {grain: row for row, grain in enumerate(ids)}
    degree = np.diff(beside.indptr)
    known = sorted(i for i in ids if before and i in before)
    rest = sorted((i for i in ids if not before or i not in before), key=lambda i: (-int(degree[rows[i]]), i))
    for grain in (*known, *rest):
        row = rows[grain]
        around = _at(beside.indices[beside.indptr[row] : beside.indptr[row + 1]], ids, found)
        kept = before.get(grain) if before else None
        place = kept if kept is not None and kept not in around else _free(used, around)
        found[grain] = place
        used[place] += 1
    return found


def recoloured(grains: Grains, before: Mapping[int, int], changed: Collection[int]) -> dict[int, int]:
    """As `places_in_palette`, where only some grains have changed: it looks at those and what is beside them."""
    ids = grains.ids
    found = {i: before[i] for i in ids.tolist() if i in before and i not in changed}
    used = np.bincount(list(found.values()), minlength=len(PALETTE))
    for grain in sorted(i for i in changed if grains.row_of(i) >= 0):
        wide = grown(grains.subset([grains.row_of(grain)]), 2, EIGHT_NEIGHBOURS)
        around = [found[i] for i in ids[rows_at(grains, wide.indices)].tolist() if i in found]
        kept = before.get(grain)
        found[grain] = kept if kept is not None and kept not in around else _free(used, around)
        used[found[grain]] += 1
    return found


def _at(rows: Iterable[int], ids: list[int], found: Mapping[int, int]) -> list[int]:
    """Places of the neighbours that have one."""
    return [found[ids[row]] for row in rows if ids[row] in found]


def _free(used: np.ndarray, around: list[int]) -> int:
    """The place that fewest neighbours have, of those one that is far from theirs, and of those the one used least."""
    if not around:
        return int(used.argmin())
    clashes = np.bincount(around, minlength=len(used))
    apart = np.minimum(_DISTANCES[:, around].min(axis=1), FAR)
    return int(np.lexsort((used, -apart, clashes))[0])


def _beside(grains: Grains) -> csr_array:
    """(g, g) which grains overlap, touch, or are one position apart."""
    wide = grown(grains, 1, EIGHT_NEIGHBOURS)
    found = (wide @ wide.T).tocsr()
    found.setdiag(0)
    found.eliminate_zeros()
    return found


def _values(grains: Grains, features: pd.DataFrame, by: str) -> np.ndarray:
    """(g,) 0 to 1, NaN where nothing is known."""
    if by == "size":
        areas = np.sqrt(grains.areas.astype(np.float64))
        return np.asarray(areas / max(areas.max(initial=0.0), 1.0))
    if "confidence" not in features:
        return np.full(len(grains), np.nan)
    return features["confidence"].iloc[grains.ids].to_numpy(np.float64)


def _mapped(values: np.ndarray, name: str) -> np.ndarray:
    """(g, 4) in a colour map; a grey where nothing is known."""
    from napari.utils.colormaps import ensure_colormap
    from napari.utils.colormaps.standardize_color import transform_color

    out = ensure_colormap(name).map(np.nan_to_num(values) * BRIGHTEST) if len(values) else np.zeros((0, 4))
    out[~np.isfinite(values)] = transform_color(UNKNOWN)[0]
    return np.asarray(out, np.float32)
