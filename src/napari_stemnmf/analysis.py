"""What a run has found so far, and the one file that keeps it.

An `Analysis` is immutable: `pipeline` makes a new one with the results of each stage added. Beside each result it keeps
a key that names what the result was computed from (`stages` says what that is), so that a run can go on where it
stopped and a changed setting makes stale only what depends on it. The file is described in ``docs/analysis-file.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import h5py
import numpy as np
import pandas as pd

from napari_stemnmf import stages
from napari_stemnmf.analysis_checks import check
from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.clustering.ensemble import Ensemble
from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.dataset import Axis, Dataset
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.disks.probe import Probe
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.features.features import Features
from napari_stemnmf.files import analysis_file, storage
from napari_stemnmf.files.analysis_file import FORMAT, FORMAT_VERSION
from napari_stemnmf.files.analysis_file import is_analysis as is_analysis
from napari_stemnmf.files.contents import Part
from napari_stemnmf.grains.grains import Grains, notes_of_grains
from napari_stemnmf.grains.patterns import GrainPatterns
from napari_stemnmf.grains.review import Review
from napari_stemnmf.preprocessing.survey import Survey
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.settings import identity
from napari_stemnmf.texts import NOT_WRITTEN, why
from napari_stemnmf.units import notes_of, pixel_ratio

INCOMPLETE = "incomplete"
FAILED = "failed"
EDITED = "edited"


@dataclass(frozen=True)
class Input:
    """Which data an analysis is of."""

    name: str
    source: str
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[Axis, ...]
    fingerprint: str
    metadata: dict[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    """What was noted of each file that it is read from."""
    keyed: str = ""
    """The fingerprint that keys of results are made with, where a version before 0.5 made them; else empty."""

    @classmethod
    def of(cls, dataset: Dataset, earlier: Input | None = None) -> Input:
        """The record of a dataset, by `Dataset.look`, which is told of an earlier one."""
        known = {k: v for k, v in dataset.metadata.items() if v is not None}
        plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in known.items()}
        mark, parts = dataset.look(earlier)
        return cls(dataset.name, dataset.source, dataset.shape, dataset.dtype.str, dataset.axes, mark, plain, parts)

    def after(self, earlier: Input) -> Input:
        """The record, of the same data as an earlier one, with what keys of results that go with that are made with."""
        former = str(earlier.fingerprint) if str(earlier.fingerprint) != str(self.fingerprint) else ""
        return replace(self, keyed=earlier.keyed or former)


class RunTime(NamedTuple):
    """How long a stage took."""

    wall: float
    """Seconds on the clock."""
    cpu: float
    """Seconds of all the process's threads together; in napari that includes those of the window."""


