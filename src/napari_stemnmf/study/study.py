"""The study of the paper in one call: simulate, analyse, score, draw, and one page that shows it all.

What is run is in `plan`, what is measured in `results`, what the paper states in `paper`, which claims are judged in
`claims`, what is drawn in `figures`, how it is shown in `page` and `explanations`. Every step leaves whole files or
none, and is skipped when they are there and were made from the same: a study that was stopped goes on, and a changed
setting makes again only what depends on it.
"""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from napari_stemnmf import __version__
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.control import Control, Progress
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import Cancelled, ReadError
from napari_stemnmf.files.writing import make_folder
from napari_stemnmf.grains.scoring import Scores
from napari_stemnmf.pipeline import analyse
from napari_stemnmf.reading.masks import load_masks
from napari_stemnmf.reading.opening import open as open_scan
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.study import page, results
from napari_stemnmf.study.claims import CLAIMS, judge
from napari_stemnmf.study.figures import drawings
from napari_stemnmf.study.paper import FILMS, Number, Numbers, numbers_of
from napari_stemnmf.study.plan import Manifest, Plan, key_of, make_plan
from napari_stemnmf.study.results import ANALYSIS_NAME, Film, Judgement, Study, Variant
from napari_stemnmf.study.simulate import simulate


def reproduce(
    out: str | Path,
    *,
    quick: bool = False,
    films: str | Path | None = None,
    engine: str = "kinematic",
    seeds: int | None = None,
    nanowire: bool = True,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    workers: int | None = None,
) -> Study:
    """Do the paper's study again, into a folder.

    Parameters
    ----------
    out : path
        Folder for all results; made if need be. A study that is there is gone on with.
    quick : bool
        Small films and three seeds: minutes, to see that all works.
    films : path, optional
        Folder of films to take in place of simulated ones: HDF5 files whose names begin with ag1, ag2, ag3 or
        nanowire, truth in ``labels``. What it does not hold is simulated.
    engine : {"kinematic", "multislice"}
        For films that are simulated.
    seeds : int, optional
        Random starts of each clustering; 25, or 3 if quick.
    nanowire : bool
        Whether the stand-in for the paper's nanowire is part of it.
    progress : callable, optional
        Called with a `Progress` now and then, from any thread.
    cancel : threading.Event, optional
        Set it to stop; what was finished is kept.
    workers : int, optional
        Threads; all cores by default. No number but the run times depends on it.

    Returns
    -------
    Study

    Raises
    ------
    Cancelled
        If `cancel` was set; the same call goes on from there.
    DataError, ReadError, AnalysisError
        If settings or given films do not fit, or the folder holds something else.
    """
    plan = make_plan(quick=quick, films=films, engine=engine, seeds=seeds, nanowire=nanowire)
    return _Run(make_folder(out), plan, progress, cancel, workers).all()


