"""The writers of our own formats, each as the table of formats asks for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from napari_stemnmf.export import tables
from napari_stemnmf.export.formats import Source, Task
from napari_stemnmf.figures.catalogue import CATALOGUE, draw
from napari_stemnmf.files.writing import plain_name, result_file, write_text


def csv(source: Source, _: str, path: Path) -> list[Path]:
    return _tables("csv", source, path)


def parquet(source: Source, _: str, path: Path) -> list[Path]:
    return _tables("parquet", source, path)


def _tables(kind: Any, source: Source, path: Path) -> list[Path]:
    which: Any = source.grains
    return tables.write_tables(source.analysis, path.parent, kind, which, source.features)


def labels(source: Source, feature: str, path: Path) -> None:
    tables.write_labels(source.shown, feature, path)


def stacks(source: Source, feature: str, path: Path) -> None:
    tables.write_label_stack(source.shown, feature, path)


def overview(source: Source, feature: str, path: Path) -> None:
    from napari_stemnmf.figures import overview
    from napari_stemnmf.figures.style import DPI, in_style

    figure = overview.overview(source.shown, feature)
    with result_file(path) as part:
        in_style(figure.savefig)(part, dpi=DPI)


def figures(source: Source, _: str, path: Path) -> list[Task]:
    """Each figure of the catalogue that needs no truth: where it goes, and what draws it."""
    found: list[Task] = []
    wanted = [(name, entry) for name, entry in CATALOGUE.items() if not entry.needs_truth]
    for name, entry in wanted:
        for feature in source.shown.grains if entry.needs_feature else ("",):
            stem = f"{name}-{plain_name(feature)}" if feature else name
            target = path.with_name(f"{stem}.pdf")
            found.append((target, partial(_figure, name, source, feature, target)))
    return found


def _figure(name: str, source: Source, feature: str, path: Path) -> list[Path]:
    from napari_stemnmf.figures.style import save

    scan = source.analysis.input.name
    scans = {} if source.dataset is None else {scan: source.dataset}
    return save(draw(name, {scan: source.shown}, datasets=scans, feature=feature or None), path.with_suffix(""))


def recipe(source: Source, _: str, path: Path) -> None:
    source.analysis.recipe.save(path)


def python_script(source: Source, _: str, path: Path) -> None:
    from napari_stemnmf.export.script import script

    write_text(path, script(source.analysis, options=source.options))


def whole(source: Source, _: str, path: Path) -> None:
    source.analysis.save(path)
