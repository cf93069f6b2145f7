"""Result dataclasses <-> HDF5 groups.

A dataclass becomes a group: arrays are datasets, plain values are attributes, nested dataclasses and dictionaries are
groups, all named after their fields, so that h5py alone can read the file. Tuples of plain values (named ones too) are
attributes, or datasets where they are long, tuples of flat records become one table, a sparse array a group of the
three arrays that it consists of. It uses h5py and is independent of the stages.
"""

from __future__ import annotations

import functools
import platform
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import metadata
from typing import Any, TypeVar

import h5py
import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from napari_stemnmf import __version__
from napari_stemnmf.errors import DataError
from napari_stemnmf.files.hdf5_chunks import is_complete, whole
from napari_stemnmf.files.writing import atomic_write as atomic_write

T = TypeVar("T")
_CSR = "csr"
_KIND = "kind"
"""Attribute that tells which of several dataclasses a group holds, where it is not the first: its `STORED_AS`."""
_MOST = 2000
"""Values of a tuple that is an attribute, which cannot be large; a longer one is a dataset."""
_OVERHEAD = 2048  # bytes that HDF5 takes for the description of a dataset or group


def write(parent: h5py.Group, name: str, value: Any) -> None:
    """Write a value below `parent`; None is left out."""
    if value is None:
        return
    if isinstance(value, np.ndarray):
        packed = value.dtype == bool or value.dtype.kind in "iu"
        options = {"compression": "gzip", "compression_opts": 1} if packed and value.size > 4096 else {}
        parent.create_dataset(name, data=value, **options)
    elif isinstance(value, csr_array):
        group = parent.create_group(name)
        group.attrs.update({"layout": _CSR, "shape": value.shape})
        for part in ("data", "indices", "indptr"):
            write(group, part, getattr(value, part))
    elif isinstance(value, pd.DataFrame):
        group = parent.create_group(name, track_order=True)
        for column in value.columns:
            data = value[column].to_numpy()
            text = data.dtype.kind not in "biuf"
            values = np.array([_text(value) for value in data], object) if text else data
            group.create_dataset(column, data=values, dtype=h5py.string_dtype() if text else None)
    elif is_dataclass(value):
        group = parent.create_group(name)
        if kind := getattr(type(value), "STORED_AS", ""):
            group.attrs[_KIND] = kind
        for f in fields(value):
            if f.init:
                write(group, stored_name(f), getattr(value, f.name))
    elif isinstance(value, Mapping):
        group = parent.create_group(name, track_order=True)
        for key, item in value.items():
            write(group, str(key), item)
    elif isinstance(value, tuple) and value and is_dataclass(value[0]):
        _write_records(parent, name, value)
    elif isinstance(value, tuple | list):
        text = bool(value) and isinstance(value[0], str)
        items = [_text(item) for item in value] if text else list(value)
        make = parent.attrs.create if len(items) <= _MOST else parent.create_dataset
        make(name, data=items, dtype=h5py.string_dtype() if text else None)
    elif isinstance(value, str):
        parent.attrs.create(name, _text(value), dtype=h5py.string_dtype())
    else:
        parent.attrs[name] = value


def _text(value: Any) -> bytes:
    """A text as a file keeps it. Names that are no UTF-8 come back as they were; what cannot be kept is replaced."""
    text = str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def room_for(value: Any) -> int:
    """Bytes that `write` takes for a value at most."""
    if isinstance(value, np.ndarray):
        return int(value.nbytes) + _OVERHEAD
    if isinstance(value, csr_array):
        return sum(room_for(part) for part in (value.data, value.indices, value.indptr))
    if isinstance(value, pd.DataFrame):
        return sum(room_for(value[column].to_numpy()) for column in value.columns)
    if is_dataclass(value):
        return sum(room_for(getattr(value, f.name)) for f in fields(value) if f.init)
    if isinstance(value, Mapping):
        return sum(map(room_for, value.values())) + _OVERHEAD
    if isinstance(value, tuple | list):
        return sum(map(room_for, value))
    return 4 * len(value) if isinstance(value, str) else _OVERHEAD // 8


