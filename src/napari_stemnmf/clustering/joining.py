"""Components of windows that overlap become those of the scan.

Two of neighbouring windows are one where their rows of H are alike, and so are their maps in what the windows share. A
component that no other window has stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, sparray

from napari_stemnmf.clustering.crops import Crop, row, stacked
from napari_stemnmf.clustering.windows import Window

ALIKE_MAPS, ALIKE_ROWS = 0.5, 0.75
"""Pearson's r of two maps over what their windows share, and cosine of their rows of H, from which they may be one."""
SEEN = 0.3
"""Share of its highest value that a map must reach in what two windows share to be compared there."""


@dataclass(frozen=True, eq=False)
class Joined:
    """Components of a scan.

    Attributes
    ----------
    W : (n, k) csr_array of float32
        Weights: in what windows share, the mean of those that have the component, each less towards its border.
    H : (k, m') float32, an array or a csr_array
        Mean of the rows of those that were joined, by their summed weights; of unit length.
    boxes : (k, 4) int64
        The window around those that each was joined from: first row, row after the last, columns likewise.
    """

    W: csr_array
    H: np.ndarray | csr_array
    boxes: np.ndarray


def joined(
    windows: Sequence[Window],
    maps: Sequence[np.ndarray],
    H: np.ndarray | csr_array,
    scan_shape: tuple[int, int],
) -> Joined:
    """Join the components of windows.

    Parameters
    ----------
    windows : sequence of Window
    maps : sequence of (k of the window, rows, columns) float32
        The component maps of each window.
    H : (k of all, m') array or csr_array
        Their rows of unit length, in the order of the windows.
    scan_shape : tuple of int
    """
    groups = _groups(len(H) if isinstance(H, np.ndarray) else H.shape[0], windows, maps, H)
    first = np.cumsum([0, *map(len, maps)])
    entries, boxes, rows, share = [], [], [], []
    for group in groups:
        members = [(int(np.searchsorted(first, i, "right")) - 1, i) for i in group]
        box = windows[members[0][0]]
        for w, _ in members[1:]:
            box = box.around(windows[w])
        total, weight = np.zeros(box.shape, np.float32), np.zeros(box.shape, np.float32)
        masses = []
        for w, i in members:
            values, at = maps[w][i - first[w]], windows[w].within(box)
            fading = _fading(windows[w], scan_shape) if len(members) > 1 else np.float32(1)
            total[at] += fading * values
            weight[at] += fading
            masses.append(float(values.sum(dtype=np.float64)))
        values = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
        entries.append((Crop(box.top, box.left, values).positions(values > 0, scan_shape[1]), values[values > 0]))
        boxes.append(box)
        rows += group
        share += (np.array(masses) / max(sum(masses), 1e-30)).tolist()
    counts = list(map(len, groups))
    of_group = np.repeat(np.arange(len(groups)), counts)
    mean = csr_array((np.array(share, np.float32), (of_group, rows)), shape=(len(groups), int(first[-1]))) @ H
    W = stacked(entries, (len(groups), scan_shape[0] * scan_shape[1])).T.tocsr()
    return Joined(W, _unit(mean), np.array(boxes, np.int64).reshape(-1, 4))


def crops_of(W: np.ndarray | csr_array, boxes: np.ndarray, scan_shape: tuple[int, int]) -> list[Crop]:
    """The maps (n, k) in their boxes (k, 4), or whole where there are none."""
    if not isinstance(W, sparray):
        return [Crop(0, 0, values) for values in np.ascontiguousarray(W.T).reshape(-1, *scan_shape)]
    by_component, found = csr_array(W.T), []
    for i, box in enumerate(Window(*box) for box in boxes.tolist()):
        at, stored = row(by_component, i)
        y, x = np.divmod(at, scan_shape[1])
        values = np.zeros(box.shape, np.float32)
        values[y - box.top, x - box.left] = stored
        found.append(Crop(box.top, box.left, values))
    return found


def _groups(
    count: int,
    windows: Sequence[Window],
    maps: Sequence[np.ndarray],
    H: np.ndarray | csr_array,
) -> list[list[int]]:
    """Components that are one, each group with one of a window at most; in the order of their first."""
    first = np.cumsum([0, *map(len, maps)])
    found: list[tuple[float, int, int]] = []
    for a in range(len(windows)):
        for b in range(a + 1, len(windows)):
            both = windows[a].shared(windows[b])
            if both is None or not len(maps[a]) or not len(maps[b]):
                continue
            one, other = (_Part(windows[w], maps[w], H[first[w] : first[w + 1]]) for w in (a, b))
            score = _likeness(one, other, both)
            found += [(score[i, j], first[a] + i, first[b] + j) for i, j in np.argwhere(score > 0).tolist()]
    group = np.arange(count)
    window = np.repeat(np.arange(len(windows)), np.diff(first))
    members = {i: [i] for i in range(count)}
    for _, i, j in sorted(found, key=lambda pair: (-pair[0], pair[1], pair[2])):
        low, high = sorted((int(group[i]), int(group[j])))
        if low == high or set(window[members[low]]) & set(window[members[high]]):
            continue
        group[members[high]] = low
        members[low] += members.pop(high)
    return [sorted(own) for _, own in sorted(members.items())]


class _Part(NamedTuple):
    """The components of a window."""

    window: Window
    maps: np.ndarray
    H: np.ndarray | csr_array


def _likeness(one: _Part, other: _Part, both: Window) -> np.ndarray:
    """Of each pair of components, r of their maps times the cosine of their rows; 0 where they are not one."""
    parts, seen = [], []
    for window, maps, _rows in (one, other):
        part = maps[(slice(None), *both.within(window))].reshape(len(maps), -1).astype(np.float64)
        seen.append(part.max(axis=1) >= SEEN * np.maximum(maps.reshape(len(maps), -1).max(axis=1), 1e-30))
        part -= part.mean(axis=1, keepdims=True)
        length = np.linalg.norm(part, axis=1, keepdims=True)
        parts.append(np.divide(part, length, out=np.zeros_like(part), where=length > 0))
    r = parts[0] @ parts[1].T
    cosine = one.H @ other.H.T
    cosine = cosine.toarray() if isinstance(cosine, sparray) else cosine
    alike = (r >= ALIKE_MAPS) & (cosine >= ALIKE_ROWS) & seen[0][:, None] & seen[1]
    return np.where(alike, r * cosine, 0.0)


def _fading(window: Window, scan_shape: tuple[int, int]) -> np.ndarray:
    """How much a window counts at its positions: less towards those of its borders where the scan goes on."""

    def along(first: int, end: int, extent: int) -> np.ndarray:
        at = np.arange(first, end)
        before = at - first + 1 if first > 0 else np.full(len(at), end - first)
        after = end - at if end < extent else np.full(len(at), end - first)
        return np.minimum(before, after).astype(np.float32) / (end - first)

    rows, columns = along(window.top, window.bottom, scan_shape[0]), along(window.left, window.right, scan_shape[1])
    return np.asarray(rows[:, None] * columns)


def _unit(rows: np.ndarray | csr_array) -> np.ndarray | csr_array:
    """Rows of unit length."""
    squares = (rows * rows).sum(axis=1)
    length = np.sqrt(np.maximum(np.asarray(squares, np.float64).ravel(), 1e-30))
    if isinstance(rows, sparray):
        rows = csr_array(rows)
        return csr_array(
            ((rows.data / np.repeat(length, np.diff(rows.indptr))).astype(np.float32), rows.indices, rows.indptr),
            shape=rows.shape,
        )
    return (rows / length[:, None]).astype(np.float32)
