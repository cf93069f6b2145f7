"""The stand-in for the paper's experiment: a twisted nanowire on amorphous carbon, scanned with a real camera's faults.

The wire (`wire`) is taken for silver: its palladium is silver's neighbour in scattering, its gold is the fine core's.
Its crystals diffract kinematically and patterns of crystals one above the other add up (`film`). The `camera` has
descan, an ellipse, hot pixels and a beam stop; 300 kV, 2 mrad and 5 Å a step are those of Bruefach, Ophus & Scott
(2022); what they do not state (dose, camera length, the size of the faults) is chosen here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_stemnmf.errors import DataError
from napari_stemnmf.simulation import diffraction, film
from napari_stemnmf.study.camera import (
    Camera,
    Patterns,
    beam_shift,
    film_patterns,
    hot_places,
    stop_mask,
    stop_shadow,
    stretching,
)
from napari_stemnmf.study.films import ScanGrid
from napari_stemnmf.study.wire import Wire, twisted_wire

SEMIANGLE = 2e-3
"""Semi-convergence angle, rad."""
Q_SPAN = 4.32
"""What the detector spans from edge to edge, 1/Å: on 432 px a disk has a radius of 10 px."""
BLUR = 1.5
"""Standard deviation of probe and source together, in scan positions."""
DOSE = 1e6
"""Electrons a pattern: some 3 pA for the 0.05 s of the paper. On the first ring of the support a pixel counts two."""
REFERENCE = 432
"""Detector of which the following are given, px."""
DESCAN = ((9.0, -2.0), (-5.0, 4.0))
"""Shift of the pattern over the whole scan, px at REFERENCE: rows q_y, q_x, columns scan_y, scan_x."""
ELLIPSE_RATIO = 1.02
ELLIPSE_ANGLE = 35.0
"""Direction of the long axis, degrees from q_x towards q_y."""
TRANSMISSION = 1e-4
"""Of the beam stop: the direct beam hardly glows through."""
HOT_PIXELS = 48
"""At REFERENCE."""
HOT_COUNTS = (3.0, 300.0)
"""What the weakest and the strongest hot pixel count too much in each pattern."""
TRUE_SIZE = 10
"""Crystals thicker than `film.TRUE_THICKNESS` on fewer probe positions are no true grains:
the paper leaves such regions out."""
RINGS = ((0.48, 0.08, 1.5), (0.85, 0.10, 1.2))
"""Where the structure factor of amorphous carbon has peaks, their standard deviation, 1/Å, and their height."""
HOLE = (0.3, 0.75)
"""It falls towards q = 0, within so many 1/Å, by this share: neighbouring atoms keep a distance."""
LEAST_SHARE = 1e-7
"""Disks with a smaller share of the beam are not drawn."""


@dataclass(frozen=True, eq=False)
class Nanowire:
    """A scan of the wire, drawn row by row."""

    wire: Wire  # its crystals, on the scan
    true: np.ndarray  # (t,) int: which of them are true grains
    patterns: Patterns  # shares of the incident electrons, without stop and hot pixels
    transmission: np.ndarray  # (q_y, q_x), of the beam stop
    hot_pixels: np.ndarray  # (h, 2) int32: rows and columns
    hot_counts: np.ndarray  # (h,): what they count too much in each pattern
    dose: float  # electrons a pattern

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(scan_y, scan_x, q_y, q_x)"""
        return (*self.patterns.scan_shape, *self.transmission.shape)

    def row(self, row: int) -> np.ndarray:
        """One scan row, (scan_x, q_y, q_x) float32: expected shares of the dose in each pixel, hot pixels included."""
        expected = self.patterns.row(row)
        expected *= self.transmission
        expected[:, self.hot_pixels[:, 0], self.hot_pixels[:, 1]] += self.hot_counts / self.dose
        return expected.astype(np.float32)

    def truth(self) -> dict[str, tuple[np.ndarray, str]]:
        """What is to be found, by name: the values and what they are."""
        wire, true = self.wire, self.true
        thickness = wire.thickness[true]
        small = np.delete(wire.thickness, true, axis=0).sum(axis=0)
        centers = self.patterns.center.reshape(*self.patterns.scan_shape, 2)
        descan = np.array(DESCAN) * (self.patterns.camera.detector / REFERENCE)
        labels = f"thickness > {film.TRUE_THICKNESS:g} A (grain, scan_y, scan_x), unblurred; grains overlap"
        axes, few = "lab x along scan_x, y along scan_y, z the beam", f"fewer than {TRUE_SIZE} positions"
        return {
            "labels": (thickness > film.TRUE_THICKNESS, labels),
            "thickness": (thickness, "of each grain along the beam, A"),
            "orientations": (wire.orientations[true], f"v_lab = R @ v_crystal; {axes}"),
            "centers": (wire.centers[true], "(x, y, z) of each grain on the scan, A"),
            "core": (wire.core[true], "whether a grain is a piece of a strand's core, not a crystal of its shell"),
            "strands": (wire.strands[true], "0 or 1: the strand that a grain belongs to"),
            "small_thickness": (small, f"(scan_y, scan_x) of all crystals on {few}, along the beam, A"),
            "distortions/center": (centers, "(scan_y, scan_x, 2): (q_y, q_x) of the direct beam, px"),
            "distortions/descan": (descan, "shift over the whole scan, px: rows q_y, q_x, columns scan_y, scan_x"),
            "distortions/ellipse_ratio": (np.array(ELLIPSE_RATIO), "a / b"),
            "distortions/ellipse_angle": (np.array(ELLIPSE_ANGLE), "direction of a, degrees from q_x towards q_y"),
            "distortions/hot_pixels": (self.hot_pixels, "(row, column)"),
            "distortions/hot_counts": (self.hot_counts, "what each hot pixel counts too much in every pattern"),
            "distortions/mask": (stop_mask(self.transmission), "(q_y, q_x), True = keep: all but the beam stop"),
        }

    @property
    def calibration(self) -> dict[str, Any]:
        """The attributes that make the file calibrated."""
        center = self.patterns.center.mean(axis=0)
        return {
            "Q_pixel_size_invA": self.patterns.camera.q_step,
            "R_pixel_size_A": film.SCAN_STEP,
            "center_px": (float(center[0]), float(center[1])),
            "probe_radius_px": self.patterns.camera.radius,
            "energy_eV": film.ENERGY,
            "semiangle_rad": SEMIANGLE,
            "source_blur_sigma_px": BLUR,
            "engine": "kinematic",
        }


