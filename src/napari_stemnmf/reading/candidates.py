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
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError
from napari_stemnmf.gaps import Gaps, told_missing
from napari_stemnmf.reading.blocks import Blocks, Frames, PartOfFrames, ScanOfFrames
from napari_stemnmf.reading.empad import without_header
from napari_stemnmf.reading.shaping import in_shape
from napari_stemnmf.scan_shape import needs_scan_shape, patterns_of_scan
from napari_stemnmf.units import Scaling

CLEARLY_LARGER = 8  # a scan so many times larger than the next one is chosen without asking
SPECIMEN_NAMES = ("potential", "ppotential", "atomic_potential", "projected_potential", "realslices")
"""Names of arrays that simulations keep of their specimen."""
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
    gaps : callable, optional
        Given some of its axes: where along those something is missing, a bool array; None where all is there.
    remarks : callable, optional
        Given those axes: what is to be told of the parts it is made of, as a sentence; empty for nothing.
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
    gaps: Callable[[Sequence[int]], np.ndarray | None] | None = None
    remarks: Callable[[Sequence[int]], str] | None = None
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
        if len(order) == 4 and sides[1] <= 4 and sides[0] > 16 * sides[1]:
            return ""  # rows of colour pictures
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
    drop: str | int = "last",
    metadata: Callable[[Candidate], dict[str, Any]],
) -> Dataset:
    """The dataset of the candidate that `choose` gives; its source names the array where the file holds several."""
    candidate = choose(candidates, path.name, dataset, scan_shape)
    several = dataset is not None or sum(c.role == candidate.role for c in candidates) > 1
    source = f"{path}::{candidate.name.strip('/')}" if several else str(path)
    return open_candidate(
        candidate, path, source=source, scan_shape=scan_shape, drop=drop, metadata=metadata(candidate)
    )


def choose(candidates: Sequence[Candidate], file: str, dataset: str | None, scan_shape: Any) -> Candidate:
    """The candidate that is named, or the only one that can be the scan.

    A ReadError if `dataset` names none, several could be meant, or none holds patterns.
    """
    if dataset is not None:
        return _named(candidates, file, dataset)
    for role in ("scan", "stack"):
        found = [c for c in candidates if c.role == role and may_be_meant(c, scan_shape)]
        if role == "stack" and scan_shape:
            found = [c for c in found if c.shape[c.order[0]] == scan_shape[0] * scan_shape[1]] or found
        if found:
            return _clear(found, file)
    raise ReadError(f"{file} holds {what_it_is(candidates)}")


def may_be_meant(candidate: Candidate, scan_shape: tuple[int, int] | None) -> bool:
    """Whether an array that nobody named is the scan: no single picture, no stack of images, unless it is asked for."""
    if candidate.role == "scan":
        return candidate.patterns or scan_shape == (1, 1) or not _is_picture(candidate)
    return scan_shape is not None or pattern_like(candidate)


def open_candidate(
    candidate: Candidate,
    path: Path,
    *,
    source: str,
    scan_shape: tuple[int, int] | None,
    drop: str | int = "last",
    metadata: dict[str, Any],
) -> Dataset:
    """The dataset that a candidate holds; a ReadError if it holds no patterns.

    Of a recording with more patterns than the scan has positions, some are left out, as `drop` says; the metadata's
    notes tell of it. A ScanShapeError if it is a stack without a scan shape, or `scan_shape` does not fit.
    """
    order, metadata, told = candidate.order, {**metadata, **(candidate.metadata or {})}, dict[str, Any]()
    scalings = [candidate.scalings[axis] if candidate.scalings else None for axis in order]
    stack = candidate.role == "stack" and bool(scan_shape or candidate.scan_shape or pattern_like(candidate))
    if not stack and candidate.role != "scan":
        raise ReadError(f"{path.name} holds {what_it_is([candidate])}")
    gaps = None if candidate.gaps is None else candidate.gaps(order[:-2])
    if stack:
        count, frame = candidate.shape[order[0]], tuple(candidate.shape[axis] for axis in order[1:])
        scan_shape = scan_shape or candidate.scan_shape
        if scan_shape is None:
            raise needs_scan_shape(path.name, count, frame)
        taken, told = patterns_of_scan(path.name, count, scan_shape, drop)
        frames = typing.cast(Frames, candidate.blocks(order))
        if len(taken) < count:
            frames = PartOfFrames(frames, len(taken), taken.start)
        blocks: Blocks = ScanOfFrames(frames, scan_shape)
        gaps = None if gaps is None else gaps[taken.start : taken.stop].reshape(scan_shape)
        scalings = [*candidate.scan_scalings, *scalings[1:]]
    else:
        if scan_shape is None and not candidate.patterns and _is_picture(candidate):
            raise ReadError(f"{path.name} holds {what_it_is([candidate])}")
        blocks = typing.cast(Blocks, candidate.blocks(order))
    arrays, gaps, more = in_shape(blocks, gaps, path.name, scan_shape, drop)
    told = told or more
    arrays, header = [without_header(each)[0] for each in arrays], without_header(arrays[0])[1]
    lacking = "" if gaps is None else f"Of {path.name}, {told_missing(gaps)}."
    remarks = "" if candidate.remarks is None else candidate.remarks(order[:-2])
    if notes := [part for part in (metadata.get("notes"), told.get("notes"), header, lacking, remarks) if part]:
        told["notes"] = "\n".join(notes)
    return Dataset(
        arrays[0],
        units.axes(arrays[0].shape, scalings),
        stem(path),
        source,
        {**metadata, **told},
        gaps=None if gaps is None else Gaps(gaps, arrays[1]),
    )


