"""What calibration has found, for people and for other programs: numbers, text, figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf import storage
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.findings import findings

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.calibration import Calibration
    from napari_stemnmf.dataset import Dataset

FIGURE = "calibration"


def summary(analysis: Analysis) -> dict[str, Any]:
    """The numbers as plain values that JSON can hold; None where something is not known.

    Pixels are those of the prepared patterns (after crop and binning), except for ``hot_pixels``: those of the file.

    Raises
    ------
    AnalysisError
        If the analysis is not calibrated yet.
    """
    calibration = _calibration(analysis)
    geometry = calibration.geometry
    masked = 0.0 if geometry.mask is None else float(1.0 - geometry.mask.mean())
    hot = analysis.survey.hot_pixels if analysis.survey is not None else np.empty((0, 2))
    values: dict[str, Any] = {
        "center_q_y": geometry.q_y,
        "center_q_x": geometry.q_x,
        "descan_px": calibration.descan.tolist(),
        "origin_method": calibration.origin_method,
        "origin_fit": calibration.origin_fit,
        "origin_residual_px": calibration.origin_residual,
        "ellipse_ratio": geometry.ellipse_ratio,
        "ellipse_angle_deg": geometry.ellipse_angle,
        "ellipse_method": calibration.ellipse_method,
        "ellipse_error": calibration.ellipse_error,
        "ellipse_residual_px": calibration.ellipse_residual,
        "q_pixel_size": calibration.pixel_size,
        "q_unit": calibration.pixel_unit,
        "q_pixel_method": calibration.pixel_method,
        "probe_radius_px": geometry.probe_radius,
        "hot_pixels": hot.tolist(),
        "masked_fraction": masked,
    }
    if analysis.peaks is not None:
        counts = analysis.peaks.counts
        values["disks"] = len(analysis.peaks)
        values["disks_per_pattern"] = float(np.median(counts)) if counts.size else 0.0
        values["patterns_without_disk"] = int((counts == 0).sum())
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in values.items()}


def text(analysis: Analysis) -> str:
    """The same in words, a line for each thing that was measured.

    Raises
    ------
    AnalysisError
        If the analysis is not calibrated yet.
    """
    _calibration(analysis)
    return "\n".join(f"{name:<11} {sentence}" for name, sentence in findings(analysis))


def write_calibration(analysis: Analysis, directory: str | Path, dataset: Dataset | None = None) -> list[Path]:
    """Write ``calibration.png`` and ``calibration.pdf``; each is whole or absent.

    With the prepared `dataset`, one of its patterns is drawn with its disks.

    Raises
    ------
    AnalysisError
        If a file cannot be written, or the analysis is not calibrated.
    """
    from napari_stemnmf.figures.calibration import calibration_figure

    figure = calibration_figure(analysis, dataset)
    written = []
    for suffix in (".png", ".pdf"):
        target = Path(directory) / f"{FIGURE}{suffix}"
        try:
            with storage.atomic_write(target) as part:
                figure.savefig(part, dpi=150)
        except OSError as error:
            raise AnalysisError(f"{target} cannot be written: {error}.") from error
        written.append(target)
    return written


def _calibration(analysis: Analysis) -> Calibration:
    if analysis.calibration is None:
        raise AnalysisError("The analysis is not calibrated yet; run the step 'calibrate' first.")
    return analysis.calibration
