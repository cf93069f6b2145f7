"""How far each step of the dock is for a scan and a feature, as one mark and in words. No Qt."""

from __future__ import annotations

from napari_stemnmf.plugin.session import SCORE, STEPS, WHOLE, Session

REVIEW = "review"
MARKS = {"done": "✓", "stale": "↻", "incomplete": "◐", "missing": "·", "": ""}
"""What stands behind a step's name, by its state."""
WORDS = {
    "done": "done",
    "stale": "stale: settings or grains have changed since",
    "incomplete": "incomplete",
    "missing": "not done yet",
    "": "",
}


def state(session: Session | None, step: str, feature: str) -> str:
    """One of "done", "stale", "incomplete" and "missing"; empty where there is nothing to do or no scan."""
    if session is None:
        return ""
    if step in STEPS:
        return session.state(step, "" if step == WHOLE else feature)
    if step == SCORE:
        return _scored(session)
    return _reviewed(session, feature) if step == REVIEW else ""


def _scored(session: Session) -> str:
    if session.scored is None:
        return "missing"
    grains = {} if session.analysis is None else session.analysis.grains
    return "done" if session.scored.is_of(grains) else "stale"


def _reviewed(session: Session, feature: str) -> str:
    """Done when every grain is accepted or rejected."""
    review = session.review(feature)
    if review is None:
        return "missing"
    decided = review.verdicts()["verdict"] != ""
    return "done" if decided.all() else "incomplete" if decided.any() else "missing"