def nanowire(
    seed: int = 0, scan_shape: tuple[int, int] = (220, 50), detector: int = REFERENCE, dose: float = DOSE
) -> Nanowire:
    """A scan of a twisted nanowire; the same arguments give the same one.

    Parameters
    ----------
    seed : int
        Of the wire and the camera's faults; the wire does not depend on the detector or the dose.
    scan_shape : tuple of int
        Rows, along the wire, and columns; 5 Å a step.
    detector : int
        Rows and columns of the detector, which spans 4.32 1/Å whatever their number.
    dose : float
        Electrons a pattern.

    Raises
    ------
    DataError
        If the scan or the detector is too small for the wire and its disks, or the dose is not positive.
    """
    scan_shape = (int(scan_shape[0]), int(scan_shape[1]))
    if min(scan_shape) < 20 or detector < 96:
        raise DataError(
            f"A nanowire needs at least 20 x 20 positions and 96 x 96 pixels, "
            f"not {scan_shape[0]} x {scan_shape[1]} and {detector} x {detector}."
        )
    if not 0 < dose <= 1e8:
        raise DataError(f"The dose of a nanowire must lie between 0 and 1e8 electrons a pattern, not {dose:g}.")
    wire_chance, place_chance, hot_chance, stop_chance = (
        np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)
    )
    margin = int(np.ceil(4 * BLUR))
    wire = twisted_wire(ScanGrid(scan_shape), wire_chance, margin)
    q_step, scale = Q_SPAN / detector, detector / REFERENCE
    camera = Camera(detector, q_step, SEMIANGLE / diffraction.wavelength(film.ENERGY) / q_step)
    middle = (detector - 1) / 2 + place_chance.uniform(-6, 6, 2) * scale
    center = middle + beam_shift(scan_shape, np.array(DESCAN) * scale)
    stretch = stretching(ELLIPSE_RATIO, ELLIPSE_ANGLE)
    patterns = film_patterns(
        _film(wire, margin), camera, center, stretch, dose=1.0, scattering=diffuse_scattering, least=LEAST_SHARE
    )
    hot = hot_places(camera, patterns.center, max(4, round(HOT_PIXELS * scale**2)), hot_chance)
    weakest, strongest = HOT_COUNTS
    counts = weakest * (strongest / weakest) ** hot_chance.uniform(size=len(hot))
    on_scan = slice(margin, -margin)
    inner = replace(wire, thickness=wire.thickness[:, on_scan, on_scan])
    true = np.flatnonzero((inner.thickness > film.TRUE_THICKNESS).sum(axis=(1, 2)) >= TRUE_SIZE)
    stop = stop_shadow(camera, patterns.center, stop_chance, TRANSMISSION)
    return Nanowire(inner, true, patterns, stop, hot, counts, float(dose))


def diffuse_scattering(q: np.ndarray, q_step: float) -> tuple[np.ndarray, np.ndarray]:
    """As `film.diffuse_scattering`, but with the rings of amorphous carbon."""
    support, thermal = film.diffuse_scattering(q, q_step)
    return support * structure_factor(q), thermal


def structure_factor(q: np.ndarray) -> np.ndarray:
    """S(q) of amorphous carbon at q in 1/Å: how much more it scatters than as many atoms anywhere."""
    reach, depth = HOLE
    rings = sum(height * np.exp(-0.5 * ((q - at) / width) ** 2) for at, width, height in RINGS)
    return np.asarray(1 - depth * np.exp(-0.5 * (q / reach) ** 2) + rings)


def _film(wire: Wire, margin: int) -> film.Film:
    """The wire's crystals as a film."""
    reflections = diffraction.reflections(diffraction.fcc("Ag"), Q_SPAN / 2 * np.sqrt(2) + 0.2)
    beams = [diffraction.diffracted_beams(reflections, rotation, film.ENERGY) for rotation in wire.orientations]
    depth = [np.asarray(thickness, np.float64) for thickness in wire.thickness]
    return film.Film(depth, list(wire.orientations), beams, margin, BLUR)
