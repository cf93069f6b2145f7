"""What Measure will do, and the numbers of its table, in words. No Qt.

The columns of the table of `grains.measurement` carry their units in their names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from napari_stemnmf.analysis import Analysis

COLUMNS = {
    "grain_id, component": "which grain, and the component (VDF: group of spots) that it came from",
    "area": "probe positions, and nm²",
    "equivalent_diameter": "of the disk of the same area, px and nm",
    "feret_max": "largest distance between two of its corners, px and nm",
    "major_axis, minor_axis": "of the ellipse of the same moments, px and nm",
    "perimeter, centroid_y, centroid_x": "px and nm",
    "eccentricity, orientation, solidity": "shape; orientation in degrees",
    "touches_border": "whether the scan cuts it off",
    "overlap_fraction, overlap_grains": "what it shares, and with how many",
    "weight_sum, weight_mean": "how strong its component is there",
    "confidence, reason": "probability that it is right, and what speaks against it",
    "stability": "AA, RV, BD: how well other seeds find it again, 0 to 1",
    "dissimilarity": "how unlike its patterns are, summed over pixels of 0 to 1",
}
"""What the table will hold, and what it means; nm only where the scan has a step in a length."""
SPREADS = {
    "equivalent_diameter": "Diameter",
    "area": "Area",
    "dissimilarity": "Dissimilarity",
    "stability": "Stability",
    "confidence": "Likely right",
}
"""Columns whose spread is shown, and their titles."""


def grains_to_measure(request: tuple[Analysis, str]) -> np.ndarray:
    """(g,) whether Measure would measure each grain of a feature of an analysis."""
    from napari_stemnmf import pipeline

    return pipeline.changed(*request)


def plan(grains: Any, table: pd.DataFrame | None, changed: np.ndarray | None) -> str:
    """What Measure would do now, in a sentence or two; `changed` is None while that is not known."""
    if grains is None:
        return "There are no grains yet."
    if changed is None or len(changed) != len(grains):
        return f"{_grains(len(grains))}; looking which are to be measured…"
    many = int(changed.sum())
    if not many:
        return f"{_grains(len(grains))}, all measured as they are now."
    if table is None:
        return f"{_grains(many)}, none measured yet."
    known = set(table["grain_id"].tolist())
    new = sum(int(grain) not in known for grain in np.asarray(grains.ids)[changed])
    gone = len(known - set(np.asarray(grains.ids).tolist()))
    parts = [f"{many - new} to measure again" if many > new else "", f"{new} new" if new else ""]
    parts.append(f"{gone} in the table no longer there" if gone else "")
    reads = (
        "" if many == len(grains) else f" Measure reads the patterns of {'that one' if many == 1 else 'those'} only."
    )
    return f"{_grains(len(grains))}: {', '.join(part for part in parts if part)}.{reads}"


def in_short(table: pd.DataFrame) -> str:
    """A table in a line: number of grains, their median diameter and dissimilarity."""
    if not len(table):
        return "no grains"
    unit = "nm" if "equivalent_diameter_nm" in table else "px"
    parts = [
        f"{_grains(len(table))} measured",
        f"median diameter {table[f'equivalent_diameter_{unit}'].median():.3g} {unit}",
    ]
    if "dissimilarity" in table and table["dissimilarity"].notna().any():
        parts.append(f"median dissimilarity {table['dissimilarity'].median():.3g}")
    return ", ".join(parts)


def findings(table: pd.DataFrame) -> list[tuple[str, str]]:
    """A table in (name, value) rows: medians and the range from the tenth to the ninetieth percentile."""
    if not len(table):
        return [("Grains", "none")]
    rows = [("Grains", f"{len(table)}, {int(table['touches_border'].sum())} cut off by the scan's border")]
    for name, title in SPREADS.items():
        units = {f"{name}_nm": "nm", f"{name}_nm2": "nm²", f"{name}_px": "px", name: ""}
        column = next((column for column in units if column in table), None)
        values = np.empty(0) if column is None else table[column].to_numpy(np.float64)
        values = values[np.isfinite(values)]
        if column is not None and len(values):
            low, middle, high = np.percentile(values, [10, 50, 90])
            rows.append((title, f"median {middle:.3g}, 80 % in {low:.3g} to {high:.3g} {units[column]}".rstrip()))
    shared = int((table["overlap_fraction"] > 0).sum())
    return [*rows, ("Overlap", f"{shared} of {len(table)} share probe positions with others")]


def _grains(many: int) -> str:
    return "1 grain" if many == 1 else f"{many} grains"
