"""A little HTML: text that is escaped, tables, figures. Leans on the standard library
and on ``page.css``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files


class Html(str):
    """Text that is markup already; everything else is escaped."""

    __slots__ = ()


def html(text: str) -> Html:
    """Text as markup, unless it is that already."""
    return text if isinstance(text, Html) else Html(escape(text))


def tag(name: str, *content: str, **attributes: str) -> Html:
    """An element; ``class_`` is the attribute class, ``data_x`` is data-x."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{''.join(map(html, content))}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """Parts one after another."""
    return Html(html(between).join(map(html, parts)))


def link(text: str, target: str) -> Html:
    """A link to a file of the study, or to a page."""
    return tag("a", text, href=target)


def picture(source: str, alternative: str) -> Html:
    """An image that is loaded when it is scrolled to, and words for those who cannot see it."""
    return Html(f'<img src="{escape(source)}" alt="{escape(alternative)}" loading="lazy">')


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", class_: str = "") -> Html:
    """A table whose first column names its rows, in a frame that scrolls where it is wider than the page."""
    head = tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in header)))
    body = tag(
        "tbody",
        *(tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows),
    )
    inner = tag("table", *([tag("caption", caption)] if caption else []), head, body)
    return tag("div", inner, class_=f"wide {class_}".strip())


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
