"""Opening a scan into a viewer, and what a file holds that could be one. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.errors import ReadError, ScanShapeError
from napari_stemnmf.files.writing import FILE_SUFFIX

if TYPE_CHECKING:
    from napari_stemnmf.plugin.session import Session

LEAST_DETECTOR = 8
"""Pixels along each side of what is offered as a detector, at least."""
SHAPES = 6
"""Scan shapes that are offered for a stack, at most."""


@dataclass(frozen=True)
class Found:
    """An array in a file that can be a scan.

    Attributes
    ----------
    name : str
        Its path in the file; empty where it is the only one.
    shape : tuple of int
    dtype : str
    stack : bool
        Whether it is a stack of patterns whose scan shape the file does not give.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stack: bool

    def line(self) -> str:
        """For the list."""
        what = "stack of patterns, " if self.stack else ""
        return f"{self.name or 'the array'}:  {what}{' × '.join(map(str, self.shape))}, {self.dtype}"


def datasets(path: Path) -> list[Found]:
    """The arrays of a file or folder that can be scans, the largest first; empty where its format holds one only.

    Raises
    ------
    StemNMFError
        If it cannot be read.
    """
    from napari_stemnmf.reading.blocks import reading
    from napari_stemnmf.reading.masks import arrays_in
    from napari_stemnmf.reading.opening import sniff, split

    file, _ = split(path)
    with reading(file):
        if sniff(file) not in ("hdf5", "zarr", "npy", "npz", "tif"):
            return []
        found = [each for each in arrays_in(file) if each.role and _shows_patterns(each)]
    found.sort(key=lambda each: -_size(each.shape))
    return [
        Found(each.name.strip("/"), tuple(each.shape), str(each.dtype), each.role == "stack" and not each.scan_shape)
        for each in found
    ]


def shapes_of(count: int) -> list[tuple[int, int]]:
    """Rows and columns that a stack of so many patterns may have, the squarest first.

    Examples
    --------
    >>> shapes_of(12)
    [(3, 4), (4, 3), (2, 6), (6, 2)]
    """
    rows = [n for n in range(2, int(count**0.5) + 1) if count % n == 0][::-1]
    pairs = [pair for n in rows for pair in dict.fromkeys(((n, count // n), (count // n, n)))]
    return pairs[:SHAPES]


def open_session(path: str | Path, given: Mapping[str, Any], viewer: Any) -> Session:
    """A session of the scan in a file, placed beside those of a viewer.

    Raises
    ------
    StemNMFError
        If it cannot be opened.
    """
    from napari_stemnmf.plugin.layers.in_view import give_place
    from napari_stemnmf.plugin.saving.autosave import watch
    from napari_stemnmf.plugin.session import Session, sessions_of
    from napari_stemnmf.reading.opening import open as open_scan

    options = {name: value for name, value in given.items() if value is not None}
    session = Session(open_scan(str(path), **options), options=options)
    return give_place(watch(session), sessions_of(viewer.layers))


def add_to(viewer: Any, session: Session) -> None:
    """Put a scan into a viewer that has a dock of ours: its 4-D layer is kept apart."""
    from napari_stemnmf.plugin.layers.result_layers import scan_layers

    for data, meta, kind in scan_layers(session, apart=True):
        getattr(viewer, f"add_{kind}")(data, **meta)


def open_into(viewer: Any, path: str | Path, *, more: Callable[[Path], object]) -> None:
    """Open a file or folder of any kind that is known; `more` is called where it does not say enough itself.

    Raises
    ------
    StemNMFError
        If it cannot be opened.
    """
    path = Path(path)
    if path.name.lower().endswith(FILE_SUFFIX):
        viewer.open(str(path), plugin="napari-stemnmf")
        return
    try:
        session = open_session(path, {}, viewer)
    except ScanShapeError:
        more(path)
        return
    except ReadError:
        if len(datasets(path)) < 2:
            raise
        more(path)
        return
    add_to(viewer, session)


def _shows_patterns(found: Any) -> bool:
    """Whether an array is of numbers, and its last axes are as large as the smallest detector."""
    return found.dtype.kind in "uif" and min(found.shape[axis] for axis in found.order[-2:]) >= LEAST_DETECTOR


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
