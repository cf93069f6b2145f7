"""Small films for the study."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_stemnmf.simulation.sample import sample


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three films of 24 x 24 positions."""
    folder = tmp_path_factory.mktemp("films")
    for seed, name in enumerate(("ag1_tiny.h5", "Ag2.h5", "ag3-tiny.h5")):
        sample(scan_shape=(24, 24), detector_shape=(48, 48), seed=seed).save(folder / name)
    return folder
