"""Hand-off to py4DSTEM and quantem: EMD 1.0 files as emdfile has them, with calibrations that ACOM takes as they are.

Their first axis is our rows: qx of these programs is q_y of this package, and Rx is scan_y. Positions are pixels of the
detector; origin, ellipse and pixel size are given beside them, and lead to what this package has in 1/nm.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_stemnmf import __version__
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.calibration.geometry import Calibration
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export import vectors
from napari_stemnmf.export.formats import Source
from napari_stemnmf.files.writing import result_file
from napari_stemnmf.texts import NOT_WRITTEN, why

VECTOR = np.dtype([("qx", np.float64), ("qy", np.float64), ("intensity", np.float64)])
"""A Bragg vector of py4DSTEM."""
CUBE = "datacube"
"""Name of the data cube: quantem looks for it by this."""
SPARE = 2**20
"""Bytes of a file beside its arrays, at most."""


def write_grains(source: Source, feature: str, path: Path) -> None:
    """Write the disks of the grains as an N x 1 scan, and their mean patterns as its data cube.

    Raises
    ------
    AnalysisError, DataError
        If grains were not measured, the detector is not calibrated, or the file cannot be written.
    """
    found, centres = vectors.of_grains(source, feature), vectors.centre_of_grains(source, feature)
    _, calibration = vectors.found_disks(source.analysis)
    ids = source.shown.grains[feature].ids
    patterns = source.shown.patterns.get(feature)
    measured = patterns is not None and len(patterns) == len(ids)
    of_grain = np.repeat(np.arange(len(found)), np.diff(found.offsets))
    q_y, q_x = _on_detector(found, calibration, centres[of_grain], vectors.per_nanometre(source.analysis))
    targets = ["/braggvectors", f"/{CUBE}"] if measured else ["/braggvectors"]
    known = _calibration(source.analysis, centres[:, None], targets) | {"R_pixel_size": 1, "R_pixel_units": "pixels"}
    size = patterns.patterns.nbytes if patterns is not None else 0
    with hdf5_file(path, size + VECTOR.itemsize * len(q_y)) as file:
        root = _root(file, f"{CUBE}_root", known)
        rows = _metadata(root["metadatabundle"], "grains", "Metadata")
        _put(rows, "grain_id", ids.astype(np.int64))
        _put(rows, "representation", feature)
        _put(rows, "made_by", f"napari-stemnmf {__version__}")
        _bragg_vectors(root, found.offsets, (q_y, q_x, found.intensity), (len(found), 1), calibration)
        if measured and patterns is not None:
            _cube(root, patterns.patterns[:, None], known)


def write_scan(source: Source, _: str, path: Path) -> None:
    """Write the disks of every position as Bragg vectors.

    Raises
    ------
    AnalysisError
        If no disks were found yet, or the file cannot be written.
    """
    peaks, calibration = vectors.found_disks(source.analysis)
    known = _calibration(source.analysis, calibration.origin.astype(np.float64), ["/braggvectors"])
    with hdf5_file(path, VECTOR.itemsize * len(peaks)) as file:
        root = _root(file, "braggvectors_root", known)
        _bragg_vectors(root, peaks.offsets, (peaks.q_y, peaks.q_x, peaks.height), peaks.scan_shape, calibration)


@contextmanager
def hdf5_file(path: Path, size: int) -> Iterator[h5py.File]:
    """A new HDF5 file of results, whole or absent; `size` are the bytes of its arrays.

    Raises
    ------
    AnalysisError
        If it cannot be written.
    """
    with result_file(path, size=size + SPARE) as part:
        try:
            with h5py.File(part, "w") as file:
                yield file
        except RuntimeError as error:  # what h5py raises where a disk is full
            raise AnalysisError(f"{path} cannot be written: {why(error, NOT_WRITTEN)}.") from error


def _on_detector(
    found: vectors.Vectors, calibration: Calibration, centres: np.ndarray, pixel: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns on the detector of calibrated vectors (n,) about centres (n, 2), px."""
    y, x = found.q_y / pixel, found.q_x / pixel
    geometry = calibration.geometry
    row, column = geometry.from_polar(np.hypot(y, x), np.degrees(np.arctan2(y, x)))
    return row - geometry.q_y + centres[:, 0], column - geometry.q_x + centres[:, 1]


