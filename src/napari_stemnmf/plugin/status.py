"""How far each step is, as a mark and in words: what is set, missing or stale, and which button is next. No Qt."""

from __future__ import annotations

from typing import Any

from napari_stemnmf import stages
from napari_stemnmf.dataset import Axis
from napari_stemnmf.plugin.docks.measure.model import in_short
from napari_stemnmf.plugin.session import SCORE, Session
from napari_stemnmf.plugin.wording import in_window, size_of
from napari_stemnmf.recipe import FEATURES
from napari_stemnmf.stages import Stage
from napari_stemnmf.units import notes_of

MARKS = {"done": "✓", "stale": "↻", "incomplete": "◐", "missing": "·", "": ""}
"""What stands behind a step's name, by its state."""
WORDS = {
    "done": "done",
    "stale": "stale: settings or grains have changed since",
    "incomplete": "incomplete",
    "missing": "not done yet",
    "": "",
}
REVIEW = "review"
NOUNS = {("cluster", "vdf"): "Groups"}
"""What a step makes of a representation, where that has another name than for most."""


def mark_of(session: Session | None, step: str, feature: str) -> str:
    """The state of a step for its mark: "done", "stale", "incomplete" or "missing"; empty without a scan or state."""
    if session is None:
        return ""
    if step == SCORE:
        if session.scored is None:
            return "missing"
        grains = {} if session.analysis is None else session.analysis.grains
        return "done" if session.scored.is_of(grains) else "stale"
    if step == REVIEW:
        return _reviewed(session, feature)
    return session.state(step, feature) if step in {stage.name for stage in stages.steps()} else ""


def _reviewed(session: Session, feature: str) -> str:
    """Done when every grain is accepted or rejected."""
    review = session.review(feature)
    if review is None:
        return "missing"
    decided = review.verdicts()["verdict"] != ""
    return "done" if decided.all() else "incomplete" if decided.any() else "missing"


def offered(session: Session | None) -> tuple[str, ...]:
    """The representations to work on: those that a scan's recipe computes, and those that something is known of."""
    if session is None:
        return tuple(FEATURES)
    known = () if session.analysis is None else (*session.analysis.features, *session.analysis.grains)
    return tuple(name for name in FEATURES if name in session.recipe.features or name in known)


def looked_at(session: Session | None) -> str:
    """The representation that is in view; the first that is offered where none was chosen."""
    names = offered(session)
    return session.canvas.feature if session is not None and session.canvas.feature in names else names[0]


def status(session: Session | None, step: str, feature: str) -> str:
    """What is set, missing or stale before and at a step, in words."""
    if session is None:
        return "Open a 4D-STEM scan: drop its file on the canvas, or take a sample from File > Open Sample."
    lines = [] if step == SCORE else [_about(session)]
    if step in ("calibrate", "featurize"):
        lines.append(_calibration_line(session))
    if step == "featurize":
        lines.append(" ".join(_line(session, stages.named(step), f) for f in FEATURES if f in session.recipe.features))
    elif step == SCORE:
        lines += _score_lines(session)
    elif step != "calibrate":
        before = [stage for stage in stages.up_to(step) if stage.each]
        lines += [_line(session, stage, feature) for stage in before]
    if step in ("calibrate", "featurize"):
        lines += [in_window(warning) for warning in _warnings(session)]
    if step == "calibrate" and (session.analysis is None or session.analysis.survey is None):
        lines += [in_window(line) for line in session.oddities or ()]
    obstacle = "" if session.running is not None else session.obstacle(step, feature)
    lines += [line for line in (session.note, obstacle or next_button(session, step, feature)) if line]
    return "\n".join(lines)


def _warnings(session: Session) -> tuple[str, ...]:
    """What is odd about the scan, as far as it is known."""
    if session.analysis is not None:
        return session.analysis.warnings
    return notes_of(session.dataset.axes, session.dataset.metadata) if session.dataset is not None else ()


