"""Writes the reference page of all settings, docs/settings.md, from the fields in `napari_stemnmf.recipe`.

python tools/settings_page.py docs/settings.md
"""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from napari_stemnmf.recipe import PRESETS, Recipe
from napari_stemnmf.settings import walk

HEAD = """# Settings

<!-- Written by `make docs` from src/napari_stemnmf/recipe.py; change it there. -->

Everything that decides the result of a run. Settings that are *automatic* are found from the data. Change them in the
forms in napari, in a recipe file (`stemnmf recipe > mine.toml`), or by name: `stemnmf run --set aa.clustering.seeds=5`,
in Python `recipe.replaced({"aa.clustering.seeds": 5})`. A leading `*` changes a setting for every feature that has it:
`*.refinement.min_size`.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD, *_sections(Recipe(), "")]
    parts.append("## Presets\n\nWhat a preset changes in the defaults above:\n")
    for name, changes in PRESETS.items():
        lines = [f"- `{setting}` = {_shown(value)}" for setting, value in changes.items()]
        parts.append("\n".join([f"### {name}\n", *(lines or ["- nothing"])]) + "\n")
    return "\n".join(parts)


def _sections(node: Any, prefix: str) -> list[str]:
    """A heading and a table for each group of settings."""
    rows = [_row(name, f, value) for name, f, value in walk(node, prefix) if "." not in name.removeprefix(prefix)]
    sections = []
    if rows:
        about = (type(node).__doc__ or "").strip().splitlines()[0]
        table = ["| setting | default | allowed | meaning |", "|---|---|---|---|", *rows]
        sections.append(f"## {prefix.rstrip('.') or 'Recipe'}\n\n{about}\n\n" + "\n".join(table) + "\n")
    for f in fields(node):
        if is_dataclass(getattr(node, f.name)):
            sections += _sections(getattr(node, f.name), f"{prefix}{f.name}.")
    return sections


def _row(name: str, field: Any, value: Any) -> str:
    meta = field.metadata
    unit = f" {meta['unit']}" if meta["unit"] else ""
    default = "automatic" if value is None else _shown(value) + (unit if not isinstance(value, str) else "")
    return f"| `{name}` | {default} | {_allowed(meta, unit)} | {meta['help'].replace('|', chr(92) + '|')} |"


def _allowed(meta: Any, unit: str) -> str:
    if meta["choices"] is not None:
        return ", ".join(f"`{choice}`" for choice in meta["choices"])
    low, high = meta["low"], meta["high"]
    if low is not None and high is not None:
        return f"{low:g} to {high:g}{unit}"
    if low is not None:
        return f"from {low:g}{unit}"
    return f"up to {high:g}{unit}" if high is not None else unit.strip()


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
