"""A scan of some spots' dark fields with known grains, for the tests of blur, outlines and likelihood."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.features.features import Features

BEAM = 1e5


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(rows - y, columns - x) <= radius)


def scan_of(
    truth: list[np.ndarray], blur: float, *, spots: int = 6, counts: float = 4e3, seed: int = 0
) -> tuple[Features, Groups]:
    """Dark fields of so many spots of each grain, blurred over the scan, with counting noise; and their groups."""
    chance = np.random.default_rng(seed)
    shape = truth[0].shape
    values, sigma, detected, at, own = [], [], [], [], []
    for grain, mask in enumerate(truth):
        sharp = mask.astype(float)
        expected = ndimage.gaussian_filter(sharp, blur, mode="nearest") if blur else sharp
        near = ndimage.binary_dilation(expected > 0.02, iterations=3)
        for spot in range(spots):
            mean = counts * (1 - 0.1 * spot) * expected[near] + 20
            values.append(chance.poisson(mean) - 20.0)
            sigma.append(np.sqrt(mean))
            detected.append(mean > 200)
            at.append(np.flatnonzero(near))
            own.append(grain)
    ends = np.cumsum([0, *map(len, at)])
    fields, errors, seen = (
        csr_array((np.concatenate(v).astype(np.float32), np.concatenate(at), ends), shape=(len(own), mask.size))
        for v in (values, sigma, detected)
    )
    turn = np.linspace(0, 2 * np.pi, len(own), endpoint=False)
    columns = {"q_y": 30 * np.sin(turn), "q_x": 30 * np.cos(turn)}
    by_position = fields.T.tocsr()
    details = {
        "sigma": errors.T.tocsr().data,
        "detected": seen.T.tocsr().data > 0,
        "beam": BEAM,
        "probe_radius": 3.0,
    }
    features = Features("vdf", by_position, columns, (), shape, details)
    peak, snr = fields.max(axis=1).toarray().ravel(), (fields.multiply(errors.power(-1))).max(axis=1).toarray().ravel()
    maps = csr_array((len(truth), mask.size), dtype=np.float32)
    nothing = np.zeros(len(own), np.float32)
    brightness = peak / np.float32(BEAM)
    return features, Groups(np.array(own), np.zeros(len(own), int), maps, brightness, snr, nothing, shape)
