"""Simulated scans as HDF5 files with their truth, counted and written row by row: h5py alone can read them.

Whoever simulates gives expected patterns, one scan row after another; here electrons are counted, patterns packed by
threads outside of HDF5's lock, and the file appears when it is whole. What is written does not depend on the number of
threads: each chunk has a seed of its own. Leans on h5py.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.files import atomic_write
from napari_stemnmf.threads import default_workers, in_order

MADE_BY = "stemnmf simulate"
"""In the attribute `made_by` of a file: it may be replaced."""
CHUNK_BYTES = 2**20
"""A chunk has about so many, before packing."""
ROWS_BYTES = 2**28
"""Scan rows that are under way take about so many bytes, or there is one alone."""
LEVEL = 1
"""Of compression."""

Truth = Mapping[str, tuple[np.ndarray, str]]
"""Name in the file (``group/name``): values and what they are."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """What an engine knows of a scan before its patterns are drawn.

    Attributes
    ----------
    name : str
    shape : tuple of int
        (scan_y, scan_x, q_y, q_x)
    rows : callable
        Of a `Control` and a number of threads: expected patterns, one scan row after another, (scan_x, q_y, q_x)
        float32, the share of the incident electrons in each pixel. Reports its progress.
    truth : mapping
        What `labels`, `thickness`, ... hold.
    calibration : mapping
        Attributes of the scan: ``Q_pixel_size_invA``, ``R_pixel_size_A``, ``center_px``, ``energy_eV``, ...
    """

    name: str
    shape: tuple[int, int, int, int]
    rows: Callable[[Control, int], Iterator[np.ndarray]]
    truth: Truth
    calibration: Mapping[str, Any]


def write_scan(
    path: str | Path,
    scan: Simulated,
    *,
    dose: float | None,
    seed: int = 0,
    control: Control | None = None,
    workers: int | None = None,
) -> None:
    """Write a simulated scan and its truth: whole, or not at all.

    Parameters
    ----------
    path : str or Path
        The file; replaced if it is there.
    scan : Simulated
        What to write.
    dose : float or None
        Electrons a pattern, counted with Poisson noise as uint16 (at most 65535 a pixel). None keeps the expected
        shares of the incident electrons as float32.
    seed : int
        Of the noise.
    control : Control, optional
        Progress, and the request to stop, heeded at every scan row.
    workers : int, optional
        Threads; all cores if not given.

    Raises
    ------
    DataError
        If the file cannot be written.
    Cancelled
        If the user asked to stop; nothing is left then.
    """
    control = Control() if control is None else control
    workers = default_workers() if workers is None else max(1, workers)
    try:
        with atomic_write(path) as part, h5py.File(part, "w") as file:
            file.attrs.update({"made_by": MADE_BY, "name": scan.name, "energy_eV": scan.calibration["energy_eV"]})
            for name, (values, definition) in scan.truth.items():
                packed = {"compression": "gzip", "compression_opts": LEVEL} if values.size > 1024 else {}
                file.create_dataset(name, data=values, **packed).attrs["definition"] = definition
            _write_patterns(file, scan, dose, seed, control, workers)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}.") from error


def is_simulated(path: str | Path) -> bool:
    """Whether a file was written by `write_scan`."""
    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("made_by") == MADE_BY)
    except OSError:
        return False


def rows_at_once(shape: tuple[int, int, int, int], workers: int) -> int:
    """How many rows of a scan of this shape may be under way, so that memory stays bounded."""
    return max(1, min(workers, ROWS_BYTES // (4 * math.prod(shape[1:]))))


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
            expected = part if dose is None else counted(part, dose, np.random.default_rng([seed, row, first]))
            chunk[: len(part)] = expected
            packed.append(deflated(chunk))
        return packed

    rows = _heeding(control, scan.rows(control, workers))
    with closing(rows), closing(in_order(pack, enumerate(rows), workers, rows_at_once(scan.shape, workers))) as done:
        for row, packed in enumerate(done):
            for index, values in enumerate(packed):
                data.id.write_direct_chunk((row, index * columns, 0, 0), values)
    control.check()


def _heeding(control: Control, rows: Iterator[np.ndarray]) -> Generator[np.ndarray, None, None]:
    """The rows, until the user asks to stop."""
    for row in rows:
        control.check()
        yield row


def counted(expected: np.ndarray, dose: float, generator: np.random.Generator) -> np.ndarray:
    """Electrons counted where shares of `dose` are expected, uint16, in an array of the same shape."""
    counts = np.zeros(expected.shape, np.uint16)
    lit = expected > 0  # most pixels of a film without support are dark
    counts[lit] = np.minimum(generator.poisson(expected[lit] * np.float64(dose)), np.iinfo(np.uint16).max)
    return counts


def deflated(chunk: np.ndarray) -> bytes:
    """A chunk as HDF5's filters shuffle and gzip leave it."""
    in_bytes = np.ascontiguousarray(chunk).view(np.uint8).reshape(-1, chunk.itemsize)
    return zlib.compress(in_bytes.T.tobytes(), LEVEL)
