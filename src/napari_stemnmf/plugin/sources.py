"""What docks choose from: analyses of open scans and of files, and true grains of layers and of files.

Files of analyses are read in a thread, in the order in which they were added. Of a file of true grains only the list of
its arrays is read here; `reading.masks` reads the masks themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_stemnmf.errors import ReadError, StemNMFError
from napari_stemnmf.plugin.jobs.preview import Preview
from napari_stemnmf.plugin.session import Session, named, session_of, sessions_of
from napari_stemnmf.plugin.widgets import show_error

if TYPE_CHECKING:
    import napari.viewer  # importing napari at run time would bring numba to a scan of the manifest

    from napari_stemnmf.analysis import Analysis

FILES = "Analyses (*.stemnmf.h5 *.h5);;All files (*)"
"""Filter of the file dialog."""
HDF5 = (".h5", ".hdf5", ".hdf", ".emd")
"""Endings of scan files that may hold their own truth."""


class AnalysisSources(QObject):
    """Sessions of a viewer and of files; `changed` when one comes, goes, or has new results.

    Attributes
    ----------
    reading : tuple of Path
        Files that are being read.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._files: list[Session] = []
        self._followed: list[Session] = []
        self.reading: tuple[Path, ...] = ()
        self._reader = Preview(_read, self)
        self._reader.ready.connect(self._on_read)
        self._reader.failed.connect(self._on_failed)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self._follow(self.sessions())

    def sessions(self) -> list[Session]:
        """All sessions, those of the viewer first."""
        return [*sessions_of(self._viewer.layers), *self._files]

    def named(self) -> list[tuple[str, Session]]:
        """As `sessions`, each with a name that no other has."""
        return named(self.sessions())

    @property
    def active(self) -> Session | None:
        """That of the selected layer."""
        return session_of(self._viewer.layers.selection.active)

    def add(self, paths: Sequence[str | Path]) -> None:
        """Read analysis files; a notification names each that cannot be read."""
        idle = not self.reading
        self.reading = (*self.reading, *map(Path, paths))
        if idle:
            self._read_next()
        self.changed.emit()

    def close(self) -> None:
        """Disconnect, and drop what is being read."""
        self._viewer.layers.events.inserted.disconnect(self._on_layers)
        self._viewer.layers.events.removed.disconnect(self._on_layers)
        self._reader.close()
        self._files = []
        self._follow([])

    def _on_layers(self, event: Any = None) -> None:
        self._follow(self.sessions())
        self.changed.emit()

    def _on_results(self) -> None:
        self.changed.emit()

    def _follow(self, sessions: list[Session]) -> None:
        """Listen to new results of these sessions, and of no others."""
        for session in sessions:
            if session not in self._followed:
                session.changed.connect(self._on_results)
        for session in self._followed:
            if session not in sessions:
                session.changed.disconnect(self._on_results)
        self._followed = sessions

    def _read_next(self) -> None:
        if self.reading:
            self._reader.ask(self.reading[0])

    def _on_read(self, session: Session) -> None:
        self._files.append(session)
        self._go_on()

    def _on_failed(self, error: str) -> None:
        show_error(error)
        self._go_on()

    def _go_on(self) -> None:
        """The first of the files has been read: read the next."""
        self.reading = self.reading[1:]
        self._read_next()
        self._on_layers()


def scan_shape(analysis: Analysis) -> tuple[int, int]:
    """(scan_y, scan_x) of the results."""
    y, x = analysis.axes[:2]
    return y.size, x.size


def truth_layers(layers: Iterable[Any], shape: tuple[int, int]) -> list[Any]:
    """The Labels layers, flat or a stack with a plane a grain, on a scan of that shape, that are no results."""
    from napari.layers import Labels

    return [
        layer
        for layer in layers
        if isinstance(layer, Labels)
        and layer.ndim in (2, 3)
        and tuple(layer.data.shape[-2:]) == shape
        and session_of(layer) is None
    ]


def truth_arrays(path: Path, shape: tuple[int, int]) -> list[Path]:
    """The arrays of a file that can be true grains of a scan of that shape, as ``FILE::name``.

    Raises
    ------
    ReadError
        If there are none, or the file cannot be read.
    """
    from napari_stemnmf.reading.blocks import reading
    from napari_stemnmf.reading.masks import arrays_in

    with reading(path):
        fitting = [
            each
            for each in arrays_in(path)
            if each.dtype.kind in "biu" and len(each.shape) in (2, 3) and tuple(each.shape[-2:]) == shape
        ]
    if not fitting:
        raise ReadError(f"{path.name} holds no true grains of {shape[0]} x {shape[1]} positions.")
    if len(fitting) == 1 and not fitting[0].name:
        return [path]
    return [Path(f"{path}::{each.name.strip('/')}") for each in fitting]


def own_truth(analysis: Analysis) -> list[Path]:
    """The arrays of the scan's own file that can be its truth, as a simulated scan has them; usually none."""
    path = Path(analysis.input.source.partition("::")[0])
    if path.suffix.lower() not in HDF5 or not path.is_file():
        return []
    try:
        return truth_arrays(path, scan_shape(analysis))
    except StemNMFError:
        return []  # a measured scan has none


def _read(path: Path) -> Session:
    """A session for an analysis file, with its scan where that can be found."""
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.reading.finding import find_scan

    analysis = Analysis.load(path)
    return Session(find_scan(analysis.input, path.parent), analysis)
