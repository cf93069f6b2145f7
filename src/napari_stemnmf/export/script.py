"""What was done to a scan, as a Python script that repeats it: recipe, mask, chosen seeds and edits by hand."""

from __future__ import annotations

import base64
import math
import textwrap
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

import numpy as np

from napari_stemnmf import __version__, stages
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.files.writing import plain_name
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.simulation.sample import NAME as SAMPLE
from napari_stemnmf.texts import brief

WIDTH = 110
"""Letters of a line, about."""


def script(
    analysis: Analysis,
    *,
    source: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    path: str | Path | None = None,
) -> str:
    """A Python script that repeats an analysis: it gives the same grains, and writes them with all other results.

    Parameters
    ----------
    analysis : Analysis
        Its recipe, and as many steps as there are results.
    source : str or path, optional
        The file of the scan; that of the analysis if not given.
    options : mapping, optional
        What the scan was opened with beside its path: ``dataset``, which its name may hold as well.
    path : str or path, optional
        Folder for what the script writes; "<scan> results" where it runs, if not given.

    Raises
    ------
    AnalysisError
        If the scan did not come from a file, or nothing was done yet.
    """
    done = [stage.name for stage in stages.STAGES if not stage.follows and analysis.result(stage.result)]
    until = done[-1] if done else None
    if until is None:
        raise AnalysisError("Nothing was done to this scan yet; run a step first.")
    folder = str(path) if path is not None else f"{plain_name(analysis.input.name)} results"
    lines = [
        f'"""{plain_name(analysis.input.name)}: what was done in napari-stemnmf {__version__}, to be repeated."""',
        "",
        *_imports(analysis),
        "",
        f"dataset = {_opened(analysis, source, options or {})}",
        f"if dataset.fingerprint() != {literal(str(analysis.input.fingerprint))}:",
        '    raise SystemExit("This is not the data that was analysed; name the right file.")',
        "",
        *_recipe(analysis),
        *_mask(analysis.mask),
        *_steps(analysis, until),
        "",
        f"folder = Path({literal(folder)})",
        "folder.mkdir(parents=True, exist_ok=True)",
        'analysis.save(folder / "analysis.stemnmf.h5")',
        "write_results(analysis, folder)",
    ]
    return "\n".join(lines) + "\n"


def _imports(analysis: Analysis) -> Iterator[str]:
    masked, edited = analysis.mask is not None, any(r.edits for r in analysis.reviews.values())
    yield from ["import base64", "import zlib"] if masked else []
    yield from ["from pathlib import Path", ""]
    yield from ["import numpy as np", ""] if masked else []
    yield "import napari_stemnmf as stem"
    yield from ["from napari_stemnmf import pipeline"] if edited or _seeds(analysis) else []
    yield "from napari_stemnmf.export.results import write_results"
    yield from ["from napari_stemnmf.grains.editing import Edit"] if edited else []


def _opened(analysis: Analysis, source: str | Path | None, options: Mapping[str, Any]) -> str:
    """How the scan is opened."""
    record = analysis.input
    name = str(source) if source is not None else str(record.source)
    shape = tuple(map(_whole, record.shape))
    if name:
        dataset = options.get("dataset") if "::" not in name else None
        named = "" if dataset is None else f", dataset={literal(str(dataset))}"
        skipped = record.metadata.get("skipped_patterns")
        drop = f", drop={literal(_whole(skipped))}" if skipped else ""
        return f"stem.open({literal(name)}{named}, scan_shape={literal(shape[:2])}{drop})"
    if record.name == SAMPLE:
        shapes = f"scan_shape={literal(shape[:2])}, detector_shape={literal(shape[2:])}"
        seed, dose = record.metadata.get("seed"), record.metadata.get("dose_e_per_pattern")
        return f"stem.sample({shapes}, seed={literal(_whole(seed))}, dose={literal(_number(dose))}).dataset"
    raise AnalysisError(f"{record.name} was not opened from a file; save it to one and open that to have a script.")


