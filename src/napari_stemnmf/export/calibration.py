"""What calibration has found, for people and for other programs: numbers with their errors, sentences, figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.writing import result_file

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.geometry import Calibration
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.disks.detection import Peaks
    from napari_stemnmf.disks.probe import Probe

ORIGINS = {
    "central": "from the central disk",
    "friedel": "from Friedel pairs of disks",
    "mean": "one for all patterns",
}
USES = {
    "measured": ", which is not used: each pattern has its measured centre",
    "both": ", to which what is significant of each pattern's is added",
}
ELLIPSES = {
    "disks": "a ring of Bragg disks",
    "ring": "a ring of the mean pattern",
    "set": "set by hand",
}
PROBES = {
    "central": "the mean central disk",
    "vacuum": "the vacuum region",
    "synthetic": "a synthetic disk",
}


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
        "origin_use": calibration.origin_use,
        "origin_error_px": calibration.origin_error,
        "descan_error_px": calibration.descan_error,
        "ellipse_ratio": geometry.ellipse_ratio,
        "ellipse_angle_deg": geometry.ellipse_angle,
        "ellipse_method": calibration.ellipse_method,
        "ellipse_error": calibration.ellipse_error,
        "ellipse_angle_error_deg": calibration.ellipse_angle_error,
        "ellipse_residual_px": calibration.ellipse_residual,
        "q_pixel_size": calibration.pixel_size,
        "q_pixel_sides": list(calibration.pixel_sides),
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
    from napari_stemnmf.figures.style import in_style

    figure = calibration_figure(analysis, dataset)
    targets = [Path(directory) / f"calibration{suffix}" for suffix in (".png", ".pdf")]
    for target in targets:
        with result_file(target) as part:
            in_style(figure.savefig)(part, dpi=150)
    return targets


def _calibration(analysis: Analysis) -> Calibration:
    if analysis.calibration is None:
        raise AnalysisError("The analysis is not calibrated yet; run the step 'calibrate' first.")
    return analysis.calibration


def findings(analysis: Analysis | None) -> list[tuple[str, str]]:
    """What was found so far, as rows of (name, sentence): the same in a shell and in napari."""
    if analysis is None or analysis.survey is None:
        return []
    hot = len(analysis.survey.hot_pixels)
    rows = [("hot pixels", f"{hot} repaired" if hot else "none")]
    if analysis.probe is not None:
        rows += _of_probe(analysis.probe)
    if analysis.peaks is not None:
        rows.append(("disks", _of_disks(analysis.peaks)))
    if analysis.calibration is not None:
        rows += _of_calibration(analysis.calibration)
    return rows


def _of_probe(probe: Probe) -> list[tuple[str, str]]:
    hidden = "; the central disk is hidden" if probe.hidden else ""
    masked = 0.0 if probe.mask is None else 1.0 - float(np.mean(probe.mask))
    return [
        ("mask", f"{masked:.1%} of the detector" if masked else "none"),
        ("probe", f"radius {probe.radius:.2f} px, from {PROBES.get(probe.source, probe.source)}{hidden}"),
    ]


def _of_disks(peaks: Peaks) -> str:
    counts = peaks.counts
    empty = int((counts == 0).sum())
    none = f"; {empty} of {len(counts)} patterns without" if empty else "; no pattern without"
    return f"{np.median(counts) if counts.size else 0:.0f} a pattern (median), {len(peaks)} in all{none}"


def _of_calibration(calibration: Calibration) -> list[tuple[str, str]]:
    where = calibration.geometry
    rows = [("centre", f"{where.q_y:.2f}, {where.q_x:.2f} px (q_y, q_x; mean)")]
    rows.append(("descan", _descan(calibration.descan)))
    measured = float(np.isfinite(calibration.measured[..., 0]).mean())
    how = ORIGINS.get(calibration.origin_method, calibration.origin_method)
    if calibration.origin_method == "mean" or not np.isfinite(calibration.origin_residual):
        rows.append(("origin", how))
    else:
        error = f"± {calibration.origin_error:.3f} px, " if np.isfinite(calibration.origin_error) else ""
        residual = f"{error}residual {calibration.origin_residual:.3f} px about the {calibration.origin_fit}"
        residual += USES.get(calibration.origin_use, "")
        rows.append(("origin", f"{residual}; {how}, in {measured:.0%} of the patterns"))
    rows.append(("ellipse", _ellipse(calibration)))
    rows.append(("pixel size", _pixel_size(calibration)))
    return rows


def _descan(descan: np.ndarray) -> str:
    if not np.abs(descan).max() > 0.005:
        return "none"
    (y_down, y_along), (x_down, x_along) = np.round(descan, 2) + 0.0  # no -0.00
    return f"{y_down:+.2f}, {x_down:+.2f} px down the scan; {y_along:+.2f}, {x_along:+.2f} px along its rows (q_y, q_x)"


def _ellipse(calibration: Calibration) -> str:
    where = calibration.geometry
    if calibration.ellipse_method == "off":
        return "off: taken as round"
    if calibration.ellipse_method == "file":
        ratio = f"a/b {where.ellipse_ratio:.4f}, a at {where.ellipse_angle:.1f}°"
        return f"{ratio}, from the file's pixel sizes; none beside it that is significant"
    error = f" ± {calibration.ellipse_error:.4f}" if np.isfinite(calibration.ellipse_error) else ""
    if calibration.ellipse_method == "none":
        return f"none that is significant{f' (a/b is known to{error})' if error else ''}: taken as round"
    turn = f" ± {calibration.ellipse_angle_error:.1f}°" if np.isfinite(calibration.ellipse_angle_error) else ""
    text = f"a/b {where.ellipse_ratio:.4f}{error}, a at {where.ellipse_angle:.1f}°{turn}"
    if np.isfinite(calibration.ellipse_residual):
        text += f", residual {calibration.ellipse_residual:.3f} px"
    how = ELLIPSES.get(calibration.ellipse_method, calibration.ellipse_method)
    at = f" of {calibration.ellipse_radius:.1f} px" if np.isfinite(calibration.ellipse_radius) else ""
    return f"{text}; {how if how == 'set by hand' else 'from ' + how}{at}"


def _pixel_size(calibration: Calibration) -> str:
    y, x = calibration.pixel_sides
    sides = f"{x:.5g}" if x == y else f"{y:.5g} x {x:.5g}"
    size = f"{sides} {calibration.pixel_unit}"
    if calibration.pixel_method == "none":
        return "not known; a ring of known d-spacing would tell"
    if calibration.pixel_method == "file":
        return f"{size}, from the file"
    return f"{size}, from the ring of {calibration.pixel_radius:.2f} px"
