"""A 4D-STEM scan that is read only where it is needed.

`Dataset` is what every reader returns and every stage takes: a lazy Dask array with axes
(scan_y, scan_x, q_y, q_x), whole patterns per chunk, and calibrated axes with normalised units.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.files import contents
from napari_stemnmf.files.contents import Part
from napari_stemnmf.gaps import Gaps
from napari_stemnmf.scan_shape import needs_scan_shape, patterns_of_scan
from napari_stemnmf.texts import shown, shown_lines

if TYPE_CHECKING:
    import dask.array as da

AXIS_NAMES = ("scan_y", "scan_x", "q_y", "q_x")
BLOCK_BYTES = 16 * 2**20  # aimed size of a chunk: large enough to amortise a task, small enough for threads x chunks


@dataclass(frozen=True)
class Axis:
    """One calibrated axis: coordinate = offset + scale * index, in `unit`.

    `unit` is one of "nm", "1/nm", "deg", "px"... `assumed` is True where the file gave no usable scale,
    so that scale and unit are assumed: 1 px, or the step of the other axis where a line scan has one position here.
    """

    name: str
    size: int
    scale: float = 1.0
    unit: str = "px"
    offset: float = 0.0
    assumed: bool = True


@dataclass(frozen=True, eq=False)
class Dataset:
    """A lazy 4D-STEM scan.

    Attributes
    ----------
    data : dask.array.Array
        (scan_y, scan_x, q_y, q_x), native byte order, one chunk along both detector axes.
    axes : tuple of Axis
        One per axis, in that order.
    name : str
        Short name for titles and layers.
    source : str
        Where it came from: the path, with ``::dataset`` where one file holds several.
    metadata : dict
        Other facts of the file (beam energy, format, ...): plain strings and numbers. ``notes`` are sentences, a line
        each, on what was odd in the file and what was done; ``skipped_patterns`` is how many patterns of the recording
        come before the scan's first.
    files : tuple of str
        All files and folders that it is read from, that of `source` first: headers beside it, and what is linked.
    gaps : Gaps or None
        What is missing of it; None where all is there. Reading it is an error: see `without_gaps`.
    """

    data: da.Array
    axes: tuple[Axis, Axis, Axis, Axis]
    name: str = "scan"
    source: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    gaps: Gaps | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", shown(self.name))  # it may be that of a file, and stands in lists and titles
        object.__setattr__(self, "metadata", {shown(k): _plain(k, value) for k, value in self.metadata.items()})
        if self.data.ndim != 4:
            raise DataError(
                f"A 4D-STEM scan has four axes (scan_y, scan_x, q_y, q_x); {self.name} has {self.data.ndim}."
            )
        if tuple(a.size for a in self.axes) != tuple(self.data.shape):
            raise DataError(f"The axes of {self.name} do not fit its data of shape {self.data.shape}.")
        if self.data.numblocks[2:] != (1, 1):
            raise DataError(f"The detector axes of {self.name} are chunked; a chunk must hold whole patterns.")

    @classmethod
    def from_array(
        cls,
        array: Any,
        *,
        scan_step: float | tuple[float, float] | None = None,
        scan_unit: str = "nm",
        q_step: float | tuple[float, float] | None = None,
        q_unit: str = "1/nm",
        name: str = "array",
        source: str = "",
        scan_shape: tuple[int, int] | None = None,
        drop: str | int = "last",
        metadata: dict[str, Any] | None = None,
    ) -> Dataset:
        """Wrap a NumPy or Dask array (scan_y, scan_x, q_y, q_x), or a stack with a `scan_shape`.

        A step is of both axes of a pair, or (y, x); one that is not given leaves them in pixels, marked as assumed.
        `drop` says, as for `open`, which patterns of a stack are left out where there are more than positions.

        Raises
        ------
        ScanShapeError
            If a 3-D stack comes without a scan shape, or with one that needs more patterns than there are.
        """
        import dask.array as da

        if array.ndim == 3:
            if scan_shape is None:
                raise needs_scan_shape(name, array.shape[0], array.shape[1:])
            taken, told = patterns_of_scan(name, array.shape[0], scan_shape, drop)
            metadata = {**(metadata or {}), **told}
            array = array[taken.start : taken.stop].reshape(*scan_shape, *array.shape[1:])
        if array.ndim != 4:
            raise DataError(f"A 4D-STEM scan has four axes (scan_y, scan_x, q_y, q_x); {name} has {array.ndim}.")
        if isinstance(array, da.Array):
            data = array.rechunk({2: -1, 3: -1})
        else:
            chunks = whole_pattern_chunks(array.shape, array.dtype.itemsize)
            data = da.from_array(_View(array), chunks=chunks, name=False, meta=np.empty((0,) * 4, array.dtype))
        if data.dtype.kind in "biuf":  # compiled code takes no other byte order or precision
            data = data.astype(working_dtype(data.dtype))
        pairs = [step if isinstance(step, tuple) else (step, step) for step in (scan_step, q_step)]
        steps = [(step, unit) for pair, unit in zip(pairs, (scan_unit, q_unit), strict=True) for step in pair]
        axes = tuple(
            Axis(n, size, step if step else 1.0, unit if step else "px", assumed=not step)
            for n, size, (step, unit) in zip(AXIS_NAMES, data.shape, steps, strict=True)
        )
        return cls(data, axes, name, source, dict(metadata or {}))  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Sizes of (scan_y, scan_x, q_y, q_x)."""
        return tuple(int(n) for n in self.data.shape)  # type: ignore[return-value]

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of probe positions."""
        return self.shape[:2]

    @property
    def detector_shape(self) -> tuple[int, int]:
        """Rows and columns of a diffraction pattern, in pixels."""
        return self.shape[2:]

    @property
    def n_patterns(self) -> int:
        """Number of probe positions."""
        return self.shape[0] * self.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """Type of the raw counts."""
        return np.dtype(self.data.dtype)

    @property
    def nbytes(self) -> int:
        """Size of the whole scan in bytes, uncompressed."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def pattern(self, y: int, x: int) -> np.ndarray:
        """The diffraction pattern (q_y, q_x) at one probe position; reads one chunk."""
        return np.asarray(self.data[y, x].compute(scheduler="synchronous"))

    def without_gaps(self) -> Dataset:
        """The scan with zeros for patterns that are missing, which `gaps` goes on telling of."""
        return self if self.gaps is None else replace(self, data=self.gaps.data)

    def fingerprint(self) -> Fingerprint:
        """A short hash that changes when the data does; that of a copy is the same.

        Of an array: its shape, type, and four sampled patterns. Of files: the content of all that the scan is read from
        as well, as `contents.look` samples it. Two scans with the same fingerprint are taken to be the same data.
        """
        return self.look()[0]

    def look(self, known: Any = None) -> tuple[Fingerprint, tuple[Part, ...]]:
        """The fingerprint, and what was noted of each file. Reads at most four chunks, and of files what has changed.

        Parameters
        ----------
        known : object with ``fingerprint`` and ``parts``, optional
            What was noted before, ``Analysis.input``. Where the data is still the same, its fingerprint is given; where
            files were written to at places that are not sampled, one that neither this nor other data has.
        """
        digest = hashlib.sha256(f"{self.shape} {self.dtype.str}".encode())
        rows, columns = self.scan_shape
        whole = self.without_gaps()
        for flat in np.unique(np.linspace(0, rows * columns - 1, 4).astype(int)):
            digest.update(np.ascontiguousarray(whole.pattern(*divmod(int(flat), columns))).tobytes())
        former, main = digest.copy(), Path(self.source.partition("::")[0])
        files = self.files or ((str(main),) if self.source and main.exists() else ())
        if not files:
            return Fingerprint(digest.hexdigest()[:16]), ()
        if main.exists():
            stat = main.stat()
            former.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
        before = tuple(getattr(known, "parts", ()))
        try:
            parts = contents.look(files, before)
        except OSError as error:
            raise ReadError(f"{error.filename or main} cannot be read: {error.strerror or error}.") from error
        digest.update(contents.mark(parts).encode())
        found = digest.hexdigest()[:16]
        if before and known.fingerprint.partition("-")[0] == found:
            written = sum(part.written for part in parts)
            found = f"{found}-{written:x}" if contents.changed(before, parts) else str(known.fingerprint)
        return Fingerprint(found, former.hexdigest()[:16]), parts


