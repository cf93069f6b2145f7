"""The study as one page: what was done, what the paper claims and what became of it, the numbers, the figures, and why.

No script, nothing from elsewhere; pictures and tables are linked relative to the page. Of the paper it shows numbers
only. The sections come first, in the order of the page, then the little HTML that they are made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from napari_stemnmf.files.writing import write_text
from napari_stemnmf.study import figures, results
from napari_stemnmf.study.claims import Verdict
from napari_stemnmf.study.explanations import explanations, remarks
from napari_stemnmf.study.figures import Drawing
from napari_stemnmf.study.paper import (
    ALL_FILMS,
    DOI,
    FEATURES,
    FILMS,
    MERGE_THRESHOLDS,
    NANOWIRE,
    PRINTED,
    QUANTITIES,
    REFERENCE,
    Name,
    Numbers,
)
from napari_stemnmf.study.plan import MANIFEST, Manifest
from napari_stemnmf.study.results import Film, Study

NAME = "index.html"
TITLE = "Grains in 4D-STEM by three representations: the study repeated"
_FILM_ROWS = (
    "n_true", "n_found", "n_true_hit", "precision_A", "FNR_A", "TPR_G", "TNR_G", "mean_iou", "f1_iou50",
    "recall_depth_1", "recall_depth_2", "recall_depth_3", "dissimilarity", "components", "columns",
)  # fmt: skip
_WIRE_ROWS = (
    "n_true", "n_found", "area_nm2", "feret_max_nm", "feret_spread_nm", "elongation", "dissimilarity", "shared",
    "TPR_G", "mean_iou", "f1_iou50", "components", "columns",
)  # fmt: skip


def write(study: Study, drawn: list[Drawing], manifest: Manifest) -> Path:
    """Write the page; the file is whole or absent.

    Raises
    ------
    AnalysisError
        If it cannot be written.
    """
    target = study.folder / NAME
    write_text(target, page(study, drawn, manifest))
    return target


def page(study: Study, drawn: list[Drawing], manifest: Manifest) -> str:
    """The page as text."""
    of_wire = [drawing for drawing in drawn if drawing.films == (NANOWIRE,)]
    sections = [section("Verdicts", *_verdicts(study))]
    if any(study.films[name].scores for name in FILMS if name in study.films):
        sections.append(section("Scores of the films", *_scores(study)))
    sections.append(section("Figures", *(_figure(drawing) for drawing in drawn if drawing not in of_wire)))
    if NANOWIRE in study.films:
        sections.append(section("Nanowire", *_wire(study), *map(_figure, of_wire)))
    sections.append(section("Where and why it differs", *_differences(study)))
    sections.append(section("What was done", *_done(study, manifest)))
    sections.append(section("To repeat it", *_repeat(study)))
    return document(TITLE, _head(study, manifest), *sections)


def _head(study: Study, manifest: Manifest) -> Html:
    finished = manifest.record.get("finished")
    when = datetime.fromisoformat(finished).strftime("%Y-%m-%d %H:%M UTC") if finished else "today"
    counts = Counter(judged.verdict for judged in study.judged)
    verdicts = "; ".join(f"{verdict.value}: {counts[verdict]}" for verdict in Verdict if counts[verdict])
    warning = (
        "Quick study: small films and few random starts. It shows that everything works; its numbers and verdicts say "
        "nothing of the paper's films."
    )
    parts = [
        tag("h1", TITLE),
        tag("p", "After ", link(REFERENCE, DOI), f". Made {when} by napari-stemnmf.", class_="soft"),
    ]
    if study.plan.quick:
        parts.append(tag("p", warning, class_="warn"))
    return join([*parts, tag("p", f"{len(study.judged)} claims. {verdicts.capitalize()}.")])


def _verdicts(study: Study) -> Iterable[Html]:
    (low, high), preset = MERGE_THRESHOLDS["aa"], study.plan.preset_threshold
    yield tag(
        "p",
        "Each claim is an inequality between means over grains, between rates, or between counts. A difference that is "
        "not larger than its standard error is within the spread. The last columns judge the same with components of "
        f"AA merged at other correlations than the preset's {preset}; the paper took {low} to {high}.",
    )
    others = [variant.judged for variant in study.variants.values()]
    rows = [
        (one.claim.text, _in_lines(one.theirs), _in_lines(one.ours), *(_verdict(j.verdict) for j in (one, *again)))
        for one, *again in zip(study.judged, *others, strict=True)
    ]
    header = ("claim", "paper", "ours", "verdict", *(f"AA merged at {threshold}" for threshold in study.variants))
    yield table(header, rows, class_="verdicts")
    failed = remarks(study)
    if failed:
        yield tag("h3", "What does not hold")
        yield bullets(join([tag("strong", one.claim.text), ". ", text]) for one, text in failed)


def _in_lines(text: str) -> Html:
    """The numbers of a claim, a film each line, none of them broken."""
    films = text.split("; ")
    items = [join((tag("span", item, class_="whole") for item in film.split(", ")), ", ") for film in films]
    return join(items, Html("; <br>"))


def _verdict(verdict: Verdict) -> Html:
    kind = "" if verdict is Verdict.OPEN else " good" if verdict.holding else " bad"
    return tag("span", verdict.value, class_=f"verdict{kind}")


def _scores(study: Study) -> Iterable[Html]:
    films = tuple(name for name in FILMS if name in study.films and study.films[name].scores)
    yield tag(
        "p", "Ours with its standard error, where there is one; the paper's number in brackets, where it has one."
    )
    yield _compared(study, films, _FILM_ROWS)
    pooled = [
        (feature.upper(), _ours_and_theirs(study, ALL_FILMS, feature, "TPR_G"))
        for feature in FEATURES
        if Name(ALL_FILMS, feature, "TPR_G") in study.numbers
    ]
    yield table(("all films together", "mean TPR_G over their grains"), pooled, class_="numbers")
    if study.variants:
        yield tag("h3", "AA at other merge thresholds")
        yield _by_threshold(study, films)


def _by_threshold(study: Study, films: tuple[str, ...]) -> Html:
    """AA at each merge threshold, BD and what the paper prints of AA beside it."""
    others = [(t, variant.numbers) for t, variant in study.variants.items()]
    cases = sorted([(study.plan.preset_threshold, study.numbers), *others], key=lambda case: case[0])
    thresholds = (f"AA merged at {t}{' (preset)' if t == study.plan.preset_threshold else ''}" for t, _ in cases)
    rows = []
    for quantity in ("n_found", "precision_A", "TPR_G", "mean_iou", "f1_iou50", "dissimilarity"):
        for film in films:
            ours = [_shown(numbers, film, "aa", quantity) for _, numbers in cases]
            name = f"{QUANTITIES[quantity].label}, {film.capitalize()}"
            beside = _shown(study.numbers, film, "bd", quantity), _shown(PRINTED, film, "aa", quantity)
            rows.append((name, *ours, *beside))
    return table(("", *thresholds, "BD", "paper, AA"), rows, class_="numbers")


def _wire(study: Study) -> Iterable[Html]:
    yield tag("p", "Ours with its standard error; in brackets what the paper measured on its own, real wire.")
    yield _compared(study, (NANOWIRE,), _WIRE_ROWS)


def _compared(study: Study, films: tuple[str, ...], quantities: Iterable[str]) -> Html:
    """A row for each quantity and feature, a column for each film."""
    rows = []
    for quantity in quantities:
        for feature in ("", *FEATURES):
            cells = [_ours_and_theirs(study, film, feature, quantity) for film in films]
            if any(Name(film, feature, quantity) in study.numbers for film in films):
                rows.append((f"{QUANTITIES[quantity].label}{f', {feature.upper()}' if feature else ''}", *cells))
    return table(("", *(film.capitalize() for film in films)), rows, class_="numbers")


def _ours_and_theirs(study: Study, film: str, feature: str, quantity: str) -> str:
    ours, theirs = (_shown(numbers, film, feature, quantity) for numbers in (study.numbers, PRINTED))
    return f"{ours} ({theirs})" if Name(film, feature, quantity) in PRINTED else ours


def _shown(numbers: Numbers, film: str, feature: str, quantity: str) -> str:
    number = numbers.get(Name(film, feature, quantity))
    return "–" if number is None else number.shown


def _figure(drawing: Drawing) -> Html:
    stem = f"{figures.FOLDER}/{drawing.name}"
    like = f" After {drawing.like}." if drawing.like else ""
    caption = tag(
        "figcaption", tag("strong", f"{drawing.title}. "), f"{drawing.caption}{like} ", link("PDF", f"{stem}.pdf")
    )
    described = escape(f"{drawing.title}: {drawing.caption}")
    image = Html(f'<img src="{escape(stem)}.png" alt="{described}" loading="lazy">')
    return tag("figure", image, caption, id=f"figure-{drawing.name}")


def _differences(study: Study) -> Iterable[Html]:
    for explained in explanations(study):
        yield tag("h3", explained.title)
        yield tag("p", explained.text)


def _done(study: Study, manifest: Manifest) -> Iterable[Html]:
    plan = study.plan
    used = {feature: plan.recipe(FILMS[0]).nmf_chain(feature).clustering.merge_threshold for feature in FEATURES}
    thresholds = ", ".join(
        f"{f.upper()} {value} (paper: {MERGE_THRESHOLDS[f][0]} to {MERGE_THRESHOLDS[f][1]})"
        for f, value in used.items()
    )
    yield bullets(
        [
            f"Preset paper; {plan.seeds} random starts of each clustering, the one of the smallest error kept; regions "
            "of fewer than 25 probe positions left out (nanowire: 10).",
            f"Components are merged from a correlation of: {thresholds}.",
            "In silver films that were simulated here no beam stop is looked for.",
        ]
    )
    header = ("film", "from", "positions", "detector (px)", "step", "true grains", "fingerprint")
    yield table(header, [_film_row(study, film) for film in study.films.values()], class_="numbers")
    steps = {name: step for name, step in manifest.steps.items() if name != "page"}
    total = sum(step["seconds"] for step in steps.values())
    rows = [(name, f"{step['seconds']:.1f}", step["finished"]) for name, step in steps.items()]
    summary = tag("summary", f"{len(steps)} steps, {total / 60:.1f} minutes")
    yield tag("details", summary, table(("step", "time (s)", "finished"), rows, class_="numbers"))
    versions = ", ".join(f"{name} {version}" for name, version in manifest.record.get("versions", {}).items())
    yield tag("p", f"{versions}. All of this is in ", link(MANIFEST, MANIFEST), ".", class_="soft")


def _film_row(study: Study, film: Film) -> tuple[str, ...]:
    found = film.analysis.input
    rows, columns, q_y, q_x = found.shape
    source = film.path.name if film.name in study.plan.given else f"simulated, {study.plan.engine_of(film.name)}"
    step = found.axes[0]
    return (
        film.name.capitalize(), source, f"{rows} × {columns}", f"{q_y} × {q_x}", f"{step.scale:g} {step.unit}",
        "–" if film.truth is None else str(len(film.truth)), found.fingerprint,
    )  # fmt: skip


def _repeat(study: Study) -> Iterable[Html]:
    plan = study.plan
    options = ["--quick"] if plan.quick else []
    options += ["--films FOLDER"] if plan.given else []
    options += [f"--engine {plan.engine}"] if plan.engine != "kinematic" else []
    options += [f"--seeds {plan.seeds}"] + ([] if NANOWIRE in plan.films else ["--no-nanowire"])
    yield tag("pre", f"stemnmf reproduce --out DIR {' '.join(options)}")
    yield tag("p", "It goes on where it was stopped. Each film's folder holds its analysis, to open in napari:")
    yield bullets(
        join([f"{name.capitalize()}: ", link("analysis", film.analysis_file), ", ", link("settings", settings)])
        for name, film in study.films.items()
        for settings in [f"{name}/{results.RECIPE}"]
    )
    yield tag("p", "Tables:")
    names = [name for name in results.TITLES if (study.folder / results.FOLDER / f"{name}.csv").exists()]
    yield bullets(
        join([link(f"{name}.csv", f"{results.FOLDER}/{name}.csv"), f": {results.TITLES[name]}"]) for name in names
    )


class Html(str):
    """Text that is markup already; everything else is escaped."""

    __slots__ = ()


def tag(name: str, *content: str, **attributes: str) -> Html:
    """An element; ``class_`` is the attribute class, ``data_x`` is data-x."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Parts one after another."""
    return Html(_escaped(between).join(map(_escaped, parts)))


def _escaped(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)


def link(text: str, target: str) -> Html:
    """A link to a file of the study, or to a page."""
    return tag("a", text, href=target)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], class_: str) -> Html:
    """A table whose first column names its rows, in a frame that scrolls where it is wider than the page."""
    head = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in header)))
    body = tag(
        "tbody",
        *(tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows),
    )
    return tag("div", tag("table", head, body), class_=f"wide {class_}")


def section(title: str, *content: str) -> Html:
    """A section with a heading that can be linked to."""
    name = "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    return tag("section", tag("h2", title), *content, id=name)


def bullets(texts: Iterable[str]) -> Html:
    """A list."""
    return tag("ul", *(tag("li", text) for text in texts))


def document(title: str, *content: str) -> str:
    """A whole page, with no script and nothing from elsewhere."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{tag('main', *content)}\n</body>\n</html>\n"
    )
