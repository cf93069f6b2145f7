"""What all tests lean on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("house")  # the machine is shared: no check may depend on its speed

SHARED = Path(os.environ.get("STEMNMF_SHARED") or Path(__file__).resolve().parents[2] / "shared" / "data")
"""Folder of measured and simulated data that lies beside the project, not in it."""


def pytest_configure(config: pytest.Config) -> None:
    """Where several workers share the tests, each has a screen of its own: a window has the focus of its screen."""
    if "PYTEST_XDIST_WORKER" in os.environ and shutil.which("Xvfb"):
        config.add_cleanup(_own_screen())


def _own_screen() -> Callable[[], None]:
    """Start a screen without a monitor and make it this process's; returns what ends it."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1920x1200x24", "-nolisten", "tcp"]
    screen = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        os.environ["DISPLAY"] = f":{told.readline().strip()}"
    return screen.terminate


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data (``films/``, ``real/``, ``readers/``...); skips the test where it is absent."""
    if not (SHARED / "films").is_dir():
        pytest.skip(f"the shared data is not at {SHARED}; set STEMNMF_SHARED to its folder")
    return SHARED


@pytest.fixture(scope="session")
def measured() -> Callable[[Path], np.ndarray]:
    """Reads all patterns of the only experiment of an .hspy file."""

    def read(path: Path) -> np.ndarray:
        with h5py.File(path) as file:
            (experiment,) = file["Experiments"].values()
            return experiment["data"][:]

    return read
