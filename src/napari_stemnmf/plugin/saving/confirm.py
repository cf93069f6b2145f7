"""Questions that a dock asks before it throws away what the user has done by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QMessageBox, QWidget

from napari_stemnmf import stages
from napari_stemnmf.plugin.wording import unmarked

if TYPE_CHECKING:
    from napari_stemnmf.plugin.session import Session


def may_replace(session: Session, features: Iterable[str], parent: QWidget | None) -> bool:
    """Whether new grains may take the place of reviewed ones; the user is asked only where there is a review.

    Parameters
    ----------
    session : Session
    features : iterable of str
        Features whose grains are to be found again.
    parent : QWidget or None
        Widget that the question belongs to.
    """
    edits = reviewed(session, features)
    if not edits:
        return True
    return _agreed(
        parent,
        "Replace the reviewed grains?",
        f"{session.name} was reviewed by hand: {edits}.",
        "New grains replace the reviewed ones, and what was decided of them is lost.",
        "Replace",
    )


def may_find_anew(session: Session, features: Iterable[str], parent: QWidget | None) -> bool:
    """Whether all that a run of the recipe would do may be done: what it finds anew may have been reviewed."""
    features = tuple(features)
    before = [stage.name for stage in stages.up_to("refine") if stage.each]
    again = {feature for name in before for feature in session.todo(name, features)}
    return may_replace(session, sorted(again), parent)


def may_discard(session: Session, parent: QWidget | None) -> bool:
    """Whether another analysis may take the place of the session's; the user is asked only if that is in no file."""
    if session.analysis is None or session.path is not None or (session.saver is not None and session.saver.waiting):
        return True
    return _agreed(
        parent,
        "Discard the results?",
        f"What was found in {session.name} since it was opened is not saved.",
        "The earlier analysis takes its place.",
        "Discard",
    )


def unsaved(session: Session) -> str:
    """What of a scan is in no file, as the end of a sentence; empty where nothing would be lost."""
    if session.running is not None:
        return "is being worked on: what is running would stop"
    saver = session.saver
    if session.analysis is None or (saver is not None and saver.waiting):
        return ""  # what waits to be saved is saved
    if saver is not None and saver.error:
        return f"is not saved: {saver.error}"
    if session.path is None:
        return "has results that are in no file"
    return "was changed since it was saved" if saver is not None and saver.behind else ""


def may_close(sessions: Iterable[Session], parent: QWidget | None) -> bool:
    """Whether a window may be closed; the user is asked only if something would be lost."""
    lost = [f"{session.name} {why}." for session in sessions if (why := unsaved(session))]
    return not lost or _agreed(
        parent,
        "Close all the same?",
        "\n".join(lost),
        "Keep the window to save it: Save as… in the dock of any step.",
        "Close",
    )


def _agreed(parent: QWidget | None, title: str, text: str, more: str, yes: str) -> bool:
    """Ask; to keep is what Enter and Escape do."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setText(unmarked(text))
    box.setInformativeText(more)
    agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    keep = box.addButton("Keep", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    box.exec()
    return box.clickedButton() is agree


def reviewed(session: Session, features: Iterable[str]) -> str:
    """What would be lost, e.g. "12 edits of AA, 1 edit of RV"; empty where nothing would be."""
    found = {feature: session.review(feature) for feature in features}
    counts = {feature: len(review.edits) for feature, review in found.items() if review is not None and review.edits}
    return ", ".join(f"{n} edit{'s' if n > 1 else ''} of {feature.upper()}" for feature, n in counts.items())