@dataclass(frozen=True)
class Analysis:
    """All results of a run so far; those of stages that have not run are None or absent.

    Attributes
    ----------
    recipe : Recipe
        The settings of the run.
    input : Input
        Which data it is of.
    mask : ndarray of bool or None
        (q_y, q_x) of the file's detector, True = keep: a mask that was drawn or given, beside what the recipe finds.
    files : dict
        By setting that names a file, "beam_stop.mask" or "preprocess.dark": a digest of what it held, and its path.
    survey : Survey or None
        Mean and maximum of the prepared patterns, virtual image, hot pixels.
    probe : Probe or None
        The template of the disks, and the mask.
    peaks : Peaks or None
        The Bragg disks of every pattern, on the detector.
    calibration : Calibration or None
        Centre of every pattern, ellipse, pixel size.
    failed : dict
        By feature name: why the data does not allow that representation.
    features, models, grains, patterns, tables : dict
        By feature name ("vdf", ...): `Features`, `Ensemble` (VDF: `Groups`), `Grains`, `GrainPatterns`, a `DataFrame`.
    unexplained : dict
        By feature name: (scan_y, scan_x) share of the diffracted intensity that no grain explains, NaN for none.
    reviews : dict
        By feature name: the `Review` of its grains, once something was done; `grains` are then those of the review.
    others : dict
        By name, results of stages that have no field of their own: arrays, plain values, dicts of them.
    keys : dict
        By result, e.g. "models/aa": what it was computed from.
    times : dict
        By stage, the `RunTime` of its last run. Stages of several features that share a read of the data (features,
        tables) have the time of the whole read each.
    view : dict
        What a user was looking at last: "position" (row, column) and "selected" grains by feature. No result.
    """

    recipe: Recipe
    input: Input
    mask: np.ndarray | None = None
    files: dict[str, str] = field(default_factory=dict)
    survey: Survey | None = None
    probe: Probe | None = None
    peaks: Peaks | None = None
    calibration: Calibration | None = None
    failed: dict[str, str] = field(default_factory=dict)
    features: dict[str, Features] = field(default_factory=dict)
    models: dict[str, Ensemble | Groups] = field(default_factory=dict)
    grains: dict[str, Grains] = field(default_factory=dict)
    patterns: dict[str, GrainPatterns] = field(default_factory=dict)
    unexplained: dict[str, np.ndarray] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    reviews: dict[str, Review] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    times: dict[str, RunTime] = field(default_factory=dict)
    view: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        found = ", ".join(f"{name}: {len(g)} grains" for name, g in self.grains.items()) or "no grains yet"
        return f"<Analysis of {self.input.name} {self.input.shape}: {found}>"

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes of the prepared patterns, which all results are on; the detector's as calibrated."""
        axes = self.survey.axes if self.survey is not None else ()
        axes = axes or self.input.axes  # a file of format 1 has no axes of the survey: the patterns were the file's
        if self.calibration is None or self.calibration.pixel_method != "d-spacing":
            return axes
        sides, unit = self.calibration.pixel_sides, self.calibration.pixel_unit
        q = (replace(a, scale=s, unit=unit, offset=0.0, assumed=False) for a, s in zip(axes[2:], sides, strict=True))
        return (*axes[:2], *q)

    @property
    def left_out(self) -> np.ndarray | None:
        """(scan_y, scan_x) bool: the odd patterns, which no stage after the survey uses; None where there are none."""
        return None if self.survey is None else self.survey.left_out

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the data and the grains, a sentence each."""
        found = [*notes_of(self.input.axes, self.input.metadata)]
        survey, peaks = self.survey, self.peaks
        if survey is not None and peaks is not None and peaks.scan_shape != survey.pattern_sum.shape:
            peaks = None  # of another crop, and stale
        if self.calibration is not None and self.calibration.pixel_ratio != pixel_ratio(self.axes):
            found.append("The calibration is of square pixels, from an older version: calibrate again.")
        if survey is not None:
            found += survey.notes(self.recipe.preprocess.scan_order, None if peaks is None else peaks.counts)
        if peaks is not None:
            of = f"of {len(peaks.counts)} patterns"
            good = np.ones(len(peaks.counts), bool) if self.left_out is None else ~self.left_out.ravel()
            if empty := int((peaks.counts[good] == 0).sum()):
                found.append(f"{empty} {of} hold no Bragg disk.")
            most = self.recipe.disks.max_peaks
            if full := int((peaks.counts >= most).sum()):
                found.append(f"{full} {of} have {most} disks, the most that disks.max_peaks allows; set it higher.")
            if peaks.saturated:
                found.append(f"{peaks.saturated} {of} are saturated; the heights of disks are too low.")
        found += [note for part in (self.probe, self.calibration) if part for note in part.notes.splitlines()]
        found += [f"{name.upper()} was left out: {why}" for name, why in self.failed.items()]
        return (*found, *notes_of_grains(self.grains))

    def ensemble(self, feature: str) -> Ensemble | None:
        """The NMF model of a representation; None where there is none, or it is grouped by other means."""
        model = self.models.get(feature)
        return model if isinstance(model, Ensemble) else None

    def result(self, path: str) -> Any:
        """What a stage has found, "peaks" or "models/aa"; None where there is nothing."""
        name, _, feature = path.partition("/")
        value = getattr(self, name) if name in _FIELDS else self.others.get(name)
        return (value or {}).get(feature) if feature else value

    def with_result(self, path: str, result: Any, mark: str = "", took: RunTime | None = None) -> Analysis:
        """A copy with one more result; `path` is its name, and the representation where there is one for each.

        Its key tells what it was computed from: the recipe's settings and the result that it needs, as they are here. A
        `mark` says that the result is not simply what those give ("seed 7": chosen by hand; "incomplete"). Without a
        time that it took, that of the run before stays.
        """
        name, _, feature = path.partition("/")
        key = f"{self.key_of(path, self.recipe)} {mark}".rstrip()
        changes: dict[str, Any] = {"keys": {**self.keys, path: key}}
        value = {**(self.result(name) or {}), feature: result} if feature else result
        changes |= {name: value} if name in _FIELDS else {"others": {**self.others, name: value}}
        if took is not None:
            changes["times"] = {**self.times, path: took}
        if name == "features":
            changes["failed"] = {f: why for f, why in self.failed.items() if f != feature}
        if name == "grains":
            changes["reviews"] = {f: review for f, review in self.reviews.items() if f != feature}
        return replace(self, **changes)

    def without(self, features: Collection[str], *more: str) -> Analysis:
        """A copy without the results of some representations; `more` names further fields that hold one for each."""
        each = stages.results_of_each()
        kept: dict[str, Any] = {
            name: {f: result for f, result in getattr(self, name).items() if f not in features}
            for name in (*each, "reviews", *more)
            if name in _FIELDS
        }
        kept["others"] = {
            name: {f: result for f, result in value.items() if f not in features} if name in each else value
            for name, value in self.others.items()
        }
        return replace(self, **kept)

    def with_review(self, feature: str, review: Review) -> Analysis:
        """A copy with the review of a feature's grains, and the grains as the review has them.

        The grains' key goes on to tell what Refine computed them from; its mark tells of the edits, so that tables and
        patterns are stale while the masks are not those that they were made of.
        """
        stage = f"grains/{feature}"
        found = self.keys.get(stage, "").partition(" ")[0]
        key = f"{found} {EDITED} {review.digest}" if review.digest else found
        return replace(
            self,
            reviews={**self.reviews, feature: review},
            grains={**self.grains, feature: review.grains},
            keys={**self.keys, stage: key},
        )

    def with_failure(self, feature: str, why: str) -> Analysis:
        """A copy that notes why the data, as it is calibrated, does not allow a representation; its results go."""
        path = f"features/{feature}"
        keys = {**self.keys, path: f"{self.key_of(path, self.recipe)} {FAILED}"}
        return replace(self.without([feature]), failed={**self.failed, feature: why}, keys=keys)

    def is_current(self, path: str, recipe: Recipe | None = None, *, partial: bool = False) -> bool:
        """Whether a result is there and is what `recipe` (default: the analysis' own) gives.

        With `partial`, results that go back to a clustering that was cancelled count as well.
        """
        recipe = self.recipe if recipe is None else recipe
        if path not in self.keys:
            return False
        before = stages.needed(path)
        key, _, mark = self.keys[path].partition(" ")
        up_to_date = not before or self.is_current(before, recipe, partial=partial)
        return up_to_date and (partial or mark != INCOMPLETE) and key == self.key_of(path, recipe)

    def key_of(self, path: str, recipe: Recipe) -> str:
        """A short hash of the settings that decide a result and of the key of the result that it is computed from."""
        name, _, feature = path.partition("/")
        settings = stages.stage_of(path).settings(self, recipe, feature)
        parts = (name, *settings, self.keys.get(stages.needed(path), ""))
        return hashlib.sha256("\n".join(map(identity, parts)).encode()).hexdigest()[:16]

    def save(self, path: str | Path) -> None:
        """Write everything to one HDF5 file; the file is either whole or what it was before.

        Raises
        ------
        AnalysisError
            If it cannot be written, or `path` is a file that is not an analysis (it is left alone).
        """
        path = Path(path)
        if path.exists() and not is_analysis(path):
            raise AnalysisError(f"{path} exists and is not a napari-stemnmf analysis; choose another name.")
        try:
            with storage.atomic_write(path, storage.room_for(self)) as part:
                with h5py.File(part, "w") as file:
                    recipe, versions = self.recipe.to_toml(), json.dumps(storage.versions())
                    file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, recipe=recipe, versions=versions)
                    for f in fields(self):
                        if f.name != "recipe" and (f.name not in ("others", "files") or getattr(self, f.name)):
                            storage.write(file, f.name, getattr(self, f.name))
                analysis_file.seal(part)
        except (OSError, RuntimeError) as error:  # what h5py raises where a disk is full is either
            raise AnalysisError(f"The analysis cannot be written to {path}: {why(error, NOT_WRITTEN)}.") from error

    @classmethod
    def load(cls, path: str | Path) -> Analysis:
        """Read an analysis that `save` wrote.

        Raises
        ------
        AnalysisError
            If the file is missing, damaged, or not an analysis of this format version.
        """
        with analysis_file.opened(path) as file:
            hints = get_type_hints(cls)
            wanted = [f.name for f in fields(cls) if f.name != "recipe"]
            if file.attrs["format_version"] == 1:  # its calibration was a centre only; results are recomputed by a run
                wanted.remove("calibration")
            results = {name: storage.read(file, name, hints[name]) for name in wanted}
            recipe = Recipe.from_toml(str(file.attrs["recipe"]))
            results["files"] = stages.files_before(recipe, results["files"], Path(path).stat().st_mtime_ns)
            analysis = cls(recipe=recipe, **results)
            check(analysis)
            return analysis


_FIELDS = tuple(f.name for f in fields(Analysis))
