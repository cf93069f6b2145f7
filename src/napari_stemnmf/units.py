"""Units of files, normalised to the few that the package uses, and axes from the calibrations in files.

Lengths of the scan become ``nm``, reciprocal lengths ``1/nm``, angles ``mrad`` or ``deg``. A detector may also be
calibrated in a length on the screen (``cm`` in block files); it stays as it is. Everything else is pixels.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from napari_stemnmf.dataset import AXIS_NAMES, Axis

_NM = {
    "fm": 1e-6, "pm": 1e-3, "a": 0.1, "å": 0.1, "aa": 0.1, "ang": 0.1, "angs": 0.1, "angstrom": 0.1, "angstroms": 0.1,
    "ångström": 0.1, "ångstrom": 0.1, "nm": 1.0, "nanometer": 1.0, "nanometers": 1.0, "nanometre": 1.0,
    "nanometres": 1.0, "µm": 1e3, "um": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometers": 1e3,
    "micrometre": 1e3, "micrometres": 1e3, "mm": 1e6, "millimeter": 1e6, "millimeters": 1e6, "cm": 1e7,
    "centimeter": 1e7, "centimeters": 1e7, "m": 1e9, "meter": 1e9, "meters": 1e9, "metre": 1e9, "metres": 1e9,
}  # fmt: skip
_ANGLES = {
    "rad": (1e3, "mrad"), "radian": (1e3, "mrad"), "radians": (1e3, "mrad"), "mrad": (1.0, "mrad"),
    "mrads": (1.0, "mrad"), "milliradian": (1.0, "mrad"), "milliradians": (1.0, "mrad"), "µrad": (1e-3, "mrad"),
    "urad": (1e-3, "mrad"), "deg": (1.0, "deg"), "degs": (1.0, "deg"), "degree": (1.0, "deg"),
    "degrees": (1.0, "deg"), "°": (1.0, "deg"),
}  # fmt: skip
_INVERSE = re.compile(r"^(?:1/(?P<over>.+)|(?P<power>.+?)(?:\*\*|\^)?-1|(?P<word>.+?)inverse|inverse(?P<word2>.+))$")
_SCREEN = ("µm", "mm", "cm", "m")
LARGEST_STEP = 1000.0
"""Nanometres between pixels of an image of the specimen, at most."""
SQUARE = 0.002
"""Detector pixels whose sides differ by less than this share are square, written with few digits."""


@dataclass(frozen=True)
class Scaling:
    """The calibration of one axis, as a file gives it."""

    scale: float | None = None
    unit: str | None = None
    offset: float = 0.0
    name: str = ""


def normalise(unit: Any) -> tuple[float, str] | None:
    """A file's unit as (factor, unit): a value in it times `factor` is in ``nm``, ``1/nm``, ``mrad`` or ``deg``.

    Parameters
    ----------
    unit : str or bytes or None
        ``"1 / nm"``, ``"nm^-1"``, ``"$A^{-1}$"``, ``"[1_/_Å]"``, ``"1/Å"``, ``"A"``, ``"µm"``...

    Returns
    -------
    tuple of float and str, or None
        None for pixels and for what is no unit of length, reciprocal length or angle.

    Examples
    --------
    >>> normalise("$A^{-1}$")
    (10.0, '1/nm')
    >>> normalise("pixels") is None
    True
    """
    text = plain(unit)
    if text in _NM:
        return _NM[text], "nm"
    if text in _ANGLES:
        return _ANGLES[text]
    inverse = _INVERSE.match(text)
    if inverse:
        length = next(part for part in inverse.groups() if part is not None).strip("()")
        if length not in _NM:
            length = length.removeprefix("k")  # pyxem writes k_nm^{-1}
        if length in _NM:
            return _clean(1.0 / _NM[length]), "1/nm"
    return None


def plain(unit: Any) -> str:
    """A unit's text without the ornaments of TeX and of the EMD format, in lower case."""
    if isinstance(unit, bytes):
        unit = unit.decode("utf-8", "replace")
    if not isinstance(unit, str):
        return ""
    text = unicodedata.normalize("NFKC", unit).replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    text = text.replace("\\AA", "Å").replace("\\mu", "\N{MICRO SIGN}").replace("\N{MINUS SIGN}", "-")
    text = re.sub(r"[\s$\[\]{}_\\\x00]|mathrm|text", "", text).lower()
    text = re.sub(r"^(.+)(/|per)(px|pix|pixels?)$", r"\1", text)
    text = re.sub(r"^(.+)\^\(-1\)$", r"\1^-1", text)
    return re.sub(r"(?<=[a-zåµ])-1$", "^-1", text)


def axis(position: int, size: int, scaling: Scaling | None) -> Axis:
    """One axis of a scan from its calibration in a file.

    A scale that is absent, zero, not finite, or in a unit that this axis cannot have (seconds, pixels, a reciprocal
    length along the scan) gives 1 px, marked as assumed. A negative scale only means that the axis was stored
    mirrored: its size is taken and the offset mirrored with it, so that coordinates rise with the index.

    Parameters
    ----------
    position : int
        0 to 3: scan_y, scan_x, q_y, q_x.
    size : int
        Number of samples.
    scaling : Scaling or None
        Its calibration in the file.
    """
    name = AXIS_NAMES[position]
    assumed = Axis(name, size)
    if scaling is None or scaling.scale is None:
        return assumed
    scale, offset = float(scaling.scale), float(scaling.offset)
    if not math.isfinite(scale) or scale == 0.0:
        return assumed
    if position >= 2 and plain(scaling.unit) in _SCREEN:
        factor, unit = 1.0, plain(scaling.unit)
    else:
        known = normalise(scaling.unit)
        if known is None or (known[1] == "nm") != (position < 2):
            return assumed
        factor, unit = known
    if scale < 0:
        scale, offset = -scale, -offset
    if not 1e-6 * scale <= abs(offset) <= 1e6 * scale * size:  # not finite, or in another unit than the scale (TIA)
        offset = 0.0
    size_of_step = _clean(scale * factor)
    if not 1e-12 < size_of_step < 1e12:
        return assumed
    return Axis(name, size, size_of_step, unit, _clean(offset * factor), assumed=False)


