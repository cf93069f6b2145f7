"""What a representation sees of the scan as a whole: one grey image of the scan.

Leans on the features of an analysis, and on its survey where there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_stemnmf.errors import AnalysisError

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

BEST = ("aa", "bd", "rv")
"""Representations by how near their image comes to a dark field."""


class ScanImage(NamedTuple):
    """An image of the scan."""

    values: np.ndarray
    """(scan_y, scan_x)."""
    title: str
    label: str
    """Of its values, with the unit."""


def scan_image(analysis: Analysis, feature: str | None = None) -> ScanImage:
    """The mean of the features at each position; the mean of all pixels, which shows little but the beam, without any.

    Parameters
    ----------
    analysis : Analysis
    feature : str, optional
        Representation; without it, the one that comes nearest to a dark field.

    Raises
    ------
    AnalysisError
        If the analysis has neither features nor a survey.
    """
    feature = next((f for f in BEST if f in analysis.features), None) if feature is None else feature
    if feature in analysis.features:
        found = analysis.features[feature]
        values = np.asarray(found.values.mean(axis=1)).reshape(found.scan_shape)
        root = "√" if found.details.get("intensity") == "sqrt" else ""
        words = {
            "aa": ("dark field: mean of the rings", f"{root}counts per pixel"),
            "rv": ("mean radial variance", f"variance of {root}counts"),
            "bd": ("mean of the Bragg disks", f"{root}counts per bin"),
        }
        return ScanImage(values, *words[feature])
    if analysis.survey is None:
        raise AnalysisError("The analysis holds no image of the scan; run the step 'survey' first.")
    return ScanImage(analysis.survey.virtual_image, "mean of each pattern", "mean counts per pixel")
