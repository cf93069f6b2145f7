"""What was done to a scan, as a Python script that repeats it: recipe, mask, chosen seeds and edits by hand."""

from __future__ import annotations

import base64
import json
import textwrap
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf import __version__, stages
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.simulation.sample import NAME as SAMPLE

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
    folder = str(path) if path is not None else f"{_plain(analysis.input.name)} results"
    lines = [
        f'"""{_plain(analysis.input.name)}: what was done in napari-stemnmf {__version__}, to be repeated."""',
        "",
        *_imports(analysis),
        "",
        f"dataset = {_opened(analysis, source, options or {})}",
        f"if dataset.fingerprint() != {_quoted(analysis.input.fingerprint)}:",
        '    raise SystemExit("This is not the data that was analysed; name the right file.")',
        "",
        *_recipe(analysis),
        *_mask(analysis.mask),
        *_steps(analysis, until),
        "",
        f"folder = Path({_quoted(folder)})",
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
    name = str(source) if source is not None else record.source
    if name:
        dataset = options.get("dataset") if "::" not in name else None
        named = "" if dataset is None else f", dataset={_quoted(str(dataset))}"
        skipped = record.metadata.get("skipped_patterns")
        drop = f", drop={int(skipped)}" if skipped else ""
        return f"stem.open({_quoted(name)}{named}, scan_shape={tuple(record.shape[:2])!r}{drop})"
    if record.name == SAMPLE:
        shapes = f"scan_shape={record.shape[:2]!r}, detector_shape={record.shape[2:]!r}"
        seed, dose = record.metadata["seed"], record.metadata["dose_e_per_pattern"]
        return f"stem.sample({shapes}, seed={seed!r}, dose={dose!r}).dataset"
    raise AnalysisError(f"{record.name} was not opened from a file; save it to one and open that to have a script.")


def _recipe(analysis: Analysis) -> Iterator[str]:
    """The settings, of the features that were computed."""
    features = [name for name in analysis.recipe.features if name in analysis.features or name in analysis.failed]
    recipe = analysis.recipe.replaced({"features": features}) if features else analysis.recipe
    settings = [line for line in recipe.to_toml().splitlines() if line and not line.startswith("#")]
    yield from ["recipe = stem.Recipe.from_toml(", "    r'''", *settings, "'''", ")"]


def _mask(mask: np.ndarray | None) -> Iterator[str]:
    if mask is None:
        yield "mask = None"
        return
    packed = base64.b85encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()
    yield "packed = ("
    yield from (f"    {_quoted(part)}" for part in textwrap.wrap(packed, WIDTH - 6, break_on_hyphens=False))
    yield ")"
    yield f"bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b85decode(packed)), np.uint8), count={mask.size})"
    yield f"mask = bits.astype(bool).reshape({mask.shape!r})  # of the detector, True = keep"


def _steps(analysis: Analysis, until: str) -> Iterator[str]:
    """The run, cut where something was chosen or edited by hand."""
    yield ""
    start = "dataset, recipe, mask=mask"
    seeds = _seeds(analysis)
    if seeds:
        yield f'analysis = stem.analyse({start}, until="cluster")'
        yield from (
            f"analysis = pipeline.choose_seed(analysis, {_quoted(name)}, {seed})" for name, seed in seeds.items()
        )
        start = "dataset, recipe, analysis=analysis"
    edits = {name: review.edits for name, review in analysis.reviews.items() if review.edits}
    if edits:
        yield f'analysis = stem.analyse({start}, until="refine")'
        for name, done in edits.items():
            yield f"analysis = pipeline.edit(\n    analysis,\n    {_quoted(name)},"
            for edit in done:
                yield from _edit(edit)
            yield ")"
        start = "dataset, recipe, analysis=analysis"
    yield f"analysis = stem.analyse({start}, until={_quoted(until)})"


def _seeds(analysis: Analysis) -> dict[str, int]:
    """By feature the seed that is not simply the best of all: it was chosen, or others were cancelled."""
    marked = {name: analysis.keys.get(f"models/{name}", "").partition(" ")[2] for name in analysis.models}
    models = ((name, analysis.ensemble(name)) for name, mark in marked.items() if mark)
    return {name: model.seed for name, model in models if model is not None}


def _edit(edit: Edit) -> Iterator[str]:
    arguments = f"{_quoted(edit.kind)}, {edit.grains!r}" + (f", {_quoted(edit.text)}" if edit.text else "")
    if not len(edit.points):
        yield f"    Edit({arguments}),"
        return
    whole = bool((edit.points == np.rint(edit.points)).all())
    pairs = [(int(y), int(x)) if whole else (float(y), float(x)) for y, x in edit.points]
    yield f"    Edit(\n        {arguments},\n        points=["
    yield from textwrap.wrap(
        ", ".join(map(repr, pairs)) + ",", WIDTH, initial_indent=" " * 12, subsequent_indent=" " * 12
    )
    yield "        ],\n    ),"


def _quoted(text: str) -> str:
    """A string as Python has it, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _plain(name: str) -> str:
    """A name without letters that mean something in a path or a string."""
    return "".join(letter if letter.isalnum() or letter in " ._-()" else "_" for letter in name)