def _calibration(analysis: Analysis, origin: np.ndarray, targets: list[str]) -> dict[str, Any]:
    """Calibrations of py4DSTEM for origins (Rx, Ry, 2).

    Its ellipse keeps the minor semi-axis b where this package keeps sqrt(a b), which the pixel size makes up for.
    """
    _, calibration = vectors.found_disks(analysis)
    geometry, step = calibration.geometry, analysis.axes[1]
    in_angstrom = calibration.pixel_unit == "1/nm"
    qx0, qy0 = origin[..., 0], origin[..., 1]
    pixel = calibration.pixel_size * np.sqrt(geometry.ellipse_ratio) * (0.1 if in_angstrom else 1.0)
    return {
        "Q_pixel_size": float(pixel),
        "Q_pixel_units": "A^-1" if in_angstrom else _plain(calibration.pixel_unit),
        "R_pixel_size": float(step.scale),
        "R_pixel_units": _plain(step.unit),
        "QR_rotation": 0.0,
        "QR_rotation_degrees": 0.0,
        "QR_flip": False,
        "a": float(geometry.ellipse_ratio),
        "b": 1.0,
        "theta": float(np.radians(90.0 - geometry.ellipse_angle)),
        "probe_semiangle": float(geometry.probe_radius),
        "qx0": qx0,
        "qy0": qy0,
        "qx0_mean": float(qx0.mean()),
        "qy0_mean": float(qy0.mean()),
        "qx0_shift": qx0 - qx0.mean(),
        "qy0_shift": qy0 - qy0.mean(),
        "_root_treepath": "",
        "_target_paths": targets,
    }


def _plain(unit: str) -> str:
    """A unit as py4DSTEM calls it."""
    return "pixels" if unit == "px" else unit


def _root(file: h5py.File, name: str, known: Mapping[str, Any]) -> h5py.Group:
    """The root of the only tree of a file, with the calibration."""
    file.attrs.update(
        emd_group_type="file", version_major=1, version_minor=0, authoring_program="napari-stemnmf", authoring_user=""
    )
    file.attrs["UUID"] = str(uuid.uuid4())
    root = _group(file, name, "root", "Root")
    bundle = root.create_group("metadatabundle")
    bundle.attrs["emd_group_type"] = "metadatabundle"
    group = _metadata(bundle, "calibration", "Calibration")
    for key, value in known.items():
        _put(group, key, value)
    return root


def _group(parent: h5py.Group, name: str, kind: str, python_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs.update(emd_group_type=kind, python_class=python_class)
    return group


def _metadata(bundle: h5py.Group, name: str, python_class: str) -> h5py.Group:
    return _group(bundle, name, "metadata", python_class)


def _put(group: h5py.Group, key: str, value: Any) -> None:
    """A value of a dictionary of metadata, with the name of its type."""
    if isinstance(value, list):
        items = group.create_group(key)
        items.attrs.update(type="list_of_strings", length=len(value))
        for i, item in enumerate(value):
            items.create_dataset(str(i), data=item)
        return
    kinds = {str: "string", bool: "bool", int: "number", float: "number", tuple: "tuple", np.ndarray: "array"}
    group.create_dataset(key, data=value).attrs["type"] = kinds[type(value)]


def _bragg_vectors(
    root: h5py.Group, offsets: np.ndarray, columns: tuple[Any, Any, Any], shape: tuple[int, int], known: Calibration
) -> None:
    """Vectors (row, column, intensity) on the detector, by cell of a scan, as an object of py4DSTEM."""
    group = _group(root, "braggvectors", "custom", "BraggVectors")
    bundle = group.create_group("metadatabundle")
    bundle.attrs["emd_group_type"] = "metadatabundle"
    shapes = _metadata(bundle, "_braggvectors_shape", "Metadata")
    _put(shapes, "Rshape", tuple(int(n) for n in shape))
    _put(shapes, "Qshape", tuple(int(n) for n in known.geometry.detector_shape))
    rows = np.empty(len(columns[0]), VECTOR)
    for name, values in zip(VECTOR.names or (), columns, strict=True):
        rows[name] = values
    cells = np.empty(len(offsets) - 1, object)
    for i in range(len(cells)):
        cells[i] = rows[offsets[i] : offsets[i + 1]]
    lists = _group(group, "_v_uncal", "custom_pointlistarray", "PointListArray")
    lists.create_dataset("data", shape, h5py.vlen_dtype(VECTOR), data=cells.reshape(shape))


def _cube(root: h5py.Group, patterns: np.ndarray, known: Mapping[str, Any]) -> None:
    """Patterns (Rx, Ry, Qx, Qy) as a data cube."""
    group = _group(root, CUBE, "array", "DataCube")
    group.create_dataset("data", data=patterns).attrs["units"] = "pixel intensity"
    for i, name in enumerate(("Rx", "Ry", "Qx", "Qy")):
        step, unit = (known[f"{name[0]}_pixel_size"], known[f"{name[0]}_pixel_units"])
        axis = group.create_dataset(f"dim{i}", data=np.array([0, step], np.float64))
        axis.attrs.update(name=name, units=unit)
