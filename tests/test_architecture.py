"""The house's walls: who may import whom, and what a quick import may not pull in."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

import napari_stemnmf

PACKAGE = Path(napari_stemnmf.__file__).parent

FLOORS = (
    (
        "texts",
        "errors",
        "compiled",
        "memory",
        "control",
        "memory",
        "files",
        "settings",
        "stage_settings",
        "representation_settings",
        "recipe",
        "gaps",
        "scan_shape",
        "dataset",
        "units",
        "threads",
    ),  # the ground
    (
        "reading",
        "streaming",
        "preprocessing",
        "preparation",
        "disks",
        "calibration",
        "features",
        "clustering",
        "grains",
        "simulation",
        "orientation",
    ),
    ("stage_functions", "stages", "analysis_checks", "analysis", "resuming", "corrections", "cost", "pipeline"),
    ("figures", "export", "study"),
    ("plugin", "cli"),  # the faces
)
"""What lies on which floor. A room may import rooms of lower floors, and those before it on its own."""

ORDER = [room for floor in FLOORS for room in floor]
DESKTOP = {"napari", "qtpy", "magicgui", "pyqtgraph", "superqt", "PyQt5", "PyQt6", "PySide2", "PySide6", "vispy"}
HEAVY = ("sklearn", "numba", "distributed", "dask.distributed", "matplotlib")


class Import(NamedTuple):
    """One import statement's target, where it stands, and whether only type checkers follow it."""

    source: str
    target: str
    line: int
    for_types: bool

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}: imports {self.target}"


def module_name(path: Path) -> str:
    parts = ["napari_stemnmf", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(module: str, path: Path) -> Iterator[Import]:
    """Every import in a file, wherever it stands, with relative ones and those of submodules made absolute."""
    anchor = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def visit(node: ast.AST, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, for_types)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), anchor)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                if name == "napari_stemnmf.__version__":
                    continue
                home = napari_stemnmf._HOMES.get(alias.name) if base == "napari_stemnmf" else None
                if home is not None:
                    name = f"{base}.{home}"
                yield Import(module, name if name in MODULES else base, node.lineno, for_types)
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, for_types or (is_type_checking(node) and field == "body"))

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), False)


IMPORTS = [found for module, path in MODULES.items() for found in imports(module, path)]


def room(module: str) -> str:
    """The part of the house that a module of the package lies in; "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def manifest_modules() -> list[str]:
    manifest = yaml.safe_load((PACKAGE / "napari.yaml").read_text(encoding="utf-8"))
    names = [command["python_name"] for command in manifest["contributions"]["commands"] if "python_name" in command]
    return sorted({name.partition(":")[0] for name in names})


def modules_after(statements: str) -> set[str]:
    """What a fresh interpreter has imported after it ran the statements."""
    code = f"import json, sys\n{statements}\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_part_of_the_package_has_its_floor() -> None:
    assert {room(module) for module in MODULES} - {""} <= set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward_only(module: str) -> None:
    here = room(module)
    wrong = []
    for found in IMPORTS:
        there = room(found.target)
        if found.source != module or not found.target.startswith("napari_stemnmf") or here in ("", there):
            continue
        if there == "" or ORDER.index(there) > ORDER.index(here):
            wrong.append(str(found))
    assert not wrong


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others."""
    reached: dict[str, set[str]] = {}
    for module in arrows:
        found: set[str] = set()
        waiting = [module]
        while waiting:
            for target in arrows[waiting.pop()] - found:
                found.add(target)
                waiting.append(target)
        reached[module] = found
    groups = {tuple(sorted(m for m in reached[module] if module in reached[m])) for module in arrows}
    return [list(group) for group in sorted(groups) if group]


def test_no_modules_import_each_other() -> None:
    """Neither at once, nor late in a function, nor for type checkers."""
    arrows = {
        module: {found.target for found in IMPORTS if found.source == module} & set(MODULES) for module in MODULES
    }
    for module, targets in arrows.items():
        targets -= {module, "napari_stemnmf"}
    assert circles(arrows) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


