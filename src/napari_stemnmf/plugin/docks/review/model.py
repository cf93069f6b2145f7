"""Which grain a click means and which comes next, and its patterns. No Qt.

After an edit the patterns that were measured belong to the grains whose masks are still the same: only those are shown
and compared, until Measure has made the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Axis
    from napari_stemnmf.grains.confidence import Similarity
    from napari_stemnmf.grains.editing import Edit
    from napari_stemnmf.grains.grains import Grains

ORDERS = {
    "overall": "how unlikely it is to be right; where that is not known, all of the other three together",
    "confidence": "how unlikely it is that the grain is there with this outline",
    "dissimilarity": "how unlike one another the patterns of the grain are",
    "stability": "how badly other seeds of the clustering find the grain",
    "overlap": "how much of the grain others cover",
}
"""What grains are ordered by for review, and what that means."""
ALIKE = 0.9
"""Correlation of the patterns of two neighbours from which they are offered to be merged."""
SMOOTHED = 0.7
"""Blur (sigma, in positions) of the map in which a new grain is proposed."""
LEAST_LEFT = 0.15
"""Share of the diffracted intensity below which nothing is proposed."""
NOT_MEASURED = "measure the grains first"
CHANGED = "changed: press Measure changed"
NEVER_ALONE = "others cover all of it"
NO_OTHER = "there is no other grain"


def grains_at(grains: Grains, row: int, column: int) -> list[int]:
    """Ids of the grains at a position: that which the labels show first, then by falling share of their own peak."""
    rows, position = grains.at(row, column), row * grains.scan_shape[1] + column
    parts = [grains.part(each) for each in rows]
    peaks = np.array([weights.max(initial=0.0) for _, weights in parts], np.float32)
    here = np.array([weights[np.searchsorted(at, position)] for at, weights in parts], np.float32)
    share = np.divide(here, peaks, out=np.zeros(len(rows)), where=peaks > 0)
    areas = grains.areas[rows]
    return [int(i) for i in grains.ids[rows[np.lexsort((rows, areas, -share))]]]


def clicked(there: Sequence[int], selected: int) -> int:
    """The grain that a click means: clicks on the same place step through those that overlap there; 0 for none."""
    if not there:
        return 0
    return there[(there.index(selected) + 1) % len(there)] if selected in there else there[0]


def after(order: Sequence[int], selected: int, step: int = 1) -> int:
    """The grain that comes after (step 1) or before (-1) the selected one, around the end; 0 if there is none."""
    if not len(order):
        return 0
    if selected not in order:
        return int(order[0 if step > 0 else -1])
    return int(order[(list(order).index(selected) + step) % len(order)])


def next_doubtful(order: Sequence[int], undecided: set[int], selected: int, step: int = 1) -> int:
    """The next grain in the order of doubt that is not decided yet, around the end; 0 if all are decided."""
    kept = [i for i in order if i in undecided or i == selected]
    found = after(kept, selected, step)
    return found if found in undecided else 0


def progress(verdicts: pd.DataFrame | None, count: int) -> tuple[int, str]:
    """How many of so many grains are decided, and that in words."""
    decisions = [] if verdicts is None else verdicts["verdict"].tolist()
    accepted, rejected = decisions.count("accepted"), decisions.count("rejected")
    decided = accepted + rejected
    text = f"{decided} of {count} decided"
    return decided, f"{text}: {accepted} accepted, {rejected} rejected" if decided else text


def toggled(chosen: Sequence[int], grain: int) -> list[int]:
    """The selected grains with one more, or without it if it was among them."""
    return [i for i in chosen if i != grain] if grain in chosen else [*chosen, grain]


def undecided(features: pd.DataFrame | None) -> set[int]:
    """Ids of the grains without a decision."""
    if features is None:
        return set()
    return set(features.loc[(features["verdict"] == "") & (features["grain_id"] > 0), "grain_id"].tolist())


def after_deletion(order: Sequence[int], deleted: Sequence[int]) -> list[int]:
    """The grain to select when some are deleted: the next of the table that stays, else the first, if any stays."""
    below = [i for i in order[list(order).index(deleted[-1]) :] if i not in deleted]
    return (below or [i for i in order if i not in deleted])[:1]


def listed(grains: Grains, features: pd.DataFrame, by: str) -> tuple[pd.DataFrame, list[int]]:
    """The table of the grains, by id, with the columns ``positions`` and ``doubt``; and the ids in the order of doubt.

    Parameters
    ----------
    grains : Grains
    features : DataFrame
        As `grain_layers.grain_features` makes them.
    by : str
        One of `ORDERS`.
    """
    from napari_stemnmf.grains.confidence import review_order

    table = features.iloc[grains.ids].set_index("grain_id", drop=False)
    table["positions"] = grains.areas
    order, scores = review_order(table, by)
    table.loc[order, "doubt"] = scores
    return table, [int(i) for i in order]


def only_confidence(table: pd.DataFrame) -> bool:
    """Whether the doubt of grains is nothing but what their confidence leaves."""
    if "confidence" not in table or not len(table):
        return False
    return bool(np.allclose(table["doubt"], 1 - table["confidence"]))


def plotted(table: pd.DataFrame) -> list[str]:
    """The columns that can be plotted: those with a number for two grains or more."""
    kinds = {name: table[name].dtype.kind for name in table.columns}
    hidden = ("index", "grain_id", "label")
    return [n for n, kind in kinds.items() if kind in "iuf" and n not in hidden and table[n].notna().sum() > 1]


def merge_offer(pictures: Pictures) -> str:
    """What a button says that merges a grain with its neighbour; empty where the two are not so alike, or apart."""
    alike = pictures.beside and pictures.correlation >= ALIKE
    return f"Merge with {pictures.neighbour} (r {pictures.correlation:.2f})" if alike else ""


def scale_bar(axis: Axis, pixels: float) -> tuple[float, str]:
    """A round length on an axis, about a quarter of so many pixels: in pixels, and in words.

    Examples
    --------
    >>> from napari_stemnmf.dataset import Axis
    >>> scale_bar(Axis("q_x", 128, 0.25, 0.0, "1/nm"), 128)
    (20.0, '5 nm⁻¹')
    """
    wanted = 0.25 * max(pixels, 1.0) * axis.scale
    power = 10.0 ** math.floor(math.log10(wanted))
    length = max((step * power for step in (1, 2, 5) if step * power <= wanted), default=power)
    unit = f"{axis.unit[2:]}⁻¹" if axis.unit.startswith("1/") else axis.unit
    return length / axis.scale, f"{length:g} {unit}"


def proposal(share: np.ndarray, row: int, column: int) -> np.ndarray:
    """(scan_y, scan_x) bool: the piece around a position where about as much is not explained as there.

    The map is smoothed a little, and cut at half of its value at the position. Empty where hardly anything is left.
    """
    smooth = ndimage.gaussian_filter(np.nan_to_num(share.astype(np.float64)), SMOOTHED)
    here = float(smooth[row, column])
    if here < LEAST_LEFT:
        return np.zeros(share.shape, bool)
    pieces, _ = ndimage.label(smooth >= here / 2)
    return np.asarray(ndimage.binary_fill_holes(pieces == pieces[row, column]))


def stroke(grain_id: int, before: np.ndarray, now: np.ndarray) -> list[Edit]:
    """A stroke of the brush as edits: what it added to a grain's mask, and what it erased."""
    from napari_stemnmf.grains.editing import Edit

    changes = (("add", now & ~before), ("erase", before & ~now))
    return [Edit(kind, (grain_id,), points=np.argwhere(mask)) for kind, mask in changes if mask.any()]


