"""Frames for maps of a scan: square, whatever the scan's shape, so that there is room for words about a narrow one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_stemnmf.dataset import Axis

TICKS = 5
"""Along the longer side of a map."""


def square_map(ax: Axes, axes: Sequence[Axis], title: str) -> None:
    """Put the map that was drawn on `ax` into a square frame, with ticks on the scan only, labels and a title.

    Parameters
    ----------
    ax : Axes
    axes : sequence of Axis
        The axes of the scan; the first two are scan_y and scan_x.
    title : str
    """
    y, x = axes[:2]
    across, down = x.size * x.scale, y.size * y.scale
    side = max(across, down)
    middle_x, middle_y = (across - x.scale) / 2, (down - y.scale) / 2
    ax.set_box_aspect(1)
    ax.set_aspect("auto")  # the limits below make a position as high as it is wide
    ax.set(xlim=(middle_x - side / 2, middle_x + side / 2), ylim=(middle_y + side / 2, middle_y - side / 2))
    for axis, length in ((ax.xaxis, across), (ax.yaxis, down)):
        ticks = MaxNLocator(max(1, round(TICKS * length / side))).tick_values(0, length)
        axis.set_ticks([at for at in ticks if 0 <= at <= length])
    ax.set(title=title, xlabel=f"x ({x.unit})", ylabel=f"y ({y.unit})")
