"""Blocks of a read on the workers of a dask scheduler, not on threads. Leans on dask.distributed, imported late."""

from __future__ import annotations

import threading
from typing import Any

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.streaming.engine import Executor

TIMEOUT = 5
"""Seconds that a scheduler has to answer in."""
_clients: dict[str, Any] = {}
_lock = threading.Lock()


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
    with _lock:
        client = _clients.get(address)
        if client is None or client.status != "running":
            try:
                client = _clients[address] = Client(address, timeout=TIMEOUT, set_as_default=False)
            except (OSError, ValueError) as error:
                raise StemNMFError(
                    f"There is no dask scheduler at {address}; start it, or empty the field in the preferences."
                ) from error
        return client.get_executor()  # type: ignore[no-any-return]


def disconnect() -> None:
    """Let go of all schedulers."""
    with _lock:
        for client in _clients.values():
            client.close()
        _clients.clear()
