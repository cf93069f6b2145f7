"""Measured scans for the tests of the calibration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest


@pytest.fixture(scope="session")
def measured() -> Callable[[Path], np.ndarray]:
    """Reads all patterns of the only experiment of an .hspy file."""

    def read(path: Path) -> np.ndarray:
        with h5py.File(path) as file:
            (experiment,) = file["Experiments"].values()
            return experiment["data"][:]

    return read
