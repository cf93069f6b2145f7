"""The choice of the array of a file that is the scan, and the error messages where there is none.

The readers of container formats (HDF5, Zarr, npz) list what a file holds as `Candidate` objects.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf import units
from napari_stemnmf.dataset import Dataset, wrong_scan_shape
from napari_stemnmf.errors import ReadError, ScanShapeError
from napari_stemnmf.reading.blocks import Blocks, Frames, ScanOfFrames
from napari_stemnmf.units import Scaling

CLEARLY_LARGER = 8  # a scan so many times larger than the next one is chosen without asking
Named = typing.TypeVar("Named", bound=Any)  # has a name, as a `Candidate`
FOUR_AXES = "a 4D-STEM scan has four axes (scan_y, scan_x, q_y, q_x)"


@dataclass(frozen=True)
class Candidate:
    """An array in a file.

    Attributes
    ----------
    name : str
        Its path within the file.
    shape, dtype : tuple of int, numpy.dtype
        As stored.
    blocks : callable
        Given the axes of the array that are scan_y, scan_x, q_y, q_x: a `Blocks`. Given those that count patterns and
        are q_y, q_x: a `Frames`.
    scalings : tuple, optional
        Calibration of each stored axis, as in the file.
    scan_shape : tuple of int, optional
        For a stack: rows and columns of the scan, where the file gives them.
    scan_scalings : tuple, optional
        For a stack: calibration of the two axes of the scan.
    frame_axis : int
        For a stack: the axis that counts patterns.
    preferred : bool
        Whether the file itself points to it.
    patterns : bool
        Whether the format holds nothing but patterns, so that a stack needs no further check.
    load : callable, optional
        Gives the whole array; for masks.
    metadata : dict, optional
        What else is known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[tuple[int, ...]], Blocks | Frames]
    scalings: tuple[Scaling | None, ...] = ()
    scan_shape: tuple[int, int] | None = None
    scan_scalings: tuple[Scaling | None, Scaling | None] = (None, None)
    frame_axis: int = 0
    preferred: bool = False
    patterns: bool = False
    load: Callable[[], np.ndarray] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def order(self) -> tuple[int, ...]:
        """The axes without those of length one beyond four, as scan_y, scan_x, q_y, q_x; or pattern, q_y, q_x."""
        axes = list(range(len(self.shape)))
        for axis in reversed(axes[:-2]):
            if len(axes) > 4 and self.shape[axis] == 1:
                axes.remove(axis)
        if len(axes) == 3:
            frame = axes.pop(self.frame_axis)
            return (frame, *axes)
        if len(axes) == 4 and self.scalings:
            return _scan_first(axes, self.scalings)
        return tuple(axes)

    @property
    def role(self) -> str:
        """``scan``, ``stack``, or ``""`` for what holds no patterns."""
        order, numeric = self.order, self.dtype.kind in "uifb"
        sides = [self.shape[axis] for axis in order[-2:]]
        if not numeric or len(order) not in (3, 4) or min(sides) < 2 or 0 in self.shape:
            return ""
        return "scan" if len(order) == 4 else "stack"

    @property
    def label(self) -> str:
        """Name and shape, for messages."""
        return f"{self.name} ({times(self.shape)})"


def open_chosen(
    candidates: Sequence[Candidate],
    path: Path,
    *,
    dataset: str | None,
    scan_shape: tuple[int, int] | None,
    metadata: Callable[[Candidate], dict[str, Any]],
) -> Dataset:
    """The dataset of the candidate that `choose` gives; its source names the array where the file holds several."""
    candidate = choose(candidates, path.name, dataset, scan_shape)
    several = dataset is not None or sum(c.role == candidate.role for c in candidates) > 1
    source = f"{path}::{candidate.name.strip('/')}" if several else str(path)
    return open_candidate(candidate, path, source=source, scan_shape=scan_shape, metadata=metadata(candidate))


