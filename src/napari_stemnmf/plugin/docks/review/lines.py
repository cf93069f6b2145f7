"""The lines around the selected grains, each on a halo, as wide as a pixel of the screen at any zoom. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.layers.grain_layers import AROUND, BESIDE, COLOUR, HALO, LINE
from napari_stemnmf.plugin.layers.grain_outlines import outlines

if TYPE_CHECKING:
    from napari_stemnmf.grains.grains import Grains

REZOOMED = 1.08
"""By how much the zoom must change before lines are drawn anew."""


class Lines:
    """Draws on a Shapes layer, and only what is not drawn there already."""

    def __init__(self) -> None:
        self._drawn: tuple[Any, ...] = ()  # layer, grains and ids
        self._colours: list[str] = []
        self._zoom = 1.0

    def draw(self, layer: Any, grains: Grains, ids: Sequence[int], zoom: float) -> None:
        """Draw around some grains, the last of them in the colour of the selected one."""
        if self._drawn == (layer, grains, list(ids)):
            return
        lines = [(line, COLOUR if i == ids[-1] else BESIDE) for i in ids for line in outlines(grains, i)]
        paths = [(np.vstack([line, line[1:2]]), "path") for line, _ in lines]
        colours = [HALO] * len(paths) + [colour for _, colour in lines]
        if lines and self._drawn[:1] == (layer,) and self._colours == colours and layer.nshapes == len(colours):
            layer.data = paths * 2  # as many as before: napari keeps their widths and colours
        else:
            if layer.nshapes:
                layer.selected_data = set(range(layer.nshapes))
                layer.remove_selected()
            if lines:
                widths = self._widths(layer, len(paths), zoom)
                layer.add_paths([path for path, _ in paths] * 2, edge_width=widths, edge_color=colours)
                layer.selected_data = set()
        self._drawn, self._colours = (layer, grains, list(ids)), colours

    def rezoom(self, layer: Any, zoom: float) -> None:
        """Make the lines as wide as before, in pixels of the screen."""
        if zoom and layer.nshapes and not 1 / REZOOMED < zoom / self._zoom < REZOOMED:
            layer.edge_width = self._widths(layer, layer.nshapes // 2, zoom)

    def _widths(self, layer: Any, count: int, zoom: float) -> list[float]:
        """Widths of so many halos and lines, in positions."""
        self._zoom = zoom
        pixel = 1.0 / (zoom * float(np.abs(layer.scale[-1])))
        return [AROUND * pixel] * count + [LINE * pixel] * count
