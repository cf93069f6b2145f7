"""From virtual detectors to an image of the scan and its layer: at once from the live copy, then exactly. No Qt.

Pure functions that are called in worker threads. Leans on `streaming.virtual_images` and `streaming.live_scan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.plugin.layers import display, places
from napari_stemnmf.plugin.session import ROLE_KEY, session_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_stemnmf.control import Control
    from napari_stemnmf.dataset import Axis, Dataset
    from napari_stemnmf.plugin.docks.explore.model import Placed
    from napari_stemnmf.plugin.session import Session
    from napari_stemnmf.streaming.live_scan import LiveScan
    from napari_stemnmf.streaming.virtual_images import CentresOfMass

MODES = {
    "sum": "sum (bright or dark field)",
    "com y": "centre of mass, y",
    "com x": "centre of mass, x",
    "com magnitude": "centre of mass, magnitude",
    "com wheel": "centre of mass, colour wheel",
    "rgb": "RGB of all detectors",
}
"""What is made of the detectors, and its name in the window."""
TITLES = {"sum": "sum", "com y": "CoM y", "com x": "CoM x", "com magnitude": "CoM magnitude", "com wheel": "CoM wheel"}
LIVE = "virtual/live"
KEPT = "virtual/kept"
DETECTOR_KEY = "stemnmf_virtual"
"""In a layer's metadata: mode and detectors, as plain values."""
PERCENTILES = (0.5, 99.5)
"""Of an image, shown as no and as full intensity of its channel in an RGB image."""
TOP = 99.0
"""Percentile of the magnitude that is shown as full colour."""


@dataclass(frozen=True, eq=False)
class VirtualRequest:
    """What image to make: from the live copy, or, where `live` is None, from the whole scan."""

    scan: Dataset
    placed: tuple[Placed, ...]  # the chosen detector; all of them for "rgb"
    mode: str  # one of `MODES`
    axes: Sequence[Axis]  # of the patterns, for 1/nm
    origin: np.ndarray | None  # (scan_y, scan_x, 2) the beam in each pattern, px; None: the mean over the scan
    live: LiveScan | None = None
    control: Control | None = None  # stops a read of the whole scan
    workers: int | None = None  # threads for that; the available cores if None


@dataclass(frozen=True, eq=False)
class Virtual:
    """An image (scan_y, scan_x) or, in colours, (scan_y, scan_x, 3), float32.

    `unit` is that of its values, `top` the magnitude at full brightness of the wheel, `exact` whether the whole scan
    was read for it.
    """

    request: VirtualRequest
    image: np.ndarray
    unit: str = ""
    top: float = 0.0
    exact: bool = False


def make(request: VirtualRequest) -> Virtual:
    """The requested image.

    Raises
    ------
    StemNMFError
        If the scan cannot be read.
    """
    exact = request.live is None or request.live.exact
    if request.mode == "sum":
        return Virtual(request, _sums(request)[0], unit="counts", exact=exact)
    if request.mode == "rgb":
        return Virtual(request, mixed(_sums(request), [placed.colour for placed in request.placed]), exact=exact)
    calibrated = bool(request.axes) and request.axes[-1].unit == "1/nm"
    scale = (request.axes[-2].scale, request.axes[-1].scale) if calibrated else (1.0, 1.0)
    y, x = _centres(request).shift(request.origin, scale=scale)
    unit = "1/nm" if calibrated else "px"
    if request.mode == "com wheel":
        top = _top(y, x)
        return Virtual(request, wheel(y, x, top), unit, top, exact)
    image = {"com y": y, "com x": x, "com magnitude": np.hypot(y, x)}[request.mode]
    return Virtual(request, image, unit, exact=exact)


def _sums(request: VirtualRequest) -> np.ndarray:
    from napari_stemnmf.streaming.virtual_images import virtual_images

    if request.live is not None:
        return np.stack([request.live.image(placed.detector) for placed in request.placed])
    return virtual_images(
        request.scan, [placed.detector for placed in request.placed], workers=request.workers, control=request.control
    )


def _centres(request: VirtualRequest) -> CentresOfMass:
    from napari_stemnmf.streaming.virtual_images import centres_of_mass

    detector = request.placed[0].detector
    if request.live is not None:
        return request.live.centres_of_mass(detector)
    return centres_of_mass(request.scan, detector, workers=request.workers, control=request.control)


def mixed(images: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """(rows, columns, 3) float32 in 0 to 1: each image from its low to its high percentile in its colour, added up."""
    out = np.zeros((*images.shape[1:], 3), np.float32)
    for image, colour in zip(images, colours, strict=True):
        low, high = np.percentile(image, PERCENTILES)
        share = np.clip((image - low) / (high - low if high > low else 1.0), 0.0, 1.0)
        out += share[..., None] * np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)
    return np.clip(out, 0.0, 1.0)


def wheel(y: np.ndarray, x: np.ndarray, top: float) -> np.ndarray:
    """(rows, columns, 3) float32 in 0 to 1: direction as hue (red along q_x, towards q_y), magnitude as brightness.

    Full brightness is reached at `top`; NaN is black.
    """
    hue = np.degrees(np.arctan2(np.nan_to_num(y), np.nan_to_num(x))) / 60.0
    value = np.clip(np.nan_to_num(np.hypot(y, x)) / (top or 1.0), 0.0, 1.0)
    rgb = np.clip(np.abs((hue[..., None] + np.array([0.0, 4.0, 2.0])) % 6.0 - 3.0) - 1.0, 0.0, 1.0)
    return np.asarray(rgb * value[..., None], np.float32)


