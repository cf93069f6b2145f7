"""The scan of an analysis, found again at its old place or beside the analysis."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.reading import opening

logger = logging.getLogger(__name__)


def find_scan(record: Any, beside: Path | None = None) -> Dataset | None:
    """The scan of a record: at its old place, or in the folder `beside`; None if it is gone or has changed.

    Parameters
    ----------
    record : object with ``source``, ``shape``, ``fingerprint`` and perhaps ``metadata`` and ``parts``
        As they were when it was open, ``Analysis.input``.
    beside : path, optional
        Folder to look in, under the file's own name, if it is no longer at its old place: that of the analysis.
    """
    file, _, _ = record.source.partition("::")
    if not file:
        return None
    places = [Path(file)] if beside is None else [Path(file), beside / Path(file).name]
    for place in places:
        if not place.exists():
            continue
        try:
            dataset = open_as_before(record, place)
            if dataset.look(record)[0] == record.fingerprint:
                return dataset
        except StemNMFError as error:
            logger.info("The scan of the analysis cannot be opened: %s", error)
    return None


def open_as_before(record: Any, path: Path) -> Dataset:
    """Open a file as the scan of a `record` was opened: the same dataset in it, scan shape and patterns left out.

    Raises
    ------
    ReadError
        If it cannot be opened so.
    """
    rows, columns = record.shape[:2]
    skipped = int((getattr(record, "metadata", None) or {}).get("skipped_patterns", 0))
    inner = record.source.partition("::")[2] or None
    return opening.open(path, dataset=inner, scan_shape=(rows, columns), drop=skipped)