def choose(candidates: Sequence[Candidate], file: str, dataset: str | None, scan_shape: Any) -> Candidate:
    """The candidate that is named, or the only one that can be the scan.

    A ReadError if `dataset` names none, several could be meant, or none holds patterns.
    """
    if dataset is not None:
        return _named(candidates, file, dataset)
    for role in ("scan", "stack"):
        found = [c for c in candidates if c.role == role and (role == "scan" or scan_shape or pattern_like(c))]
        if role == "stack" and scan_shape:
            found = [c for c in found if c.shape[c.order[0]] == scan_shape[0] * scan_shape[1]] or found
        if found:
            return _clear(found, file)
    raise ReadError(f"{file} holds {what_it_is(candidates)}")


def open_candidate(
    candidate: Candidate, path: Path, *, source: str, scan_shape: tuple[int, int] | None, metadata: dict[str, Any]
) -> Dataset:
    """The dataset that a candidate holds; a ReadError if it holds no patterns.

    A ScanShapeError if it is a stack without a scan shape, or `scan_shape` does not fit.
    """
    order, metadata = candidate.order, {**metadata, **(candidate.metadata or {})}
    scalings = [candidate.scalings[axis] if candidate.scalings else None for axis in order]
    stack = candidate.role == "stack" and bool(scan_shape or candidate.scan_shape or pattern_like(candidate))
    if not stack and candidate.role != "scan":
        raise ReadError(f"{path.name} holds {what_it_is([candidate])}")
    if stack:
        count, frame = candidate.shape[order[0]], tuple(candidate.shape[axis] for axis in order[1:])
        scan_shape = scan_shape or candidate.scan_shape
        if scan_shape is None:
            raise needs_scan_shape(path.name, count, frame)
        scan: Blocks = ScanOfFrames(typing.cast(Frames, candidate.blocks(order)), scan_shape)
        scalings = [*candidate.scan_scalings, *scalings[1:]]
    else:
        scan = typing.cast(Blocks, candidate.blocks(order))
    data = scan.to_dask()
    if scan_shape is not None and scan_shape != data.shape[:2]:
        if math.prod(scan_shape) != math.prod(data.shape[:2]):
            raise wrong_scan_shape(path.name, scan_shape, math.prod(data.shape[:2]))
        data = data.reshape(*scan_shape, *data.shape[2:]).rechunk({2: -1, 3: -1})
    return Dataset(data, units.axes(data.shape, scalings), stem(path), source, metadata)


def needs_scan_shape(name: str, count: int, frame: tuple[int, ...]) -> ScanShapeError:
    """The error for a stack of patterns of unknown scan shape."""
    return ScanShapeError(
        f"{name} is a stack of {count} patterns of {times(frame)}; give its scan shape (rows, columns), "
        f"as in scan_shape=({_example(count)}), to open it as a scan."
    )


def what_it_is(candidates: Sequence[Candidate]) -> str:
    """The end of the sentence ``FILE holds ...`` for a file without patterns: what it is and what would work."""
    if not candidates:
        return f"no array; {FOUR_AXES}."
    largest = max(candidates, key=lambda c: (len(c.shape) > 1, math.prod(c.shape)))
    shape, kind = largest.shape, largest.dtype.kind
    if 0 in shape:
        return f"an empty array {largest.label}; nothing was written to it."
    if kind == "O":
        return (
            f"lists of varying length at {times(shape)} positions (a peak list), not patterns; "
            "open the file that the peaks were found in."
        )
    if kind == "b" and len(shape) in (2, 3):
        masks = "a mask" if len(shape) == 2 else f"{shape[0]} masks"
        return f"{masks} of {times(shape[-2:])} (labels), not patterns; open the scan that they belong to."
    if kind not in "uifb":
        return f"{largest.label}, which are no intensities ({largest.dtype}); {FOUR_AXES} of real numbers."
    if len(shape) == 2 or (len(shape) == 3 and 1 in shape):
        return f"a 2-D image of {times(n for n in shape if n > 1)} pixels, not a scan; {FOUR_AXES}."
    if len(shape) == 3 and shape[-1] <= 4:
        return (
            f"a map of {times(shape[:2])} positions with {shape[-1]} values each (orientations or colours), "
            "not patterns; open the scan that it belongs to."
        )
    if len(shape) == 3:
        return f"spectra ({times(shape)}), not patterns; {FOUR_AXES}."
    return f"{largest.label}, an array of {len(shape)} {'axis' if len(shape) == 1 else 'axes'}; {FOUR_AXES}."


