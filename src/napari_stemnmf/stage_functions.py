"""What each stage does: a `Task` in, what it finds out. The order of the stages, and all else of them, is in `stages`.

Each function hands what was found before to the room that does the work, which is imported only when the stage runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_stemnmf.control import Control
from napari_stemnmf.errors import AnalysisError, DataError

if TYPE_CHECKING:
    import numpy as np

    from napari_stemnmf.calibration.geometry import Calibration
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.disks.detection import Peaks
    from napari_stemnmf.disks.probe import Probe
    from napari_stemnmf.grains.grains import Grains
    from napari_stemnmf.preprocessing.survey import Survey
    from napari_stemnmf.streaming.pools import Executor


NOTHING = "The patterns hold no Bragg disk beside the direct beam, as in a vacuum, so no region is a crystal."
"""Why a scan without diffraction has no grain."""

Found: TypeAlias = Any
"""What a stage may ask of what was found before: an `Analysis`, which lies above the stages."""


@dataclass(frozen=True)
class Task:
    """What a stage's function works with: what was found, the scan, and for which representations it is to run."""

    found: Found
    dataset: Dataset | None = None
    features: tuple[str, ...] = ()
    workers: int | None = None
    control: Control = field(default_factory=Control)
    executor: Executor | None = None

    @property
    def how(self) -> dict[str, Any]:
        """How the scan is read, as options of the functions that read it."""
        return {"workers": self.workers, "control": self.control, "executor": self.executor}

    def scan(self) -> Dataset:
        """The scan as it is stored.

        Raises
        ------
        AnalysisError
            If it is not open.
        """
        if self.dataset is None:
            raise AnalysisError(f"The scan itself is not open ({self.found.input.source}); open its file to go on.")
        return self.dataset

    def patterns(self) -> Dataset:
        """The scan as all stages after the survey see it, lazily: cropped, dark subtracted, repaired, binned."""
        return prepared(self.found, self.scan())


@dataclass(frozen=True)
class Incomplete:
    """The result of a stage that was cancelled and is worth keeping, and a sentence about it.

    It is not `marked` where it is whole all the same: the cancel came last.
    """

    result: Any
    message: str
    marked: bool = True


@dataclass(frozen=True)
class Failed:
    """Why the data does not allow a representation."""

    why: str


def prepared(found: Found, dataset: Dataset) -> Dataset:
    """The scan as all stages after the survey see it, lazily: cropped, dark subtracted, hot pixels repaired, binned."""
    from napari_stemnmf.preprocessing.preparation import prepare

    survey = _there(found.survey, "survey")
    return prepare(dataset, survey.hot_pixels, found.recipe.preprocess, survey.keep, survey.wrapped)


def take_survey(task: Task) -> Survey:
    from napari_stemnmf.preprocessing import survey
    from napari_stemnmf.preprocessing.beam_stop import given_mask

    found, scan = task.found, task.scan()
    keep = given_mask(found.recipe.beam_stop, scan.detector_shape, found.mask)
    return survey.take_survey(scan, found.recipe.preprocess, keep=keep, **task.how)


def find_probe(task: Task) -> Probe:
    from napari_stemnmf.disks import probe
    from napari_stemnmf.preprocessing.beam_stop import detector_mask

    found, recipe, survey = task.found, task.found.recipe, _there(task.found.survey, "survey")
    shape = task.scan().detector_shape
    mask = detector_mask(survey, recipe.beam_stop, recipe.preprocess, shape, found.mask, task.control)
    return probe.find_probe(task.patterns(), survey, mask, recipe.center, recipe.probe, task.control)


def find_disks(task: Task) -> Peaks:
    from napari_stemnmf.disks import detection

    found = task.found
    peaks = detection.find_disks(task.patterns(), _there(found.probe, "survey"), found.recipe.disks, **task.how)
    return peaks.without(found.left_out)


def calibrate(task: Task) -> Calibration:
    from napari_stemnmf.calibration import calibrate as calibration

    found, survey = task.found, _there(task.found.survey, "survey")
    return calibration.calibrate(
        found.peaks, _there(found.probe, "survey"), survey, survey.axes, found.recipe, task.control
    )


