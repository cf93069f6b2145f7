"""Runs of the pipeline in a thread: stages of the table, one after the other, each shown as soon as it is done.

What is found is joined with what the user did meanwhile. A mask that was drawn meanwhile stays, and makes the result
stale.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal

from napari_stemnmf import stages
from napari_stemnmf.control import Control
from napari_stemnmf.cost import ALL
from napari_stemnmf.errors import Cancelled, StemNMFError
from napari_stemnmf.plugin.jobs.tasks import Task
from napari_stemnmf.plugin.layers.in_view import is_in_view
from napari_stemnmf.plugin.preferences import preferences
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.wording import in_window, unmarked
from napari_stemnmf.recipe import FEATURES
from napari_stemnmf.stages import order as pipeline_order

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.pipeline import Done

TITLES = {"survey": "First look", ALL: "Find grains"}
WAIT_SECONDS = 0.1
"""How often a run that waits for the window looks whether it was cancelled."""


class Outcome(NamedTuple):
    """What a job came to: results (perhaps partial) and a sentence, or an error to show."""

    analysis: Analysis | None
    note: str = ""
    error: str = ""


def running_stages(
    session: Session,
    wanted: Sequence[stages.Stage],
    features: tuple[str, ...],
    show: Callable[[Done, Control], Analysis],
) -> Callable[[Control], Outcome]:
    """What a job calls in the thread: it runs stages for some features, from what the session holds now.

    `show` is called there after each part, with a `pipeline.Done`, and returns the analysis to go on from. Errors of
    the package come back as an outcome, others are raised.
    """
    dataset, recipe, given, mask = session.dataset, session.recipe, session.analysis, session.mask
    preferred = preferences()

    def work(control: Control) -> Outcome:
        from napari_stemnmf import pipeline

        analysis = given
        try:
            if dataset is not None:
                begun = pipeline.start(dataset, recipe, analysis)
                if analysis is not None and begun.input.fingerprint != analysis.input.fingerprint:
                    return Outcome(analysis, error=f"{dataset.source} has changed since it was opened; open it again.")
                analysis = begun
                analysis = analysis if mask is None else pipeline.with_mask(analysis, mask)
            elif analysis is not None:
                analysis = pipeline.with_recipe(analysis, recipe)
            else:
                return Outcome(None)
            options: dict[str, Any] = {"features": features, "control": control, "workers": preferred.workers(dataset)}
            if any(stage.reads for stage in wanted):
                options["executor"] = preferred.executor()
            run = pipeline.advance(analysis, dataset, wanted, **options)
            done = next(run, None)
            while done is not None:
                analysis = show(done, control)
                done = _sent(run, analysis)
        except Cancelled as stop:
            return Outcome(stop.analysis if stop.analysis is not None else analysis, str(stop))
        except StemNMFError as error:
            return Outcome(analysis, error=str(error))
        return Outcome(analysis)

    return work


def _sent(run: Generator[Done, Analysis | None, None], analysis: Analysis) -> Done | None:
    """What a run comes to next, after it was given the analysis to go on from; None at its end."""
    try:
        return run.send(analysis)
    except StopIteration:
        return None


class _Relay(QObject):
    """Carries what a run has come to into the window's thread, where `receive` is called with it."""

    sent = Signal(object)

    def __init__(self, receive: Callable[[Any], None]) -> None:
        super().__init__()
        self._receive = receive
        self.sent.connect(self._on_sent)

    def _on_sent(self, message: Any) -> None:
        self._receive(message)


