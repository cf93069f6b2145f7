"""What NeXus files say of their arrays: which is the signal of an NXdata group, and what its axes are.

The present conventions (attributes ``signal``, ``axes``, ``AXISNAME_indices`` of the group, ``default`` from the root
down) and those before them: ``signal=1`` and ``axes="y:x:ky:kx"`` of the dataset, ``axis=1`` of a vector. Signal and
axes may be links to where the detector's group keeps them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_stemnmf.files.hdf5_probe import MOST_OBJECTS
from napari_stemnmf.reading.hdf5_access import identity, is_group, member
from napari_stemnmf.reading.vectors import number, number_list, scaling_of, text
from napari_stemnmf.units import Scaling

DEEPEST = 8
"""Groups within groups that are searched, at most."""


@dataclass(frozen=True)
class Signal:
    """The signal of an NXdata group.

    Attributes
    ----------
    scalings : tuple
        Calibration of each of its axes, None where the file names no vector for it.
    preferred : bool
        Whether the file points to it, among its signals.
    """

    scalings: tuple[Scaling | None, ...]
    preferred: bool


def signals(file: Any) -> dict[Any, Signal]:
    """The signals of a file's NXdata groups, by `identity` of their dataset; by path where it lies in another file."""
    default = _default(file)
    found: dict[Any, Signal] = {}
    for group in _data_groups(file):
        name = _signal_name(group)
        if name is None:
            continue
        preferred = default is None or group == default
        node = member(group, name)
        if hasattr(node, "shape"):
            key, names = identity(node), _axis_names(group, node.attrs.get("axes"))
            made = tuple(_scaling(group, names, i, size) for i, size in enumerate(node.shape))
        else:
            key, names = f"{group.name.rstrip('/')}/{name}", _axis_names(group, None)
            made = tuple(_scaling(group, names, i, None) for i in range(len(names)))
        if key not in found or preferred:
            found[key] = Signal(made, preferred)
    return found


def _data_groups(file: Any) -> Iterator[Any]:
    """The groups of a file that are NXdata or name a signal, by hard links, each once."""
    seen: set[Any] = set()
    stack = [(file, 0)]
    while stack and len(seen) < MOST_OBJECTS:
        group, depth = stack.pop()
        if identity(group) in seen:
            continue
        seen.add(identity(group))
        if text(group.attrs.get("NX_class")) == "NXdata" or "signal" in group.attrs:
            yield group
        if depth < DEEPEST:
            stack += [(group[name], depth + 1) for name in reversed(list(group)) if is_group(group, name)]


def _default(file: Any) -> Any:
    """The group that the file's chain of defaults leads to, or None."""
    group = file
    for _ in range(DEEPEST):
        name = text(group.attrs.get("default"))
        below = member(group, name) if name else None
        if below is None or hasattr(below, "shape"):
            break
        group = below
    return None if group == file else group


def _signal_name(group: Any) -> str | None:
    """The signal of a group: where it names none, the dataset that is marked by itself, or is called ``data``."""
    name = text(group.attrs.get("signal"))
    if name:
        return posixpath.normpath(name)
    for key in group:
        node = member(group, key)
        if hasattr(node, "shape") and (number(node.attrs.get("signal")) == 1 or text(node.attrs.get("signal")) == "1"):
            return str(key)
    return "data" if "data" in group else None


def _axis_names(group: Any, own: Any) -> list[str]:
    """The vector that each axis of the signal has, ``.`` or empty for none; `own` is what the signal itself says."""
    given = group.attrs.get("axes", own)
    names = [text(name) for name in np.atleast_1d(given)] if given is not None else []
    if len(names) == 1:
        names = [name for name in re.split(r"[:,\s]+", names[0].strip("[] ")) if name]
    by_place = dict(enumerate(names))
    for key in group.attrs:
        places = number_list(group.attrs[key]) if str(key).endswith("_indices") else []
        if len(places) == 1:
            name = str(key).removesuffix("_indices")
            by_place = {i: other for i, other in by_place.items() if other != name} | {int(places[0]): name}
    if not by_place:
        for key in group:
            node = member(group, key)
            place = number(node.attrs.get("axis")) if hasattr(node, "shape") and node.ndim == 1 else None
            if place is not None:
                by_place[int(place) - 1] = str(key)
    return [by_place.get(i, "") for i in range(max(by_place, default=-1) + 1)]


def _scaling(group: Any, names: list[str], place: int, size: int | None) -> Scaling | None:
    name = names[place] if place < len(names) else ""
    vector: Any = member(group, name) if name not in ("", ".") else None
    if size is None:
        size = len(vector) if getattr(vector, "ndim", 0) == 1 else 0
    return scaling_of(vector, name, size)
