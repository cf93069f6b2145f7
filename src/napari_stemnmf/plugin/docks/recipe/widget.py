"""Run recipe: all steps with one button, after a preset or a file; and the recipe or a script of it to take along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from qtpy.QtWidgets import QApplication, QFileDialog, QGridLayout, QLabel, QWidget

from napari_stemnmf import stages
from napari_stemnmf.files.writing import write_text
from napari_stemnmf.plugin import status
from napari_stemnmf.plugin.forms.choosing_step import ChoosingStep
from napari_stemnmf.plugin.layers import display
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.plugin.widgets import button, report
from napari_stemnmf.recipe import FEATURES, Recipe

RECIPES, SCRIPTS = "Recipe (*.toml);;All files (*)", "Python script (*.py)"


class RecipeWidget(ChoosingStep):
    """Runs whatever is missing or stale, from the survey to the table.

    Attributes
    ----------
    plan : QLabel
        How far each step of each representation is.
    open_recipe, save_recipe, copy_script, save_script : QPushButton
    """

    step: ClassVar[str] = "recipe"
    run_text: ClassVar[str] = "Run all"

    def _head(self) -> list[Any]:
        self._make_choices("features")
        return [self.preset, self.boxes]

    def _add_forms(self) -> None:
        self.feature.visible = False
        self.run.tooltip = "run every step that is missing or stale, for the features that are ticked"
        self.plan = QLabel()
        self.plan.setToolTip("✓ done, ↻ stale, ◐ incomplete, · not done yet")
        self.open_recipe = button("Open recipe…", "take all settings from a recipe file (.toml)", self._on_open)
        self.save_recipe = button("Save recipe…", "write all settings to a file (.toml)", self._on_save)
        self.copy_script = button(
            "Copy as Python script", "what was done, as a script that repeats it, to the clipboard", self._on_copy
        )
        self.save_script = button("Save script…", "what was done, as a script that repeats it (.py)", self._on_script)
        buttons = QWidget()
        grid = QGridLayout(buttons)
        grid.setContentsMargins(0, 8, 0, 0)
        for i, each in enumerate((self.open_recipe, self.save_recipe, self.copy_script, self.save_script)):
            grid.addWidget(each, *divmod(i, 2))
        column = self.form_area.native.layout()
        column.addWidget(self.plan)
        column.addWidget(buttons)

    def take_recipe(self, path: str | Path) -> None:
        """Take all settings from a recipe file.

        Raises
        ------
        RecipeError
            If it is none.
        """
        if self._session is not None:
            self._session.set_recipe(Recipe.load(path))

    def script(self) -> str:
        """A Python script that repeats what was done to the chosen scan; empty before there is anything.

        Raises
        ------
        StemNMFError
            If no script can be made of it.
        """
        session = self._session
        if session is None or session.analysis is None:
            return ""
        from napari_stemnmf.export.script import script

        return script(session.analysis, options=session.options)

    # ---- what the user does

    def _start(self, step: str) -> None:
        session = self._session
        if session is None or session.running is not None:
            return
        from napari_stemnmf.cost import ALL
        from napari_stemnmf.plugin.jobs.runs import Job
        from napari_stemnmf.plugin.saving.confirm import may_find_anew

        features = self.features()
        if may_find_anew(session, features, self.native):
            Job(self._viewer, session, ALL, features, _show_alone).start()

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.native, "Open a recipe", "", RECIPES)
        if path:
            report(lambda: self.take_recipe(path))

    def _on_save(self) -> None:
        session = self._session
        path = _asked_for(self.native, "Save the recipe", "recipe.toml", RECIPES) if session is not None else ""
        if path and session is not None:
            text = session.recipe.to_toml()
            report(lambda: write_text(path, text), f"Wrote {Path(path).name}.")

    def _on_copy(self) -> None:
        def copy() -> None:
            clipboard = QApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(self.script())

        report(copy, "The script is on the clipboard.")

    def _on_script(self) -> None:
        path = _asked_for(self.native, "Save the script", "repeat.py", SCRIPTS)
        if path:
            report(lambda: write_text(path, self.script()), f"Wrote {Path(path).name}.")

    # ---- what happens around

    def _status_text(self, session: Session | None, feature: str) -> str:
        if session is None:
            return super()._status_text(session, feature)
        if not self.features():
            return "Tick at least one feature."
        obstacle = "" if session.running is not None else session.obstacle("featurize", "")
        failed = {} if session.analysis is None else session.analysis.failed
        left_out = [f"{name.upper()} was left out: {why}" for name, why in failed.items() if name in self.features()]
        return "\n".join(line for line in (*left_out, session.note, obstacle) if line)

    def _can_run(self, session: Session) -> bool:
        each = [stage.name for stage in stages.STAGES if stage.each]
        return not session.obstacle("featurize", "") and any(session.todo(name, self.features()) for name in each)

    def _show_session(self, session: Session | None) -> None:
        there = session is not None and session.analysis is not None
        for each in (self.copy_script, self.save_script):
            each.setEnabled(there)
        if session is None:
            self.plan.setText("")
            return
        self._show_choices(session)
        self.plan.setText(_table(session))


def _show_alone(viewer: Any, session: Session, step: str, feature: str) -> Iterator[None]:
    """Show a result; grains of the other features are hidden, as they would lie over one another."""
    yield from display.showing(viewer, session, step, feature)
    if step == "refine":
        for other in FEATURES:
            layer = display.find(viewer, session, f"grains/{other}")
            if layer is not None:
                layer.visible = other == feature


def _table(session: Session) -> str:
    """Steps by features, with the mark of each."""
    features = session.recipe.features
    rows = ["<tr><td></td>" + "".join(f"<td align='center'><b>{name.upper()}</b></td>" for name in features) + "</tr>"]
    for stage in stages.steps():
        step, marks = stage.name, [status.MARKS[status.mark_of(session, stage.name, name)] for name in features]
        if not stage.each:
            cells = f"<td align='center' colspan='{len(features)}'>{marks[0]}</td>"
        else:
            cells = "".join(f"<td align='center'>{mark}</td>" for mark in marks)
        rows.append(f"<tr><td style='padding-right: 16px'>{step.capitalize()}</td>{cells}</tr>")
    return f"<table cellpadding='3'>{''.join(rows)}</table>"


def _asked_for(parent: QWidget, title: str, name: str, kinds: str) -> str:
    path, _ = QFileDialog.getSaveFileName(parent, title, name, kinds)
    return path if not path or Path(path).suffix else path + Path(name).suffix