class Job(Task):
    """Stages of the pipeline, for one session; what each part finds is shown as soon as it is there.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
    step : str
        A stage, which takes with it what it needs of the whole scan, or `ALL`.
    features : tuple of str
        Those of the recipe if empty.
    show : callable
        Called in the main thread as ``show(viewer, session, stage name, feature)`` for each new result, with "" where
        it is one of the whole scan; what it returns is gone through piece by piece.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: Session,
        step: str,
        features: tuple[str, ...],
        show: Callable[[Any, Session, str, str], Iterator[None]],
    ) -> None:
        self._stages = stages.STAGES if step == ALL else stages.run_with(step)
        title = TITLES.get(step, step.capitalize())
        if step != ALL and features:
            title = stages.named(step).heading(features) if not stages.named(step).together else title
        self._relay, self._answers = _Relay(self._on_done), SimpleQueue[Any]()
        work = running_stages(session, self._stages, features or session.recipe.features, self._wait_for_window)
        super().__init__(viewer, session, title, work, self._take_outcome)
        self._given = session.analysis
        self.step, self.features = step, features
        self._show = show
        parts = pipeline_order(self._stages, features or session.recipe.features) if step == ALL else []
        self._headings = list(dict.fromkeys(stage.heading(batch) for stage, batch in parts))

    def line(self) -> str:
        """Which part of all, stage, message and time for the progress bar."""
        stage = self.progress.stage if self.progress is not None else ""
        if stage in self._headings:
            self.part = f"{self._headings.index(stage) + 1}/{len(self._headings)}"
        return super().line()

    def _wait_for_window(self, done: Done, control: Control) -> Analysis:
        """In the thread: hand over what was found, and take the analysis with what the user did meanwhile."""
        self._relay.sent.emit(done)
        while True:
            try:
                return self._answers.get(timeout=WAIT_SECONDS)
            except Empty:
                if not self._wanted:
                    control.check()

    def _on_done(self, done: Done) -> None:
        if self._wanted and self._viewer is not None and self._session is not None:
            self._take_over(self._viewer, self._session, done.analysis)
            kept = self._session.analysis  # the run goes on with the mask that it began with
            if kept is not None and kept.mask is not done.analysis.mask:
                kept = replace(kept, mask=done.analysis.mask)
            self._answers.put(kept)

    def _take_outcome(self, viewer: Any, session: Session, outcome: Outcome) -> None:
        if outcome.analysis is not None:
            self._take_over(viewer, session, outcome.analysis, outcome.note)
        self._given = None
        session.note = outcome.note or outcome.error or session.note
        if outcome.error:
            show_error(in_window(outcome.error))
        elif not is_in_view(viewer, session):
            show_info(unmarked(f"{self.title} of {session.name} has ended. Choose it as scan to see what was found."))

    def _take_over(self, viewer: Any, session: Session, found: Analysis, note: str = "") -> None:
        """Join what was found with what the session holds, and show what is new."""
        before = session.analysis
        if found is before:
            return
        session.set_analysis(merged(self._given, before, found), note)
        now = self._given = session.analysis
        for stage in self._stages:
            for feature in FEATURES if stage.each else ("",):
                path = stage.path(feature)
                if now is not None and now.result(path) is not (None if before is None else before.result(path)):
                    self._show_pieces(self._show(viewer, session, stage.name, feature))


_ABSENT = object()


def merged(given: Analysis | None, present: Analysis | None, found: Analysis) -> Analysis:
    """What a session holds when a run ends.

    Parameters
    ----------
    given : Analysis or None
        What the run started from.
    present : Analysis or None
        What the session holds now.
    found : Analysis
        What the run ended with.

    Returns
    -------
    Analysis
        `found`, with what was changed in `present` meanwhile. Grains that were edited while new ones were sought stay,
        as the user's hand goes before; what was measured of them before an edit is stale by its key.
    """
    if present is None or present is given:
        return found
    base = type(found)(found.recipe, found.input, view=found.view) if given is None else given
    changes = {f.name: _joined(*(getattr(a, f.name) for a in (base, present, found))) for f in fields(found)}
    for feature in found.grains:
        if _differ(base, present, feature) and _differ(base, found, feature):
            _keep(changes, present, feature)
    return replace(found, **changes)


def _joined(base: Any, present: Any, found: Any) -> Any:
    if not isinstance(found, Mapping):
        return present if _same(base, found) else found
    names = dict.fromkeys((*present, *found))
    chosen = {}
    for name in names:
        was, new = base.get(name, _ABSENT), found.get(name, _ABSENT)
        value = present.get(name, _ABSENT) if _same(was, new) else new
        if value is not _ABSENT:
            chosen[name] = value
    return chosen


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, str) and a == b)


def _differ(a: Analysis, b: Analysis, feature: str) -> bool:
    return a.grains.get(feature) is not b.grains.get(feature)


def _keep(changes: dict[str, Any], present: Analysis, feature: str) -> None:
    """Put what belongs to the grains of a feature back to how the session has it."""
    of_grains = stages.results_after("grains")
    pairs = [(name, feature) for name in ("reviews", *of_grains)]
    pairs += [(name, f"{result}/{feature}") for name in ("keys", "times") for result in of_grains]
    for name, key in pairs:
        mine = getattr(present, name)
        changes[name] = {k: v for k, v in changes[name].items() if k != key}
        if key in mine:
            changes[name][key] = mine[key]
