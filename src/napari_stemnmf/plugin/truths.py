"""Where true grains may come from: Labels layers of a scan's shape, and arrays of files. No Qt.

Of a file only what it says about its arrays is read here; `reading.masks` reads the masks themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.errors import ReadError, StemNMFError
from napari_stemnmf.plugin.session import session_of

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

HDF5 = (".h5", ".hdf5", ".hdf", ".emd")
"""Endings of scan files that may hold their own truth."""


def scan_shape(analysis: Analysis) -> tuple[int, int]:
    """(scan_y, scan_x) of what was found."""
    y, x = analysis.axes[:2]
    return y.size, x.size


def truth_layers(layers: Iterable[Any], shape: tuple[int, int]) -> list[Any]:
    """The Labels layers, flat or a stack with a plane a grain, that lie on a scan of that shape and are not results."""
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