def next_button(session: Session, step: str, feature: str) -> str:
    """Which button gives what is missing or stale at a step, or where to go from there; empty if that is unknown."""
    if step == SCORE or session.running is not None:
        return ""
    button = stages.named(step).button
    after = stages.step_after(step)
    following = "Review" if after is None else after.name.capitalize()
    features = session.recipe.features if step == "featurize" else (feature,)
    failed = {} if session.analysis is None else session.analysis.failed
    states = [session.state(step, name) for name in features if name not in failed]
    if "missing" in states:
        if step == "calibrate" and (session.analysis is None or session.analysis.survey is None):
            return "Press First look to see the mean pattern, or Calibrate all."
        before = step == "featurize" and session.state("calibrate", "") == "missing"
        return f"Press {button}{', which calibrates first' if before else ''}."
    if "incomplete" in states:
        return f"Press {button} to do the rest, or go on with {following}."
    if "stale" in states:
        return f"Press {button} to bring it up to date."
    return f"Go on with {following}."


def _about(session: Session) -> str:
    if session.dataset is None:
        return f"{session.name}: the scan is not open, results only."
    d = session.dataset
    steps = f"{_step(*d.axes[:2])}; detector {_step(*d.axes[2:])}"
    return (
        f"{d.scan_shape[0]} × {d.scan_shape[1]} patterns of {d.detector_shape[0]} × {d.detector_shape[1]} pixels, "
        f"{d.dtype}, {size_of(d.nbytes)}. Scan step {steps}."
    )


def _score_lines(session: Session) -> list[str]:
    """What was scored, and whether it still is what there is."""
    grains = {} if session.analysis is None else session.analysis.grains
    there = ", ".join(f"{feature.upper()} {len(found)}" for feature, found in grains.items())
    lines = [f"Grains: {there or 'none yet'}."]
    scored = session.scored
    if scored is None:
        return [*lines, "Scores: not done yet."]
    names = ", ".join(subject.name for subject in scored.subjects)
    stale = "" if scored.is_of(grains) else " Stale: there are other grains now."
    painted = any(subject.name != subject.feature.upper() for subject in scored.subjects)
    paint = " Painted layers are scored as they were painted, beside the grains of the analysis." if painted else ""
    return [*lines, f"Scores: {names} against {scored.where}, {len(scored.truth)} true grains.{stale}{paint}"]


def _step(y: Axis, x: Axis) -> str:
    """The step along both axes, or along each where they differ."""
    known = [f"{axis.scale:.4g} {axis.unit}" if axis.unit != "px" else "not calibrated" for axis in (y, x)]
    return known[0] if known[0] == known[1] else f"{known[0]} (y), {known[1]} (x)"


def _calibration_line(session: Session) -> str:
    """One line on survey, disks and calibration."""
    analysis = session.analysis
    parts = []
    for stage in stages.up_to("calibrate"):
        if stage.noun:
            there = analysis is not None and analysis.result(stage.result) is not None
            current = there and analysis is not None and analysis.is_current(stage.result, session.recipe)
            parts.append(f"{stage.noun}: {'done' if current else 'stale' if there else 'not done yet'}.")
    return " ".join(parts)


def _line(session: Session, stage: Stage, feature: str) -> str:
    """One sentence on what a stage has found for a feature."""
    step, noun = stage.name, NOUNS.get((stage.name, feature), stage.noun or stage.name.capitalize())
    title = f"{noun} {feature.upper()}"
    state = session.state(step, feature)
    if state == "missing":
        return f"{title}: not done yet."
    found = _found(session.result(step, feature), step, feature)
    cut = " Incomplete: it was cancelled." if step == "cluster" else " Of a clustering that was cancelled."
    why = {"stale": " Stale: settings have changed.", "incomplete": cut}.get(state, "")
    if step == "measure" and state == "stale" and session.state("refine", feature) == "done":
        why = " Stale: grains were edited."
    return f"{title}: {found}.{why}"


def _found(result: Any, step: str, feature: str) -> str:
    if step == "featurize" and feature == "vdf":
        return f"{result.values.shape[1]} tracks of spots"
    if step == "featurize":
        dropped = f", {len(result.dropped)} dropped" if len(result.dropped) else ""
        return f"{result.values.shape[1]} columns{dropped}"
    if step == "cluster":
        if not hasattr(result, "seeds"):  # groups of tracks
            return str(result)
        done = sum(record.status == "done" for record in result.seeds)
        return f"{result.k} components, error {result.error:.4f}, best of {done} of {len(result.seeds)} seeds"
    if step == "refine":
        overlap = float((result.overlap > 1).mean())
        note = f". {result.note.rstrip('.')}" if result.note else ""
        return f"{len(result)} grains, overlapping on {overlap:.0%} of the scan{note}"
    return in_short(result) if step == "measure" else "done"
