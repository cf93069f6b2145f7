"""The films by multislice: what every probe sees of all atoms, multiple scattering included; calls abTEM.

Each probe crosses a window of its own, about 100 Å wide, so that the Fourier transform of its exit wave has the
detector's pixels. Transmission functions are made for a block of scan rows (`transmission`), and a window is a view of
them; slices without atoms in it cost nothing: the space they fill is crossed in one propagation. The lattice is static:
there is no thermal diffuse scattering. The source's blur comes last, row by row, so that the scan is never in memory as
a whole. abTEM (extra ``simulation``) gives probe, interaction and propagation. Lengths in Å, arrays (y, x).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from threading import local

import numpy as np
from scipy import fft

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation.film import ENERGY
from napari_stemnmf.study.films import Q_SPAN, SEMIANGLE, SOURCE_BLUR, ScanGrid, Specimen
from napari_stemnmf.study.transmission import Transmission, fast_length, transmission
from napari_stemnmf.threads import default_workers, in_order, one_blas_thread

WINDOW = 100.0
"""A probe's window is at least so wide, Å."""
PIXEL = 0.25
"""Pixels of the waves are at most so wide, Å."""
CUTOFF = 0.9
"""Waves and transmission functions end at this share of the highest frequency of the grid, at 1.8 1/Å. 2/3, the usual,
rules out every alias and loses electrons that scatter beyond 1.33 1/Å and would come back: where a grain of Ag3 is
thick, a fifth of what is scattered. Pixels half as wide give what 0.9 gives here, with either cut-off."""
SLICE = 4.0
"""The specimen's slices are at most so thick by default, Å."""
MEMORY = 1.5 * 2**30
"""The transmission functions of a block of scan rows take about so many bytes at most."""
AHEAD = 2
"""So many scan rows are in work, or done and not yet taken."""
TRUNCATE = 4.0
"""The Gaussian of the source's blur is cut off at so many standard deviations."""


