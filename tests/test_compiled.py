"""Kernels work where what is compiled cannot be kept: a read-only installation, a damaged or full cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import napari_stemnmf

KERNEL = """
from napari_stemnmf.compiled import njit

@njit(nogil=True, cache=True)
def twice(x):
    return 2 * x
"""
CALLED = "import kernel; print(kernel.twice(21), sum(kernel.twice.stats.cache_hits.values()))"
NOWHERE = """
import numba.core.caching as caching
def refused(self):
    raise OSError(30, "Read-only file system")
caching._CacheLocator.ensure_cache_path = refused
"""
"""What numba's cache finds where nothing can be written."""


def call(folder: Path, before: str = "") -> str:
    """What a fresh process says that calls a kernel of that folder: its result, and whether it was kept."""
    said = subprocess.run(
        [sys.executable, "-c", f"{before}\n{CALLED}"], capture_output=True, text=True, timeout=120, cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kernel.py").write_text(KERNEL)
    return tmp_path


def test_what_is_compiled_is_kept(folder: Path) -> None:
    assert call(folder) == "42 0"
    assert call(folder) == "42 1"


def test_a_damaged_cache_is_compiled_again(folder: Path) -> None:
    call(folder)
    for path in (folder / "__pycache__").glob("*.nb?"):
        path.write_bytes(path.read_bytes()[:20])
    assert call(folder) == "42 0"
    assert call(folder) == "42 1", "and is whole again"


def test_a_full_disk_does_not_end_a_kernel(folder: Path) -> None:
    pytest.importorskip("resource")
    assert call(folder, "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))") == "42 0"


def test_an_installation_without_any_place_to_write(folder: Path) -> None:
    assert call(folder, NOWHERE) == "42 0"
    assert call(folder, NOWHERE) == "42 0"


def test_every_kernel_can_do_without_a_cache() -> None:
    source = Path(napari_stemnmf.__file__).parent
    numba_s = [path.name for path in source.rglob("*.py") if "from numba import njit" in path.read_text("utf-8")]
    assert numba_s == []


@pytest.mark.skipif(not shutil.which("unshare") or os.geteuid() != 0, reason="needs the right to mount")
def test_a_read_only_installation(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(
        Path(napari_stemnmf.__file__).parent, site / "napari_stemnmf", ignore=shutil.ignore_patterns("__pycache__")
    )
    mounted = f"mount --bind {site} {site} && mount -o remount,ro,bind {site}"
    if subprocess.run(["unshare", "-m", "sh", "-c", mounted], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    code = "import napari_stemnmf.disks.search as s, napari_stemnmf.features.simd; print(s.__file__)"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{mounted} && {sys.executable} -c '{code}'"],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(site), "HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(site) in done.stdout