def featurize(task: Task) -> dict[str, Any]:
    from napari_stemnmf.features import bragg_disks
    from napari_stemnmf.features import featurize as representations

    found = task.found
    others = [name for name in found.recipe.features if name not in task.features and name in found.features]
    calibration = _there(found.calibration, "calibrate")
    try:
        made = representations.featurize(
            task.patterns(),
            _there(found.survey, "survey"),
            calibration,
            found.recipe,
            names=task.features,
            needed=not others,
            peaks=found.peaks,
            probe=found.probe,
            **task.how,
        )
    except DataError as error:
        if found.peaks is None or bragg_disks.disks_used(found.peaks, calibration, found.recipe.bd.featurize)[2].any():
            raise
        return {name: Failed(f"{NOTHING} {error}") for name in task.features}  # a vacuum: no error, and no grain
    return {**made.features, **{name: Failed(why) for name, why in made.failed.items()}}


def cluster(task: Task) -> dict[str, Any]:
    from napari_stemnmf.clustering import ensemble, grouping
    from napari_stemnmf.representation_settings import GroupingSettings

    (name,), found, control = task.features, task.found, task.control
    chain = found.recipe.chain(name)
    if isinstance(chain.clustering, GroupingSettings):
        return {name: grouping.group(found.features[name], chain.clustering, control=control)}
    model = ensemble.cluster(found.features[name], chain.scaling, chain.clustering, **task.how)
    done = sum(record.status != "cancelled" for record in model.seeds)
    if done == len(model.seeds) and not control.cancelled:
        return {name: model}
    message = f"Clustering {name.upper()} was cancelled with {done} of {len(model.seeds)} seeds done."
    return {name: Incomplete(model, message, marked=done < len(model.seeds))}


def refine(task: Task) -> dict[str, Any]:
    from napari_stemnmf.clustering.grouping import Groups
    from napari_stemnmf.grains.evidence import evidence, refine_model
    from napari_stemnmf.grains.nmf_likelihood import judged
    from napari_stemnmf.grains.tracked import outlined

    (name,), found = task.features, task.found
    settings, model, how = found.recipe.chain(name).refinement, found.models[name], {"left_out": found.left_out}
    if isinstance(model, Groups):
        return {name: outlined(model, found.features[name], settings, control=task.control, **how)}
    grains = refine_model(model, settings, found.peaks, found.calibration, control=task.control, **how)
    stable = stability(found, name, grains, workers=task.workers, control=task.control)
    known = evidence(model, settings, found.peaks, found.calibration, found.left_out)
    return {name: grains if known is None else judged(grains, known[0], stable, control=task.control)}


def measure(task: Task) -> dict[str, Any]:
    """Patterns are made only of grains that there are none of yet: after an edit, little is read."""
    from napari_stemnmf.grains import measurement
    from napari_stemnmf.grains.patterns import grain_patterns
    from napari_stemnmf.grains.unexplained import unexplained

    found, parts = task.found, len(task.features) + 1
    grains = {name: found.grains[name] for name in task.features}
    how = {**task.how, "control": task.control.part(0, parts), "left_out": found.left_out}
    mask, source = None if found.probe is None else found.probe.mask, found.keys["survey"]
    patterns = grain_patterns(task.patterns(), grains, mask=mask, known=found.patterns, source=source, **how)
    results = {}
    for i, name in enumerate(task.features, 1):
        stable = stability(found, name, grains[name], workers=task.workers, control=task.control.part(i, parts))
        table = measurement.measure(grains[name], found.axes, patterns[name], stable, control=task.control)
        of = grains[name], found.models.get(name), found.features.get(name)
        share = None if found.peaks is None else unexplained(*of, found.peaks, found.calibration)
        results[name] = share, patterns[name], table
    return results


def stability(
    found: Found, feature: str, grains: Grains, *, workers: int | None = None, control: Control | None = None
) -> np.ndarray:
    """How far grains of a representation are found again from the other seeds: (g,), 0 to 1; NaN where unknown.

    The first time for a model it takes as long as to refine every seed.
    """
    import numpy as np

    from napari_stemnmf.clustering.ensemble import Ensemble
    from napari_stemnmf.grains.confidence import stability as from_seeds

    if feature not in found.features or not isinstance(found.models.get(feature), Ensemble):
        return np.full(len(grains), np.nan)
    chain, given = found.recipe.chain(feature), (found.models[feature], found.features[feature])
    disks = found.peaks, found.calibration
    how = {"left_out": found.left_out, "workers": workers, "control": control}
    return from_seeds(grains, *given, chain.scaling, chain.refinement, *disks, **how)


def _there(result: Any, stage: str) -> Any:
    if result is None:
        raise AnalysisError(f"There is no {stage} yet; run the step '{stage}' first.")
    return result
