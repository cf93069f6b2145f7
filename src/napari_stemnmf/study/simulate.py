"""The paper's simulated films, and the stand-in for its experiment, as HDF5 files with their truth: one call for each.

An engine (`films`, `multislice`, `nanowire`) gives expected patterns, one scan row after another; here electrons are
counted, patterns packed by threads outside of HDF5's lock, and the file appears when it is whole. What is written does
not depend on the number of threads: each chunk has a seed of its own. h5py alone can read it.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.files.writing import atomic_write
from napari_stemnmf.simulation.diffraction import wavelength
from napari_stemnmf.simulation.film import ENERGY, SCAN_STEP, TRUE_THICKNESS
from napari_stemnmf.study.films import (
    FILM_CELL,
    FILM_FACETS,
    FILM_SEED,
    Q_SPAN,
    SEMIANGLE,
    SOURCE_BLUR,
    ScanGrid,
    Specimen,
    kinematic_film,
    silver_specimen,
)
from napari_stemnmf.texts import NOT_WRITTEN, why
from napari_stemnmf.threads import checked, default_workers, in_order

NANOWIRE = "nanowire"
NAMES = (*FILM_FACETS, NANOWIRE)
"""What can be simulated."""
ENGINES = ("kinematic", "multislice")
FILM_SCAN = (100, 100)
"""Probe positions: the first quarter of the cell, 500 x 500 Å."""
FILM_DETECTOR = 252
FILM_DOSE = 2e5
"""Electrons a pattern."""
LEAST_SCAN, MOST_SCAN = 4, int(FILM_CELL[0] / SCAN_STEP)
LEAST_DETECTOR, MOST_DETECTOR = 64, 4096
MADE_BY = "stemnmf simulate"
"""The attribute `made_by` of a file that may be replaced."""
CHUNK_BYTES = 2**20
"""Of a chunk, about, before packing."""
ROWS_BYTES = 2**28
"""Of the scan rows that are in work, about, unless there is one alone."""
LEVEL = 1
"""Of compression."""

Truth = Mapping[str, tuple[np.ndarray, str]]
"""Name in the file (``group/name``): values and what they are."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """A scan whose patterns are not drawn yet, of `shape` (scan_y, scan_x, q_y, q_x).

    `rows`, of a `Control` and a number of threads, gives one scan row after another, (scan_x, q_y, q_x) float32: the
    expected share of the incident electrons in each pixel; it reports its progress. `calibration` becomes attributes.
    """

    name: str
    shape: tuple[int, int, int, int]
    rows: Callable[[Control, int], Iterator[np.ndarray]]
    truth: Truth
    calibration: Mapping[str, Any]


def simulate(
    name: str,
    path: str | Path,
    *,
    seed: int | None = None,
    scan: int | tuple[int, int] | None = None,
    detector: int | None = None,
    dose: float | None = None,
    engine: str = "kinematic",
    slice_thickness: float = 4.0,
    noise: bool = True,
    overwrite: bool = False,
    control: Control | None = None,
    workers: int | None = None,
) -> Path:
    """Simulate a scan of the paper and write it with its truth to an HDF5 file, which is whole or absent.

    The same arguments give the same file, whatever the number of threads.

    Parameters
    ----------
    name : {"ag1", "ag2", "ag3", "nanowire"}
        Films of small, middle and large silver grains, or the twisted wire.
    path : str or Path
        The file. One that was simulated before is replaced.
    seed : int, optional
        Of grains and noise. By default the films have the paper's numbers of grains: 31, 36 and 42.
    scan : int or tuple of int, optional
        Rows and columns of probe positions, 5 Å apart, or one number for both; by default (100, 100), for the wire
        (220, 50).
    detector : int, optional
        Pixels along each axis, by default 252 over 2.52 1/Å, for the wire 432 over 4.32 1/Å.
    dose : float, optional
        Electrons a pattern; by default 2e5, for the wire 1e6.
    engine : {"kinematic", "multislice"}
        What diffracts a film: every grain once, in seconds, or all atoms with multiple scattering, which takes long
        and needs the extra ``simulation``.
    slice_thickness : float
        Of multislice, Å.
    noise : bool
        Count electrons; otherwise the expected shares of the beam are written.
    overwrite : bool
        Replace the file even if it is something else.
    control : Control, optional
        Progress, and the request to stop.
    workers : int, optional
        Threads; all cores if not given.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If an argument is out of bounds, the extra is missing, or the file cannot be written or is not to be replaced.
    Cancelled
        If the user asked to stop; no file is left then.

    References
    ----------
    Bruefach, Ophus & Scott (2022), doi 10.1017/S1431927622012259.
    """
    path = Path(path)
    if name not in NAMES:
        raise DataError(f"There is no '{name}' to simulate; choose one of {', '.join(NAMES)}.")
    if engine not in ENGINES:
        raise DataError(f"There is no engine '{engine}'; choose {' or '.join(ENGINES)}.")
    if path.exists() and not overwrite and not is_simulated(path):
        raise DataError(f"{path} is there, and was not simulated; choose another name, or ask to overwrite it.")
    if not path.parent.is_dir():
        raise DataError(f"{path} cannot be written: there is no folder {path.parent}.")
    if seed is not None and seed < 0:
        raise DataError(f"The seed is {seed}; it must be 0 or more.")
    control = Control(stage=f"Simulate {name}") if control is None else control
    scan = (scan, scan) if isinstance(scan, int) else scan
    if name == NANOWIRE:
        seed = seed or 0
        made, electrons = _nanowire(seed, scan, detector, dose, engine)
    else:
        seed = FILM_SEED if seed is None else seed
        electrons = FILM_DOSE if dose is None else float(dose)
        if not 0 < electrons <= 1e8:
            raise DataError(f"The dose must lie between 0 and 1e8 electrons a pattern, not {electrons:g}.")
        detector = FILM_DETECTOR if detector is None else detector
        made = _film(name, seed, scan or FILM_SCAN, detector, engine, slice_thickness)
    control.check()
    write_scan(path, made, dose=electrons if noise else None, seed=seed, control=control, workers=workers)
    return path


def _film(
    name: str, seed: int, shape: tuple[int, int], detector: int, engine: str, slice_thickness: float
) -> Simulated:
    if not LEAST_SCAN <= min(shape) <= max(shape) <= MOST_SCAN:
        raise DataError(
            f"A film is scanned at {LEAST_SCAN} to {MOST_SCAN} rows and columns 5 Å apart, not {shape[0]} x {shape[1]}."
        )
    if not LEAST_DETECTOR <= detector <= MOST_DETECTOR:
        span = f"{LEAST_DETECTOR} to {MOST_DETECTOR}"
        raise DataError(f"A film needs a detector of {span} pixels along each axis, not {detector}.")
    specimen, grid, whole = silver_specimen(name, seed), ScanGrid(shape), (*shape, detector, detector)
    truth = _film_truth(specimen, grid)
    settings: dict[str, Any] = {"engine": engine}
    rows: Callable[[Control, int], Iterator[np.ndarray]]
    if engine == "multislice":
        from napari_stemnmf.study.multislice import Window, multislice_rows

        rows = partial(multislice_rows, specimen, grid, detector, slice_thickness=slice_thickness)
        center = Window.of(detector).center
        settings["slice_thickness_A"] = float(slice_thickness)
    else:
        film = kinematic_film(specimen, grid, detector)
        rows, center = partial(drawn_rows, film.row, whole), film.center
    calibration = {
        "Q_pixel_size_invA": Q_SPAN / detector,
        "R_pixel_size_A": grid.step,
        "center_px": (center, center),
        "probe_radius_px": SEMIANGLE / wavelength(ENERGY) / (Q_SPAN / detector),
        "energy_eV": ENERGY,
        "semiangle_rad": SEMIANGLE,
        "source_blur_sigma_px": SOURCE_BLUR,
        "film_seed": seed,
        **settings,
    }
    return Simulated(f"silver grains ({name}, {engine})", whole, rows, truth, calibration)


def _film_truth(specimen: Specimen, scan: ScanGrid) -> Truth:
    """Where each grain of a scan is, and how it is oriented."""
    thickness = specimen.thickness(scan)
    labels = thickness > TRUE_THICKNESS
    true = labels.any(axis=(1, 2))
    if not true.any():
        raise DataError(f"No grain lies in {scan.shape[0]} x {scan.shape[1]} positions; take more, or another seed.")
    where = f"thickness > {TRUE_THICKNESS:g} A (grain, scan_y, scan_x), unblurred; grains overlap"
    along = "(grain, scan_y, scan_x) along the beam at the probe positions, unblurred, A"
    axes = "v_lab = R @ v_crystal; lab x along scan_x and q_x, y along scan_y and q_y, z the beam"
    places = (
        f"(x, y, z) of each grain, A, in a cell of {' x '.join(f'{side:g}' for side in specimen.cell)} A; "
        f"position (i, j) is at y = (i + .5) {scan.step:g}, x = (j + .5) {scan.step:g}"
    )
    return {
        "labels": (labels[true], where),
        "thickness": (thickness[true], along),
        "orientations": (specimen.orientations[true], axes),
        "centers": (specimen.centers[true], places),
    }


def _nanowire(
    seed: int, shape: tuple[int, int] | None, detector: int | None, dose: float | None, engine: str
) -> tuple[Simulated, float]:
    from napari_stemnmf.study.nanowire import nanowire

    if max(detector or 0, *(shape or (0,))) > MOST_DETECTOR:
        raise DataError(f"A nanowire has at most {MOST_DETECTOR} rows and columns, of positions and of pixels.")
    if engine != "kinematic":
        raise DataError("The nanowire is simulated by the kinematic engine alone.")
    given = {"scan_shape": shape, "detector": detector, "dose": dose}
    wire = nanowire(seed, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    rows = partial(drawn_rows, wire.row, wire.shape)
    return Simulated("twisted nanowire (kinematic)", wire.shape, rows, wire.truth(), wire.calibration), wire.dose


def drawn_rows(
    row: Callable[[int], np.ndarray], shape: tuple[int, int, int, int], control: Control, workers: int
) -> Iterator[np.ndarray]:
    """The scan rows that an engine draws one by one, in order; the same whatever the number of threads."""
    for index, patterns in enumerate(in_order(row, range(shape[0]), workers, rows_at_once(shape, workers))):
        control.check()
        yield patterns
        control.report(index + 1, shape[0])


def rows_at_once(shape: tuple[int, int, int, int], workers: int) -> int:
    """How many rows of a scan of this shape may be in work, so that memory stays bounded."""
    return max(1, min(workers, ROWS_BYTES // (4 * math.prod(shape[1:]))))


def is_simulated(path: str | Path) -> bool:
    """Whether a file was written by `write_scan`."""
    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("made_by") == MADE_BY)
    except OSError:
        return False


def write_scan(
    path: str | Path,
    scan: Simulated,
    *,
    dose: float | None,
    seed: int = 0,
    control: Control | None = None,
    workers: int | None = None,
) -> None:
    """Write a simulated scan and its truth, whole or not at all; a file that is there is replaced.

    `dose` electrons a pattern are counted with Poisson noise of `seed`, as uint16 (at most 65535 a pixel); None keeps
    the expected shares of the incident electrons as float32. Raises `DataError` if the file cannot be written, and
    `Cancelled`.
    """
    control = Control() if control is None else control
    workers = checked(workers) or default_workers()
    try:
        with atomic_write(path) as part, h5py.File(part, "w") as file:
            file.attrs.update({"made_by": MADE_BY, "name": scan.name, "energy_eV": scan.calibration["energy_eV"]})
            for name, (values, definition) in scan.truth.items():
                packed = {"compression": "gzip", "compression_opts": LEVEL} if values.size > 1024 else {}
                file.create_dataset(name, data=values, **packed).attrs["definition"] = definition
            _write_patterns(file, scan, dose, seed, control, workers)
    except (OSError, RuntimeError) as error:  # what h5py raises where a disk is full is either
        raise DataError(f"{path} cannot be written: {why(error, NOT_WRITTEN)}.") from error


def _write_patterns(
    file: h5py.File, scan: Simulated, dose: float | None, seed: int, control: Control, workers: int
) -> None:
    dtype = np.dtype(np.float32 if dose is None else np.uint16)
    columns = int(np.clip(CHUNK_BYTES // (scan.shape[2] * scan.shape[3] * dtype.itemsize), 1, scan.shape[1]))
    chunks = (1, columns, *scan.shape[2:])
    data = file.create_dataset(
        "data", scan.shape, dtype, chunks=chunks, shuffle=True, compression="gzip", compression_opts=LEVEL
    )
    data.attrs.update(scan.calibration)
    data.attrs["axes"] = "scan_y, scan_x, q_y, q_x"
    if dose is None:
        data.attrs["definition"] = "expected share of the incident electrons in each pixel, without noise"
    else:
        data.attrs["definition"] = "electrons counted, with Poisson noise; part of the beam may miss the detector"
        data.attrs.update({"dose_e_per_pattern": float(dose), "noise_seed": int(seed)})

    def pack(numbered: tuple[int, np.ndarray]) -> list[bytes]:
        row, patterns = numbered
        packed = []
        for first in range(0, scan.shape[1], columns):
            chunk = np.zeros(chunks[1:], dtype)  # the last one may reach beyond the scan
            part = patterns[first : first + columns]
            values = part if dose is None else counted(part, dose, np.random.default_rng([seed, row, first]))
            chunk[: len(part)] = values
            packed.append(_deflated(chunk))
        return packed

    rows = (patterns for patterns in scan.rows(control, workers))
    with closing(rows), closing(in_order(pack, enumerate(rows), workers, rows_at_once(scan.shape, workers))) as done:
        for row, packed in enumerate(done):
            control.check()
            for index, values in enumerate(packed):
                data.id.write_direct_chunk((row, index * columns, 0, 0), values)
    control.check()


def counted(expected: np.ndarray, dose: float, generator: np.random.Generator) -> np.ndarray:
    """Electrons counted where shares of `dose` are expected, uint16, in an array of the same shape."""
    counts = np.zeros(expected.shape, np.uint16)
    lit = expected > 0  # most pixels of a film without support are dark
    counts[lit] = np.minimum(generator.poisson(expected[lit] * np.float64(dose)), np.iinfo(np.uint16).max)
    return counts


def _deflated(chunk: np.ndarray) -> bytes:
    """A chunk as HDF5's filters shuffle and gzip leave it."""
    in_bytes = np.ascontiguousarray(chunk).view(np.uint8).reshape(-1, chunk.itemsize)
    return zlib.compress(in_bytes.T.tobytes(), LEVEL)
