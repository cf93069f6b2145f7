"""Strokes of napari's own tools on the layers of grains, taken as edits. No Qt.

On the flat labels a stroke says which grain a position is of, and of no other: the one that was shown there loses it.
On the stack it changes the grain of the plane. What a label that no grain has is painted with becomes a new grain.
"""

from __future__ import annotations

import numpy as np

from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.plugin.layers.grain_planes import Planes


def edits_on_flat(grains: Grains, painted: np.ndarray) -> list[Edit]:
    """The edits that lead from the labels of grains to those that a stroke has left, (scan_y, scan_x).

    Examples
    --------
    >>> grains = Grains.from_masks([[[1, 1, 1, 0]]], ids=[4])
    >>> [(edit.kind, edit.grains, edit.points.tolist()) for edit in edits_on_flat(grains, np.array([[4, 4, 0, 4]]))]
    [('add', (4,), [[0.0, 3.0]]), ('erase', (4,), [[0.0, 2.0]])]
    """
    shown = grains.labels
    moved = np.argwhere(shown != painted)
    was, now = shown[tuple(moved.T)], np.asarray(painted)[tuple(moved.T)]
    gains = [_gain(grains, grain, moved[now == grain]) for grain in _each(now)]
    losses = [_loss(grains, grain, moved[was == grain]) for grain in _each(was)]
    return [*(gain for gain in gains if gain is not None), *losses]


def edits_on_stack(grains: Grains, planes: Planes) -> list[Edit]:
    """The edits that a stroke on a stack comes to, in which each plane is of one grain."""
    edits: list[Edit] = []
    for plane, painted in planes.painted.items():
        grain, mask = int(grains.ids[plane]), grains.mask(plane)
        gain = _gain(grains, grain, np.argwhere((painted != 0) & ~mask))
        edits += [gain] if gain is not None else []
        lost = np.argwhere(mask & (painted == 0))
        edits += [_loss(grains, grain, lost)] if len(lost) else []
    return edits


def _each(labels: np.ndarray) -> list[int]:
    return [int(label) for label in np.unique(labels) if label]


def _gain(grains: Grains, grain: int, points: np.ndarray) -> Edit | None:
    """A grain takes positions, or a new one is made of them; None where it has them all already."""
    row = grains.row_of(grain)
    if row < 0:
        return Edit("new", points=points)
    new = points[~grains.mask(row)[tuple(points.T)]]
    return Edit("add", (grain,), points=new) if len(new) else None


def _loss(grains: Grains, grain: int, points: np.ndarray) -> Edit:
    """A grain loses positions; one that would lose all is deleted."""
    whole = len(points) >= int(grains.areas[grains.row_of(grain)])
    return Edit("delete", (grain,)) if whole else Edit("erase", (grain,), points=points)
