"""Hand-off to pyxem and HyperSpy: mean patterns and disks of the grains as signals in hspy files.

Reciprocal lengths are in 1/Å, which pyxem and diffsims compute in. The x axis of a signal is q_x, y is q_y.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_stemnmf import __version__
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export import vectors
from napari_stemnmf.export.emd import hdf5_file
from napari_stemnmf.export.formats import Source

FORMAT_VERSION = "3.3"
"""Of hspy files."""
NOTHING = "_None_"
"""How they write None."""
INVERSE_ANGSTROM = "$A^{-1}$"
"""How pyxem writes 1/Å."""


def write_grains(source: Source, feature: str, path: Path) -> list[Path]:
    """Write the patterns of the grains, and their disks beside them.

    Raises
    ------
    AnalysisError, DataError
        If grains were not measured, the detector is not calibrated in 1/nm, or a file cannot be written.
    """
    patterns, ids = source.shown.patterns.get(feature), source.shown.grains[feature].ids
    if patterns is None or len(patterns) != len(ids):
        raise AnalysisError(
            f"There are no patterns of the grains of {feature.upper()} as they are; run Measure, then export."
        )
    found = vectors.of_grains(source, feature)
    beside = path.with_name(path.name.replace("patterns", "vectors", 1))
    _write_patterns(source, feature, patterns.patterns, path)
    _write_vectors(source, feature, found, beside)
    return [path, beside]


def _write_patterns(source: Source, feature: str, patterns: np.ndarray, path: Path) -> None:
    centre = vectors.centre_of_grains(source, feature).mean(axis=0)
    with hdf5_file(path, patterns.nbytes) as file:
        signal = _signal(file, source.analysis, f"grains of {feature.upper()}", "electron_diffraction")
        signal.create_dataset("data", data=patterns)
        _axis(signal, 0, "grain", len(patterns), navigate=True)
        for i, (name, middle, side) in enumerate(zip("yx", centre, _sides(source.analysis), strict=True), 1):
            _axis(signal, i, f"k{name}", patterns.shape[i], side, -middle * side, INVERSE_ANGSTROM)
        _about_grains(signal, source, feature)


def _write_vectors(source: Source, feature: str, found: vectors.Vectors, path: Path) -> None:
    columns = (found.q_x / 10, found.q_y / 10, found.intensity)  # pyxem: x before y
    rows = np.stack(columns, axis=1).astype(np.float64)
    cells, shapes = np.empty(len(found), object), np.empty(len(found), object)
    for i in range(len(found)):
        cells[i] = rows[found.offsets[i] : found.offsets[i + 1]].ravel()
        shapes[i] = np.array([len(cells[i]) // 3, 3])
    with hdf5_file(path, rows.nbytes) as file:
        signal = _signal(file, source.analysis, f"disks of {feature.upper()}", "diffraction_vectors", ragged=True)
        signal.create_dataset("data", cells.shape, h5py.vlen_dtype(np.float64), data=cells, chunks=cells.shape)
        signal.create_dataset(
            "_ragged_shapes_data", shapes.shape, h5py.vlen_dtype(np.int64), data=shapes, chunks=shapes.shape
        )
        _axis(signal, 0, "grain", len(found), navigate=True)
        about = signal["metadata"].create_group("VectorMetadata")
        about.attrs.update(detector_shape=NOTHING, offsets=NOTHING, scales=NOTHING)
        _texts(about, "column_names", ("kx", "ky", "intensity"))
        _texts(about, "units", (INVERSE_ANGSTROM, INVERSE_ANGSTROM, "counts"))
        _about_grains(signal, source, feature)


def _sides(analysis: Analysis) -> tuple[float, float]:
    """Sides of a detector pixel along q_y and q_x in 1/Å."""
    vectors.per_nanometre(analysis)
    _, calibration = vectors.found_disks(analysis)
    y, x = calibration.pixel_sides
    return y / 10, x / 10


def _signal(file: h5py.File, analysis: Analysis, title: str, kind: str, ragged: bool = False) -> h5py.Group:
    """The only signal of a file, without data and axes."""
    file.attrs.update(file_format="HyperSpy", file_format_version=FORMAT_VERSION)
    signal = file.create_group("Experiments").create_group("__unnamed__")
    signal.attrs.update(package="pyxem", package_version="")
    signal.create_group("attributes").attrs.update(_lazy=False, ragged=ragged)
    signal.create_group("learning_results")
    signal.create_group("original_metadata")
    metadata = signal.create_group("metadata")
    metadata.create_group("General").attrs.update(title=title, original_filename=analysis.input.name)
    metadata.create_group("Signal").attrs["signal_type"] = kind
    folding = metadata.create_group("_HyperSpy").create_group("Folding")
    folding.attrs.update(original_axes_manager=NOTHING, original_shape=NOTHING, signal_unfolded=False, unfolded=False)
    energy = vectors.kilovolts(analysis)
    if energy is not None:
        metadata.create_group("Acquisition_instrument").create_group("TEM").attrs["beam_energy"] = energy
    return signal


def _axis(
    signal: h5py.Group, number: int, name: str, size: int, scale: float = 1.0, offset: float = 0.0,
    unit: str = NOTHING, navigate: bool = False,
) -> None:  # fmt: skip
    axis = signal.create_group(f"axis-{number}")
    axis.attrs.update(
        _type="UniformDataAxis", is_binned=False, name=name, navigate=navigate, offset=float(offset),
        scale=float(scale), size=size, units=unit,
    )  # fmt: skip


def _about_grains(signal: h5py.Group, source: Source, feature: str) -> None:
    """Which grain each is, in the metadata."""
    about: Any = signal["metadata"].create_group("napari_stemnmf")
    about.attrs.update(version=__version__, representation=feature)
    about.create_dataset("grain_id", data=source.shown.grains[feature].ids)


def _texts(group: h5py.Group, name: str, texts: tuple[str, ...]) -> None:
    """A list of texts."""
    group.create_dataset(f"_list_{name}", data=np.array(texts, object), dtype=h5py.string_dtype())