def legend(size: int) -> np.ndarray:
    """(size, size, 3) uint8 the colour wheel itself, q_y downwards as in the pattern."""
    y, x = (np.indices((size, size)) - (size - 1) / 2) / (size / 2)
    rgb = wheel(y, x, 1.0)
    rgb[np.hypot(y, x) > 1.0] = 0.0
    return np.asarray(np.rint(255 * rgb), np.uint8)


def name_of(found: Virtual) -> str:
    """What a kept layer is called: the mode and the geometry."""
    request = found.request
    if request.mode == "rgb":
        return f"RGB of {len(request.placed)} detectors"
    text = request.placed[0].detector.describe(request.axes)
    return text if request.mode == "sum" else f"{TITLES[request.mode]}, {text}"


def _keywords(session: Session, found: Virtual, role: str) -> dict[str, Any]:
    """What the image's layer is made with, its geometry in the metadata."""
    image, request = found.image, found.request
    meta = places.on_scan(session, "virtual detector" if role == LIVE else name_of(found), role)
    meta["metadata"][DETECTOR_KEY] = {
        "mode": request.mode,
        "unit": found.unit,
        "exact": found.exact,
        "detectors": [placed.detector.to_dict() | {"colour": placed.colour} for placed in request.placed],
    }
    if image.ndim == 3:
        return meta | {"rgb": True}
    low, high = span(image)
    if request.mode in ("com x", "com y"):  # either way from 0
        most = max(abs(low), abs(high))
        return meta | {"contrast_limits": (-most, most), "colormap": "PiYG"}
    return meta | {"contrast_limits": (low, high), "colormap": "gray"}


def show_live(viewer: ViewerModel, session: Session, found: Virtual) -> None:
    """Put the image into the layer that follows the detectors, which is above the scan's own image."""
    meta = _keywords(session, found, LIVE)
    layer = display.find(viewer, session, LIVE)
    if layer is not None and layer.rgb == bool(meta.get("rgb")):
        layer.data = found.image
        layer.metadata.update(meta["metadata"])
        layer.scale, layer.translate = meta["scale"], meta["translate"]
        if not layer.rgb:
            layer.colormap = meta["colormap"]
            layer.contrast_limits_range = layer.contrast_limits = meta["contrast_limits"]
        return
    if layer is not None:
        viewer.layers.remove(layer)
    _add(viewer, session, found.image, meta)
    if display.remove_patterns(viewer, session):  # with it, canvas and sliders are half the detector's
        shown = display.find(viewer, session, LIVE)
        if shown is not None:
            display.fit(viewer, shown)


def keep(viewer: ViewerModel, session: Session, found: Virtual) -> None:
    """Add the image as a layer of its own, below the one that follows the detectors."""
    taken = [layer for layer in viewer.layers if session_of(layer) is session]
    count = sum(str(layer.metadata.get(DETECTOR_KEY, {}).get("kept", "")) != "" for layer in taken)
    meta = _keywords(session, found, f"{KEPT}/{count + 1}")
    meta["metadata"][DETECTOR_KEY]["kept"] = count + 1
    _add(viewer, session, found.image.copy(), meta)


def _add(viewer: ViewerModel, session: Session, data: np.ndarray, meta: dict[str, Any]) -> None:
    """Add an image right above the scan's own and those that were kept; what is selected stays selected."""
    active = viewer.layers.selection.active
    below = [
        i
        for i, layer in enumerate(viewer.layers)
        if session_of(layer) is session and str(layer.metadata.get(ROLE_KEY)).startswith(("virtual_image", KEPT))
    ]
    viewer.add_image(data, **meta)
    if below:
        viewer.layers.move(len(viewer.layers) - 1, below[-1] + 1)
    if active is not None and active in viewer.layers:
        viewer.layers.selection.active = active


def summary(found: Virtual, *, reading: bool = False) -> str:
    """What the image is, in a sentence or two."""
    if found.exact:
        return "The image is exact."
    live = found.request.live
    if live is None:
        return ""
    bin_, step = live.reduction
    parts = ["Preview"]
    parts += [f"of {live.fraction:.0%} of the scan"] if not live.complete else []
    parts += [f"with {bin_} × {bin_} pixels as one"] if bin_ > 1 else []
    if step > 1:
        parts += [f"and every {('other', 'third')[step - 2] if step < 4 else f'{step}th'} position"]
    return " ".join(parts) + ("; the whole scan is being read." if reading else ".")


def span(image: np.ndarray) -> tuple[float, float]:
    """Contrast limits of an image, finite and ascending."""
    known = image[np.isfinite(image)]
    low, high = (float(v) for v in np.percentile(known, [0.1, 99.9])) if known.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _top(y: np.ndarray, x: np.ndarray) -> float:
    length = np.hypot(y, x)
    known = length[np.isfinite(length)]
    return float(np.percentile(known, TOP)) if known.size else 1.0
