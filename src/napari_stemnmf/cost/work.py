"""What each stage costs: counts of work, from what is known of the scan, times the constants of an ordinary machine.

The counts are the stages' own where these are known before they run. A stage that has run on the same sizes takes as
long as it took then. What has to be guessed is noted, so that the estimate can say that it is rough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemnmf import stages
from napari_stemnmf.cost.fits import covered, fits_of
from napari_stemnmf.cost.sizes import Scan
from napari_stemnmf.recipe import FEATURES, Recipe

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis


READ_PLAIN, READ_PACKED = 0.25e-9, 4e-9
"""Seconds for a byte of patterns, on one core, from a file that holds them as they are (in the system's cache), and
from one that is compressed."""
SURVEY_PIXEL, PROJECT_PIXEL, DISK_PIXEL = 0.8e-9, {"aa": 0.9e-9, "rv": 1.3e-9}, 10e-9
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
NO_COARSE_FIT = {"aa": 3.2, "rv": 2.4, "bd": 1.7}
"""Factor on that where the first fits are not made on a quarter of the scan."""
FALLING, FALLING_NO_COARSE_FIT = 0.5, 0.8
"""Mean of components over starting components, weighted by the work; with coarse fits and without."""
SUGGESTED, SUGGESTED_RV_GLOBAL, DISKS = 20, 9, 15
"""What the scree suggests (less for RV if all columns have one scale), and disks of a pattern, where unknown."""
LINK, APERTURE, GROUP = 1.5e-6, 8e-6, 4e-6
"""Seconds for a disk that is linked to a track, for an aperture of a dark field, and, for each, of grouping."""
APERTURES, TRACK = 1.7, 120.0
"""Apertures for each disk, and disks of a track."""
STORED = {"vdf": 13.0, "bd": 8.0}
"""Bytes for a value that is stored of a sparse matrix, its place and what goes along with it included."""
POSITIONS_A_GRAIN = 280
"""Probe positions of a scan for each grain, where the grains are not known."""
RINGS = 4
"""Rings of AA where they are not known."""
LIBRARIES = 60e6
"""Bytes of compiled code and tables that the first read of a scan brings into memory."""


@dataclass(frozen=True)
class Cost:
    """Of one stage: seconds, bytes while it runs, bytes that its result keeps."""

    seconds: float = 0.0
    peak: float = 0.0
    kept: float = 0.0


@dataclass
class Work:
    """The costs of the stages of one scan; notes in `guessed` what it had to guess."""

    scan: Scan
    analysis: Analysis | None
    recipe: Recipe
    todo: Sequence[str]
    measured_again: Mapping[str, np.ndarray]
    suggested: Mapping[str, int]
    guessed: list[str] = field(default_factory=list)

    def of(self, path: str) -> Cost:
        """Cost of one result. Representations that share a read of the data count once, with the first of them."""
        name, _, feature = path.partition("/")
        stage = stages.stage_of(path)
        features = [feature] if stage.each else []
        if stage.together:
            features = [one.partition("/")[2] for one in self.todo if one.startswith(f"{name}/")]
            if feature != features[0]:
                return Cost()
        took, count = self._took(path), getattr(self, f"_{stage.name}", None)
        if count is None:
            if took is None:
                self._guess(f"how long {stage.name} takes")
            return Cost(took or 0.0)
        cost: Cost = count(*features)
        if took is None or stage.name in ("cluster", "measure"):
            return cost  # fits of a clustering tell more; a measurement may have been of few grains, after an edit
        ran = [f for f in FEATURES if self._took(stage.path(f)) == took] if stage.together else features
        if not set(features) <= set(ran) or not self._is_of_these_sizes(stage.paths(ran)):
            return cost
        return replace(cost, seconds=took * cost.seconds / count(*ran).seconds)

    # ---- what is known

    def _guess(self, what: str) -> None:
        if what not in self.guessed:
            self.guessed.append(what)

    def _result(self, name: str, feature: str = "") -> Any:
        """What a stage has found, stale or not; None if it has not run."""
        found = getattr(self.analysis, name, None)
        return found.get(feature) if feature and found is not None else found

    def _took(self, path: str) -> float | None:
        """Seconds on the clock that the last run of a stage took; None where they are not known."""
        time = None if self.analysis is None else self.analysis.times.get(path)
        return None if time is None else time.wall

    def _is_of_these_sizes(self, paths: Sequence[str]) -> bool:
        """Whether results are what the analysis' own recipe gives, on as many positions and pixels as there are now."""
        if self.analysis is None or not all(map(self.analysis.is_current, paths)):
            return False
        then = Scan.of(self.analysis, None, self.analysis.recipe, self.scan.workers)
        return then is not None and (then.n, then.pixels) == (self.scan.n, self.scan.pixels)

    @property
    def _values(self) -> float:
        """Pixels of all patterns as they are looked at."""
        return float(self.scan.n) * self.scan.pixels

    def _reading(self) -> float:
        """Seconds to read all patterns: what the survey took beyond looking at them, or from the kind of file."""
        took, survey = self._took("survey"), self._result("survey")
        if took is None or survey is None:
            self._guess("how fast the file can be read")
            return self.scan.raw_bytes * (READ_PACKED if self.scan.packed else READ_PLAIN) / self.scan.workers
        looked = float(survey.pattern_sum.size) * survey.mean.size
        share = self._values / looked
        plain = self.scan.raw_bytes * READ_PLAIN / self.scan.workers
        return max(plain, (took - looked * SURVEY_PIXEL / self.scan.workers) * share)

    def _number_of_disks(self) -> float:
        """Bragg disks of the whole scan."""
        peaks = self._result("peaks")
        if peaks is None:
            self._guess("how many disks there are")
            return float(DISKS * self.scan.n)
        return len(peaks) * self.scan.n / len(peaks.counts)

    def _radius(self) -> float:
        probe = self._result("probe")
        return self.scan.width / 40 if probe is None else float(probe.radius)

    def columns(self, feature: str) -> tuple[float, float]:
        """Columns of a feature matrix, and values of a row of it."""
        found, analysis = self._result("features", feature), self.analysis
        if found is not None and analysis is not None and analysis.is_current(f"features/{feature}", self.recipe):
            rows, columns = found.values.shape
            return columns, getattr(found.values, "nnz", rows * columns) / rows
        if feature == "vdf":
            disks = self._number_of_disks()
            return math.ceil(disks / TRACK), APERTURES * disks / self.scan.n
        if feature == "bd":
            from napari_stemnmf.features.bragg_disks import bin_side

            side = self.recipe.bd.featurize.bin or bin_side(self._radius())
            columns = math.ceil(self.scan.width / side) * math.ceil(self.scan.pixels / self.scan.width / side)
            return columns, 4 * max(1.0, self._number_of_disks() / self.scan.n - 1)
        if feature == "aa":
            settings = self.recipe.aa.featurize
            rings = settings.rings or getattr(found, "details", {}).get("rings")
            columns = (RINGS if rings is None else len(rings) - 1) * 360.0 / settings.angle_step
        else:
            from napari_stemnmf.features.radial_variance import first_radius, last_radius

            given = self.recipe.rv.featurize
            r_min = first_radius(self._radius()) if given.r_min is None else given.r_min
            r_max = last_radius(self.scan.width) if given.r_max is None else given.r_max
            columns = max(1.0, r_max - r_min + 1) if given.columns is None else given.columns
        return columns, columns

    # ---- stages

    def _survey(self) -> Cost:
        seconds = self._reading() + self._values * SURVEY_PIXEL / self.scan.workers
        return Cost(seconds, LIBRARIES + self.scan.flying, LIBRARIES + 16 * self.scan.pixels)

    def _probe(self) -> Cost:
        return Cost(PROBE_SECONDS, 50 * self.scan.pixels)

    def _disks(self) -> Cost:
        disks = self._number_of_disks()
        seconds = self._reading() + (self._values * DISK_PIXEL + disks * DISK) / self.scan.workers
        return Cost(seconds, self.scan.flying + 40 * disks, 20 * disks)

    def _calibrate(self) -> Cost:
        from napari_stemnmf.disks.sampled import MOST

        disks = self._number_of_disks() * min(1.0, MOST / self.scan.n)  # a large scan is looked at in parts
        return Cost(0.1 + disks * DISK_LATER, 280 * disks + 60 * self.scan.n, 16 * self.scan.n)

    def _featurize(self, *features: str) -> Cost:
        passed = [feature for feature in features if feature in PROJECT_PIXEL]
        seconds = 0.02
        if "vdf" in features:
            disks = self._number_of_disks()
            seconds += disks * LINK + APERTURES * disks * APERTURE / self.scan.workers
            seconds += 0.0 if passed else self._reading()
        if "bd" in features:
            seconds += self._number_of_disks() * 0.3e-6
        if passed:
            work = sum(PROJECT_PIXEL[feature] for feature in passed) * self._values
            seconds += self._reading() + work / self.scan.workers
        kept = sum(self._stored(feature) for feature in features)
        linked = 60 * self._number_of_disks() if "vdf" in features else 0.0
        return Cost(seconds, kept + linked + (self.scan.flying if passed or linked else 0.0), kept)

    def _stored(self, feature: str) -> float:
        """Bytes of a feature matrix."""
        return self.scan.n * self.columns(feature)[1] * STORED.get(feature, 4.0)

    def _start(self, feature: str) -> int:
        """Components that a clustering starts from."""
        from napari_stemnmf.clustering.scree import starting_components

        settings = self.recipe.nmf_chain(feature).clustering
        suggested, model = self.suggested.get(feature), self._result("models", feature)
        if suggested is None and model is not None:
            suggested = model.scree.suggested
        elif suggested is None:
            plain = feature == "rv" and self.recipe.rv.scaling.method == "global"
            suggested = SUGGESTED_RV_GLOBAL if plain else SUGGESTED
            if settings.components is None:
                self._guess("how many components the scree suggests")
        return starting_components(settings, suggested)

    def _cluster(self, feature: str) -> Cost:
        if feature == "vdf":
            values = self.scan.n * self.columns(feature)[1]
            return Cost(0.1 + values * GROUP, 60 * values, 12 * values)
        settings = self.recipe.nmf_chain(feature).clustering
        columns, stored = self.columns(feature)
        windows, n = self._windows(feature)
        k = self._start(feature)
        passes, falling = self._passes(feature, k)
        work = windows * n * k * passes * _of_an_iteration(feature, stored, falling * k)
        at_once = min(self.scan.workers, settings.seeds * windows)
        seconds = work * settings.seeds / at_once * self._slowness()
        held = 2.5 * self._stored(feature) * (1 if windows == 1 else at_once * n / self.scan.n)
        own = 4 * k * falling * (5 * n + 4 * columns)
        kept = 4 * k * falling * windows * (n + settings.seeds * columns)
        return Cost(seconds, held + at_once * own + kept, kept)

    def _windows(self, feature: str) -> tuple[int, int]:
        """Windows of a clustering, and the positions of one; where their size is found, what it mostly is."""
        from napari_stemnmf.clustering.windows import MOST, layout

        settings = self.recipe.nmf_chain(feature).clustering
        if settings.windows == "off":
            return 1, self.scan.n
        windows = layout(self.scan.scan_shape, settings.window_size or MOST)
        return len(windows), math.prod(windows[0].shape)

    def _passes(self, feature: str, k: float) -> tuple[float, float]:
        """As `PASSES` and `FALLING`, from the last clustering of this feature where there was one."""
        settings = self.recipe.nmf_chain(feature).clustering
        model = self._result("models", feature)
        fits = fits_of(model)
        if fits is not None and self.analysis is not None:
            rows, components, seeds = fits
            before = self.analysis.recipe.nmf_chain(feature).clustering.merge_threshold
            passes = float((rows * components).sum()) / (seeds * covered(model) * k)
            falling = float((rows * components**2).sum() / (rows * components).sum()) / k
        else:
            from napari_stemnmf.clustering.scree import COARSE_STRIDE, enough_for_coarse_fit

            _, n = self._windows(feature)
            coarse = settings.coarse_fit != "off" and enough_for_coarse_fit(n / COARSE_STRIDE**2, k)
            before, falling = 0.5, FALLING if coarse else FALLING_NO_COARSE_FIT
            measured = feature if feature in PASSES else "bd"
            passes = PASSES[measured] * (1.0 if coarse else NO_COARSE_FIT[measured])
        return passes * math.exp(PASSES_SLOPE * (settings.merge_threshold - before)), falling

    def _slowness(self) -> float:
        """Seconds that clusterings of this scan took, over what the constants say of their fits; 1 before the first."""
        took = estimated = 0.0
        for name, model in ({} if self.analysis is None else self.analysis.models).items():
            fits, time = fits_of(model), self._took(f"models/{name}")
            if fits is None or time is None:
                continue
            rows, components, seeds = fits
            _, stored = self.columns(name)
            work = float((rows * components * _of_an_iteration(name, stored, components)).sum())
            estimated += work / min(self.scan.workers, seeds)
            took += time
        return took / estimated if estimated else 1.0

    def _refine(self, feature: str) -> Cost:
        model = self._result("models", feature)
        k = SUGGESTED if model is None else model.k
        seconds = 5e-3 + self.scan.n * k * SEPARATE_MAP + self._stable(model)
        return Cost(seconds, 40 * self.scan.n * k, 5 * self.scan.n * k)

    def _stable(self, model: Any) -> float:
        """Seconds to look for the grains of a model in those of its other seeds."""
        seeds = len(getattr(model, "seeds", ()))
        return float(self.scan.n * model.k * seeds * STABLE_MAP / self.scan.workers) if seeds else 0.0

    def _measure(self, *features: str) -> Cost:
        n, pixels = self.scan.n, self.scan.pixels
        number = members = seconds = 0.0
        rows = np.zeros(0, bool)
        for feature in features:
            grains, model = self._result("grains", feature), self._result("models", feature)
            if grains is None or len(self.measured_again.get(feature, grains.ids)) != len(grains):
                self._guess("how many grains there will be")
                number, members = number + max(SUGGESTED, n / POSITIONS_A_GRAIN), members + 0.5 * n
            else:
                again = grains.subset(self.measured_again[feature]) if feature in self.measured_again else grains
                there = (again.overlap > 0).any(axis=1)
                rows = there if rows.shape != there.shape else rows | there
                number, members = number + len(again), members + int(again.areas.sum())
            if self._result("tables", feature) is None and grains is not None:
                seconds += self._stable(model)
        share = 1.0 if "how many grains there will be" in self.guessed else float(rows.mean()) if len(rows) else 0.0
        work = share * self._values * MEASURE_PIXEL + members * pixels * MEMBER_PIXEL
        seconds += 2 * share * self._reading() + work / self.scan.workers + number * n * MEASURE_GRAIN
        patterns = number * pixels
        return Cost(seconds, self.scan.flying + 12 * patterns + 60 * n, 8 * patterns)


def _of_an_iteration(feature: str, stored: float, components: Any) -> Any:
    """Seconds for each probe position and component, of rows with so many values and a fit of so many components."""
    return stored * (SPARSE if feature == "bd" else DENSE) + components * GRAM + SWEEP
