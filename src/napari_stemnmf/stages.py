"""The stages of a run, in order: the one place that knows it.

survey → probe → disks → calibrate → featurize → cluster → refine → measure

A row of `STAGES` says what a stage is called, what it finds, what it needs, which settings decide it and what runs it.
Pipeline, keys in the file, costs, progress, the bar of steps in napari and the exported script all read this table. A
stage is added by a function that takes a `Task` and a row here.

What is found is named by its field of `Analysis`, and by representation where there is one for each: "peaks",
"models/aa". Nothing heavy is imported before a stage runs: a window may ask the table at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf import stage_functions as do
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.settings import Settings
from napari_stemnmf.stage_functions import Found, Task

if TYPE_CHECKING:
    import numpy as np

RESULTS_VERSION = 2
"""To be raised when the numbers of a stage change, so that older files are computed again."""


@dataclass(frozen=True)
class Stage:
    """One row of the table.

    Attributes
    ----------
    name : str
        What `until` and the shell call it.
    result : str
        What it finds: a field of `Analysis`, or a name of its own.
    needs : str
        The result that it is computed from; "" for none.
    run : callable
        Takes a `Task`. Returns the result, or, by representation, a dict of results: plain, `Incomplete` or `Failed`.
        Where there are results beside the main one (`also`), a tuple: those first.
    each : bool
        Whether it runs for each representation.
    together : bool
        Whether one run does all representations, as they share a read of the scan.
    settings : callable
        ``settings(found, recipe, feature)``: what decides the result beside what it needs.
    reads : bool
        Whether it reads the scan, and may do so on other machines.
    spreads : bool
        Whether its work may be done on other machines without the scan.
    also : tuple of str
        Further results, from the same needs.
    follows : bool
        Whether it always runs with the stage before it: `until` does not stop between them.
    step : str
        The step of the docks that it belongs to; its own name if "".
    title : str
        What progress calls it; the representation's name follows where it runs for one.
    noun : str
        What its result is called.
    part : str
        The part of a run that its time is counted to, in tables of run times; none if "".
    button, about : str
        What the button of its step is called, and what the step is for.
    """

    name: str
    result: str
    needs: str
    run: Callable[[Task], Any]
    each: bool = False
    together: bool = False
    settings: Callable[[Found, Recipe, str], tuple[Any, ...]] = lambda found, recipe, feature: ()
    reads: bool = False
    spreads: bool = False
    also: tuple[str, ...] = ()
    follows: bool = False
    step: str = ""
    title: str = ""
    noun: str = ""
    part: str = ""
    button: str = ""
    about: str = ""

    @property
    def results(self) -> tuple[str, ...]:
        """The names of all that it finds, the main one last."""
        return (*self.also, self.result)

    def path(self, feature: str) -> str:
        """Where its main result is: "peaks", or "models/aa"."""
        return f"{self.result}/{feature}" if self.each else self.result

    def paths(self, features: Iterable[str]) -> tuple[str, ...]:
        """Where its main results are: "peaks", or "models/aa" for each representation."""
        return tuple(map(self.path, features)) if self.each else (self.result,)

    def heading(self, features: Sequence[str]) -> str:
        """What progress calls a run of it, as in "Cluster AA"."""
        name = self.title or self.name.capitalize()
        return name if self.together or not self.each else f"{name} {', '.join(f.upper() for f in features)}"


STAGES: tuple[Stage, ...] = (
    Stage(
        "survey", "survey", "", do.take_survey, reads=True,
        settings=lambda found, recipe, _: (
            found.input.keyed or found.input.fingerprint, RESULTS_VERSION, _by_content(found, recipe, "preprocess"),
            *_masks(found, recipe),
        ),
        step="calibrate", title="Survey", noun="Survey", part="calibration",
    ),
    Stage(
        "probe", "probe", "survey", do.find_probe, follows=True,
        settings=lambda found, recipe, _: (
            _by_content(found, recipe, "beam_stop"), recipe.center, recipe.probe, _digest(found.mask),
        ),
        step="calibrate", title="Survey", part="calibration",
    ),
    Stage(
        "disks", "peaks", "probe", do.find_disks, reads=True,
        settings=lambda _, recipe, __: (recipe.disks,),
        step="calibrate", title="Disks", noun="Disks", part="calibration",
    ),
    Stage(
        "calibrate", "calibration", "peaks", do.calibrate,
        settings=lambda _, recipe, __: (recipe.center, recipe.origin, recipe.ellipse, recipe.pixel_size),
        title="Calibration", noun="Calibration", part="calibration",
        button="Calibrate all", about="hot pixels, mask, probe, disks, centres, ellipse, pixel size",
    ),
    Stage(
        "featurize", "features", "calibration", do.featurize, each=True, together=True, reads=True,
        settings=lambda _, recipe, feature: (feature, recipe.chain(feature).featurize),
        title="Features", noun="Features", part="features",
        button="Featurize", about="from patterns to feature matrices: VDF, AA, RV and BD",
    ),
    Stage(
        "cluster", "models", "features", do.cluster, each=True, spreads=True,
        settings=lambda _, recipe, feature: _of_clustering(recipe.chain(feature)),
        title="Cluster", noun="Components", part="clustering",
        button="Cluster", about="groups of spots (VDF), or non-negative matrix factorization (AA, RV, BD)",
    ),
    Stage(
        "refine", "grains", "models", do.refine, each=True,
        settings=lambda _, recipe, feature: (recipe.chain(feature).refinement,),
        title="Refine", noun="Grains", part="refinement",
        button="Refine", about="from maps to grains that may overlap",
    ),
    Stage(
        "measure", "tables", "grains", do.measure, each=True, together=True, reads=True,
        also=("unexplained", "patterns"),
        title="Measure", noun="Table", part="measurement",
        button="Measure", about="pattern, dissimilarity, size and shape of every grain",
    ),
)  # fmt: skip
"""All stages, in the order in which they run."""


# ---- asking the table


def stage_of(path: str) -> Stage:
    """The stage that finds a result: "models" or "models/aa"."""
    name = path.partition("/")[0]
    return next(stage for stage in STAGES if name in stage.results)


def named(name: str) -> Stage:
    """The stage of that name.

    Raises
    ------
    AnalysisError
        If there is none.
    """
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise AnalysisError(f"There is no step '{name}'; choose from {', '.join(until_names())}.")


def until_names() -> list[str]:
    """The names at which a run may stop, in order."""
    return [stage.name for stage in STAGES if not stage.follows]


def up_to(name: str | None) -> tuple[Stage, ...]:
    """The stages from the first to that one, with what always follows it; all for None."""
    if name is None:
        return STAGES
    end = STAGES.index(named(name)) + 1
    while end < len(STAGES) and STAGES[end].follows:
        end += 1
    return STAGES[:end]


def run_with(name: str) -> tuple[Stage, ...]:
    """The stages that run where one is requested alone: what it needs of the whole scan, it, and what follows it."""
    wanted = [named(name)]
    while (needs := wanted[0].needs) and not stage_of(needs).each:
        wanted.insert(0, stage_of(needs))
    after = [
        stage for stage in up_to(name) if stage.follows and stage not in wanted and stage.needs == wanted[-1].result
    ]
    return (*wanted, *after)


def order(planned: Sequence[Stage], features: Sequence[str]) -> list[tuple[Stage, tuple[str, ...]]]:
    """What is run, in turn: each stage with its representations, or one representation through several stages."""
    parts: list[tuple[Stage, tuple[str, ...]]] = []
    for alone, group in groupby(planned, lambda stage: stage.each and not stage.together):
        of_group = list(group)
        if alone:
            parts += [(stage, (feature,)) for feature in features for stage in of_group]
        else:
            parts += [(stage, tuple(features)) for stage in of_group]
    return parts


def needed(path: str) -> str:
    """The result that a result is computed from, of the same representation; "" for none."""
    stage, feature = stage_of(path), path.partition("/")[2]
    if not stage.needs:
        return ""
    return f"{stage.needs}/{feature}" if stage_of(stage.needs).each else stage.needs


def results_of_each() -> tuple[str, ...]:
    """The names of results that there is one of for each representation."""
    return tuple(name for stage in STAGES if stage.each for name in stage.results)


def results_after(name: str) -> tuple[str, ...]:
    """A result's name, and those of all that is computed from it."""
    found = [name]
    for stage in STAGES:
        if stage.needs in found:
            found += [each for each in stage.results if each not in found]
    return tuple(found)


