"""What can be written of an analysis, in one table: the shell, the dock Export, Python and the docs all read it.

A row says what a format is called, which file it makes, what it is, and which function writes it. That function is
named and not imported, so that the table is quick to ask; it takes a `Source`, a representation and a path, and
returns what it wrote if that is not the path.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_stemnmf.errors import AnalysisError

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset


@dataclass(frozen=True)
class Source:
    """What is written from.

    Attributes
    ----------
    analysis : Analysis
        With all grains.
    shown : Analysis
        With the grains that were chosen.
    grains : str
        Which these are (`chosen.CHOICES`).
    features : collection of str or None
        Representations of the tables; all that were measured for None.
    dataset : Dataset or None
        The scan, where it is open.
    options : mapping
        What it was opened with.
    """

    analysis: Analysis
    shown: Analysis
    grains: str = "kept"
    features: Collection[str] | None = None
    dataset: Dataset | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


Task = tuple[Path, Callable[[], Sequence[Path]]]
"""A file, and what writes it, and others beside it; that returns what was written."""


class Format(NamedTuple):
    """A row of `FORMATS`."""

    name: str
    """What ``--to`` calls it."""
    file: str
    """Its file's name, with ``{feature}`` and ``{scan}`` in the places of these."""
    title: str
    """In a few words."""
    about: str
    """What is in it, and who reads it."""
    function: str
    """What writes it, as in ``module:function`` of this room."""
    each: bool = True
    """Whether there is one for each representation with grains."""
    several: bool = False
    """Whether the function does not write, but lists (file, what writes it) of several files."""
    ticked: bool = False
    """Whether napari offers it ticked."""
    waits: bool = False
    """Whether it is written from what no stage of this version finds, but whoever writes code may give."""

    @property
    def hand_off(self) -> bool:
        """Whether it is a format of another program."""
        return not self.function.startswith("writers:")

    def tasks(self, source: Source, feature: str, path: Path) -> Sequence[Task]:
        """The files that it makes, and what writes each."""
        do: Any = lambda: resolve_name(f"{__package__}.{self.function}")(source, feature, path)  # noqa: E731
        return do() if self.several else [(path, lambda: do() or [path])]


FORMATS: tuple[Format, ...] = (
    Format(
        "csv", "grains-{feature}.csv", "tables (CSV)",
        "a row for each grain, units in the headers, with what the review says",
        "writers:csv", each=False, ticked=True,
    ),
    Format(
        "parquet", "grains-{feature}.parquet", "tables (Parquet)",
        "the same for pandas, polars and DuckDB, with the types of its columns",
        "writers:parquet", each=False,
    ),
    Format(
        "labels", "labels-{feature}.tif", "label images",
        "TIFF: at each position the grain that dominates, by its id; ImageJ reads its scale",
        "writers:labels", ticked=True,
    ),
    Format(
        "stacks", "stack-{feature}.tif", "label stacks",
        "TIFF: one plane a grain, so that nothing is lost where grains overlap",
        "writers:stacks", ticked=True,
    ),
    Format(
        "overviews", "overview-{feature}.png", "overviews",
        "a picture of what was found",
        "writers:overview",
    ),
    Format(
        "figures", "{figure}.pdf", "figures",
        "every figure that needs no truth, as PDF and PNG; takes some seconds each",
        "writers:figures", each=False, several=True,
    ),
    Format(
        "recipe", "recipe.toml", "recipe",
        "all settings",
        "writers:recipe", each=False, ticked=True,
    ),
    Format(
        "script", "repeat.py", "Python script",
        "repeats all that was done, edits included",
        "writers:python_script", each=False, ticked=True,
    ),
    Format(
        "analysis", "{scan}.stemnmf.h5", "analysis file",
        "everything in one file that napari-stemnmf opens again",
        "writers:whole", each=False,
    ),
    Format(
        "py4dstem", "py4dstem-{feature}.h5", "py4DSTEM: grains",
        "EMD 1.0: the disks of the grains as Bragg vectors of an N x 1 scan, and their mean patterns as its data cube; "
        "for py4DSTEM and quantem",
        "emd:write_grains",
    ),
    Format(
        "py4dstem-scan", "py4dstem-scan.h5", "py4DSTEM: whole scan",
        "EMD 1.0: the disks of every position as Bragg vectors, with origin, ellipse and pixel size",
        "emd:write_scan", each=False,
    ),
    Format(
        "quantem", "quantem-{feature}.zip", "quantem: grains",
        "a Vector of the disks of the grains in 1/Å, which its orientation matching takes",
        "quantem:write_grains",
    ),
    Format(
        "quantem-scan", "quantem-scan.zip", "quantem: whole scan",
        "a Vector of the disks of every position in 1/Å",
        "quantem:write_scan", each=False,
    ),
    Format(
        "pyxem", "pyxem-patterns-{feature}.hspy", "pyxem, HyperSpy",
        "hspy: the mean patterns of the grains as ElectronDiffraction2D, and beside it pyxem-vectors-….hspy, their "
        "disks as DiffractionVectors",
        "hspy:write_grains",
    ),
    Format(
        "orix", "orientations-{feature}.h5", "orix maps",
        "HDF5 of orix: the orientation map of the dominant grains, and where grains overlap one map for each layer; "
        "needs orientations, which this version does not find",
        "orientation_maps:write_orix", waits=True,
    ),
    Format(
        "ang", "orientations-{feature}.ang", "orientation maps (.ang)",
        "the same maps as .ang, for MTEX, orix and programs of EBSD; needs orientations, which this version does not "
        "find",
        "orientation_maps:write_ang", waits=True,
    ),
    Format(
        "ome-zarr", "grains-{feature}.ome.zarr", "OME-Zarr",
        "OME-Zarr 0.5: image, label layers in which no grains overlap, and the table as properties of the labels",
        "ome_zarr:write_grains",
    ),
    Format(
        "coco", "grains-{feature}.coco.json", "COCO",
        "the masks of the grains as COCO annotations (run lengths, exact), with the table as attributes",
        "annotations:write_coco",
    ),
    Format(
        "geojson", "grains-{feature}.geojson", "GeoJSON",
        "the outlines of the grains as polygons with holes, in scan pixels, with the table as properties; for QuPath",
        "annotations:write_geojson",
    ),
)  # fmt: skip
"""All that can be written, in the order in which it is."""


def chosen_formats(names: Iterable[str]) -> list[Format]:
    """The rows of some formats, in the table's order.

    Raises
    ------
    AnalysisError
        If there is no format of a name.
    """
    wanted = list(dict.fromkeys(names))
    known = [row.name for row in FORMATS]
    for name in wanted:
        if name not in known:
            raise AnalysisError(f"There is no format '{name}'; choose from {', '.join(known)}.")
    return [row for row in FORMATS if row.name in wanted]