def read(parent: h5py.Group, name: str, kind: Any) -> Any:
    """The inverse of `write`; `kind` is the type hint of what is read. None where nothing was written.

    Raises
    ------
    DataError
        If what is there is not what `kind` says: a number for an array, an array of other things than numbers...
    """
    wanted = _among(parent, name, kind)
    origin, inner = typing.get_origin(wanted), typing.get_args(wanted)
    if name in parent.attrs:
        return _plain_value(parent.attrs[name], wanted, name)
    if name not in parent:
        return {} if origin is dict or wanted is dict else () if origin is tuple else None
    node = parent[name]
    if isinstance(node, h5py.Group) and node.attrs.get("layout") == _CSR:
        return _read_csr(node)
    if wanted is np.ndarray or origin is np.ndarray:
        return _array(node)
    if wanted is pd.DataFrame:
        return pd.DataFrame({column: _column(below) for column, below in _group(node).items()})
    if is_dataclass(wanted):
        return _read_dataclass(_group(node), wanted)  # type: ignore[arg-type]
    if origin is dict:
        return {key: read(node, key, inner[1]) for key in [*_group(node).attrs, *node]}
    if (origin is tuple or wanted is tuple) and isinstance(node, h5py.Dataset) and node.dtype.names is None:
        return _plain_value(np.array([_plain(v) for v in node[()].tolist()], object), wanted, name)
    if origin is tuple and is_dataclass(inner[0]):
        return _read_records(node, inner[0])  # type: ignore[arg-type]
    if wanted is dict or wanted is Any:
        if isinstance(node, h5py.Dataset) and wanted is Any:
            return _array(node)
        return {key: read(node, key, Any) for key in [*_group(node).attrs, *node]}
    raise DataError(f"{node.name} holds something else than {_called(wanted)}")


def _among(parent: h5py.Group, name: str, kind: Any) -> Any:
    """Of several types that something may have, the one that the file says that it has."""
    if not (isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union):
        return kind
    kinds = [k for k in typing.get_args(kind) if k is not type(None)]
    if len(kinds) == 1:
        return kinds[0]
    written = parent[name].attrs.get(_KIND, "") if name in parent else ""
    fitting = [k for k in kinds if getattr(k, "STORED_AS", "") == written]
    if not fitting:
        raise DataError(f"{name} is of a kind that is not known here")
    return fitting[0]


def _plain_value(value: Any, kind: Any, name: str) -> Any:
    """A value that was written as an attribute, where it is of its kind."""
    if typing.get_origin(kind) is tuple or kind is tuple or isinstance(value, np.ndarray):
        if not isinstance(value, np.ndarray) or value.ndim != 1:
            raise DataError(f"{name} is no list of plain values")
        items = tuple(_plain(v) for v in value.tolist())
        if hasattr(kind, "_fields"):
            return kind(*[_plain_value(v, k, name) for v, k in zip(items, _fields_of(kind), strict=True)])
        inner = typing.get_args(kind)
        if kind not in (Any, tuple) and typing.get_origin(kind) is not tuple:
            raise DataError(f"{name} is a list, not {_called(kind)}")
        if inner and Ellipsis not in inner and len(items) != len(inner):
            raise DataError(f"{name} has {len(items)} values, not {len(inner)}")
        return tuple(_plain_value(v, inner[0], name) for v in items) if inner else items
    value = value.item() if isinstance(value, np.generic) else value
    allowed = {float: (float, int), int: (int,), bool: (bool,), str: (str,)}.get(kind, (bool, int, float, str))
    if (kind is not Any and kind not in (float, int, bool, str)) or not isinstance(value, allowed):
        raise DataError(f"{name} is {value!r:.40}, not {_called(kind)}")
    if isinstance(value, bool) and kind in (int, float):
        raise DataError(f"{name} is {value!r}, not {_called(kind)}")
    return float(value) if kind is float else value


def _fields_of(kind: Any) -> list[Any]:
    """The types of a named tuple's fields."""
    return list(typing.get_type_hints(kind).values())


def _called(kind: Any) -> str:
    """What people call a type."""
    words = {float: "a number", int: "a whole number", bool: "True or False", str: "a text", np.ndarray: "an array"}
    return words.get(kind, getattr(kind, "__name__", str(kind)))


def _group(node: Any) -> h5py.Group:
    if not isinstance(node, h5py.Group):
        raise DataError(f"{node.name} is an array where a group belongs")
    return node


def _array(node: Any) -> np.ndarray:
    """An array of numbers of which all was written, in this machine's byte order."""
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"{node.name} is a group where an array belongs")
    if node.dtype.kind not in "biuf" or (node.dtype.kind == "f" and node.dtype.itemsize not in (4, 8)):
        raise DataError(f"{node.name} holds {node.dtype}, no numbers that can be computed with")
    if not is_complete(node):
        raise DataError(f"{node.name} was not written to its end")
    values = whole(node)
    if node.dtype.kind == "b":
        return np.asarray(values.view(np.uint8) != 0) if values.ndim else values
    return np.asarray(values, values.dtype.newbyteorder("="))


def _column(node: Any) -> np.ndarray:
    """A column of a table: numbers or texts."""
    if isinstance(node, h5py.Dataset) and h5py.check_string_dtype(node.dtype):
        return np.asarray(node.asstr()[()])
    return _array(node)


