"""The paper's simulated films, and the stand-in for its experiment, as files: one call for each.

Leans on `specimen` for what is simulated, on an engine (`kinematic_film`, `multislice`, `nanowire`) for its patterns
and on `scan_file` for the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.kinematic import wavelength
from napari_stemnmf.simulation.specimen import (
    ENERGY,
    FILM_CELL,
    FILM_FACETS,
    FILM_SEED,
    Q_SPAN,
    SCAN_STEP,
    SEMIANGLE,
    SOURCE_BLUR,
    TRUE_THICKNESS,
    ScanGrid,
    Specimen,
    silver_specimen,
)
from napari_stemnmf.study.scan_file import Simulated, Truth, is_simulated, write_scan

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
LEAST_DETECTOR = 64


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
        made = _film(name, seed, scan or FILM_SCAN, detector or FILM_DETECTOR, engine, slice_thickness)
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
    if detector < LEAST_DETECTOR:
        raise DataError(f"A film needs a detector of {LEAST_DETECTOR} pixels or more along each axis, not {detector}.")
    specimen, grid = silver_specimen(name, seed), ScanGrid(shape)
    truth = film_truth(specimen, grid)
    settings: dict[str, Any] = {"engine": engine}
    if engine == "multislice":
        from napari_stemnmf.study.multislice import Window, multislice_rows

        center = (Window.of(detector).center,) * 2
        settings["slice_thickness_A"] = float(slice_thickness)

        def rows(control: Control, workers: int) -> Iterator[np.ndarray]:
            return multislice_rows(
                specimen, grid, detector, slice_thickness=slice_thickness, control=control, workers=workers
            )
    else:
        from napari_stemnmf.study.kinematic_film import kinematic_film

        film = kinematic_film(specimen, grid, detector)
        rows, center = film.rows, film.center
    calibration = {
        "Q_pixel_size_invA": Q_SPAN / detector,
        "R_pixel_size_A": grid.step,
        "center_px": center,
        "probe_radius_px": SEMIANGLE / wavelength(ENERGY) / (Q_SPAN / detector),
        "energy_eV": ENERGY,
        "semiangle_rad": SEMIANGLE,
        "source_blur_sigma_px": SOURCE_BLUR,
        "film_seed": seed,
        **settings,
    }
    return Simulated(f"silver grains ({name}, {engine})", (*shape, detector, detector), rows, truth, calibration)


def film_truth(specimen: Specimen, scan: ScanGrid) -> Truth:
    """Where each grain of a scan lies, and what it is.

    Raises
    ------
    DataError
        If there is none.
    """
    thickness = specimen.thickness(scan)
    labels = thickness > TRUE_THICKNESS
    true = labels.any(axis=(1, 2))
    if not true.any():
        raise DataError(f"No grain lies in {scan.shape[0]} x {scan.shape[1]} positions; take more, or another seed.")
    return {
        "labels": (
            labels[true],
            f"thickness > {TRUE_THICKNESS:g} A (grain, scan_y, scan_x), unblurred; grains overlap",
        ),
        "thickness": (thickness[true], "(grain, scan_y, scan_x) along the beam at the probe positions, unblurred, A"),
        "orientations": (
            specimen.orientations[true],
            "v_lab = R @ v_crystal; lab x along scan_x and q_x, y along scan_y and q_y, z the beam",
        ),
        "centers": (
            specimen.centers[true],
            "(x, y, z) of each grain, A, in a cell of " + " x ".join(f"{side:g}" for side in specimen.cell) + " A; "
            f"position (i, j) is at y = (i + .5) {scan.step:g}, x = (j + .5) {scan.step:g}",
        ),
    }


def _nanowire(
    seed: int, shape: tuple[int, int] | None, detector: int | None, dose: float | None, engine: str
) -> tuple[Simulated, float]:
    from napari_stemnmf.study.nanowire import nanowire

    if engine != "kinematic":
        raise DataError("The nanowire is simulated by the kinematic engine alone.")
    asked = {"scan_shape": shape, "detector": detector, "dose": dose}
    wire = nanowire(seed, **{key: value for key, value in asked.items() if value is not None})  # type: ignore[arg-type]
    return Simulated("twisted nanowire (kinematic)", wire.shape, wire.rows, wire.truth(), wire.calibration), wire.dose
