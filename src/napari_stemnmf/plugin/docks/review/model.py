"""What the Review dock shows and asks for: which grain is meant, which comes next, its numbers in words. No Qt.

Leans on `grains.editing` for the edits that drawing and painting come to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.grains.editing import Edit
    from napari_stemnmf.grains.refinement import Grains

ORDERS = {
    "overall": "all of the following together",
    "dissimilarity": "how unlike one another the patterns of the grain are",
    "stability": "how badly other seeds of the clustering find the grain",
    "overlap": "how much of the grain others cover",
}
"""What the most doubtful grain is found by, and what that says."""


def grains_at(grains: Grains, row: int, column: int) -> list[int]:
    """Ids of the grains at a position: that which the labels show first, then by falling share of their own peak."""
    rows = np.flatnonzero(grains.masks[:, row, column])
    peaks = grains.weights[rows].max(axis=(1, 2), initial=0.0) if len(rows) else np.empty(0)
    share = np.divide(grains.weights[rows, row, column], peaks, out=np.zeros(len(rows)), where=peaks > 0)
    areas = grains.masks[rows].sum(axis=(1, 2))
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
    said = [] if verdicts is None else verdicts["verdict"].tolist()
    accepted, rejected = said.count("accepted"), said.count("rejected")
    decided = accepted + rejected
    words = f"{decided} of {count} decided"
    return decided, f"{words}: {accepted} accepted, {rejected} rejected" if decided else words


def toggled(chosen: Sequence[int], grain: int) -> list[int]:
    """The selected grains with one more, or without it if it was among them."""
    return [i for i in chosen if i != grain] if grain in chosen else [*chosen, grain]


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
    from napari_stemnmf.grains.review_priority import rank

    table = features.iloc[grains.ids].set_index("grain_id", drop=False)
    table["positions"] = grains.masks.sum(axis=(1, 2))
    order, scores = rank(table, by)
    table.loc[order, "doubt"] = scores
    return table, [int(i) for i in order]


def in_words(features: pd.DataFrame, grain_id: int, positions: int, chosen: int = 1) -> str:
    """What is known of a grain, in a few short sentences.

    Parameters
    ----------
    features : DataFrame
        As `grain_layers.grain_features` makes them.
    grain_id : int
        0, and one that is no more, give an empty text.
    positions : int
        That it has.
    chosen : int
        How many grains are selected, this one among them.
    """
    if not 0 < grain_id < len(features) or features["grain_id"].iloc[grain_id] != grain_id:
        return ""
    row = features.iloc[grain_id]
    known = {name: row[name] for name in features.columns if _known(row[name])}
    parts = [_title(grain_id, known), *_shape(known, positions), *_patterns(known, features)]
    if known.get("stale"):
        parts.append("Changed since it was measured")
    if chosen > 1:
        parts.append(f"{chosen} grains are selected")
    return ". ".join(part for part in parts if part) + "."


def stroke(grain_id: int, before: np.ndarray, now: np.ndarray) -> list[Edit]:
    """The edits that a stroke of the brush comes to: what it added to a grain's mask, and what it took away."""
    from napari_stemnmf.grains.editing import Edit

    changes = (("add", now & ~before), ("erase", before & ~now))
    return [Edit(kind, (grain_id,), points=np.argwhere(mask)) for kind, mask in changes if mask.any()]


def stale_line(count: int) -> str:
    """What is to be done about grains that were changed."""
    grains = "1 grain has" if count == 1 else f"{count} grains have"
    return f"{grains} changed: press Measure changed." if count else ""


def _title(grain_id: int, known: dict[str, Any]) -> str:
    verdict = f", {known['verdict']}" if known.get("verdict") else ""
    kind = f", {known['class']}" if known.get("class") else ""
    component = known.get("component", -1)
    origin = f", of component {int(component)}" if component >= 0 else ""
    return f"Grain {grain_id}{verdict}{kind}{origin}"


def _shape(known: dict[str, Any], positions: int) -> list[str]:
    nm = f" ({known['area_nm2']:.4g} nm²)" if "area_nm2" in known else ""
    found = [f"{positions} position{'s' if positions != 1 else ''}{nm}"]
    if "feret_max_nm" in known:
        found.append(f"{known['feret_max_nm']:.3g} nm across at most")
    elif "feret_max_px" in known:
        found.append(f"{known['feret_max_px']:.3g} px across at most")
    if known.get("touches_border"):
        found.append("cut off by the border")
    share, others = known.get("overlap_fraction", 0.0), int(known.get("overlap_grains", 0))
    if others:
        found.append(f"{share:.0%} shared with {others} other{'s' if others > 1 else ''}")
    return [", ".join(found)]


def _patterns(known: dict[str, Any], features: pd.DataFrame) -> list[str]:
    found = []
    if "dissimilarity" in known:
        rest = features["dissimilarity"].dropna()
        higher = f", more than in {(rest < known['dissimilarity']).mean():.0%} of the grains" if len(rest) > 1 else ""
        found.append(f"Dissimilarity {known['dissimilarity']:.4g}{higher}")
    if "stability" in known:
        found.append(f"Stability over seeds {known['stability']:.2f}")
    return found


def _known(value: Any) -> bool:
    return not (isinstance(value, float) and np.isnan(value))