class _Run:
    """One pass through the steps of a study."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
        workers: int | None,
    ) -> None:
        self.folder, self.plan, self.workers = folder, plan, workers
        self.progress, self.cancel, self.control = progress, cancel, Control(progress, cancel)
        self.manifest = Manifest(folder)
        self.names: list[str] = []
        self.done: list[str] = []

    def all(self) -> Study:
        began = time.perf_counter()
        versions = {"napari-stemnmf": __version__, "python": platform.python_version(), "machine": platform.machine()}
        self.manifest.note(settings=self.plan.as_dict(), versions=versions)
        films = {name: self._film(name) for name in self.plan.films}
        numbers = _numbers((name, film.analysis, film.scores, film.truth) for name, film in films.items())
        variants = {t: _at(t, films, numbers) for film in films.values() for t in film.variants}
        study = Study(self.folder, self.plan, films, numbers, judge(CLAIMS, numbers), variants, self.done)
        everything = key_of(self.plan.as_dict(), [film.key for film in films.values()])
        self._step("tables", everything, lambda: results.write_tables(study))
        drawn = drawings(study)
        for drawing in drawn:
            key = key_of(drawing.name, [films[name].key for name in drawing.films])
            self._step(f"figure {drawing.name}", key, partial(drawing.save, self.folder))
        self.manifest.keep_only([*self.names, "page"])
        if self.done:
            self.manifest.note(
                finished=datetime.now(UTC).isoformat(timespec="seconds"), last_run_s=time.perf_counter() - began
            )
        steps = {name: step for name, step in self.manifest.steps.items() if name != "page"}
        self._step("page", key_of(everything, steps), lambda: [page.write(study, drawn, self.manifest)])
        return study

    def _step(self, name: str, key: str, make: Callable[[], list[Path]]) -> None:
        self.control.check()
        self.control.for_stage(name.capitalize()).report(0, 1)
        self.names.append(name)
        if self.manifest.step(name, key, make):
            self.done.append(name)

    def _film(self, name: str) -> Film:
        path = self.plan.given.get(name) or self._simulated(name)
        dataset = open_scan(path)
        folder = make_folder(self.folder / name)
        analysis = self._analysed(name, dataset, self.plan.recipe(name), folder / ANALYSIS_NAME)
        again = {
            t: self._analysed(
                f"{name}, AA at {t}", dataset, self.plan.variant(name, t), folder / f"aa-{t}.stemnmf.h5", analysis
            )
            for t in self.plan.thresholds(name)
        }
        truth, dose = _truth_and_dose(path)
        variants = {t: Variant(found, results.scores_of(found, truth)) for t, found in again.items()}
        return Film(name, path, analysis, truth, results.scores_of(analysis, truth), variants, dose)

    def _simulated(self, name: str) -> Path:
        size, engine = self.plan.size(name), self.plan.engine_of(name)
        path = make_folder(self.folder / "scans") / f"{name}.h5"
        control = Control(_titled(self.progress, name), self.cancel, "Simulate")

        def make() -> list[Path]:
            options = {"scan": size.scan, "detector": size.detector, "engine": engine}
            return [simulate(name, path, **options, control=control, workers=self.workers)]  # type: ignore[arg-type]

        self._step(f"simulate {name}", key_of(name, size, engine), make)
        return path

    def _analysed(
        self, name: str, dataset: Dataset, recipe: Recipe, path: Path, before: Analysis | None = None
    ) -> Analysis:
        """The analysis of a film, from its file as far as that goes; `before` has what comes before clustering."""
        began = time.perf_counter()
        step, key = f"analyse {name}", key_of(dataset.fingerprint(), recipe)
        self.names.append(step)
        if path.exists() and Analysis.load(path).input.fingerprint != dataset.fingerprint():
            path.unlink()
        earlier = None if path.exists() else before
        try:
            found = analyse(
                dataset, recipe, progress=_titled(self.progress, name), cancel=self.cancel, workers=self.workers,
                path=path, analysis=earlier,
            )  # fmt: skip
        except Cancelled as stop:
            raise Cancelled(str(stop)) from None
        if not self.manifest.is_current(step, key):
            self.manifest.done(step, key, [path], time.perf_counter() - began)
            self.done.append(step)
        return found


def _numbers(measured: Iterable[tuple[str, Analysis, dict[str, Scores], np.ndarray | None]]) -> Numbers:
    """The numbers of films given as (name, analysis, scores, truth), and of the three silver films together."""
    found: list[Number] = []
    of_films: dict[tuple[str, str], Scores] = {}
    for name, analysis, scores, truth in measured:
        found += results.measure(name, analysis, scores, truth)
        if name in FILMS:
            of_films |= {(name, feature): s for feature, s in scores.items()}
    return numbers_of(found + results.pooled(of_films))


def _at(threshold: float, films: dict[str, Film], numbers: Numbers) -> Judgement:
    """All numbers with those of AA at another merge threshold, and the verdicts on them."""
    changed = _numbers(
        (name, film.variants[threshold].analysis, film.variants[threshold].scores, film.truth)
        for name, film in films.items()
        if threshold in film.variants
    )
    together = {**numbers, **changed}
    return Judgement(together, judge(CLAIMS, together))


def _truth_and_dose(path: Path) -> tuple[np.ndarray | None, float | None]:
    """The true grains and the electrons a pattern, of a file that holds them."""
    with h5py.File(path, "r") as file:
        dose = file["data"].attrs.get("dose_e_per_pattern") if "data" in file else None
    try:
        truth = load_masks(f"{path}::labels")
    except ReadError:
        truth = None
    return truth, None if dose is None else float(dose)


def _titled(progress: Callable[[Progress], None] | None, title: str) -> Callable[[Progress], None] | None:
    """Reports with the film's name before the stage's."""
    return progress and (lambda p: progress(replace(p, stage=f"{title}: {p.stage}")))
