"""What a run begins with: an earlier analysis, as far as it is of the same data, and of files that hold what they held.

`pipeline` offers `start`, `with_recipe` and `with_mask` as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_stemnmf import __version__, stages
from napari_stemnmf.analysis import Analysis, Input
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import AnalysisError, DataError, StemNMFError
from napari_stemnmf.files import contents
from napari_stemnmf.files.contents import Part
from napari_stemnmf.files.writing import FILE_SUFFIX
from napari_stemnmf.recipe import FEATURES, Recipe
from napari_stemnmf.stages import Stage


def start(dataset: Dataset, recipe: Recipe, earlier: Analysis | None = None, *, strict: bool = False) -> Analysis:
    """An analysis of `dataset` with `recipe`: an empty one, or `earlier` with the recipe changed.

    Results of `earlier` that do not belong to the recipe, or to what the files that it names hold, are recomputed by
    the steps that need them; if it is of other data it is left behind altogether.

    Parameters
    ----------
    dataset, recipe, earlier
    strict : bool
        Whether a file that a setting names must be there; else what was noted of it last holds.
    """
    record = Input.of(dataset, None if earlier is None else earlier.input)
    files = _noted_files(dataset, recipe, {} if earlier is None else earlier.files, strict)
    if earlier is not None and earlier.input.parts and earlier.input.axes != record.axes:
        axes = hashlib.sha256(repr(record.axes).encode()).hexdigest()[:8]  # calibrated otherwise since
        record = replace(record, fingerprint=f"{record.fingerprint.partition('-')[0]}-{axes}")
    if earlier is None or earlier.input.fingerprint != record.fingerprint:
        return Analysis(recipe, record, files=files)
    return with_recipe(replace(earlier, input=record.after(earlier.input), files=files), recipe)


def _noted_files(dataset: Dataset, recipe: Recipe, before: Mapping[str, str], strict: bool) -> dict[str, str]:
    """What is noted of the files that settings name: by content, whatever holds it."""
    from napari_stemnmf.reading.masks import load_detector_image

    found: dict[str, str] = {}
    for group, setting in stages.FILES.items():
        path, name = stages.file_of(recipe, group), f"{group}.{setting}"
        if not path:
            continue
        known = before.get(name, "")
        try:
            image = load_detector_image(path, dataset.detector_shape, stacks=setting == "dark")
        except StemNMFError:
            if strict:
                raise
            found |= {name: known} if known else {}
            continue
        image = image != 0 if setting == "mask" else image
        digest = hashlib.sha256(f"{image.shape} {image.dtype}".encode() + np.ascontiguousarray(image).tobytes())
        found[name] = stages.noted(known, digest.hexdigest()[:16], path)
    return found


def with_recipe(analysis: Analysis, recipe: Recipe) -> Analysis:
    """The analysis under another recipe; results of features that it leaves out are dropped, unless edited by hand."""
    if recipe == analysis.recipe:
        return analysis
    names = {*recipe.features, *(name for name, review in analysis.reviews.items() if review.edits)}
    keys = {path: key for path, key in analysis.keys.items() if "/" not in path or path.split("/")[1] in names}
    return replace(analysis.without(set(FEATURES) - names, "failed"), recipe=recipe, keys=keys)


def with_mask(analysis: Analysis, mask: np.ndarray | None) -> Analysis:
    """The analysis with a mask (q_y, q_x) of the file's detector, True = keep, or with none.

    Raises
    ------
    DataError
        If the mask is not of the detector's shape.
    """
    if mask is None:
        return replace(analysis, mask=None)
    mask = np.array(mask, dtype=bool)
    if mask.shape != tuple(analysis.input.shape[2:]):
        rows, columns = analysis.input.shape[2:]
        raise DataError(f"The mask is of shape {mask.shape}, but the detector has {rows} x {columns} pixels.")
    return replace(analysis, mask=mask)


def still_the_same(analysis: Analysis, dataset: Dataset | None, known: Sequence[Part] = ()) -> tuple[Part, ...]:
    """What is noted of a scan's files now; an error where they hold something else than the analysis was begun with.

    Parameters
    ----------
    analysis, dataset
        The dataset is None where the scan is not open.
    known : sequence of Part
        What was noted last: what has its size and times is not read again.

    Raises
    ------
    AnalysisError
        If a file was replaced, written to, or is gone.
    """
    before = analysis.input.parts
    if dataset is None or not before or not dataset.files:
        return tuple(known)
    try:
        now = contents.look(dataset.files, known or before)
    except OSError as error:
        raise AnalysisError(f"{error.filename or dataset.source} is not there any more; put the scan back.") from error
    if contents.changed(before, now):
        raise AnalysisError(
            f"{dataset.source} was changed while it was worked with; nothing more is computed of it: results would "
            "be of two scans. Open it again, and run it anew."
        )
    for name, found in _noted_files(dataset, analysis.recipe, analysis.files, strict=True).items():
        path, noted = found.partition(" ")[2], analysis.files.get(name, found)
        if noted.partition(" ")[2] == path and noted != found and not noted.startswith(f"{stages.FORMER} "):
            raise AnalysisError(f"{path} ({name}) was changed while it was worked with; run anew.")
    return now


def other_data(earlier: Analysis, begun: Analysis, path: Path) -> str:
    """What to tell where the scan of an earlier analysis was changed under its name.

    An AnalysisError if the analysis is of another scan, or holds a review by hand.
    """
    places = [os.path.abspath(found.input.source) for found in (earlier, begun)]
    if not earlier.input.source or places[0] != places[1]:
        raise AnalysisError(f"{path} is an analysis of other data ({earlier.input.name}); choose another place.")
    changed = f"{earlier.input.source} has changed since {path} was made of it"
    if any(review.edits for review in earlier.reviews.values()):
        raise AnalysisError(f"{changed}, and grains were reviewed by hand; choose another place, or overwrite it.")
    return f"{changed}; all is computed again."


def changed_files(earlier: Analysis, begun: Analysis) -> list[str]:
    """What to tell of masks and dark references that were changed under their names."""
    told = []
    for name, now in begun.files.items():
        path, before = now.partition(" ")[2], earlier.files.get(name, "")
        if before.partition(" ")[2] == path and before != now and not before.startswith(f"{stages.FORMER} "):
            told.append(f"{path} ({name}) has changed since the last run; what depends on it is computed again.")
    return told


def unfinished(path: Path) -> Path:
    """Where a run that is to replace the analysis at `path` keeps its results until it is done."""
    return path.with_name(f"{path.name.removesuffix(FILE_SUFFIX)}.unfinished{FILE_SUFFIX}")


def blocks_of(path: Path) -> Path:
    """Where a run that writes the analysis at `path` keeps what it has found of the step that it is in."""
    return path.with_name(f"{path.name.removesuffix(FILE_SUFFIX)}.blocks")


def key_of_blocks(analysis: Analysis, stage: Stage, wanted: Sequence[str]) -> str:
    """What the answers that a stage keeps in `blocks_of` depend on: version, settings, all that was found before."""
    found = sorted(analysis.keys.items())
    keys = [analysis.key_of(path, analysis.recipe) for path in stage.paths(wanted)]
    return hashlib.sha256(repr([__version__, stage.name, wanted, keys, found]).encode()).hexdigest()


def stale(analysis: Analysis, recipe: Recipe | None = None) -> dict[str, str]:
    """Which results are "missing" or "stale" under `recipe`, by name as in "models/aa"; empty when all is done."""
    recipe = analysis.recipe if recipe is None else recipe
    names = [name for name in recipe.features if name not in analysis.failed]
    return {
        path: "stale" if path in analysis.keys else "missing"
        for stage in stages.STAGES
        for path in stage.paths(names)
        if not analysis.is_current(path, recipe)
    }
