"""Grains as TIFF label images that ImageJ and napari open with their scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files import result_file
from napari_stemnmf.grains.refinement import Grains


def write_labels(analysis: Analysis, feature: str, path: str | Path) -> None:
    """Write the dominant grain of each probe position, by its id.

    Raises
    ------
    AnalysisError
        If the feature has no grains, or the file cannot be written.
    """
    _write(analysis, feature, path, _grains(analysis, feature).labels, axes="YX")


def write_label_stack(analysis: Analysis, feature: str, path: str | Path) -> None:
    """Write one plane a grain, its id inside its mask: nothing is lost where grains overlap.

    An ImageJ hyperstack with the axes (grain, scan_y, scan_x); the planes are named after the grains and, where a
    review has given them one, their classes.

    Raises
    ------
    AnalysisError
        If the feature has no grains, or the file cannot be written.
    """
    grains, review = _grains(analysis, feature), analysis.reviews.get(feature)
    if not len(grains):
        raise AnalysisError(f"{feature.upper()} has no grain to write; run Refine with other settings.")
    classes = [""] * len(grains) if review is None else review.verdicts()["class"].reindex(grains.ids).tolist()
    names = [f"grain {i} {kind}".rstrip() for i, kind in zip(grains.ids.tolist(), classes, strict=True)]
    _write(analysis, feature, path, grains.stack, axes="ZYX", Labels=names)


def _grains(analysis: Analysis, feature: str) -> Grains:
    if feature not in analysis.grains:
        raise AnalysisError(f"There are no grains of {feature.upper()} yet; run Refine, then export.")
    return analysis.grains[feature]


def _write(analysis: Analysis, feature: str, path: str | Path, labels: np.ndarray, **metadata: Any) -> None:
    import tifffile

    kind = np.uint16 if labels.max(initial=0) < 2**16 else np.float32  # the types that ImageJ knows
    step_y, step_x = analysis.axes[:2]
    resolution = (1 / step_x.scale, 1 / step_y.scale)
    metadata = {"unit": step_x.unit, **metadata}
    with result_file(path) as part:
        tifffile.imwrite(part, labels.astype(kind), imagej=True, resolution=resolution, metadata=metadata)
