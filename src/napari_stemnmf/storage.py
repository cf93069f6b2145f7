"""Result dataclasses <-> HDF5 groups.

A dataclass becomes a group: arrays are datasets, plain values are attributes, nested dataclasses and dictionaries are
groups, all named after their fields, so that h5py alone can read the file. Tuples of plain values (named ones too) are
attributes, tuples of flat records become one table, a sparse array a group of the three arrays that it consists of.
It uses h5py and is independent of the stages.
"""

from __future__ import annotations

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
from napari_stemnmf.files import atomic_write as atomic_write

T = TypeVar("T")
_CSR = "csr"
_KIND = "kind"
"""Attribute that tells which of several dataclasses a group holds, where it is not the first: its `STORED_AS`."""
_MOST = 1000
"""Values of a tuple that become an attribute; HDF5 has room for 64 KiB. More are a dataset."""
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
            group.create_dataset(
                column, data=data.astype(object) if text else data, dtype=h5py.string_dtype() if text else None
            )
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
        keep = parent.attrs.create if len(value) <= _MOST else parent.create_dataset
        keep(name, data=list(value), dtype=h5py.string_dtype() if text else None)
    else:
        parent.attrs[name] = str(value) if isinstance(value, str) else value


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
    return len(value) if isinstance(value, str) else _OVERHEAD // 8


def read(parent: h5py.Group, name: str, kind: Any) -> Any:
    """The inverse of `write`; `kind` is the type hint of what is read. None where nothing was written.

    Raises
    ------
    KeyError, TypeError, ValueError, OSError
        If what is there does not have the layout of `kind`.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, types.UnionType) or origin is typing.Union:
        kinds = [k for k in inner if k is not type(None)]
        written = parent[name].attrs.get(_KIND, "") if name in parent else ""
        kind = next(k for k in kinds if getattr(k, "STORED_AS", "") == written) if len(kinds) > 1 else kinds[0]
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if name in parent.attrs:
        value = parent.attrs[name]
        if origin is tuple or kind is tuple or isinstance(value, np.ndarray):
            items = tuple(v.decode() if isinstance(v, bytes) else v for v in np.asarray(value).tolist())
            return kind(*items) if hasattr(kind, "_fields") else items
        return value.item() if isinstance(value, np.generic) else value
    if name not in parent:
        return {} if origin is dict or kind is dict else () if origin is tuple else None
    node = parent[name]
    if node.attrs.get("layout") == _CSR:
        return csr_array(tuple(node[part][()] for part in ("data", "indices", "indptr")), shape=node.attrs["shape"])
    if kind is np.ndarray or origin is np.ndarray:
        return node[()]
    if kind is pd.DataFrame:
        return pd.DataFrame({c: d.asstr()[()] if h5py.check_string_dtype(d.dtype) else d[()] for c, d in node.items()})
    if is_dataclass(kind):
        return _read_dataclass(node, kind)  # type: ignore[arg-type]
    if origin is dict:
        keys = [*node.attrs, *node]
        return {key: read(node, key, inner[1]) for key in keys}
    if origin is tuple and is_dataclass(inner[0]):
        return _read_records(node, inner[0])  # type: ignore[arg-type]
    if origin is tuple or kind is tuple:
        return tuple((node.asstr() if h5py.check_string_dtype(node.dtype) else node)[()].tolist())
    if kind is dict or kind is Any:
        if isinstance(node, h5py.Dataset):
            return node[()]
        return {key: read(node, key, Any) for key in [*node.attrs, *node]}
    raise TypeError(f"'{node.name}' holds something that is not a {kind}")


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
    return kind(**{name: value for name, value in found.items() if value is not None or name not in absent})


def _write_records(parent: h5py.Group, name: str, records: tuple[Any, ...]) -> None:
    """Flat records as one table; records that hold arrays as numbered groups."""
    names = [f.name for f in fields(records[0])]
    columns = {n: [getattr(r, n) for r in records] for n in names}
    if all(isinstance(v, bool | int | float | str | np.generic) for values in columns.values() for v in values):
        kinds = {n: h5py.string_dtype() if isinstance(v[0], str) else np.asarray(v).dtype for n, v in columns.items()}
        table = np.empty(len(records), dtype=[(n, kinds[n]) for n in names])
        for n in names:
            table[n] = columns[n]
        parent.create_dataset(name, data=table)
    else:
        group = parent.create_group(name)
        for i, record in enumerate(records):
            write(group, f"{i:04d}", record)


def _read_records(node: h5py.Group | h5py.Dataset, kind: type[T]) -> tuple[T, ...]:
    if isinstance(node, h5py.Dataset):
        rows = node[()]
        return tuple(kind(**{n: _plain(row[n]) for n in rows.dtype.names}) for row in rows)
    return tuple(_read_dataclass(node[key], kind) for key in sorted(node, key=int))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def versions() -> dict[str, str]:
    """Of this package and those that the numbers depend on; none of them is imported for it."""
    others = {
        name: metadata.version(name) for name in ("numpy", "scipy", "numba", "scikit-learn", "scikit-image", "h5py")
    }
    return {"napari-stemnmf": __version__, "python": platform.python_version(), **others}
