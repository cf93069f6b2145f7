"""What napari knows of one scan: its data, the recipe, what was found, and what is running. No Qt here.

Every layer made from a scan carries the same `Session` in its metadata, so that a result finds its scan whatever is
selected, and two scans that are open at once never mix.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_stemnmf import memory, stages
from napari_stemnmf.errors import DataError
from napari_stemnmf.plugin.on_canvas import OnCanvas, short_name
from napari_stemnmf.plugin.wording import other_scan
from napari_stemnmf.recipe import FEATURES, Recipe
from napari_stemnmf.texts import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from napari_stemnmf.analysis import Analysis, Input
    from napari_stemnmf.control import Running
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.grains.editing import Edit
    from napari_stemnmf.grains.review import Review

SESSION_KEY = "stemnmf_session"
ROLE_KEY = "stemnmf_role"
SCORE = "score"
"""Comparing the grains of all features with a truth: no step of the analysis, whose record it leaves alone."""
FEATURE_NAMES = {feature: f"{name} ({feature.upper()})" for feature, name in FEATURES.items()}


class Session:
    """State of one open scan, shared by its layers and by all widgets.

    Parameters
    ----------
    dataset : Dataset or None
        The scan; None for an analysis whose scan cannot be found.
    analysis : Analysis, optional
        What was found before; its recipe becomes the session's.
    path : Path, optional
        The file of that analysis.
    options : mapping, optional
        What the scan was opened with beside its path: ``dataset``, ``scan_shape``.

    Attributes
    ----------
    position : tuple of int
        Row and column of the probe position that all docks show.
    selected : dict
        By feature, the id of the selected grain; absent or 0 for none.
    """

    changed = Signal()
    edited = Signal(str)  # a feature whose grains, or what is said of them, an edit has changed
    probe_moved = Signal(int, int)
    grain_selected = Signal(str, int)

    def __init__(
        self,
        dataset: Dataset | None,
        analysis: Analysis | None = None,
        *,
        path: Path | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        memory.keep_little()  # in a window that stays open for hours
        self.dataset = dataset
        self.analysis = analysis
        self.path = path
        self.options = dict(options or {})
        self.saver: Any = None  # the `saving.autosave.Saver` that keeps its file, once there is one
        self.position = (self.scan_shape[0] // 2, self.scan_shape[1] // 2)
        self.selected: dict[str, int] = {}
        if analysis is not None:
            self._look_where(analysis.view)
        self.recipe = Recipe.preset("default") if analysis is None else analysis.recipe
        self.mask: np.ndarray | None = None if analysis is None else analysis.mask
        self.running: Running | None = None
        self.oddities: tuple[str, ...] | None = None  # of the scan as it was opened; None before it was looked at
        self.note = ""
        self.scored: Any = None  # of the Score dock: a `docks.score.model.Scored`, or None
        self.explored: Any = None  # of the Explore dock: a `docks.explore.model.Explored`, or None
        self.probe_users: set[int] = set()  # ids of the docks that show the probe's cross
        self.canvas = OnCanvas(short_name(self.name))

    def __deepcopy__(self, memo: dict[int, Any]) -> Session:
        """A copied layer is still of the same scan."""
        return self

    @property
    def name(self) -> str:
        """Short name of the scan."""
        if self.dataset is not None:
            return self.dataset.name
        return shown(self.analysis.input.name) if self.analysis is not None else "scan"

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of probe positions, as the results have them; the scan's own before there are any."""
        survey = self.analysis.survey if self.analysis is not None else None
        if survey is not None:
            rows, columns = survey.pattern_sum.shape
        elif self.dataset is not None:
            rows, columns = self.dataset.scan_shape
        else:
            rows, columns = self.analysis.input.shape[:2] if self.analysis is not None else (1, 1)
        return int(rows), int(columns)

    @property
    def view(self) -> dict[str, Any]:
        """What the user is looking at, as `Analysis.view` keeps it."""
        return {"position": self.position, "selected": {f: grain for f, grain in self.selected.items() if grain}}

    def _look_where(self, view: Mapping[str, Any]) -> None:
        self.position = tuple(map(int, view.get("position", self.position)))[:2]  # type: ignore[assignment]
        self.selected = {str(feature): int(grain_id) for feature, grain_id in view.get("selected", {}).items()}

    def move_probe(self, row: int, column: int) -> None:
        """Look at another probe position; one off the scan becomes the nearest on it."""
        rows, columns = self.scan_shape
        position = min(max(int(row), 0), rows - 1), min(max(int(column), 0), columns - 1)
        if position != self.position:
            self.position = position
            self.probe_moved.emit(*position)

    def select_grain(self, feature: str, grain_id: int) -> None:
        """Look at a grain of a feature; 0 for none."""
        if self.selected.get(feature, 0) != grain_id:
            self.selected[feature] = grain_id
            self.grain_selected.emit(feature, grain_id)

    def _select_what_is_there(self) -> None:
        """Let go of grains that were selected and are no more, as after Refine found fewer."""
        grains = self.analysis.grains if self.analysis is not None else {}
        for feature, grain_id in list(self.selected.items()):
            if grain_id and (feature not in grains or grain_id not in grains[feature].ids):
                self.select_grain(feature, 0)

    def review(self, feature: str) -> Review | None:
        """What was made of the grains of a feature by hand; None before the first edit."""
        return self.analysis.reviews.get(feature) if self.analysis is not None else None

    def edit(self, feature: str, *edits: Edit) -> None:
        """Change grains, or what is noted of them.

        Raises
        ------
        DataError
            If an edit is not possible; then nothing has changed.
        """
        self._correct("edit", feature, *edits)

    def undo(self, feature: str) -> None:
        """Take the last edit back, if there is one."""
        if self.can_undo(feature):
            self._correct("undo", feature)

    def redo(self, feature: str) -> None:
        """Make the edit again that was taken back last, if there is one."""
        if self.can_redo(feature):
            self._correct("redo", feature)

    def can_undo(self, feature: str) -> bool:
        """Whether there is an edit to take back."""
        review = self.review(feature)
        return review is not None and bool(review.edits)

    def can_redo(self, feature: str) -> bool:
        """Whether there is an edit to make again."""
        review = self.review(feature)
        return review is not None and bool(review.undone)

    def _correct(self, how: str, feature: str, *edits: Edit) -> None:
        """Correct grains by a function of `corrections`."""
        from napari_stemnmf import corrections

        if self.analysis is None:
            return
        self.analysis = getattr(corrections, how)(self.analysis, feature, *edits)
        self.note = ""
        self._select_what_is_there()
        self.edited.emit(feature)
        self.changed.emit()

    def set_recipe(self, recipe: Recipe) -> None:
        """Change the settings; results stay and are reported as stale where they no longer fit."""
        if recipe != self.recipe:
            self.recipe = recipe
            self.note = ""
            self.changed.emit()

    def set_mask(self, mask: np.ndarray | None) -> None:
        """Change the mask that was drawn, (q_y, q_x) of the file's detector, True = keep; None for none.

        Raises
        ------
        DataError
            If it is not of the detector's shape.
        """
        self.mask = mask
        self.set_analysis(self.analysis)

    def set_analysis(self, analysis: Analysis | None, note: str = "") -> None:
        """Take over new results, with a sentence on how they came about.

        The mask stays that of the session: it may have been drawn while the results were computed.
        """
        if analysis is not None and not _same(analysis.mask, self.mask):
            from napari_stemnmf import pipeline

            analysis = pipeline.with_mask(analysis, self.mask)
        self.analysis = analysis
        self.note = note
        self._select_what_is_there()
        self.changed.emit()

    def go_on_from(self, analysis: Analysis, path: Path) -> None:
        """Take over an analysis of the same scan that was saved, with its settings and mask; it is kept in its file."""
        self.mask, self.recipe, self.path = analysis.mask, analysis.recipe, path
        self.analysis, self.note = analysis, ""
        self._look_where(analysis.view)
        self._select_what_is_there()
        if self.saver is not None:
            self.saver.opened(path)
        self.changed.emit()
        self.probe_moved.emit(*self.position)
        for feature, grain_id in self.selected.items():
            self.grain_selected.emit(feature, grain_id)

    def set_dataset(self, dataset: Dataset, record: Input) -> None:
        """Take over the scan itself, for results whose scan was not available.

        Parameters
        ----------
        dataset : Dataset
        record : Input
            ``Input.of(dataset)``, which reads from the file.

        Raises
        ------
        DataError
            If it is not the scan that the results are of.
        """
        if self.analysis is not None and record.fingerprint != self.analysis.input.fingerprint:
            raise DataError(other_scan(record, self.analysis.input))
        self.dataset = dataset
        if self.analysis is not None:
            self.analysis = replace(self.analysis, input=record.after(self.analysis.input))
        self.note = ""
        self.changed.emit()

    def set_scored(self, scored: Any) -> None:
        """Take over new scores."""
        self.scored = scored
        self.note = ""
        self.changed.emit()

    def start(self, running: Running) -> None:
        """Note that a step is running."""
        self.running = running
        self.note = ""
        self.changed.emit()

    def finish(self, note: str = "") -> None:
        """Note that nothing is running any more."""
        self.running = None
        self.note = note or self.note
        self.changed.emit()

    def result(self, step: str, feature: str) -> Any:
        """What a step found for a feature, or None; the feature does not matter where it is one for the whole scan."""
        return None if self.analysis is None else self.analysis.result(stages.named(step).path(feature))

    def state(self, step: str, feature: str) -> str:
        """One of "done", "stale", "incomplete" (it goes back to a step that was cancelled) and "missing"."""
        if self.result(step, feature) is None or self.analysis is None:
            return "missing"
        path = stages.named(step).path(feature)
        if self.analysis.is_current(path, self.recipe):
            return "done"
        return "incomplete" if self.analysis.is_current(path, self.recipe, partial=True) else "stale"

    def todo(self, step: str, features: Sequence[str]) -> tuple[str, ...]:
        """The features for which a step is missing or stale, without those that the data does not allow."""
        analysis = self.analysis
        failed = {} if analysis is None else analysis.failed
        tried = {f for f in failed if analysis is not None and analysis.is_current(f"features/{f}", self.recipe)}
        tried |= set(failed) if step != "featurize" else set()
        return tuple(f for f in features if f not in tried and self.state(step, f) != "done")

    def obstacle(self, step: str, feature: str) -> str:
        """Why a step cannot run now, as a sentence that says what to do; empty when it can."""
        if self.running is not None:
            return f"{self.running.title} is running."
        if step == SCORE:
            there = self.analysis is not None and self.analysis.grains
            return "" if there else "There are no grains yet; run Refine for one feature or more."
        if self.dataset is None and any(stage.reads for stage in stages.run_with(step)):
            source = self.analysis.input.source if self.analysis is not None else ""
            return f"The scan itself is not open{f' ({source})' if source else ''}; open its file to go on."
        before = stages.step_before(step)
        if before is not None and self.result(before.name, feature) is None:
            title = before.name.capitalize()
            return f"There is no result of {title} for {feature.upper()} yet; run {title}."
        if before is not None and self.state(before.name, feature) == "stale":
            return (
                f"Settings before this step have changed; run {before.name.capitalize()} for {feature.upper()} again."
            )
        return ""

    def __repr__(self) -> str:
        return f"<Session of {self.name}>"


def sessions_of(layers: Iterable[Any]) -> list[Session]:
    """The sessions that some layers belong to, each once, in order."""
    found: list[Session] = []
    for layer in layers:
        session = session_of(layer)
        if session is not None and session not in found:
            found.append(session)
    return found


def named(sessions: Sequence[Session]) -> list[tuple[str, Session]]:
    """Sessions with names to choose them by: those of the same name are numbered."""
    names = [session.name for session in sessions]
    return [
        (f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name, session)
        for i, (name, session) in enumerate(zip(names, sessions, strict=True))
    ]


def session_of(layer: Any) -> Session | None:
    """The session that a layer belongs to, if any."""
    session = layer.metadata.get(SESSION_KEY) if layer is not None else None
    return session if isinstance(session, Session) else None


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is b or (a is not None and b is not None and a.shape == b.shape and bool((a == b).all()))
