"""What a study does: its films, their sizes and the recipe of each; and which of its steps are done, in ``study.json``.

A step has a key, which names what it was made from, and files. It is current while the key is the same and the files
are there; everything else is made again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_stemnmf import __version__
from napari_stemnmf.analysis import is_analysis
from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.files.writing import read_text, write_text
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.study.paper import FILMS, MIN_SIZE, NANOWIRE, SEEDS
from napari_stemnmf.texts import is_plain, why

MANIFEST = "study.json"
FORMAT = "napari-stemnmf study"
LARGEST = 2**24
"""Bytes of a record, at most."""
ENGINES = ("kinematic", "multislice")
QUICK_SEEDS = 3
PRESET = "paper"
AA_THRESHOLDS = (0.3, 0.4, 0.5)
"""AA is clustered at each: both ends of the paper's own range, and below it, where the preset has been."""
WIRE = {
    "aa.clustering.components": 100,
    "bd.clustering.components": 100,
    "aa.clustering.merge_threshold": 0.5,
    "bd.clustering.merge_threshold": 0.25,
}
"""What the nanowire takes other than the preset: the upper ends of the paper's merge thresholds, as the maps of grains
on a narrow wire correlate; and a start that does not depend on the scree, in which carbon and thickness hide them."""


@dataclass(frozen=True)
class Size:
    """How a film is simulated."""

    scan: tuple[int, int]
    detector: int


FULL = {**dict.fromkeys(FILMS, Size((100, 100), 252)), NANOWIRE: Size((220, 50), 432)}
QUICK = {**dict.fromkeys(FILMS, Size((48, 48), 126)), NANOWIRE: Size((60, 24), 144)}


@dataclass(frozen=True)
class Plan:
    """The settings of a study."""

    quick: bool  # small films and few seeds: to see that all works, not to compare numbers
    engine: str  # of the films that are simulated; the nanowire is always kinematic
    seeds: int  # random starts of each clustering
    given: dict[str, Path]  # films that are there already
    films: tuple[str, ...]  # all films of the study, in order

    def size(self, film: str) -> Size:
        """How a film is simulated if it is not given."""
        return (QUICK if self.quick else FULL)[film]

    def engine_of(self, film: str) -> str:
        """The engine that a film is simulated by if it is not given."""
        return "kinematic" if film == NANOWIRE else self.engine

    def recipe(self, film: str) -> Recipe:
        """Preset ``paper`` with the number of seeds and the paper's least region, and `WIRE` for the nanowire."""
        changes: dict[str, Any] = {"*.clustering.seeds": self.seeds, "*.refinement.min_size": MIN_SIZE[film]}
        if film == NANOWIRE:
            changes |= WIRE
        return Recipe.preset(PRESET).replaced(changes)

    @property
    def preset_threshold(self) -> float:
        """The preset's merge threshold of AA."""
        return Recipe.preset(PRESET).aa.clustering.merge_threshold

    def thresholds(self, film: str) -> tuple[float, ...]:
        """Merge thresholds of AA to try beside the preset's; none for the nanowire, which the paper does not score."""
        return () if film == NANOWIRE else tuple(t for t in AA_THRESHOLDS if t != self.preset_threshold)

    def variant(self, film: str, threshold: float) -> Recipe:
        """The recipe of AA alone at another merge threshold."""
        return self.recipe(film).replaced({"features": ("aa",), "aa.clustering.merge_threshold": threshold})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the record."""
        return {
            "quick": self.quick,
            "engine": self.engine,
            "seeds": self.seeds,
            "preset": PRESET,
            "films": list(self.films),
            "given": {name: str(path) for name, path in self.given.items()},
            "simulated": {name: asdict(self.size(name)) for name in self.films if name not in self.given},
        }


def make_plan(
    *, quick: bool = False, films: str | Path | None = None, engine: str = "kinematic", seeds: int | None = None,
    nanowire: bool = True,
) -> Plan:  # fmt: skip
    """The plan of a study; see `study.reproduce` for the arguments.

    Raises
    ------
    DataError
        If the engine is unknown, seeds are not positive, or the folder of films holds none of them.
    """
    if engine not in ENGINES:
        raise DataError(f"There is no engine '{engine}'; choose from {', '.join(ENGINES)}.")
    if seeds is not None and seeds < 1:
        raise DataError(f"A clustering needs at least one seed, not {seeds}.")
    wanted = (*FILMS, NANOWIRE) if nanowire else FILMS
    given = {} if films is None else {n: p for n, p in find_films(films).items() if n in wanted}
    return Plan(quick, engine, seeds or (QUICK_SEEDS if quick else SEEDS), given, wanted)


def find_films(folder: str | Path) -> dict[str, Path]:
    """The films in a folder by name: HDF5 files whose names begin with ag1, ag2, ag3 or nanowire.

    Raises
    ------
    DataError
        If there is no such folder, it holds none of them, or two of the same name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} with films.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name: str | None = next((n for n in (*FILMS, NANOWIRE) if path.name.lower().startswith(n)), None)
        if name is None or path.suffix.lower() not in (".h5", ".hdf5") or is_analysis(path) or not path.is_file():
            continue
        if name in found:
            raise DataError(f"Two files in {folder} may be {name}: {found[name].name} and {path.name}; keep one there.")
        found[name] = path.resolve()
    if not found:
        raise DataError(f"{folder} holds no film; names begin with {', '.join((*FILMS, NANOWIRE))} and end with .h5.")
    return found