def steps() -> Iterator[Stage]:
    """The stages that have a step in the docks, each the last of its step: calibrate, featurize, cluster, ..."""
    return (stage for stage in STAGES if not stage.step)


def step_before(name: str) -> Stage | None:
    """The step that must have been done before another can run: none where it runs what it needs by itself."""
    needs = run_with(name)[0].needs
    return stage_of(needs) if needs else None


def step_after(name: str) -> Stage | None:
    """The step that follows another; None after the last."""
    following = list(steps())
    i = following.index(named(name)) + 1
    return following[i] if i < len(following) else None


def _of_clustering(chain: Any) -> tuple[Any, ...]:
    """The settings that decide a clustering: its own, and where there is one the scaling before it."""
    return tuple(getattr(chain, name) for name in ("scaling", "clustering") if hasattr(chain, name))


# ---- files that settings name

FILES = {"preprocess": "dark", "beam_stop": "mask"}
"""By group of settings, the one that names a file; keys are made of what the file holds, not of its name."""
FORMER = "former"
"""Noted of a file in place of a digest: it is taken for what it was when a version before 0.5 computed with it."""


def file_of(recipe: Recipe, group: str) -> str | None:
    """The file that the setting of a group in `FILES` names."""
    found: str | None = getattr(getattr(recipe, group), FILES[group])
    return found


