"""Many scans, one after the other: their files, their folders, one table of all, and what of it needs a look first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_stemnmf.errors import Cancelled, ReadError, StemNMFError
from napari_stemnmf.export.tables import table_of, to_csv
from napari_stemnmf.files.writing import plain_name, result_file

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.control import Progress
    from napari_stemnmf.recipe import Recipe

ANALYSIS_NAME = "analysis.stemnmf.h5"
SURE = 0.9
"""A grain whose confidence is under this, or that something speaks against, needs a look."""
SCANS, GRAINS, QUEUE = "scans.csv", "grains.csv", "to-review.csv"
"""The tables of a batch: a row a scan and representation, a row a grain, and the grains that need a look."""
MOST = 10_000
"""Files of a folder that are looked at."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of one file.

    Attributes
    ----------
    file, folder : Path
        The scan, and where its results are.
    tables : dict of DataFrame
        By representation, its grains without those that were rejected.
    unexplained : dict of float
        By representation, the share of the diffracted intensity that no grain explains; NaN where it is not known.
    error : str
        Why there are no results; empty where there are.
    """

    file: Path
    folder: Path
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    unexplained: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def of(cls, file: Path, folder: Path, analysis: Analysis) -> Outcome:
        """That of an analysis."""
        from napari_stemnmf.grains.unexplained import whole

        share = {
            name: whole(found, analysis.peaks, analysis.calibration)
            for name, found in analysis.unexplained.items()
            if analysis.peaks is not None and analysis.calibration is not None
        }
        return cls(file, folder, {name: table_of(analysis, name) for name in analysis.tables}, share)

    def line(self) -> str:
        """In a few words, as in "18 grains, 2 need a look"."""
        if self.error:
            return self.error
        several = len(self.tables) > 1
        said = []
        for name, table in self.tables.items():
            look = int(needs_look(table).sum())
            told = f", {look} need{'s' * (look == 1)} a look" if look else ""
            said.append(f"{f'{name.upper()}: ' if several else ''}{len(table)} grain{'s' * (len(table) != 1)}{told}")
        return "; ".join(said) or "no grains"


def needs_look(table: pd.DataFrame) -> np.ndarray:
    """(g,) which grains of a table nobody has decided on and are not sure, or something speaks against."""
    confidence = table["confidence"].to_numpy(np.float64) if "confidence" in table else np.full(len(table), np.nan)
    against, decided = (_says(table, name) for name in ("reason", "verdict"))
    return np.asarray(~decided & (against | ~(confidence >= SURE)))


def _says(table: pd.DataFrame, name: str) -> np.ndarray:
    """(g,) where a column of texts says something; nowhere if it is not there."""
    values = table[name].tolist() if name in table else [""] * len(table)
    return np.array([isinstance(value, str) and bool(value) for value in values], bool)


def scans_in(paths: Iterable[str | Path]) -> list[Path]:
    """The scans among files, and of folders that are no scan themselves, by name.

    Raises
    ------
    ReadError
        If a folder holds no scan, or a file is given twice.
    """
    from napari_stemnmf.reading.opening import can_open

    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir() or can_open(path):
            found.append(path)
            continue
        inside = sorted(path.iterdir())[:MOST]
        scans = [each for each in inside if not each.name.startswith(".") and _may_be(each) and can_open(each)]
        if not scans:
            raise ReadError(f"The folder {path} holds no scan; give the files themselves.")
        found += scans
    twice = next((path for i, path in enumerate(found) if path in found[:i]), None)
    if twice is not None:
        raise ReadError(f"The scan {twice} is given twice; give each one once.")
    return found


def _may_be(path: Path) -> bool:
    """Whether a file of a folder can be meant as a scan: results of ours are not."""
    from napari_stemnmf.files.writing import FILE_SUFFIX

    return not path.name.endswith(FILE_SUFFIX) and (path.is_file() or path.suffix == ".zarr")


def folders(files: Sequence[Path], out: Path) -> list[Path]:
    """A folder for each file, named after it; those of the same name are numbered."""
    names = [plain_name(file.name.partition("::")[0].rpartition(".")[0] or file.name) for file in files]
    taken: list[str] = []
    for name in names:
        number, unique = 2, name
        while unique in taken:
            number, unique = number + 1, f"{name}-{number}"
        taken.append(unique)
    return [out / name for name in taken]


def write_batch(outcomes: Sequence[Outcome], out: Path) -> list[Path]:
    """Write the tables of what came of all files so far.

    Raises
    ------
    AnalysisError
        If a file cannot be written.
    """
    rows: list[dict[str, object]] = []
    tables = []
    for each in outcomes:
        at: dict[str, object] = {"scan": str(each.file), "folder": each.folder.name}
        if each.error:
            rows.append(at | {"error": each.error})
        for name, table in each.tables.items():
            look = needs_look(table)
            found = {"grains": len(table), "need a look": int(look.sum())}
            rows.append(at | {"representation": name, **found, "not explained": each.unexplained.get(name, np.nan)})
            whose = at | {"representation": name}
            tables.append(pd.concat([pd.DataFrame([whose] * len(table), index=table.index), table], axis=1))
    columns = ["scan", "folder", "representation", "grains", "need a look", "not explained", "error"]
    grains = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns[:3])
    queue = grains[needs_look(grains)] if len(grains) else grains
    if "confidence" in queue:
        queue = queue.sort_values("confidence", kind="stable", na_position="first")
    targets = {SCANS: pd.DataFrame(rows, columns=columns), GRAINS: grains, QUEUE: queue}
    for name, table in targets.items():
        with result_file(out / name) as part:
            to_csv(table, part)
    return [out / name for name in targets]


def failed(file: Path, folder: Path, error: StemNMFError) -> Outcome:
    """A file of which nothing came."""
    return Outcome(file, folder, error=str(error))


def run_one(
    file: Path,
    folder: Path,
    recipe: Recipe,
    *,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> Outcome:
    """Find the grains of a scan, with all its results in a folder; one that was reviewed there is taken as it is.

    Raises
    ------
    Cancelled
        If it was stopped; what was finished is kept, and the next run goes on from there.
    """
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.export.results import write_results
    from napari_stemnmf.files.locks import held
    from napari_stemnmf.files.writing import make_folder
    from napari_stemnmf.pipeline import analyse
    from napari_stemnmf.reading.opening import open as open_scan
    from napari_stemnmf.resuming import unfinished

    try:
        path = make_folder(folder) / ANALYSIS_NAME
        with held(path, "a batch"):
            earlier = Analysis.load(path) if path.exists() else None
            if earlier is not None and any(review.edits for review in earlier.reviews.values()):
                return Outcome.of(file, folder, earlier)
            how = {"workers": workers, "progress": progress, "cancel": cancel, "path": path}
            analysis = analyse(open_scan(str(file)), recipe, **how)  # type: ignore[arg-type]
            write_results(analysis, folder, earlier)
            unfinished(path).unlink(missing_ok=True)
        return Outcome.of(file, folder, analysis)
    except Cancelled:
        raise
    except StemNMFError as error:
        return failed(file, folder, error)
