"""Footprints: where the dark field of a track is bright, which is where its grain is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from napari_stemnmf.clustering.crops import Crop, places, stacked

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)
FOUR_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)
SMOOTH = 0.7
"""Blur (sigma, positions) of a dark field before its footprint is taken."""
LEVELS, USUAL, SIGNIFICANT = (0.3, 0.4, 0.5, 0.6, 0.7), 1, 3.0
"""A footprint is where the root of a dark field is above so much of its peak, the usual one, or another to compare it
with those of other tracks, and the field above so many sigma."""
CALMER = max(1.0, 2 * SMOOTH * np.sqrt(np.pi))
"""How much less a blurred map scatters."""
DETECTED = 3
"""Detected disks that a piece of a footprint holds at least."""


@dataclass(frozen=True, eq=False)
class Footprints:
    """What the dark fields of tracks look like over the scan.

    Attributes
    ----------
    levels : tuple of csr_array of float32
        (tracks, n) for each of `LEVELS`: 1 where the footprint is.
    amplitude : csr_array of float32
        (tracks, n) root of the smoothed dark field over its peak, within two positions of the footprint.
    peak : ndarray of float32
        (tracks,) brightest of the dark field, counts.
    snr : ndarray of float32
        (tracks,) of its best position.
    """

    levels: tuple[csr_array, ...]
    amplitude: csr_array
    peak: np.ndarray
    snr: np.ndarray

    @property
    def inside(self) -> csr_array:
        """(tracks, n) the footprints at the usual level."""
        return self.levels[USUAL]


def footprints(fields: csr_array, sigma: csr_array, seen: csr_array, scan_shape: tuple[int, int]) -> Footprints:
    """The footprint of each dark field.

    Parameters
    ----------
    fields, sigma : csr_array
        (tracks, n) dark fields and their standard errors, counts, with the same stored places.
    seen : csr_array
        (tracks, n) where a disk of the track was detected.
    scan_shape : tuple of int
    """
    columns = scan_shape[1]
    index = fields.indices.dtype
    peak, snr = [], []
    amplitude: list[tuple[np.ndarray, np.ndarray]] = []
    inside: list[list[np.ndarray]] = [[] for _ in LEVELS]
    for t in range(fields.shape[0]):
        own = slice(fields.indptr[t], fields.indptr[t + 1])
        at, value, error = fields.indices[own], fields.data[own], np.minimum(sigma.data[own], 1e30)
        known = Crop.of(at, np.ones(len(at), bool), columns, 2)
        smooth = np.maximum(ndimage.gaussian_filter(Crop.of(at, value, columns, 2).values, SMOOTH), 0)
        spread = ndimage.gaussian_filter(Crop.of(at, error, columns, 2).values, SMOOTH) / CALMER
        peak.append(value.max(initial=0))
        snr.append((value / np.maximum(error, 1e-6)).max(initial=0))
        highest = smooth.max(initial=0)
        if not highest > 0:
            for rows in inside:
                rows.append(np.empty(0, index))
            amplitude.append((np.empty(0, index), np.empty(0, np.float32)))
            continue
        root = np.sqrt(smooth / highest)
        clear = (smooth > SIGNIFICANT * spread) & known.values
        masks = [_pieces((root > level) & clear, known, seen, t, columns) for level in LEVELS]
        for rows, mask in zip(inside, masks, strict=True):
            rows.append(known.positions(mask, columns).astype(index))
        near = ndimage.binary_dilation(masks[USUAL], iterations=2) & known.values & (root > 0)
        amplitude.append((known.positions(near, columns).astype(index), root[near]))
    shape = fields.shape
    return Footprints(
        tuple(places(inside.pop(0), shape) for _ in LEVELS),
        stacked(amplitude, shape),
        np.array(peak, np.float32),
        np.array(snr, np.float32),
    )


def _pieces(mask: np.ndarray, crop: Crop, seen: csr_array, t: int, columns: int) -> np.ndarray:
    """The pieces of a mask that hold enough detected disks, their holes filled."""
    labels, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    y, x = np.divmod(seen.indices[seen.indptr[t] : seen.indptr[t + 1]], columns)
    disks = np.bincount(labels[y - crop.top, x - crop.left], minlength=count + 1)
    disks[0] = 0
    return np.asarray(crop.values & ndimage.binary_fill_holes((disks >= DETECTED)[labels]))


def grown(parts: csr_array, steps: int, scan_shape: tuple[int, int]) -> csr_array:
    """The places of each row (rows, n), widened by so many positions."""
    rows, columns = scan_shape
    found = []
    for t in range(parts.shape[0]):
        at = parts.indices[parts.indptr[t] : parts.indptr[t + 1]]
        if len(at):
            crop = Crop.of(at, np.ones(len(at), bool), columns, steps)
            y, x = np.nonzero(ndimage.binary_dilation(crop.values, FOUR_NEIGHBOURS, iterations=steps))
            y, x = y + crop.top, x + crop.left
            inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
            at = y[inside] * columns + x[inside]
        found.append(at.astype(parts.indices.dtype))
    return places(found, parts.shape)


def masks_of(maps: csr_array, level: float, scan_shape: tuple[int, int]) -> csr_array:
    """Where each map (rows, n) is above a share of its highest value: the largest piece, holes filled."""
    found = []
    for t in range(maps.shape[0]):
        own = slice(maps.indptr[t], maps.indptr[t + 1])
        crop = Crop.of(maps.indices[own], maps.data[own], scan_shape[1])
        labels, count = ndimage.label(crop.values > level * crop.values.max(), EIGHT_NEIGHBOURS)
        if count > 1:
            labels = labels == np.bincount(labels.ravel())[1:].argmax() + 1
        mask = ndimage.binary_fill_holes(labels > 0)
        found.append(crop.positions(mask, scan_shape[1]))
    return places(found, maps.shape)
