"""Answers of a stage on disk as they come, so that a run that was killed goes on at the block or window that it was in.

A `Journal` is one file beside the analysis, of the stage that is running: answers one after the other, each with a
checksum. `Recorded` is a pool that asks it first. What is asked of a pool in a stage, and in which order, depends on
the scan and the settings alone, so the n-th answer of a run is the n-th answer of the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import logging
import struct
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from napari_stemnmf.control import Control
from napari_stemnmf.streaming.pools import Executor, Pool, Threads, pool_of
from napari_stemnmf.texts import why
from napari_stemnmf.threads import default_workers

logger = logging.getLogger(__name__)

_HEAD = struct.Struct("<8sQ16s")
"""Before each record: a mark, its length, and its checksum."""
_MARK = b"stemnmf\n"
_OURS = "napari_stemnmf."


class Journal:
    """Answers of a stage, by number.

    Parameters
    ----------
    path : Path
        The file; one of another key, or of none, is written anew.
    key : str
        Of what the answers depend on.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self._key = path, key
        self._known: list[tuple[int, int, str]] = []  # where each begins, its length, and what was asked
        self._end = 0
        self._works = True
        with contextlib.suppress(OSError):
            self._look()

    def __len__(self) -> int:
        return len(self._known)

    def asked(self, number: int, what: str) -> bool:
        """Whether the answer to the question of a number is there; where another was asked, those after it are not."""
        if number < len(self._known) and self._known[number][2] != what:
            self._end = self._known[number][0]
            del self._known[number:]
        return number < len(self._known)

    def answer(self, number: int) -> Any:
        """The answer of a number, as it was kept."""
        first, length, _ = self._known[number]
        with self.path.open("rb") as file:
            file.seek(first + _HEAD.size)
            return unpacked(file.read(length))[1]

    def keep(self, number: int, what: str, answer: Any) -> None:
        """Write an answer. Where that cannot be done the run goes on without, as it can be computed again."""
        if number != len(self._known) or not self._works or getattr(answer, "unfinished", False):
            return
        try:
            if not self._end:
                self._append("wb", packed([self._key, None]))
            record = packed([what, answer])
            first = self._end
            self._append("r+b", record)
            self._known.append((first, len(record), what))
        except OSError as error:
            self._works = False
            logger.warning(
                "%s cannot be written (%s): a run that is stopped begins its step anew.", self.path, why(error)
            )

    def remove(self) -> None:
        """Delete the file: what it holds is in the analysis."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _append(self, mode: str, record: bytes) -> None:
        digest = hashlib.blake2b(record, digest_size=16).digest()
        with self.path.open(mode) as file:
            file.seek(self._end)
            file.write(_HEAD.pack(_MARK, len(record), digest))
            file.write(record)
            file.truncate()
            self._end = file.tell()

    def _look(self) -> None:
        """Find what is whole: up to where a run was killed while it wrote."""
        with self.path.open("rb") as file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                mark, length, digest = _HEAD.unpack(head)
                record = file.read(length) if mark == _MARK else b""
                if len(record) != length or hashlib.blake2b(record, digest_size=16).digest() != digest:
                    return
                what = asked_in(record)
                if not self._end and what != self._key:
                    return
                if self._end:
                    self._known.append((self._end, length, what))
                self._end += _HEAD.size + length


class Recorded:
    """A pool (`streaming.pools.Pool`) that takes from a journal what is there, and writes what is not.

    Parameters
    ----------
    journal : Journal
    executor, workers
        The pool that works on what is not there, as for `pool_of`.
    """

    def __init__(self, journal: Journal, executor: Executor | None = None, workers: int | None = None) -> None:
        self._journal, self._workers = journal, workers
        self._given = None if executor is None else pool_of(executor, workers)
        self._threads: Threads | None = None
        self._number = 0

    @property
    def _pool(self) -> Pool:
        if self._given is not None:
            return self._given
        if self._threads is None:
            self._threads = Threads(self._workers)
        return self._threads

    @property
    def side_by_side(self) -> int:
        if self._given is not None:
            return self._given.side_by_side
        return default_workers() if self._workers is None else max(1, self._workers)

    @property
    def here(self) -> bool:
        return self._given is None or self._given.here

    def shared(self, value: Any) -> Any:
        return self._pool.shared(value)

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        number, what = self._number, " ".join([fn.__name__, *(each for each in args if isinstance(each, str))])
        self._number += 1
        known = self._journal.asked(number, what)
        return _Question(number, what, None if known else self._pool.submit(fn, *args))

    def answer(self, task: Any, control: Control) -> Any:
        if task.of_pool is None:
            control.check()
            return self._journal.answer(task.number)
        answer = self._pool.answer(task.of_pool, control)
        self._journal.keep(task.number, task.what, answer)
        return answer

    def drop(self, task: Any) -> None:
        if task.of_pool is not None:
            self._pool.drop(task.of_pool)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.close()
            self._threads = None


class _Question(NamedTuple):
    """What was asked of a pool, and there the task; None where the answer is known."""

    number: int
    what: str
    of_pool: Any


# ---- answers as bytes: numbers, texts, lists, dicts, arrays, and the package's own dataclasses of these; no code


def packed(value: Any) -> bytes:
    """A value as bytes: first a description, then the arrays."""
    arrays: list[np.ndarray] = []
    tree = json.dumps(_tree(value, arrays)).encode()
    return b"".join([struct.pack("<Q", len(tree)), tree, *(array.tobytes() for array in arrays)])


def unpacked(record: bytes) -> Any:
    """The inverse of `packed`; a ValueError where it is none."""
    (length,) = struct.unpack_from("<Q", record)
    reader = _Reader(record, 8 + length)
    return reader.value(json.loads(record[8 : 8 + length]))


def asked_in(record: bytes) -> str:
    """What was asked, of a record of that and the answer."""
    (length,) = struct.unpack_from("<Q", record)
    return str(json.loads(record[8 : 8 + length])["list"][0])


def _tree(value: Any, arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        turned = array.flags.f_contiguous and not array.flags.c_contiguous  # sums go along the memory
        arrays.append(np.ascontiguousarray(array.T if turned else array))
        return {"array": [array.dtype.str, *array.shape]} | ({"turned": True} if turned else {})
    if isinstance(value, csr_array):
        parts = [value.data, value.indices, value.indptr]
        return {"csr": [_tree(part, arrays) for part in parts], "shape": [int(n) for n in value.shape]}
    if isinstance(value, list):
        return {"list": [_tree(each, arrays) for each in value]}
    if isinstance(value, tuple):
        return {"tuple": [_tree(each, arrays) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[str(key), _tree(each, arrays)] for key, each in value.items()]}
    kind = type(value)
    if not is_dataclass(value) or not kind.__module__.startswith(_OURS):
        raise TypeError(f"{kind.__name__} cannot be kept in a journal")
    within = {f.name: _tree(getattr(value, f.name), arrays) for f in fields(value) if f.init}
    return {"of": f"{kind.__module__}:{kind.__name__}", "fields": within}


class _Reader:
    """Reads the arrays of a record in turn, after its description."""

    def __init__(self, record: bytes, at: int) -> None:
        self._record, self._at = record, at

    def value(self, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        if "float" in tree:
            return float.fromhex(tree["float"])
        if "array" in tree:
            dtype, *shape = tree["array"]
            turned = "turned" in tree
            array = self._array(np.dtype(dtype), tuple(shape[::-1] if turned else shape))
            return array.T if turned else array
        if "csr" in tree:
            return csr_array(tuple(self.value(part) for part in tree["csr"]), shape=tuple(tree["shape"]))
        if "list" in tree:
            return [self.value(each) for each in tree["list"]]
        if "tuple" in tree:
            return tuple(self.value(each) for each in tree["tuple"])
        if "dict" in tree:
            return {key: self.value(each) for key, each in tree["dict"]}
        module, _, name = tree["of"].partition(":")
        if not module.startswith(_OURS):
            raise ValueError(f"{module} is none of this package")
        kind = getattr(importlib.import_module(module), name)
        if not (isinstance(kind, type) and is_dataclass(kind)):
            raise ValueError(f"{name} is no kind of result")
        return kind(**{key: self.value(each) for key, each in tree["fields"].items()})

    def _array(self, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        if dtype.kind not in "biuf" or any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError(f"an array of {dtype} cannot be read")
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(self._record, dtype, count, self._at).reshape(shape).copy()
        self._at += array.nbytes
        return array
