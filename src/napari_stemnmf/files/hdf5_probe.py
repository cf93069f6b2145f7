"""Whether the HDF5 library survives a file: it is tried out in a process of its own, once for each file.

libhdf5 crashes on some damaged files and loops for ever on others, and no Python code can catch either. So before this
process opens a file, another goes through what is in it: links, attributes, descriptions of datasets, indices of
chunks, and first values. Where the system can fork, that costs a few milliseconds. What the library raises as an error
is no matter here: whoever reads the file meets it again, and says so.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from typing import Any

from napari_stemnmf.errors import ReadError
from napari_stemnmf.files.hdf5_chunks import can_unpack, part

MOST_OBJECTS = 100_000
"""Objects of a file that are looked at, at most; readers list no more than that either."""
CPU_SECONDS, WALL_SECONDS = 2, 15.0
"""A process that takes longer is in a loop, or waits for something that will not come."""
ENOUGH_SECONDS = 0.5
"""CPU time after which a file of very many objects has been looked at for long enough."""
MORE_MEMORY = 2 * 2**30
"""Bytes that going through a file may take."""
WHOLE_VALUES = 2**16
"""Datasets of at most so many values are read whole, of others the first value."""
_FINE, _NO_MEMORY = 0, 3


def prove(*paths: str | os.PathLike[str]) -> None:
    """Raise a `ReadError` for a file on which the HDF5 library crashes or does not come to an end.

    Several files are gone through in one process. What was found holds until a file is written to again.
    """
    keys = {}
    for path in paths:
        with contextlib.suppress(OSError, ValueError):  # whoever opens it says so
            found = os.stat(path)
            keys[os.path.abspath(path)] = (
                found.st_dev,
                found.st_ino,
                found.st_size,
                found.st_mtime_ns,
                found.st_ctime_ns,
            )
    new = [path for path, key in keys.items() if _known().get(path, (None,))[0] != key]
    if len(new) > 1 and sys.platform == "linux" and _forked(*new) == _FINE:
        _known().update({path: (keys[path], "") for path in new})
        new = []
    for path in new:
        _known()[path] = (keys[path], _trouble(path))
    for path in keys:
        if trouble := _known()[path][1]:
            name = os.path.basename(path)
            raise ReadError(f"{name} is damaged: the HDF5 library {trouble} on it; get the file once more.")


def examine(path: str) -> None:
    """Go through an HDF5 file as readers do; links out of it are not followed."""
    import h5py

    began = time.process_time()
    seen: set[tuple[int, int]] = set()
    with h5py.File(path, "r", locking=False) as file:
        waiting: list[tuple[Any, str | None]] = [(file, None)]
        while waiting and len(seen) < MOST_OBJECTS and time.process_time() - began < ENOUGH_SECONDS:
            node, name = waiting.pop()
            if name is not None:
                node = _tried(lambda node=node, name=name: _member(node, name))
                if node is None:
                    continue
            info = h5py.h5o.get_info(node.id)
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            for key in _tried(lambda node=node: list(node.attrs)) or ():
                _tried(lambda node=node, key=key: node.attrs[key])
            if isinstance(node, h5py.Dataset):
                _tried(lambda node=node: _look_at(node))
            elif isinstance(node, h5py.Group):
                waiting += [(node, key) for key in reversed(_tried(lambda node=node: list(node)) or [])]


def _member(group: Any, name: str) -> Any:
    """What a hard link leads to."""
    import h5py

    return group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None


def _look_at(dataset: Any) -> None:
    """A dataset's description, how many chunks it has, and values."""
    _ = dataset.shape, dataset.dtype, dataset.fillvalue, dataset.external
    if dataset.is_virtual:
        dataset.virtual_sources()
        return  # of other files, which are proved by themselves
    if dataset.external or not dataset.size:
        return
    if dataset.chunks:
        dataset.id.get_num_chunks()
        first = (0,) * dataset.ndim
        info = dataset.id.get_chunk_info_by_coord(first)
        if info.byte_offset is None or not info.size or can_unpack(dataset):
            return  # nothing, or what the library does not unpack here
    if dataset.size <= WHOLE_VALUES and not dataset.chunks:
        _ = dataset[()]
    elif dataset.ndim:
        _ = part(dataset, (0,) * dataset.ndim)


def _tried(what: Any) -> Any:
    try:
        return what()
    except MemoryError:
        raise
    except Exception:  # of the library, for whoever reads the file
        return None


@functools.lru_cache(maxsize=1)
def _known() -> dict[str, tuple[tuple[int, ...], str]]:
    """What was found of the files of this process so far, by path: size and times then, and what the library does."""
    return {}


def _trouble(path: str) -> str:
    """What the library does on a file, as the end of "the HDF5 library ..."; empty if it survives it."""
    ended = _forked(path) if sys.platform == "linux" else None
    return _spawned(path) if ended is None else _words(ended)


def _words(ended: int) -> str:
    """What the end of a process says: its exit code, or below zero the signal that ended it."""
    if ended in (-signal.SIGXCPU, -signal.SIGKILL) if os.name == "posix" else False:
        return "does not come to an end"
    if ended == _NO_MEMORY:
        return "asks for more memory than the file can fill"
    return "crashes" if ended < 0 or ended not in (_FINE, 1, 2) else ""


def _forked(*paths: str) -> int | None:
    """How a copy of this process ended that went through files; None where it waited for something that never came."""
    import resource  # here, as what the copy imports it has to write into pages of its own

    import h5py
    from h5py._objects import phil

    _ = h5py.File, resource.RLIMIT_AS
    with warnings.catch_warnings(), phil:  # nobody else is inside the library when the copy is made
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            child = os.fork()
        except OSError:
            return None  # no more processes of this kind
        if not child:
            _in_child(paths)
    began, pause = time.monotonic(), 0.0005
    while True:
        try:
            done, status = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            return None  # somebody else has waited for it
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - began > WALL_SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(pause)
        pause = min(2 * pause, 0.01)


def _in_child(paths: tuple[str, ...]) -> None:
    """Go through files and end this process, without a word."""
    code = _FINE
    with contextlib.suppress(BaseException):
        gc.disable()
        faulthandler.disable()
        _limit(CPU_SECONDS)
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGABRT, signal.SIGXCPU):
            signal.signal(number, signal.SIG_DFL)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        try:
            for path in paths:
                with contextlib.suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
                    examine(path)
        except MemoryError:
            code = _NO_MEMORY
    os._exit(code)


def _limit(seconds: int) -> None:
    """Let this process take so much CPU time and only so much more memory, and leave no core behind."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    with open("/proc/self/statm", encoding="ascii") as file:
        taken = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + MORE_MEMORY, taken + MORE_MEMORY))


def _spawned(path: str) -> str:
    """What the library does on a file in a fresh process: slower, on all systems."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import examine; examine(sys.argv[1])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=WALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "does not come to an end"
    except OSError:
        return ""  # no process can be started here
    return "crashes" if done.returncode < 0 or done.returncode > 2**31 else ""
