"""What calibration has found, in words and numbers with their errors: the same in a shell and in napari."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.calibration.calibration import Calibration
    from napari_stemnmf.disks.peaks import Peaks
    from napari_stemnmf.disks.probe import Probe

ORIGINS = {
    "central": "from the central disk",
    "friedel": "from Friedel pairs of disks",
    "mean": "one for all patterns",
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


def findings(analysis: Analysis | None) -> list[tuple[str, str]]:
    """What is known, as rows of (name, sentence); nothing for what was not looked for yet."""
    if analysis is None or analysis.survey is None:
        return []
    rows = [("hot pixels", _hot(len(analysis.survey.hot_pixels)))]
    if analysis.probe is not None:
        rows += _of_probe(analysis.probe)
    if analysis.peaks is not None:
        rows.append(("disks", _of_disks(analysis.peaks)))
    if analysis.calibration is not None:
        rows += _of_calibration(analysis.calibration)
    return rows


def _hot(count: int) -> str:
    return "none" if not count else f"{count} repaired"


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
        residual = f"residual {calibration.origin_residual:.3f} px about the {calibration.origin_fit}"
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
    if calibration.ellipse_method == "none":
        return "none that is significant: taken as round"
    error = f" ± {calibration.ellipse_error:.4f}" if np.isfinite(calibration.ellipse_error) else ""
    text = f"a/b {where.ellipse_ratio:.4f}{error}, a at {where.ellipse_angle:.1f}°"
    if np.isfinite(calibration.ellipse_residual):
        text += f", residual {calibration.ellipse_residual:.3f} px"
    how = ELLIPSES.get(calibration.ellipse_method, calibration.ellipse_method)
    at = f" of {calibration.ellipse_radius:.1f} px" if np.isfinite(calibration.ellipse_radius) else ""
    return f"{text}; {how if how == 'set by hand' else 'from ' + how}{at}"


def _pixel_size(calibration: Calibration) -> str:
    size = f"{calibration.pixel_size:.5g} {calibration.pixel_unit}"
    if calibration.pixel_method == "none":
        return "not known; a ring of known d-spacing would tell"
    if calibration.pixel_method == "file":
        return f"{size}, from the file"
    return f"{size}, from the ring of {calibration.pixel_radius:.2f} px"