def noted(before: str, digest: str, path: str) -> str:
    """What to note of a file that holds what `digest` tells; `before` is what was noted last."""
    known, _, of = before.partition(" ")
    former = of == path and known in (FORMER, f"{FORMER}:{digest}")
    return f"{FORMER}:{digest} {path}" if former else f"{digest} {path}"


def files_before(recipe: Recipe, files: Mapping[str, str], saved: int) -> dict[str, str]:
    """What is noted of files, and of those that a version before 0.5 did not note, unless they are newer (ns)."""
    known = dict(files)
    for group in FILES:
        path = file_of(recipe, group)
        if path and f"{group}.{FILES[group]}" not in known and _written(path) <= saved:
            known[f"{group}.{FILES[group]}"] = f"{FORMER} {path}"
    return known


def _written(path: str) -> int:
    file = Path(path) if Path(path).exists() else Path(path.partition("::")[0])
    try:
        return file.expanduser().stat().st_mtime_ns
    except OSError:
        return 0  # what is gone cannot be told from what it was


def _by_content(found: Found, recipe: Recipe, group: str) -> Settings:
    """The settings of a group with what its file holds in place of the file's name, as far as that was noted."""
    settings: Settings = getattr(recipe, group)
    path = file_of(recipe, group)
    digest, _, of = found.files.get(f"{group}.{FILES[group]}", "").partition(" ") if path else ("", "", "")
    if not digest or of != path or digest.startswith(FORMER):
        return settings
    return replace(settings, **{FILES[group]: digest})  # type: ignore[type-var]


def _masks(found: Found, recipe: Recipe) -> tuple[Any, ...]:
    """The masks that are given; nothing where none is, or where the survey is of a version whose surveys knew none.

    Of those, the probe is of the masks all the same.
    """
    known = found.keys.get("probe") == found.key_of("probe", recipe)
    if known and found.survey is not None and found.survey.keep is None:
        return ()
    settings = _by_content(found, recipe, "beam_stop")
    given = file_of(recipe, "beam_stop") or found.mask is not None
    return (settings.mask, _digest(found.mask)) if given else ()  # type: ignore[attr-defined]


def _digest(mask: np.ndarray | None) -> str:
    if mask is None:
        return ""
    import hashlib

    import numpy as np

    return hashlib.sha256(np.packbits(mask).tobytes() + repr(mask.shape).encode()).hexdigest()
