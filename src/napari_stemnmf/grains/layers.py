"""Grains that overlap, in layers in which none do: what label images can hold."""

from __future__ import annotations

import numpy as np

from napari_stemnmf.grains.grains import Grains


def layers(grains: Grains) -> np.ndarray:
    """The layer of each grain, (g,) int64 from 0: no two grains of a layer share a position.

    The largest grain comes first, each into the lowest layer that has room for it, so that there are few layers, the
    first of which holds most.
    """
    shared = (grains.flat @ grains.flat.T).tocsr()
    layer = np.full(len(grains), -1, np.int64)
    for index in np.argsort(-grains.areas, kind="stable"):
        others = shared.indices[shared.indptr[index] : shared.indptr[index + 1]]
        taken = set(layer[others].tolist())
        layer[index] = next(n for n in range(len(grains) + 1) if n not in taken)
    return layer


def label_layers(grains: Grains) -> list[np.ndarray]:
    """Label images (scan_y, scan_x) int32, one for each layer: ids of grains, 0 for none."""
    of = layers(grains)
    images = [np.zeros(grains.inside.shape[1], np.int32) for _ in range(int(of.max(initial=-1)) + 1)]
    for index, layer in enumerate(of):
        images[layer][grains.part(index)[0]] = grains.ids[index]
    return [image.reshape(grains.scan_shape) for image in images]