def key_of(*parts: object) -> str:
    """A short hash of what a step is made from; the package's version is part of it."""
    return hashlib.sha256("\n".join(map(repr, (__version__, *parts))).encode()).hexdigest()[:16]


def _is_record(record: Any) -> bool:
    """Whether what a file holds is the record of a study."""
    if not isinstance(record, dict) or record.get("format") != FORMAT or not isinstance(record.get("steps"), dict):
        return False
    return all(
        isinstance(step, dict)
        and isinstance(step.get("key"), str)
        and isinstance(step.get("files"), list)
        and all(isinstance(name, str) and is_plain(name) for name in step["files"])
        for step in record["steps"].values()
    )


class Manifest:
    """The record of a study in its folder; written after each step.

    Raises
    ------
    AnalysisError
        If the folder holds a ``study.json`` of something else, or a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / MANIFEST
        self.record: dict[str, Any] = {"format": FORMAT, "steps": {}}
        if self.path.exists():
            try:
                self.record = json.loads(read_text(self.path, LARGEST))
            except (OSError, ValueError, RecursionError) as error:
                raise AnalysisError(f"{self.path} cannot be read: {why(error)}; choose another folder.") from error
            if not _is_record(self.record):
                raise AnalysisError(f"{self.path} is not the record of a study; choose another folder.")

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """By name: key, files, seconds, when it was finished."""
        return self.record["steps"]

    def note(self, **entries: object) -> None:
        """Keep something beside the steps: settings, inputs, versions."""
        self.record.update(entries)
        self._write()

    def is_current(self, name: str, key: str) -> bool:
        """Whether a step was made from the same, and its files are there."""
        step = self.steps.get(name)
        return step is not None and step["key"] == key and all((self.folder / f).is_file() for f in step["files"])

    def step(self, name: str, key: str, make: Callable[[], Sequence[Path]]) -> bool:
        """Do a step unless it is current; `make` returns its files. Returns whether it was done."""
        if self.is_current(name, key):
            return False
        began = time.perf_counter()
        self.done(name, key, make(), time.perf_counter() - began)
        return True

    def done(self, name: str, key: str, files: Iterable[Path], seconds: float) -> None:
        """Keep that a step is done."""
        self.steps[name] = {
            "key": key,
            "files": [path.relative_to(self.folder).as_posix() for path in files],
            "seconds": round(seconds, 2),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._write()

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget steps that the study no longer has."""
        wanted = set(names)
        self.record["steps"] = {name: step for name, step in self.steps.items() if name in wanted}
        self._write()

    def _write(self) -> None:
        write_text(self.path, json.dumps(self.record, indent=2, ensure_ascii=False) + "\n")
