"""The workers of a dask cluster: how they are reached, looked at, given blocks, and what happens when some are lost.

A client is never made the process's default, and one that was given stays its owner's. Workers open the scan by its
path and send back what they found; what all blocks need (kernels) goes to each worker once. dask.distributed is
imported when it is asked for, not before.
"""

from __future__ import annotations

import pickle
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from napari_stemnmf.control import Control
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.streaming.pools import POLL_SECONDS

TIMEOUT = 5
"""Seconds that a scheduler has to answer in."""
WORKERS_TIMEOUT = 30
"""Seconds that a scheduler without a worker is waited for, at first and when it has lost all."""
COUNT_SECONDS = 10
"""How often the threads of all workers are counted, as workers come and go."""
TRIES = 5
"""How often a block is sent again whose answer, or what it needs, was lost with its worker."""
ALIKE = ("napari_stemnmf", "numpy", "scipy", "numba", "h5py", "dask", "distributed", "cloudpickle")
"""Packages of which workers need the versions of this process: numbers or what is sent depend on them."""


class Cluster:
    """Blocks are run by the workers of a dask scheduler (a `streaming.pools.Pool`).

    Parameters
    ----------
    client : distributed.Client
        Stays its owner's.

    Raises
    ------
    StemNMFError
        If it is no client, or asynchronous or closed, there is no worker, or one has another version of a package.
    """

    here = False

    def __init__(self, client: Any) -> None:
        if not hasattr(client, "scatter"):
            raise StemNMFError(f"A dask client was expected, not {client!r}; make one: distributed.Client(address).")
        if client.asynchronous or client.status != "running":
            what = "An asynchronous" if client.asynchronous else "A closed"
            raise StemNMFError(f"{what} dask client cannot run an analysis; make one that is neither.")
        self._client = client
        self._counted, self._threads = float("-inf"), 0
        self._manned = time.monotonic()
        with self._speaking():
            if not self.side_by_side:
                self._wait_for_a_worker()
            look_at_versions(client.get_versions(packages=list(ALIKE)))

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        return str(getattr(self._client.scheduler, "address", "") or "its address")

    @property
    def side_by_side(self) -> int:
        """Threads of all workers."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            with self._speaking():
                self._threads = sum(self._client.nthreads().values())
            self._counted = time.monotonic()
        return self._threads

    def shared(self, value: Any) -> Any:
        shared = _Shared(value)
        self._send(shared)
        return shared

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        task = _Task(fn, args)
        self._start(task)
        return task

    def answer(self, task: Any, control: Control) -> Any:
        for _ in range(TRIES):
            while not task.future.done():
                control.check()
                self._look_for_workers()
                task.ended.wait(POLL_SECONDS)
            control.check()
            try:
                with self._speaking():
                    return task.future.result(timeout=TIMEOUT * 12).value
            except CancelledError:  # a worker took with it what the task needs, or the scheduler began anew
                self._wait_for_scheduler(control)
                for each in task.args:
                    if isinstance(each, _Shared):
                        self._send(each)
                self._start(task)
        raise StemNMFError(
            f"The workers of the dask scheduler at {self.address} were lost {TRIES} times at the same block; "
            "look at their logs, and give them more memory."
        )

    def drop(self, task: Any) -> None:
        if self._client.status == "running":
            task.future.cancel()

    def close(self) -> None:
        """The client stays its owner's."""

    def _wait_for_a_worker(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=WORKERS_TIMEOUT)
        except TimeoutError as error:
            raise StemNMFError(
                f"The dask scheduler at {self.address} has no worker; start one: dask worker {self.address}."
            ) from error
        self._counted = float("-inf")

    def _send(self, shared: _Shared) -> None:
        for again in reversed(range(TRIES)):  # the worker that it goes to may die just then
            try:
                with self._speaking():  # one worker: the others fetch it from each other
                    shared.future = self._client.scatter([Own(shared.value)], hash=False)[0]
                return
            except Exception:
                if not again or self._client.status != "running":
                    raise
                time.sleep(POLL_SECONDS)

    def _start(self, task: _Task) -> None:
        shared = [each for each in task.args if isinstance(each, _Shared)]
        args = tuple(_Place(shared.index(each)) if isinstance(each, _Shared) else each for each in task.args)
        with self._speaking():
            task.ended.clear()
            work = Own((task.fn, args))
            task.future = self._client.submit(run, work, *(each.future for each in shared), key=_key(task), pure=False)
            task.future.add_done_callback(lambda _: task.ended.set())

    def _wait_for_scheduler(self, control: Control) -> None:
        """Until the client has reached a scheduler with a worker again; an error if it gives up."""
        end = time.monotonic() + WORKERS_TIMEOUT
        while time.monotonic() < end and self._client.status not in ("closed", "closing"):
            control.check()
            if self._client.status == "running":
                self._counted = float("-inf")
                if self.side_by_side:
                    return
            time.sleep(POLL_SECONDS)
        raise self._lost()

    def _look_for_workers(self) -> None:
        """Raise if there is nobody who could answer, and has not been for a while."""
        if self._client.status in ("closed", "closing"):
            raise self._lost()
        if self.side_by_side:
            self._manned = time.monotonic()
        elif time.monotonic() - self._manned > WORKERS_TIMEOUT:
            raise self._lost()

    def _lost(self) -> StemNMFError:
        return StemNMFError(
            f"The dask scheduler at {self.address} does not answer any more, or has lost all workers; "
            "what was finished is kept: start it, and run again."
        )

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Errors of the connection as one sentence; a CancelledError is for the caller."""
        from distributed import KilledWorker

        try:
            yield
        except KilledWorker as error:
            raise StemNMFError(
                f"A block ended every dask worker that worked on it, the last at {error.last_worker.address}; "
                "look at the worker's log, and give it more memory."
            ) from error
        except OSError as error:  # that of a closed connection and that of a timeout are such
            raise self._lost() from error


class Own:
    """A value that arrives as it was sent: arrays own their memory, and lie in it as they did.

    What distributed sends beside the pickle is a view of what was received, wherever that begins. Such an array is
    read-only and may be at an odd address: compiled code is then compiled once more, and sums come in another order.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        import cloudpickle

        return _owned, (cloudpickle.dumps(self.value, protocol=4),)  # later protocols leave the arrays out