@dataclass(frozen=True)
class Window:
    """The grid of a probe's wave and the detector's pixels in its Fourier transform."""

    detector: int  # pixels of the detector along each axis; it spans 2.52 1/Å
    binning: int  # pixels of the Fourier transform, along each axis, that make one of the detector
    extent: float  # width of the window, Å
    points: int  # grid points of the wave along each axis

    @classmethod
    def of(cls, detector: int) -> Window:
        """The smallest window of at least `WINDOW` Å whose Fourier transform can be binned to the detector.

        Raises
        ------
        DataError
            If the detector has fewer than 16 pixels along an axis.
        """
        if detector < 16:
            raise DataError(f"The detector needs at least 16 x 16 pixels, not {detector} x {detector}.")
        binning = int(np.ceil(round(WINDOW * Q_SPAN / detector, 6)))
        extent = binning * detector / Q_SPAN
        return cls(detector, binning, extent, fast_length(extent / PIXEL))

    @property
    def pixel(self) -> float:
        """Distance of grid points, Å."""
        return self.extent / self.points

    @property
    def center(self) -> float:
        """Where the direct beam is on the detector along each axis, px."""
        return (self.binning * self.detector // 2 - (self.binning - 1) / 2) / self.binning

    def box(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest (y, x), Å, of the windows around probe positions (n, 2)."""
        margin = self.extent / 2 + self.pixel
        return positions.min(axis=0) - margin, positions.max(axis=0) + margin

    def detected(self, wave: np.ndarray) -> np.ndarray:
        """Share of the electrons in each pixel of the detector, (q_y, q_x) float32, of a wave in real space."""
        size = self.binning * self.detector
        order = np.arange(size) - size // 2  # Fourier components in the order of the detector
        amplitude = fft.fft2(wave)[np.ix_(order, order)]
        share = amplitude.real**2 + amplitude.imag**2
        return np.asarray(share.reshape(self.detector, self.binning, self.detector, -1).sum(axis=(1, 3)), np.float32)


def multislice_rows(
    specimen: Specimen,
    scan: ScanGrid,
    detector: int,
    control: Control | None = None,
    workers: int | None = None,
    *,
    blur: float = SOURCE_BLUR,
    slice_thickness: float = SLICE,
    cutoff: float = CUTOFF,
) -> Iterator[np.ndarray]:
    """Expected patterns, one scan row after another: (scan_x, q_y, q_x) float32, shares of the incident electrons.

    Parameters
    ----------
    specimen : Specimen
        What the beam crosses.
    scan : ScanGrid
        Where the probe stands.
    detector : int
        Pixels along each axis; the detector spans 2.52 1/Å whatever their number. The direct beam is at
        ``Window.of(detector).center`` px on both axes.
    control : Control, optional
        Learns of each scan row that is finished, and can cancel.
    workers : int, optional
        Threads; by default one a core.
    blur : float
        Standard deviation of the source, in scan positions. The scan is mirrored about its outermost positions.
    slice_thickness : float
        Of the specimen's slices at most, Å.
    cutoff : float
        Waves and transmission functions end at this share of the highest frequency of the grid.

    Raises
    ------
    DataError
        If abTEM is not installed, or a number is out of bounds.
    Cancelled
        If the user stopped the work; raised while rows are taken, as all work is done then.
    """
    control = control if control is not None else Control()
    window = Window.of(detector)
    if find_spec("abtem") is None:
        raise DataError("Multislice needs abTEM, which is not installed: pip install 'napari-stemnmf[simulation]'.")
    if not 0.5 <= slice_thickness <= 10.0:
        raise DataError(f"Slices must be 0.5 to 10 Å thick, not {slice_thickness} Å.")
    if not 0.5 <= cutoff <= 1.0:
        raise DataError(f"The cut-off must be 0.5 to 1 of the highest frequency, not {cutoff}.")
    rows = _sharp_rows(specimen, scan, window, slice_thickness, cutoff, control, workers or default_workers())
    return blurred_rows(rows, scan.shape, blur)


def blurred_rows(rows: Iterator[np.ndarray], shape: tuple[int, int], sigma: float) -> Iterator[np.ndarray]:
    """Rows (scan_x, ...) of a scan of `shape` (rows, columns), blurred along both scan axes by `sigma` positions.

    The scan is mirrored about its outermost positions. Each row is taken from `rows` once; as many are held as the
    Gaussian is wide.
    """
    if sigma <= 0:
        yield from rows
        return
    reach = int(np.ceil(TRUNCATE * sigma))
    across, along = _smoothing(shape[0], sigma), _smoothing(shape[1], sigma).astype(np.float32)
    held: deque[np.ndarray] = deque(maxlen=2 * reach + 1)
    last = -1
    for i in range(shape[0]):
        while last < min(i + reach, shape[0] - 1):
            row = np.asarray(next(rows), np.float32)
            with one_blas_thread():
                held.append((along @ row.reshape(shape[1], -1)).reshape(row.shape))
            last += 1
        first = last + 1 - len(held)
        out = np.zeros_like(held[0])
        for n, row in enumerate(held):
            if weight := across[i, first + n]:
                out += np.float32(weight) * row
        yield out


def _smoothing(length: int, sigma: float) -> np.ndarray:
    """Matrix (length, length) that blurs by a Gaussian; mirrored about its first and last value. Rows sum to 1."""
    reach = int(np.ceil(TRUNCATE * sigma))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    matrix, period = np.zeros((length, length)), max(1, 2 * (length - 1))
    for offset, weight in zip(offsets, weights / weights.sum(), strict=True):
        along = (np.arange(length) + offset) % period  # there and back
        matrix[np.arange(length), np.minimum(along, period - along)] += weight
    return matrix


def _sharp_rows(
    specimen: Specimen,
    scan: ScanGrid,
    window: Window,
    slice_thickness: float,
    cutoff: float,
    control: Control,
    workers: int,
) -> Generator[np.ndarray, None, None]:
    """Scan rows (scan_x, q_y, q_x), without the source's blur."""
    import abtem

    settings = {  # single precision, one thread a transform (the probes are the parallelism), plans that do not vary
        "precision": "float32",
        "fft": "fftw",
        "fftw.threads": 1,
        "fftw.planning_effort": "FFTW_ESTIMATE",
        "antialias.cutoff": cutoff,
    }
    rows, columns = scan.shape
    y, x = scan.y, scan.x
    control.report(0, rows, "Placing atoms")
    with abtem.config.set(settings):
        probe = _Probe(specimen, window, slice_thickness)
        atoms = probe.atoms(_grid(y, x))
        together = _rows_together(specimen, scan, window, slice_thickness)
        for top in range(0, rows, together):
            control.check()
            positions = _grid(y[top : top + together], x)
            work = partial(probe.pattern, probe.field(positions, atoms, control, workers), control)
            with closing(in_order(work, positions, workers, AHEAD * columns)) as patterns:
                for row in range(top, min(top + together, rows)):
                    yield np.stack([next(patterns) for _ in range(columns)])
                    control.report(row + 1, rows, "Multislice")
            del work  # and the transmission functions with it, before the next are made


class _Probe:
    """The incident wave and its way through a specimen; threads may share one."""

    def __init__(self, specimen: Specimen, window: Window, slice_thickness: float) -> None:
        from abtem import CustomScan, Probe

        self._specimen, self._window, self._slice_thickness = specimen, window, slice_thickness
        incident = Probe(
            energy=ENERGY,
            semiangle_cutoff=SEMIANGLE * 1e3,
            extent=window.extent,
            gpts=window.points,
            defocus=specimen.cell[2] / 2,  # the mid-plane is in focus
            device="cpu",
        ).build(scan=CustomScan(np.full((1, 2), window.extent / 2)), lazy=False)
        self._spectrum = fft.fft2(incident.array[0].astype(np.complex64))
        self._own = local()  # a propagator holds the buffers that it works on

    def atoms(self, positions: np.ndarray) -> np.ndarray:
        """All atoms (n, 3) (x, y, z) in the box of the windows around probe positions (n, 2)."""
        low, high = self._window.box(positions)
        return self._specimen.atoms((*low[::-1], 0.0), (*high[::-1], self._specimen.cell[2]))

    def field(self, positions: np.ndarray, atoms: np.ndarray, control: Control, workers: int) -> Transmission:
        """Transmission functions in the box of the windows around probe positions (n, 2)."""
        box = self._window.box(positions)
        return transmission(self._specimen, atoms, *box, self._window.pixel, self._slice_thickness, control, workers)

    def pattern(self, field: Transmission, control: Control, position: np.ndarray) -> np.ndarray:
        """Share of the electrons in each pixel, (q_y, q_x) float32, for the probe at a position (y, x)."""
        from abtem import Waves
        from abtem.antialias import AntialiasAperture
        from abtem.multislice import FresnelPropagator, conventional_multislice_step
        from abtem.potentials.iam import TransmissionFunction

        control.check()
        points, extent = self._window.points, (self._window.extent,) * 2
        corner = (position - field.origin) / field.pixel - points / 2
        first = np.floor(corner).astype(int)
        turn = [np.exp(-2j * np.pi * np.fft.fftfreq(points) * part).astype(np.complex64) for part in corner - first]
        start = fft.ifft2(self._spectrum * turn[0][:, None] * turn[1])
        waves = Waves(start, energy=ENERGY, extent=extent)
        values, filled = field.window(first, points)
        propagators = self._own.__dict__.setdefault("propagators", {})
        # Space without atoms is crossed with the slice before it; that before the first only shifts the focus, far less
        # than the depth of focus of 17,000 Å.
        for here, way in zip(filled, np.diff(filled, append=len(values)), strict=True):
            crossed = TransmissionFunction(values[here][None], way * field.thickness, extent=extent, energy=ENERGY)
            propagator = propagators.setdefault(int(way), FresnelPropagator())
            waves = conventional_multislice_step(waves, crossed, propagator, AntialiasAperture())
        return self._window.detected(np.asarray(waves.array))


def _rows_together(specimen: Specimen, scan: ScanGrid, window: Window, slice_thickness: float) -> int:
    """How many scan rows may share transmission functions."""
    width = (scan.shape[1] * scan.step + window.extent) / window.pixel
    height = MEMORY / 8 / width / np.ceil(specimen.cell[2] / slice_thickness)
    return max(1, int((height * window.pixel - window.extent) / scan.step))


def _grid(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Probe positions (n, 2), row after row."""
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
