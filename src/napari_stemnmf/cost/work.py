"""What each stage costs: counts of work, from what is known of the scan, times the constants.

What has to be guessed is noted, so that the estimate can say that it is rough. Leans on `sizes` and `constants`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf import stages
from napari_stemnmf.cost.sizes import (
    DENSE,
    DISK,
    DISK_LATER,
    DISK_PIXEL,
    DISKS,
    DRAFT_ROWS,
    FALLING,
    FALLING_NO_DRAFT,
    GRAM,
    LIBRARIES,
    LOOK_PIXEL,
    MEASURE_GRAIN,
    MEASURE_PIXEL,
    MEMBER_PIXEL,
    NO_DRAFT,
    PASSES,
    PASSES_SLOPE,
    PROBE_SECONDS,
    PROJECT_PIXEL,
    READ_PACKED,
    READ_PLAIN,
    RINGS,
    SEPARATE_MAP,
    SPARSE,
    STABLE_MAP,
    SUGGESTED,
    SUGGESTED_RV_GLOBAL,
    SWEEP,
    Scan,
)
from napari_stemnmf.recipe import Recipe

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis


@dataclass(frozen=True)
class Cost:
    """Of one stage: seconds, bytes while it runs, bytes that its result keeps."""

    seconds: float = 0.0
    peak: float = 0.0
    kept: float = 0.0


class Work:
    """The costs of the stages of one scan; notes in `guessed` what it had to guess."""

    def __init__(
        self,
        scan: Scan,
        analysis: Analysis | None,
        recipe: Recipe,
        todo: Sequence[str],
        anew: Mapping[str, np.ndarray],
        suggested: Mapping[str, int],
    ) -> None:
        self.scan, self.analysis, self.recipe = scan, analysis, recipe
        self.todo, self.anew, self.suggested = todo, anew, suggested
        self.guessed: list[str] = []

    def of(self, path: str) -> Cost:
        """Cost of one result. Representations that share a read of the data count once, with the first of them."""
        name, _, feature = path.partition("/")
        stage = stages.stage_of(path)
        if stage.together:
            together = [one.partition("/")[2] for one in self.todo if one.startswith(f"{name}/")]
            if feature != together[0]:
                return Cost()
        else:
            together = [feature]
        costs: dict[str, Callable[..., Cost]] = {
            "survey": self._survey,
            "probe": self._probe,
            "disks": self._peaks,
            "calibrate": self._calibration,
            "featurize": self._features,
            "cluster": self._models,
            "refine": self._grains,
            "measure": self._tables,
        }
        if stage.name in costs:
            given = [] if not stage.each else [together] if stage.together else [feature]
            return costs[stage.name](*given)
        took = None if self.analysis is None else self.analysis.times.get(path)
        if took is None:
            self._guess(f"how long {stage.name} takes")
        return Cost(0.0 if took is None else took.wall)

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
            settings = self.recipe.aa.featurize
            rings = RINGS if settings.rings is None else len(settings.rings) - 1
            if settings.rings is None and found is not None and "rings" in found.details:
                rings = len(found.details["rings"]) - 1
            columns = rings * 360.0 / settings.angle_step
            return columns, columns
        if feature == "rv":
            given = self.recipe.rv.featurize
            r_min = 2 * self._radius() + 2 if given.r_min is None else given.r_min
            r_max = half if given.r_max is None else given.r_max
            columns = max(1.0, r_max - r_min + 1) if given.columns is None else given.columns
            return columns, columns
        side = self.recipe.bd.featurize.bin or max(0.5, round(1.125 * self._radius()) / 2)
        return self.scan.pixels / side**2, 4 * max(1.0, self._disks() / self.scan.n - 1)

    # ---- stages

    def _survey(self) -> Cost:
        seconds = self._reading() + self._values * LOOK_PIXEL / self.scan.workers
        return Cost(seconds, LIBRARIES + self.scan.flying, LIBRARIES + 16 * self.scan.pixels)

    def _probe(self) -> Cost:
        took = self.analysis.times.get("probe") if self.analysis is not None else None
        return Cost(PROBE_SECONDS if took is None else took.wall, 50 * self.scan.pixels)

    def _peaks(self) -> Cost:
        disks = self._disks()
        seconds = self._reading() + (self._values * DISK_PIXEL + disks * DISK) / self.scan.workers
        return Cost(seconds, self.scan.flying + 40 * disks, 20 * disks)

    def _calibration(self) -> Cost:
        return Cost(0.1 + self._disks() * DISK_LATER, 100 * self._disks(), 16 * self.scan.n)

    def _features(self, features: Sequence[str]) -> Cost:
        passed = [feature for feature in features if feature in PROJECT_PIXEL]
        seconds = 0.02
        if "bd" in features:
            seconds += self._disks() * 0.3e-6
        if passed:
            work = sum(PROJECT_PIXEL[feature] for feature in passed) * self._values
            seconds += self._reading() + work / self.scan.workers
        kept = sum(self._stored(feature) for feature in features)
        return Cost(seconds, kept + (self.scan.flying if passed else 0.0), kept)

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

    def _models(self, feature: str) -> Cost:
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
        return Cost(seconds, held + at_once * own + kept, kept)

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
            coarse = settings.coarse_fit != "off" and n / 4 >= max(DRAFT_ROWS[0], DRAFT_ROWS[1] * k)
            before, falling = 0.5, FALLING if coarse else FALLING_NO_DRAFT
            passes = PASSES[feature] * (1.0 if coarse else NO_DRAFT[feature])
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

    def _grains(self, feature: str) -> Cost:
        model = self._result("models", feature)
        k = SUGGESTED if model is None else model.k
        seconds = 5e-3 + self.scan.n * k * SEPARATE_MAP
        return Cost(seconds, 40 * self.scan.n * k, 5 * self.scan.n * k)

    def _tables(self, features: Sequence[str]) -> Cost:
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
        return Cost(seconds, self.scan.flying + 24 * patterns, 8 * patterns)


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
