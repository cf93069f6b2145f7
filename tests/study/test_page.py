"""The page: well formed, all links lead somewhere, its numbers are those of the tables."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from napari_stemnmf.pipeline import analyse
from napari_stemnmf.reading.masks import load_masks
from napari_stemnmf.reading.opening import open as open_scan
from napari_stemnmf.study.claims import CLAIMS, judge
from napari_stemnmf.study.figures import drawings
from napari_stemnmf.study.page import Html, document, join, link, section, table, tag, write
from napari_stemnmf.study.paper import FILMS, PRINTED, QUANTITIES, numbers_of
from napari_stemnmf.study.plan import Manifest, make_plan
from napari_stemnmf.study.results import (
    ANALYSIS_NAME,
    Film,
    Judgement,
    Study,
    Variant,
    measure,
    scores_of,
    write_tables,
)

ALONE = {"meta", "img", "br", "hr"}


class Reader(HTMLParser):
    """Holds that every element is closed in its turn; keeps links and the text of table cells."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        if name not in ALONE:
            self.open.append(name)
        self.links += [value for key, value in attributes if key in ("href", "src") and value]
        if name == "tr":
            self.rows.append([])
        if name in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, text: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += text


@pytest.fixture(scope="module")
def study(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of one film under three names, with tables and two of its figures."""
    folder = tmp_path_factory.mktemp("study")
    plan = make_plan(films=films, seeds=1, nanowire=False)
    path = plan.given["ag1"]
    dataset, truth = open_scan(path), load_masks(f"{path}::labels")
    analysis = analyse(dataset, plan.recipe("ag1"))
    scores = scores_of(analysis, truth)
    again = analyse(dataset, plan.variant("ag1", 0.5), analysis=analysis)
    variant = Variant(again, scores_of(again, truth))
    named = {name: Film(name, path, analysis, truth, scores, {0.5: variant}) for name in FILMS}
    measured = [number for name in FILMS for number in measure(name, analysis, scores, truth)]
    changed = [number for name in FILMS for number in measure(name, again, variant.scores, truth)]
    numbers, others = numbers_of(measured), numbers_of([*measured, *changed])
    variants = {0.5: Judgement(others, judge(CLAIMS, others))}
    study = Study(folder, plan, named, numbers, judge(CLAIMS, numbers), variants, [])
    for name in FILMS:
        (folder / name).mkdir()
        analysis.save(folder / name / ANALYSIS_NAME)
    write_tables(study)
    drawn = [drawing for drawing in drawings(study) if drawing.name in ("comparison", "matches-ag3-bd")]
    for drawing in drawn:
        drawing.save(folder)
    manifest = Manifest(folder)
    manifest.note(versions={"napari-stemnmf": "1"})
    write(study, drawn, manifest)
    return study


@pytest.fixture(scope="module")
def reader(study: Study) -> Reader:
    found = Reader()
    found.feed((study.folder / "index.html").read_text(encoding="utf-8"))
    assert found.open == []
    return found


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(study: Study, reader: Reader) -> None:
    here = [target for target in reader.links if not target.startswith("https://doi.org/")]
    assert {"study.json", "tables/claims.csv", "figures/comparison.png", "figures/comparison.pdf"} <= set(here)
    assert [target for target in here if not (study.folder / target).is_file()] == []
    text = (study.folder / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text


def test_every_figure_and_table_that_was_made_is_on_the_page(study: Study, reader: Reader) -> None:
    made = {
        path.relative_to(study.folder).as_posix()
        for kind in ("figures", "tables")
        for path in study.folder.glob(f"{kind}/*")
    }
    assert made <= set(reader.links)


def test_numbers_on_the_page_are_those_of_the_table(study: Study, reader: Reader) -> None:
    numbers = pd.read_csv(study.folder / "tables" / "numbers.csv", keep_default_na=True).fillna({"feature": ""})
    rows = {row[0]: row[1:] for row in reader.rows if len(row) == 4}
    for quantity in ("precision_A", "TPR_G", "mean_iou", "dissimilarity"):
        for feature in ("aa", "bd", "rv"):
            cells = rows[f"{QUANTITIES[quantity].label}, {feature.upper()}"]
            for film, cell in zip(("ag1", "ag2", "ag3"), cells, strict=True):
                where = (numbers["film"] == film) & (numbers["feature"] == feature) & (numbers["quantity"] == quantity)
                (value,) = numbers.loc[where, "value"]
                shown = QUANTITIES[quantity].show(value).split()[0]
                assert cell.startswith(shown), (quantity, feature, film)


def test_the_paper_s_numbers_stand_beside_ours(reader: Reader) -> None:
    rows = {row[0]: row[1:] for row in reader.rows if len(row) == 4}
    for p in PRINTED.values():
        if p.film in ("ag1", "ag2", "ag3"):
            name = f"{QUANTITIES[p.quantity].label}{f', {p.feature.upper()}' if p.feature else ''}"
            cell = rows[name][int(p.film[2]) - 1]
            assert cell.endswith(f"({QUANTITIES[p.quantity].show(p.value)})")


def test_each_verdict_is_on_the_page_in_words(study: Study, reader: Reader) -> None:
    claims = pd.read_csv(study.folder / "tables" / "claims.csv")
    rows = {row[0]: row[1:] for row in reader.rows if row}
    assert len(claims) == len(study.judged)
    for _, claim in claims.iterrows():
        assert rows[claim["text"]] == [claim["paper"], claim["ours"], claim["verdict"], claim["verdict_aa_0.5"]]


def test_what_does_not_hold_is_repeated_with_its_numbers(study: Study) -> None:
    text = (study.folder / "index.html").read_text(encoding="utf-8")
    failing = [judged for judged in study.judged if judged.verdict.value.startswith("does not hold")]
    part = re.search(r"What does not hold</h3>(.*?)</section>", text, re.DOTALL)
    assert (part is not None) == bool(failing)
    if part is not None:
        assert part.group(1).count("<li>") == len(failing)


def test_text_is_escaped_and_markup_is_not() -> None:
    assert tag("p", "a < b & c", tag("b", "d")) == "<p>a &lt; b &amp; c<b>d</b></p>"
    assert link("x", 'a"b') == '<a href="a&quot;b">x</a>'
    assert join(["<", Html("<br>")], ", ") == "&lt;, <br>"
    assert 'scope="row">&lt;</th>' in table(("a", "b"), [("<", "1")], "numbers")
    assert section("Where & why").startswith('<section id="where-why">')
    assert document("<x>", "y").count("&lt;x&gt;") == 1
