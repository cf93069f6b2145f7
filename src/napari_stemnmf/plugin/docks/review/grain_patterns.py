"""The patterns of one grain for the eye, and the neighbour that it resembles most. No Qt.

After an edit the patterns that were measured belong to the grains whose masks are still the same: only those are shown
and compared, until Measure has made the others. Leans on `grains.similarity`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.grains.refinement import Grains
    from napari_stemnmf.grains.similarity import Likeness

NOT_MEASURED = "measure the grains first"
CHANGED = "changed: press Measure changed"
NEVER_ALONE = "others cover all of it"
NO_OTHER = "there is no other grain"


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is shown of one grain.

    Attributes
    ----------
    mean, alone, difference : ndarray of float32 or None
        (q_y, q_x), counts: its mean pattern; that of the positions that no other grain covers; its mean pattern less
        the neighbour's, both of the same sum, without the direct beam.
    neighbour : int
        Id of the grain that it resembles most, 0 for none.
    correlation : float
        Of the two patterns, -1 to 1.
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
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Measured:
    """The patterns of those grains whose masks are as they were measured.

    Attributes
    ----------
    analysis : Analysis
        Which these are of.
    feature : str
    rows : dict of int to int
        By grain id the row of its pattern.
    likeness : Likeness or None
        Of these grains, in the order of `rows`; None until it was computed.
    """

    analysis: Analysis
    feature: str
    rows: dict[int, int]
    likeness: Likeness | None = None

    @classmethod
    def of(cls, analysis: Analysis, feature: str, stale: np.ndarray, before: Measured | None = None) -> Measured:
        """What is known; likenesses only if they are those that were computed `before`.

        Quick. `stale` is what `grain_layers.stale_grains` gives.
        """
        grains, table = analysis.grains.get(feature), analysis.tables.get(feature)
        patterns = analysis.patterns.get(feature)
        if patterns is None or table is None or grains is None or len(table) != len(patterns.patterns):
            return cls(analysis, feature, {})
        kept = set(grains.ids[~stale].tolist())
        rows = {int(i): row for row, i in enumerate(table["grain_id"]) if int(i) in kept}
        same = before is not None and before.rows == rows and before.analysis.patterns.get(feature) is patterns
        return cls(analysis, feature, rows, before.likeness if same and before is not None else None)

    def compared(self) -> Measured:
        """The same with likenesses; takes a moment, for a thread."""
        from napari_stemnmf.grains.similarity import most_alike

        ids = list(self.rows)
        grains = self.analysis.grains[self.feature]
        patterns = self.analysis.patterns[self.feature].patterns[list(self.rows.values())]
        found = most_alike(patterns, _only(grains, ids), self._compared_pixels())
        return Measured(self.analysis, self.feature, self.rows, found)

    def pictures(self, grain_id: int) -> Pictures:
        """What there is to show of a grain."""
        from napari_stemnmf.grains.similarity import difference

        grains = self.analysis.grains[self.feature]
        if grain_id not in grains.ids:
            return Pictures()
        if grain_id not in self.rows:
            why = CHANGED if self.feature in self.analysis.tables else NOT_MEASURED
            return Pictures(notes=dict.fromkeys(("mean", "alone", "difference"), why))
        patterns = self.analysis.patterns[self.feature]
        row = self.rows[grain_id]
        mine, alone = patterns.patterns[row], patterns.single[row]
        positions = int((grains.masks[grains.ids == grain_id][0] & (grains.overlap == 1)).sum())
        notes = {} if positions else {"alone": NEVER_ALONE}
        if self.likeness is None:
            return Pictures(mine, alone if positions else None, positions_alone=positions, notes=notes)
        at = list(self.rows).index(grain_id)
        other = int(self.likeness.ids[at])
        if not other:
            notes["difference"] = NO_OTHER
            return Pictures(mine, alone if positions else None, positions_alone=positions, notes=notes)
        keep = self._compared_pixels()
        apart = difference(mine, patterns.patterns[self.rows[other]])
        apart = apart if keep is None else np.where(keep, apart, np.float32(0))
        r = float(self.likeness.correlation[at])
        return Pictures(mine, alone if positions else None, apart, other, r, positions, notes)

    def _compared_pixels(self) -> np.ndarray | None:
        from napari_stemnmf.grains.similarity import compared_pixels

        calibration = self.analysis.calibration
        shape = self.analysis.patterns[self.feature].patterns.shape[1:]
        if calibration is None or calibration.geometry.detector_shape != shape:
            return None
        keep = compared_pixels(calibration.geometry)
        return keep if keep.any() else None


def _only(grains: Grains, ids: list[int]) -> Grains:
    from napari_stemnmf.grains.refinement import Grains

    row_of = {int(i): row for row, i in enumerate(grains.ids)}
    rows = [row_of[i] for i in ids]
    return Grains(grains.masks[rows], grains.weights[rows], grains.component[rows], grains.ids[rows])
