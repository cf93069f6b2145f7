"""A napari window from the command line."""

from __future__ import annotations

from pathlib import Path

from napari_stemnmf.errors import StemNMFError


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
    viewer.window.add_plugin_dock_widget("napari-stemnmf", "Refine")
    napari.run()