def pattern_like(candidate: Candidate) -> bool:
    """Whether the planes of a stack can be patterns: no masks, colours, orientations or spectra."""
    if candidate.patterns:
        return True
    sides = [candidate.shape[axis] for axis in candidate.order[-2:]]
    several = candidate.shape[candidate.order[0]] > 1 or candidate.scan_shape is not None
    return candidate.dtype.kind != "b" and several and sides[-1] > 4 and max(sides) <= 16 * min(sides)


def named(candidates: Sequence[Named], dataset: str) -> list[Named]:
    """The candidates of a name; of a name that is the end of theirs, where there is none."""
    name = dataset.strip("/")
    return [c for c in candidates if c.name.strip("/") == name] or [
        c for c in candidates if c.name.endswith("/" + name)
    ]


def times(shape: Any) -> str:
    """A shape as people write it: ``100 x 100 x 126 x 126``."""
    return " x ".join(str(int(n)) for n in shape)


def stem(path: Path) -> str:
    """A file's name without its endings, for titles and layers."""
    name = path.name.split("::")[0]
    while Path(name).suffix and not Path(name).suffix[1:].isdigit() and len(Path(name).suffix) <= 6:
        name = Path(name).stem
    return name or path.name


def _named(candidates: Sequence[Candidate], file: str, dataset: str) -> Candidate:
    name = dataset.strip("/")
    found = named(candidates, dataset)
    found = found or [c for c in candidates if c.name.strip("/").startswith(name + "/") and c.role == "scan"]
    if len(found) == 1:
        return replace(found[0], preferred=True)
    if found:
        raise ReadError(f"{file} holds several datasets '{dataset}': {_listed(found)}; name one of them in full.")
    held = f"it holds {_listed(candidates)}" if candidates else "it holds no array"
    raise ReadError(f"{file} holds no dataset '{dataset}'; {held}.")


def _clear(found: Sequence[Candidate], file: str) -> Candidate:
    """The only one, the one that the file points to, or the one that is much larger than the others."""
    preferred = [c for c in found if c.preferred]
    for group in (found, preferred):
        if len(group) == 1:
            return group[0]
    found = sorted(found, key=lambda c: math.prod(c.shape), reverse=True)
    if math.prod(found[0].shape) >= CLEARLY_LARGER * math.prod(found[1].shape):
        return found[0]
    raise ReadError(
        f"{file} holds several {'scans' if found[0].role == 'scan' else 'stacks'}: {_listed(found)}; "
        f"name the one to open, as in {file}::{found[0].name.strip('/')}."
    )


def _listed(candidates: Sequence[Candidate], most: int = 8) -> str:
    more = f" and {len(candidates) - most} more" if len(candidates) > most else ""
    return ", ".join(c.label for c in candidates[:most]) + more


def _scan_first(axes: list[int], scalings: tuple[Scaling | None, ...]) -> tuple[int, ...]:
    """The axes as scan_y, scan_x, q_y, q_x: as stored, unless names and units say that the detector comes first."""
    kinds = [units.kind(scalings[axis]) for axis in axes]
    if kinds[:2] != ["q", "q"] or "q" in kinds[2:]:
        return tuple(axes)
    pairs = [axes[2:], axes[:2]]
    for pair in pairs:
        letters = [(scalings[axis] or Scaling()).name.strip().lower()[-1:] for axis in pair]
        if letters == ["x", "y"]:
            pair.reverse()
    return (*pairs[0], *pairs[1])


def _example(count: int) -> str:
    """The squarest scan shape that a number of patterns allows."""
    rows = next(n for n in range(math.isqrt(count) or 1, 0, -1) if count % n == 0)
    return f"{rows}, {count // rows}"
