"""Blocks of a read on the workers of a dask scheduler, not on threads. Leans on dask.distributed, imported late."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.streaming.engine import Executor

TIMEOUT = 5
"""Seconds that a scheduler has to answer in."""


class Connections:
    """The dask schedulers that this process is connected to: one connection for each address, for all scans."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clients: dict[str, Any] = {}

    @classmethod
    @cache
    def of_the_process(cls) -> Connections:
        """Those of this process."""
        return cls()


def connect(address: str) -> Executor:
    """What runs the blocks of `engine.run_pass` on a scheduler's workers; one connection for each address.

    The workers open the scan by its path, and need this package.

    Parameters
    ----------
    address : str
        As in "tcp://host:8786".

    Raises
    ------
    StemNMFError
        If nobody answers there, or ``dask.distributed`` is not installed.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise StemNMFError(
            "A dask scheduler was named, and the package 'distributed' is not installed: pip install distributed."
        ) from error
    connections = Connections.of_the_process()
    with connections.lock:
        client = connections.clients.get(address)
        if client is None or client.status != "running":
            try:
                client = connections.clients[address] = Client(address, timeout=TIMEOUT, set_as_default=False)
            except (OSError, ValueError) as error:
                raise StemNMFError(
                    f"There is no dask scheduler at {address}; start it, or empty the field in the preferences."
                ) from error
        return client.get_executor()  # type: ignore[no-any-return]


def disconnect() -> None:
    """Leave all schedulers."""
    connections = Connections.of_the_process()
    with connections.lock:
        for client in connections.clients.values():
            client.close()
        connections.clients.clear()
