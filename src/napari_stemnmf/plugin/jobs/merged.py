"""Results of a run, joined with what the user did to the analysis while it ran. Pure functions; no Qt.

A run starts from the analysis as it is then, and hands back another. If the session's analysis is still the one that
it started from, that is simply the new one. Else both have changed: what the run has found is taken over, what it left
alone stays as the user has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from napari_stemnmf import stages

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

_ABSENT = object()


def merged(given: Analysis | None, present: Analysis | None, found: Analysis) -> Analysis:
    """What a session holds when a run ends.

    Parameters
    ----------
    given : Analysis or None
        What the run started from.
    present : Analysis or None
        What the session holds now.
    found : Analysis
        What the run ended with.

    Returns
    -------
    Analysis
        `found`, with what was changed in `present` meanwhile. Grains that were edited while new ones were sought stay,
        as the user's hand goes before; what was measured of them before an edit is stale by its key.
    """
    if present is None or present is given:
        return found
    base = type(found)(found.recipe, found.input, view=found.view) if given is None else given
    changes = {f.name: _joined(*(getattr(a, f.name) for a in (base, present, found))) for f in fields(found)}
    for feature in found.grains:
        if _differ(base, present, feature) and _differ(base, found, feature):
            _keep(changes, present, feature)
    return replace(found, **changes)


def _joined(base: Any, present: Any, found: Any) -> Any:
    if not isinstance(found, Mapping):
        return present if _same(base, found) else found
    names = dict.fromkeys((*present, *found))
    chosen = {}
    for name in names:
        was, new = base.get(name, _ABSENT), found.get(name, _ABSENT)
        value = present.get(name, _ABSENT) if _same(was, new) else new
        if value is not _ABSENT:
            chosen[name] = value
    return chosen


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, str) and a == b)


def _differ(a: Analysis, b: Analysis, feature: str) -> bool:
    return a.grains.get(feature) is not b.grains.get(feature)


def _keep(changes: dict[str, Any], present: Analysis, feature: str) -> None:
    """Put what belongs to the grains of a feature back to how the session has it."""
    of_grains = stages.results_after("grains")
    pairs = [(name, feature) for name in ("reviews", *of_grains)]
    pairs += [(name, f"{result}/{feature}") for name in ("keys", "times") for result in of_grains]
    for name, key in pairs:
        mine = getattr(present, name)
        changes[name] = {k: v for k, v in changes[name].items() if k != key}
        if key in mine:
            changes[name][key] = mine[key]
