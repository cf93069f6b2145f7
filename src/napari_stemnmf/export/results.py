"""The files that a run leaves for other programs: tables, label images, overview pictures and the recipe."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from napari_stemnmf import storage
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.labels import write_labels
from napari_stemnmf.export.tables import write_tables


def write_results(analysis: Analysis, directory: str | Path) -> list[Path]:
    """Write ``grains-<feature>.csv``, ``labels-<feature>.tif``, ``overview-<feature>.png`` and ``recipe.toml``.

    Each file is whole or absent. Labels are those of the dominant grain; the table's column ``grain_id`` names them.
    Where grains were reviewed, the table says what was decided. Features that the recipe leaves out, and that are
    kept for the review's sake, are not written.

    Parameters
    ----------
    analysis : Analysis
    directory : str or path
        Made if need be.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    AnalysisError
        If grains are not as they were when they were measured, or a file cannot be written.
    """
    directory = Path(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnalysisError(f"The folder {directory} cannot be made: {error}.") from error
    names = [name for name in analysis.grains if name in analysis.recipe.features]
    measured = [name for name in names if name in analysis.tables]
    written = write_tables(analysis, directory, features=measured) if measured else []
    for name in names:
        written.append(directory / f"labels-{name}.tif")
        write_labels(analysis, name, written[-1])
        written.append(_whole(directory / f"overview-{name}.png", partial(_draw, analysis, name)))
    return [*written, _whole(directory / "recipe.toml", analysis.recipe.save)]


def _whole(target: Path, write: Callable[[Path], object]) -> Path:
    try:
        with storage.atomic_write(target) as part:
            write(part)
    except OSError as error:
        raise AnalysisError(f"{target} cannot be written: {error}.") from error
    return target


def _draw(analysis: Analysis, feature: str, path: Path) -> None:
    from napari_stemnmf.figures.overview import overview
    from napari_stemnmf.figures.style import DPI

    overview(analysis, feature).savefig(path, dpi=DPI)