def _is_real_space(candidate: Candidate) -> bool:
    """Whether a name or unit says that the last two axes are places in the specimen, as of images and potentials."""
    if any(part in SPECIMEN_NAMES for part in candidate.name.lower().split("/")):
        return True
    return bool(candidate.scalings) and all(units.is_real_space(candidate.scalings[i]) for i in candidate.order[-2:])


def _is_picture(candidate: Candidate) -> bool:
    """Whether a scan is of a single position, as a picture is that was saved with two axes too many."""
    return all(candidate.shape[axis] == 1 for axis in candidate.order[:2])


def believed(scan_shape: tuple[int, int] | None, count: int) -> tuple[int, int] | None:
    """The scan shape that a file gives for a number of patterns; None where it cannot be that of the recording.

    The camera may have run on for a while; twice as many patterns, as of several frames a position, are another scan.
    """
    return scan_shape if scan_shape and count < 2 * math.prod(scan_shape) else None


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
    if len(largest.order) == 4 and _is_picture(largest):
        picture = times(shape[axis] for axis in largest.order[2:])
        return (
            f"a single picture of {picture} pixels, not a scan; if it is a pattern to look at, give scan_shape=(1, 1)."
        )
    if len(shape) == 4 and shape[largest.order[-1]] <= 4:
        return f"colour pictures ({times(shape)}), not patterns; {FOUR_AXES}."
    if len(shape) == 2 or (len(shape) == 3 and 1 in shape):
        return f"a 2-D image of {times(n for n in shape if n > 1)} pixels, not a scan; {FOUR_AXES}."
    if len(shape) == 3 and _is_real_space(largest):
        return (
            f"{shape[largest.order[0]]} images of {times(shape[axis] for axis in largest.order[1:])} pixels in real "
            f"space ({largest.name}: a potential or a series of images), not patterns; {FOUR_AXES}."
        )
    if len(shape) == 3 and shape[-1] <= 4:
        return (
            f"a map of {times(shape[:2])} positions with {shape[-1]} values each (orientations or colours), "
            "not patterns; open the scan that it belongs to."
        )
    if len(shape) == 3:
        return f"spectra ({times(shape)}), not patterns; {FOUR_AXES}."
    more = "; of several scans in one array, save one" if len(largest.order) > 4 else ""
    return f"{largest.label}, an array of {len(shape)} {'axis' if len(shape) == 1 else 'axes'}; {FOUR_AXES}{more}."


def pattern_like(candidate: Candidate) -> bool:
    """Whether the planes of a stack can be patterns: no masks, colours, orientations or spectra."""
    if candidate.patterns:
        return True
    if _is_real_space(candidate):
        return False
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
        raise ReadError(f"{file} holds several datasets '{dataset}': {listed(found)}; name one of them in full.")
    held = f"it holds {listed(candidates)}" if candidates else "it holds no array"
    raise ReadError(f"{file} holds no dataset '{dataset:.200}'; {held}.")


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
        f"{file} holds several {'scans' if found[0].role == 'scan' else 'stacks'}: {listed(found)}; "
        f"name the one to open, as in {file}::{found[0].name.strip('/')}."
    )


def listed(candidates: Sequence[Candidate], most: int = 8) -> str:
    """The first arrays of a file by name and shape, and how many more there are."""
    more = f" and {len(candidates) - most} more" if len(candidates) > most else ""
    return ", ".join(c.label for c in candidates[:most]) + more


def _scan_first(axes: list[int], scalings: tuple[Scaling | None, ...]) -> tuple[int, ...]:
    """The axes as scan_y, scan_x, q_y, q_x: as stored, unless names and units say that the detector comes first."""
    kinds = [units.kind(scalings[axis]) for axis in axes]
    detector_first = kinds[:2] == ["q", "q"] and "q" not in kinds[2:]
    scan_last = "scan" not in kinds[:2] and all(units.is_real_space(scalings[axis]) for axis in axes[2:])
    if not (detector_first or scan_last):
        return tuple(axes)
    pairs = [axes[2:], axes[:2]]
    for pair in pairs:
        letters = [(scalings[axis] or Scaling()).name.strip().lower()[-1:] for axis in pair]
        if letters == ["x", "y"]:
            pair.reverse()
    return (*pairs[0], *pairs[1])
