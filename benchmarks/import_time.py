"""Time of `import napari_stemnmf` and of importing the manifest's modules, each in fresh interpreters.

python benchmarks/import_time.py [REPEATS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import yaml

import napari_stemnmf

MEASURE = """
import resource, sys, time
def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
wall, used = time.perf_counter(), cpu()
{statement}
print(time.perf_counter() - wall, cpu() - used, len(sys.modules))
"""


def measure(statement: str, repeats: int) -> None:
    """Print the median of several runs, after one that fills the caches."""
    code = MEASURE.format(statement=statement)
    runs = []
    for _ in range(repeats + 1):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        runs.append([float(value) for value in done.stdout.split()])
    wall, used, modules = (statistics.median(column) for column in zip(*runs[1:], strict=True))
    print(f"{wall:8.3f} s wall  {used:8.3f} s CPU  {modules:6.0f} modules  {statement}")


def main() -> None:
    """Measure the package alone, and everything that napari may import to show its menus."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    manifest = yaml.safe_load(Path(napari_stemnmf.__file__).with_name("napari.yaml").read_text(encoding="utf-8"))
    modules = sorted({c["python_name"].partition(":")[0] for c in manifest["contributions"]["commands"]})
    for statement in ["pass", "import napari_stemnmf", *(f"import {module}" for module in modules)]:
        measure(statement, repeats)


if __name__ == "__main__":
    main()
