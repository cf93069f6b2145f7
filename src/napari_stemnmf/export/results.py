"""The files that a run leaves for other programs: tables, label images, overview pictures and the recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_stemnmf import storage
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError


def write_results(analysis: Analysis, directory: str | Path) -> list[Path]:
    """Write ``grains-<feature>.csv``, ``labels-<feature>.tif``, ``overview-<feature>.png`` and ``recipe.toml``.

    Each file is whole or absent. Labels are those of the dominant grain; the table's column ``label`` names them.

    Returns
    -------
    list of Path
        What was written, in order.

    Raises
    ------
    AnalysisError
        If a file cannot be written.
    """
    from napari_stemnmf.figures.overview import overview
    from napari_stemnmf.figures.style import DPI

    directory = Path(directory)
    written: list[Path] = []
    try:
        for name in analysis.grains:
            target = directory / f"labels-{name}.tif"
            write_labels(analysis, name, target)
            written.append(target)
            if name in analysis.tables:
                target = directory / f"grains-{name}.csv"
                with storage.whole_or_nothing(target) as part:
                    analysis.tables[name].to_csv(part, index=False)
                written.append(target)
            target = directory / f"overview-{name}.png"
            with storage.whole_or_nothing(target) as part:
                overview(analysis, name).savefig(part, dpi=DPI)
            written.append(target)
        target = directory / "recipe.toml"
        with storage.whole_or_nothing(target) as part:
            analysis.recipe.save(part)
        written.append(target)
    except OSError as error:
        raise AnalysisError(f"{target} cannot be written: {error}.") from error
    return written


def write_labels(analysis: Analysis, feature: str, path: str | Path) -> None:
    """The dominant grain of each probe position as a TIFF label image that ImageJ and napari open with its scale."""
    import tifffile

    labels = analysis.grains[feature].labels
    kind = np.uint16 if labels.max(initial=0) < 2**16 else np.float32  # the integer types that ImageJ knows
    step_y, step_x = analysis.axes[:2]
    with storage.whole_or_nothing(path) as part:
        tifffile.imwrite(
            part,
            labels.astype(kind),
            imagej=True,
            resolution=(1 / step_x.scale, 1 / step_y.scale),
            metadata={"unit": step_x.unit, "axes": "YX"},
        )
