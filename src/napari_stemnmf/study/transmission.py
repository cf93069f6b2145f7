"""Transmission functions of atoms: what a fast electron's wave is multiplied by in each thin slice of a specimen.

Projected potentials are those of free atoms (Kirkland) with the Debye-Waller factor, of whole atoms in the slice that
their nuclei are in. Atoms are spread on a grid of half the pixels as Gaussians, whose transform is divided out again.
(abTEM's own potentials have bilinear weights on the grid itself; with pixels of 0.25 Å those take 8 % off the intensity
that one slice scatters to 0.45 1/Å, and 38 % at 1.1 1/Å.) abTEM gives scattering factors, interaction constant and
anti-aliasing. Lengths in Å, arrays (y, x).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy import fft

from napari_stemnmf.compiled import njit
from napari_stemnmf.control import Control
from napari_stemnmf.simulation.film import ENERGY
from napari_stemnmf.study.films import Specimen
from napari_stemnmf.threads import in_order

CELL = 5.0
"""Where there are atoms is known in cells of this size, Å."""
SPREAD = 1.0
"""Standard deviation of an atom on the fine grid, in its pixels; other periods then alias by under 1e-4."""
REACH = 4
"""An atom is spread on so many pixels of the fine grid to each side."""


@dataclass(frozen=True, eq=False)
class Transmission:
    """Transmission functions of the slices of a box."""

    values: np.ndarray  # (slices, y, x) complex64; they repeat in y and x
    occupied: np.ndarray  # (slices, cells_y, cells_x) bool: cells with atoms
    origin: np.ndarray  # (2,): (y, x) of the first grid point, Å
    pixel: float  # Å
    thickness: float  # of a slice, Å

    def window(self, first: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
        """Transmission functions (slices, points, points) of a window from grid point `first` on; slices with atoms."""
        rows, columns = (slice(f, f + points) for f in first)
        cells = [slice(int(f * self.pixel / CELL), int((f + points) * self.pixel / CELL) + 1) for f in first]
        filled = self.occupied[:, cells[0], cells[1]].any(axis=(1, 2))
        return self.values[:, rows, columns], np.flatnonzero(filled)


def transmission(
    specimen: Specimen,
    atoms: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    pixel: float,
    slice_thickness: float,
    control: Control,
    workers: int,
) -> Transmission:
    """Transmission functions of atoms (n, 3) (x, y, z) in a box from `low` to `high` (y, x), Å, rounded up.

    `slice_thickness` is the most that a slice may have; the cell is cut into equal ones. `control` can cancel.
    """
    from abtem import PotentialArray
    from abtem.antialias import AntialiasAperture

    rows, columns = (fast_length(length / pixel) for length in high - low)
    shape = rows, columns
    inside = ((atoms[:, 1::-1] >= low) & (atoms[:, 1::-1] < high)).all(axis=1)
    slices = int(np.ceil(round(specimen.cell[2] / slice_thickness, 6)))
    thickness = specimen.cell[2] / slices
    index = np.clip((atoms[inside, 2] / thickness).astype(np.int64), 0, slices - 1)
    order = np.argsort(index, kind="stable")
    places = (atoms[inside][order, 1::-1] - low).astype(np.float32)
    starts = np.searchsorted(index[order], np.arange(slices + 1))
    occupied = np.zeros((slices, *(int(n * pixel / CELL) + 1 for n in shape)), bool)
    occupied[(index[order], *(places / np.float32(CELL)).astype(np.int64).T)] = True
    values = np.ones((slices, *shape), np.complex64)
    factor = _factor(specimen, shape, pixel)

    def fill(number: int) -> None:
        control.check()
        here = places[starts[number] : starts[number + 1]]
        if len(here):
            potential = PotentialArray(
                projected(here / np.float32(pixel), factor, shape)[None],
                slice_thickness=thickness,
                extent=(shape[0] * pixel, shape[1] * pixel),
            )
            values[number] = AntialiasAperture().bandlimit(potential.transmission_function(ENERGY)).array[0]

    deque(in_order(fill, range(slices), workers), maxlen=0)
    return Transmission(values, occupied, low, pixel, thickness)


def projected(places: np.ndarray, factor: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Projected potential, float32 `shape`, of atoms at places (n, 2) (y, x) in pixels; `factor` is `_factor`'s."""
    rows, columns = shape
    fine = np.zeros((2 * rows, 2 * columns), np.float32)
    spread(fine, places * np.float32(2))
    spectrum = fft.rfft2(fine, overwrite_x=True)
    kept = np.concatenate([spectrum[: (rows + 1) // 2], spectrum[-(rows // 2) :]])[:, : columns // 2 + 1]
    return np.asarray(fft.irfft2(kept * factor, s=shape, overwrite_x=True))


def _factor(specimen: Specimen, shape: tuple[int, int], pixel: float) -> np.ndarray:
    """What turns the half spectrum of spread atoms into that of their potential, (rows, columns // 2 + 1)."""
    from abtem.parametrizations import KirklandParametrization

    f_y, f_x = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])  # cycles per pixel
    k_squared = (f_y**2 + f_x**2) / pixel**2
    scattering = KirklandParametrization().projected_scattering_factor(specimen.crystal.elements[0])(k_squared)
    smear = np.exp(-specimen.crystal.debye_waller * k_squared / 4)
    spread_out = np.exp(2 * np.pi**2 * (SPREAD / 2) ** 2 * (f_y**2 + f_x**2))
    return np.asarray(scattering * smear * spread_out / pixel**2, np.float32)


@njit(cache=True, nogil=True)
def spread(out: np.ndarray, places: np.ndarray) -> None:  # pragma: no cover - compiled
    """Add to `out` a Gaussian of integral 1 and deviation `SPREAD` px at each of the places (n, 2); it repeats."""
    rows, columns = out.shape
    along_y, along_x = np.empty(2 * REACH + 1, np.float32), np.empty(2 * REACH + 1, np.float32)
    norm = 1.0 / (SPREAD * np.sqrt(2 * np.pi))
    for p in range(len(places)):
        middle_y, middle_x = int(np.rint(places[p, 0])), int(np.rint(places[p, 1]))
        for n in range(-REACH, REACH + 1):
            along_y[n + REACH] = norm * np.exp(-0.5 * ((middle_y + n - places[p, 0]) / SPREAD) ** 2)
            along_x[n + REACH] = norm * np.exp(-0.5 * ((middle_x + n - places[p, 1]) / SPREAD) ** 2)
        for i in range(2 * REACH + 1):
            row = (middle_y + i - REACH) % rows
            for j in range(2 * REACH + 1):
                out[row, (middle_x + j - REACH) % columns] += along_y[i] * along_x[j]


def fast_length(length: float) -> int:
    """The next even number of grid points, made of 2, 3 and 5 alone, whose Fourier transform is quick."""
    points = 2 * int(np.ceil(round(length / 2, 6)))
    while fft.next_fast_len(points, real=True) != points:  # a real transform is quick for 2, 3 and 5
        points += 2
    return points
