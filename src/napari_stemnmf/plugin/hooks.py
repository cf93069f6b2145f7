"""What the manifest names: reader, writer and sample data. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.errors import AnalysisError, StemNMFError
from napari_stemnmf.files.writing import FILE_SUFFIX
from napari_stemnmf.plugin.saving.autosave import saver_of
from napari_stemnmf.plugin.session import SESSION_KEY, Session, sessions_of
from napari_stemnmf.plugin.wording import in_window

if TYPE_CHECKING:
    from napari_stemnmf.plugin.layers.result_layers import LayerTuple

SHARED_SUFFIXES = (".npy", ".npz", ".tif", ".tiff", ".xml", ".zip")
"""Endings that are claimed only where the file holds a scan."""
NOTHING_TO_SHOW: list[Any] = [(None,)]
"""What a napari reader returns for a path that it has dealt with although there is no layer."""


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[Any]] | None:
    """The reader for a path, or None where others may read it; looks at the file's head only.

    Endings that other readers know as well are claimed for scans only. With all others, and with a file that claims to
    be a scan and is none, the reader says in one sentence what is wrong.
    """
    if not isinstance(path, str):
        return None
    if path.lower().endswith(FILE_SUFFIX):
        return read_analysis
    from napari_stemnmf.reading.opening import can_open

    shared = Path(path).is_dir() or path.lower().endswith(SHARED_SUFFIXES)
    return read_scan if not shared or can_open(path) else None


def read_scan(path: str) -> list[Any]:
    """A virtual image and the lazy 4-D scan, which is kept apart beside a dock of ours.

    An error is shown as one sentence and gives no layers.
    """
    from napari_stemnmf.plugin.layers.result_layers import scan_layers
    from napari_stemnmf.reading.opening import open as open_scan

    try:
        session = Session(open_scan(path))
        apart = _watched(session)
        return scan_layers(session, apart=apart)
    except StemNMFError as error:
        if path.lower().endswith((".h5", ".hdf5")):
            from napari_stemnmf.analysis import is_analysis

            if is_analysis(path):  # one that was renamed
                return read_analysis(path)
        return _shown(error)


def read_analysis(path: str) -> list[Any]:
    """All layers of an analysis, and its scan where that is still where it was."""
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.plugin.layers.result_layers import all_layers, shown_first
    from napari_stemnmf.reading.finding import find_scan

    try:
        analysis = Analysis.load(path)
        session = Session(find_scan(analysis.input, Path(path).parent), analysis, path=Path(path))
        _watched(session)
        session.canvas.feature = shown_first(session)
        return all_layers(session) or _shown(AnalysisError(f"The analysis {path} holds no results yet."))
    except StemNMFError as error:
        return _shown(error)


def write_analysis(path: str, layer_data: list[LayerTuple]) -> list[str]:
    """Save the analysis that the layers belong to.

    Raises
    ------
    AnalysisError
        If they belong to none, to several, or nothing was computed yet.
    """
    sessions = [s for s in _sessions_of(layer_data) if s.analysis is not None]
    if not sessions:
        raise AnalysisError("These layers belong to no analysis; open a scan and run Featurize first, then save.")
    if len(sessions) > 1:
        names = ", ".join(session.name for session in sessions)
        raise AnalysisError(f"These layers belong to several scans ({names}); select those of one scan and save them.")
    if not path.lower().endswith(".h5"):
        path += FILE_SUFFIX
    saver = saver_of(sessions[0])
    saver.save_as(Path(path))
    saver.wait()
    if saver.error:
        raise AnalysisError(f"The analysis was not saved: {saver.error}")
    return [path]


def silver_grains() -> list[LayerTuple]:
    """The embedded sample: a simulated silver film with overlapping grains."""
    from napari_stemnmf.plugin.layers.result_layers import scan_layers
    from napari_stemnmf.simulation.sample import sample

    dataset = sample().dataset
    image = dataset.data.mean(axis=(2, 3), dtype="f4").compute(scheduler="synchronous")  # small, and in memory
    session = Session(dataset)
    return scan_layers(session, image, apart=_watched(session))


def _watched(session: Session) -> bool:
    """Have a session saved by itself, what goes wrong then notified, and strokes on its layers taken as edits.

    It comes beside the scans that are open already. Returns whether its 4-D layer is to be kept apart.
    """
    saver_of(session).tell = _tell
    napari = sys.modules.get("napari")
    viewer = napari.current_viewer() if napari is not None else None
    if viewer is not None:
        from napari_stemnmf.plugin.keeper import keeper_of
        from napari_stemnmf.plugin.layers.in_view import give_place
        from napari_stemnmf.plugin.saving.guard import guard_of

        guard_of(viewer)
        give_place(session, sessions_of(viewer.layers))
        keeper = keeper_of(viewer)
        return keeper is not None and keeper.keeps_apart
    return False


def _tell(error: str) -> None:
    from napari.utils.notifications import show_error

    show_error(in_window(error))


def _shown(error: StemNMFError) -> list[Any]:
    _tell(str(error))
    return NOTHING_TO_SHOW


def _sessions_of(layer_data: Iterable[tuple[Any, dict[str, Any], str]]) -> list[Session]:
    """As `sessions_of`, for layer data tuples as a writer gets them."""
    found: list[Session] = []
    for _, meta, _ in layer_data:
        session = meta.get("metadata", {}).get(SESSION_KEY)
        if isinstance(session, Session) and session not in found:
            found.append(session)
    return found


def show(path: str | Path) -> None:
    """Open an analysis (or a scan) in a napari window with the steps beside it, and wait until it is closed.

    Raises
    ------
    StemNMFError
        If napari or a Qt binding is not installed.
    """
    try:
        import napari

        viewer = napari.Viewer()
    except ImportError as error:
        raise StemNMFError(
            f"napari cannot show a window ({error}); install it with a Qt: pip install 'napari-stemnmf[all]'."
        ) from error
    viewer.open(str(path), plugin="napari-stemnmf")
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "STEM-NMF")
    napari.run()
