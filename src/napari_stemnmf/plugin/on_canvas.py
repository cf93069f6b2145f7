"""How a scan stands on the canvas: its short name, its place, and which of its layers are seen. No Qt, no viewer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

LONGEST = 9
"""Letters of a scan's short name: napari cuts the middle out of what is longer than some 28 in its list of layers."""
ELLIPSIS = "…"


@dataclass
class OnCanvas:
    """What the window remembers of one scan's layers.

    Attributes
    ----------
    tag : str
        Short name before those of its layers; no other scan of the viewer has it.
    shift : float
        How far the scan lies to the right of where its file says, in the unit of its step: scans lie side by side.
    feature : str
        The representation that is looked at; empty before one was chosen.
    visible : dict of bool
        By role, whether a layer was seen when it, its scan or its representation was last looked at.
    set_aside : dict
        Layers that the user can bring back, each with its metadata, by role.
    hidden : list
        Layers to show again when the detector leaves the canvas.
    first_look : FirstLook or None
        The first images of the scan, while the window makes them and after.
    """

    tag: str = ""
    shift: float = 0.0
    feature: str = ""
    visible: dict[str, bool] = field(default_factory=dict)
    set_aside: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)
    hidden: list[Any] = field(default_factory=list)
    first_look: Any = None


def short_name(name: str, taken: Iterable[str] = ()) -> str:
    """A name of a few letters for a scan, another than those that are taken.

    The whole name where it is short, else its first word, else its two ends: what differs between the files of a
    series is at the end.

    Examples
    --------
    >>> short_name("ag1_small"), short_name("silver grains (sample)"), short_name("run_of_monday_0017")
    ('ag1_small', 'silver', 'run_…0017')
    >>> short_name("run_of_monday_0017", taken=["run_…0017"])
    'run_…0 2'
    """
    name, taken = " ".join(name.split()) or "scan", set(taken)
    first, half = name.split()[0], (LONGEST - 1) // 2
    for found in (name, first, f"{name[:half]}{ELLIPSIS}{name[-half:]}"):
        if len(found) <= LONGEST and found not in taken:
            return found
    best, number = min((n for n in (name, first) if len(n) <= LONGEST), default=found), 2
    while f"{best[: LONGEST - 1 - len(str(number))]} {number}" in taken:
        number += 1
    return f"{best[: LONGEST - 1 - len(str(number))].rstrip()} {number}"


def role_parts(role: str) -> tuple[str, str]:
    """A layer's role as its kind and the representation that it is of; empty where it is of the scan.

    Examples
    --------
    >>> role_parts("grains/aa"), role_parts("virtual_image")
    (('grains', 'aa'), ('virtual_image', ''))
    """
    kind, _, feature = role.partition("/")
    return kind, feature