@dataclass(frozen=True, eq=False)
class Pictures:
    """The patterns of one grain.

    Attributes
    ----------
    mean, alone, difference : ndarray of float32 or None
        (q_y, q_x), counts: its mean pattern; that of the positions that no other grain covers; its mean pattern less
        the neighbour's, both of the same sum, without the direct beam.
    neighbour : int
        Id of the grain that it resembles most, 0 for none.
    correlation : float
        Of the two patterns, -1 to 1.
    beside : bool
        Whether the two touch or overlap.
    positions_alone : int
        How many positions no other grain covers.
    notes : dict
        Why there is no picture, by the names of the pictures.
    """

    mean: np.ndarray | None = None
    alone: np.ndarray | None = None
    difference: np.ndarray | None = None
    neighbour: int = 0
    correlation: float = float("nan")
    positions_alone: int = 0
    beside: bool = False
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Measured:
    """The patterns of those grains whose masks are as they were measured.

    Attributes
    ----------
    analysis : Analysis
        Of these grains.
    feature : str
    rows : dict of int to int
        By grain id the row of its pattern.
    similarity : Similarity or None
        Of these grains, in the order of `rows`; None until it was computed.
    """

    analysis: Analysis
    feature: str
    rows: dict[int, int]
    similarity: Similarity | None = None

    @classmethod
    def of(cls, analysis: Analysis, feature: str, stale: np.ndarray, before: Measured | None = None) -> Measured:
        """What was measured; similarities only if they are those that were computed `before`.

        Quick. `stale` is what `grain_layers.stale_grains` gives.
        """
        grains, table = analysis.grains.get(feature), analysis.tables.get(feature)
        patterns = analysis.patterns.get(feature)
        if patterns is None or table is None or grains is None or len(table) != len(patterns.patterns):
            return cls(analysis, feature, {})
        kept = set(grains.ids[~stale].tolist())
        rows = {int(i): row for row, i in enumerate(table["grain_id"]) if int(i) in kept}
        same = before is not None and before.rows == rows and before.analysis.patterns.get(feature) is patterns
        return cls(analysis, feature, rows, before.similarity if same and before is not None else None)

    def compared(self) -> Measured:
        """The same with similarities, computed now: for a thread."""
        from napari_stemnmf.grains.confidence import most_similar

        ids = list(self.rows)
        grains = self.analysis.grains[self.feature]
        patterns = self.analysis.patterns[self.feature].patterns[list(self.rows.values())]
        found = most_similar(patterns, only(grains, ids), self._compared_pixels())
        return replace(self, similarity=found)

    def pictures(self, grain_id: int) -> Pictures:
        """The patterns of a grain."""
        from napari_stemnmf.grains.confidence import difference

        grains = self.analysis.grains[self.feature]
        if grain_id not in grains.ids:
            return Pictures()
        if grain_id not in self.rows:
            why = CHANGED if self.feature in self.analysis.tables else NOT_MEASURED
            return Pictures(notes=dict.fromkeys(("mean", "alone", "difference"), why))
        patterns = self.analysis.patterns[self.feature]
        row = self.rows[grain_id]
        mine, alone = patterns.patterns[row], patterns.single[row]
        at, _ = grains.part(grains.row_of(grain_id))
        positions = int((grains.overlap.ravel()[at] == 1).sum())
        notes = {} if positions else {"alone": NEVER_ALONE}
        if self.similarity is None:
            return Pictures(mine, alone if positions else None, positions_alone=positions, notes=notes)
        at = list(self.rows).index(grain_id)
        other = int(self.similarity.ids[at])
        if not other:
            notes["difference"] = NO_OTHER
            return Pictures(mine, alone if positions else None, positions_alone=positions, notes=notes)
        keep = self._compared_pixels()
        unlike = difference(mine, patterns.patterns[self.rows[other]])
        unlike = unlike if keep is None else np.where(keep, unlike, np.float32(0))
        r = float(self.similarity.correlation[at])
        beside = bool(self.similarity.neighbour[at])
        return Pictures(mine, alone if positions else None, unlike, other, r, positions, beside, notes)

    def likeness(self, chosen: Sequence[int]) -> float:
        """The least correlation of the patterns of some grains; NaN if one of them has none."""
        from napari_stemnmf.grains.confidence import likeness

        if not all(i in self.rows for i in chosen):
            return float("nan")
        patterns = self.analysis.patterns[self.feature].patterns[[self.rows[i] for i in chosen]]
        return likeness(patterns, self._compared_pixels())

    def _compared_pixels(self) -> np.ndarray | None:
        from napari_stemnmf.grains.confidence import compared_pixels

        calibration = self.analysis.calibration
        shape = self.analysis.patterns[self.feature].patterns.shape[1:]
        if calibration is None or calibration.geometry.detector_shape != shape:
            return None
        keep = compared_pixels(calibration.geometry)
        return keep if keep.any() else None


def only(grains: Grains, ids: Sequence[int]) -> Grains:
    """Some of the grains, by their ids."""
    row_of = {int(i): row for row, i in enumerate(grains.ids)}
    rows = [row_of[i] for i in ids]
    return grains.subset(rows)