def axes(sizes: Iterable[int], scalings: Iterable[Scaling | None]) -> tuple[Axis, Axis, Axis, Axis]:
    """The four axes of a scan (scan_y, scan_x, q_y, q_x) from their calibrations in the file.

    A line scan has one position along one axis, which few files calibrate: it is taken to be as wide as the step of the
    other axis, and marked as assumed.
    """
    y, x, q_y, q_x = (
        axis(i, int(size), scaling) for i, (size, scaling) in enumerate(zip(sizes, scalings, strict=True))
    )
    if y.size == 1 and y.assumed and not x.assumed:
        y = replace(y, scale=x.scale, unit=x.unit)
    elif x.size == 1 and x.assumed and not y.assumed:
        x = replace(x, scale=y.scale, unit=y.unit)
    return y, x, q_y, q_x


def is_real_space(scaling: Scaling | None) -> bool:
    """Whether an axis runs over the specimen: in a length, in steps below a micrometre, as no detector's pixels are."""
    known = normalise(scaling.unit) if scaling is not None else None
    if scaling is None or scaling.scale is None or known is None or known[1] != "nm":
        return False
    return 0.0 < abs(scaling.scale) * known[0] < LARGEST_STEP


def odd_axes(axes: Sequence[Axis]) -> tuple[str, ...]:
    """What is odd about the axes (scan_y, scan_x, q_y, q_x) of a scan, and what is done about it, a sentence each."""
    found = []
    y, x, q_y, q_x = axes
    for one, other in ((y, x), (x, y)):
        if one.assumed and not other.assumed and one.size == 1:
            found.append(
                f"A line scan with a step along {other.name} only: the line is taken to be {one.scale:g} {one.unit} "
                "wide for areas and perimeters."
            )
        elif one.assumed and not other.assumed:
            found.append(
                f"The file gives a step along {other.name} ({other.scale:g} {other.unit}) but none along {one.name}: "
                "sizes are in px only."
            )
    ratio = pixel_ratio(axes)
    if ratio != 1.0:
        wider = "q_y" if q_y.scale > q_x.scale else "q_x"
        found.append(
            f"The detector's pixels are rectangular, {q_y.scale:g} x {q_x.scale:g} {q_y.unit} (q_y, q_x): radii are "
            f"right in both directions, as a circle is taken to be an ellipse of a/b {max(ratio, 1 / ratio):.3f}, "
            f"shorter along {wider}."
        )
    elif q_y.assumed != q_x.assumed:
        known, other = (q_y, q_x) if q_x.assumed else (q_x, q_y)
        found.append(
            f"The file gives a pixel size along {known.name} ({known.scale:g} {known.unit}) but none along "
            f"{other.name}: radii are in px."
        )
    elif not q_y.assumed and q_y.unit != q_x.unit:
        found.append(f"The detector's axes are in {q_y.unit} and {q_x.unit}: radii are in px.")
    return tuple(found)


def notes_of(axes: Sequence[Axis], metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """What is odd about a scan, as its file gives it, and what was done: a sentence each."""
    return (*str(metadata.get("notes") or "").splitlines(), *odd_axes(axes))


def pixel_size(axes: Sequence[Axis]) -> float:
    """Side of the square that has a detector pixel's area: what a radius in px times it is in the axes' unit."""
    q_y, q_x = (abs(axis.scale) for axis in axes[-2:])
    return q_y if q_y == q_x else math.sqrt(q_y * q_x)


def pixel_ratio(axes: Sequence[Axis]) -> float:
    """Size of a detector pixel along q_x over that along q_y; 1 where it is not known, or square but for rounding."""
    q_y, q_x = axes[-2:]
    if q_y.assumed or q_x.assumed or q_y.unit != q_x.unit or not (q_y.scale > 0 and q_x.scale > 0):
        return 1.0
    ratio = q_x.scale / q_y.scale
    return ratio if abs(math.log(ratio)) > SQUARE else 1.0


def kind(scaling: Scaling | None) -> str:
    """Whether an axis runs along the ``scan`` or the detector (``q``), by its name and unit; ``""`` if unknown."""
    if scaling is None:
        return ""
    name = scaling.name.strip().lower().replace("_", "")
    known = normalise(scaling.unit)
    if known is not None and known[1] in ("1/nm", "mrad"):
        return "q"
    if re.fullmatch(r"(k|q|d|det)[xy12]", name):
        return "q"
    if re.fullmatch(r"(r|scan)?[xy12]", name) or (known is not None and known[1] == "nm"):
        return "scan"
    return ""


def _clean(value: float) -> float:
    """Without the rounding that a change of unit leaves (0.1 and not 0.10000000000000002), and without -0.0."""
    return float(f"{value:.14g}") + 0.0
