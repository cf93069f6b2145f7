"""The docs say what the code does."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def anchor(heading: str) -> str:
    """The name that a heading's link has on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, fragment = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE) if fragment else []
        if not there.exists() or (fragment and fragment not in map(anchor, headings)):
            wrong.append(target)
    assert not wrong


def test_every_page_of_the_docs_is_reachable_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "index.md" and f"({page.name})" not in index
    ] == []


def test_the_settings_page_is_current() -> None:
    spec = importlib.util.spec_from_file_location("settings_page", ROOT / "tools" / "settings_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == module.page(), "run: make docs"


def test_the_command_line_page_names_every_command_and_option() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")

    def usage(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "napari_stemnmf.cli", *command, "--help"],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    commands = re.findall(r"^    (\w+)(?:  |$)", usage(), re.MULTILINE)
    assert {"info", "run", "calibrate", "score", "demo"} <= set(commands)
    for command in commands:
        assert f"`stemnmf {command}" in page
        for option in set(re.findall(r"(?<![\w-])--[a-z-]+", usage(command))) - {"--help"}:
            assert option in page, f"stemnmf {command} {option}"


def test_the_analysis_file_page_names_every_group() -> None:
    from napari_stemnmf.analysis import Analysis

    page = (ROOT / "docs" / "analysis-file.md").read_text(encoding="utf-8")
    assert [f.name for f in fields(Analysis) if not re.search(f"`{f.name}\\b", page)] == []


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/calibration.md"])
def test_python_examples_run(page: str, tmp_path: Path) -> None:
    from napari_stemnmf.simulation.sample import sample

    sample(scan_shape=(24, 24)).save(tmp_path / "scan.h5")
    code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "scan.stemnmf.h5").is_file()
