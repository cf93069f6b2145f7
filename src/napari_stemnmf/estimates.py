"""What a step will cost before it runs: seconds, and the memory that it takes beside what is held already.

A cost is a count of work (pixels read, disks found, products of the factorisation) times a constant of the machine.
The counts come from the sizes of the scan and from what earlier stages found; the speed of reading comes from the
survey of this very scan, and that of clustering from an earlier clustering of the same features. What is not known yet
is guessed from other scans, and the estimate then says that it is rough.

The constants are seconds of one core of a server with two (x86-64 with AVX-512, NumPy with OpenBLAS); those of the
clustering were fitted to the fits that 225 seeds on the simulated films have recorded, with their times. The counts of
work are means over the same films. `benchmarks/estimates.py` compares estimates with what runs take. Leans on settings
and sizes alone: nothing is read and nothing heavy imported, so that a window may ask at every change of a setting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf.dataset import BLOCK_BYTES, Dataset
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.threads import default_workers

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis

STEPS: dict[str, tuple[str, ...]] = {
    "survey": ("survey", "probe"),
    "calibrate": ("survey", "probe", "peaks", "calibration"),
    "featurize": ("survey", "probe", "peaks", "calibration", "features"),
    "cluster": ("models",),
    "refine": ("grains",),
    "measure": ("tables",),
    "recipe": ("survey", "probe", "peaks", "calibration", "features", "models", "grains", "tables"),
}
"""The stages that each step runs where they are missing or stale; "recipe" is all of them."""
SHARED = ("survey", "probe", "peaks", "calibration")
"""Stages that all features have in common."""

READ_PLAIN, READ_PACKED = 0.25e-9, 4e-9
"""Seconds for a byte of patterns, on one core, from a file that holds them as they are (in the system's cache), and
from one that is compressed."""
PACKED = 0.8
"""A file is compressed if it is smaller than this share of its patterns."""
LOOK_PIXEL, PROJECT_PIXEL, DISK_PIXEL = 0.8e-9, {"aa": 0.9e-9, "rv": 1.3e-9}, 10e-9
"""Seconds for a pixel: the survey, each feature of the patterns, and the search for disks."""
DISK, DISK_LATER = 15e-6, 3e-6
"""Seconds for a disk: to find it, and to calibrate with it."""
PROBE_SECONDS = 1.1
"""Of finding the mask and the probe; most of it is the same for all scans."""
MEASURE_PIXEL, MEMBER_PIXEL = 0.9e-9, 0.6e-9
"""Seconds for a pixel of the scan, and for one of a pattern of a grain."""
SEPARATE_MAP, MEASURE_GRAIN, STABLE_MAP = 25e-9, 25e-9, 115e-9
"""Seconds for a probe position of a component map, of a grain's mask, and of another seed's map to compare with."""
DENSE, SPARSE, GRAM, SWEEP = 8.1e-11, 7.4e-10, 1.7e-10, 6.7e-10
"""Seconds of an iteration of NMF for each probe position and component: times the columns of a dense matrix, times the
values of a sparse row, times the components, and once."""
PASSES = {"aa": 97.0, "rv": 157.0, "bd": 113.0}
"""Work of one seed, iterations times components over all its fits, as a multiple of one iteration with the components
that it starts from; at a merge threshold of 0.5."""
PASSES_SLOPE = 3.0
"""How fast that grows with the merge threshold: its logarithm's slope."""
NO_DRAFT = {"aa": 3.2, "rv": 2.4, "bd": 1.7}
"""Factor on that where the first fits are not made on a quarter of the scan."""
DRAFT_ROWS = 1000, 10
"""A draft has at least so many probe positions, and so many for each component."""
FALLING, FALLING_NO_DRAFT = 0.5, 0.8
"""Mean of components over starting components, weighted by the work; with drafts and without."""
SUGGESTED, SUGGESTED_RV_GLOBAL, DISKS = 20, 9, 15
"""What the scree suggests (less for RV if all columns have one scale), and disks of a pattern, where unknown."""
RINGS = 4
"""Rings of AA where they are not known."""
LIBRARIES = 60e6
"""Bytes of compiled code and tables that the first read of a scan brings into memory."""
COPIES = 1.5
"""Copies of a block of patterns that a pass makes, its own included."""


@dataclass(frozen=True)
class Estimate:
    """What a step will cost.

    Attributes
    ----------
    seconds : float
        On the clock; 0 where nothing is missing or stale.
    bytes : float
        The most memory it takes beside what is held already.
    rough : bool
        Whether something that decides the cost had to be guessed.
    why : str
        What the estimate rests on, or what had to be guessed: a sentence.
    """

    seconds: float = 0.0
    bytes: float = 0.0
    rough: bool = False
    why: str = "Nothing is missing or stale."

    def words(self) -> str:
        """As in "about 12 s, 0.4 GB"; "nothing to do" where it costs nothing."""
        if not self.seconds:
            return "nothing to do"
        return f"{'roughly' if self.rough else 'about'} {_time(self.seconds)}, {_memory(self.bytes)}"


@dataclass(frozen=True)
class _Cost:
    """Of one stage: seconds, bytes while it runs, bytes that its result keeps."""

    seconds: float = 0.0
    peak: float = 0.0
    kept: float = 0.0


def estimate(
    analysis: Analysis | None,
    dataset: Dataset | None,
    recipe: Recipe,
    step: str,
    features: Iterable[str] | None = None,
    workers: int | None = None,
    measured_anew: Mapping[str, np.ndarray] | None = None,
    suggested: Mapping[str, int] | None = None,
) -> Estimate:
    """What a step will cost, with what was found so far.

    Parameters
    ----------
    analysis : Analysis or None
        What was found so far: what is current is not computed again, and what took its time tells how fast it goes.
    dataset : Dataset or None
        The scan; its sizes are looked at, no pattern is read. None if it is not open.
    recipe : Recipe
        The settings that the step will run with.
    step : str
        One of `STEPS`.
    features : iterable of str, optional
        Those that the step is for; the recipe's if not given.
    workers : int, optional
        Threads that it will have; all cores by default.
    measured_anew : mapping of ndarray of bool, optional
        By feature, which grains (g,) are to be measured, as `pipeline.changed` tells; all if not given.
    suggested : mapping of int, optional
        By feature, the components that a scree of its features as they are scaled suggests.

    Returns
    -------
    Estimate
    """
    names = tuple(recipe.features if features is None else features)
    scan = _Scan.of(analysis, dataset, recipe, default_workers() if workers is None else max(1, workers))
    if scan is None:
        return Estimate(why="Open a scan.")
    todo = _todo(analysis, recipe, STEPS[step], names)
    if not todo:
        return Estimate()
    cost = _Model(scan, analysis, recipe, todo, measured_anew or {}, suggested or {})
    seconds = held = most = 0.0
    for stage in todo:
        one = cost.of(stage)
        seconds += one.seconds
        most = max(most, held + one.peak)
        held += one.kept
    guessed = " and ".join(cost.guessed)
    why = f"Not known yet: {guessed}." if guessed else "From what earlier stages of this scan found and took."
    return Estimate(max(seconds, 1e-3), max(most, held), bool(guessed), why)


def _todo(analysis: Analysis | None, recipe: Recipe, stages: Sequence[str], names: Sequence[str]) -> list[str]:
    """The stages, as in "models/aa", that are missing or stale, in the order in which they run."""
    failed = {} if analysis is None else analysis.failed
    every = [one for stage in stages for one in ([stage] if stage in SHARED else [f"{stage}/{name}" for name in names])]
    return [
        stage
        for stage in every
        if analysis is None
        or not (analysis.is_current(stage, recipe) or (stage.partition("/")[2] in failed and "features" not in stage))
    ]


@dataclass(frozen=True)
class _Scan:
    """Sizes of a scan: as it is stored, and after crop and binning."""

    n: int
    pixels: int
    width: int
    raw_bytes: float
    block_bytes: float
    packed: bool
    workers: int

    @classmethod
    def of(cls, analysis: Analysis | None, dataset: Dataset | None, recipe: Recipe, workers: int) -> _Scan | None:
        if dataset is None and analysis is None:
            return None
        shape = dataset.shape if dataset is not None else analysis.input.shape  # type: ignore[union-attr]
        kind = dataset.dtype if dataset is not None else np.dtype(analysis.input.dtype)  # type: ignore[union-attr]
        settings = recipe.preprocess
        spans = (settings.scan_y, settings.scan_x, settings.q_y, settings.q_x)
        sizes = [
            size if span is None else max(1, min(span[1], size) - span[0])
            for size, span in zip(shape, spans, strict=True)
        ]
        raw = float(np.prod([float(size) for size in sizes])) * kind.itemsize
        rows, columns = (max(1, size // settings.bin) for size in sizes[2:])
        chunk = BLOCK_BYTES
        if dataset is not None:
            chunk = math.prod(dataset.data.chunksize) * kind.itemsize
        block = min(raw, min(max(chunk, BLOCK_BYTES), 8 * BLOCK_BYTES))
        packed = dataset is not None and _is_packed(dataset)
        return cls(sizes[0] * sizes[1], rows * columns, min(rows, columns), raw, block, packed, workers)

    @property
    def flying(self) -> float:
        """Bytes of the blocks of patterns that a pass holds at a time."""
        return min(self.raw_bytes, self.workers * self.block_bytes) * COPIES


def _of_an_iteration(feature: str, stored: float, components: Any) -> Any:
    """Seconds for each probe position and component, of rows with so many values and a fit of so many components."""
    return stored * (SPARSE if feature == "bd" else DENSE) + components * GRAM + SWEEP


def _fits(model: Any) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Rows times iterations, and components, of every fit, (seeds, most fits); and the number of seeds that ended."""
    ended = [] if model is None else [record.cycles for record in model.seeds if record.status != "cancelled"]
    most = max((len(cycles) for cycles in ended), default=0)
    if not most:
        return None
    rows, components = np.zeros((len(ended), most)), np.zeros((len(ended), most))
    for i, cycles in enumerate(ended):
        rows[i, : len(cycles)] = [cycle.rows * cycle.iterations for cycle in cycles]
        components[i, : len(cycles)] = [cycle.k for cycle in cycles]
    return rows, components, len(ended)


def _is_packed(dataset: Dataset) -> bool:
    path = Path(dataset.source.split("::")[0]) if dataset.source else None
    try:
        return path is not None and path.is_file() and path.stat().st_size < PACKED * dataset.nbytes
    except OSError:
        return False


class _Model:
    """The costs of the stages of one scan; notes in `guessed` what it had to guess."""

    def __init__(
        self,
        scan: _Scan,
        analysis: Analysis | None,
        recipe: Recipe,
        todo: Sequence[str],
        anew: Mapping[str, np.ndarray],
        suggested: Mapping[str, int],
    ) -> None:
        self.scan, self.analysis, self.recipe = scan, analysis, recipe
        self.todo, self.anew, self.suggested = todo, anew, suggested
        self.guessed: list[str] = []

    def of(self, stage: str) -> _Cost:
        """Cost of one stage. Features that share a read of the data count once, with the first of them."""
        name, _, feature = stage.partition("/")
        together = [one.partition("/")[2] for one in self.todo if one.startswith(f"{name}/")]
        if name in ("features", "tables"):
            if feature != together[0]:
                return _Cost()
            return self._features(together) if name == "features" else self._tables(together)
        per_feature = {"models": self._models, "grains": self._grains}
        if name in per_feature:
            return per_feature[name](feature)
        return {"survey": self._survey, "probe": self._probe, "peaks": self._peaks, "calibration": self._calibration}[
            name
        ]()

    # ---- what is known

    def _guess(self, what: str) -> None:
        if what not in self.guessed:
            self.guessed.append(what)

    def _result(self, name: str, feature: str = "") -> Any:
        """What a stage has found, stale or not; None if it has not run."""
        found = getattr(self.analysis, name, None)
        return found.get(feature) if feature and found is not None else found

    @property
    def _values(self) -> float:
        """Pixels of all patterns as they are looked at."""
        return float(self.scan.n) * self.scan.pixels

    def _reading(self) -> float:
        """Seconds to read all patterns: what the survey took beyond looking at them, or from the kind of file."""
        took = self.analysis.times.get("survey") if self.analysis is not None else None
        survey = self._result("survey")
        if took is None or survey is None:
            self._guess("how fast the file can be read")
            return self.scan.raw_bytes * (READ_PACKED if self.scan.packed else READ_PLAIN) / self.scan.workers
        looked = float(survey.pattern_sum.size) * survey.mean.size
        share = self._values / looked
        plain = self.scan.raw_bytes * READ_PLAIN / self.scan.workers
        return max(plain, (took.wall - looked * LOOK_PIXEL / self.scan.workers) * share)

    def _disks(self) -> float:
        """Bragg disks of the whole scan."""
        peaks = self._result("peaks")
        if peaks is None:
            self._guess("how many disks there are")
            return float(DISKS * self.scan.n)
        return len(peaks) * self.scan.n / len(peaks.counts)

    def _radius(self) -> float:
        probe = self._result("probe")
        return self.scan.width / 40 if probe is None else float(probe.radius)

    def _columns(self, feature: str) -> tuple[float, float]:
        """Columns of a feature matrix, and values of a row of it."""
        found = self._result("features", feature)
        current = self.analysis is not None and self.analysis.is_current(f"features/{feature}", self.recipe)
        if found is not None and current:
            columns = found.values.shape[1]
            stored = getattr(found.values, "nnz", None)
            return columns, columns if stored is None else stored / found.values.shape[0]
        half = (self.scan.width - 1) / 2
        if feature == "aa":
            settings = self.recipe.aa.describe
            rings = RINGS if settings.rings is None else len(settings.rings) - 1
            if settings.rings is None and found is not None and "rings" in found.details:
                rings = len(found.details["rings"]) - 1
            columns = rings * 360.0 / settings.angle_step
            return columns, columns
        if feature == "rv":
            given = self.recipe.rv.describe
            r_min = 2 * self._radius() + 2 if given.r_min is None else given.r_min
            r_max = half if given.r_max is None else given.r_max
            columns = max(1.0, r_max - r_min + 1) if given.columns is None else given.columns
            return columns, columns
        side = self.recipe.bd.describe.bin or max(0.5, round(1.125 * self._radius()) / 2)
        return self.scan.pixels / side**2, 4 * max(1.0, self._disks() / self.scan.n - 1)

    # ---- stages

    def _survey(self) -> _Cost:
        seconds = self._reading() + self._values * LOOK_PIXEL / self.scan.workers
        return _Cost(seconds, LIBRARIES + self.scan.flying, LIBRARIES + 16 * self.scan.pixels)

    def _probe(self) -> _Cost:
        took = self.analysis.times.get("probe") if self.analysis is not None else None
        return _Cost(PROBE_SECONDS if took is None else took.wall, 50 * self.scan.pixels)

    def _peaks(self) -> _Cost:
        disks = self._disks()
        seconds = self._reading() + (self._values * DISK_PIXEL + disks * DISK) / self.scan.workers
        return _Cost(seconds, self.scan.flying + 40 * disks, 20 * disks)

    def _calibration(self) -> _Cost:
        return _Cost(0.1 + self._disks() * DISK_LATER, 100 * self._disks(), 16 * self.scan.n)

    def _features(self, features: Sequence[str]) -> _Cost:
        passed = [feature for feature in features if feature in PROJECT_PIXEL]
        seconds = 0.02
        if "bd" in features:
            seconds += self._disks() * 0.3e-6
        if passed:
            work = sum(PROJECT_PIXEL[feature] for feature in passed) * self._values
            seconds += self._reading() + work / self.scan.workers
        kept = sum(self._stored(feature) for feature in features)
        return _Cost(seconds, kept + (self.scan.flying if passed else 0.0), kept)

    def _stored(self, feature: str) -> float:
        """Bytes of a feature matrix."""
        return self.scan.n * self._columns(feature)[1] * (8.0 if feature == "bd" else 4.0)

    def _start(self, feature: str) -> float:
        """Components that a clustering starts from."""
        settings = self.recipe.chain(feature).clustering
        if settings.components is not None:
            return float(settings.components)
        suggested, model = self.suggested.get(feature), self._result("models", feature)
        if suggested is None and model is None:
            self._guess("how many components the scree suggests")
            plain = feature == "rv" and self.recipe.rv.scaling.method == "global"
            suggested = SUGGESTED_RV_GLOBAL if plain else SUGGESTED
        elif suggested is None:
            suggested = model.scree.suggested
        return max(2.0, settings.start_factor * suggested)

    def _models(self, feature: str) -> _Cost:
        settings, n = self.recipe.chain(feature).clustering, self.scan.n
        columns, stored = self._columns(feature)
        k = self._start(feature)
        passes, falling = self._passes(feature, k)
        work = n * k * passes * _of_an_iteration(feature, stored, falling * k)
        at_once = min(self.scan.workers, settings.seeds)
        seconds = work * settings.seeds / at_once * self._slowness()
        held = 2.5 * self._stored(feature)
        own = 4 * k * falling * (5 * n + 4 * columns)
        kept = 4 * k * falling * (n + settings.seeds * columns)
        return _Cost(seconds, held + at_once * own + kept, kept)

    def _passes(self, feature: str, k: float) -> tuple[float, float]:
        """As `PASSES` and `FALLING`, from the last clustering of this feature where there was one."""
        settings, n = self.recipe.chain(feature).clustering, self.scan.n
        fits = _fits(self._result("models", feature))
        if fits is not None and self.analysis is not None:
            rows, components, _ = fits
            before = self.analysis.recipe.chain(feature).clustering.merge_threshold
            passes = float((rows * components).sum(axis=1).mean()) / (n * k)
            falling = float((rows * components**2).sum() / (rows * components).sum()) / k
        else:
            drafted = settings.draft != "off" and n / 4 >= max(DRAFT_ROWS[0], DRAFT_ROWS[1] * k)
            before, falling = 0.5, FALLING if drafted else FALLING_NO_DRAFT
            passes = PASSES[feature] * (1.0 if drafted else NO_DRAFT[feature])
        return passes * math.exp(PASSES_SLOPE * (settings.merge_threshold - before)), falling

    def _slowness(self) -> float:
        """Seconds that clusterings of this scan took, over what the constants say of their fits; 1 before the first."""
        took = said = 0.0
        for name, model in ({} if self.analysis is None else self.analysis.models).items():
            fits, time = _fits(model), self.analysis.times.get(f"models/{name}")  # type: ignore[union-attr]
            if fits is None or time is None:
                continue
            rows, components, seeds = fits
            _, stored = self._columns(name)
            work = float((rows * components * _of_an_iteration(name, stored, components)).sum())
            said += work / min(self.scan.workers, seeds)
            took += time.wall
        return took / said if said else 1.0

    def _grains(self, feature: str) -> _Cost:
        model = self._result("models", feature)
        k = SUGGESTED if model is None else model.k
        seconds = 5e-3 + self.scan.n * k * SEPARATE_MAP
        return _Cost(seconds, 40 * self.scan.n * k, 5 * self.scan.n * k)

    def _tables(self, features: Sequence[str]) -> _Cost:
        n, pixels = self.scan.n, self.scan.pixels
        number = members = seconds = 0.0
        rows = np.zeros(0, bool)
        for feature in features:
            grains, model = self._result("grains", feature), self._result("models", feature)
            if grains is None or len(self.anew.get(feature, grains.masks)) != len(grains):
                self._guess("how many grains there will be")
                number, members = number + SUGGESTED, members + 0.5 * n
            else:
                masks = grains.masks[self.anew[feature]] if feature in self.anew else grains.masks
                there = masks.any(axis=(0, 2)) if len(masks) else np.zeros(masks.shape[1], bool)
                rows = there if rows.shape != there.shape else rows | there
                number, members = number + len(masks), members + np.count_nonzero(masks)
            if self._result("tables", feature) is None and model is not None:
                seconds += n * model.k * len(model.seeds) * STABLE_MAP / self.scan.workers
        share = 1.0 if "how many grains there will be" in self.guessed else float(rows.mean()) if len(rows) else 0.0
        work = share * self._values * MEASURE_PIXEL + members * pixels * MEMBER_PIXEL
        seconds += 2 * share * self._reading() + work / self.scan.workers + number * n * MEASURE_GRAIN
        patterns = number * pixels
        return _Cost(seconds, self.scan.flying + 24 * patterns, 8 * patterns)


def _time(seconds: float) -> str:
    if seconds < 1.0:
        return "1 s or less"
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    minutes = seconds / 60.0
    return f"{minutes:.0f} min" if minutes < 90.0 else f"{minutes / 60.0:.1f} h"


def _memory(size: float) -> str:
    return "under 0.1 GB" if size < 0.1e9 else f"{size / 1e9:.1f} GB"
