"""The scan that an analysis was made of, where it can still be had."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Protocol

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.reading.opening import open as open_scan

logger = logging.getLogger(__name__)


class Record(Protocol):
    """What is known of a scan that was open once; `analysis.Input` is one."""

    @property
    def source(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def fingerprint(self) -> str: ...


def find_scan(record: Record, beside: Path | None = None) -> Dataset | None:
    """The scan that a record is of: at its old place, or in the folder `beside`; None if it is gone or has changed.

    Parameters
    ----------
    record : object with ``source``, ``shape`` and ``fingerprint``
        As they were when it was open, ``Analysis.input``.
    beside : path, optional
        Folder to look in, under the file's own name, if it is no longer at its old place: that of the analysis.
    """
    file, _, inner = record.source.partition("::")
    if not file:
        return None
    places = [Path(file)] if beside is None else [Path(file), beside / Path(file).name]
    rows, columns = record.shape[:2]
    for place in places:
        if not place.exists():
            continue
        try:
            dataset = open_scan(place, dataset=inner or None, scan_shape=(rows, columns))
            if dataset.fingerprint() == record.fingerprint:
                return dataset
        except StemNMFError as error:
            logger.info("The scan of the analysis cannot be opened: %s", error)
    return None
