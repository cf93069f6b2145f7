"""What is said of the grains under review, in sentences. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.docks.review.model import Measured, only
from napari_stemnmf.plugin.wording import readable

if TYPE_CHECKING:
    import pandas as pd

UNLIKE = 0.5
"""Correlation of the patterns of two grains below which it is told when they are merged."""


def numbers_in_words(features: pd.DataFrame, grain_id: int, positions: int, chosen: int = 1) -> str:
    """What matters of a grain, in two or three short sentences.

    Parameters
    ----------
    features : DataFrame
        As `grain_layers.grain_features` makes them.
    grain_id : int
        0, and one that was deleted, give an empty text.
    positions : int
        Probe positions of the grain.
    chosen : int
        How many grains are selected, this one among them.
    """
    known = _row(features, grain_id)
    if not known:
        return ""
    parts = [_title(grain_id, known), _likely(known), *_shape(known, positions)]
    if known.get("stale"):
        parts.append("Changed since it was measured")
    if chosen > 1:
        parts.append(f"{chosen} grains are selected")
    return ". ".join(part for part in parts if part) + "."


def more_in_words(features: pd.DataFrame, grain_id: int, origin: str = "component") -> str:
    """What else is known of a grain: the component or group that it came from, and how alike its patterns are."""
    known = _row(features, grain_id)
    component = known.get("component", -1)
    parts = [f"From {origin} {int(component)}" if component >= 0 else "", *_patterns(known, features)]
    return ". ".join(part for part in parts if part) + "." if any(parts) else ""


def against_merging(measured: Measured, chosen: Sequence[int]) -> str:
    """What speaks against making one grain of several, as a sentence to be told when it was done; empty for nothing.

    Parameters
    ----------
    measured : Measured
        Before; only grains with a pattern are compared by it.
    chosen : sequence of int
        Ids of the grains, the one that remains first.
    """
    from napari_stemnmf.grains.confidence import in_one_piece

    grains = only(measured.analysis.grains[measured.feature], chosen)
    why = [] if in_one_piece(grains) else ["they do not touch"]
    r = measured.likeness(chosen)
    if r < UNLIKE:
        why.append(f"their patterns are unlike (r {r:.2f})")
    names = f"{', '.join(map(str, chosen[:-1]))} and {chosen[-1]}"
    return f"Grains {names} are one now, though {' and '.join(why)}; Undo takes it back." if why else ""


def stale_line(count: int) -> str:
    """What to do about grains that were changed."""
    grains = "1 grain has" if count == 1 else f"{count} grains have"
    return f"{grains} changed: press Measure changed." if count else ""


def _row(features: pd.DataFrame, grain_id: int) -> dict[str, Any]:
    """What is known of a grain, by column; empty for 0 and for one that was deleted."""
    if not 0 < grain_id < len(features) or features["grain_id"].iloc[grain_id] != grain_id:
        return {}
    row = features.iloc[grain_id]
    return {name: row[name] for name in features.columns if _known(row[name])}


def _title(grain_id: int, known: dict[str, Any]) -> str:
    verdict = f", {known['verdict']}" if known.get("verdict") else ""
    kind = f", {known['class']}" if known.get("class") else ""
    return f"Grain {grain_id}{verdict}{kind}"


def _likely(known: dict[str, Any]) -> str:
    """How likely a grain is right, and what speaks against it."""
    if "confidence" not in known:
        return ""
    why = f": {known['reason']}" if known.get("reason") else ""
    return f"Likely right: {known['confidence']:.0%}{why}"


def _shape(known: dict[str, Any], positions: int) -> list[str]:
    nm = f" ({readable(known['area_nm2'])} nm²)" if "area_nm2" in known else ""
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
        found.append(f"Its patterns differ by {known['dissimilarity']:.3g} (dissimilarity){higher}")
    if "stability" in known:
        found.append(f"Other random starts find it with an overlap (IoU) of {known['stability']:.2f}")
    return found


def _known(value: Any) -> bool:
    return not (isinstance(value, float) and np.isnan(value))
