"""The status lines of the widgets: what is set, missing or stale, in words, and which button is next. No Qt."""

from __future__ import annotations

from typing import Any

from napari_stemnmf.plugin.docks.measure.model import in_short
from napari_stemnmf.plugin.session import SCORE, STEPS, Session
from napari_stemnmf.recipe import FEATURES

BUTTONS = {
    "calibrate": "Calibrate all",
    "featurize": "Featurize",
    "cluster": "Cluster",
    "refine": "Refine",
    "measure": "Measure",
}
"""What the button of each step is called."""
AFTER = {
    "calibrate": "Featurize",
    "featurize": "Cluster",
    "cluster": "Refine",
    "refine": "Measure",
    "measure": "Review",
}
"""The step that follows each, as the bar of steps calls it."""
CALIBRATION = {"survey": "Survey", "peaks": "Disks", "calibration": "Calibration"}
"""What calibrating gives, in order, and how it is called."""


def status(session: Session | None, step: str, feature: str) -> str:
    """What is set, missing or stale before and at a step, in words."""
    if session is None:
        return "Open a 4D-STEM scan: drop its file on the canvas, or take a sample from File > Open Sample."
    lines = [] if step == SCORE else [_about(session)]
    if step in ("calibrate", "featurize"):
        lines.append(_calibration_line(session))
    if step == "featurize":
        lines.append(" ".join(_line(session, step, f) for f in FEATURES if f in session.recipe.features))
    elif step == SCORE:
        lines += _score_lines(session)
    elif step != "calibrate":
        names = list(STEPS)
        lines += [_line(session, name, feature) for name in names[1 : names.index(step) + 1]]
    if session.analysis is not None and step in ("calibrate", "featurize"):
        lines += session.analysis.warnings
    obstacle = "" if session.running is not None else session.obstacle(step, feature)
    lines += [line for line in (session.note, obstacle or next_button(session, step, feature)) if line]
    return "\n".join(lines)


def next_button(session: Session, step: str, feature: str) -> str:
    """Which button gives what is missing or stale at a step, or where to go from there; empty if that is unknown."""
    if step not in BUTTONS or session.running is not None:
        return ""
    features = session.recipe.features if step == "featurize" else (feature,)
    failed = {} if session.analysis is None else session.analysis.failed
    states = [session.state(step, name) for name in features if name not in failed]
    if "missing" in states:
        if step == "calibrate" and (session.analysis is None or session.analysis.survey is None):
            return "Press First look to see the mean pattern, or Calibrate all."
        before = step == "featurize" and session.state("calibrate", "") == "missing"
        return f"Press {BUTTONS[step]}{', which calibrates first' if before else ''}."
    if "incomplete" in states:
        return f"Press {BUTTONS[step]} to do the rest, or go on with {AFTER[step]}."
    if "stale" in states:
        return f"Press {BUTTONS[step]} to bring it up to date."
    return f"Go on with {AFTER[step]}."


def _about(session: Session) -> str:
    if session.dataset is None:
        return f"{session.name}: the scan is not open, results only."
    d = session.dataset
    scan, q = d.axes[0], d.axes[2]
    steps = f"{_step(scan.scale, scan.unit, scan.assumed)}; detector {_step(q.scale, q.unit, q.assumed)}"
    return (
        f"{d.scan_shape[0]} × {d.scan_shape[1]} patterns of {d.detector_shape[0]} × {d.detector_shape[1]} pixels, "
        f"{d.dtype}, {_size(d.nbytes)}. Scan step {steps}."
    )


def _score_lines(session: Session) -> list[str]:
    """What was scored, and whether it still is what there is."""
    grains = {} if session.analysis is None else session.analysis.grains
    there = ", ".join(f"{feature.upper()} {len(found)}" for feature, found in grains.items())
    lines = [f"Grains: {there or 'missing'}."]
    scored = session.scored
    if scored is None:
        return [*lines, "Scores: missing."]
    names = ", ".join(subject.name for subject in scored.subjects)
    stale = "" if scored.is_of(grains) else " Stale: there are other grains now."
    painted = any(subject.name != subject.feature.upper() for subject in scored.subjects)
    paint = " Painted layers are scored as they were painted, beside the grains of the analysis." if painted else ""
    return [*lines, f"Scores: {names} against {scored.where}, {len(scored.truth)} true grains.{stale}{paint}"]


def _step(scale: float, unit: str, assumed: bool) -> str:
    return "not calibrated" if assumed else f"{scale:.4g} {unit}"


def _calibration_line(session: Session) -> str:
    """One line on survey, disks and calibration."""
    analysis = session.analysis
    states = {}
    for stage, title in CALIBRATION.items():
        there = analysis is not None and getattr(analysis, stage) is not None
        current = there and analysis is not None and analysis.is_current(stage, session.recipe)
        states[title] = "done" if current else "stale" if there else "missing"
    return " ".join(f"{title}: {state}." for title, state in states.items())


def _line(session: Session, step: str, feature: str) -> str:
    """One sentence on what a step has found for a feature."""
    title = f"{STEPS[step].capitalize()} {feature.upper()}"
    title = {"models": f"Components {feature.upper()}", "tables": f"Table {feature.upper()}"}.get(STEPS[step], title)
    state = session.state(step, feature)
    if state == "missing":
        return f"{title}: missing."
    found = _found(session.result(step, feature), step)
    cut = " Incomplete: it was cancelled." if step == "cluster" else " Of a clustering that was cancelled."
    why = {"stale": " Stale: settings have changed.", "incomplete": cut}.get(state, "")
    if step == "measure" and state == "stale" and session.state("refine", feature) == "done":
        why = " Stale: grains were edited."
    return f"{title}: {found}.{why}"


def _found(result: Any, step: str) -> str:
    if step == "featurize":
        dropped = f", {len(result.dropped)} dropped" if len(result.dropped) else ""
        return f"{result.values.shape[1]} columns{dropped}"
    if step == "cluster":
        done = sum(record.status == "done" for record in result.seeds)
        return f"{result.k} components, error {result.error:.4f}, best of {done} of {len(result.seeds)} seeds"
    if step == "refine":
        overlap = float((result.overlap > 1).mean())
        return f"{len(result)} grains, overlapping on {overlap:.0%} of the scan"
    return in_short(result)


def _size(nbytes: int) -> str:
    size = float(nbytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
