"""What the installed package promises to pip, napari and those who cite it."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, entry_points, packages_distributions
from pathlib import Path

import pytest
import yaml
from npe2 import PluginManifest
from packaging.requirements import Requirement

import napari_stemnmf

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(napari_stemnmf.__file__).parent
NAME = "napari-stemnmf"
LATE = {
    "rsciio": "formats",
    "abtem": "simulation",
    "pyarrow": "parquet",
    "distributed": "distributed",
    "cloudpickle": "distributed",
    "pint": "all",
}
"""Modules of optional dependencies, and the extra that brings each, by itself or with napari. They are imported inside
functions only."""


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(PACKAGE / "napari.yaml")


def test_the_installed_version_is_the_source_s() -> None:
    assert distribution(NAME).version == napari_stemnmf.__version__


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == napari_stemnmf.__version__


def test_the_citation_names_the_paper_and_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == napari_stemnmf.__version__
    assert citation["license"] == "BSD-3-Clause"
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1017/S1431927622012259"
    assert [author["family-names"] for author in paper["authors"]] == ["Bruefach", "Ophus", "Scott"]


def test_the_licence_travels_with_the_package() -> None:
    assert distribution(NAME).metadata["License-Expression"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("BSD 3-Clause License")


def test_the_console_script_is_callable() -> None:
    (script,) = entry_points(group="console_scripts", name="stemnmf")
    assert callable(script.load())


def test_napari_finds_the_manifest(manifest: PluginManifest) -> None:
    (entry,) = entry_points(group="napari.manifest", name=NAME)
    module, _, file = entry.value.partition(":")
    assert PACKAGE / file == Path(importlib.import_module(module).__file__ or "").parent / "napari.yaml"
    assert manifest.name == NAME


def test_every_command_of_the_manifest_is_callable(manifest: PluginManifest) -> None:
    commands = manifest.contributions.commands or []
    assert commands
    for command in commands:
        assert command.id.startswith(f"{NAME}.")
        assert command.python_name is not None
        module, _, name = str(command.python_name).partition(":")
        assert callable(getattr(importlib.import_module(module), name)), command.id


def test_every_contribution_of_the_manifest_names_a_command_there(manifest: PluginManifest) -> None:
    contributions = manifest.contributions
    known = {command.id for command in contributions.commands or []}
    used = [*(contributions.readers or []), *(contributions.writers or []), *(contributions.widgets or [])]
    used += contributions.sample_data or []
    assert all([contributions.readers, contributions.writers, contributions.widgets, contributions.sample_data])
    assert {entry.command for entry in used} <= known


def test_the_file_patterns_of_the_reader_cover_the_analysis_file(manifest: PluginManifest) -> None:
    patterns = {pattern for reader in manifest.contributions.readers or [] for pattern in reader.filename_patterns}
    assert patterns & {"*.h5", "*.stemnmf.h5"}


def third_party_imports() -> list[tuple[str, str, bool]]:
    """(file, module, at module level) of every import from outside the package and the standard library."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inner = {
            node
            for f in ast.walk(tree)
            if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(f)
        }
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            tops = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"napari_stemnmf"}
            found += [(path.name, top, node not in inner) for top in tops]
    return found


def test_what_the_code_imports_is_declared(project: dict) -> None:
    base = {normalised(Requirement(line).name) for line in project["dependencies"]}
    providers = packages_distributions()
    wrong = []
    for file, module, at_top in third_party_imports():
        declared = {normalised(name) for name in providers.get(module, [])} & base
        late = LATE.get(module)
        if not declared and (late is None or late not in project["optional-dependencies"] or at_top):
            wrong.append(f"{file} imports {module}")
    assert not wrong


def test_no_qt_binding_is_among_the_base_dependencies(project: dict) -> None:
    assert not [
        line
        for line in project["dependencies"]
        if re.search(r"(?i)pyqt[56]|pyside", line) or "[" in line.replace("[array]", "")
    ]


def test_the_constraints_name_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []


def test_scripts_are_executable() -> None:
    scripts = [ROOT / ".ci" / "run", *(path for path in (ROOT / "tools").iterdir() if path.suffix == "")]
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []


def test_the_command_tells_the_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "napari_stemnmf.cli", "--version"], capture_output=True, text=True, timeout=120
    )
    assert napari_stemnmf.__version__ in done.stdout, done.stderr
