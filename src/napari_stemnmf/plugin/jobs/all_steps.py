"""All steps of the pipeline, one after the other, as one run: what is missing or stale, and nothing else.

Each step is a `Job` of its own, so that its layers appear and the analysis is saved as soon as it is done. A step that
was cancelled or has failed ends the run; what was found is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QObject, Signal

from napari_stemnmf.plugin.jobs import tasks as jobs
from napari_stemnmf.plugin.session import Session

if TYPE_CHECKING:
    from napari.components import ViewerModel


class Part(NamedTuple):
    """One step of a run, and the features that it is for."""

    step: str
    features: tuple[str, ...]


def plan(features: Sequence[str]) -> list[Part]:
    """The parts of a run in order: features and measuring in one read for all, grains of each as soon as possible."""
    each = [Part(step, (name,)) for name in features for step in ("cluster", "refine")]
    return [Part("featurize", tuple(features)), *each, Part("measure", tuple(features))]


def to_do(session: Session, part: Part) -> tuple[str, ...]:
    """The features for which a part is missing or stale; those that the data does not allow are left out."""
    failed = {} if session.analysis is None else session.analysis.failed
    tried = {name for name in failed if part.step != "featurize" or _is_current(session, name)}
    return tuple(f for f in part.features if f not in tried and session.state(part.step, f) != "done")


class AllSteps(QObject):
    """A run of all steps for one session.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
    features : sequence of str
    show : callable
        As of `jobs.Job`.
    parent : QObject, optional
    """

    ended = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        features: Sequence[str],
        show: Callable[[Any, Session, str, str], Iterator[None]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._show = viewer, session, show
        self._plan = plan(features)
        self._parts = len(self._plan)
        self._now: tuple[_Link, Part] | None = None
        session.changed.connect(self._on_changed)

    def start(self) -> None:
        """Begin with the first part that has something to do."""
        while self._plan:
            part = self._plan.pop(0)
            features = to_do(self._session, part)
            if features:
                link = _Link(self._viewer, self._session, part.step, features, self._show)
                link.part = f"{self._parts - len(self._plan)}/{self._parts}"
                self._now = link, Part(part.step, features)
                link.start()
                return
        self._end()

    def _on_changed(self) -> None:
        if self._now is None or self._session.running is self._now[0]:
            return
        (link, part), self._now = self._now, None
        if link.stopped or self._session.running is not None or to_do(self._session, part):
            self._end()
        else:
            self.start()

    def _end(self) -> None:
        self._plan = []
        self._session.changed.disconnect(self._on_changed, missing_ok=True)
        self.ended.emit()


class _Link(jobs.Job):
    """A job that remembers whether it was stopped."""

    stopped = False

    def cancel(self) -> None:
        self.stopped = True
        super().cancel()

    def abandon(self) -> None:
        self.stopped = True
        super().abandon()


def _is_current(session: Session, feature: str) -> bool:
    """Whether it is known of the present settings that the data does not allow a feature."""
    return session.analysis is not None and session.analysis.is_current(f"features/{feature}", session.recipe)