def _plain(name: str, value: Any) -> Any:
    """A fact of a file without what would steer a terminal or cannot be kept; only notes may have several lines."""
    if isinstance(value, str):
        return shown_lines(value) if name == "notes" else shown(value)
    return str(value) if isinstance(value, int) and abs(value) >= 2**63 else value


class Fingerprint(str):
    """A fingerprint; it is equal to the one that versions before 0.5 gave the same file, too.

    That one had the file's time in it, so that a copy had another. Analyses and scripts of those versions hold it.
    """

    former: str

    def __new__(cls, text: str, former: str = "") -> Fingerprint:
        """The fingerprint `text` of data that had the fingerprint `former`."""
        made = super().__new__(cls, text)
        made.former = former or text
        return made

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) or (isinstance(other, str) and str.__eq__(other, self.former))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return Fingerprint, (str(self), self.former)


class _View:
    """An array that Dask slices where it is: of a plain `ndarray`, a memory map included, it would make a copy."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, where: Any) -> np.ndarray:
        return np.asarray(self.array[where])


def index_type(count: int) -> type[np.int32] | type[np.int64]:
    """The type of indices up to `count`: int32 where that is wide enough, as much of the memory goes to indices."""
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64


def working_dtype(dtype: np.dtype) -> np.dtype:
    """The type patterns are given in: bool as uint8, float16 as float32, long double as float64, else the file's."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return dtype.newbyteorder("=")


def whole_pattern_chunks(shape: tuple[int, ...], itemsize: int, block_bytes: int = BLOCK_BYTES) -> tuple[int, ...]:
    """Chunk sizes for (scan_y, scan_x, q_y, q_x) that hold whole patterns and about `block_bytes`.

    Whole scan rows where they fit, so that a chunk of a C-ordered file is one contiguous read.
    """
    rows, columns, q_y, q_x = (max(1, int(n)) for n in shape)
    patterns = max(1, block_bytes // max(1, q_y * q_x * itemsize))
    if patterns >= columns:
        return (min(rows, patterns // columns), columns, q_y, q_x)
    return (1, patterns, q_y, q_x)