def _owned(pickled: bytes) -> Own:
    return Own(pickle.loads(pickled))


def run(work: Own, *shared: Own) -> Own:
    """Do the work of a task; runs in a worker."""
    fn, args = work.value
    return Own(fn(*(shared[each.number].value if isinstance(each, _Place) else each for each in args)))


@dataclass(frozen=True)
class _Place:
    """Stands for a shared value in the arguments of a task."""

    number: int


def _key(task: _Task) -> str:
    """What the scheduler calls a task: its function and a number of its own."""
    return f"{task.fn.__name__}-{uuid.uuid4().hex}"


@dataclass(eq=False)
class _Shared:
    """A value that all workers hold, and the future that stands for it."""

    value: Any
    future: Any = None


@dataclass(eq=False)
class _Task:
    """What was asked for, so that it can be asked for again."""

    fn: Callable[..., Any]
    args: tuple[Any, ...]
    future: Any = None
    ended: threading.Event = field(default_factory=threading.Event)


def look_at_versions(found: Mapping[str, Any]) -> None:
    """Raise a StemNMFError that names the first worker that cannot do the work of this process, and why.

    Parameters
    ----------
    found : mapping
        As ``distributed.Client.get_versions`` gives it: of the client, and of workers by address.
    """
    mine = versions_of(found["client"])
    for address, worker in found["workers"].items():
        theirs = versions_of(worker)
        for name, version in mine.items():
            if theirs.get(name) == version:
                continue
            has = f"{name} {theirs[name]}" if theirs.get(name) else f"no {name}"
            raise StemNMFError(
                f"The dask worker {address} has {has}, this process has {name} {version}; "
                "install the same version there."
            )


def versions_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Versions of Python (without the last number) and of `ALIKE`, by the names that pip knows."""
    python = ".".join(str(dict(found["host"]).get("python", "")).split(".")[:2])
    packages = {str(name): version for name, version in dict(found["packages"]).items()}
    return {"Python": python} | {name.replace("_", "-"): packages.get(name) or "" for name in ALIKE}


class Schedulers:
    """Connections to dask schedulers, one for each address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def executor(self, address: str) -> Cluster:
        """What runs blocks on the workers of the scheduler at an address, as in "tcp://host:8786".

        A StemNMFError if nobody answers there, ``dask.distributed`` is not installed, or the workers do not fit.
        """
        with self._lock:
            client = self._clients.get(address)
            if client is None or client.status != "running":
                client = self._clients[address] = connected(address)
        return Cluster(client)

    def close(self) -> None:
        """Leave all schedulers."""
        with self._lock:
            while self._clients:
                self._clients.popitem()[1].close()


def connected(address: str) -> Any:
    """A client of the scheduler at an address, which is nobody's default; a StemNMFError if there is none."""
    distributed = _distributed()
    try:
        return distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StemNMFError(
            f"There is no dask scheduler at {address}; start it ('dask scheduler', then 'dask worker {address}'), "
            "or name none."
        ) from error


@contextmanager
def workers_at(address: str | None = None, processes: int = 0) -> Iterator[Cluster | None]:
    """The workers of the scheduler at an address, or so many processes of this machine; None for threads.

    Connection and processes end with the context.
    """
    if address:
        client = connected(address)
        try:
            yield Cluster(client)
        finally:
            client.close()
    elif processes:
        distributed = _distributed()
        options = {"n_workers": processes, "threads_per_worker": 1, "dashboard_address": None}
        with (
            distributed.LocalCluster(**options) as cluster,
            distributed.Client(cluster, timeout=WORKERS_TIMEOUT, set_as_default=False) as client,
        ):
            yield Cluster(client)
    else:
        yield None


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise StemNMFError(
            "A dask cluster was asked for, and the package 'distributed' is not installed: pip install distributed."
        ) from error
    return distributed