STATEFUL = {"set", "dict", "list", "deque", "Lock", "RLock", "Condition", "Event", "Counter", "defaultdict"}
STATEFUL |= {"WeakValueDictionary", "WeakKeyDictionary", "WeakSet", "Queue", "SimpleQueue", "count", "local"}


def module_state(path: Path) -> list[str]:
    """Names of a module that hold what may change: empty containers, locks, and what `global` rebinds."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names]
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        empty = isinstance(value, ast.Dict | ast.List | ast.Set) and not (
            getattr(value, "elts", None) or getattr(value, "keys", None)
        )
        called = isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in STATEFUL and not value.args
        if empty or called:
            found.append(ast.unparse(node).partition("=")[0].strip())
    return found


@pytest.mark.parametrize("module", MODULES)
def test_modules_keep_no_state(module: str) -> None:
    assert module_state(MODULES[module]) == []


def test_state_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "state.py"
    path.write_text(
        "import threading\nLIMIT = 3\n_known: dict = {}\n_lock = threading.Lock()\n\ndef f():\n    global LIMIT\n"
    )
    assert module_state(path) == ["LIMIT", "_known: dict", "_lock"]


def test_modules_fit_on_a_few_screens() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in MODULES.items()}
    assert {module: n for module, n in lengths.items() if n > 350} == {}


def test_the_package_itself_imports_its_parts_for_type_checkers_only() -> None:
    assert [
        str(found)
        for found in IMPORTS
        if found.source == "napari_stemnmf" and not found.for_types and "." in found.target
    ] == []


def test_nothing_outside_the_plugin_imports_napari_or_qt() -> None:
    wrong = [
        str(found) for found in IMPORTS if found.target.split(".")[0] in DESKTOP and room(found.source) != "plugin"
    ]
    assert not wrong


def test_the_walls_catch_a_wrong_import(tmp_path: Path) -> None:
    path = tmp_path / "hals.py"
    path.write_text("def f():\n    from ..plugin import hooks\n    import napari.layers\n", encoding="utf-8")
    targets = [found.target for found in imports("napari_stemnmf.clustering.hals", path)]
    assert [room(targets[0]), targets[1]] == ["plugin", "napari.layers"]


def private_uses(path: Path) -> list[str]:
    """Private names that a module takes from what it did not define itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {"_replace", "_fields", "_asdict"}  # of named tuples, and public
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            whose = ast.unparse(node.value)
            if whose not in ("self", "cls", "super()") and node.attr not in own:
                found.append(f"line {node.lineno}: {whose}.{node.attr}")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in DESKTOP:
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found += [f"line {node.lineno}: {name}" for name in names if name.startswith("_")]
    return found


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) == "plugin"])
def test_the_plugin_uses_nothing_private_of_napari_or_qt(module: str) -> None:
    assert private_uses(MODULES[module]) == []


def test_private_uses_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "dock.py"
    path.write_text("from napari._qt import x\n\ndef f(viewer):\n    viewer.window._qt_viewer.canvas\n    self._mine\n")
    assert sorted(private_uses(path)) == ["line 1: _qt", "line 4: viewer.window._qt_viewer"]


def test_importing_the_package_imports_nothing_else() -> None:
    added = modules_after("import napari_stemnmf") - modules_after("import importlib, typing, __future__")
    assert added == {"napari_stemnmf"}


def test_scanning_the_manifest_imports_nothing_heavy() -> None:
    modules = manifest_modules()
    assert modules
    after = modules_after("\n".join(f"import {module}" for module in ["napari_stemnmf", *modules]))
    assert sorted(after & set(HEAVY)) == []


def test_the_manifest_at_the_root_is_the_package_s() -> None:
    root = Path(__file__).resolve().parents[1] / "napari.yaml"
    assert root.read_bytes() == (PACKAGE / "napari.yaml").read_bytes()