def _read_csr(node: h5py.Group) -> csr_array:
    """A sparse array whose indices and row pointers fit its shape: compiled code follows them without looking."""
    data, indices, indptr = (_array(node[part]) if part in node else None for part in ("data", "indices", "indptr"))
    shape = np.asarray(node.attrs.get("shape", ()))
    if data is None or indices is None or indptr is None or shape.shape != (2,) or shape.dtype.kind not in "iu":
        raise DataError(f"{node.name} is no sparse array")
    if any(part.ndim != 1 for part in (data, indices, indptr)) or {indices.dtype.kind, indptr.dtype.kind} - {"i", "u"}:
        raise DataError(f"{node.name} is no sparse array: its parts are no lists of whole numbers")
    rows, columns = (int(n) for n in shape)
    if rows < 0 or columns < 0 or len(indptr) != rows + 1 or len(indices) != len(data):
        raise DataError(f"{node.name} has {len(indptr) - 1} rows of a sparse array, not {rows}")
    if indptr[0] != 0 or indptr[-1] != len(data) or (indptr[1:] < indptr[:-1]).any():
        raise DataError(f"{node.name} has row pointers that lead out of it")
    if len(indices) and (indices.min() < 0 or indices.max() >= columns):
        raise DataError(f"{node.name} has column {int(indices.max())} of {columns}")
    return csr_array((data, indices, indptr), shape=(rows, columns))


def stored_name(f: Field[Any]) -> str:
    """What a field is called in files: its name, or the one of the version that first wrote it."""
    return str(f.metadata.get("stored", f.name))


def _read_dataclass(node: h5py.Group, kind: type[T]) -> T:
    """Fields that were not written take their defaults: they were None, or are newer than the file.

    A class that was stored otherwise by former versions has a method `former`, which gives the fields of such a file.
    """
    hints = typing.get_type_hints(kind)
    found = {f.name: read(node, stored_name(f), hints[f.name]) for f in fields(kind) if f.init}  # type: ignore[arg-type]
    former = getattr(kind, "former", None)
    found |= former(node) if former is not None else {}
    absent = {f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING}  # type: ignore[arg-type]
    for name, value in found.items():
        if value is None and name not in absent and type(None) not in typing.get_args(hints[name]):
            raise DataError(f"{node.name} lacks {name}")
    return kind(**{name: value for name, value in found.items() if value is not None or name not in absent})


def _write_records(parent: h5py.Group, name: str, records: tuple[Any, ...]) -> None:
    """Flat records as one table; records that hold arrays as numbered groups."""
    names = [f.name for f in fields(records[0])]
    columns = {n: [getattr(r, n) for r in records] for n in names}
    if all(isinstance(v, bool | int | float | str | np.generic) for values in columns.values() for v in values):
        kinds = {n: h5py.string_dtype() if isinstance(v[0], str) else np.asarray(v).dtype for n, v in columns.items()}
        table = np.empty(len(records), dtype=[(n, kinds[n]) for n in names])
        for n in names:
            table[n] = [_text(v) for v in columns[n]] if isinstance(columns[n][0], str) else columns[n]
        parent.create_dataset(name, data=table)
    else:
        group = parent.create_group(name)
        for i, record in enumerate(records):
            write(group, f"{i:04d}", record)


def _read_records(node: h5py.Group | h5py.Dataset, kind: type[T]) -> tuple[T, ...]:
    if not isinstance(node, h5py.Dataset):
        if not all(key.isascii() and key.isdigit() for key in node):
            raise DataError(f"{node.name} is no list of records")
        return tuple(_read_dataclass(_group(node[key]), kind) for key in sorted(node, key=int))
    hints = typing.get_type_hints(kind)
    names, needed = node.dtype.names or (), {f.name for f in fields(kind) if f.default is MISSING}  # type: ignore[arg-type]
    if node.ndim != 1 or not needed <= set(names) <= set(hints):
        raise DataError(f"{node.name} is no table of {kind.__name__}")
    return tuple(kind(**{n: _plain_value(_plain(row[n]), hints[n], n) for n in names}) for row in node[()])


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value.item() if isinstance(value, np.generic) else value


def versions() -> dict[str, str]:
    """Of this package and those that the numbers depend on; none of them is imported for it."""
    return {"napari-stemnmf": __version__, "python": platform.python_version(), **_installed()}


@functools.cache
def _installed() -> dict[str, str]:
    """Versions of packages, which are looked for in all that is installed: once."""
    names = ("numpy", "scipy", "numba", "scikit-learn", "scikit-image", "h5py")
    return {name: metadata.version(name) for name in names}