def _recipe(analysis: Analysis) -> Iterator[str]:
    """The settings, of the features that were computed."""
    features = [name for name in analysis.recipe.features if name in analysis.features or name in analysis.failed]
    recipe = analysis.recipe.replaced({"features": features}) if features else analysis.recipe
    settings = pformat(recipe.to_dict(), width=WIDTH, sort_dicts=False)
    yield from ["recipe = stem.Recipe.from_dict(", *textwrap.indent(settings, "    ").splitlines(), ")"]


def _mask(mask: np.ndarray | None) -> Iterator[str]:
    if mask is None:
        yield "mask = None"
        return
    packed = base64.b85encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()
    yield "packed = ("
    yield from (f"    {literal(part)}" for part in textwrap.wrap(packed, WIDTH - 6, break_on_hyphens=False))
    yield ")"
    unpacked = "np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8)"
    yield f"bits = np.unpackbits({unpacked}, count={literal(int(mask.size))})"
    yield f"mask = bits.astype(bool).reshape({literal(tuple(map(int, mask.shape)))})  # of the detector, True = keep"


def _steps(analysis: Analysis, until: str) -> Iterator[str]:
    """The run, cut where something was chosen or edited by hand."""
    yield ""
    start = "dataset, recipe, mask=mask"
    seeds = _seeds(analysis)
    if seeds:
        yield f'analysis = stem.analyse({start}, until="cluster")'
        yield from (
            f"analysis = pipeline.choose_seed(analysis, {literal(str(name))}, {literal(seed)})"
            for name, seed in seeds.items()
        )
        start = "dataset, recipe, analysis=analysis"
    edits = {name: review.edits for name, review in analysis.reviews.items() if review.edits}
    if edits:
        yield f'analysis = stem.analyse({start}, until="refine")'
        for name, done in edits.items():
            yield f"analysis = pipeline.edit(\n    analysis,\n    {literal(str(name))},"
            for edit in done:
                yield from _edit(edit)
            yield ")"
        start = "dataset, recipe, analysis=analysis"
    yield f"analysis = stem.analyse({start}, until={literal(until)})"


def _seeds(analysis: Analysis) -> dict[str, int]:
    """By feature the seed that is not simply the best of all: it was chosen, or others were cancelled."""
    marked = {name: analysis.keys.get(f"models/{name}", "").partition(" ")[2] for name in analysis.models}
    models = ((name, analysis.ensemble(name)) for name, mark in marked.items() if mark)
    return {name: _whole(model.seed) for name, model in models if model is not None}


def _edit(edit: Edit) -> Iterator[str]:
    arguments = f"{literal(edit.kind)}, {literal(tuple(map(_whole, edit.grains)))}"
    arguments += f", {literal(str(edit.text))}" if edit.text else ""
    if not len(edit.points):
        yield f"    Edit({arguments}),"
        return
    whole = bool((edit.points == np.rint(edit.points)).all())
    pairs = [(int(y), int(x)) if whole else (float(y), float(x)) for y, x in edit.points]
    yield f"    Edit(\n        {arguments},\n        points=["
    yield from textwrap.wrap(
        ", ".join(map(literal, pairs)) + ",", WIDTH, initial_indent=" " * 12, subsequent_indent=" " * 12
    )
    yield "        ],\n    ),"


def literal(value: Any) -> str:
    """A value as Python writes it, which it reads back as the same; nothing else of data gets into a script.

    Raises
    ------
    TypeError
        If it is anything but text, numbers, and tuples of them.
    """
    if type(value) is tuple:
        for part in value:
            literal(part)
    elif type(value) not in (str, int, float):
        raise TypeError(f"{type(value).__name__} cannot be a literal")
    written = repr(value)
    double = written.startswith("'") and '"' not in written
    return f'"{written[1:-1]}"' if double else written


def _whole(value: Any) -> int:
    """A whole number of an analysis; an AnalysisError if it holds something else there."""
    number = _number(value)
    if number != int(number):
        raise AnalysisError(f"The analysis holds {brief(value)} where a whole number belongs; it cannot be a script.")
    return int(value)


def _number(value: Any) -> float:
    known = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not known or not math.isfinite(value):
        raise AnalysisError(f"The analysis holds {brief(value)} where a number belongs; it cannot be a script.")
    return float(value)
