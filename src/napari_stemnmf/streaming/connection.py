"""A look at a dask scheduler before anything is run on it: who answers, with which versions and workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_stemnmf.streaming.cluster import ALIKE, Cluster, connected, versions_of

SHOWN = ("napari-stemnmf", "numpy", "numba", "dask", "distributed")
"""Packages whose versions are told, beside Python's; all that matter are compared."""


def described(address: str) -> str:
    """What is at an address: workers, threads, memory, and the versions that they share with this process.

    Raises
    ------
    StemNMFError
        One sentence on what is wrong: nobody answers, there is no worker, or one has another version.
    """
    client = connected(address)
    try:
        Cluster(client)
        workers = client.scheduler_info(n_workers=-1)["workers"]
        return _told(address, workers, versions_of(client.get_versions(packages=list(ALIKE))["client"]))
    finally:
        client.close()


def _told(address: str, workers: Mapping[str, Mapping[str, Any]], versions: Mapping[str, str]) -> str:
    threads = sum(int(worker["nthreads"]) for worker in workers.values())
    memory = sum(int(worker["memory_limit"] or 0) for worker in workers.values())
    hosts = len({worker["host"] for worker in workers.values()})

    def counted(number: int, what: str) -> str:
        return f"{number} {what}{'s' * (number != 1)}"

    machines = f"{counted(len(workers), 'worker')} on {counted(hosts, 'machine')}, {counted(threads, 'thread')}"
    limit = f", {memory / 1e9:.1f} GB" if memory else ""
    alike = ", ".join(f"{name} {versions[name]}" for name in ("Python", *SHOWN) if versions.get(name))
    return f"{address} answers: {machines}{limit}. Versions are as here: {alike}."
